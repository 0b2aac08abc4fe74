#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::expect_used)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod compact;
mod embedder;
mod error;
mod fingerprint;
mod hashed;
mod space;

pub use compact::MIN_COMPACT_BYTES;
pub use embedder::{Embedder, FnEmbedder, embedder_fn};
pub use error::{EmbedError, EmbedErrorKind, FingerprintError, SpaceMismatch};
pub use fingerprint::{Fingerprint, MAX_DIMS};
pub use hashed::{HashEmbedder, MAX_TEXT_BYTES};
pub use space::SpaceId;
