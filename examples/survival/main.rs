//! Six centres with few deaths each learn who is at risk, without sharing a patient.
//!
//! Each centre is a node. It fits a proportional-hazards model to its own patients, sends what they say as one packet of evidence, and
//! synthesises a better model from the packets it receives. Judged is by concordance: of two patients, who dies first.
//!
//! The patients that are shipped are made up, after the manner of The Cancer Genome Atlas' study of breast cancer (TCGA-BRCA). With that
//! study's file, and the split of the benchmark `FLamby` (Fed-TCGA-BRCA), the example measures on real ones.
//!
//! ```text
//! cargo run --release --example survival
//! cargo run --release --example survival -- --data brca.csv --split train_test_split.csv --resplits 8
//! cargo run --release --example survival -- --json
//! cargo run --release --example survival -- --generate examples/data
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod data;
mod generate;
mod network;
mod report;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;

use data::{Patients, Study, concordance};
use examples::Rng;
use report::{Report, Run};

/// Six centres learn from each other's survival data without sharing a patient.
#[derive(Debug, Parser)]
struct Args {
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// Patients: `pid`, features, `E` (1 if the patient died) and `T` (days followed).
    #[arg(long, value_name = "FILE", requires = "split")]
    data: Option<PathBuf>,
    /// Who trains and who tests: `pid` and `fold2`, which is `train_` or `test_` and the centre.
    #[arg(long, value_name = "FILE", requires = "data")]
    split: Option<PathBuf>,
    /// Repeat over this many random splits as well.
    #[arg(long, value_name = "N", default_value_t = 0)]
    resplits: u64,
    /// Seed of the random splits.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Make the patients that are shipped, as two files in this directory, and end.
    #[arg(long, value_name = "DIR", exclusive = true)]
    generate: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    if let Some(directory) = &args.generate {
        return Ok(generate::write(directory)?);
    }
    let study = match (&args.data, &args.split) {
        (Some(data), Some(split)) => Study::load(data, split)?,
        _ => Study::shipped()?,
    };
    let mut rng = Rng::new(args.seed);
    let fixed = compare(&study, &study.fixed(), rng.bits()).await?;
    let mut random = Vec::new();
    for _ in 0..args.resplits {
        let splits = study.random(&mut rng);
        random.push(compare(&study, &splits, rng.bits()).await?);
    }
    let report = Report::new(&study, &fixed, &random);
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("{report}");
    }
    Ok(())
}

/// Each centre alone and with the others, on one split.
async fn compare(study: &Study, splits: &[(Patients, Patients)], seed: u64) -> Result<Run, Box<dyn Error>> {
    let exchange = network::run(study, splits, seed).await?;
    let judge = |risks: &[Vec<f64>]| {
        splits.iter().zip(risks).map(|((_, test), risks)| concordance(test, risks)).collect()
    };
    let deaths = |patients: &Patients| patients.iter().filter(|p| p.died).count();
    Ok(Run {
        patients: splits.iter().map(|(train, test)| (train.len(), test.len())).collect(),
        deaths: splits.iter().map(|(train, test)| (deaths(train), deaths(test))).collect(),
        local: judge(&exchange.local),
        qis: judge(&exchange.qis),
        peer_weights: exchange.peer_weights,
        packet_bytes: exchange.packet_bytes,
    })
}
