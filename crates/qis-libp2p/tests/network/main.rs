//! Nodes on loopback: what they send, whom they find, and what they refuse.
//!
//! One program, since each would be linked with all of libp2p.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod conformance;
mod frames;
mod members;
mod node;
mod refusals;
mod stranger;
mod support;
#[cfg(any(feature = "dns", feature = "quic", feature = "nat"))]
mod transports;
