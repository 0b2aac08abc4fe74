//! Many runs of the attack suite, on all processors.

use std::sync::atomic::{AtomicUsize, Ordering};

use qis_conformance::attack::{Attack, AttackError, Lie, Setting, accuracy};

use super::{Args, rule};
use crate::error::Error;
use crate::parallel;
use crate::progress::Progress;

/// A rule, and the attack on it, if any.
#[derive(Clone, Debug)]
pub(super) struct Job {
    rule: String,
    attack: Option<Attack>,
}

impl Job {
    pub(super) fn new(rule: &str, attack: Attack) -> Self {
        Self { rule: rule.to_owned(), attack: Some(attack) }
    }

    pub(super) fn honest(rule: &str) -> Self {
        Self { rule: rule.to_owned(), attack: None }
    }

    fn run(&self, args: &Args, seed: u64) -> Result<f64, Error> {
        let rule = rule(&self.rule).map_err(|source| Error::Rule { source })?;
        let lie = |attack| Lie { jitter: args.jitter, ..Lie::new(attack, args.fraction) };
        let setting = Setting { seed, rounds: args.rounds.into(), lie: self.attack.map(lie) };
        accuracy(&*rule, &setting).map_err(|source: AttackError| {
            let attack = self.attack.map_or("no attack", Attack::name);
            Error::Attack { rule: self.rule.clone(), attack, seed, source: Box::new(source) }
        })
    }
}

/// The place of a job.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place(usize);

/// Jobs, each to be run with every seed.
pub(super) struct Jobs<'a> {
    args: &'a Args,
    jobs: Vec<Job>,
}

impl<'a> Jobs<'a> {
    pub(super) const fn new(args: &'a Args) -> Self {
        Self { args, jobs: Vec::new() }
    }

    pub(super) fn add(&mut self, job: Job) -> Place {
        self.jobs.push(job);
        Place(self.jobs.len() - 1)
    }

    /// Runs all of them.
    pub(super) fn run(self) -> Result<Found, Error> {
        let Self { args, jobs } = self;
        let seeds = args.seeds as usize;
        let runs: Vec<(&Job, u64)> =
            jobs.iter().flat_map(|job| (0..args.seeds).map(move |seed| (job, seed))).collect();
        let progress = Progress::new("attacking", runs.len());
        let done = AtomicUsize::new(0);
        let ended = |_: &_| progress.set(done.fetch_add(1, Ordering::Relaxed) + 1);
        let accuracies = parallel::run(&runs, parallel::threads(), |(job, seed)| job.run(args, *seed), ended);
        progress.end();
        let accuracies = accuracies?;
        let mean = |seeds: &[f64]| seeds.iter().sum::<f64>() / seeds.len() as f64;
        Ok(Found(accuracies.chunks(seeds).map(mean).collect()))
    }
}

/// The accuracy of each job, averaged over the seeds.
#[derive(Debug)]
pub(super) struct Found(Vec<f64>);

impl Found {
    pub(super) fn mean(&self, Place(at): Place) -> f64 {
        self.0.get(at).copied().unwrap_or_default()
    }
}
