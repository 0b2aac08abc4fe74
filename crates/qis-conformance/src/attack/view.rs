//! What liars see.

use qis_sim::Rng;
use qis_synth::Sample;

/// What liars know of one receiver in one round.
#[derive(Debug)]
pub(super) struct View<'a> {
    /// What its honest peers send it.
    pub(super) samples: &'a [Sample],
    /// The vectors in that.
    pub(super) honest: Vec<&'a [f64]>,
    /// Its own delta, and that of a round ago.
    pub(super) own: &'a [f64],
    pub(super) before: &'a [f64],
    /// Its model before this round.
    pub(super) model: &'a [f64],
}

/// Mean, deviation and size of the honest vectors.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) mean: Vec<f64>,
    /// The standard deviation of each coordinate.
    pub(super) deviation: Vec<f64>,
    /// The median norm.
    pub(super) size: f64,
}

impl Summary {
    pub(super) fn of(honest: &[&[f64]]) -> Self {
        let dims = honest.first().map_or(0, |vector| vector.len());
        let share = 1.0 / honest.len().max(1) as f64;
        let mut mean = vec![0.0; dims];
        let mut deviation = vec![0.0; dims];
        for vector in honest {
            for (sum, value) in mean.iter_mut().zip(*vector) {
                *sum += share * value;
            }
        }
        for vector in honest {
            for ((sum, value), mean) in deviation.iter_mut().zip(*vector).zip(&mean) {
                *sum += share * (value - mean) * (value - mean);
            }
        }
        for value in &mut deviation {
            *value = libm::sqrt(*value);
        }
        let mut norms: Vec<f64> = honest.iter().map(|vector| norm(vector)).collect();
        norms.sort_unstable_by(f64::total_cmp);
        let size = norms.get(norms.len() / 2).copied().unwrap_or_default();
        Self { mean, deviation, size }
    }

    /// The vector with noise of `share` of the size, in a random direction.
    pub(super) fn noisy(&self, vector: &[f64], share: f64, rng: &mut Rng) -> Vec<f64> {
        let spread = share * self.size / libm::sqrt(vector.len().max(1) as f64);
        vector.iter().map(|value| value + spread * rng.gauss()).collect()
    }
}

/// The Euclidean norm.
pub(super) fn norm(vector: &[f64]) -> f64 {
    libm::sqrt(vector.iter().map(|value| value * value).sum())
}

/// The Euclidean distance.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    libm::sqrt(a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum())
}
