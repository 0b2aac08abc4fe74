//! Sites with records, and what they send.

use std::sync::Arc;

use qis_packet::AuthorId;
use qis_synth::evidence::{Evidence, EvidenceSummary, Family, Scaling, Schema};
use qis_synth::{Content, Sample};

use crate::random::Random;
use crate::runner::Stop;

const FEATURES: usize = 2;
const RECORDS: usize = 40;
/// Coefficients the records follow, the intercept first, which the Cox family has not.
const THETA: [f64; FEATURES + 1] = [0.3, 0.8, -0.5];
/// Bytes of a payload.
const BUDGET: usize = 400;

fn failed(error: impl std::fmt::Display) -> Stop {
    Stop::failed("the suite's own evidence", error)
}

/// A site whose records differ from those of another seed.
pub(super) fn site(family: Family, seed: u64) -> Result<Evidence, Stop> {
    let scaling = Scaling::Public { mean: vec![0.0; FEATURES], scale: vec![1.0; FEATURES] };
    let schema = Schema::new(family, ["a", "b"], scaling).map_err(failed)?;
    let mut random = Random::new(seed);
    // Three uniform numbers add up to about a normal one.
    let mut normal = || random.signed() + random.signed() + random.signed();
    let (mut x, mut y, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for record in 0..RECORDS {
        let row: [f64; FEATURES] = [normal(), normal()];
        let [intercept, slopes @ ..] = THETA;
        let score = intercept + row.iter().zip(slopes).map(|(x, theta)| x * theta).sum::<f64>();
        y.push(match family {
            Family::Logistic => f64::from(u8::from(normal() < score)),
            Family::Cox => 10.0 + score + 0.5 * normal(),
            _ => score + 0.5 * normal(),
        });
        x.extend(row);
        events.push(record % 3 != 0);
    }
    match family {
        Family::Logistic => Evidence::logistic(&schema, &x, &y),
        Family::Cox => Evidence::cox(&schema, &x, &y, &events),
        _ => Evidence::gaussian(&schema, &x, &y),
    }
    .map_err(failed)
}

/// What a site sends, as bytes.
pub(super) fn payload(evidence: &Evidence) -> Result<Vec<u8>, Stop> {
    evidence.summary().encode(BUDGET).map_err(failed)
}

/// What arrives of these bytes; none where they are no evidence.
pub(super) fn sample(author: u8, family: Family, bytes: &[u8]) -> Option<Sample> {
    let dims = FEATURES + usize::from(family.has_intercept());
    let summary = EvidenceSummary::decode(family, dims, bytes).ok()?;
    Some(Sample::new(AuthorId::from_bytes([author; 16]), Content::Evidence(Arc::new(summary))))
}
