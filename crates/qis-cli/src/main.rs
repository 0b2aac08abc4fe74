//! The command line of QIS. The README of the crate says what it does; `qis --help` how it is used.

#![deny(clippy::indexing_slicing, clippy::expect_used)]

mod attack;
mod codec;
mod error;
mod hex;
mod html;
mod inspect;
mod load;
mod mean;
mod mlp;
#[cfg(all(feature = "node", unix))]
mod node;
#[cfg(not(all(feature = "node", unix)))]
#[path = "no_node.rs"]
mod node;
mod parallel;
mod picture;
mod plan;
mod progress;
mod rng;
mod route;
mod simulate;
mod source;
mod timing;
mod utc;
mod words;

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use serde::Serialize;

use error::Error;

/// Measures the codec, the similarity routing and the rules of synthesis of QIS, says whether a consortium is worth joining, shows what is in an outcome packet, and puts load on a node.
///
/// Exit codes: 0 if all went well, 1 if the input is bad or the output cannot be written, 2 if the arguments are.
#[derive(Debug, Parser)]
#[command(name = "qis", version, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  qis codec --dims 512 --bytes 320
  qis inspect packet.bin --network example
  qis node node.toml --check
  qis plan wards.csv --site hospital --target readmitted
  qis route --nodes 1000
  qis load --seconds 10
  qis attack --rule robust --attack ipm
  qis simulate --seeds 100
  qis help codec";

#[derive(Debug, Subcommand)]
enum Command {
    Attack(attack::Args),
    Codec(codec::Args),
    Inspect(inspect::Args),
    Load(load::Args),
    Node(node::Args),
    Plan(plan::Args),
    Route(route::Args),
    Simulate(simulate::Args),
}

/// What a command has to say: text for the standard output, and what was wrong with its input, if anything.
struct Answer {
    text: String,
    verdict: Result<(), Error>,
}

impl Answer {
    /// A report on input with which nothing is wrong.
    fn of(report: &(impl Serialize + Display), as_json: bool) -> Self {
        let text = if as_json { json_line(report) } else { report.to_string() };
        Self { text, verdict: Ok(()) }
    }
}

/// Structs of numbers and texts are always JSON.
fn json_line(value: &impl Serialize) -> String {
    format!("{}\n", serde_json::to_string(value).unwrap_or_default())
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when this fails.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Help where it was asked for or nothing was, else what is wrong with the arguments, in one line.
fn refuse(error: &clap::Error) -> ExitCode {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    match error.kind() {
        DisplayHelp | DisplayVersion | DisplayHelpOnMissingArgumentOrSubcommand => error.exit(),
        _ => {
            let text = error.to_string();
            // What it is comes before the first empty line, and after that how to use the command.
            let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
            let _ = writeln!(io::stderr(), "{}", lines.collect::<Vec<_>>().join(" "));
            ExitCode::from(2)
        }
    }
}

fn run(cli: &Cli) -> Result<(), Error> {
    let answer = match &cli.command {
        Command::Attack(args) => attack::run(args)?,
        Command::Codec(args) => codec::run(args)?,
        Command::Inspect(args) => inspect::run(args)?,
        Command::Load(args) => load::run(args)?,
        Command::Node(args) => node::run(args)?,
        Command::Plan(args) => plan::run(args)?,
        Command::Route(args) => route::run(args)?,
        Command::Simulate(args) => simulate::run(args)?,
    };
    let mut out = io::stdout().lock();
    match out.write_all(answer.text.as_bytes()).and_then(|()| out.flush()) {
        // The reader has seen enough, as in `qis inspect packet.bin | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.map_err(|source| Error::Write { path: "the standard output".into(), source })?,
    }
    answer.verdict
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_of_all_commands_go_together() {
        Cli::command().debug_assert();
    }
}
