#![doc = include_str!("../README.md")]

mod dht;
mod experiment;
mod measure;
mod network;
mod registry;
mod rng;
pub mod simulate;
mod snapshot;
mod sybils;
mod vectors;

pub use dht::{DhtError, DhtReport, Providers, measure_dht};
pub use experiment::{Costs, Experiment};
pub use measure::{Load, Report, Truth};
pub use network::{Faults, Network, NodeId};
pub use registry::SharedRegistry;
pub use rng::Rng;
pub use sybils::{Capture, Sybils};
pub use vectors::{VectorError, Vectors};

/// How many threads are worth their while.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
