//! The posterior of coefficients whose likelihood has no closed form: its mode by Newton's method,
//! and the evidence around it by Laplace's approximation (Tierney and Kadane, 1986).

use alloc::vec;
use alloc::vec::Vec;

use super::hypothesis::{Posteriors, Priors};
use super::population::Likelihood;
use crate::lanes::{self, Factors, Symmetric};

/// Newton steps of a summary's fit.
const NEWTON_STEPS: usize = 25;
/// Newton steps of each hypothesis of an average.
const HYPOTHESIS_STEPS: usize = 15;
/// No coefficient moves further in one step: far from the mode the quadratic model overshoots.
const STEP_LIMIT: f64 = 3.0;
/// A step this short was the last: the distance left is of the order of its square.
const STEP_TOLERANCE: f64 = 1e-4;

/// A log-likelihood that is concave in its coefficients, evaluated at `W` points at a time.
pub(crate) trait LogLikelihood {
    /// Adds the gradient and the negative Hessian at `theta`.
    fn add_derivatives<const W: usize>(
        &self,
        theta: &[[f64; W]],
        gradient: &mut [[f64; W]],
        precision: &mut Symmetric<W>,
    );

    fn log_likelihood<const W: usize>(&self, theta: &[[f64; W]]) -> [f64; W];
}

/// The mode of the posterior under one prior, searched from the prior's mean.
pub(crate) fn mode(data: &impl LogLikelihood, prior: &Priors<1>) -> Option<Vec<f64>> {
    let (theta, sound) = modes(data, prior, prior.mean.clone(), NEWTON_STEPS);
    (sound == [true]).then(|| theta.into_iter().map(|[t]| t).collect())
}

/// The mode of each posterior, after at most `steps` Newton steps from `start`, and which lanes
/// could be followed to it.
fn modes<const W: usize>(
    data: &impl LogLikelihood,
    priors: &Priors<W>,
    start: Vec<[f64; W]>,
    steps: usize,
) -> (Vec<[f64; W]>, [bool; W]) {
    let mut theta = start;
    let mut sound = priors.sound;
    let mut moving = sound;
    let mut derivatives = Derivatives::new(theta.len());
    for _ in 0..steps {
        if moving == [false; W] {
            break;
        }
        let (mut step, precision) = derivatives.of_posterior(data, priors, &theta);
        let factors = Factors::new(precision);
        factors.solve(&mut step);
        for lane in 0..W {
            sound[lane] &= factors.sound()[lane] || !moving[lane];
            moving[lane] &= sound[lane];
            if !moving[lane] {
                continue;
            }
            let longest = step.iter().fold(0.0_f64, |max, s| max.max(s[lane].abs()));
            let share = if longest > STEP_LIMIT { STEP_LIMIT / longest } else { 1.0 };
            for (theta, step) in theta.iter_mut().zip(&step) {
                theta[lane] += share * step[lane];
            }
            moving[lane] = longest >= STEP_TOLERANCE;
        }
    }
    (theta, sound)
}

/// The posteriors under `priors` and the log marginal likelihoods.
///
/// `expansion` is the likelihood's quadratic form, at whose mode under each prior the search
/// starts: from there it is a step or two shorter than from the prior's mean.
pub(super) fn posteriors<const W: usize>(
    data: &impl LogLikelihood,
    priors: &Priors<W>,
    expansion: &Likelihood,
) -> Posteriors<W> {
    let start = expansion.modes(priors);
    let (mean, sound) = modes(data, priors, start, HYPOTHESIS_STEPS);
    if sound == [false; W] {
        return Posteriors::none(mean.len());
    }
    let mut derivatives = Derivatives::new(mean.len());
    let (_, precision) = derivatives.of_posterior(data, priors, &mean);
    let posterior = Factors::new(precision);
    let offset = difference(&mean, &priors.mean);
    let distance = lanes::dot(&priors.precision.times(&offset), &offset);
    let likelihood = data.log_likelihood(&mean);
    let log_det = posterior.log_det();
    // ln det(I + T L) = ln det(L + T^-1) + ln det T.
    let log_evidence = core::array::from_fn(|k| {
        likelihood[k] - 0.5 * distance[k] - 0.5 * (log_det[k] + priors.log_det_covariance[k])
    });
    let both = core::array::from_fn(|k| sound[k] && posterior.sound()[k]);
    Posteriors { variance: posterior.inverse_diagonal(), mean, log_evidence, sound: both }
}

/// Room for derivatives, taken once a search.
#[derive(Debug)]
struct Derivatives<const W: usize> {
    gradient: Vec<[f64; W]>,
    precision: Symmetric<W>,
}

impl<const W: usize> Derivatives<W> {
    fn new(dims: usize) -> Self {
        Self { gradient: vec![[0.0; W]; dims], precision: Symmetric::zeros(dims) }
    }

    /// The gradient of the log-posterior and its negative Hessian.
    fn of_posterior(
        &mut self,
        data: &impl LogLikelihood,
        priors: &Priors<W>,
        theta: &[[f64; W]],
    ) -> (Vec<[f64; W]>, Symmetric<W>) {
        self.gradient.fill([0.0; W]);
        self.precision.fill_zero();
        data.add_derivatives(theta, &mut self.gradient, &mut self.precision);
        let pull = priors.precision.times(&difference(theta, &priors.mean));
        let mut precision = self.precision.clone();
        precision.add_scaled([1.0; W], &priors.precision);
        (difference(&self.gradient, &pull), precision)
    }
}

pub(super) fn difference<const W: usize>(a: &[[f64; W]], b: &[[f64; W]]) -> Vec<[f64; W]> {
    a.iter().zip(b).map(|(a, b)| core::array::from_fn(|k| a[k] - b[k])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bayes::hypothesis::{Hypothesis, fits};
    use crate::bayes::logistic::LogisticRecords;
    use crate::evidence::Family;
    use crate::testing::{Random, site};
    use nalgebra::DVector;

    #[test]
    fn the_evidence_is_near_the_integral() {
        let rows = vec![1.0; 12];
        let outcomes: Vec<f64> = (0..12).map(|i| f64::from(u8::from(i < 8))).collect();
        let data = LogisticRecords::new(&rows, &outcomes, 1);
        let variance = 0.5;
        let prior = Priors::independent(&[0.0], &[variance]);
        let fit = posteriors(&data, &prior, &Likelihood::nothing(1));

        let step = 1e-3;
        let mut integral = 0.0;
        let mut first = 0.0;
        for i in -8000..8000 {
            let theta = f64::from(i) * step;
            let [likelihood] = data.log_likelihood(&[[theta]]);
            let density = libm::exp(likelihood - theta * theta / (2.0 * variance))
                / libm::sqrt(core::f64::consts::TAU * variance);
            integral += density * step;
            first += density * theta * step;
        }
        assert!((fit.log_evidence[0] - libm::log(integral)).abs() < 0.01);
        assert!((fit.mean[0][0] - first / integral).abs() < 0.03);
    }

    #[test]
    fn a_prior_that_predicts_the_data_has_more_evidence() {
        let evidence = site(&mut Random(2), Family::Logistic, &[0.0, 1.5, -1.5], 80);
        let hypothesis = |mean: [f64; 3]| {
            let mean = DVector::from_column_slice(&mean);
            Hypothesis::diagonal(mean, &DVector::from_element(3, 0.1), 1.0)
        };
        let hypotheses = [[0.0, 1.5, -1.5], [0.0; 3], [0.0, -1.5, 1.5]].map(hypothesis);
        let found = fits(&evidence, &hypotheses).into_iter().map(|fit| fit.unwrap().log_evidence);
        let found: Vec<f64> = found.collect();
        assert!(found[0] > found[1] + 3.0 && found[1] > found[2] + 3.0, "{found:?}");
    }

    #[test]
    fn the_mode_does_not_depend_on_where_the_search_starts() {
        let evidence = site(&mut Random(6), Family::Logistic, &[0.3, 1.0, -0.5], 40);
        let prior = Priors::independent(&[0.2, 1.0, 0.0], &[1.0, 0.3, 0.1]);
        let search = |start| modes(&evidence.logistic_records(), &prior, start, NEWTON_STEPS);
        let (near, sound) = search(Likelihood::of(evidence.summary()).modes(&prior));
        let (far, _) = search(vec![[-4.0]; 3]);
        assert_eq!(sound, [true]);
        for (a, b) in near.iter().zip(far) {
            assert!((a[0] - b[0]).abs() < 1e-9);
        }
    }
}
