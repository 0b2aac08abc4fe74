#![doc = include_str!("../README.md")]
#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bayes;
mod eigen;
mod error;
pub mod evidence;
mod lanes;
mod linalg;
pub mod rules;
mod samples;
mod synthesis;
mod synthesizer;
#[cfg(test)]
mod testing;

pub use error::{ContentKind, Mismatch, SynthesisError};
pub use samples::{Content, DuplicateAuthor, Own, OwnOutcome, Sample, Samples};
pub use synthesis::{Abstention, Contribution, Exclusion, Standing, Synthesis};
pub use synthesizer::{Synthesizer, SynthesizerFn, synthesizer_fn};
