//! A network, a directory, a store and a clock in memory: for examples, tests, and nodes of one process.

mod clock;
mod directory;
mod network;
mod store;

pub use clock::ManualClock;
pub use directory::MemoryDirectory;
pub use network::{MemoryListener, MemoryTransport, Network};
pub use store::MemoryStore;
