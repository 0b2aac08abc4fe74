//! Deterministic sites for the tests.

use alloc::sync::Arc;
use alloc::vec::Vec;

use qis_packet::{AuthorId, Confidence};

use crate::evidence::{Evidence, EvidenceSummary, Family, Scaling, Schema};
use crate::samples::{Content, Sample};

/// A splitmix64 generator.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(core::f64::consts::TAU * self.uniform())
    }
}

/// A schema whose features are taken as they are.
pub(crate) fn schema(family: Family, features: usize) -> Schema {
    let scaling = Scaling::Public { mean: alloc::vec![0.0; features], scale: alloc::vec![1.0; features] };
    let names = (0..features).map(|i| alloc::format!("f{i}"));
    Schema::new(family, names, scaling).unwrap()
}

/// A site whose records follow the model at `theta`, with noise of variance 0.5 if Gaussian, and
/// with an event in two records of three if Cox.
pub(crate) fn site(random: &mut Random, family: Family, theta: &[f64], records: usize) -> Evidence {
    let (intercept, slopes) = theta.split_at(usize::from(family.has_intercept()));
    let features = slopes.len();
    let mut x = Vec::new();
    let mut y = Vec::new();
    let mut events = Vec::new();
    for _ in 0..records {
        let row: Vec<f64> = (0..features).map(|_| random.normal()).collect();
        let slopes = row.iter().zip(slopes).map(|(x, t)| x * t);
        let score = intercept.iter().sum::<f64>() + slopes.sum::<f64>();
        y.push(match family {
            Family::Gaussian => score + libm::sqrt(0.5) * random.normal(),
            Family::Logistic => {
                let hit = random.uniform() < 1.0 / (1.0 + libm::exp(-score));
                f64::from(u8::from(hit))
            }
            Family::Cox => {
                events.push(random.uniform() < 0.67);
                -libm::log(1.0 - random.uniform()) * libm::exp(-score)
            }
        });
        x.extend(row);
    }
    let schema = schema(family, features);
    match family {
        Family::Gaussian => Evidence::gaussian(&schema, &x, &y).unwrap(),
        Family::Logistic => Evidence::logistic(&schema, &x, &y).unwrap(),
        Family::Cox => Evidence::cox(&schema, &x, &y, &events).unwrap(),
    }
}

/// What a site sent, as it is received.
pub(crate) fn received(author: u8, evidence: &Evidence) -> Sample {
    let payload = evidence.summary().encode(usize::MAX).unwrap();
    let summary = EvidenceSummary::decode(evidence.family(), evidence.dims(), &payload).unwrap();
    sample(author, 0.5, Content::Evidence(Arc::new(summary)))
}

pub(crate) fn sample(author: u8, confidence: f64, content: Content) -> Sample {
    let confidence = Confidence::from_f64(confidence).unwrap();
    Sample { confidence, ..Sample::new(AuthorId::from_bytes([author; 16]), content) }
}

/// A plain vector, as it is received.
pub(crate) fn delta(author: u8, confidence: f64, values: &[f32]) -> Sample {
    let encoded = qis_codec::encode(values, 512, 0).unwrap();
    let decoded = qis_codec::decode(encoded.mode(), values.len(), encoded.bytes(), 0).unwrap();
    sample(author, confidence, Content::Delta(Arc::new(decoded)))
}
