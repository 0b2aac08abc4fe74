//! Models of one site or of all together, without QIS, and how every model is judged.

use nalgebra::{Cholesky, DMatrix, DVector, DVectorView, Dyn};
use qis_synth::bayes::logistic_map;
use qis_synth::evidence::Family;

use super::cox;
use super::study::Records;

/// Strengths that cross-validation chooses from: the penalty of a squared coefficient, in units of the noise variance.
const PENALTIES: usize = 12;
const WEAKEST: f64 = 0.1;
const STRONGEST: f64 = 316.0;
/// What fewer records than can be cross-validated get.
const BLIND_PENALTY: f64 = 3.0;
const FEWEST: usize = 3;
/// The same where there is no closed form, as prior variances of the slopes.
const VARIANCES: [f64; 6] = [0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
const BLIND_VARIANCE: f64 = 0.3;
const FOLDS: usize = 5;
/// What the model of all rows together is held by: nothing beside its rows, but enough to be there.
const POOLED_PENALTY: f64 = 1.0;
/// Probabilities are held so far away from 0 and 1, that no one row costs more than 14 nats.
const MARGIN: f64 = 1e-6;
/// A record that decides its own prediction says nothing of how it would be predicted.
const MOST_LEVERAGE: f64 = 0.999;

/// Mean loss of held-out rows: squared error in variances of the outcome, or negative log-probability in nats.
///
/// In the Cox family it is what the rows take away from the log partial likelihood of those that were learned from when they join them, a row
/// (Verweij and van Houwelingen, 1993), so that rows without events, or few of them, can be judged too.
pub(super) fn loss(family: Family, theta: &[f64], train: &Records, test: &Records) -> f64 {
    if family == Family::Cox {
        let both = train.with(test);
        return (cox::log_likelihood(theta, train) - cox::log_likelihood(theta, &both)) / test.len() as f64;
    }
    direct_loss(family, theta, test)
}

fn direct_loss(family: Family, theta: &[f64], records: &Records) -> f64 {
    let of_one = |(row, outcome): (&[f64], f64)| {
        let score = dot(row, theta);
        if family == Family::Logistic {
            let p = (1.0 / (1.0 + libm::exp(-score.clamp(-30.0, 30.0)))).clamp(MARGIN, 1.0 - MARGIN);
            -libm::log(if outcome > 0.5 { p } else { 1.0 - p })
        } else {
            (outcome - score) * (outcome - score)
        }
    };
    records.iter(theta.len()).map(of_one).sum::<f64>() / records.len() as f64
}

/// Ridge regression on one site's rows, its strength chosen by cross-validation: leave one out for the Gaussian family, in closed form
/// (Allen's PRESS, 1974), and in five folds for the others. None when the figures are too large.
pub(super) fn cross_validated(family: Family, records: &Records, dims: usize) -> Option<Vec<f64>> {
    match family {
        Family::Cox | Family::Logistic => cross_validated_in_folds(family, records, dims),
        _ => cross_validated_linear(records, dims),
    }
}

/// Ridge regression on the rows of all sites together: where federated averaging converges to.
pub(super) fn pooled<'a>(
    family: Family,
    sites: impl Iterator<Item = &'a Records>,
    dims: usize,
) -> Option<Vec<f64>> {
    if family == Family::Cox {
        // Risk sets stay within a site, as they do when sites send gradients.
        return cox::ridge(&sites.collect::<Vec<_>>(), dims, 1.0 / POOLED_PENALTY);
    }
    let mut all = Records::default();
    for site in sites {
        all.append(site);
    }
    if family == Family::Logistic {
        logistic(&all, dims, 1.0 / POOLED_PENALTY)
    } else {
        Some(Linear::new(&all, dims).fit(POOLED_PENALTY)?.0.as_slice().to_vec())
    }
}

fn cross_validated_linear(records: &Records, dims: usize) -> Option<Vec<f64>> {
    let data = Linear::new(records, dims);
    if records.len() < FEWEST {
        return Some(data.fit(BLIND_PENALTY)?.0.as_slice().to_vec());
    }
    let mut best: Option<(f64, DVector<f64>)> = None;
    for step in 0..PENALTIES {
        let share = step as f64 / (PENALTIES - 1) as f64;
        let penalty = WEAKEST * libm::pow(STRONGEST / WEAKEST, share);
        let (theta, factor) = data.fit(penalty)?;
        let left_out = |(row, outcome): (&[f64], f64)| {
            let row = DVectorView::from_slice(row, dims);
            let leverage = row.dot(&factor.solve(&row)).min(MOST_LEVERAGE);
            let residual = (outcome - row.dot(&theta)) / (1.0 - leverage);
            residual * residual
        };
        let error: f64 = records.iter(dims).map(left_out).sum();
        if best.as_ref().is_none_or(|(least, _)| error < *least) {
            best = Some((error, theta));
        }
    }
    best.map(|(_, theta)| theta.as_slice().to_vec())
}

/// The normal equations of linear regression.
struct Linear {
    gram: DMatrix<f64>,
    pull: DVector<f64>,
}

impl Linear {
    fn new(records: &Records, dims: usize) -> Self {
        let (mut gram, mut pull) = (DMatrix::zeros(dims, dims), DVector::zeros(dims));
        for (row, outcome) in records.iter(dims) {
            let row = DVectorView::from_slice(row, dims);
            gram.syger(1.0, &row, &row, 1.0);
            pull.axpy(outcome, &row, 1.0);
        }
        Self { gram, pull }
    }

    fn fit(&self, penalty: f64) -> Option<(DVector<f64>, Cholesky<f64, Dyn>)> {
        let dims = self.pull.len();
        let held = &self.gram + DMatrix::from_diagonal_element(dims, dims, penalty);
        let factor = Cholesky::new(held)?;
        let theta = factor.solve(&self.pull);
        theta.iter().all(|value| value.is_finite()).then_some((theta, factor))
    }
}

fn cross_validated_in_folds(family: Family, records: &Records, dims: usize) -> Option<Vec<f64>> {
    let fit = |records: &Records, variance| match family {
        Family::Cox => cox::ridge(&[records], dims, variance),
        _ => logistic(records, dims, variance),
    };
    let folds = FOLDS.min(records.len());
    if records.len() < FEWEST {
        return fit(records, BLIND_VARIANCE);
    }
    let mut best: Option<(f64, f64)> = None;
    for variance in VARIANCES {
        let mut error = 0.0;
        for fold in 0..folds {
            // The rows are in no order.
            let (held_out, rest) = split(records, dims, |row| row % folds == fold);
            let theta = fit(&rest, variance)?;
            error += loss(family, &theta, &rest, &held_out) * held_out.len() as f64;
        }
        if best.is_none_or(|(least, _)| error < least) {
            best = Some((error, variance));
        }
    }
    fit(records, best?.1)
}

/// Logistic regression with this prior variance of the slopes, and a wide one of the base rate.
fn logistic(records: &Records, dims: usize, variance: f64) -> Option<Vec<f64>> {
    let mut variances = vec![variance; dims];
    if let Some(intercept) = variances.first_mut() {
        *intercept = variance.max(1.0);
    }
    logistic_map(&records.design, &records.outcomes, &vec![0.0; dims], &variances).ok()
}

/// The rows for which `first` holds, and the others.
fn split(records: &Records, dims: usize, first: impl Fn(usize) -> bool) -> (Records, Records) {
    let mut parts = (Records::default(), Records::default());
    for (at, (row, outcome)) in records.iter(dims).enumerate() {
        let part = if first(at) { &mut parts.0 } else { &mut parts.1 };
        part.design.extend(row);
        part.outcomes.push(outcome);
        part.events.extend(records.events.get(at));
    }
    parts
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn records(family: Family, count: usize, theta: &[f64], seed: u64) -> Records {
        let mut rng = Rng::new(seed, 0);
        let mut records = Records::default();
        for _ in 0..count {
            let row: Vec<f64> =
                (0..theta.len()).map(|at| if at == 0 { 1.0 } else { rng.gaussian() }).collect();
            let score = dot(&row, theta);
            records.outcomes.push(if family == Family::Logistic {
                f64::from(u8::from(rng.uniform() < 1.0 / (1.0 + libm::exp(-score))))
            } else {
                score + 0.5 * rng.gaussian()
            });
            records.design.extend(row);
        }
        records
    }

    #[test]
    fn leaving_one_out_in_closed_form_is_leaving_it_out() {
        let records = records(Family::Gaussian, 9, &[0.2, 1.0, -0.5], 1);
        let whole = Linear::new(&records, 3);
        let (theta, factor) = whole.fit(2.0).unwrap();
        for left_out in 0..9 {
            let (one, rest) = split(&records, 3, |row| row == left_out);
            let (without, _) = Linear::new(&rest, 3).fit(2.0).unwrap();
            let row = DVectorView::from_slice(&one.design, 3);
            let leverage = row.dot(&factor.solve(&row));
            let closed = (one.outcomes[0] - row.dot(&theta)) / (1.0 - leverage);
            assert!((closed - (one.outcomes[0] - row.dot(&without))).abs() < 1e-9);
        }
    }

    #[test]
    fn cross_validation_holds_back_where_there_is_nothing_and_lets_go_where_there_is() {
        for family in [Family::Gaussian, Family::Logistic] {
            let size = |theta: &[f64], seed| {
                let fitted = cross_validated(family, &records(family, 40, theta, seed), theta.len()).unwrap();
                fitted[1..].iter().map(|value| value * value).sum::<f64>()
            };
            let noise: f64 = (0..4).map(|seed| size(&[0.0; 5], seed)).sum();
            let signal: f64 = (0..4).map(|seed| size(&[0.0, 2.0, -2.0, 0.0, 0.0], seed)).sum();
            assert!(noise < 0.1 * signal, "{family:?} {noise} {signal}");
        }
    }

    #[test]
    fn the_pooled_model_is_near_the_truth_all_sites_share() {
        for family in [Family::Gaussian, Family::Logistic] {
            let theta = [0.3, 0.9, -0.7];
            let sites: Vec<_> = (0..20).map(|seed| records(family, 60, &theta, seed)).collect();
            let found = pooled(family, sites.iter(), 3).unwrap();
            assert!(found.iter().zip(theta).all(|(one, other)| (one - other).abs() < 0.15), "{found:?}");
            let judged = records(family, 500, &theta, 99);
            assert!(direct_loss(family, &found, &judged) < 0.9 * direct_loss(family, &[0.0; 3], &judged));
        }
    }

    #[test]
    fn one_record_is_enough_for_a_model() {
        for family in [Family::Gaussian, Family::Logistic] {
            let one = records(family, 1, &[0.3, 0.9], 5);
            assert!(cross_validated(family, &one, 2).unwrap().iter().all(|value| value.is_finite()));
        }
    }
}
