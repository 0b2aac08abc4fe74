#![doc = include_str!("../README.md")]

mod alarm;
#[cfg(feature = "attack")]
pub mod attack;
mod block_on;
pub mod directory;
pub mod embedder;
pub mod provenance;
mod random;
mod report;
mod requirement;
mod runner;
pub mod store;
pub mod synthesizer;
pub mod transport;

pub use block_on::block_on;
pub use report::{Failures, LeftOut, Report, Violation};
pub use requirement::Requirement;
