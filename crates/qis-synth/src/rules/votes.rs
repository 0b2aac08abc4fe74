//! What the robust rules share: one vector a vote, and from what a rule makes of them to a synthesis.

use alloc::vec::Vec;

use qis_packet::planted;

use super::deltas;
use super::intake::{Intake, Screened, Taken, independent};
use super::vectors::all_finite;
use crate::error::SynthesisError;
use crate::samples::{Own, Sample, Samples};
use crate::synthesis::{Contribution, Exclusion, Standing, Synthesis};

/// The share of the site's own delta in an estimate, unless a rule is told another.
pub(super) const OWN_SHARE: f64 = 0.2;

/// What every robust rule has: what it takes in, and how much of the estimate is the site's own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Settings {
    pub(super) intake: Intake,
    pub(super) own_share: f64,
}

impl Settings {
    pub(super) const DEFAULT: Self = Self { intake: Intake::DEFAULT, own_share: OWN_SHARE };
}

/// The methods of a rule that has [`Settings`] in its field `settings`.
macro_rules! settings {
    ($rule:ty) => {
        impl $rule {
            /// Takes in what this lets pass.
            #[must_use]
            pub const fn with_intake(mut self, intake: $crate::rules::Intake) -> Self {
                self.settings.intake = intake;
                self
            }

            /// Gives the site's own delta the share `share` of the estimate, from 0 to 1; 0.2 by default. A site that observed
            /// nothing takes what its peers say alone.
            ///
            /// # Errors
            ///
            /// [`ShareError`](super::ShareError) when it is outside that range or not a number.
            pub fn with_own_share(mut self, share: f64) -> Result<Self, $crate::rules::ShareError> {
                self.settings.own_share = $crate::rules::share("own_share", share)?;
                Ok(self)
            }
        }
    };
}
pub(super) use settings;

/// The samples that passed, each with its vector and weight.
#[derive(Debug)]
pub(super) struct Votes<'a> {
    screened: Screened<'a>,
    pub(super) vectors: Vec<Vec<f64>>,
    /// Above 0 and up to 1.
    pub(super) weights: Vec<f64>,
}

impl<'a> Votes<'a> {
    fn of(screened: Screened<'a>) -> Self {
        let vectors = screened.taken.iter().map(|vote| vote.delta.to_vec()).collect();
        let weight = |vote: &Taken<'_>| {
            let claimed = if planted!(ClaimsTrusted) { vote.sample.support.records() } else { None };
            vote.freshness * claimed.unwrap_or(1.0)
        };
        let weights = screened.taken.iter().map(weight).collect();
        Self { screened, vectors, weights }
    }

    pub(super) fn len(&self) -> usize {
        self.vectors.len()
    }

    pub(super) fn dims(&self) -> usize {
        self.screened.dims
    }

    pub(super) fn sample(&self, at: usize) -> &'a Sample {
        self.screened.taken[at].sample
    }

    /// Leaves out those that are given a reason to.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> Result<(), Exclusion>) {
        self.screened.retain(&keep);
        let mut at = 0;
        self.weights.retain(|_| (keep(at).is_ok(), at += 1).0);
        at = 0;
        self.vectors.retain(|_| (keep(at).is_ok(), at += 1).0);
    }

    /// Says that a vote counts in part only: `trust` of what it counted before.
    pub(super) fn discount(&mut self, at: usize, trust: f64) {
        let standing = &mut self.screened.standings[self.screened.taken[at].index];
        let before = match *standing {
            Standing::Discounted { trust } => trust,
            Standing::Counted | Standing::Excluded(_) => 1.0,
        };
        if trust < 1.0 {
            *standing = Standing::Discounted { trust: before * trust };
        }
    }
}

/// What a rule made of the votes.
#[derive(Debug)]
pub(super) struct Combined {
    pub(super) values: Vec<f64>,
    /// The part of each vote in the values; what is missing from 1 is the site's own.
    pub(super) shares: Vec<f64>,
    /// The share of the site's own delta beside the values, where the rule has it otherwise than its settings.
    pub(super) own_share: Option<f64>,
}

/// Screens the samples, lets a rule combine one vote or more, and puts the site's own delta beside what it made of them.
pub(super) fn run(
    settings: &Settings,
    own: &Own<'_>,
    samples: &Samples,
    combine: impl FnOnce(&mut Votes<'_>, Option<&[f64]>) -> Combined,
) -> Result<Synthesis, SynthesisError> {
    let Settings { intake, own_share } = settings;
    let delta = deltas::own_delta(own)?;
    let screened = intake.screen(own, delta.as_ref().map(Vec::len), samples);
    if let Some(reason) = deltas::gate(intake, &screened) {
        return deltas::alone(delta, samples, &screened.standings, reason);
    }
    let mut votes = Votes::of(screened);
    let Combined { mut values, shares, own_share: otherwise } = combine(&mut votes, delta.as_deref());
    let total: f64 = shares.iter().sum();
    let mut peer_weight = total;
    if let Some(delta) = delta {
        let share = otherwise.unwrap_or(*own_share);
        for (value, own) in values.iter_mut().zip(delta) {
            *value = share * own + (1.0 - share) * *value;
        }
        peer_weight *= 1.0 - share;
    }
    if !all_finite(&values) {
        return Err(SynthesisError::NotFinite);
    }
    let mut contributions = deltas::contributions(samples, &votes.screened.standings);
    let mut counted = Vec::new();
    for (vote, share) in votes.screened.taken.iter().zip(&shares) {
        let contribution: &mut Contribution = &mut contributions[vote.index];
        if *share > 0.0 {
            contribution.weight = share / total;
            counted.push(vote.sample);
        } else {
            contribution.standing = Standing::Excluded(Exclusion::NotChosen);
        }
    }
    Ok(Synthesis {
        contributions,
        origins: independent(counted.into_iter()),
        peer_weight: Some(peer_weight.min(1.0)),
        ..Synthesis::new(values)
    })
}
