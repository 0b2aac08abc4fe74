//! The distribution that sites' coefficients are drawn from, estimated from their evidence.

use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::guard::Averaged;
use super::sites::{Batch, Sites};
use crate::evidence::{EvidenceSummary, Family, NOISE_GUESS};
use crate::lanes::{self, LANES, Symmetric};
use crate::linalg::{Factor, Singular};

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
}

/// What is assumed of a population of sites before any is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Hyperprior {
    /// How many imaginary sites the guesses of the spread count as.
    dof: f64,
    /// The guessed variance between sites of a slope.
    spread: f64,
    /// One spread for all slopes instead of one each.
    common_spread: bool,
    /// The prior variance of the population's mean slope.
    mean_variance: f64,
    /// The same two of the intercept, in families that have one.
    intercept: Option<InterceptPrior>,
    /// Whether the noise variance is estimated, or is 1 as in a likelihood without one.
    noisy: bool,
}

/// What is assumed of a population's intercepts.
#[derive(Debug, Clone, Copy, PartialEq)]
struct InterceptPrior {
    spread: f64,
    mean_variance: f64,
}

impl Hyperprior {
    /// The constants of a family. They were chosen on studies of many sites and matter little
    /// from some five sites on; below, they say that sites are alike but not the same.
    pub(super) fn of(family: Family) -> Self {
        match family {
            Family::Gaussian => Self {
                dof: 2.0,
                spread: 0.1,
                common_spread: false,
                mean_variance: 1.0,
                intercept: Some(InterceptPrior { spread: 0.1, mean_variance: 1.0 }),
                noisy: true,
            },
            Family::Logistic => Self {
                dof: 2.0,
                spread: 0.05,
                common_spread: true,
                mean_variance: 1.0,
                intercept: Some(InterceptPrior { spread: 0.5, mean_variance: 4.0 }),
                noisy: false,
            },
            Family::Cox => Self {
                dof: 4.0,
                spread: 0.03,
                common_spread: true,
                mean_variance: 0.3,
                intercept: None,
                noisy: false,
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

/// The population of weighted sites in the making, by expectation maximisation.
///
/// This is the normal random-coefficient model (Morris, 1983; Laird and Ware, 1982): coefficients
/// `theta_j ~ N(mu, diag T)`, each seen through its site's likelihood. A site of weight `w` counts
/// as `w` sites. The mean is finished in closed form (generalised least squares), which is also
/// where its covariance comes from.
#[derive(Debug, Clone)]
pub(super) struct Estimation<'a> {
    sites: &'a Sites,
    hyper: &'a Hyperprior,
    weights: Vec<f64>,
    state: Iterate,
    iterations: usize,
}

/// The parameters between two iterations.
#[derive(Debug, Clone)]
pub(super) struct Iterate {
    pub(super) mean: DVector<f64>,
    pub(super) spread: DVector<f64>,
    pub(super) noise: f64,
}

impl<'a> Estimation<'a> {
    /// Before the first iteration. At least one weight is positive.
    pub(super) fn new(sites: &'a Sites, weights: Vec<f64>, hyper: &'a Hyperprior) -> Self {
        let state = hyper.start(sites.dims());
        Self { sites, hyper, weights, state, iterations: 0 }
    }

    pub(super) fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// As after so many iterations from the start.
    pub(super) fn iterated(mut self, iterations: usize) -> Result<Self, Singular> {
        if self.iterations > iterations {
            self.state = self.hyper.start(self.sites.dims());
            self.iterations = 0;
        }
        for _ in self.iterations..iterations {
            self.state = self.next()?;
        }
        self.iterations = iterations;
        Ok(self)
    }

    fn next(&self) -> Result<Iterate, Singular> {
        let Self { sites, hyper, weights, state, iterations: _ } = self;
        let dims = sites.dims();
        let total: f64 = weights.iter().sum();
        let weights = sites.beside(weights);
        let mut posteriors = Vec::with_capacity(weights.len());
        let mut sum = alloc::vec![[0.0; LANES]; dims];
        for (batch, weight) in sites.batches().iter().zip(&weights) {
            let factors = batch.factors(state)?;
            let mean = batch.mean(&factors, state);
            lanes::add_scaled(&mut sum, *weight, &mean);
            posteriors.push((mean, factors.inverse_diagonal()));
        }
        let shrinkage = state.spread.zip_map(&hyper.mean_variances(dims), |t, m| t / m);
        let mean = across(&sum).zip_map(&shrinkage, |s, k| s / (total + k));

        let mut scatter = alloc::vec![[0.0; LANES]; dims];
        let mut misfit = [0.0; LANES];
        let mut records = [0.0; LANES];
        for ((batch, weight), (site_mean, variance)) in sites.batches().iter().zip(&weights).zip(&posteriors)
        {
            for (((sum, m), v), mu) in scatter.iter_mut().zip(site_mean).zip(variance).zip(mean.iter()) {
                let square = core::array::from_fn(|k| (m[k] - mu) * (m[k] - mu) + v[k]);
                lanes::add_product(sum, weight, &square);
            }
            if hyper.noisy {
                lanes::add_product(&mut misfit, weight, &residual_squares(batch, state, site_mean, variance));
                lanes::add_product(&mut records, weight, &batch.records);
            }
        }
        let noise = if hyper.noisy {
            let (misfit, records): (f64, f64) = (misfit.iter().sum(), records.iter().sum());
            let estimate = (misfit + NOISE_RECORDS * NOISE_GUESS) / (records + NOISE_RECORDS);
            estimate.clamp(NOISE_RANGE.0, NOISE_RANGE.1)
        } else {
            state.noise
        };
        Ok(Iterate { mean, spread: hyper.spreads(&across(&scatter), total), noise })
    }

    /// The population as of now, its mean finished in closed form.
    pub(super) fn population(&self) -> Result<Population, Singular> {
        let Self { sites, hyper, weights, state, iterations: _ } = self;
        let dims = sites.dims();
        let from_zero = Iterate { mean: DVector::zeros(dims), ..state.clone() };
        let mut precision: Symmetric<LANES> = Symmetric::zeros(dims);
        let mut pull = alloc::vec![[0.0; LANES]; dims];
        let mut information = Vec::with_capacity(sites.len());
        for (batch, weight) in sites.batches().iter().zip(sites.beside(weights)) {
            let factors = batch.factors(&from_zero)?;
            lanes::add_scaled(&mut pull, weight, &batch.mean(&factors, &from_zero));
            let covariance = factors.inverse();
            precision.add_scaled(weight, &covariance);
            let mut trace = [0.0; LANES];
            for (v, t) in covariance.diagonal().iter().zip(state.spread.iter()) {
                lanes::add_product(&mut trace, &weight, &v.map(|v| 1.0 - v / t));
            }
            information.extend(trace.iter().take(batch.count()).map(|trace| trace.max(0.0)));
        }
        // The sum of w (T^-1 - T^-1 V T^-1), and what is known of the mean before any site.
        let total: f64 = weights.iter().sum();
        let before = hyper.mean_variances(dims);
        let precision = DMatrix::from_fn(dims, dims, |i, j| {
            let (ti, tj) = (state.spread[i], state.spread[j]);
            let seen = precision.row(i.max(j))[i.min(j)].iter().sum::<f64>() / (ti * tj);
            if i == j { total / ti - seen + 1.0 / before[i] } else { -seen }
        });
        let factor = Factor::new(precision)?;
        Ok(Population {
            mean: factor.solve(&across(&pull).component_div(&state.spread)),
            mean_covariance: factor.inverse(),
            spread: state.spread.clone(),
            noise: state.noise,
            information,
        })
    }
}

/// The expected residual sums of squares over the sites' posteriors.
///
/// `y'y - 2 h'm + m'L m + tr(L V)`, where `L` is put in terms of the posterior:
/// `L m = h + s2 (mu - m)/T` and `tr(L V) = s2 (d - tr(V/T))`.
fn residual_squares(
    batch: &Batch,
    prior: &Iterate,
    mean: &[[f64; LANES]],
    variance: &[[f64; LANES]],
) -> [f64; LANES] {
    let mut uncertain = [0.0; LANES];
    for (((m, v), mu), t) in mean.iter().zip(variance).zip(prior.mean.iter()).zip(prior.spread.iter()) {
        lanes::add(&mut uncertain, core::array::from_fn(|k| 1.0 - v[k] / t + m[k] * (mu - m[k]) / t));
    }
    let explained = lanes::dot(&batch.information, mean);
    core::array::from_fn(|k| batch.outcome_squares[k] - explained[k] + prior.noise * uncertain[k])
}

/// The sum over the lanes.
fn across(elements: &[[f64; LANES]]) -> DVector<f64> {
    DVector::from_iterator(elements.len(), elements.iter().map(|lanes| lanes.iter().sum()))
}

impl Hyperprior {
    /// Where the iteration starts.
    fn start(&self, dims: usize) -> Iterate {
        Iterate {
            mean: DVector::zeros(dims),
            spread: DVector::from_element(dims, SPREAD_START),
            noise: if self.noisy { NOISE_GUESS } else { 1.0 },
        }
    }

    /// Whether the noise variance is estimated.
    pub(super) fn is_noisy(&self) -> bool {
        self.noisy
    }

    fn mean_variances(&self, dims: usize) -> DVector<f64> {
        let mut variances = DVector::from_element(dims, self.mean_variance);
        if let Some(intercept) = self.intercept {
            variances[0] = intercept.mean_variance;
        }
        variances
    }

    /// The posterior mode of the spread, given the sites' summed scatter about their mean.
    fn spreads(&self, scatter: &DVector<f64>, total: f64) -> DVector<f64> {
        let slopes = usize::from(self.intercept.is_some());
        let mut spread = if self.common_spread {
            let count = scatter.len().saturating_sub(slopes) as f64;
            let sum: f64 = scatter.iter().skip(slopes).sum();
            let common = (sum + self.dof * self.spread) / (total * count + self.dof);
            DVector::from_element(scatter.len(), common)
        } else {
            scatter.map(|s| (s + self.dof * self.spread) / (total + self.dof))
        };
        if let Some(intercept) = self.intercept {
            spread[0] = (scatter[0] + self.dof * intercept.spread) / (total + self.dof);
        }
        spread
    }
}

#[cfg(test)]
impl Likelihood {
    /// Of no records.
    pub(super) fn nothing(dims: usize) -> Self {
        Self {
            precision: DMatrix::zeros(dims, dims),
            information: DVector::zeros(dims),
            outcome_squares: 0.0,
            records: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, site};
    use alloc::vec;

    fn estimate(sites: &[Likelihood], weights: &[f64], family: Family, iterations: usize) -> Population {
        let (sites, hyper) = (Sites::new(sites), Hyperprior::of(family));
        let estimation = Estimation::new(&sites, weights.to_vec(), &hyper);
        estimation.iterated(iterations).unwrap().population().unwrap()
    }

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
            let population = estimate(&sites, &[1.0; 60], family, 40);
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
        let (sites, hyper) = (Sites::new(&sites), Hyperprior::of(Family::Gaussian));
        let weights = [1.0, 0.5, 1.0, 0.2, 1.0, 1.0, 0.0, 1.0];
        let end = Estimation::new(&sites, weights.to_vec(), &hyper).iterated(400).unwrap();
        let population = end.population().unwrap();
        assert!((&population.mean - &end.state.mean).amax() < 1e-6);
        let next = end.next().unwrap();
        assert!((&next.mean - &population.mean).amax() < 1e-6);
        assert!((&next.spread - &population.spread).amax() < 1e-6);
    }

    #[test]
    fn an_estimate_goes_on_where_it_was() {
        let sites = Sites::new(&sites(Family::Gaussian, 0.2, 9));
        let hyper = Hyperprior::of(Family::Gaussian);
        let start = Estimation::new(&sites, vec![1.0; 9], &hyper);
        let straight = start.clone().iterated(30).unwrap().population().unwrap();
        let paused = start.iterated(20).unwrap().iterated(30).unwrap();
        assert_eq!(paused.population().unwrap().mean, straight.mean);
        let back = paused.iterated(40).unwrap().iterated(30).unwrap();
        assert_eq!(back.population().unwrap().spread, straight.spread);
    }

    /// As the definitions have it, one site after another.
    #[test]
    fn an_iteration_is_the_textbook_one() {
        let all = sites(Family::Gaussian, 0.2, 11);
        let (sites, hyper) = (Sites::new(&all), Hyperprior::of(Family::Gaussian));
        let weights: Vec<f64> = (0..11).map(|k| 1.0 / (1.0 + f64::from(k))).collect();
        let now = Estimation::new(&sites, weights.clone(), &hyper).iterated(3).unwrap();
        let Iterate { mean, spread, noise } = &now.state;
        let next = now.next().unwrap();

        let (mut sum, mut total) = (DVector::zeros(3), 0.0);
        let mut posteriors = Vec::new();
        for (site, &weight) in all.iter().zip(&weights) {
            let precision = &site.precision / *noise + DMatrix::from_diagonal(&spread.map(|t| 1.0 / t));
            let covariance = Factor::new(precision).unwrap().inverse();
            let m = &covariance * (&site.information / *noise + mean.component_div(spread));
            sum += &m * weight;
            total += weight;
            posteriors.push((m, covariance));
        }
        let expected = sum.zip_map(spread, |s, t| s / (total + t));
        let (mut scatter, mut misfit, mut records) = (DVector::zeros(3), 0.0, 0.0);
        for ((site, &weight), (m, v)) in all.iter().zip(&weights).zip(&posteriors) {
            let distance = m - &expected;
            scatter += (distance.component_mul(&distance) + v.diagonal()) * weight;
            let squares = site.outcome_squares - 2.0 * site.information.dot(m)
                + (&site.precision * m).dot(m)
                + site.precision.dot(v);
            misfit += weight * squares;
            records += weight * site.records;
        }
        assert!((&next.mean - expected).amax() < 1e-12);
        assert!((&next.spread - scatter.map(|s| (s + 0.2) / (total + 2.0))).amax() < 1e-12);
        assert!((next.noise - (misfit + 2.8) / (records + 4.0)).abs() < 1e-12);
    }

    #[test]
    fn a_weight_of_two_is_a_site_twice() {
        let mut sites = sites(Family::Logistic, 0.1, 3);
        let weighted = estimate(&sites, &[1.0, 2.0, 1.0], Family::Logistic, 40);
        sites.push(sites[1].clone());
        let repeated = estimate(&sites, &[1.0; 4], Family::Logistic, 40);
        assert!((weighted.mean - repeated.mean).amax() < 1e-10);
        assert!((weighted.mean_covariance - repeated.mean_covariance).amax() < 1e-10);
    }

    #[test]
    fn a_site_of_no_information_contributes_none() {
        let mut sites = sites(Family::Gaussian, 0.1, 3);
        sites[2].scale(0.0);
        let population = estimate(&sites, &[1.0; 3], Family::Gaussian, 40);
        assert!(population.information[2].abs() < 1e-9);
        assert!(population.information[0] > 1.0);
    }
}
