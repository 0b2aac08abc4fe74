//! What the rules for plain vectors share: own data, abstention, and the confidence-weighted mean.

use alloc::vec;
use alloc::vec::Vec;

use qis_codec::Decoded;

use super::intake::{Intake, Screened, Taken, independent};
use super::vectors::all_finite;
use crate::error::{ContentKind, Mismatch, SynthesisError};
use crate::samples::{Own, OwnOutcome, Samples};
use crate::synthesis::{Abstention, Contribution, Exclusion, Standing, Synthesis};

/// The site's own delta, finite.
pub(super) fn own_delta(own: &Own<'_>) -> Result<Option<Vec<f64>>, SynthesisError> {
    match own.outcome {
        None => Ok(None),
        Some(OwnOutcome::Delta(delta)) => {
            finite(delta.iter().map(|&value| f64::from(value)).collect()).map(Some)
        }
        Some(OwnOutcome::Evidence(_)) => Err(SynthesisError::Own(Mismatch::Kind {
            expected: ContentKind::Delta,
            found: ContentKind::Evidence,
        })),
    }
}

/// The site's earlier state, finite.
pub(super) fn own_state(own: &Own<'_>) -> Result<Option<Vec<f64>>, SynthesisError> {
    own.state.map(|state| finite(state.to_vec())).transpose()
}

fn finite(values: Vec<f64>) -> Result<Vec<f64>, SynthesisError> {
    if all_finite(&values) {
        return Ok(values);
    }
    let index = values.iter().position(|value| !value.is_finite()).unwrap_or_default();
    Err(SynthesisError::Own(Mismatch::NotFinite { index }))
}

/// Why the samples that passed do not carry an estimate, if they do not.
pub(super) fn gate(intake: &Intake, screened: &Screened<'_>) -> Option<Abstention> {
    if screened.standings.is_empty() {
        return Some(Abstention::NoPeers);
    }
    let (found, needed) = (screened.origins(), intake.wanted().max(1));
    (found < needed).then_some(Abstention::TooFewOrigins { found, needed })
}

/// The site's own estimate, with every sample left out for `reason` or its own.
pub(super) fn alone(
    own: Option<Vec<f64>>,
    samples: &Samples,
    standings: &[Standing],
    reason: Abstention,
) -> Result<Synthesis, SynthesisError> {
    let estimate = own.ok_or(match reason {
        Abstention::TooFewOrigins { found, needed } => SynthesisError::TooFewOrigins { found, needed },
        Abstention::NoPeers | Abstention::Numerical => SynthesisError::Nothing,
    })?;
    let mut contributions = contributions(samples, standings);
    for contribution in &mut contributions {
        if !matches!(contribution.standing, Standing::Excluded(_)) {
            contribution.standing = Standing::Excluded(Exclusion::Abstained);
        }
    }
    Ok(Synthesis { contributions, abstained: Some(reason), ..Synthesis::new(estimate) })
}

/// How each sample stands, none with any weight yet.
pub(super) fn contributions(samples: &Samples, standings: &[Standing]) -> Vec<Contribution> {
    let pairs = samples.iter().zip(standings);
    pairs.map(|(sample, &standing)| Contribution::new(sample.author, 0.0, standing)).collect()
}

/// A blend of a site's own vector and the mean of the samples, weighted by confidence and freshness.
///
/// `own_share * own + (1 - own_share) * mean`, where without own vector the mean stands alone or, `from_zero`, beside zero.
pub(super) struct Blend {
    pub(super) own: Option<Vec<f64>>,
    pub(super) own_share: f64,
    pub(super) from_zero: bool,
}

impl Blend {
    pub(super) fn with_mean(
        self,
        intake: &Intake,
        own: &Own<'_>,
        samples: &Samples,
    ) -> Result<Synthesis, SynthesisError> {
        let screened = intake.screen(own, self.own.as_ref().map(Vec::len), samples);
        let no_confidence = Standing::Excluded(Exclusion::NoConfidence);
        if !samples.is_empty() && screened.standings.iter().all(|&standing| standing == no_confidence) {
            return Err(SynthesisError::ZeroConfidence);
        }
        if let Some(reason) = gate(intake, &screened) {
            return alone(self.own, samples, &screened.standings, reason);
        }
        let own_share = if self.own.is_some() || self.from_zero { self.own_share } else { 0.0 };
        let mut estimate = self.own.unwrap_or_else(|| vec![0.0; screened.dims]);
        for value in &mut estimate {
            *value *= own_share;
        }
        let weight = |vote: &Taken<'_>| vote.sample.confidence.value() * vote.freshness;
        let mut shares: Vec<f64> = screened.taken.iter().map(weight).collect();
        let total: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= total);
        let pairs = screened.taken.iter().zip(&shares);
        let terms: Vec<_> = pairs.map(|(vote, share)| ((1.0 - own_share) * share, vote.delta)).collect();
        // The screen has compared the dimensions.
        let added = Decoded::add_all_scaled(&terms, &mut estimate);
        debug_assert!(added.is_ok());
        let mut contributions = contributions(samples, &screened.standings);
        for (vote, share) in screened.taken.iter().zip(shares) {
            contributions[vote.index].weight = share;
        }
        if !all_finite(&estimate) {
            return Err(SynthesisError::NotFinite);
        }
        Ok(Synthesis {
            contributions,
            origins: independent(screened.taken.iter().map(|vote| vote.sample)),
            peer_weight: Some(1.0 - own_share),
            ..Synthesis::new(estimate)
        })
    }
}
