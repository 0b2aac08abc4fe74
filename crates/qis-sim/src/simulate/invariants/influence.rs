//! Who counts in a synthesis, and how much.

use std::collections::BTreeSet;

use qis::synth::Synthesis;
use qis::{AuthorId, OutcomePacket};

use super::{Violation, holds};

const WHO: &str = "only observations of others count";
const WEIGHT: &str = "nobody counts for more than two";
const SIZE: &str = "nobody moves an estimate beyond what the others say";
/// With fewer votes there is no crowd to hold a vote against.
const CROWD: usize = 8;
/// A mean taken coordinate by coordinate may be longer than the vectors it is of by this, the root of six.
const LONGER: f64 = 2.5;

/// Looks at a synthesis of a site which has these author ids and emitted this vector last, beside what stands there.
pub(in crate::simulate) fn check(
    site: usize,
    own: &[AuthorId],
    vector: &[f32],
    standing: &[OutcomePacket],
    synthesis: &Synthesis,
    robust: bool,
) -> Result<(), Violation> {
    let observed: Vec<&OutcomePacket> = standing
        .iter()
        .filter(|packet| packet.lineage().is_none() && !own.contains(&packet.author()))
        .collect();
    let authors: BTreeSet<AuthorId> = synthesis.contributions.iter().map(|one| one.author).collect();
    holds(WHO, authors.len() == synthesis.contributions.len() && authors.len() <= observed.len(), || {
        format!(
            "at site {site} {} count, {} of others are observed",
            synthesis.contributions.len(),
            observed.len()
        )
    })?;
    let finite = synthesis.estimate.iter().all(|value| value.is_finite());
    holds(SIZE, finite, || format!("the estimate of site {site} is not finite"))?;
    let weights: Vec<f64> =
        synthesis.contributions.iter().map(|one| one.weight).filter(|weight| *weight > 0.0).collect();
    if !robust || weights.len() < CROWD {
        return Ok(());
    }
    let heaviest = weights.iter().copied().fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "there are at most thousands of votes")]
    let most = 2.0 / weights.len() as f64;
    holds(WEIGHT, heaviest <= most + 1e-9, || {
        format!("at site {site} one of {} votes has {heaviest:.3}", weights.len())
    })?;
    let mut norms: Vec<f64> =
        observed.iter().filter_map(|packet| Some(norm(&packet.delta()?.ok()?.to_vec()))).collect();
    norms.sort_by(f64::total_cmp);
    let median = norms.get(norms.len() / 2).copied().unwrap_or_default();
    let own: Vec<f64> = vector.iter().map(|value| f64::from(*value)).collect();
    let (length, most) = (norm(&synthesis.estimate), LONGER * median.max(norm(&own)));
    holds(SIZE, length <= most, || {
        format!("the estimate of site {site} is {length:.3} long, its peers' vectors about {median:.3}")
    })
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum::<f64>().sqrt()
}
