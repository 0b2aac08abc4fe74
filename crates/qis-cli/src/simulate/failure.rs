//! A seed that failed, and how to see it fail again.

use qis_sim::simulate::{Report, shrink};
use serde::Serialize;

use super::Args;

/// What is told of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failure {
    pub(super) seed: u64,
    invariant: String,
    what: String,
    /// The command that repeats it.
    replay: String,
    /// The command that repeats what is left of it with fewer faults and nodes.
    shrunk: Option<String>,
}

impl Failure {
    /// Of a run in which an invariant did not hold; shrinks it, which takes some tens of runs.
    pub(super) fn of(report: &Report, args: &Args) -> Self {
        let smallest = shrink(&report.settings);
        let shrunk = smallest.map(|smallest| args.command(&smallest.settings));
        Self { shrunk, ..Self::unshrunk(report, args) }
    }

    /// The same as it is.
    pub(super) fn unshrunk(report: &Report, args: &Args) -> Self {
        let (invariant, what) = match &report.violation {
            Some(violation) => (violation.invariant.to_owned(), violation.what.clone()),
            None => ("the same seed gives the same run".to_owned(), "it gave another one".to_owned()),
        };
        let replay = args.command(&report.settings);
        Self { seed: report.settings.seed, invariant, what, replay, shrunk: None }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "\nseed {} failed: {}: {}", self.seed, self.invariant, self.what)?;
        writeln!(f, "  again    {}", self.replay)?;
        match &self.shrunk {
            Some(shrunk) => writeln!(f, "  smaller  {shrunk}"),
            None => Ok(()),
        }
    }
}
