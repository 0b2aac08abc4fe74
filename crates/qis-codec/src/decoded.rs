//! A vector as it came out of its bytes.

use alloc::vec;
use alloc::vec::Vec;

use crate::dither;

/// A decoded vector, in the form that is cheapest to add up again and again.
///
/// A receiver decodes once, when the bytes arrive, and synthesises from this. In the trellis mode it holds integers and one scale;
/// a coordinate is their product, exact in `f64`.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    pub(crate) dims: usize,
    pub(crate) form: Form,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    Zero,
    Real(Vec<f32>),
    Scaled { integers: Vec<i32>, scale: f64 },
}

impl Decoded {
    pub(crate) const fn zero(dims: usize) -> Self {
        Self { dims, form: Form::Zero }
    }

    pub(crate) fn real(values: Vec<f32>) -> Self {
        Self { dims: values.len(), form: Form::Real(values) }
    }

    pub(crate) fn scaled(integers: Vec<i32>, step: u16) -> Self {
        Self { dims: integers.len(), form: Form::Scaled { integers, scale: scale(step) } }
    }

    /// The number of coordinates.
    #[must_use]
    pub const fn dims(&self) -> usize {
        self.dims
    }

    /// The integers and the scale of a vector in the trellis mode; `None` for the other modes.
    ///
    /// Each coordinate is its integer times the scale. The scale has eight significant bits and an integer at most 31, so that the product is exact.
    #[must_use]
    pub fn integers(&self) -> Option<(&[i32], f64)> {
        match &self.form {
            Form::Scaled { integers, scale } => Some((integers, *scale)),
            Form::Zero | Form::Real(_) => None,
        }
    }

    /// The coordinates.
    #[must_use]
    pub fn to_vec(&self) -> Vec<f64> {
        match &self.form {
            Form::Zero => vec![0.0; self.dims],
            Form::Real(values) => values.iter().map(|&value| f64::from(value)).collect(),
            Form::Scaled { integers, scale } => integers.iter().map(|&m| f64::from(m) * scale).collect(),
        }
    }
}

/// The scale of the decoded integers at a step, a bfloat16.
pub(crate) fn scale(step: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(step) << 16)) / f64::from(1 << dither::BITS)
}
