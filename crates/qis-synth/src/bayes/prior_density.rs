use nalgebra::{DMatrix, DVector};

use crate::linalg::{Factor, Singular};

/// A Gaussian prior over coefficients, with what evaluating it needs.
#[derive(Debug, Clone)]
pub(crate) struct Prior {
    pub(crate) mean: DVector<f64>,
    pub(crate) precision: DMatrix<f64>,
    pub(crate) log_det_covariance: f64,
}

impl Prior {
    /// Independent coefficients with these positive variances.
    pub(crate) fn diagonal(mean: DVector<f64>, variances: &DVector<f64>) -> Self {
        Self {
            mean,
            precision: DMatrix::from_diagonal(&variances.map(|v| 1.0 / v)),
            log_det_covariance: variances.iter().map(|&v| libm::log(v)).sum(),
        }
    }

    /// Coefficients with a full covariance.
    pub(crate) fn full(mean: DVector<f64>, covariance: DMatrix<f64>) -> Result<Self, Singular> {
        let factor = Factor::new(covariance)?;
        Ok(Self { mean, precision: factor.inverse(), log_det_covariance: factor.log_det() })
    }
}
