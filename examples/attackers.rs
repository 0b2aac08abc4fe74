//! 20 honest sites and some liars: what one site makes of what they send, by four rules.
//!
//! `cargo run --release --example attackers -- 6` has six of them lie; without a number four do.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use qis::memory::Network;
use qis::{AnchoredMean, Domain, Identity, Node, Robust, Selection};

const HONEST: u8 = 20;
/// What every honest site would find with endless records.
const TRUTH: [f32; 6] = [0.8, -0.5, 0.3, 0.0, -0.2, 0.6];

type Error = Box<dyn std::error::Error>;

/// A domain for each rule; otherwise they are the same.
fn domains() -> Result<[Domain; 4], Error> {
    let domain = |tag| Domain::delta(tag, TRUTH.len());
    Ok([
        domain("mean")?.synthesizer(AnchoredMean::new(0.2)?),
        Domain::article("article", TRUTH.len())?,
        domain("robust")?,
        domain("hostile")?.synthesizer(Robust::hostile()),
    ]
    .map(|domain| domain.selection(Selection::most_similar(60))))
}

async fn join(net: &Network, seed: u8) -> Result<Node, Error> {
    let mut builder = Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(net.transport(&format!("site-{seed}"))?)
        .directory(net.directory());
    for domain in domains()? {
        builder = builder.domain(domain);
    }
    let node = builder.start().await?;
    net.attach(&node);
    Ok(node)
}

/// The truth times a factor, give or take what chance does to a site of few records.
fn finding(site: u8, factor: f32) -> [f32; 6] {
    let mut state = u32::from(site) * 7919 + 17;
    TRUTH.map(|value| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        factor * value + 0.4 * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
    })
}

fn distance<T: Copy + Into<f64>>(found: &[T]) -> f64 {
    let squares = found.iter().zip(TRUTH).map(|(&value, truth)| (value.into() - f64::from(truth)).powi(2));
    squares.sum::<f64>().sqrt()
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let liars: u8 = std::env::args().nth(1).map_or(Ok(4), |number| number.parse())?;
    if liars > HONEST {
        return Err("at most 20 may lie".into());
    }
    let net = Network::new();
    let us = join(&net, 0).await?;
    for seed in 1..=HONEST + liars {
        let node = join(&net, seed).await?;
        let lies = seed > HONEST;
        for domain in domains()? {
            let outcome = finding(seed, if lies { -10.0 } else { 1.0 });
            let confidence = if lies { 1.0 } else { 0.6 };
            node.emit(domain.tag().as_str(), outcome).confidence(confidence).await?;
        }
    }

    let own = finding(0, 1.0);
    println!("{HONEST} honest sites, and {liars} that send -10 times the truth and are quite sure of it\n");
    println!("{:<10} {:>18} {:>10}", "", "error of estimate", "left out");
    println!("{:<10} {:>18.3}", "alone", distance(&own));
    for domain in domains()? {
        let tag = domain.tag();
        us.observe(tag.as_str(), own)?;
        let synthesis = us.synthesize(tag.as_str()).await?;
        let left_out: usize = synthesis.excluded().values().sum();
        println!("{:<10} {:>18.3} {:>10}", tag.as_str(), distance(&synthesis.estimate), left_out);
    }
    Ok(())
}
