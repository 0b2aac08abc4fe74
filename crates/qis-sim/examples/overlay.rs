//! Measures the overlay: `cargo run --release -p qis-sim --example overlay -- nodes=1000 file=vectors.i8 dims=384`.

#![expect(clippy::print_stdout, reason = "prints what it measures")]

use std::error::Error;
use std::time::{Duration, Instant};

use qis_route::overlay::{LookupOptions, OverlayConfig, Refusal};
use qis_sim::{Experiment, Queries, Vectors};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = |name: &str| {
        std::env::args().find_map(|argument| Some(argument.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
    };
    let number =
        |name: &str, default: f64| argument(name).and_then(|text| text.parse().ok()).unwrap_or(default);
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
    if argument("snapshot").is_some() {
        experiment.build_snapshot(5, |_| {});
    } else {
        experiment.join_all(|_| {});
    }
    println!(
        "joined {nodes} in {:.1} s, {:.0} s of virtual time, {} frames",
        clock.elapsed().as_secs_f64(),
        experiment.network().now().as_secs_f64(),
        experiment.network().frames
    );
    for _ in 0..whole("refresh", 0) {
        experiment.refresh_all();
        println!("refreshed at {:.1} s", clock.elapsed().as_secs_f64());
    }
    let crash = number("crash", 0.0);
    if crash > 0.0 {
        experiment.crash(crash);
    }
    experiment.network().faults.loss = number("loss", 0.0);
    let truth = experiment.truth(queries);
    let measure = |experiment: &mut Experiment| -> Result<(), Box<dyn Error>> {
        for effort in [20, 40] {
            let mut options = LookupOptions::nearest(20).with_effort(effort);
            options.limit = byte("limit", options.limit);
            options.parallel = byte("parallel", options.parallel);
            let report = experiment.measure(Queries { count: queries, options }, &truth)?;
            println!(
                "b={effort} recall {:.4} worst5 {:.3} rpcs {:.1} rounds {:.2} p99 {} skew {:.4}/{:.4}={:.2} join {:.1} msgs {:.0} B (most {}) state {}",
                report.recall,
                report.worst,
                report.requests,
                report.rounds,
                report.rounds_p99,
                report.load.requests,
                report.load.deliveries,
                report.load.requests / report.load.deliveries,
                report.join_messages,
                report.join_bytes,
                report.join_bytes_most,
                report.state_bytes_most,
            );
        }
        Ok(())
    };
    measure(&mut experiment)?;
    if crash > 0.0 {
        experiment.refresh_all();
        println!("after one look for itself:");
        measure(&mut experiment)?;
    }
    for refusal in Refusal::ALL {
        print!("{refusal}: {}; ", experiment.refused(refusal));
    }
    println!("\n{:.1} s", clock.elapsed().as_secs_f64());
    Ok(())
}
