//! The four hospitals as four processes, each with its own patients, key and store, on a real network.
//!
//! The first one listens on an address of this machine, and the others are given that address and nothing else: they find each other from
//! there. Each reads a file that only it has, publishes what its patients say as one packet, catches up with the others, and prints
//! its model. The table is that of the example `hospitals`, which does the same in one process.
//!
//! ```text
//! cargo run --release --example hospitals_cluster
//! cargo run --release --example hospitals_cluster -- --json
//! cargo run --release --features networked-examples/quic --example hospitals_cluster -- --quic
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

#[path = "../hospitals/baselines.rs"]
mod baselines;
#[path = "../hospitals/compare.rs"]
mod compare;
#[path = "../hospitals/data.rs"]
#[expect(dead_code, reason = "what only the other example uses")]
mod data;
mod parent;
#[path = "../hospitals/report.rs"]
mod report;
mod site;

use std::error::Error;
use std::path::PathBuf;

use clap::Parser;

/// Four hospitals in four processes learn from each other without sharing a patient.
#[derive(Debug, Parser)]
struct Args {
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
    /// QUIC in place of TCP; needs the feature `quic`.
    #[arg(long)]
    quic: bool,
    /// Directory for the hospitals' files, stores and keys; a temporary one, removed at the end, by default. A second run on it goes on with what is there.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Be one hospital, which has its files in this directory.
    #[arg(long, value_name = "DIR", hide = true)]
    site: Option<PathBuf>,
    /// Where to find the others.
    #[arg(long, value_name = "ADDRESS", hide = true)]
    join: Option<String>,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    match &args.site {
        Some(dir) => site::run(dir, args.join.as_deref(), args.quic).await,
        None => parent::run(&args).await,
    }
}
