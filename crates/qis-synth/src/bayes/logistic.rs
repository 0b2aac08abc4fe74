//! Logistic regression under a Gaussian prior: the mode, and the evidence around it.

use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector, DVectorView};

use super::guard::Fit;
use super::prior_density::Prior;
use crate::linalg::{self, Factor, Singular};

/// Newton steps of a summary's fit.
pub(crate) const NEWTON_STEPS: usize = 25;
/// Newton steps of each hypothesis of an average, which start at the hypothesis' mean.
const HYPOTHESIS_STEPS: usize = 15;
/// No coefficient moves further in one step: far from the mode the quadratic model overshoots.
const STEP_LIMIT: f64 = 3.0;
const STEP_TOLERANCE: f64 = 1e-6;
/// Beyond this score a probability is 0 or 1 to double precision's purposes.
const SCORE_LIMIT: f64 = 30.0;
/// Keeps the logarithm of a probability finite.
const PROBABILITY_FLOOR: f64 = 1e-9;

/// A logistic regression that cannot be fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// The rows, outcomes, prior means and prior variances do not have matching lengths, or
    /// there are no coefficients.
    #[error("the lengths of rows, outcomes and prior do not match")]
    Lengths,
    /// A value is not finite, an outcome is outside 0 to 1, or a variance is not positive.
    #[error("a value is not finite, an outcome not in [0, 1], or a variance not positive")]
    Values,
    /// The normal equations are singular, as values of extreme size can make them.
    #[error("the normal equations are singular")]
    Singular,
}

/// The most probable coefficients of a logistic regression under independent Gaussian priors:
/// ridge regression, by Newton's method.
///
/// `x` holds one row of `d` values per record, row after row, including a 1 where an intercept is
/// wanted; `y` the outcomes; `prior_mean` and `prior_variance` `d` values each. With
/// [`Evidence::design`](crate::evidence::Evidence::design) and
/// [`Evidence::outcomes`](crate::evidence::Evidence::outcomes) this is the local baseline a
/// synthesis is to be compared with.
///
/// ```
/// use qis_synth::bayes::logistic_map;
///
/// let theta = logistic_map(&[1.0, -1.0, 1.0, 1.0], &[0.0, 1.0], &[0.0; 2], &[1.0; 2])?;
/// assert!(theta[0].abs() < 1e-9 && theta[1] > 0.4);
/// # Ok::<(), qis_synth::bayes::FitError>(())
/// ```
///
/// # Errors
///
/// [`FitError`] when lengths do not match, values are unusable, or the system is singular.
pub fn logistic_map(
    x: &[f64],
    y: &[f64],
    prior_mean: &[f64],
    prior_variance: &[f64],
) -> Result<Vec<f64>, FitError> {
    let dims = prior_mean.len();
    if dims == 0 || prior_variance.len() != dims || y.len().checked_mul(dims) != Some(x.len()) {
        return Err(FitError::Lengths);
    }
    let usable = x.iter().chain(prior_mean).all(|v| v.is_finite())
        && y.iter().all(|y| (0.0..=1.0).contains(y))
        && prior_variance.iter().all(|&v| v > 0.0 && v.is_finite());
    if !usable {
        return Err(FitError::Values);
    }
    let mean = DVector::from_column_slice(prior_mean);
    let variances = DVector::from_column_slice(prior_variance);
    let prior = Prior::diagonal(mean, &variances);
    let theta =
        LogisticRecords::new(x, y, dims).map(&prior, NEWTON_STEPS).map_err(|Singular| FitError::Singular)?;
    Ok(theta.as_slice().to_vec())
}

/// `1 / (1 + e^-score)`, from within (0, 1) for every score.
pub(crate) fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-score.clamp(-SCORE_LIMIT, SCORE_LIMIT)))
}

/// Records with outcomes 0 or 1, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LogisticRecords<'a> {
    rows: &'a [f64],
    outcomes: &'a [f64],
    dims: usize,
}

impl<'a> LogisticRecords<'a> {
    pub(crate) fn new(rows: &'a [f64], outcomes: &'a [f64], dims: usize) -> Self {
        Self { rows, outcomes, dims }
    }

    /// The gradient of the log-likelihood and its negative Hessian at `theta`.
    pub(crate) fn derivatives(&self, theta: &DVector<f64>) -> (DVector<f64>, DMatrix<f64>) {
        let probabilities = self.probabilities(theta);
        let residuals = self.outcomes.iter().zip(&probabilities).map(|(y, p)| y - p);
        let gradient = linalg::weighted_row_sum(self.rows, self.dims, residuals);
        let curvature = probabilities.iter().map(|p| p * (1.0 - p));
        let information = linalg::weighted_gram(self.rows, self.dims, curvature);
        (gradient, information)
    }

    /// The mode of the posterior, after at most `steps` Newton steps from the prior's mean.
    pub(crate) fn map(&self, prior: &Prior, steps: usize) -> Result<DVector<f64>, Singular> {
        let mut theta = prior.mean.clone();
        for _ in 0..steps {
            let (gradient, information) = self.derivatives(&theta);
            let pull = &prior.precision * (&theta - &prior.mean);
            let mut step = Factor::new(information + &prior.precision)?.solve(&(gradient - pull));
            let longest = step.amax();
            if longest > STEP_LIMIT {
                step *= STEP_LIMIT / longest;
            }
            theta += &step;
            if step.amax() < STEP_TOLERANCE {
                break;
            }
        }
        Ok(theta)
    }

    /// The posterior under `prior` and the log marginal likelihood, by Laplace's approximation
    /// (Tierney and Kadane, 1986).
    pub(crate) fn fit(&self, prior: &Prior) -> Result<Fit, Singular> {
        let mean = self.map(prior, HYPOTHESIS_STEPS)?;
        let (_, information) = self.derivatives(&mean);
        let posterior = Factor::new(information + &prior.precision)?;
        // ln det(I + T L) = ln det(L + T^-1) + ln det T.
        let log_det = posterior.log_det() + prior.log_det_covariance;
        let distance = linalg::quadratic(&prior.precision, &(&mean - &prior.mean));
        Ok(Fit {
            log_evidence: self.log_likelihood(&mean) - 0.5 * distance - 0.5 * log_det,
            variance: posterior.inverse().diagonal(),
            mean,
        })
    }

    fn log_likelihood(&self, theta: &DVector<f64>) -> f64 {
        let probabilities = self.probabilities(theta);
        let pairs = self.outcomes.iter().zip(probabilities);
        pairs
            .map(|(y, p)| {
                let p = p.clamp(PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR);
                y * libm::log(p) + (1.0 - y) * libm::log(1.0 - p)
            })
            .sum()
    }

    fn probabilities(&self, theta: &DVector<f64>) -> Vec<f64> {
        let rows = self.rows.chunks_exact(self.dims);
        rows.map(|row| sigmoid(DVectorView::from_slice(row, self.dims).dot(theta))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Family;
    use crate::testing::{Random, site};
    use alloc::vec;

    #[test]
    fn the_gradient_of_the_posterior_is_zero_at_the_mode() {
        let evidence = site(&mut Random(1), Family::Logistic, &[0.5, 1.0, -1.0], 60);
        let (x, y) = (evidence.design(), evidence.outcomes());
        let (mean, variance) = ([0.2, 0.0, -0.3], [2.0, 0.1, 1.0]);
        let theta = logistic_map(x, y, &mean, &variance).unwrap();
        let data = LogisticRecords::new(x, y, 3);
        let (gradient, _) = data.derivatives(&DVector::from_vec(theta.clone()));
        for k in 0..3 {
            let pull = (theta[k] - mean[k]) / variance[k];
            assert!((gradient[k] - pull).abs() < 1e-9, "{}", gradient[k] - pull);
        }
    }

    #[test]
    fn laplace_evidence_is_near_the_integral() {
        let rows = vec![1.0; 12];
        let outcomes: Vec<f64> = (0..12).map(|i| f64::from(u8::from(i < 8))).collect();
        let data = LogisticRecords::new(&rows, &outcomes, 1);
        let variance = 0.5;
        let prior = Prior::diagonal(DVector::zeros(1), &DVector::from_element(1, variance));
        let fit = data.fit(&prior).unwrap();

        let step = 1e-3;
        let mut integral = 0.0;
        let mut first = 0.0;
        for i in -8000..8000 {
            let theta = f64::from(i) * step;
            let likelihood = data.log_likelihood(&DVector::from_element(1, theta));
            let density = libm::exp(likelihood - theta * theta / (2.0 * variance))
                / libm::sqrt(core::f64::consts::TAU * variance);
            integral += density * step;
            first += density * theta * step;
        }
        assert!((fit.log_evidence - libm::log(integral)).abs() < 0.01);
        assert!((fit.mean[0] - first / integral).abs() < 0.03);
    }

    #[test]
    fn a_prior_that_predicts_the_data_has_more_evidence() {
        let evidence = site(&mut Random(2), Family::Logistic, &[0.0, 1.5, -1.5], 80);
        let fit = |mean: [f64; 3]| {
            let mean = DVector::from_column_slice(&mean);
            let prior = Prior::diagonal(mean, &DVector::from_element(3, 0.1));
            evidence.logistic_records().fit(&prior).unwrap().log_evidence
        };
        assert!(fit([0.0, 1.5, -1.5]) > fit([0.0; 3]) + 3.0);
        assert!(fit([0.0; 3]) > fit([0.0, -1.5, 1.5]) + 3.0);
    }

    #[test]
    fn separable_and_hostile_priors_still_end() {
        let theta = logistic_map(&[1.0, -1.0, 1.0, 1.0], &[0.0, 1.0], &[0.0; 2], &[1e6; 2]);
        assert!(theta.unwrap().iter().all(|t| t.is_finite()));
        let far = logistic_map(&[1.0, 1.0], &[1.0], &[1e9, -1e9], &[1e-6, 1.0]);
        assert!(far.unwrap().iter().all(|t| t.is_finite()));
    }

    #[test]
    fn unusable_input_is_refused() {
        let lengths = [
            logistic_map(&[], &[], &[], &[]),
            logistic_map(&[1.0], &[1.0, 0.0], &[0.0], &[1.0]),
            logistic_map(&[1.0], &[1.0], &[0.0], &[]),
        ];
        assert!(lengths.iter().all(|r| *r == Err(FitError::Lengths)));
        let values = [
            logistic_map(&[f64::NAN], &[1.0], &[0.0], &[1.0]),
            logistic_map(&[1.0], &[1.5], &[0.0], &[1.0]),
            logistic_map(&[1.0], &[f64::NAN], &[0.0], &[1.0]),
            logistic_map(&[1.0], &[1.0], &[f64::INFINITY], &[1.0]),
            logistic_map(&[1.0], &[1.0], &[0.0], &[0.0]),
        ];
        assert!(values.iter().all(|r| *r == Err(FitError::Values)));
        let overflow = logistic_map(&[1e200], &[1.0], &[0.0], &[1.0]);
        assert_eq!(overflow, Err(FitError::Singular));
    }
}
