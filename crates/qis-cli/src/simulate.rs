//! `qis simulate`: whole nodes in virtual time, with everything that can go wrong.

mod failure;
mod many;
mod planted;

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Instant;

use qis_sim::simulate::{FaultKind, Settings, simulate_traced};

use crate::Answer;
use crate::error::Error;
use failure::Failure;

/// Run whole nodes in virtual time with all that can go wrong, and look whether what is promised holds
///
/// Each seed is a network of its own: nodes as they run in production, on a simulated network, disk, clock and host. For some minutes frames are lost,
/// repeated and damaged, nodes crash and come back, disks fill up, clocks go wrong and liars lie, while at each step what is promised must hold. Then
/// all faults are over: within ten periods of anti-entropy all nodes must hold the same, and what one says must get to all.
///
/// The same seed gives the same run, to the byte. A seed that fails is run again with fewer faults and nodes as long as it fails, and the
/// command that repeats the smallest run is printed.
///
/// Exit code 1 when a seed failed.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    seed_base: u64,
    /// One seed only
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "seed_base", "planted"])]
    seed: Option<u64>,
    /// How many nodes a network has, by its seed's choice, 2 to 200: a number, or the least and the most
    #[arg(long, value_name = "N..M", default_value = "5..50")]
    nodes: Nodes,
    /// Kinds of faults that are left out
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    without: Vec<FaultKind>,
    /// Write all that happens in the run of --seed into this file, a line each
    #[arg(long, value_name = "FILE", requires = "seed")]
    trace: Option<PathBuf>,
    /// Run each seed twice, and fail where the runs differ
    #[arg(long, conflicts_with = "seed")]
    twice: bool,
    /// Plant bugs on purpose, and count the seeds until each is found: at most --seeds. Needs a build with bugs in it, as docs/testing.md has it
    #[arg(long, conflicts_with = "twice")]
    planted: bool,
    /// Plant this one of those bugs, by its name in the table of --planted
    #[arg(long, value_name = "NAME", conflicts_with = "planted")]
    bug: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis simulate --seeds 1000 --nodes 5..50 --json
  qis simulate --seed 42 --trace seed-42.txt
  qis simulate --seed 42 --nodes 7 --without loss,crash
  qis simulate --seeds 200 --planted";

/// The least and the most nodes.
#[derive(Clone, Debug)]
struct Nodes(RangeInclusive<u16>);

impl FromStr for Nodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (least, most) = text.split_once("..").unwrap_or((text, text));
        let number = |text: &str| text.parse().ok().filter(|number| (2..=200).contains(number));
        match (number(least), number(most)) {
            (Some(least), Some(most)) if least <= most => Ok(Self(least..=most)),
            _ => Err("not a number from 2 to 200, or two of them as in 5..50".to_owned()),
        }
    }
}

impl Args {
    fn settings(&self, seed: u64) -> Settings {
        let without = self.without.iter().copied().collect();
        Settings { seed, nodes: self.nodes.0.clone(), without }
    }

    /// The command that repeats a run.
    fn command(&self, settings: &Settings) -> String {
        let bug = self.bug.as_ref().map(|bug| format!(" --bug '{bug}'")).unwrap_or_default();
        format!("qis simulate {settings}{bug}")
    }

    fn all_seeds(&self) -> Vec<u64> {
        (0..self.seeds).map(|at| self.seed_base.wrapping_add(at)).collect()
    }
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    if let Some(name) = &args.bug {
        planted::plant(name)?;
    }
    match (args.seed, args.planted) {
        (Some(seed), _) => one(args, seed),
        (None, true) => planted::run(args),
        (None, false) => Ok(many::run(args)),
    }
}

/// One seed, with its trace if that is wanted.
fn one(args: &Args, seed: u64) -> Result<Answer, Error> {
    let started = Instant::now();
    let (report, lines) = simulate_traced(&args.settings(seed));
    if let Some(path) = &args.trace {
        let write = |source| Error::Write { path: path.display().to_string(), source };
        fs::write(path, lines).map_err(write)?;
    }
    let mut summary = many::Summary::default();
    summary.add(&report);
    if report.violation.is_some() {
        summary.failures.push(Failure::of(&report, args));
    }
    Ok(summary.answer(started, args.json))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_a_number_or_two() {
        let nodes = |text: &str| text.parse::<Nodes>().map(|nodes| nodes.0);
        assert_eq!(nodes("7"), Ok(7..=7));
        assert_eq!(nodes("5..50"), Ok(5..=50));
        for text in ["", "1", "50..5", "5..201", "a..b", "5.."] {
            assert!(nodes(text).is_err(), "{text}");
        }
    }
}
