use alloc::vec;
use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::schema::{Family, Schema};
use super::standardizer::Standardizer;
use super::summary::EvidenceSummary;
use crate::bayes::Priors;
use crate::bayes::cox::CoxRecords;
use crate::bayes::laplace::{self, LogLikelihood};
use crate::bayes::logistic::{self, LogisticRecords};
use crate::lanes::{self, Symmetric};
use crate::linalg::{self, Factor};

/// A site's own records under a [`Schema`], standardised and kept local.
///
/// What leaves the site is a summary of them, in a packet; the records do not.
///
/// ```
/// use qis_synth::evidence::{Evidence, Family, Scaling, Schema};
///
/// let schema = Schema::new(Family::Logistic, ["dose"], Scaling::SiteLocal)?;
/// let evidence = Evidence::logistic(&schema, &[1.0, 2.0, 3.0, 4.0], &[0.0, 0.0, 1.0, 1.0])?;
/// assert_eq!(evidence.records(), 4);
/// let payload = evidence.summary().encode(356)?;
/// assert!(payload.len() < 16);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    family: Family,
    standardizer: Standardizer,
    outcome_scaling: (f64, f64),
    design: Vec<f64>,
    outcomes: Vec<f64>,
    /// Cox family only: whether each record's time is that of an event.
    events: Vec<bool>,
    summary: EvidenceSummary,
    /// What is published instead of the summary.
    noisy: Option<EvidenceSummary>,
}

/// Records that cannot be evidence.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// There are no records.
    #[error("there are no records")]
    Empty,
    /// There are more records than a summary can count.
    #[error("{0} records are more than a summary can count")]
    TooMany(usize),
    /// The schema is of another family.
    #[error("the schema is of the {schema:?} family, the call of the {call:?} family")]
    Family {
        /// The schema's family.
        schema: Family,
        /// The family of the function that was called.
        call: Family,
    },
    /// The feature values are not one full row per outcome.
    #[error("{values} values are not {outcomes} rows of {features} features")]
    Length {
        /// How many feature values were given.
        values: usize,
        /// How many outcomes were given.
        outcomes: usize,
        /// How many features the schema has.
        features: usize,
    },
    /// A row to score does not have one value per feature.
    #[error("the row has {found} values, not {expected}")]
    RowLength {
        /// The number of features.
        expected: usize,
        /// The number of values given.
        found: usize,
    },
    /// A coefficient vector does not have one value per feature and one for the intercept.
    #[error("there are {found} coefficients, not {expected}")]
    Coefficients {
        /// The number of features and one.
        expected: usize,
        /// The number of coefficients given.
        found: usize,
    },
    /// A feature is NaN or infinite.
    #[error("the value of row {row}, column {column} is not finite")]
    NotFinite {
        /// The row, from 0.
        row: usize,
        /// The feature, from 0.
        column: usize,
    },
    /// The values of a feature are so large that their variance overflows.
    #[error("the values of column {column} are too large to standardise")]
    TooLarge {
        /// The feature, from 0.
        column: usize,
    },
    /// A label is neither 0 nor 1.
    #[error("the outcome of row {row} is {value}, not 0 or 1")]
    NotALabel {
        /// The row, from 0.
        row: usize,
        /// The outcome given.
        value: f64,
    },
    /// A time is not finite, or negative.
    #[error("the time of row {row} is {value}, not a finite number from 0 on")]
    NotATime {
        /// The row, from 0.
        row: usize,
        /// The time given.
        value: f64,
    },
    /// There are not as many events as times.
    #[error("there are {events} events for {times} times")]
    Events {
        /// How many times were given.
        times: usize,
        /// How many events were given.
        events: usize,
    },
    /// A real outcome is not finite, or more than a million scales from the mean.
    #[error("the outcome of row {row} is {value}, not within a million scales of its mean")]
    OutcomeRange {
        /// The row, from 0.
        row: usize,
        /// The outcome given.
        value: f64,
    },
}

/// Prior variances of the weakly regularised fit a summary expands at. The intercept is freer,
/// since a base rate near 0 or 1 is common and says nothing about the slopes. Survival studies have
/// few events for their features, and want a firmer hand.
const WEAK_VARIANCE: f64 = 1.0;
const WEAK_INTERCEPT_VARIANCE: f64 = 4.0;
const WEAK_COX_VARIANCE: f64 = 0.3;

/// The noise variance the Gaussian family assumes before it has seen any data, in outcome scales.
pub(crate) const NOISE_GUESS: f64 = 0.7;

const OUTCOME_RANGE: f64 = 1e6;

impl Evidence {
    /// Records with outcomes 0 or 1.
    ///
    /// `x` holds one row of the schema's features per record, row after row; `y` one outcome per
    /// record.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`], naming the row and column at fault.
    pub fn logistic(schema: &Schema, x: &[f64], y: &[f64]) -> Result<Self, EvidenceError> {
        let (standardizer, design, records) = prepare(schema, Family::Logistic, x, y)?;
        for (row, &value) in y.iter().enumerate() {
            if value != 0.0 && value != 1.0 {
                return Err(EvidenceError::NotALabel { row, value });
            }
        }
        let dims = schema.dims();
        let (precision, information) =
            weak_fit(&LogisticRecords::new(&design, y, dims), Family::Logistic, dims);
        let summary = EvidenceSummary::exact(Family::Logistic, records, precision, information, 0.0);
        Ok(Self {
            family: Family::Logistic,
            standardizer,
            outcome_scaling: schema.outcome_scaling(),
            design,
            outcomes: y.to_vec(),
            events: Vec::new(),
            summary,
            noisy: None,
        })
    }

    /// Records with real outcomes, which the schema's outcome scaling is applied to.
    ///
    /// `x` holds one row of the schema's features per record, row after row; `y` one outcome per
    /// record, in raw units.
    ///
    /// # Errors
    ///
    /// [`EvidenceError`], naming the row and column at fault.
    pub fn gaussian(schema: &Schema, x: &[f64], y: &[f64]) -> Result<Self, EvidenceError> {
        let (standardizer, design, records) = prepare(schema, Family::Gaussian, x, y)?;
        let outcome_scaling = schema.outcome_scaling();
        let mut outcomes = Vec::with_capacity(y.len());
        for (row, &value) in y.iter().enumerate() {
            let scaled = (value - outcome_scaling.0) / outcome_scaling.1;
            if scaled.is_nan() || scaled.abs() > OUTCOME_RANGE {
                return Err(EvidenceError::OutcomeRange { row, value });
            }
            outcomes.push(scaled);
        }
        let dims = schema.dims();
        let summary = EvidenceSummary::exact(
            Family::Gaussian,
            records,
            linalg::weighted_gram(&design, dims, outcomes.iter().map(|_| 1.0)),
            linalg::weighted_row_sum(&design, dims, outcomes.iter().copied()),
            linalg::dot(&outcomes, &outcomes),
        );
        Ok(Self {
            family: Family::Gaussian,
            standardizer,
            outcome_scaling,
            design,
            outcomes,
            events: Vec::new(),
            summary,
            noisy: None,
        })
    }

    /// Records of how long it took until an event, or until it was last known not to have happened.
    ///
    /// `x` holds one row of the schema's features per record, row after row; `time` one time per
    /// record, finite, from 0 on, in any unit; `event` whether the event happened then (true) or
    /// observation ended (false). Only the order of the times counts. Events at the same time are
    /// taken as Breslow (1974) has it.
    ///
    /// Records without any event are valid, and say nothing of the coefficients.
    ///
    /// ```
    /// use qis_synth::evidence::{Evidence, Family, Scaling, Schema};
    ///
    /// let schema = Schema::new(Family::Cox, ["stage"], Scaling::SiteLocal)?;
    /// let (stage, months) = ([1.0, 3.0, 2.0, 3.0], [60.0, 7.0, 31.0, 12.0]);
    /// let evidence = Evidence::cox(&schema, &stage, &months, &[false, true, true, true])?;
    /// assert!(evidence.gradient_fingerprint()[0] > 0.0);
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EvidenceError`], naming the row and column at fault.
    pub fn cox(schema: &Schema, x: &[f64], time: &[f64], event: &[bool]) -> Result<Self, EvidenceError> {
        let (standardizer, design, records) = prepare(schema, Family::Cox, x, time)?;
        if event.len() != time.len() {
            return Err(EvidenceError::Events { times: time.len(), events: event.len() });
        }
        for (row, &value) in time.iter().enumerate() {
            if !(0.0..f64::INFINITY).contains(&value) {
                return Err(EvidenceError::NotATime { row, value });
            }
        }
        let dims = schema.dims();
        let data = CoxRecords::new(&design, time, event, dims);
        let (precision, information) = weak_fit(&data, Family::Cox, dims);
        Ok(Self {
            family: Family::Cox,
            standardizer,
            outcome_scaling: schema.outcome_scaling(),
            outcomes: time.to_vec(),
            events: event.to_vec(),
            design,
            summary: EvidenceSummary::exact(Family::Cox, records, precision, information, 0.0),
            noisy: None,
        })
    }

    /// The likelihood family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The number of coefficients, intercept included.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.summary.dims()
    }

    /// The number of records.
    #[must_use]
    pub fn records(&self) -> usize {
        self.outcomes.len()
    }

    /// The standardised rows, row after row, each of [`dims`](Self::dims) values and the first
    /// of them 1 where there is an intercept.
    #[must_use]
    pub fn design(&self) -> &[f64] {
        &self.design
    }

    /// The outcomes: labels, standardised real outcomes, or times.
    #[must_use]
    pub fn outcomes(&self) -> &[f64] {
        &self.outcomes
    }

    /// Whether each record's time is that of an event; empty in families without times.
    #[must_use]
    pub fn events(&self) -> &[bool] {
        &self.events
    }

    /// How this site standardises a row.
    #[must_use]
    pub fn standardizer(&self) -> &Standardizer {
        &self.standardizer
    }

    /// What the records say about the coefficients, exactly.
    #[must_use]
    pub fn summary(&self) -> &EvidenceSummary {
        &self.summary
    }

    /// What leaves the site: the summary, or what stands for it [with noise](Self::with_noise).
    #[must_use]
    pub fn published(&self) -> &EvidenceSummary {
        self.noisy.as_ref().unwrap_or(&self.summary)
    }

    /// Whether what is published has noise.
    #[must_use]
    pub fn is_noisy(&self) -> bool {
        self.noisy.is_some()
    }

    /// The same records, with `noisy` published of them.
    pub(super) fn publishing(self, noisy: EvidenceSummary) -> Self {
        Self { noisy: Some(noisy), ..self }
    }

    /// The predicted outcome of a raw row at coefficients `theta`: the probability of a 1, the mean
    /// outcome in raw units, or in the Cox family the log-hazard beside that of an average row.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Coefficients`] unless `theta` has [`dims`](Self::dims) values, and the
    /// errors of [`Standardizer::apply`].
    pub fn predict(&self, theta: &[f64], row: &[f64]) -> Result<f64, EvidenceError> {
        if theta.len() != self.dims() {
            return Err(EvidenceError::Coefficients { expected: self.dims(), found: theta.len() });
        }
        let score = linalg::dot(&self.standardizer.apply(row)?, theta);
        Ok(match self.family {
            Family::Logistic => logistic::sigmoid(score),
            Family::Gaussian => self.outcome_scaling.0 + self.outcome_scaling.1 * score,
            Family::Cox => score,
        })
    }

    /// The direction in which the records pull the slopes away from zero: the mean gradient of
    /// the log-likelihood at `θ = 0`, without the intercept. One value a feature.
    ///
    /// Sites whose fingerprints point the same way have similar optima, so this finds peers worth
    /// hearing where a description of the domain cannot. For the Gaussian family it is `X'y/n`,
    /// for the logistic family `X'(y - 1/2)/n`, and for the Cox family the features of those with an
    /// event less the mean of all at risk then, summed and divided by `n`.
    ///
    /// With noise it is the noisy information vector by `n`, which is the same gradient as the noise
    /// leaves it.
    #[must_use]
    pub fn gradient_fingerprint(&self) -> Vec<f32> {
        if let Some(noisy) = &self.noisy {
            return self.slopes(noisy.information().iter().copied());
        }
        let dims = self.dims();
        let shift = match self.family {
            Family::Logistic => 0.5,
            Family::Gaussian => 0.0,
            Family::Cox => {
                let mut gradient = vec![[0.0]; dims];
                let mut precision = Symmetric::zeros(dims);
                self.cox_records().add_derivatives(&vec![[0.0]; dims], &mut gradient, &mut precision);
                return self.slopes(gradient.iter().map(|[g]| *g));
            }
        };
        let residuals = self.outcomes.iter().map(|y| y - shift);
        let gradient = linalg::weighted_row_sum(&self.design, dims, residuals);
        self.slopes(gradient.iter().copied())
    }

    /// The fingerprint the site would have if its outcomes were as coefficients `theta` predict: what a
    /// synthesis makes of the [gradient fingerprint](Self::gradient_fingerprint), with the noise of
    /// few records taken out of it. One value a feature, comparable with the gradients of others.
    ///
    /// It is `X'Xθ/n` for the Gaussian family, `X'(p - 1/2)/n` with the predicted probabilities `p`
    /// for the logistic, and `Lθ/n` for the Cox family.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::Coefficients`] unless `theta` has [`dims`](Self::dims) values.
    pub fn expected_fingerprint(&self, theta: &[f64]) -> Result<Vec<f32>, EvidenceError> {
        let dims = self.dims();
        if theta.len() != dims {
            return Err(EvidenceError::Coefficients { expected: dims, found: theta.len() });
        }
        let gradient = match self.family {
            Family::Gaussian | Family::Cox => {
                self.summary.precision_matrix() * DVector::from_column_slice(theta)
            }
            Family::Logistic => {
                let rows = self.design.chunks_exact(dims);
                let residuals = rows.map(|row| logistic::sigmoid(linalg::dot(row, theta)) - 0.5);
                linalg::weighted_row_sum(&self.design, dims, residuals)
            }
        };
        Ok(self.slopes(gradient.iter().copied()))
    }

    /// The mean a record of a sum of gradients, without the intercept.
    fn slopes(&self, gradient: impl Iterator<Item = f64>) -> Vec<f32> {
        let records = self.records() as f64;
        let intercept = usize::from(self.family.has_intercept());
        gradient.skip(intercept).map(|g| (g / records) as f32).collect()
    }

    /// How much of a weak prior's uncertainty the records remove, from 0 (nothing) to 1 (all).
    ///
    /// This is `1 - tr(T^-1 V)/d` for prior variances `T` and the posterior covariance
    /// `V = (L + T^-1)^-1`: the mean shrinkage over the coefficients.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        let dims = self.dims();
        let noise = match self.family {
            Family::Logistic | Family::Cox => 1.0,
            Family::Gaussian => NOISE_GUESS,
        };
        let prior = weak_variances(self.family, dims);
        let mut posterior = self.published().precision_matrix() / noise;
        linalg::add_diagonal(&mut posterior, prior.iter().map(|t| 1.0 / t));
        // The prior makes the matrix positive definite; confidence 0 claims nothing if rounding
        // disagrees.
        let Ok(factor) = Factor::new(posterior) else {
            return 0.0;
        };
        let left: f64 = factor.inverse().diagonal().iter().zip(prior.iter()).map(|(v, t)| v / t).sum();
        (1.0 - left / dims as f64).clamp(0.0, 1.0)
    }

    pub(crate) fn logistic_records(&self) -> LogisticRecords<'_> {
        LogisticRecords::new(&self.design, &self.outcomes, self.dims())
    }

    pub(crate) fn cox_records(&self) -> CoxRecords {
        CoxRecords::new(&self.design, &self.outcomes, &self.events, self.dims())
    }
}

fn weak_variances(family: Family, dims: usize) -> DVector<f64> {
    match family {
        Family::Cox => DVector::from_element(dims, WEAK_COX_VARIANCE),
        Family::Gaussian | Family::Logistic => {
            let mut variances = DVector::from_element(dims, WEAK_VARIANCE);
            variances[0] = WEAK_INTERCEPT_VARIANCE;
            variances
        }
    }
}

/// Checks the shape and the features, and standardises.
fn prepare(
    schema: &Schema,
    call: Family,
    x: &[f64],
    y: &[f64],
) -> Result<(Standardizer, Vec<f64>, u32), EvidenceError> {
    if schema.family() != call {
        let schema = schema.family();
        return Err(EvidenceError::Family { schema, call });
    }
    let features = schema.features().len();
    if y.is_empty() && x.is_empty() {
        return Err(EvidenceError::Empty);
    }
    if y.len().checked_mul(features) != Some(x.len()) {
        return Err(EvidenceError::Length { values: x.len(), outcomes: y.len(), features });
    }
    let records = u32::try_from(y.len()).map_err(|_| EvidenceError::TooMany(y.len()))?;
    if let Some(at) = x.iter().position(|value| !value.is_finite()) {
        return Err(EvidenceError::NotFinite { row: at / features, column: at % features });
    }
    let standardizer = Standardizer::of(schema, x)?;
    let mut design = Vec::with_capacity(y.len() * schema.dims());
    for row in x.chunks_exact(features) {
        standardizer.push_standardised(row, &mut design);
    }
    Ok((standardizer, design, records))
}

/// The precision `L` and information vector `L theta + gradient` of a likelihood's quadratic
/// expansion at its maximum under a weak prior. Any point is a sound place to expand at; zero is the
/// prior's own if the fit breaks down.
fn weak_fit(data: &impl LogLikelihood, family: Family, dims: usize) -> (DMatrix<f64>, DVector<f64>) {
    let zero = vec![0.0; dims];
    let prior = Priors::independent(&zero, weak_variances(family, dims).as_slice());
    let theta = laplace::mode(data, &prior).map_or_else(|| DVector::zeros(dims), DVector::from_vec);
    let at: Vec<[f64; 1]> = theta.iter().map(|&t| [t]).collect();
    let mut gradient = vec![[0.0]; dims];
    let mut precision = Symmetric::zeros(dims);
    data.add_derivatives(&at, &mut gradient, &mut precision);
    let precision = precision.lane(0);
    let information = &precision * theta + lanes::one(&gradient, 0);
    (precision, information)
}

#[cfg(test)]
mod tests {
    use super::super::schema::Scaling;
    use super::*;
    use crate::testing::{Random, schema, site};

    fn logistic(x: &[f64], y: &[f64]) -> Result<Evidence, EvidenceError> {
        Evidence::logistic(&schema(Family::Logistic, 2), x, y)
    }

    fn gaussian(x: &[f64], y: &[f64]) -> Result<Evidence, EvidenceError> {
        Evidence::gaussian(&schema(Family::Gaussian, 2), x, y)
    }

    #[test]
    fn a_gaussian_summary_is_the_sufficient_statistics() {
        let evidence = gaussian(&[1.0, 2.0, 3.0, -1.0], &[0.5, 2.0]).unwrap();
        let summary = evidence.summary();
        assert_eq!(summary.precision(), [2.0, 4.0, 1.0, 4.0, 10.0, -1.0, 1.0, -1.0, 5.0]);
        assert_eq!(summary.information(), [2.5, 6.5, -1.0]);
        assert_eq!((summary.outcome_squares(), summary.records()), (4.25, 2));
    }

    #[test]
    fn a_logistic_summary_is_the_quadratic_expansion_at_the_weak_fit() {
        let evidence = site(&mut Random(3), Family::Logistic, &[0.3, 1.0, -0.5], 30);
        let summary = evidence.summary();
        // At the weak fit t the gradient balances the prior, h = L t + t/T, so that
        // (L + 1/T) t = h.
        let mut precision = summary.precision_matrix().clone();
        linalg::add_diagonal(&mut precision, [0.25, 1.0, 1.0].into_iter());
        let theta = Factor::new(precision).unwrap().solve(summary.information_vector());
        let map = logistic::logistic_map(evidence.design(), evidence.outcomes(), &[0.0; 3], &[4.0, 1.0, 1.0]);
        for (a, b) in theta.iter().zip(map.unwrap()) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn outcomes_are_scaled_and_predictions_are_scaled_back() {
        let scaled = schema(Family::Gaussian, 1).with_outcome_scaling(100.0, 10.0).unwrap();
        let evidence = Evidence::gaussian(&scaled, &[0.0, 1.0], &[100.0, 120.0]).unwrap();
        assert_eq!(evidence.outcomes(), [0.0, 2.0]);
        assert_eq!(evidence.predict(&[0.0, 2.0], &[1.0]).unwrap(), 120.0);
        let wrong = EvidenceError::Coefficients { expected: 2, found: 3 };
        assert_eq!(evidence.predict(&[0.0; 3], &[1.0]), Err(wrong));
    }

    #[test]
    fn the_fingerprint_is_the_mean_gradient_at_zero_without_the_intercept() {
        let evidence = logistic(&[1.0, 2.0, 3.0, -1.0], &[0.0, 1.0]).unwrap();
        assert_eq!(evidence.gradient_fingerprint(), [0.5, -0.75]);
        let evidence = gaussian(&[1.0, 2.0, 3.0, -1.0], &[0.5, 2.0]).unwrap();
        assert_eq!(evidence.gradient_fingerprint(), [3.25, -0.5]);
    }

    #[test]
    fn a_cox_fingerprint_points_to_higher_hazards() {
        let cox = site(&mut Random(4), Family::Cox, &[0.8, -0.8], 200);
        let fingerprint = cox.gradient_fingerprint();
        assert!(fingerprint.len() == 2 && fingerprint[0] > 0.1 && fingerprint[1] < -0.1, "{fingerprint:?}");
    }

    #[test]
    fn the_expected_fingerprint_is_near_the_gradient_at_the_truth() {
        for family in [Family::Gaussian, Family::Logistic, Family::Cox] {
            let theta = &[0.8, 0.6, -0.4][usize::from(!family.has_intercept())..];
            let evidence = site(&mut Random(2), family, theta, 3000);
            let (seen, expected) =
                (evidence.gradient_fingerprint(), evidence.expected_fingerprint(theta).unwrap());
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine = dot(&seen, &expected) / (dot(&seen, &seen) * dot(&expected, &expected)).sqrt();
            assert!(cosine > 0.98, "{family:?} {seen:?} {expected:?}");
            assert!(evidence.expected_fingerprint(&[0.0; 9]).is_err());
        }
    }

    #[test]
    fn times_and_events_that_cannot_be_are_named() {
        let schema = schema(Family::Cox, 1);
        let cox = |time: &[f64], event: &[bool]| Evidence::cox(&schema, &vec![1.0; time.len()], time, event);
        for bad in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(cox(&[1.0, bad], &[true; 2]), Err(EvidenceError::NotATime { row: 1, .. })));
        }
        let events = EvidenceError::Events { times: 2, events: 1 };
        assert_eq!(cox(&[1.0, 2.0], &[true]), Err(events));
        let (never, tied) = (cox(&[1.0, 2.0], &[false; 2]), cox(&[3.0; 4], &[true; 4]));
        for evidence in [never.unwrap(), tied.unwrap()] {
            assert!(evidence.summary().encode(64).is_ok());
            assert!(evidence.confidence() < 1e-9);
        }
    }

    #[test]
    fn confidence_grows_with_the_records() {
        for family in [Family::Gaussian, Family::Logistic, Family::Cox] {
            let confidence = |n| site(&mut Random(5), family, &[0.0, 0.5, 0.5], n).confidence();
            let (few, some, many) = (confidence(1), confidence(20), confidence(2000));
            assert!(0.0 <= few && few < some && some < many && many < 1.0);
            assert!(few < 0.5 && many > 0.98, "{few} {many}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let empty = gaussian(&[], &[]);
        assert_eq!(empty, Err(EvidenceError::Empty));
        let length = EvidenceError::Length { values: 3, outcomes: 1, features: 2 };
        assert_eq!(gaussian(&[1.0; 3], &[1.0]), Err(length));
        assert!(matches!(gaussian(&[], &[1.0]), Err(EvidenceError::Length { .. })));
        assert_eq!(
            logistic(&[1.0, 2.0, 3.0, f64::NAN], &[1.0, 0.0]),
            Err(EvidenceError::NotFinite { row: 1, column: 1 })
        );
        assert_eq!(logistic(&[1.0; 4], &[1.0, 0.5]), Err(EvidenceError::NotALabel { row: 1, value: 0.5 }));
        assert!(matches!(logistic(&[1.0; 2], &[f64::NAN]), Err(EvidenceError::NotALabel { row: 0, .. })));
        for value in [f64::INFINITY, f64::NAN, 2e6] {
            assert!(matches!(
                gaussian(&[1.0; 4], &[1.0, value]),
                Err(EvidenceError::OutcomeRange { row: 1, .. })
            ));
        }
        assert_eq!(
            Evidence::gaussian(&schema(Family::Logistic, 1), &[1.0], &[1.0]),
            Err(EvidenceError::Family { schema: Family::Logistic, call: Family::Gaussian })
        );
        let local = Schema::new(Family::Logistic, ["a"], Scaling::SiteLocal).unwrap();
        assert_eq!(
            Evidence::logistic(&local, &[f64::MAX, f64::MIN], &[1.0, 0.0]),
            Err(EvidenceError::TooLarge { column: 0 })
        );
    }

    #[test]
    fn odd_but_valid_records_have_a_finite_summary() {
        let one_class = logistic(&[1.0, -2.0, 0.3, 4.0, 1.5, 1.5], &[1.0; 3]).unwrap();
        let one_row = logistic(&[1.0, -2.0], &[0.0]).unwrap();
        let huge = logistic(&[1e300, -1e300, 1e300, 1e300], &[1.0, 0.0]).unwrap();
        let wide = site(&mut Random(1), Family::Logistic, &vec![0.2; 65], 3);
        for evidence in [one_class, one_row, huge, wide] {
            let summary = evidence.summary();
            let figures = summary.precision().iter().chain(summary.information());
            assert!(figures.copied().all(f64::is_finite));
            assert!((0.0..=1.0).contains(&evidence.confidence()));
            assert!(summary.encode(usize::MAX).is_ok());
        }
    }
}
