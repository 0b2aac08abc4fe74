//! Logistic regression under a Gaussian prior: the mode, and the evidence around it.

use alloc::vec::Vec;

use super::hypothesis::Priors;
use super::laplace::{self, LogLikelihood};
use crate::lanes::{self, Symmetric};

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
    let data = LogisticRecords::new(x, y, dims);
    laplace::mode(&data, &Priors::independent(prior_mean, prior_variance)).ok_or(FitError::Singular)
}

/// `1 / (1 + e^-score)`, from within (0, 1) for every score.
pub(crate) fn sigmoid(score: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-score.clamp(-SCORE_LIMIT, SCORE_LIMIT)))
}

/// How many records are added at a time.
const BLOCK: usize = 4;

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

    /// Adds the derivatives of `N` records.
    fn add_block<const W: usize, const N: usize>(
        &self,
        outcomes: [f64; N],
        rows: [&[f64]; N],
        theta: &[[f64; W]],
        gradient: &mut [[f64; W]],
        precision: &mut Symmetric<W>,
    ) {
        let p = rows.map(|row| self.probabilities(row, theta));
        let residuals = core::array::from_fn(|n| p[n].map(|p| outcomes[n] - p));
        lanes::add_multiples(gradient, residuals, rows);
        precision.add_outer(p.map(|p| p.map(|p| p * (1.0 - p))), rows);
    }

    fn probabilities<const W: usize>(&self, row: &[f64], theta: &[[f64; W]]) -> [f64; W] {
        let mut score = [0.0; W];
        for (x, theta) in row.iter().zip(theta) {
            lanes::add_product(&mut score, &[*x; W], theta);
        }
        score.map(sigmoid)
    }
}

impl LogLikelihood for LogisticRecords<'_> {
    fn add_derivatives<const W: usize>(
        &self,
        theta: &[[f64; W]],
        gradient: &mut [[f64; W]],
        precision: &mut Symmetric<W>,
    ) {
        let (blocks, last) = self.outcomes.as_chunks::<BLOCK>();
        let mut rows = self.rows.chunks_exact(self.dims);
        let mut next = || rows.next().unwrap_or_default();
        for block in blocks {
            let rows: [&[f64]; BLOCK] = core::array::from_fn(|_| next());
            self.add_block(*block, rows, theta, gradient, precision);
        }
        for y in last {
            self.add_block([*y], [next()], theta, gradient, precision);
        }
    }

    fn log_likelihood<const W: usize>(&self, theta: &[[f64; W]]) -> [f64; W] {
        let mut sum = [0.0; W];
        for (row, y) in self.rows.chunks_exact(self.dims).zip(self.outcomes) {
            let p = self.probabilities(row, theta);
            lanes::add(
                &mut sum,
                p.map(|p| {
                    let p = p.clamp(PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR);
                    // Outcomes between 0 and 1 are allowed; most are one of the two.
                    let hit = if *y > 0.0 { y * libm::log(p) } else { 0.0 };
                    let miss = if *y < 1.0 { (1.0 - y) * libm::log(1.0 - p) } else { 0.0 };
                    hit + miss
                }),
            );
        }
        sum
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
        let at: Vec<[f64; 1]> = theta.iter().map(|&t| [t]).collect();
        let mut gradient = vec![[0.0]; 3];
        data.add_derivatives(&at, &mut gradient, &mut Symmetric::zeros(3));
        for k in 0..3 {
            let pull = (theta[k] - mean[k]) / variance[k];
            assert!((gradient[k][0] - pull).abs() < 1e-9, "{}", gradient[k][0] - pull);
        }
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
