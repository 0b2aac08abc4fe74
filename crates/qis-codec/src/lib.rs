#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::expect_used)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bits;
mod decoded;
mod error;
mod mode;
mod vector;

pub use decoded::Decoded;
pub use error::{DecodeError, DimsMismatch, EncodeError};
pub use mode::Mode;
pub use vector::{Encoded, MAX_DIMS, decode, encode};
