#![doc = include_str!("../README.md")]
//!
//! (This package holds the examples; its library has what two of them share, and the README, whose quick start it compiles and runs as a
//! test.)

#[path = "shared/rng.rs"]
mod rng;

pub use rng::Rng;
