//! Four hospitals, 740 patients, none of whom may be shared.
//!
//! Each hospital is a node. It fits a model to its own patients, sends what they say as one
//! packet of evidence, and synthesises a better model from the packets it receives. The example
//! compares that with training alone, with federated averaging and with the published article's
//! rule, on the data and the split of the benchmark `FLamby` (Fed-Heart-Disease).
//!
//! ```text
//! cargo run --release --example hospitals
//! cargo run --release --example hospitals -- --resplits 40
//! cargo run --release --example hospitals -- --json
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod baselines;
mod compare;
mod data;
mod network;
mod plot;
mod report;

use std::error::Error;
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

use data::{Hospital, Study};
use examples::Rng;
use report::{Report, Run};

/// Four hospitals learn from each other without sharing a patient.
#[derive(Debug, Parser)]
struct Args {
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// Repeat over this many random splits instead of the published one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    resplits: u64,
    /// Directory for the plots.
    #[arg(long, value_name = "DIR", default_value = "out")]
    out: PathBuf,
    /// Seed of everything random.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let hospitals = Hospital::load()?;
    let published = Study::published(&hospitals);
    let mut rng = Rng::new(args.seed);
    let mut runs = Vec::new();
    if args.resplits == 0 {
        runs.push(run(&published, &mut rng).await?);
    }
    for _ in 0..args.resplits {
        let study = Study::resplit(&hospitals, &mut rng);
        runs.push(run(&study, &mut rng).await?);
    }
    let report = Report::new(&published, &runs);
    let plots = plot::write(&report, &args.out)?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
        println!("Plots: {}", plots.map(|path| path.display().to_string()).join(", "));
    }
    Ok(())
}

/// Runs every method on one study.
async fn run(study: &Study, rng: &mut Rng) -> Result<Run, Box<dyn Error>> {
    let started = Instant::now();
    let exchange = network::run(&study.sites, rng.bits()).await?;
    let elapsed = started.elapsed();
    Ok(Run {
        scores: compare::scores(study, &exchange.estimates, rng),
        packets_sent: exchange.packets_sent,
        bytes_sent: exchange.bytes_sent,
        max_packet_bytes: exchange.max_packet_bytes,
        elapsed,
    })
}
