//! Rules for plain delta vectors.
//!
//! [`Robust`] is the one for peers that may lie, and the default of the facade. The others are for those who ask for them by name.

mod anchored;
mod centered_clip;
mod collapse;
mod columns;
mod deltas;
mod ema;
mod geometric_median;
mod intake;
mod krum;
mod median;
mod mixing;
mod multi_krum;
mod named;
mod robust;
mod tolerance;
mod trimmed_mean;
mod vectors;
mod votes;

pub use anchored::AnchoredMean;
pub use centered_clip::CenteredClip;
pub use ema::Ema;
pub use geometric_median::GeometricMedian;
pub use intake::Intake;
pub use krum::Krum;
pub use median::Median;
pub use multi_krum::MultiKrum;
pub use named::{NAMES, by_name};
pub use robust::Robust;
pub use trimmed_mean::TrimmedMean;

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
