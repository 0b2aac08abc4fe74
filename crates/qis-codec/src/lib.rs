#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::expect_used)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod accumulate;
pub mod bits;
mod decoded;
mod dither;
mod error;
mod fit;
mod mode;
mod model;
mod rans;
mod stream;
mod tables;
mod trellis;
mod vector;

pub use accumulate::{FRACTION_BITS, accumulate};
pub use decoded::Decoded;
pub use error::{AccumulateError, DecodeError, DimsMismatch, EncodeError};
pub use mode::Mode;
pub use vector::{Encoded, MAX_DIMS, MIN_TRELLIS_BYTES, decode, encode};
