#![doc = include_str!("../README.md")]

mod cluster;
mod error;
mod history;
mod judge;
mod machine;
mod namespaces;
mod plan;
mod process;
mod site;
mod stores;
mod verdict;

pub use cluster::Cluster;
pub use error::Fault;
pub use history::{Entry, HISTORY, History, Name};
pub use judge::Leftovers;
pub use machine::load_average;
pub use namespaces::Namespaces;
pub use plan::{Plan, Step};
pub use site::{DIMS, DOMAIN, NETWORK, Settings, Site, free_ports, program};
pub use stores::{Held, Packet};
pub use verdict::Violation;
