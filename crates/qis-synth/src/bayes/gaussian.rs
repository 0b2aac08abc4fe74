//! Linear regression under a Gaussian prior and known noise, in closed form.

use nalgebra::DMatrix;

use super::guard::Fit;
use super::population::Likelihood;
use super::prior_density::Prior;
use crate::linalg::{Factor, Singular};

impl Likelihood {
    /// The posterior under `prior` with noise variance `noise`, and the log marginal likelihood
    /// of the outcomes.
    ///
    /// With `e = h - L mu` and `V = (L/noise + P^-1)^-1` the posterior is `N(mu + V e/noise, V)`.
    pub(super) fn fit_gaussian(&self, prior: &Prior, noise: f64) -> Result<Fit, Singular> {
        let predicted = &self.precision * &prior.mean;
        let residual_squares =
            self.outcome_squares - 2.0 * self.information.dot(&prior.mean) + prior.mean.dot(&predicted);
        let pull = (&self.information - predicted) / noise;
        let precision: DMatrix<f64> = &self.precision / noise + &prior.precision;
        let posterior = Factor::new(precision)?;
        let shift = posterior.solve(&pull);
        // ln det(I + P L/noise) = ln det(L/noise + P^-1) + ln det P.
        let log_det = posterior.log_det() + prior.log_det_covariance;
        let normaliser = self.records * libm::log(core::f64::consts::TAU * noise);
        let misfit = residual_squares / noise - pull.dot(&shift);
        Ok(Fit {
            mean: &prior.mean + shift,
            variance: posterior.inverse().diagonal(),
            log_evidence: -0.5 * (normaliser + log_det + misfit),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Family;
    use crate::testing::{Random, site};
    use nalgebra::DVector;

    #[test]
    fn the_evidence_is_the_density_of_the_outcomes() {
        let evidence = site(&mut Random(4), Family::Gaussian, &[0.5, 1.0, -1.0], 7);
        let likelihood = Likelihood::of(evidence.summary());
        let mean = DVector::from_column_slice(&[0.1, 0.6, -0.2]);
        let covariance = DMatrix::from_row_slice(3, 3, &[0.5, 0.1, 0.0, 0.1, 0.3, 0.05, 0.0, 0.05, 0.4]);
        let noise = 0.6;
        let prior = Prior::full(mean.clone(), covariance.clone()).unwrap();
        let fit = likelihood.fit_gaussian(&prior, noise).unwrap();

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
