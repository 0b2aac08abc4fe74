//! Proportional hazards on a site's own rows, to compare with: the log partial likelihood, and its maximum under a ridge penalty.

use nalgebra::{Cholesky, DMatrix, DVector, DVectorView};

use super::study::Records;

const STEPS: usize = 30;
const TOLERANCE: f64 = 1e-8;
/// No coefficient moves further in one step: far from the maximum the quadratic model overshoots.
const LONGEST_STEP: f64 = 2.0;

/// The log partial likelihood (Cox, 1972; ties as in Breslow, 1974) and its derivatives.
struct Likelihood {
    value: f64,
    gradient: DVector<f64>,
    /// The negative Hessian.
    information: DMatrix<f64>,
}

/// The log partial likelihood of rows at coefficients `theta`.
pub(super) fn log_likelihood(theta: &[f64], records: &Records) -> f64 {
    Likelihood::zero(theta.len()).add(&DVector::from_column_slice(theta), records).value
}

/// The most probable coefficients under Gaussian priors of this variance, each stratum with risk sets of its own.
///
/// None when the figures are too large.
pub(super) fn ridge(strata: &[&Records], dims: usize, variance: f64) -> Option<Vec<f64>> {
    let mut theta = DVector::zeros(dims);
    for _ in 0..STEPS {
        let start = Likelihood::zero(dims);
        let likelihood = strata.iter().fold(start, |sum, records| sum.add(&theta, records));
        let held = likelihood.information + DMatrix::from_diagonal_element(dims, dims, 1.0 / variance);
        let mut step = Cholesky::new(held)?.solve(&(likelihood.gradient - &theta / variance));
        let longest = step.amax();
        if !longest.is_finite() {
            return None;
        }
        if longest > LONGEST_STEP {
            step *= LONGEST_STEP / longest;
        }
        theta += &step;
        if longest < TOLERANCE {
            break;
        }
    }
    Some(theta.as_slice().to_vec())
}

impl Likelihood {
    fn zero(dims: usize) -> Self {
        Self { value: 0.0, gradient: DVector::zeros(dims), information: DMatrix::zeros(dims, dims) }
    }

    /// With the rows of one more stratum.
    fn add(mut self, theta: &DVector<f64>, records: &Records) -> Self {
        let dims = theta.len();
        let mut rows: Vec<(f64, bool, DVectorView<'_, f64>)> = records
            .iter(dims)
            .zip(&records.events)
            .map(|((row, time), event)| (time, *event, DVectorView::from_slice(row, dims)))
            .collect();
        rows.sort_by(|one, other| other.0.total_cmp(&one.0));
        let highest = rows.iter().map(|(.., row)| row.dot(theta)).fold(f64::NEG_INFINITY, f64::max);
        // Of those at risk: the sum of hazards, and the first and second moments of the features.
        let (mut hazard, mut first, mut second) = (0.0, DVector::zeros(dims), DMatrix::zeros(dims, dims));
        for run in rows.chunk_by(|one, other| one.0.total_cmp(&other.0).is_eq()) {
            for (.., row) in run {
                let risk = libm::exp(row.dot(theta) - highest);
                hazard += risk;
                first.axpy(risk, row, 1.0);
                second.syger(risk, row, row, 1.0);
            }
            for (.., row) in run.iter().filter(|(_, event, _)| *event) {
                self.value += row.dot(theta) - highest - libm::log(hazard);
                let mean = &first / hazard;
                self.gradient += row;
                self.gradient -= &mean;
                self.information += &second / hazard;
                self.information.syger(-1.0, &mean, &mean, 1.0);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Times with hazards that are exponential in the features, a third of them cut off.
    fn records(count: usize, theta: &[f64], seed: u64) -> Records {
        let mut rng = Rng::new(seed, 0);
        let mut records = Records::default();
        for _ in 0..count {
            let row: Vec<f64> = theta.iter().map(|_| rng.gaussian()).collect();
            let score: f64 = row.iter().zip(theta).map(|(x, t)| x * t).sum();
            let (time, end) = (-libm::log(rng.uniform()) / libm::exp(score), -2.0 * libm::log(rng.uniform()));
            records.design.extend(row);
            records.outcomes.push(time.min(end));
            records.events.push(time <= end);
        }
        records
    }

    #[test]
    fn the_likelihood_is_that_of_who_came_first() {
        // At zero each of those at risk is as likely as another: of 3, then of 2, then of 1.
        let mut three =
            Records { design: vec![1.0, 2.0, 3.0], outcomes: vec![1.0, 2.0, 3.0], ..Records::default() };
        three.events = vec![true; 3];
        assert!((log_likelihood(&[0.0], &three) + libm::log(6.0)).abs() < 1e-12);
        // Of 3 twice when the first two are tied.
        three.outcomes = vec![1.0, 1.0, 3.0];
        assert!((log_likelihood(&[0.0], &three) + libm::log(9.0)).abs() < 1e-12);
        // Who is not seen to have an event counts as at risk only.
        three.events = vec![true, false, false];
        assert!((log_likelihood(&[0.0], &three) + libm::log(3.0)).abs() < 1e-12);
        let score = log_likelihood(&[0.5], &three);
        let hazards = libm::exp(0.5) + libm::exp(1.0) + libm::exp(1.5);
        assert!((score - (0.5 - libm::log(hazards))).abs() < 1e-12);
    }

    #[test]
    fn coefficients_are_found_from_all_strata() {
        let theta = [0.8, -0.5];
        let strata: Vec<_> = (0..8).map(|seed| records(60, &theta, seed)).collect();
        let found = ridge(&strata.iter().collect::<Vec<_>>(), 2, 10.0).unwrap();
        assert!(found.iter().zip(theta).all(|(one, other)| (one - other).abs() < 0.15), "{found:?}");
        let held = ridge(&[&strata[0]], 2, 1e-4).unwrap();
        assert!(held.iter().all(|value| value.abs() < 0.05), "{held:?}");
    }

    #[test]
    fn separable_times_still_end() {
        let mut perfect = records(10, &[0.0], 1);
        perfect.outcomes = perfect.design.iter().map(|x| 10.0 - x).collect();
        perfect.events = vec![true; 10];
        assert!(ridge(&[&perfect], 1, 1e3).unwrap()[0] > 1.0);
    }
}
