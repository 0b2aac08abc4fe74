//! What goes into a router and comes out of it.

use std::time::Duration;

use qis_fingerprint::Fingerprint;
use qis_packet::{AuthorId, DomainTag, Epoch, Order, PacketId};

use super::{EmissionId, EmitError, Pulled, Receipt};
use crate::{Address, Batch, Candidates, HostError, Table};

/// Names a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub(super) u64);

/// Names a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SendId(pub(super) u64);

/// Names a pull.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullId(pub(super) u64);

/// What the driver is to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Hand one frame after the other to the transport, and stop at the first that fails; the result of all is one [`Input::Sent`].
    Send {
        /// Names it.
        id: SendId,
        /// Where to.
        to: Address,
        /// The frames: one, or the parts of one that is larger than the transport carries.
        frames: Vec<Vec<u8>>,
        /// How long each of them may take.
        allowed: Duration,
    },
    /// Ask the directory for peers; the result is [`Input::Found`].
    ///
    /// When `random` is more than 0, ask for `random + similar` [members](crate::Directory::sample) first, since the similar ones may be
    /// among them; give that part of the time, and take a failure for none. Then ask for the `similar`
    /// [most similar](crate::Directory::nearest) ones, and for as many more as there were members fewer than `random`: those take their places.
    Lookup {
        /// Names it.
        id: LookupId,
        /// Similar to what: the exact fingerprint, unless only the compact one of a packet is known.
        fingerprint: Fingerprint,
        /// How many similar ones.
        similar: usize,
        /// How many of any kind.
        random: usize,
        /// How long it may take.
        allowed: Duration,
    },
    /// Announce to the directory; the result is [`Input::Announced`].
    Announce {
        /// The node's domain and situation; the driver adds the address.
        domain: DomainTag,
        /// Its situation there: the exact fingerprint, unless only the compact one of a packet is known.
        fingerprint: Fingerprint,
    },
    /// Commit a batch to the store; the result is [`Input::Committed`]. There is never a second one before that.
    Commit(Batch),
    /// Tell those who listen.
    Event(Event),
}

/// What the driver reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A send ended.
    Sent {
        /// Which.
        id: SendId,
        /// How.
        result: Result<(), HostError>,
    },
    /// A look-up ended.
    Found {
        /// Which.
        id: LookupId,
        /// Who was found.
        result: Result<Candidates, HostError>,
    },
    /// An announcement ended.
    Announced {
        /// The domain.
        domain: DomainTag,
        /// How.
        result: Result<(), HostError>,
    },
    /// The commit ended.
    Committed(Result<(), HostError>),
    /// The time of [`Router::next_timeout`](super::Router::next_timeout) has come.
    Timeout,
}

/// What happened that somebody may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// An emission is durable: it will be sent, also after a crash.
    Stored {
        /// Which.
        emission: EmissionId,
        /// Its packet.
        packet: PacketId,
        /// The packet's place in this author's order, which no other packet will ever have.
        order: Order,
    },
    /// An emission is over.
    Emitted(Receipt),
    /// An emission failed before anything was sent.
    EmissionFailed {
        /// Which.
        emission: EmissionId,
        /// Why.
        error: EmitError,
    },
    /// A packet became its author's standing one, durably.
    Applied {
        /// The domain.
        domain: DomainTag,
        /// The author.
        author: AuthorId,
        /// The packet.
        packet: PacketId,
        /// Whether it withdraws what stood before.
        retraction: bool,
    },
    /// A pull is over.
    Pulled {
        /// Which.
        pull: PullId,
        /// What it brought.
        result: Pulled,
    },
    /// A packet of this node came back that it does not remember, so it was restored from a backup: it goes on in a new incarnation
    /// and will state its standing outcomes again, by the clock.
    IncarnationRaised,
    /// What [`Router::erase_provenance_before`](super::Router::erase_provenance_before) erased is gone from the store too.
    ProvenanceErased {
        /// The first week whose secret is left.
        before: Epoch,
    },
    /// The store failed. Packets are not acknowledged until it works again.
    StoreFailed {
        /// Whether it will never work again; the node must be built anew then.
        poisoned: bool,
        /// How.
        error: String,
    },
}

/// A store that holds something else than this router wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row of the table {table:?} is damaged or was written for another network or identity")]
pub struct RestoreError {
    /// The table.
    pub table: Table,
}
