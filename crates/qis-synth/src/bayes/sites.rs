use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::population::{Iterate, Likelihood};
use crate::lanes::{self, Factors, LANES, Symmetric};
use crate::linalg::Singular;

/// The likelihoods of several sites of one dimension.
#[derive(Debug)]
pub(super) struct Sites {
    count: usize,
    dims: usize,
    batches: Vec<Batch>,
}

/// The likelihoods of up to [`LANES`] sites beside each other. A lane left over has no information.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) precision: Symmetric<LANES>,
    pub(super) information: Vec<[f64; LANES]>,
    pub(super) outcome_squares: [f64; LANES],
    pub(super) records: [f64; LANES],
    count: usize,
}

/// What is known of a site's coefficients: `N(mean, covariance)`.
#[derive(Debug)]
pub(super) struct Posterior {
    pub(super) mean: DVector<f64>,
    pub(super) covariance: DMatrix<f64>,
}

impl Sites {
    pub(super) fn new(likelihoods: &[Likelihood]) -> Self {
        let dims = likelihoods.first().map_or(0, Likelihood::dims);
        let batches = likelihoods.chunks(LANES).map(|chunk| Batch::new(dims, chunk)).collect();
        Self { count: likelihoods.len(), dims, batches }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn dims(&self) -> usize {
        self.dims
    }

    pub(super) fn batches(&self) -> &[Batch] {
        &self.batches
    }

    /// A number for each site, in the lanes of the batches and 0 in those left over.
    pub(super) fn beside(&self, numbers: &[f64]) -> Vec<[f64; LANES]> {
        let chunk = |chunk: &[f64]| {
            let mut all = [0.0; LANES];
            for (lane, number) in all.iter_mut().zip(chunk) {
                *lane = *number;
            }
            all
        };
        numbers.chunks(LANES).map(chunk).collect()
    }

    /// The posterior means of all sites.
    pub(super) fn means(&self, prior: &Iterate) -> Result<Vec<DVector<f64>>, Singular> {
        let mut means = Vec::with_capacity(self.len());
        for batch in &self.batches {
            let mean = batch.mean(&batch.factors(prior)?, prior);
            means.extend((0..batch.count).map(|lane| lanes::one(&mean, lane)));
        }
        Ok(means)
    }

    /// The posteriors of all sites.
    pub(super) fn posteriors(&self, prior: &Iterate) -> Result<Vec<Posterior>, Singular> {
        let mut posteriors = Vec::with_capacity(self.len());
        for batch in &self.batches {
            let factors = batch.factors(prior)?;
            let mean = batch.mean(&factors, prior);
            let covariance = factors.inverse();
            let lane = |lane| Posterior { mean: lanes::one(&mean, lane), covariance: covariance.lane(lane) };
            posteriors.extend((0..batch.count).map(lane));
        }
        Ok(posteriors)
    }
}

impl Batch {
    fn new(dims: usize, likelihoods: &[Likelihood]) -> Self {
        let each = |figure: fn(&Likelihood) -> f64| {
            let mut all = [0.0; LANES];
            for (lane, likelihood) in all.iter_mut().zip(likelihoods) {
                *lane = figure(likelihood);
            }
            all
        };
        let mut precision = Symmetric::zeros(dims);
        for (lane, likelihood) in likelihoods.iter().enumerate() {
            precision.set_lane(lane, &likelihood.precision);
        }
        Self {
            precision,
            information: lanes::beside(dims, likelihoods.iter().map(|l| &l.information)),
            outcome_squares: each(|l| l.outcome_squares),
            records: each(|l| l.records),
            count: likelihoods.len(),
        }
    }

    /// How many sites there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The factors of the sites' posterior precisions.
    pub(super) fn factors(&self, prior: &Iterate) -> Result<Factors<LANES>, Singular> {
        let mut precision = self.precision.clone();
        precision.scale(1.0 / prior.noise);
        precision.add_diagonal(|k| [1.0 / prior.spread[k]; LANES]);
        let factors = Factors::new(precision);
        factors.sound().iter().all(|&sound| sound).then_some(factors).ok_or(Singular)
    }

    /// The sites' posterior means.
    pub(super) fn mean(&self, factors: &Factors<LANES>, prior: &Iterate) -> Vec<[f64; LANES]> {
        let pull = |(k, information): (usize, &[f64; LANES])| {
            let prior_pull = prior.mean[k] / prior.spread[k];
            information.map(|h| h / prior.noise + prior_pull)
        };
        let mut mean: Vec<_> = self.information.iter().enumerate().map(pull).collect();
        factors.solve(&mut mean);
        mean
    }
}
