//! Evidence: what a site's own records say about the coefficients of a statistical model.
//!
//! A [`Schema`] fixes what the numbers mean. [`Evidence`] holds one site's records, never leaves
//! the site, and yields an [`EvidenceSummary`]: the log-likelihood's quadratic form, small enough
//! for a packet and enough for others to learn from. Evidence is always a site's *own* data,
//! never the result of a synthesis, so it cannot come back to its origin and be counted twice.
//!
//! **Privacy.** The summary of one record is that record, and the difference of two summaries is
//! what was added in between. Leave publishing to a caller who counts records, such as the node; or
//! publish [with noise](Evidence::with_noise), which a [`Ledger`] adds up.

pub mod encoding;
mod ledger;
mod noise;
mod own;
mod schema;
mod standardizer;
mod summary;

pub use encoding::{DecodingError, EncodingError};
pub use ledger::Ledger;
pub use noise::{Noise, PrivacyError};
pub(crate) use own::NOISE_GUESS;
pub use own::{Evidence, EvidenceError};
pub use schema::{Family, Scaling, Schema, SchemaError};
pub use standardizer::Standardizer;
pub use summary::EvidenceSummary;
