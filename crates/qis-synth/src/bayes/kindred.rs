//! Peers like this site, told by how well each predicts the site's own records.

use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::guard::Fit;
use super::population::{Hyperprior, Likelihood, Population};
use super::prior_density::Prior;
use crate::evidence::{Evidence, Family};
use crate::linalg::Singular;

/// How much a site may differ from a peer it is like, as a share of the spread of all peers.
const CLOSENESS: [f64; 2] = [0.05, 0.3];
/// Less total weight than this is no group to learn from.
const QUORUM: f64 = 1.5;
/// Log Bayes factors beyond this are certainty.
const CERTAINTY: f64 = 30.0;

/// A population of some of the peers, and the weight of each peer in it.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) population: Population,
    pub(super) weights: Vec<f64>,
}

/// Populations of the peers that are like this site, one for each degree of closeness that finds
/// enough of them.
///
/// A peer's weight is the posterior probability, at even prior odds, that the site's records come
/// from around that peer rather than from the population of all: the logistic function of the log
/// Bayes factor. So a site of a minority finds the others of its kind, which an estimate of one
/// population of all, robust or not, would hide from it.
pub(super) fn views(own: &Evidence, sites: &[Likelihood], hyper: &Hyperprior) -> Result<Vec<View>, Singular> {
    let everyone: Vec<f64> = sites.iter().map(|_| 1.0).collect();
    let base = Population::estimate(sites, &everyone, hyper)?;
    let spread = DMatrix::from_diagonal(&base.spread);
    let anyone = log_evidence(own, &base.mean, &base.mean_covariance + &spread, base.noise)?;
    let mut views = Vec::new();
    for closeness in CLOSENESS {
        let weight = |site: &Likelihood| {
            let (covariance, mean) = site.posterior(&base.mean, &base.spread, base.noise)?;
            let Ok(near) = log_evidence(own, &mean, covariance + &spread * closeness, base.noise) else {
                return Ok(0.0);
            };
            let factor = (near - anyone).clamp(-CERTAINTY, CERTAINTY);
            Ok(1.0 / (1.0 + libm::exp(-factor)))
        };
        let weights = sites.iter().map(weight).collect::<Result<Vec<f64>, Singular>>()?;
        if weights.iter().sum::<f64>() > QUORUM {
            let population = Population::estimate(sites, &weights, hyper)?;
            views.push(View { population, weights });
        }
    }
    Ok(views)
}

fn log_evidence(
    own: &Evidence,
    mean: &DVector<f64>,
    covariance: DMatrix<f64>,
    noise: f64,
) -> Result<f64, Singular> {
    let prior = Prior::full(mean.clone(), covariance)?;
    let fit: Fit = match own.family() {
        Family::Logistic => own.logistic_records().fit(&prior)?,
        Family::Gaussian => Likelihood::of(own.summary()).fit_gaussian(&prior, noise)?,
    };
    fit.log_evidence.is_finite().then_some(fit.log_evidence).ok_or(Singular)
}
