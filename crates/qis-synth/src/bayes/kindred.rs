//! Peers like this site, told by how well each predicts the site's own records.

use alloc::vec::Vec;

use nalgebra::DMatrix;

use super::hypothesis::{self, Hypothesis};
use super::population::{Estimation, Hyperprior, Iterate, Population};
use super::sites::Sites;
use crate::evidence::Evidence;
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
///
/// `base` is the population of all peers, none of them weighted.
pub(super) fn views(
    own: &Evidence,
    sites: &Sites,
    base: &Population,
    hyper: &Hyperprior,
    iterations: usize,
) -> Result<Vec<View>, Singular> {
    let spread = DMatrix::from_diagonal(&base.spread);
    let noise = base.noise;
    let prior = Iterate { mean: base.mean.clone(), spread: base.spread.clone(), noise };
    let covariance = &base.mean_covariance + &spread;
    let mut hypotheses = Vec::with_capacity(1 + CLOSENESS.len() * sites.len());
    hypotheses.push(Hypothesis { mean: base.mean.clone(), covariance, noise });
    let posteriors = sites.posteriors(&prior)?;
    for closeness in CLOSENESS {
        let near = &spread * closeness;
        hypotheses.extend(posteriors.iter().map(|one| Hypothesis {
            mean: one.mean.clone(),
            covariance: &one.covariance + &near,
            noise,
        }));
    }
    let evidence = hypothesis::fits(own, &hypotheses).into_iter().map(|fit| {
        let log_evidence = fit?.log_evidence;
        log_evidence.is_finite().then_some(log_evidence).ok_or(Singular)
    });
    let evidence: Vec<Result<f64, Singular>> = evidence.collect();
    let (anyone, near) = evidence.split_first().ok_or(Singular)?;
    let anyone = (*anyone)?;

    let mut views = Vec::new();
    for near in near.chunks(sites.len()) {
        let weight = |near: &Result<f64, Singular>| {
            near.map_or(0.0, |near| {
                let factor = (near - anyone).clamp(-CERTAINTY, CERTAINTY);
                1.0 / (1.0 + libm::exp(-factor))
            })
        };
        let weights: Vec<f64> = near.iter().map(weight).collect();
        if weights.iter().sum::<f64>() > QUORUM {
            let estimation = Estimation::new(sites, weights.clone(), hyper).iterated(iterations)?;
            views.push(View { population: estimation.population()?, weights });
        }
    }
    Ok(views)
}
