//! What handles ask of the task that owns the swarm.

use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use qis_fingerprint::SpaceId;
use qis_packet::AuthorId;
use qis_route::HostError;
use tokio::sync::oneshot;

/// Answers a command.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, HostError>>;

#[derive(Debug)]
pub(crate) enum Command {
    /// Connect to a peer for the frames that wait in its link.
    Dial { peer: PeerId, address: Multiaddr },
    /// The host takes frames now.
    Served,
    /// Keep a value in the network.
    Put { key: Vec<u8>, value: Vec<u8>, lives: Duration, reply: Reply<()> },
    /// Get the values of a key.
    Get { key: Vec<u8>, reply: Reply<Vec<Vec<u8>>> },
    /// Be found in a space from now on.
    Announce { space: SpaceId, reply: Reply<()> },
    /// Be found there no longer.
    Withdraw { space: SpaceId },
    /// Change who may connect.
    Access(Change),
}

/// A change of who may connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Admit(AuthorId),
    Expel(AuthorId),
    Block(AuthorId),
    Unblock(AuthorId),
}
