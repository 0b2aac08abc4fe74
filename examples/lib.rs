#![doc = include_str!("../README.md")]
//!
//! (This package holds the examples; its library is empty but for the README, whose quick start it compiles and runs as a test.)
