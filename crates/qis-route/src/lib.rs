#![doc = include_str!("../README.md")]

mod clock;
mod dht_directory;
mod directory;
mod draw;
mod error;
mod full_mesh;
mod lsh;
pub mod overlay;
mod peer;
pub mod proto;
mod selection;
mod store;
mod transport;

pub use clock::{Clock, Moment};
pub use dht_directory::{Dht, DhtConfig, DhtDirectory};
pub use directory::{Candidates, Descriptor, Directory};
pub use error::{HostError, HostErrorKind};
pub use full_mesh::{FullMesh, FullMeshError};
pub use peer::{Address, AddressError, Peer};
pub use qis_packet::Organisation;
pub use selection::Selection;
pub use store::{Batch, Operation, Row, Store, Table};
pub use transport::{Transport, transport_fn};
