//! Many seeds, on all processors.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qis_sim::simulate::{Report, simulate};
use serde::Serialize;

use super::{Args, Failure};
use crate::error::Error;
use crate::progress::Progress;
use crate::{Answer, json_line, parallel};

/// Of more seeds that failed, no smaller run is looked for.
const MOST_SHRUNK: usize = 3;
/// Periods within which nearly all are to agree.
const SOON: u32 = 3;

/// What is printed.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Summary {
    seeds: u64,
    failed: u64,
    seconds: f64,
    simulated_hours: f64,
    faults_injected: BTreeMap<&'static str, u64>,
    packets_applied: u64,
    happenings: u64,
    nodes_mean: f64,
    /// Periods of anti-entropy after which all sites of a network agreed, the mean and the most.
    periods_mean: f64,
    periods_max: u32,
    /// The share of networks in which all did after three.
    agreed_in_three: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) failures: Vec<Failure>,
    #[serde(skip)]
    simulated: Duration,
    #[serde(skip)]
    nodes: u64,
    #[serde(skip)]
    periods: u64,
    #[serde(skip)]
    soon: u64,
}

impl Summary {
    pub(super) fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.failed += u64::from(report.violation.is_some());
        self.simulated += report.simulated;
        self.packets_applied += report.applied;
        self.happenings += report.happenings;
        self.nodes += report.nodes as u64;
        self.periods += u64::from(report.periods);
        self.periods_max = self.periods_max.max(report.periods);
        self.soon += u64::from(report.violation.is_none() && report.periods <= SOON);
        for (kind, count) in &report.faults {
            *self.faults_injected.entry(kind.name()).or_default() += count;
        }
    }

    /// The answer of a run that began then.
    pub(super) fn answer(mut self, started: Instant, as_json: bool) -> Answer {
        self.seconds = started.elapsed().as_secs_f64();
        let seeds = self.seeds.max(1) as f64;
        self.simulated_hours = self.simulated.as_secs_f64() / 3600.0;
        (self.nodes_mean, self.periods_mean) = (self.nodes as f64 / seeds, self.periods as f64 / seeds);
        self.agreed_in_three = self.soon as f64 / seeds;
        let text = if as_json { json_line(&self) } else { self.to_string() };
        let failed = self.failed.max(self.failures.len() as u64);
        let verdict = if failed == 0 { Ok(()) } else { Err(Error::Simulation { failed, seeds: self.seeds }) };
        Answer { text, verdict }
    }
}

pub(super) fn run(args: &Args) -> Answer {
    let started = Instant::now();
    let seeds = args.all_seeds();
    let progress = Progress::new("seeds", seeds.len());
    let done = AtomicUsize::new(0);
    let work = |seed: &u64| {
        let settings = args.settings(*seed);
        let report = simulate(&settings);
        let differs = args.twice && simulate(&settings).digest != report.digest;
        Ok::<_, Infallible>((report, differs))
    };
    let ended = |_: &u64| progress.set(done.fetch_add(1, Ordering::Relaxed) + 1);
    let Ok(reports) = parallel::run(&seeds, parallel::threads(), work, ended);
    progress.end();
    let mut summary = Summary::default();
    for (report, differs) in &reports {
        summary.add(report);
        if report.violation.is_some() && summary.failures.len() < MOST_SHRUNK {
            summary.failures.push(Failure::of(report, args));
        } else if report.violation.is_some() || *differs {
            summary.failures.push(Failure::unshrunk(report, args));
        }
    }
    summary.failed = summary.failures.len() as u64;
    summary.answer(started, args.json)
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seeds               {} of {:.1} nodes in the mean", self.seeds, self.nodes_mean)?;
        writeln!(f, "failed              {}", self.failed)?;
        writeln!(f, "simulated           {:.1} h in {:.1} s", self.simulated_hours, self.seconds)?;
        writeln!(f, "packets applied     {}", self.packets_applied)?;
        let (mean, most, soon) = (self.periods_mean, self.periods_max, 100.0 * self.agreed_in_three);
        writeln!(
            f,
            "agreement           after {mean:.1} periods in the mean, {most} at most; {soon:.1} % in {SOON}"
        )?;
        writeln!(f, "faults injected")?;
        for (kind, count) in &self.faults_injected {
            writeln!(f, "  {kind:<17} {count}")?;
        }
        self.failures.iter().try_for_each(|failure| write!(f, "{failure}"))
    }
}
