use alloc::vec;
use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::guard::Fit;
use super::laplace;
use super::population::Likelihood;
use crate::evidence::{Evidence, Family};
use crate::lanes::{self, Factors, LANES, Symmetric};
use crate::linalg::Singular;

/// What a site's coefficients may be before its records are looked at: `N(mean, covariance)`, with
/// outcomes of variance `noise` in families that have one.
#[derive(Debug, Clone)]
pub(super) struct Hypothesis {
    pub(super) mean: DVector<f64>,
    pub(super) covariance: DMatrix<f64>,
    pub(super) noise: f64,
}

impl Hypothesis {
    /// Independent coefficients with these positive variances.
    pub(super) fn diagonal(mean: DVector<f64>, variances: &DVector<f64>, noise: f64) -> Self {
        Self { mean, covariance: DMatrix::from_diagonal(variances), noise }
    }
}

/// Gaussian priors over coefficients beside each other, with what evaluating them needs.
#[derive(Debug, Clone)]
pub(crate) struct Priors<const W: usize> {
    pub(crate) mean: Vec<[f64; W]>,
    pub(crate) precision: Symmetric<W>,
    pub(crate) log_det_covariance: [f64; W],
    /// Which lanes hold a prior with a covariance that has an inverse.
    pub(crate) sound: [bool; W],
}

impl<const W: usize> Priors<W> {
    fn of(dims: usize, hypotheses: &[Hypothesis]) -> Self {
        let covariances = Symmetric::of(dims, hypotheses.iter().map(|h| &h.covariance));
        let factors = Factors::new(covariances);
        let mut sound = factors.sound();
        for unused in sound.iter_mut().skip(hypotheses.len()) {
            *unused = false;
        }
        Self {
            mean: lanes::beside(dims, hypotheses.iter().map(|h| &h.mean)),
            precision: factors.inverse(),
            log_det_covariance: factors.log_det(),
            sound,
        }
    }
}

impl Priors<1> {
    /// One prior of independent coefficients with these positive variances.
    pub(crate) fn independent(mean: &[f64], variances: &[f64]) -> Self {
        let mut precision = Symmetric::zeros(mean.len());
        precision.add_diagonal(|k| [1.0 / variances[k]]);
        Self {
            mean: mean.iter().map(|&m| [m]).collect(),
            precision,
            log_det_covariance: [variances.iter().map(|&v| libm::log(v)).sum()],
            sound: [true],
        }
    }
}

/// The posteriors under several hypotheses, and how well each predicted the records. A hypothesis
/// that can't be evaluated in floating point has no fit.
pub(super) fn fits(own: &Evidence, hypotheses: &[Hypothesis]) -> Vec<Result<Fit, Singular>> {
    let dims = own.dims();
    let likelihood = Likelihood::of(own.summary());
    let mut fits = Vec::with_capacity(hypotheses.len());
    for chunk in hypotheses.chunks(LANES) {
        let priors: Priors<LANES> = Priors::of(dims, chunk);
        let posteriors = match own.family() {
            Family::Gaussian => {
                let mut noise = [1.0; LANES];
                for (noise, hypothesis) in noise.iter_mut().zip(chunk) {
                    *noise = hypothesis.noise;
                }
                likelihood.posteriors(&priors, noise)
            }
            Family::Logistic => laplace::posteriors(&own.logistic_records(), &priors, &likelihood),
            Family::Cox => laplace::posteriors(&own.cox_records(), &priors, &likelihood),
        };
        fits.extend((0..chunk.len()).map(|lane| posteriors.fit(lane)));
    }
    fits
}

/// The posteriors under priors that are beside each other.
#[derive(Debug)]
pub(super) struct Posteriors<const W: usize> {
    pub(super) mean: Vec<[f64; W]>,
    pub(super) variance: Vec<[f64; W]>,
    pub(super) log_evidence: [f64; W],
    pub(super) sound: [bool; W],
}

impl<const W: usize> Posteriors<W> {
    fn fit(&self, lane: usize) -> Result<Fit, Singular> {
        if !self.sound[lane] {
            return Err(Singular);
        }
        Ok(Fit {
            mean: lanes::one(&self.mean, lane),
            variance: lanes::one(&self.variance, lane),
            log_evidence: self.log_evidence[lane],
        })
    }

    /// Lanes whose prior has no inverse have no posterior.
    pub(super) fn none(dims: usize) -> Self {
        Self {
            mean: vec![[0.0; W]; dims],
            variance: vec![[0.0; W]; dims],
            log_evidence: [0.0; W],
            sound: [false; W],
        }
    }
}
