//! Many runs of the attack suite, on all processors.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use qis_conformance::attack::{Attack, AttackError, Lie, Setting, accuracy};

use super::{Args, rule};
use crate::error::Error;
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
        let runs = jobs.len() * seeds;
        let progress = Progress::new("attacking", runs);
        let next = AtomicUsize::new(0);
        let mut accuracies: Vec<Result<f64, Error>> = (0..runs).map(|_| Ok(0.0)).collect();
        thread::scope(|scope| {
            let (tell, told) = mpsc::channel();
            for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
                let (tell, next, jobs) = (tell.clone(), &next, &jobs);
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(at / seeds) else { break };
                        // Nobody listens once a run has failed.
                        if tell.send((at, job.run(args, (at % seeds) as u64))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(tell);
            for (done, (at, accuracy)) in (1..).zip(told) {
                let failed = accuracy.is_err();
                if let Some(place) = accuracies.get_mut(at) {
                    *place = accuracy;
                }
                if failed {
                    break;
                }
                progress.set(done);
            }
        });
        progress.end();
        let accuracies: Vec<f64> = accuracies.into_iter().collect::<Result<_, _>>()?;
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
