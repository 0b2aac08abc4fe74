//! A service that predicts, is told what came true, and gets better from what its peers were told.
//!
//! It is an HTTP service as there are many: `/predict` and `/feedback`. Inside it has a QIS node, which publishes what the feedback says as
//! evidence and learns from other services' evidence; no request or record leaves it. `demo` starts six of them, five that know each
//! other and one that is alone, and sends them requests. The last of the five is a newcomer. For each hundred of its requests the error is printed,
//! beside that of the one alone, which gets the same requests, and of nearest-neighbour retrieval from all records that the others had when
//! it came: which would have to be shared for that, and never learns.
//!
//! ```text
//! cargo run --release --example ml_service                      # the demonstration
//! cargo run --release --example ml_service -- serve             # one service; --join ADDRESS for the next
//! cargo run --release --example ml_service -- load --services 127.0.0.1:8080
//! curl -d '{"features":[3.1,12,2,0,1]}' -H 'content-type: application/json' http://127.0.0.1:8080/predict
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

mod demo;
mod load;
mod service;
mod world;

use std::error::Error;
use std::net::SocketAddr;

use clap::{Parser, Subcommand};

type Failure = Box<dyn Error + Send + Sync>;

/// A prediction service that learns with its peers.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Be one service, until its input ends or it is interrupted.
    Serve {
        /// Where it answers HTTP.
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// The address of any of its peers.
        #[arg(long)]
        join: Option<String>,
    },
    /// Ask services, tell them what came true, and print how far off they were.
    Load(load::Args),
    /// Start six services and do that.
    Demo(demo::Args),
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match Args::parse().command {
        Some(Command::Serve { listen, join }) => service::run(listen, join.as_deref()).await,
        Some(Command::Load(args)) => tokio::task::spawn_blocking(move || load::run(&args)).await?,
        Some(Command::Demo(args)) => demo::run(&args).await,
        None => demo::run(&demo::Args::default()).await,
    }
}
