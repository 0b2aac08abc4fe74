#![doc = include_str!("../README.md")]

mod access;
mod address;
mod behaviour;
mod builder;
mod command;
mod config;
mod dht;
mod error;
mod frames;
mod incident;
mod known;
mod link;
mod links;
mod names;
#[cfg(feature = "nat")]
mod nat;
mod node;
mod queries;
mod random;
mod records;
mod stack;
mod statement;
mod stats;
mod task;
mod transport;

pub use address::NodeAddressError;
pub use builder::Libp2pBuilder;
pub use config::Libp2pConfig;
pub use dht::Libp2pDht;
pub use error::StartError;
pub use node::Libp2p;
pub use stats::Libp2pStats;
pub use transport::Libp2pTransport;
