//! Many nodes in virtual time: the state machines of `qis-route`, the ones that run in production, over a network that is a queue
//! of events. It loses, repeats, delays and reorders frames by a seed, so that a run can be repeated to the byte.
//!
//! Use it to measure and to test protocols; to run a node, use the crate `qis`.

mod dht;
mod experiment;
mod measure;
mod network;
mod registry;
mod rng;
mod snapshot;
mod vectors;

pub use dht::{DhtError, DhtReport, Providers, measure_dht};
pub use experiment::{Experiment, Joins};
pub use measure::{Load, Report, Truth};
pub use network::{Faults, Network, NodeId};
pub use registry::SharedRegistry;
pub use rng::Rng;
pub use vectors::{VectorError, Vectors};
