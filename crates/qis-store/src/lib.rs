#![doc = include_str!("../README.md")]
#![deny(clippy::indexing_slicing, clippy::expect_used, clippy::unwrap_used)]

mod backup;
mod cipher;
#[cfg(test)]
mod crashes;
mod engine;
mod error;
mod faults;
mod file;
#[cfg(feature = "image")]
mod image;
mod options;
mod schema;
mod store;
#[cfg(test)]
mod testing;
mod worker;

pub use backup::BackupError;
pub use engine::Check;
pub use error::OpenError;
#[cfg(feature = "image")]
pub use image::Image;
pub use options::StoreOptions;
pub use store::RedbStore;
