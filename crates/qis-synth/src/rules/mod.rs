//! Rules for plain delta vectors.

mod anchored;
mod deltas;
mod ema;

pub use anchored::AnchoredMean;
pub use ema::Ema;

/// A share that is not between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, not between 0 and 1")]
pub struct ShareError {
    /// The field.
    pub field: &'static str,
    /// The value that was given.
    pub value: f64,
}

fn share(field: &'static str, value: f64) -> Result<f64, ShareError> {
    let valid = (0.0..=1.0).contains(&value);
    valid.then_some(value).ok_or(ShareError { field, value })
}
