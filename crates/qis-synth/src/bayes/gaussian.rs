//! Linear regression under Gaussian priors and known noise, in closed form.

use alloc::vec::Vec;

use super::hypothesis::{Posteriors, Priors};
use super::laplace::difference;
use super::population::Likelihood;
use crate::lanes::{self, Factors, Symmetric};

impl Likelihood {
    /// The posteriors under `priors` with noise variances `noise`, and the log marginal likelihoods
    /// of the outcomes.
    ///
    /// With `e = h - L mu` and `V = (L/noise + P^-1)^-1` a posterior is `N(mu + V e/noise, V)`.
    pub(super) fn posteriors<const W: usize>(&self, priors: &Priors<W>, noise: [f64; W]) -> Posteriors<W> {
        let posterior = Factors::new(self.posterior_precision(priors, noise));
        let likelihood = self.repeated();
        let predicted = likelihood.times(&priors.mean);
        let information: Vec<[f64; W]> = self.information.iter().map(|&h| [h; W]).collect();
        let mut pull = difference(&information, &predicted);
        for value in &mut pull {
            *value = core::array::from_fn(|k| value[k] / noise[k]);
        }
        let mut shift = pull.clone();
        posterior.solve(&mut shift);
        let explained = lanes::dot(&pull, &shift);
        let cross = lanes::dot(&information, &priors.mean);
        let quadratic = lanes::dot(&priors.mean, &predicted);
        let log_det = posterior.log_det();
        let log_evidence = core::array::from_fn(|k| {
            let residual_squares = self.outcome_squares - 2.0 * cross[k] + quadratic[k];
            // ln det(I + P L/noise) = ln det(L/noise + P^-1) + ln det P.
            let log_det = log_det[k] + priors.log_det_covariance[k];
            let normaliser = self.records * libm::log(core::f64::consts::TAU * noise[k]);
            let misfit = residual_squares / noise[k] - explained[k];
            -0.5 * (normaliser + log_det + misfit)
        });
        for (value, mean) in shift.iter_mut().zip(&priors.mean) {
            lanes::add(value, *mean);
        }
        Posteriors {
            mean: shift,
            variance: posterior.inverse_diagonal(),
            log_evidence,
            sound: core::array::from_fn(|k| priors.sound[k] && posterior.sound()[k]),
        }
    }

    /// The modes of the posteriors under `priors`, as far as the quadratic form has it; a prior's
    /// own where that is beyond floating point.
    pub(super) fn modes<const W: usize>(&self, priors: &Priors<W>) -> Vec<[f64; W]> {
        let factors = Factors::new(self.posterior_precision(priors, [1.0; W]));
        let mut modes = priors.precision.times(&priors.mean);
        for (value, &h) in modes.iter_mut().zip(self.information.iter()) {
            lanes::add(value, [h; W]);
        }
        factors.solve(&mut modes);
        for lane in 0..W {
            let usable = factors.sound()[lane] && modes.iter().all(|value| value[lane].is_finite());
            if !usable {
                for (value, mean) in modes.iter_mut().zip(&priors.mean) {
                    value[lane] = mean[lane];
                }
            }
        }
        modes
    }

    fn posterior_precision<const W: usize>(&self, priors: &Priors<W>, noise: [f64; W]) -> Symmetric<W> {
        let mut precision = priors.precision.clone();
        precision.add_scaled(noise.map(|n| 1.0 / n), &self.repeated());
        precision
    }

    /// The precision in every lane.
    fn repeated<const W: usize>(&self) -> Symmetric<W> {
        Symmetric::of(self.dims(), core::iter::repeat_n(&self.precision, W))
    }
}

#[cfg(test)]
mod tests {
    use crate::bayes::hypothesis::{Hypothesis, fits};
    use crate::evidence::Family;
    use crate::linalg::Factor;
    use crate::testing::{Random, site};
    use nalgebra::{DMatrix, DVector};

    #[test]
    fn the_evidence_is_the_density_of_the_outcomes() {
        let evidence = site(&mut Random(4), Family::Gaussian, &[0.5, 1.0, -1.0], 7);
        let mean = DVector::from_column_slice(&[0.1, 0.6, -0.2]);
        let covariance = DMatrix::from_row_slice(3, 3, &[0.5, 0.1, 0.0, 0.1, 0.3, 0.05, 0.0, 0.05, 0.4]);
        let noise = 0.6;
        let hypothesis = Hypothesis { mean: mean.clone(), covariance: covariance.clone(), noise };
        let fit = fits(&evidence, &[hypothesis]).pop().unwrap().unwrap();

        // Directly: y ~ N(X mean, noise I + X covariance X').
        let x = DMatrix::from_row_slice(7, 3, evidence.design());
        let y = DVector::from_column_slice(evidence.outcomes());
        let marginal = &x * &covariance * x.transpose() + DMatrix::identity(7, 7) * noise;
        let factor = Factor::new(marginal).unwrap();
        let residual = &y - &x * &mean;
        let solved = factor.solve(&residual);
        let expected =
            -0.5 * (7.0 * libm::log(core::f64::consts::TAU) + factor.log_det() + residual.dot(&solved));
        assert!((fit.log_evidence - expected).abs() < 1e-9);

        // And the conditional distribution of the coefficients given y.
        let posterior = &mean + &covariance * x.transpose() * &solved;
        assert!((&fit.mean - posterior).amax() < 1e-9);
        let gain = factor.inverse();
        let variance = &covariance - &covariance * x.transpose() * gain * &x * &covariance;
        assert!((&fit.variance - variance.diagonal()).amax() < 1e-9);
    }
}
