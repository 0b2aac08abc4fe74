use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use qis_codec::Decoded;

use super::vectors::{median, norm};
use crate::samples::{Content, Own, Sample, Samples};
use crate::synthesis::{Exclusion, Standing};

/// Below this share of its vote a sample is [stale](Exclusion::Stale): ten half-lives.
const STALE: f64 = 1.0 / 1024.0;

/// What a rule for plain vectors takes in: checks that every sample passes one after the other, how votes age, and how many
/// independent origins an estimate needs.
///
/// The checks are, in this order: kind and dimension ([`Exclusion::Domain`]), confidence ([`Exclusion::NoConfidence`]), age
/// ([`Exclusion::Stale`]), similarity ([`Exclusion::Dissimilar`]), range ([`Exclusion::Range`]), size beside the others
/// ([`Exclusion::Outlier`]). A sample that fails one is left out, named in its
/// [`Contribution`](crate::Contribution) and counted by [`Synthesis::excluded`](crate::Synthesis::excluded); the others go on.
///
/// By default only the first two and the finiteness of the elements are checked, nothing ages, and one origin is enough.
///
/// ```
/// use core::time::Duration;
/// use qis_synth::rules::{Intake, Median};
///
/// let intake = Intake::DEFAULT.half_life(Duration::from_secs(7 * 86_400)).min_similarity(0.2).min_origins(3);
/// let rule = Median::default().with_intake(intake);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intake {
    half_life: Option<Duration>,
    min_similarity: f32,
    max_abs: f64,
    max_norm: f64,
    min_origins: usize,
}

impl Intake {
    /// Checks no more than that samples are vectors of the domain, finite, and not without all confidence.
    pub const DEFAULT: Self = Self {
        half_life: None,
        min_similarity: f32::NEG_INFINITY,
        max_abs: f64::MAX,
        max_norm: f64::INFINITY,
        min_origins: 1,
    };

    /// Halves a sample's weight each time it has become older by this, at least a second. Age is the time from
    /// [`Sample::time`], which is its author's word, to [`Own::now`], which is the host's; where either is missing the sample counts as
    /// new, and so it does if its time is to come. Nothing ages by default.
    #[must_use]
    pub const fn half_life(self, half_life: Duration) -> Self {
        Self { half_life: Some(half_life), ..self }
    }

    /// Leaves out samples whose [similarity](Sample::similarity) is below this, from -1 to 1, or not a number. All are taken by default.
    #[must_use]
    pub const fn min_similarity(self, similarity: f32) -> Self {
        Self { min_similarity: similarity, ..self }
    }

    /// Leaves out samples with an element whose size is above this. By default it need only be finite.
    #[must_use]
    pub const fn max_abs(self, value: f64) -> Self {
        Self { max_abs: value, ..self }
    }

    /// Leaves out samples whose Euclidean norm is more than so many times the median norm of those that passed the other checks.
    /// Any norm is taken by default.
    #[must_use]
    pub const fn max_norm(self, medians: f64) -> Self {
        Self { max_norm: medians, ..self }
    }

    /// Abstains when fewer independent origins than this passed the checks: authors, of which those of one
    /// [organisation](Sample::organisation) are one. 1 by default.
    #[must_use]
    pub const fn min_origins(self, origins: usize) -> Self {
        Self { min_origins: origins, ..self }
    }

    /// How many independent origins are wanted.
    pub(super) const fn wanted(&self) -> usize {
        self.min_origins
    }

    /// Sorts the samples into those that pass and those that do not. Vectors have `dims` dimensions; without that, as many as most
    /// samples have, and the fewer of two that are as common.
    pub(super) fn screen<'a>(
        &self,
        own: &Own<'_>,
        dims: Option<usize>,
        samples: &'a Samples,
    ) -> Screened<'a> {
        let dims = dims.unwrap_or_else(|| commonest_dims(samples));
        let mut taken = Vec::with_capacity(samples.len());
        let mut standings = Vec::with_capacity(samples.len());
        for (index, sample) in samples.iter().enumerate() {
            standings.push(match self.check(own, dims, sample) {
                Ok((delta, freshness)) => {
                    taken.push(Taken { index, sample, delta, freshness });
                    if freshness < 1.0 {
                        Standing::Discounted { trust: freshness }
                    } else {
                        Standing::Counted
                    }
                }
                Err(reason) => Standing::Excluded(reason),
            });
        }
        let mut screened = Screened { dims, taken, standings };
        if self.max_norm < f64::INFINITY {
            let norms: Vec<f64> = screened.taken.iter().map(|vote| norm(&vote.delta.to_vec())).collect();
            let most = self.max_norm * median(&norms);
            screened.retain(|at| if norms[at] <= most { Ok(()) } else { Err(Exclusion::Outlier) });
        }
        screened
    }

    fn check<'a>(
        &self,
        own: &Own<'_>,
        dims: usize,
        sample: &'a Sample,
    ) -> Result<(&'a Decoded, f64), Exclusion> {
        let Content::Delta(delta) = &sample.content else { return Err(Exclusion::Domain) };
        let freshness = self.freshness(own, sample);
        if delta.dims() != dims {
            return Err(Exclusion::Domain);
        }
        if sample.confidence.byte() == 0 {
            return Err(Exclusion::NoConfidence);
        }
        if freshness < STALE {
            return Err(Exclusion::Stale);
        }
        let similar = sample.similarity >= self.min_similarity || self.min_similarity == f32::NEG_INFINITY;
        if !similar {
            return Err(Exclusion::Dissimilar);
        }
        // What the codec decodes is finite.
        if self.max_abs < f64::MAX && !delta.to_vec().iter().all(|value| value.abs() <= self.max_abs) {
            return Err(Exclusion::Range);
        }
        Ok((delta, freshness))
    }

    fn freshness(&self, own: &Own<'_>, sample: &Sample) -> f64 {
        let (Some(half_life), Some(now), Some(time)) = (self.half_life, own.now, sample.time) else {
            return 1.0;
        };
        let age = now.seconds_since(time) as f64;
        libm::exp2(-age / half_life.as_secs_f64().max(1.0))
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A sample that passed.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    /// Its place among all samples.
    pub(super) index: usize,
    pub(super) sample: &'a Sample,
    pub(super) delta: &'a Decoded,
    /// What age left of its weight, above 0 and up to 1.
    pub(super) freshness: f64,
}

/// The samples that passed, and how all of them stand.
#[derive(Debug)]
pub(super) struct Screened<'a> {
    pub(super) dims: usize,
    pub(super) taken: Vec<Taken<'a>>,
    /// One for each sample, in their order.
    pub(super) standings: Vec<Standing>,
}

impl Screened<'_> {
    /// Leaves out those of the taken samples, by their place among them, that are given a reason to.
    pub(super) fn retain(&mut self, keep: impl Fn(usize) -> Result<(), Exclusion>) {
        let mut at = 0;
        let standings = &mut self.standings;
        self.taken.retain(|vote| {
            let kept = keep(at);
            at += 1;
            if let Err(reason) = kept {
                standings[vote.index] = Standing::Excluded(reason);
            }
            kept.is_ok()
        });
    }

    /// How many independent origins the taken samples have.
    pub(super) fn origins(&self) -> usize {
        independent(self.taken.iter().map(|vote| vote.sample))
    }
}

/// How many origins these samples have, those of one organisation counted as one.
pub(super) fn independent<'a>(samples: impl Iterator<Item = &'a Sample>) -> usize {
    let mut organisations = BTreeSet::new();
    let mut alone = 0;
    for sample in samples {
        match sample.organisation {
            Some(organisation) => {
                organisations.insert(organisation);
            }
            None => alone += 1,
        }
    }
    alone + organisations.len()
}

fn commonest_dims(samples: &Samples) -> usize {
    let mut counts = BTreeMap::<usize, usize>::new();
    for sample in samples {
        if let Content::Delta(delta) = &sample.content {
            *counts.entry(delta.dims()).or_default() += 1;
        }
    }
    // The last of equals is taken, so run from the largest dimension down.
    counts.into_iter().rev().max_by_key(|&(_, count)| count).map_or(0, |(dims, _)| dims)
}
