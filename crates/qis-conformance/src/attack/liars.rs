use std::slice;

use qis_packet::{Confidence, Organisation, Support};
use qis_sim::Rng;
use qis_synth::{Own, Sample, Samples, Synthesizer};

use super::Attack;
use super::error::AttackError;
use super::forge::{self, Direction};
use super::packets::{Claims, Sender};
use super::run::{Learner, RATE, SUPPORT, SURE};
use super::task::{CLASSES, PARAMETERS, Task};
use super::view::{Summary, View};

/// Keys that a liar makes to have the lowest author id of them, since rules go by the order of authors.
const KEYS: usize = 200;

/// Who lies, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lie {
    /// The way.
    pub attack: Attack,
    /// How many of a receiver's 20 peers lie: their share, from 0 to 0.5.
    pub fraction: f64,
    /// The noise that each adds, as a share of the median norm of the honest deltas, from 0 to 10. 0.25 by default. With more of it copies
    /// are harder to tell from sites that are alike, and say less.
    pub jitter: f64,
}

impl Lie {
    /// An attack by this share of the peers, with the default jitter. [`accuracy`](super::accuracy) checks it.
    #[must_use]
    pub const fn new(attack: Attack, fraction: f64) -> Self {
        Self { attack, fraction, jitter: 0.25 }
    }

    /// How many of so many peers lie.
    pub(super) fn liars(&self, peers: usize) -> Result<usize, AttackError> {
        let refuse = |field, problem| Err(AttackError::Setting { field, problem });
        if !(0.0..=0.5).contains(&self.fraction) {
            return refuse("fraction", "must be from 0 to 0.5");
        }
        if !(0.0..=10.0).contains(&self.jitter) {
            return refuse("jitter", "must be from 0 to 10");
        }
        Ok(libm::round(self.fraction * peers as f64) as usize)
    }
}

/// The liars of a run.
#[derive(Debug)]
pub(super) struct Liars {
    lie: Lie,
    senders: Vec<Sender>,
    rng: Rng,
    /// Those who flip labels learn as honest sites do.
    learners: Vec<Learner>,
    z: f64,
    direction: Direction,
}

impl Liars {
    pub(super) fn new(lie: Lie, count: usize, seed: u64) -> Result<Self, AttackError> {
        let organisations = ["first", "second"].map(Organisation::new);
        let sender = |at: usize| {
            let colludes = lie.attack == Attack::ColludingOrganisations;
            let organisation = colludes.then(|| organisations[at % organisations.len()]);
            Sender::with_low_id(1000 + at, KEYS, organisation)
        };
        Ok(Self {
            lie,
            senders: (0..count).map(sender).collect::<Result<_, _>>()?,
            rng: Rng::new(seed),
            learners: vec![Learner::default(); count],
            z: 1.0,
            direction: Direction::AgainstMean,
        })
    }

    /// Prepares a round, of which these are the models of the honest sites.
    pub(super) fn begin_round(&mut self, task: &Task, models: &[Vec<f64>]) {
        if self.lie.attack != Attack::LabelFlip {
            return;
        }
        let mut mean = vec![0.0; PARAMETERS];
        for model in models {
            for (sum, value) in mean.iter_mut().zip(model) {
                *sum += value / models.len() as f64;
            }
        }
        for learner in &mut self.learners {
            let mut records = task.any_records(&mut self.rng);
            for record in &mut records {
                record.label = CLASSES - 1 - record.label;
            }
            learner.learn(&mean, &records);
        }
    }

    /// Looks for the z that does most damage to a receiver with this rule.
    pub(super) fn tune(
        &mut self,
        view: &View<'_>,
        rule: &dyn Synthesizer,
        task: &Task,
    ) -> Result<(), AttackError> {
        if self.lie.attack != Attack::AlieOptimised {
            return Ok(());
        }
        let summary = Summary::of(&view.honest);
        let own: Vec<f32> = view.own.iter().map(|&value| value as f32).collect();
        let mut most = f64::NEG_INFINITY;
        for direction in [Direction::AgainstMean, Direction::Down] {
            for quarters in 1..=12_u8 {
                let z = f64::from(quarters) / 4.0;
                let vector = forge::alie(&summary, z, direction);
                let mut samples = view.samples.to_vec();
                samples.extend(self.send_all(&summary, slice::from_ref(&vector))?);
                let estimate = rule.synthesize(&Own::delta(&own), &as_set(samples)?)?.estimate;
                let moved = view.model.iter().zip(&estimate).map(|(weight, step)| weight - RATE * step);
                let loss = task.loss(&moved.collect::<Vec<_>>());
                if loss > most {
                    (most, self.z, self.direction) = (loss, z, direction);
                }
            }
        }
        Ok(())
    }

    /// What they send a receiver.
    pub(super) fn send(&mut self, view: &View<'_>) -> Result<Vec<Sample>, AttackError> {
        let summary = Summary::of(&view.honest);
        let vector = match self.lie.attack {
            Attack::SignFlip => forge::scaled_mean(&summary, -1.0),
            Attack::Scale => forge::scaled_mean(&summary, -10.0),
            Attack::Ipm => forge::scaled_mean(&summary, -0.5),
            Attack::Alie => {
                let z = forge::alie_z(view.honest.len(), self.senders.len());
                forge::alie(&summary, z, Direction::Down)
            }
            Attack::AlieOptimised => forge::alie(&summary, self.z, self.direction),
            Attack::Mimic => view.honest.first().map_or_else(Vec::new, |victim| victim.to_vec()),
            Attack::MinMax | Attack::ColludingOrganisations => forge::min_max(&summary, &view.honest),
            Attack::InflatedConfidence | Attack::InflatedPrecision => forge::full_size_flip(&summary),
            Attack::Echo => view.before.to_vec(),
            Attack::LabelFlip => {
                let vectors: Vec<_> = self.learners.iter().map(|learner| learner.delta.clone()).collect();
                return self.send_all(&summary, &vectors);
            }
        };
        self.send_all(&summary, slice::from_ref(&vector))
    }

    /// Sends these vectors in turn, each with noise of its own.
    fn send_all(&mut self, summary: &Summary, vectors: &[Vec<f64>]) -> Result<Vec<Sample>, AttackError> {
        let claims = claims(self.lie.attack);
        let pairs = self.senders.iter_mut().zip(vectors.iter().cycle());
        let samples = pairs.map(|(sender, vector)| {
            sender.send(&summary.noisy(vector, self.lie.jitter, &mut self.rng), claims)
        });
        samples.collect()
    }
}

fn claims(attack: Attack) -> Claims {
    match attack {
        Attack::InflatedConfidence => Claims { confidence: Confidence::FULL, support: Support::of(SUPPORT) },
        Attack::InflatedPrecision => Claims { confidence: Confidence::FULL, support: Support::of(u64::MAX) },
        _ => Claims {
            confidence: Confidence::from_f64(SURE).unwrap_or_default(),
            support: Support::of(SUPPORT),
        },
    }
}

/// Each author sends one packet a round.
pub(super) fn as_set(samples: Vec<Sample>) -> Result<Samples, AttackError> {
    Samples::new(samples).map_err(AttackError::packet)
}
