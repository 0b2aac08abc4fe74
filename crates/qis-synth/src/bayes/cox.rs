//! Proportional hazards: how long until an event, where some are not seen to have one.

use alloc::vec;
use alloc::vec::Vec;

use super::laplace::LogLikelihood;
use crate::lanes::{self, Symmetric};

/// A score this far below the highest has no share in a risk set; keeps the sums above zero.
const SCORE_RANGE: f64 = 700.0;

/// Records of times and events, the longest time first.
///
/// The partial likelihood (Cox, 1972) compares whoever has an event with all who were at risk then.
/// Events at the same time share one risk set, as if each had come first (Breslow, 1974). A record
/// without an event is at risk up to its time, and at that time.
#[derive(Debug, Clone)]
pub(crate) struct CoxRecords {
    rows: Vec<f64>,
    dims: usize,
    /// Runs of records of the same time.
    times: Vec<Vec<bool>>,
}

impl CoxRecords {
    /// Records of finite times, with `dims` values of `rows` each.
    pub(crate) fn new(rows: &[f64], times: &[f64], events: &[bool], dims: usize) -> Self {
        let mut order: Vec<usize> = (0..times.len()).collect();
        // Stable, so that records of one time are added in the order they were given.
        order.sort_by(|&a, &b| times[b].total_cmp(&times[a]));
        let mut sorted = Self { rows: Vec::with_capacity(rows.len()), dims, times: Vec::new() };
        let mut last = None;
        for at in order {
            sorted.rows.extend_from_slice(&rows[at * dims..][..dims]);
            match sorted.times.last_mut() {
                Some(run) if last == Some(times[at]) => run.push(events[at]),
                _ => sorted.times.push(vec![events[at]]),
            }
            last = Some(times[at]);
        }
        sorted
    }

    /// The score of each record less the highest, which cancels in every ratio.
    fn scores<const W: usize>(&self, theta: &[[f64; W]]) -> Vec<[f64; W]> {
        let mut highest = [f64::NEG_INFINITY; W];
        let score = |row: &[f64]| {
            let mut score = [0.0; W];
            for (x, theta) in row.iter().zip(theta) {
                lanes::add_product(&mut score, &[*x; W], theta);
            }
            for (highest, score) in highest.iter_mut().zip(score) {
                *highest = highest.max(score);
            }
            score
        };
        let mut scores: Vec<[f64; W]> = self.rows.chunks_exact(self.dims).map(score).collect();
        for score in &mut scores {
            *score = core::array::from_fn(|k| (score[k] - highest[k]).max(-SCORE_RANGE));
        }
        scores
    }
}

impl LogLikelihood for CoxRecords {
    fn add_derivatives<const W: usize>(
        &self,
        theta: &[[f64; W]],
        gradient: &mut [[f64; W]],
        precision: &mut Symmetric<W>,
    ) {
        let scores = self.scores(theta);
        let mut records = self.rows.chunks_exact(self.dims).zip(&scores);
        // Of those at risk: the sum of hazards, and the features' first and second moments.
        let mut hazard = [0.0; W];
        let mut first = vec![[0.0; W]; self.dims];
        let mut second = Symmetric::zeros(self.dims);
        for run in &self.times {
            let mut events = 0.0;
            for (event, (row, score)) in run.iter().zip(records.by_ref()) {
                let relative = score.map(libm::exp);
                lanes::add(&mut hazard, relative);
                lanes::add_multiples(&mut first, [relative], [row]);
                second.add_outer([relative], [row]);
                if *event {
                    events += 1.0;
                    lanes::add_multiples(gradient, [[1.0; W]], [row]);
                }
            }
            if events > 0.0 {
                let share = hazard.map(|h| 1.0 / h);
                let mean: Vec<[f64; W]> = first.iter().map(|sum| lanes::multiply(*sum, share)).collect();
                lanes::add_scaled(gradient, [-events; W], &mean);
                precision.add_scaled(share.map(|s| events * s), &second);
                precision.add_square([-events; W], &mean);
            }
        }
    }

    fn log_likelihood<const W: usize>(&self, theta: &[[f64; W]]) -> [f64; W] {
        let scores = self.scores(theta);
        let mut records = scores.iter();
        let mut hazard = [0.0; W];
        let mut sum = [0.0; W];
        for run in &self.times {
            let mut events = 0.0;
            for (event, score) in run.iter().zip(records.by_ref()) {
                lanes::add(&mut hazard, score.map(libm::exp));
                if *event {
                    events += 1.0;
                    lanes::add(&mut sum, *score);
                }
            }
            if events > 0.0 {
                lanes::add(&mut sum, hazard.map(|h| -events * libm::log(h)));
            }
        }
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    fn derivatives(records: &CoxRecords, theta: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let at: Vec<[f64; 1]> = theta.iter().map(|&t| [t]).collect();
        let mut gradient = vec![[0.0]; theta.len()];
        let mut precision = Symmetric::zeros(theta.len());
        records.add_derivatives(&at, &mut gradient, &mut precision);
        (gradient.into_iter().map(|[g]| g).collect(), precision.lane(0).as_slice().to_vec())
    }

    fn likelihood(records: &CoxRecords, theta: &[f64]) -> f64 {
        let at: Vec<[f64; 1]> = theta.iter().map(|&t| [t]).collect();
        records.log_likelihood(&at)[0]
    }

    #[test]
    fn a_small_partial_likelihood_by_hand() {
        // Times 3 (no event), 2 and 2 (both events), 1 (event), with x = 0, 1, 2, 1.
        let records =
            CoxRecords::new(&[1.0, 0.0, 1.0, 2.0], &[1.0, 3.0, 2.0, 2.0], &[true, false, true, true], 1);
        let theta = 0.4_f64;
        let w = |x: f64| libm::exp(x * theta);
        let two = w(0.0) + w(1.0) + w(2.0);
        let all = two + w(1.0);
        let expected = (1.0 + 2.0 + 1.0) * theta - 2.0 * libm::log(two) - libm::log(all);
        assert!((likelihood(&records, &[theta]) - expected).abs() < 1e-12);

        let mean_two = (w(1.0) + 2.0 * w(2.0)) / two;
        let mean_all = (2.0 * w(1.0) + 2.0 * w(2.0)) / all;
        let (gradient, precision) = derivatives(&records, &[theta]);
        assert!((gradient[0] - (4.0 - 2.0 * mean_two - mean_all)).abs() < 1e-12);
        let spread_two = (w(1.0) + 4.0 * w(2.0)) / two - mean_two * mean_two;
        let spread_all = (2.0 * w(1.0) + 4.0 * w(2.0)) / all - mean_all * mean_all;
        assert!((precision[0] - (2.0 * spread_two + spread_all)).abs() < 1e-12);
    }

    #[test]
    fn derivatives_are_those_of_the_likelihood() {
        let mut random = Random(3);
        let rows: Vec<f64> = (0..60).map(|_| random.normal()).collect();
        // Ten times for twenty records: half of them are shared.
        let times: Vec<f64> = (0..20).map(|i| f64::from(i % 10)).collect();
        let events: Vec<bool> = (0..20).map(|i| i % 3 > 0).collect();
        let records = CoxRecords::new(&rows, &times, &events, 3);
        let theta = [0.5, -0.3, 0.1];
        let (gradient, precision) = derivatives(&records, &theta);
        for k in 0..3 {
            let at = |step: f64| {
                let mut moved = theta;
                moved[k] += step;
                moved
            };
            let slope = (likelihood(&records, &at(1e-5)) - likelihood(&records, &at(-1e-5))) / 2e-5;
            assert!((gradient[k] - slope).abs() < 1e-6);
            let (up, down) = (derivatives(&records, &at(1e-5)).0, derivatives(&records, &at(-1e-5)).0);
            for j in 0..3 {
                let curvature = (down[j] - up[j]) / 2e-5;
                assert!((precision[3 * k + j] - curvature).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn scores_of_any_size_stay_finite() {
        let records = CoxRecords::new(&[5.0, -5.0, 1.0], &[1.0, 3.0, 2.0], &[true; 3], 1);
        for theta in [1e6, -1e6] {
            assert!(likelihood(&records, &[theta]).is_finite());
            let (gradient, precision) = derivatives(&records, &[theta]);
            assert!(gradient[0].is_finite() && precision[0].is_finite());
        }
    }

    #[test]
    fn without_events_nothing_is_known() {
        let records = CoxRecords::new(&[1.0, 2.0], &[1.0, 2.0], &[false; 2], 1);
        assert_eq!(derivatives(&records, &[0.3]), (vec![0.0], vec![0.0]));
        assert_eq!(likelihood(&records, &[0.3]), 0.0);
    }
}
