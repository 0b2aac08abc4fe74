//! A vector as it came out of its bytes.

use alloc::vec;
use alloc::vec::Vec;

use crate::DimsMismatch;

/// A decoded vector, in the form that is cheapest to add up again and again.
///
/// A receiver decodes once, when the bytes arrive, and synthesises from this.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    dims: usize,
    form: Form,
}

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Zero,
    Real(Vec<f32>),
}

impl Decoded {
    pub(crate) const fn zero(dims: usize) -> Self {
        Self { dims, form: Form::Zero }
    }

    pub(crate) fn real(values: Vec<f32>) -> Self {
        Self { dims: values.len(), form: Form::Real(values) }
    }

    /// The number of coordinates.
    #[must_use]
    pub const fn dims(&self) -> usize {
        self.dims
    }

    /// Adds `weight` times this vector to `sum`, coordinate by coordinate, in order.
    ///
    /// # Errors
    ///
    /// If `sum` has another number of coordinates; it is unchanged then.
    pub fn add_scaled(&self, weight: f64, sum: &mut [f64]) -> Result<(), DimsMismatch> {
        if sum.len() != self.dims {
            return Err(DimsMismatch { expected: self.dims, actual: sum.len() });
        }
        match &self.form {
            Form::Zero => {}
            Form::Real(values) => {
                for (total, value) in sum.iter_mut().zip(values) {
                    *total += weight * f64::from(*value);
                }
            }
        }
        Ok(())
    }

    /// The coordinates.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f64> {
        match &self.form {
            Form::Zero => vec![0.0; self.dims],
            Form::Real(values) => values.iter().map(|&value| f64::from(value)).collect(),
        }
    }
}
