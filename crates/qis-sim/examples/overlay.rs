//! Measures the overlay: `cargo run --release -p qis-sim --example overlay -- nodes=1000 file=vectors.i8 dims=384`.

#![expect(clippy::print_stdout, reason = "prints what it measures")]

use std::error::Error;
use std::time::{Duration, Instant};

use qis_route::overlay::{LookupOptions, OverlayConfig};
use qis_sim::{Experiment, Vectors};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |name: &str| {
        std::env::args().find_map(|argument| Some(argument.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    };
    let whole =
        |name: &str, default: usize| argument(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let byte = |name: &str, default: u8| argument(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (nodes, dims, queries) = (whole("nodes", 1000), whole("dims", 384), whole("queries", 1000));
    let vectors = match argument("file") {
        Some(file) => Vectors::read(file.as_ref(), dims)?,
        None => Vectors::clustered(nodes + queries, dims, 7),
    };
    let mut config = OverlayConfig::default();
    // Nodes that join by the thousand are no flood here.
    config.near = byte("near", config.near);
    config.diverse = byte("diverse", config.diverse);
    config.links = byte("links", config.links);
    config.state_bytes = whole("state", config.state_bytes);
    config.own_lookup.effort = byte("join", config.own_lookup.effort);
    config.own_lookup.k = config.own_lookup.effort;
    config.own_lookup.limit = byte("joinlimit", config.own_lookup.limit);
    config.own_lookup.parallel = byte("joinparallel", config.own_lookup.parallel);
    config.gossip_every = Duration::from_secs(whole("gossip", 3600 * 24) as u64);
    config.lookup_every = Duration::from_secs(whole("lookup", 3600 * 24) as u64);
    config.peer_rate.burst = 100_000;
    config.find_rate.burst = 100_000;
    let mut experiment = Experiment::new(vectors, nodes, queries, config, whole("seed", 1) as u64)?;
    let clock = Instant::now();
    experiment.build_snapshot(whole("snapshot", 0), |_| {});
    experiment.join_all(|_| {});
    let joins = experiment.joins();
    println!(
        "joined {nodes} in {:.1} s, {:.1} messages, {:.0} bytes, most {}, state {}",
        clock.elapsed().as_secs_f64(),
        joins.messages as f64 / joins.nodes.max(1) as f64,
        joins.bytes as f64 / joins.nodes.max(1) as f64,
        joins.bytes_most,
        experiment.state_bytes_most(),
    );
    let variants = argument("variants").unwrap_or_else(|| "20:20:3,40:20:3".into());
    let measure = |experiment: &mut Experiment| -> Result<(), Box<dyn Error>> {
        let truth = experiment.truth();
        for variant in variants.split(',') {
            let numbers: Vec<u8> = variant.split(':').filter_map(|part| part.parse().ok()).collect();
            let &[effort, limit, parallel] = numbers.as_slice() else { return Err("variants".into()) };
            let options = LookupOptions { limit, parallel, ..LookupOptions::nearest(20).with_effort(effort) };
            let report = experiment.measure(options, &truth)?;
            println!(
                "{variant} recall {:.4} worst5 {:.3} rpcs {:.1} rounds {:.2} p99 {} ({:.1} s)",
                report.recall,
                report.worst,
                report.requests,
                report.rounds,
                report.rounds_p99,
                clock.elapsed().as_secs_f64(),
            );
        }
        Ok(())
    };
    measure(&mut experiment)?;
    for _ in 0..whole("refresh", 0) {
        experiment.refresh_all(|_| {});
        println!("refreshed at {:.1} s", clock.elapsed().as_secs_f64());
        measure(&mut experiment)?;
    }
    let packets = whole("load", 0);
    if packets > 0 {
        let load = experiment.load(packets, LookupOptions::nearest(20))?;
        println!("{load:?} {:.2}", load.requests / load.deliveries);
    }
    Ok(())
}
