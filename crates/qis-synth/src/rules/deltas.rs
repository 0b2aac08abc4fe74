//! What the rules for plain vectors share: own data, and the confidence-weighted mean.

use alloc::vec;
use alloc::vec::Vec;

use qis_codec::Decoded;

use crate::error::{ContentKind, Mismatch, SynthesisError};
use crate::samples::{Content, Own, OwnOutcome, Sample, Samples};
use crate::synthesis::{Abstention, Contribution, Exclusion, Standing, Synthesis};

const KIND: ContentKind = ContentKind::Delta;

/// The site's own delta, finite.
pub(super) fn own_delta(own: &Own<'_>) -> Result<Option<Vec<f64>>, SynthesisError> {
    match own.outcome {
        None => Ok(None),
        Some(OwnOutcome::Delta(delta)) => {
            finite(delta.iter().map(|&value| f64::from(value)).collect()).map(Some)
        }
        Some(OwnOutcome::Evidence(_)) => {
            Err(SynthesisError::Own(Mismatch::Kind { expected: KIND, found: ContentKind::Evidence }))
        }
    }
}

/// The site's earlier state, finite.
pub(super) fn own_state(own: &Own<'_>) -> Result<Option<Vec<f64>>, SynthesisError> {
    own.state.map(|state| finite(state.to_vec())).transpose()
}

fn finite(values: Vec<f64>) -> Result<Vec<f64>, SynthesisError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(values),
        Some(index) => Err(SynthesisError::Own(Mismatch::NotFinite { index })),
    }
}

/// The confidence-weighted mean of the samples, and what became of each.
#[derive(Debug)]
pub(super) struct Mean {
    pub(super) values: Vec<f64>,
    contributions: Vec<Contribution>,
    origins: usize,
}

impl Mean {
    /// The mean of one sample or more of `dims` dimensions, by default the first sample's.
    pub(super) fn of(samples: &Samples, dims: Option<usize>) -> Result<Self, SynthesisError> {
        let deltas = samples
            .iter()
            .map(|sample| Ok((sample, delta(sample)?)))
            .collect::<Result<Vec<_>, SynthesisError>>()?;
        let first = deltas.first().ok_or(SynthesisError::Nothing)?;
        let dims = dims.unwrap_or(first.1.dims());
        let total: f64 = samples.iter().map(|s| s.confidence.value()).sum();

        let mut values = vec![0.0; dims];
        let mut contributions = Vec::with_capacity(deltas.len());
        for (sample, delta) in &deltas {
            let confidence = sample.confidence.value();
            delta.add_scaled(confidence, &mut values).map_err(|_| {
                let found = delta.dims();
                refuse(sample, Mismatch::Dims { expected: dims, found })
            })?;
            if let Some(index) = values.iter().position(|value| !value.is_finite()) {
                return Err(refuse(sample, Mismatch::NotFinite { index }));
            }
            let standing = if confidence > 0.0 {
                Standing::Counted
            } else {
                Standing::Excluded(Exclusion::NoConfidence)
            };
            let weight = if total > 0.0 { confidence / total } else { 0.0 };
            contributions.push(Contribution::new(sample.author, weight, standing));
        }
        if total <= 0.0 {
            return Err(SynthesisError::ZeroConfidence);
        }
        for value in &mut values {
            *value /= total;
        }
        let origins = contributions.iter().filter(|c| c.weight > 0.0).count();
        Ok(Self { values, contributions, origins })
    }

    /// The synthesis `own_share * own + (1 - own_share) * mean`; `own` has the mean's dimension.
    pub(super) fn blend(self, own: &[f64], own_share: f64) -> Result<Synthesis, SynthesisError> {
        let Self { values, contributions, origins } = self;
        let pairs = own.iter().zip(&values);
        let estimate: Vec<f64> =
            pairs.map(|(own, mean)| own_share * own + (1.0 - own_share) * mean).collect();
        if !estimate.iter().all(|value| value.is_finite()) {
            return Err(SynthesisError::NotFinite);
        }
        Ok(Synthesis {
            contributions,
            origins,
            peer_weight: Some(1.0 - own_share),
            ..Synthesis::new(estimate)
        })
    }
}

/// The site's own estimate, for want of samples.
pub(super) fn alone(own: Option<Vec<f64>>) -> Result<Synthesis, SynthesisError> {
    let estimate = own.ok_or(SynthesisError::Nothing)?;
    Ok(Synthesis { abstained: Some(Abstention::NoPeers), ..Synthesis::new(estimate) })
}

fn delta(sample: &Sample) -> Result<&Decoded, SynthesisError> {
    match &sample.content {
        Content::Delta(delta) => Ok(delta),
        Content::Evidence(_) => {
            Err(refuse(sample, Mismatch::Kind { expected: KIND, found: ContentKind::Evidence }))
        }
    }
}

fn refuse(sample: &Sample, mismatch: Mismatch) -> SynthesisError {
    SynthesisError::Sample { author: sample.author, mismatch }
}
