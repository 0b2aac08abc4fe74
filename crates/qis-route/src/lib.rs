#![doc = include_str!("../README.md")]

mod clock;
mod directory;
mod draw;
mod error;
mod full_mesh;
mod organisation;
pub mod overlay;
mod peer;
pub mod proto;
mod store;
mod transport;

pub use clock::{Clock, Moment};
pub use directory::{Descriptor, Directory};
pub use error::{HostError, HostErrorKind};
pub use full_mesh::{FullMesh, FullMeshError};
pub use organisation::Organisation;
pub use peer::{Address, AddressError, Peer};
pub use store::{Batch, Operation, Row, Store, Table};
pub use transport::{Transport, transport_fn};
