//! What the hospitals could do without QIS, and how every method is judged.
//!
//! All methods fit a logistic regression; they differ in whom they listen to.

use crate::data::{DIM, Design, FEATURES, Site};
use examples::Rng;

/// Coefficients of a logistic regression, intercept first.
pub(crate) type Theta = [f64; DIM];
type Matrix = [[f64; DIM]; DIM];

/// Test results of one model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Score {
    /// Share of patients on the right side of one half.
    pub(crate) accuracy: f64,
    /// Mean negative log-probability of what was the case, in nats.
    pub(crate) log_loss: f64,
}

impl Score {
    /// Judges `theta` on `data`.
    pub(crate) fn of(theta: &[f64], data: &Design) -> Self {
        let n = data.len() as f64;
        let right = data.iter().filter(|(x, y)| (probability(theta, x) > 0.5) == (*y == 1.0));
        Self { accuracy: right.count() as f64 / n, log_loss: -log_likelihood(theta, data, 1e-6) / n }
    }
}

/// The share of ill patients among the training rows, whoever the patient.
pub(crate) fn majority(site: &Site) -> Theta {
    let ill: f64 = site.train.labels.iter().sum();
    let well = site.train.len() as f64 - ill;
    let mut theta = [0.0; DIM];
    theta[0] = ((ill + 1.0) / (well + 1.0)).ln();
    theta
}

/// Ridge regression whose strength is chosen by five-fold cross-validation on log-loss.
pub(crate) fn local(site: &Site, rng: &mut Rng) -> Theta {
    const FOLDS: usize = 5;
    let data = &site.train;
    let fold: Vec<usize> = rng.permutation(data.len()).iter().map(|i| i % FOLDS).collect();
    let held_out_loss = |prior: &Theta| -> f64 {
        let loss = |k| {
            let theta = ridge(&data.filter(|i| fold[i] != k), prior, 25);
            -log_likelihood(&theta, &data.filter(|i| fold[i] == k), 1e-6)
        };
        (0..FOLDS).map(loss).sum()
    };
    let priors = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0].map(|v| prior(v, f64::max(v, 1.0)));
    let losses = priors.each_ref().map(held_out_loss);
    let best = (0..priors.len()).min_by(|a, b| losses[*a].total_cmp(&losses[*b])).unwrap_or(0);
    ridge(data, &priors[best], 25)
}

/// Ridge regressions of five strengths, averaged by their evidence (Laplace's approximation).
pub(crate) fn local_evidence(site: &Site) -> Theta {
    let fits = [0.01, 0.03, 0.1, 0.3, 1.0].map(|variance| {
        let prior = prior(variance, 1.5);
        let theta = ridge(&site.train, &prior, 15);
        (theta, log_evidence(&theta, &site.train, &prior))
    });
    let best = fits.iter().map(|fit| fit.1).fold(f64::NEG_INFINITY, f64::max);
    weighted_mean(fits.iter().map(|(theta, evidence)| (theta, (evidence - best).exp())))
}

/// Federated averaging (`McMahan` et al., 2017): one model for all, by stochastic gradient descent.
pub(crate) fn fedavg(sites: &[Site], rng: &mut Rng) -> Theta {
    const ROUNDS: usize = 15;
    let mut theta = [0.0; DIM].map(|_: f64| rng.symmetric() / (FEATURES as f64).sqrt());
    for _ in 0..ROUNDS {
        let trained = sites.iter().map(|s| (sgd(&s.train, theta, rng), s.train.len() as f64));
        let trained: Vec<_> = trained.collect();
        theta = weighted_mean(trained.iter().map(|(theta, n)| (theta, *n)));
    }
    theta
}

/// The published article's rule: each round, .7 of what a site believes and .3 of the mean of
/// the others, weighted by a confidence that grows with their number of patients.
pub(crate) fn article(start: &[Theta], sites: &[Site], rounds: usize) -> Vec<Theta> {
    let confidence: Vec<f64> = sites.iter().map(|s| s.train.len() as f64).map(|n| n / (n + 20.0)).collect();
    let mut states = start.to_vec();
    for _ in 0..rounds {
        let step = |(i, own): (usize, &Theta)| {
            let peers = states.iter().zip(&confidence).enumerate();
            let peers = peers.filter(|(j, _)| *j != i).map(|(_, (theta, c))| (theta, *c));
            weighted_mean([(own, 0.7), (&weighted_mean(peers), 0.3)])
        };
        states = states.iter().enumerate().map(step).collect();
    }
    states
}

fn weighted_mean<'a>(items: impl IntoIterator<Item = (&'a Theta, f64)>) -> Theta {
    let (mut sum, mut total) = ([0.0; DIM], 0.0);
    for (theta, weight) in items {
        add(&mut sum, weight, theta);
        total += weight;
    }
    sum.map(|s| s / total)
}

/// 100 steps of stochastic gradient descent in batches of four, from `theta`.
fn sgd(data: &Design, mut theta: Theta, rng: &mut Rng) -> Theta {
    const STEPS: usize = 100;
    const BATCH: usize = 4;
    const RATE: f64 = 0.03;
    let (mut order, mut next) = (rng.permutation(data.len()), 0);
    for _ in 0..STEPS {
        if next >= order.len() {
            (order, next) = (rng.permutation(data.len()), 0);
        }
        let batch = &order[next..order.len().min(next + BATCH)];
        next += BATCH;
        let mut gradient = [0.0; DIM];
        for &i in batch {
            let error = probability(&theta, &data.rows[i]) - data.labels[i];
            add(&mut gradient, error / batch.len() as f64, &data.rows[i]);
        }
        add(&mut theta, -RATE, &gradient);
    }
    theta
}

/// Variances of independent Gaussian priors around zero.
fn prior(slopes: f64, intercept: f64) -> Theta {
    let mut prior = [slopes; DIM];
    prior[0] = intercept;
    prior
}

/// The most probable coefficients under a Gaussian prior with variances `prior`, by Newton steps.
fn ridge(data: &Design, prior: &Theta, iterations: usize) -> Theta {
    let mut theta = [0.0; DIM];
    for _ in 0..iterations {
        let mut gradient: Theta = std::array::from_fn(|d| -theta[d] / prior[d]);
        for (x, y) in data.iter() {
            add(&mut gradient, y - probability(&theta, x), x);
        }
        let step = solve(&cholesky(&curvature(&theta, data, prior)), gradient);
        let longest = step.iter().fold(0.0_f64, |m, s| m.max(s.abs()));
        // A long step is cut short: on separable data the first ones can overshoot.
        add(&mut theta, (3.0 / longest).min(1.0), &step);
        if longest < 1e-6 {
            break;
        }
    }
    theta
}

/// Laplace's approximation to the log-evidence of `prior`, given the most probable `theta`.
fn log_evidence(theta: &Theta, data: &Design, prior: &Theta) -> f64 {
    let factor = cholesky(&curvature(theta, data, prior));
    let coefficients = theta.iter().zip(prior).enumerate();
    let occam = coefficients.map(|(d, (t, v))| t * t / v + 2.0 * factor[d][d].ln() + v.ln());
    log_likelihood(theta, data, 1e-9) - 0.5 * occam.sum::<f64>()
}

/// The negative log-posterior's Hessian.
fn curvature(theta: &Theta, data: &Design, prior: &Theta) -> Matrix {
    let mut hessian = [[0.0; DIM]; DIM];
    for (d, row) in hessian.iter_mut().enumerate() {
        row[d] = 1.0 / prior[d];
    }
    for x in &data.rows {
        let p = probability(theta, x);
        for (row, xd) in hessian.iter_mut().zip(x) {
            add(row, p * (1.0 - p) * xd, x);
        }
    }
    hessian
}

/// The probability that a patient is ill.
fn probability(theta: &[f64], x: &Theta) -> f64 {
    let log_odds: f64 = theta.iter().zip(x).map(|(t, x)| t * x).sum();
    1.0 / (1.0 + (-log_odds.clamp(-30.0, 30.0)).exp())
}

/// Log-likelihood with probabilities held `margin` away from 0 and 1.
fn log_likelihood(theta: &[f64], data: &Design, margin: f64) -> f64 {
    let of_one = |(x, y): (&Theta, f64)| {
        let p = probability(theta, x).clamp(margin, 1.0 - margin);
        if y == 1.0 { p.ln() } else { (1.0 - p).ln() }
    };
    data.iter().map(of_one).sum()
}

/// `sum += weight * term`.
fn add(sum: &mut Theta, weight: f64, term: &Theta) {
    for (s, t) in sum.iter_mut().zip(term) {
        *s += weight * t;
    }
}

/// The lower Cholesky factor of a positive definite matrix.
fn cholesky(a: &Matrix) -> Matrix {
    let mut l = [[0.0; DIM]; DIM];
    for i in 0..DIM {
        for j in 0..=i {
            let rest = a[i][j] - (0..j).map(|k| l[i][k] * l[j][k]).sum::<f64>();
            l[i][j] = if i == j { rest.sqrt() } else { rest / l[j][j] };
        }
    }
    l
}

/// The solution of `L Lᵀ x = b`.
fn solve(l: &Matrix, b: Theta) -> Theta {
    let mut x = b;
    for i in 0..DIM {
        let known: f64 = (0..i).map(|k| l[i][k] * x[k]).sum();
        x[i] = (x[i] - known) / l[i][i];
    }
    for i in (0..DIM).rev() {
        let known: f64 = (i + 1..DIM).map(|k| l[k][i] * x[k]).sum();
        x[i] = (x[i] - known) / l[i][i];
    }
    x
}
