use alloc::vec::Vec;

use super::own::EvidenceError;
use super::schema::{Scaling, Schema};

/// Turns raw feature rows into the rows a model is fitted on: standardised, clipped to ±5, with
/// a 1 for the intercept in front, in families that have one.
///
/// A coefficient vector means nothing without the standardiser of the site it is used at: score
/// new records with [`apply`](Self::apply) of the same [`Evidence`](super::Evidence).
///
/// A feature that does not vary in the local records has no local scale, and is 0 in every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Standardizer {
    mean: Vec<f64>,
    /// 0 for a feature without scale.
    scale: Vec<f64>,
    intercept: bool,
    public: bool,
}

/// A standard deviation this small beside the mean is rounding.
const ROUNDING: f64 = 1e-9;

impl Standardizer {
    /// The bound on a standardised value, which limits the leverage of one record.
    pub const CLIP: f64 = 5.0;

    /// The schema's standardiser, with the figures of `rows` where scaling is local.
    ///
    /// `rows` holds whole rows of the schema's features, all finite.
    pub(super) fn of(schema: &Schema, rows: &[f64]) -> Result<Self, EvidenceError> {
        let (mean, scale) = match schema.scaling() {
            Scaling::Public { mean, scale } => (mean.clone(), scale.clone()),
            Scaling::SiteLocal => local(rows, schema.features().len())?,
        };
        let public = matches!(schema.scaling(), Scaling::Public { .. });
        Ok(Self { mean, scale, intercept: schema.family().has_intercept(), public })
    }

    /// Whether it says nothing of the site's records.
    pub(super) fn is_public(&self) -> bool {
        self.public
    }

    /// The number of raw features of a row.
    #[must_use]
    pub fn features(&self) -> usize {
        self.mean.len()
    }

    /// Standardises one raw row: a number for each coefficient, so a 1 first where there is an
    /// intercept.
    ///
    /// # Errors
    ///
    /// [`EvidenceError::RowLength`] unless the row has one value per feature,
    /// [`EvidenceError::NotFinite`] when a value is NaN or infinite.
    pub fn apply(&self, row: &[f64]) -> Result<Vec<f64>, EvidenceError> {
        if row.len() != self.features() {
            return Err(EvidenceError::RowLength { expected: self.features(), found: row.len() });
        }
        if let Some(column) = row.iter().position(|value| !value.is_finite()) {
            return Err(EvidenceError::NotFinite { row: 0, column });
        }
        let mut out = Vec::with_capacity(row.len() + 1);
        self.push_standardised(row, &mut out);
        Ok(out)
    }

    /// Appends the standardised form of a finite row of the right length.
    pub(super) fn push_standardised(&self, row: &[f64], out: &mut Vec<f64>) {
        if self.intercept {
            out.push(1.0);
        }
        for ((&value, &mean), &scale) in row.iter().zip(&self.mean).zip(&self.scale) {
            // Two finite numbers may be infinitely far apart in floating point; the clip bounds it.
            out.push(if scale > 0.0 { ((value - mean) / scale).clamp(-Self::CLIP, Self::CLIP) } else { 0.0 });
        }
    }
}

/// Each column's mean and sample standard deviation.
fn local(rows: &[f64], features: usize) -> Result<(Vec<f64>, Vec<f64>), EvidenceError> {
    let count = rows.len() / features;
    let mut mean = Vec::with_capacity(features);
    let mut scale = Vec::with_capacity(features);
    for column in 0..features {
        let values = || rows.iter().skip(column).step_by(features);
        let centre = values().sum::<f64>() / count as f64;
        let squares: f64 = values().map(|v| (v - centre) * (v - centre)).sum();
        let variance = squares / count.saturating_sub(1).max(1) as f64;
        if !variance.is_finite() {
            return Err(EvidenceError::TooLarge { column });
        }
        let deviation = libm::sqrt(variance);
        let varies = deviation > ROUNDING * centre.abs();
        mean.push(centre);
        scale.push(if varies { deviation } else { 0.0 });
    }
    Ok((mean, scale))
}

#[cfg(test)]
mod tests {
    use super::super::schema::Family;
    use super::*;
    use alloc::vec;

    fn site_local(features: usize, rows: &[f64]) -> Result<Standardizer, EvidenceError> {
        let names = (0..features).map(|i| alloc::format!("f{i}"));
        let schema = Schema::new(Family::Logistic, names, Scaling::SiteLocal).unwrap();
        Standardizer::of(&schema, rows)
    }

    #[test]
    fn local_scaling_uses_the_sample_standard_deviation() {
        let standardizer = site_local(2, &[1.0, 10.0, 3.0, 30.0, 5.0, 50.0]).unwrap();
        let row = standardizer.apply(&[5.0, 10.0]).unwrap();
        assert_eq!(row.len(), 3);
        assert_eq!(row[0], 1.0);
        assert!((row[1] - 1.0).abs() < 1e-12 && (row[2] + 1.0).abs() < 1e-12, "{row:?}");
    }

    #[test]
    fn a_feature_that_does_not_vary_is_zero() {
        let standardizer = site_local(2, &[0.1, 1.0, 0.1, 2.0, 0.1, 4.0]).unwrap();
        assert_eq!(standardizer.apply(&[7.0, 1.0]).unwrap()[1], 0.0);
        let one_row = site_local(2, &[0.1, 1.0]).unwrap();
        assert_eq!(one_row.apply(&[7.0, -1e300]).unwrap(), [1.0, 0.0, 0.0]);
    }

    #[test]
    fn far_values_are_clipped() {
        let standardizer = site_local(1, &[0.0, 1.0]).unwrap();
        assert_eq!(standardizer.apply(&[1e300]).unwrap(), [1.0, 5.0]);
        assert_eq!(standardizer.apply(&[-f64::MAX]).unwrap(), [1.0, -5.0]);
    }

    #[test]
    fn public_figures_do_not_depend_on_the_rows() {
        let scaling = Scaling::Public { mean: vec![10.0], scale: vec![2.0] };
        let schema = Schema::new(Family::Gaussian, ["a"], scaling).unwrap();
        let standardizer = Standardizer::of(&schema, &[1.0, 7.0]).unwrap();
        assert_eq!(standardizer.apply(&[13.0]).unwrap(), [1.0, 1.5]);
    }

    #[test]
    fn a_family_without_intercept_has_the_features_alone() {
        let schema = Schema::new(Family::Cox, ["a"], Scaling::SiteLocal).unwrap();
        let standardizer = Standardizer::of(&schema, &[1.0, 3.0]).unwrap();
        assert_eq!(standardizer.apply(&[2.0]).unwrap(), [0.0]);
    }

    #[test]
    fn rows_that_do_not_fit_are_refused() {
        let standardizer = site_local(2, &[0.0, 0.0, 1.0, 1.0]).unwrap();
        assert_eq!(standardizer.apply(&[1.0]), Err(EvidenceError::RowLength { expected: 2, found: 1 }));
        assert_eq!(standardizer.apply(&[1.0, f64::NAN]), Err(EvidenceError::NotFinite { row: 0, column: 1 }));
        assert_eq!(site_local(1, &[f64::MAX, f64::MAX]), Err(EvidenceError::TooLarge { column: 0 }));
    }
}
