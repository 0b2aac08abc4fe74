//! The vectors that liars send, before each adds its noise.

use std::f64::consts::SQRT_2;

use super::view::{Summary, distance, norm};

/// Which way a little is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// All coordinates are lowered.
    Down,
    /// Each coordinate goes towards zero and beyond.
    AgainstMean,
}

pub(super) fn scaled_mean(summary: &Summary, factor: f64) -> Vec<f64> {
    summary.mean.iter().map(|mean| factor * mean).collect()
}

/// The negated mean at the size of an honest vector.
pub(super) fn full_size_flip(summary: &Summary) -> Vec<f64> {
    scaled_mean(summary, -summary.size / norm(&summary.mean).max(f64::MIN_POSITIVE))
}

pub(super) fn alie(summary: &Summary, z: f64, direction: Direction) -> Vec<f64> {
    let pairs = summary.mean.iter().zip(&summary.deviation);
    let sign = |mean: f64| match direction {
        Direction::Down => 1.0,
        Direction::AgainstMean => mean.signum(),
    };
    pairs.map(|(mean, deviation)| mean - z * deviation * sign(*mean)).collect()
}

/// The z of the article: honest votes beyond it suffice, with the liars, for a majority. At least 1, which it is below while liars are few.
pub(super) fn alie_z(honest: usize, liars: usize) -> f64 {
    let all = honest + liars;
    let supporters = (all / 2 + 1).saturating_sub(liars);
    let share = honest.saturating_sub(supporters) as f64 / honest.max(1) as f64;
    normal_quantile(share.clamp(0.5, 0.999)).max(1.0)
}

/// Against the mean, as far as the largest distance between honest vectors allows.
pub(super) fn min_max(summary: &Summary, honest: &[&[f64]]) -> Vec<f64> {
    let pairs = honest.iter().enumerate().flat_map(|(at, a)| honest.iter().skip(at + 1).map(move |b| (a, b)));
    let most = pairs.map(|(a, b)| distance(a, b)).fold(0.0, f64::max);
    let length = norm(&summary.mean).max(f64::MIN_POSITIVE);
    let at = |step: f64| scaled_mean(summary, 1.0 - step / length);
    let (mut low, mut high) = (0.0, 10.0 * most);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        let vector = at(middle);
        let farthest = honest.iter().map(|honest| distance(honest, &vector)).fold(0.0, f64::max);
        if farthest <= most { low = middle } else { high = middle }
    }
    at(low)
}

/// By bisection.
fn normal_quantile(probability: f64) -> f64 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        let below = 0.5 * (1.0 + libm::erf(middle / SQRT_2));
        if below < probability { low = middle } else { high = middle }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_normal_quantiles_are_those_of_the_tables() {
        assert!((normal_quantile(0.975) - 1.959_964).abs() < 1e-5);
        assert!(normal_quantile(0.5).abs() < 1e-9);
        // 24 of 50 lie: two honest votes make a majority, so 24 of 26 are within z.
        assert!((alie_z(26, 24) - normal_quantile(24.0 / 26.0)).abs() < 1e-12);
        assert_eq!(alie_z(18, 2), 1.0);
    }

    #[test]
    fn min_max_stays_within_what_honest_votes_differ_by() {
        let (a, b, c) = ([2.0, 0.0], [2.0, 2.0], [3.0, 1.0]);
        let honest: [&[f64]; 3] = [&a, &b, &c];
        let summary = Summary::of(&honest);
        let vector = min_max(&summary, &honest);
        let farthest = honest.iter().map(|honest| distance(honest, &vector)).fold(0.0, f64::max);
        assert!((farthest - 2.0).abs() < 1e-4, "{vector:?}");
        assert!(vector[0] < summary.mean[0]);
    }
}
