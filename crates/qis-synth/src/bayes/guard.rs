//! Evidence averaging: how far the peers are believed is decided by the site's own records.

use alloc::vec;
use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::hypothesis::{self, Hypothesis};
use super::kindred::View;
use super::population::Population;
use crate::evidence::{Evidence, Family};
use crate::linalg::Singular;

/// The posterior under one hypothesis, and how well the hypothesis predicted the data.
#[derive(Debug, Clone)]
pub(crate) struct Fit {
    pub(crate) mean: DVector<f64>,
    pub(crate) variance: DVector<f64>,
    pub(crate) log_evidence: f64,
}

/// The average of the posteriors under all hypotheses, each weighted by how well it predicted the
/// data (Bayesian model averaging; Hoeting et al., 1999).
#[derive(Debug, Clone)]
pub(super) struct Averaged {
    pub(super) mean: DVector<f64>,
    pub(super) variance: DVector<f64>,
    /// The posterior probability of each view of the peers; the rest is the local hypotheses'.
    pub(super) view_weights: Vec<f64>,
}

/// Prior variances of a site that learns alone: from hardly any effect to effects of one unit.
const LOGISTIC_LOCAL: [f64; 5] = [0.01, 0.03, 0.1, 0.3, 1.0];
const LOGISTIC_LOCAL_INTERCEPT: f64 = 1.5;
const GAUSSIAN_LOCAL: [f64; 4] = [0.02, 0.1, 0.4, 1.5];
const GAUSSIAN_LOCAL_NOISE: [f64; 5] = [0.03, 0.1, 0.25, 0.5, 0.9];
/// Survival studies have few events for their features, so that firmer priors are likely too.
const COX_LOCAL: [f64; 6] = [0.003, 0.01, 0.03, 0.1, 0.3, 1.0];
/// How the peers' spread and noise may differ from this site's distance to them and its noise.
const SPREAD_FACTORS: [f64; 3] = [0.3, 1.0, 3.0];
const NOISE_FACTORS: [f64; 3] = [0.6, 1.0, 1.6];
/// A site may show the peers' effects in full or attenuated.
const LOGISTIC_SLOPE_FACTORS: [f64; 2] = [0.5, 1.0];
const COX_SLOPE_FACTORS: [f64; 2] = [0.6, 1.0];
/// The part of the peers' prior probability that goes to those like this site. They were chosen by
/// the very records their hypotheses are then weighed by, which flatters them. In simulations a tenth
/// undoes most of the harm to a site whose peers are all alike, and keeps most of the gain of one
/// whose kind is a minority.
const KINDRED_MASS: f64 = 0.1;
/// The base rate is always the site's own to find.
const LOGISTIC_INTERCEPT_SPREAD: f64 = 0.5;

/// Averages the posteriors of the local hypotheses.
pub(super) fn average_local(own: &Evidence) -> Result<Averaged, Singular> {
    average(own, &[], 1.0)
}

/// Averages the posteriors of the local hypotheses, of prior probability `local_mass` together,
/// and of the hypotheses that each view of the peers gives rise to. The first view is of all
/// peers and the rest are of those like this site.
pub(super) fn average(own: &Evidence, views: &[View], local_mass: f64) -> Result<Averaged, Singular> {
    let kindred = views.len().saturating_sub(1);
    let kindred_mass = if kindred > 0 { KINDRED_MASS } else { 0.0 };
    let mut hypotheses = local_hypotheses(own);
    let mut groups = vec![(local_mass, hypotheses.len())];
    for (k, view) in views.iter().enumerate() {
        let share = if k == 0 { 1.0 - kindred_mass } else { kindred_mass / kindred as f64 };
        let of_view = peer_hypotheses(own.family(), &view.population);
        groups.push(((1.0 - local_mass) * share, of_view.len()));
        hypotheses.extend(of_view);
    }
    let mut fits = hypothesis::fits(own, &hypotheses).into_iter();
    let groups = groups
        .into_iter()
        .map(|(mass, count)| Ok((mass, fits.by_ref().take(count).collect::<Result<_, _>>()?)));
    weigh(&groups.collect::<Result<Vec<_>, Singular>>()?)
}

fn local_hypotheses(own: &Evidence) -> Vec<Hypothesis> {
    let dims = own.dims();
    let zero = DVector::zeros(dims);
    match own.family() {
        Family::Logistic => {
            let hypothesis = |v| {
                let mut variances = DVector::from_element(dims, v);
                variances[0] = LOGISTIC_LOCAL_INTERCEPT;
                Hypothesis::diagonal(zero.clone(), &variances, 1.0)
            };
            LOGISTIC_LOCAL.map(hypothesis).into()
        }
        Family::Cox => {
            let variances = |v| DVector::from_element(dims, v);
            COX_LOCAL.map(|v| Hypothesis::diagonal(zero.clone(), &variances(v), 1.0)).into()
        }
        Family::Gaussian => {
            let mut all = Vec::new();
            for v in GAUSSIAN_LOCAL {
                let variances = DVector::from_element(dims, v);
                let with = |noise| Hypothesis::diagonal(zero.clone(), &variances, noise);
                all.extend(GAUSSIAN_LOCAL_NOISE.map(with));
            }
            all
        }
    }
}

fn peer_hypotheses(family: Family, population: &Population) -> Vec<Hypothesis> {
    let mut all = Vec::new();
    match family {
        Family::Logistic => {
            for slopes in LOGISTIC_SLOPE_FACTORS {
                let mut mean = &population.mean * slopes;
                mean[0] = population.mean[0];
                for factor in SPREAD_FACTORS {
                    let mut spread = &population.spread * factor;
                    spread[0] = population.spread[0].max(LOGISTIC_INTERCEPT_SPREAD);
                    all.push(Hypothesis::diagonal(mean.clone(), &spread, 1.0));
                }
            }
        }
        Family::Cox => {
            let uncertain = population.mean_covariance.diagonal();
            for slopes in COX_SLOPE_FACTORS {
                let mean = &population.mean * slopes;
                all.extend(SPREAD_FACTORS.map(|factor| {
                    let variances = &population.spread * factor + &uncertain;
                    Hypothesis::diagonal(mean.clone(), &variances, 1.0)
                }));
            }
        }
        Family::Gaussian => {
            for factor in SPREAD_FACTORS {
                let spread = DMatrix::from_diagonal(&(&population.spread * factor));
                let covariance = &population.mean_covariance + spread;
                all.extend(NOISE_FACTORS.map(|factor| Hypothesis {
                    mean: population.mean.clone(),
                    covariance: covariance.clone(),
                    noise: population.noise * factor,
                }));
            }
        }
    }
    all
}

/// The average over groups of hypotheses, the first of them local. The prior probability of each
/// group is split evenly over its hypotheses.
///
/// A hypothesis whose evidence is beyond floating point did not predict the data and is left out.
fn weigh(groups: &[(f64, Vec<Fit>)]) -> Result<Averaged, Singular> {
    let mut scored: Vec<(usize, f64, &Fit)> = Vec::new();
    for (group, (mass, fits)) in groups.iter().enumerate() {
        let log_prior = libm::log(mass / fits.len() as f64);
        let scores = fits.iter().map(|fit| (group, fit.log_evidence + log_prior, fit));
        scored.extend(scores.filter(|(_, score, fit)| score.is_finite() && fit.is_finite()));
    }
    let best = scored.iter().map(|(_, score, _)| *score).reduce(f64::max).ok_or(Singular)?;
    let weights: Vec<f64> = scored.iter().map(|(_, score, _)| libm::exp(score - best)).collect();
    let total: f64 = weights.iter().sum();

    let dims = scored.first().map_or(0, |(_, _, fit)| fit.mean.len());
    let mut mean = DVector::zeros(dims);
    let mut posterior = vec![0.0; groups.len()];
    for ((group, _, fit), weight) in scored.iter().zip(&weights) {
        mean.axpy(weight / total, &fit.mean, 1.0);
        posterior[*group] += weight / total;
    }
    // The variance of a mixture: that within its parts and that between their means.
    let mut variance = DVector::zeros(dims);
    for ((_, _, fit), weight) in scored.iter().zip(&weights) {
        let distance = &fit.mean - &mean;
        variance += (&fit.variance + distance.component_mul(&distance)) * (weight / total);
    }
    posterior.remove(0);
    Ok(Averaged { mean, variance, view_weights: posterior })
}

impl Fit {
    fn is_finite(&self) -> bool {
        let figures = self.mean.iter().chain(self.variance.iter());
        figures.copied().all(f64::is_finite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(mean: f64, variance: f64, log_evidence: f64) -> Fit {
        Fit {
            mean: DVector::from_element(1, mean),
            variance: DVector::from_element(1, variance),
            log_evidence,
        }
    }

    #[test]
    fn hypotheses_are_weighed_by_prior_and_evidence() {
        // Prior 0.25 and 0.75, likelihood 3 to 1: even odds.
        let local = vec![fit(0.0, 1.0, libm::log(3.0))];
        let peers = vec![fit(2.0, 1.0, 0.0)];
        let averaged = weigh(&[(0.25, local), (0.75, peers)]).unwrap();
        assert!((averaged.view_weights[0] - 0.5).abs() < 1e-12);
        assert!((averaged.mean[0] - 1.0).abs() < 1e-12);
        // 1 within each and 1 between the two means.
        assert!((averaged.variance[0] - 2.0).abs() < 1e-12);
    }

    #[test]
    fn the_number_of_hypotheses_of_a_side_does_not_matter() {
        let local = vec![fit(0.0, 1.0, 0.0), fit(0.0, 1.0, 0.0), fit(0.0, 1.0, 0.0)];
        let averaged = weigh(&[(0.5, local), (0.5, vec![fit(1.0, 1.0, 0.0)])]).unwrap();
        assert!((averaged.view_weights[0] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn the_views_share_what_is_not_local() {
        let local = (0.5, vec![fit(0.0, 1.0, 0.0)]);
        let views = [(0.25, vec![fit(1.0, 1.0, 0.0)]), (0.25, vec![fit(1.0, 1.0, libm::log(2.0))])];
        let [first, second] = views;
        let averaged = weigh(&[local, first, second]).unwrap();
        // Prior by likelihood is 2/4 local, 1/4 and 2/4 for the views.
        assert!((averaged.view_weights[0] - 0.2).abs() < 1e-12);
        assert!((averaged.view_weights[1] - 0.4).abs() < 1e-12);
    }

    #[test]
    fn what_is_not_finite_is_left_out() {
        let local = vec![fit(1.0, 1.0, -1e6)];
        let peers = vec![
            fit(f64::NAN, 1.0, 0.0),
            fit(0.0, 1.0, f64::NAN),
            fit(f64::INFINITY, 1.0, 0.0),
            fit(0.0, 1.0, f64::NEG_INFINITY),
        ];
        let averaged = weigh(&[(0.5, local), (0.5, peers.clone())]).unwrap();
        assert_eq!((averaged.mean[0], averaged.view_weights[0]), (1.0, 0.0));
        assert!(weigh(&[(1.0, peers)]).is_err());
    }
}
