//! Why a load was not measured, or what it showed to be wrong.

use std::io;

use crate::words::{chain, plural};

#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("--store {path} exists: name a new file, in which nothing is kept yet")]
    Exists { path: String },
    #[error("{}", chain(.0))]
    Store(#[from] qis_store::OpenError),
    #[error("the node cannot be built: {}", chain(.0))]
    Build(#[from] qis::BuildError),
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
    #[error("a packet cannot be made: {0}")]
    Packet(#[from] qis_packet::PacketError),
    #[error("the authors cannot be made: this is a bug")]
    Authors,
    #[error("the thread that makes the packets cannot be started: {0}")]
    Thread(io::Error),
    #[error("the thread that makes the packets has ended by itself: this is a bug")]
    Maker,
    #[error("after {seconds} s without further load {found} of {wanted} {what} are acknowledged")]
    Unacknowledged { what: &'static str, wanted: u64, found: u64, seconds: u64 },
    #[error("the numbers do not add up: {what} are {expected}, and {found} were counted")]
    Sums { what: &'static str, expected: u64, found: u64 },
    #[error("the newest packet of {} was acknowledged, and is not in the store", plural(*authors, "author"))]
    Lost { authors: u64 },
}
