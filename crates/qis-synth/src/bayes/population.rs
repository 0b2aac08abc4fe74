//! The distribution that sites' coefficients are drawn from, estimated from their evidence.

use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::guard::Averaged;
use crate::evidence::{EvidenceSummary, Family, NOISE_GUESS};
use crate::linalg::{self, Factor, Singular};

/// One site's likelihood as a quadratic form, in floating point and possibly scaled down.
#[derive(Debug, Clone)]
pub(crate) struct Likelihood {
    pub(super) precision: DMatrix<f64>,
    pub(super) information: DVector<f64>,
    pub(super) outcome_squares: f64,
    pub(super) records: f64,
}

impl Likelihood {
    pub(super) fn of(summary: &EvidenceSummary) -> Self {
        Self {
            precision: summary.precision_matrix().clone(),
            information: summary.information_vector().clone(),
            outcome_squares: summary.outcome_squares(),
            records: summary.records().into(),
        }
    }

    /// The likelihood raised to the power `share`: as if only that share of the records were
    /// there.
    pub(super) fn scale(&mut self, share: f64) {
        self.precision *= share;
        self.information *= share;
        self.outcome_squares *= share;
        self.records *= share;
    }

    pub(super) fn dims(&self) -> usize {
        self.information.len()
    }

    /// The posterior covariance and mean under `N(mean, diag spread)` with noise `noise`.
    pub(super) fn posterior(
        &self,
        mean: &DVector<f64>,
        spread: &DVector<f64>,
        noise: f64,
    ) -> Result<(DMatrix<f64>, DVector<f64>), Singular> {
        let mut precision = &self.precision / noise;
        linalg::add_diagonal(&mut precision, spread.iter().map(|t| 1.0 / t));
        let covariance = Factor::new(precision)?.inverse();
        let pull = &self.information / noise + mean.component_div(spread);
        let mean = &covariance * pull;
        Ok((covariance, mean))
    }
}

/// What is assumed of a population of sites before any is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hyperprior {
    /// How many imaginary sites the guesses of the spread count as.
    dof: f64,
    /// The guessed variance between sites of a slope, and of the intercept.
    spread: f64,
    intercept_spread: f64,
    /// One spread for all slopes instead of one each.
    common_spread: bool,
    /// The prior variance of the population's mean slope, and of its mean intercept.
    mean_variance: f64,
    intercept_mean_variance: f64,
    /// Whether the noise variance is estimated, or is 1 as in a likelihood without one.
    noisy: bool,
    iterations: usize,
}

impl Hyperprior {
    /// The constants of a family. They were chosen on studies of many sites and matter little
    /// from some five sites on; below, they say that sites are alike but not the same.
    pub(super) fn of(family: Family, iterations: usize) -> Self {
        match family {
            Family::Gaussian => Self {
                dof: 2.0,
                spread: 0.1,
                intercept_spread: 0.1,
                common_spread: false,
                mean_variance: 1.0,
                intercept_mean_variance: 1.0,
                noisy: true,
                iterations,
            },
            Family::Logistic => Self {
                dof: 2.0,
                spread: 0.05,
                intercept_spread: 0.5,
                common_spread: true,
                mean_variance: 1.0,
                intercept_mean_variance: 4.0,
                noisy: false,
                iterations,
            },
        }
    }
}

/// Where the iteration starts: a population spread of 0.1 and, where noise is estimated, a noise
/// variance of 0.7, which also counts as four observed records.
const SPREAD_START: f64 = 0.1;
const NOISE_RECORDS: f64 = 4.0;
const NOISE_RANGE: (f64, f64) = (1e-3, 3.0);

/// An estimated population: a new site's coefficients are `N(mean, mean_covariance + spread)`.
#[derive(Debug, Clone)]
pub(super) struct Population {
    pub(super) mean: DVector<f64>,
    /// How uncertain the mean is.
    pub(super) mean_covariance: DMatrix<f64>,
    /// The variance between sites, by coefficient.
    pub(super) spread: DVector<f64>,
    /// The noise variance of an outcome; 1 for families without one.
    pub(super) noise: f64,
    /// What each site contributed to knowing the mean: the trace of `w (T^-1 - T^-1 V T^-1)`,
    /// times `T`, so that each coefficient counts the same.
    pub(super) information: Vec<f64>,
}

impl Population {
    /// The population of weighted sites, by expectation maximisation.
    ///
    /// This is the normal random-coefficient model (Morris, 1983; Laird and Ware, 1982):
    /// coefficients `theta_j ~ N(mu, diag T)`, each seen through its site's likelihood. A site of
    /// weight `w` counts as `w` sites. The mean is finished in closed form (generalised least
    /// squares), which is also where its covariance comes from.
    ///
    /// At least one weight is positive and all sites have the same dimension.
    pub(super) fn estimate(
        sites: &[Likelihood],
        weights: &[f64],
        hyper: &Hyperprior,
    ) -> Result<Self, Singular> {
        let dims = sites.first().map_or(0, Likelihood::dims);
        let mut state = Iterate {
            mean: DVector::zeros(dims),
            spread: DVector::from_element(dims, SPREAD_START),
            noise: if hyper.noisy { NOISE_GUESS } else { 1.0 },
        };
        for _ in 0..hyper.iterations {
            state = state.next(sites, weights, hyper)?;
        }
        state.finish(sites, weights, hyper)
    }
}

impl Population {
    /// What is known of a site that has no records: the mean, uncertain by its own variance and
    /// by how much sites differ.
    pub(super) fn predictive(&self) -> Averaged {
        Averaged {
            mean: self.mean.clone(),
            variance: self.mean_covariance.diagonal() + &self.spread,
            view_weights: alloc::vec![1.0],
        }
    }
}

/// The parameters between two iterations.
#[derive(Debug)]
struct Iterate {
    mean: DVector<f64>,
    spread: DVector<f64>,
    noise: f64,
}

impl Iterate {
    fn next(&self, sites: &[Likelihood], weights: &[f64], hyper: &Hyperprior) -> Result<Self, Singular> {
        let dims = self.mean.len();
        let total: f64 = weights.iter().sum();
        let posteriors = sites
            .iter()
            .map(|site| site.posterior(&self.mean, &self.spread, self.noise))
            .collect::<Result<Vec<_>, _>>()?;

        let mut sum = DVector::zeros(dims);
        for ((_, site_mean), &weight) in posteriors.iter().zip(weights) {
            sum.axpy(weight, site_mean, 1.0);
        }
        let shrinkage = self.spread.zip_map(&hyper.mean_variances(dims), |t, m| t / m);
        let mean = sum.zip_map(&shrinkage, |s, k| s / (total + k));

        let mut scatter = DVector::zeros(dims);
        let mut misfit = 0.0;
        let mut records = 0.0;
        for (((covariance, site_mean), site), &weight) in posteriors.iter().zip(sites).zip(weights) {
            let distance = site_mean - &mean;
            scatter += (distance.component_mul(&distance) + covariance.diagonal()) * weight;
            // E[sum of squared residuals] over the site's posterior; L and V are symmetric, so
            // the trace of their product is the sum of the products of their elements.
            let spread_term = site.precision.dot(covariance);
            let squares = site.outcome_squares - 2.0 * site.information.dot(site_mean)
                + linalg::quadratic(&site.precision, site_mean)
                + spread_term;
            misfit += weight * squares;
            records += weight * site.records;
        }
        let noise = if hyper.noisy {
            let estimate = (misfit + NOISE_RECORDS * NOISE_GUESS) / (records + NOISE_RECORDS);
            estimate.clamp(NOISE_RANGE.0, NOISE_RANGE.1)
        } else {
            self.noise
        };
        Ok(Self { mean, spread: hyper.spreads(&scatter, total), noise })
    }

    fn finish(
        self,
        sites: &[Likelihood],
        weights: &[f64],
        hyper: &Hyperprior,
    ) -> Result<Population, Singular> {
        let Self { spread, noise, mean } = self;
        let dims = mean.len();
        let zero = DVector::zeros(dims);
        let mut precision = DMatrix::from_diagonal(&hyper.mean_variances(dims).map(|m| 1.0 / m));
        let mut pull = DVector::zeros(dims);
        let mut information = Vec::with_capacity(sites.len());
        for (site, &weight) in sites.iter().zip(weights) {
            let (covariance, from_zero) = site.posterior(&zero, &spread, noise)?;
            let mut trace = 0.0;
            for (i, ti) in spread.iter().enumerate() {
                for (j, tj) in spread.iter().enumerate() {
                    precision[(i, j)] -= weight * covariance[(i, j)] / (ti * tj);
                }
                precision[(i, i)] += weight / ti;
                trace += weight * (1.0 - covariance[(i, i)] / ti);
            }
            information.push(trace.max(0.0));
            pull += from_zero.component_div(&spread) * weight;
        }
        let factor = Factor::new(precision)?;
        Ok(Population {
            mean: factor.solve(&pull),
            mean_covariance: factor.inverse(),
            spread,
            noise,
            information,
        })
    }
}

impl Hyperprior {
    pub(super) fn with_iterations(self, iterations: usize) -> Self {
        Self { iterations, ..self }
    }

    /// Whether the noise variance is estimated.
    pub(super) fn is_noisy(&self) -> bool {
        self.noisy
    }

    fn mean_variances(&self, dims: usize) -> DVector<f64> {
        let mut variances = DVector::from_element(dims, self.mean_variance);
        variances[0] = self.intercept_mean_variance;
        variances
    }

    /// The posterior mode of the spread, given the sites' summed scatter about their mean.
    fn spreads(&self, scatter: &DVector<f64>, total: f64) -> DVector<f64> {
        let mut spread = if self.common_spread {
            let slopes = scatter.len().saturating_sub(1) as f64;
            let sum: f64 = scatter.iter().skip(1).sum();
            let common = (sum + self.dof * self.spread) / (total * slopes + self.dof);
            DVector::from_element(scatter.len(), common)
        } else {
            scatter.map(|s| (s + self.dof * self.spread) / (total + self.dof))
        };
        spread[0] = (scatter[0] + self.dof * self.intercept_spread) / (total + self.dof);
        spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, site};

    fn sites(family: Family, spread: f64, count: usize) -> Vec<Likelihood> {
        let mut random = Random(8);
        let draw = |random: &mut Random, m: f64| m + libm::sqrt(spread) * random.normal();
        let sites = (0..count).map(|_| {
            let theta = [0.2, 0.8, -0.6].map(|m| draw(&mut random, m));
            Likelihood::of(site(&mut random, family, &theta, 60).summary())
        });
        sites.collect()
    }

    #[test]
    fn mean_spread_and_noise_are_recovered() {
        for family in [Family::Gaussian, Family::Logistic] {
            let sites = sites(family, 0.2, 60);
            let hyper = Hyperprior::of(family, 40);
            let population = Population::estimate(&sites, &[1.0; 60], &hyper).unwrap();
            let truth = DVector::from_column_slice(&[0.2, 0.8, -0.6]);
            assert!((&population.mean - truth).amax() < 0.2, "{:?}", population.mean);
            for &t in population.spread.iter() {
                assert!((0.08..0.4).contains(&t), "{t}");
            }
            let noise = if family == Family::Gaussian { 0.5 } else { 1.0 };
            assert!((population.noise - noise).abs() < 0.05);
        }
    }

    #[test]
    fn the_closed_form_mean_is_where_the_iteration_ends() {
        let sites = sites(Family::Gaussian, 0.2, 8);
        let hyper = Hyperprior::of(Family::Gaussian, 400);
        let weights = [1.0, 0.5, 1.0, 0.2, 1.0, 1.0, 0.0, 1.0];
        let population = Population::estimate(&sites, &weights, &hyper).unwrap();
        let end = Iterate {
            mean: population.mean.clone(),
            spread: population.spread.clone(),
            noise: population.noise,
        };
        let next = end.next(&sites, &weights, &hyper).unwrap();
        assert!((&next.mean - &end.mean).amax() < 1e-6);
        assert!((&next.spread - &end.spread).amax() < 1e-6);
    }

    #[test]
    fn a_weight_of_two_is_a_site_twice() {
        let mut sites = sites(Family::Logistic, 0.1, 3);
        let hyper = Hyperprior::of(Family::Logistic, 40);
        let weighted = Population::estimate(&sites, &[1.0, 2.0, 1.0], &hyper).unwrap();
        sites.push(sites[1].clone());
        let repeated = Population::estimate(&sites, &[1.0; 4], &hyper).unwrap();
        assert!((weighted.mean - repeated.mean).amax() < 1e-10);
        assert!((weighted.mean_covariance - repeated.mean_covariance).amax() < 1e-10);
    }

    #[test]
    fn a_site_of_no_information_contributes_none() {
        let mut sites = sites(Family::Gaussian, 0.1, 3);
        sites[2].scale(0.0);
        let hyper = Hyperprior::of(Family::Gaussian, 40);
        let population = Population::estimate(&sites, &[1.0; 3], &hyper).unwrap();
        assert!(population.information[2].abs() < 1e-9);
        assert!(population.information[0] > 1.0);
    }
}
