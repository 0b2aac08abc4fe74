//! A clinic behind a radio that carries 51 or 222 bytes, and loses a tenth or a third of them, learns with three hospitals.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use qis::memory::{ManualClock, MemoryTransport, Network};
use qis::{
    Address, Domain, Evidence, Family, HostError, Identity, LinkProfile, Node, Parity, ReassemblyConfig,
    RouterConfig, Scaling, Schema, Timestamp, Transport, async_trait,
};
use qis_packet::{Reassembler, fragment};

const DOMAIN: &str = "cardiology/dose";
const FEATURES: usize = 12;
/// A packet of 512 bytes in the frame that pushes it.
const FULL_FRAME: usize = 522;
const TRIALS: u32 = 100_000;
const LOSSES: [u32; 2] = [100, 300];

/// The generator `SplitMix64`, so that each run prints the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn happens(&mut self, permille: u32) -> bool {
        self.next() % 1000 < u64::from(permille)
    }

    fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal: twelve uniform numbers have a variance of one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// How many of all full packets arrive at the first attempt when each part is lost independently.
fn measured(link: LinkProfile, permille: u32, parity: Parity) -> Result<f64, Box<dyn Error>> {
    let mut random = Random(u64::from(permille));
    let mut frame: Vec<u8> = (0..FULL_FRAME).map(|_| random.next() as u8).collect();
    frame[0] = 0;
    let parts = fragment(&frame, link.max_frame(), parity)?;
    let mut arrived = 0;
    for _ in 0..TRIALS {
        let mut reassembler = Reassembler::new(ReassemblyConfig::default());
        for part in &parts {
            if !random.happens(permille)
                && let Some(whole) = reassembler.accept(Duration::ZERO, &(), &part[1..])?
            {
                assert_eq!(whole, frame);
                arrived += 1;
            }
        }
    }
    Ok(f64::from(arrived) / f64::from(TRIALS))
}

fn print_probabilities() -> Result<(), Box<dyn Error>> {
    println!("A packet of 512 bytes, {TRIALS} times: how often it arrives at the first attempt");
    println!("{:>7} {:>6} {:>16} {:>16}", "frames", "loss", "without parity", "with parity");
    for link in [LinkProfile::LORAWAN_EU868_DR0, LinkProfile::LORAWAN_EU868_DR5] {
        for permille in LOSSES {
            let without = measured(link, permille, Parity::None)?;
            let with = measured(link, permille, Parity::Auto)?;
            let frames = format!("{} B", link.max_frame());
            println!("{frames:>7} {:>4} % {without:>16.3} {with:>16.3}", permille / 10);
        }
    }
    println!("\nWhat it costs:");
    println!(
        "{:18} {:>6} {:>7} {:>6} {:>9} {:>14}",
        "link", "parts", "parity", "bytes", "airtime", "at 1 % duty"
    );
    for link in
        [LinkProfile::LORAWAN_EU868_DR0, LinkProfile::LORAWAN_EU868_DR2, LinkProfile::LORAWAN_EU868_DR5]
    {
        let report = link.report(FULL_FRAME, Parity::Auto)?;
        let airtime = report.airtime.unwrap_or_default();
        let whole = airtime + report.silence.unwrap_or_default();
        let (data, parity) = (report.plan.data(), report.plan.parity());
        println!(
            "{:18} {data:>6} {parity:>7} {:>6} {:>7.2} s {:>10.1} min",
            link.name(),
            report.bytes,
            airtime.as_secs_f64(),
            whole.as_secs_f64() / 60.0
        );
    }
    Ok(())
}

/// A transport that states what its link carries, and adds up how long it is on the air. The rest is the router's.
#[derive(Debug)]
struct Radio {
    network: MemoryTransport,
    link: LinkProfile,
    micros: Arc<AtomicU64>,
}

#[async_trait]
impl Transport for Radio {
    fn local_address(&self) -> Address {
        self.network.local_address()
    }

    fn max_frame(&self) -> usize {
        self.link.max_frame()
    }

    async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
        let airtime = self.link.airtime(frame.len()).unwrap_or_default();
        self.micros.fetch_add(airtime.as_micros() as u64, Ordering::Relaxed);
        self.network.send(to, frame, allowed).await
    }
}

fn truth() -> [f64; FEATURES + 1] {
    std::array::from_fn(|i| (i as f64 * 1.7).sin())
}

/// What a site learns from so many patients of its own.
fn learned(schema: &Schema, patients: usize, seed: u64) -> Result<Evidence, Box<dyn Error>> {
    let mut random = Random(seed);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..patients {
        let features: [f64; FEATURES] = std::array::from_fn(|_| random.normal());
        let mean = truth()[0] + truth()[1..].iter().zip(&features).map(|(a, b)| a * b).sum::<f64>();
        x.extend(features);
        y.push(mean + 1.5 * random.normal());
    }
    Ok(Evidence::gaussian(schema, &x, &y)?)
}

/// Root mean square of what an estimate is off by.
fn error(estimate: &[f64]) -> f64 {
    let squares = estimate.iter().zip(truth()).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / truth().len() as f64).sqrt()
}

/// Lets simulated time pass until the work is done.
async fn while_time_passes<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        let second = async {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
        };
        tokio::select! {
            biased;
            result = &mut work => return result,
            () = second => {}
        }
    }
}

async fn take_part(link: LinkProfile, permille: u32) -> Result<(), Box<dyn Error>> {
    let scaling = Scaling::Public { mean: vec![0.0; FEATURES], scale: vec![1.0; FEATURES] };
    let names = (1..=FEATURES).map(|i| format!("x{i}"));
    let schema = Schema::new(Family::Gaussian, names, scaling)?;
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
    // The hospitals reach the clinic through a gateway, so what it carries is what all of them may send.
    let net = Network::new()
        .with_loss(0, u64::from(permille))
        .with_loss_at("clinic", permille)?
        .with_max_frame(link.max_frame());
    let micros = Arc::new(AtomicU64::new(0));
    let mut nodes = Vec::new();
    for (seed, name) in (1..).zip(["clinic", "hospital-1", "hospital-2", "hospital-3"]) {
        let radio = Radio { network: net.transport(name)?, link, micros: Arc::clone(&micros) };
        let builder = Node::builder()
            .identity(Identity::from_seed([seed; 32]))
            .seed([seed; 32])
            .directory(net.directory())
            .domain(Domain::evidence(DOMAIN, schema.clone())?)
            .config(RouterConfig { attempts: 8, ..RouterConfig::radio() })
            .clock(clock.clone());
        let builder =
            if seed == 1 { builder.transport(radio) } else { builder.transport(net.transport(name)?) };
        let node = builder.start().await?;
        net.attach(&node);
        nodes.push(node);
    }
    let clinic = &nodes[0];

    clinic.observe(DOMAIN, learned(&schema, 40, 1)?)?;
    let alone = error(&clinic.synthesize(DOMAIN).await?.estimate);
    let (mut copies, mut delivered) = (0, 0);
    // The hospitals first: a node is found by its evidence, once there is some.
    for (seed, node) in [(2, &nodes[1]), (3, &nodes[2]), (4, &nodes[3]), (1, clinic)] {
        let patients = if seed == 1 { 40 } else { 400 };
        let emission = node.emit(DOMAIN, learned(&schema, patients, seed)?);
        let receipt = while_time_passes(&clock, emission.into_future()).await?;
        let of_clinic = receipt.recipients.iter().filter(|one| seed == 1 || one.address.as_str() == "clinic");
        for one in of_clinic {
            copies += 1;
            delivered += u32::from(one.delivery == qis::Delivery::Acknowledged);
        }
    }
    // What did not arrive, it asks for.
    let synthesis = while_time_passes(&clock, clinic.synthesize(DOMAIN).pull().into_future()).await?;
    let stats = clinic.stats();
    println!(
        "{:>5} B {:>4} % {:>6} {:>3} of {copies} {:>5} / {:<5} {:>8.1} s {:>8} {:>9.3} {:>9.3}",
        link.max_frame(),
        permille / 10,
        stats.packets_sent,
        delivered,
        stats.fragments_sent,
        stats.reassembly.parts,
        micros.load(Ordering::Relaxed) as f64 / 1e6,
        synthesis.origins,
        alone,
        error(&synthesis.estimate),
    );
    for node in &nodes {
        node.shutdown().await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    print_probabilities()?;
    println!("\nA clinic with 40 patients on such a link, and three hospitals with 400 each");
    println!(
        "{:>7} {:>6} {:>6} {:>8} {:>13} {:>10} {:>8} {:>9} {:>9}",
        "frames", "loss", "sent", "arrived", "parts out/in", "airtime", "sources", "alone", "together"
    );
    for link in [LinkProfile::LORAWAN_EU868_DR2, LinkProfile::LORAWAN_EU868_DR5] {
        for permille in LOSSES {
            take_part(link, permille).await?;
        }
    }
    println!(
        "\nsent: packets of the clinic, with repetitions. arrived: copies from and to it. parts: the clinic's, lost ones\n\
         among those it sent. sources: sites whose evidence it used. alone, together: error of its coefficients."
    );
    Ok(())
}
