//! Bugs on purpose: how many seeds it takes to find each.

use super::Args;
use crate::Answer;
use crate::error::Error;

#[cfg(not(qis_planted))]
pub(super) fn run(_: &Args) -> Result<Answer, Error> {
    Err(Error::NoBugs)
}

#[cfg(not(qis_planted))]
pub(super) fn plant(_: &str) -> Result<(), Error> {
    Err(Error::NoBugs)
}

#[cfg(qis_planted)]
pub(super) use with_bugs::{plant, run};

#[cfg(qis_planted)]
mod with_bugs {
    use std::fmt;
    use std::time::Instant;

    use qis_packet::planted::Bug;
    use qis_sim::simulate::{Violation, simulate};
    use serde::Serialize;

    use super::{Answer, Args, Error};
    use crate::progress::Progress;
    use crate::{json_line, parallel};

    /// What is printed.
    #[derive(Clone, Debug, Serialize)]
    struct Report {
        planted: usize,
        missed: usize,
        seconds: f64,
        bugs: Vec<Row>,
    }

    #[derive(Clone, Debug, Serialize)]
    struct Row {
        bug: &'static str,
        /// How many seeds it took; none when all of them were not enough.
        seeds: Option<u64>,
        /// What repeats it.
        replay: Option<String>,
        invariant: Option<&'static str>,
        what: Option<String>,
    }

    pub(in super::super) fn run(args: &Args) -> Result<Answer, Error> {
        let started = Instant::now();
        let progress = Progress::new("bugs", Bug::ALL.len());
        let mut bugs = Vec::new();
        for (done, &bug) in Bug::ALL.iter().enumerate() {
            progress.set(done);
            bugs.push(find(args, bug));
        }
        progress.end();
        let missed = bugs.iter().filter(|row| row.seeds.is_none()).count();
        let seconds = started.elapsed().as_secs_f64();
        let report = Report { planted: bugs.len(), missed, seconds, bugs };
        let text = if args.json { json_line(&report) } else { report.to_string() };
        let verdict = if missed == 0 { Ok(()) } else { Err(Error::BugsMissed { missed, seeds: args.seeds }) };
        Ok(Answer { text, verdict })
    }

    /// Plants the bug of this name in this process.
    pub(in super::super) fn plant(name: &str) -> Result<(), Error> {
        let bug = Bug::ALL.iter().find(|bug| bug.name() == name);
        let bug = bug.ok_or_else(|| Error::UnknownBug { name: name.to_owned() })?;
        Bug::plant(Some(*bug));
        Ok(())
    }

    /// Runs seeds with a bug until one fails.
    fn find(args: &Args, bug: Bug) -> Row {
        Bug::plant(Some(bug));
        let work = |seed: &u64| match simulate(&args.settings(*seed)).violation {
            Some(violation) => Err((*seed, violation)),
            None => Ok(()),
        };
        let found: Option<(u64, Violation)> =
            parallel::run(&args.all_seeds(), parallel::threads(), work, |_| ()).err();
        Bug::plant(None);
        // It counts only if the seed passes without the bug.
        let found = found.filter(|(seed, _)| simulate(&args.settings(*seed)).violation.is_none());
        let (seeds, violation) = found.unzip();
        Row {
            bug: bug.name(),
            replay: seeds.map(|seed| {
                let with = Args { bug: Some(bug.name().to_owned()), ..args.clone() };
                with.command(&args.settings(seed))
            }),
            seeds: seeds.map(|seed| seed.wrapping_sub(args.seed_base) + 1),
            invariant: violation.as_ref().map(|violation| violation.invariant),
            what: violation.map(|violation| violation.what),
        }
    }

    impl fmt::Display for Report {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            writeln!(f, "{:<32} {:>5}  invariant", "bug", "seeds")?;
            for Row { bug, seeds, invariant, .. } in &self.bugs {
                let seeds = seeds.map_or_else(|| "-".to_owned(), |seeds| seeds.to_string());
                writeln!(f, "{bug:<32} {seeds:>5}  {}", invariant.unwrap_or("MISSED"))?;
            }
            let Self { planted, missed, seconds, .. } = self;
            writeln!(f, "\n{planted} bugs, {missed} missed, {seconds:.0} s")
        }
    }
}
