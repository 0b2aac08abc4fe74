//! What became of an emission.

use qis_packet::{AuthorId, DomainTag, Order, PacketError, PacketId};

use super::{ConfigError, PayloadRefusal};
use crate::{Address, HostError, HostErrorKind};

/// Names an emission of one router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmissionId(pub(super) u64);

/// Who got a packet and who did not. Partial success is a result, not an error.
#[derive(Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// The emission.
    pub emission: EmissionId,
    /// The packet.
    pub packet: PacketId,
    /// Its place in this author's order.
    pub order: Order,
    /// What it is about.
    pub domain: DomainTag,
    /// Its size.
    pub bytes: usize,
    /// One report for each recipient, most similar first.
    pub recipients: Vec<RecipientReport>,
    /// Why recipients could not be looked up; there are none then. The packet still answers queries.
    pub lookup_error: Option<HostError>,
}

/// What became of a packet at one recipient.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecipientReport {
    /// Who.
    pub author: AuthorId,
    /// Where.
    pub address: Address,
    /// How similar its situation is: the cosine of the fingerprints, -1 to 1.
    pub similarity: f32,
    /// How often the packet was sent to it.
    pub attempts: u8,
    /// How it ended.
    pub delivery: Delivery,
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// The recipient holds the packet, or a newer one of this author, durably.
    Acknowledged,
    /// The recipient's clock says the packet is from the future; it waits for its time there, in memory.
    Parked,
    /// The recipient will never take it.
    Refused,
    /// No word of it after all attempts; it may or may not have arrived.
    Unacknowledged,
    /// The transport can't reach the recipient.
    Failed(HostErrorKind),
}

impl Receipt {
    /// How many recipients are known to hold it, durably.
    #[must_use]
    pub fn delivered(&self) -> usize {
        self.recipients.iter().filter(|report| report.delivery == Delivery::Acknowledged).count()
    }
}

/// Why an outcome was not emitted. Nothing was sent, and what stood before stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The node has no part in the domain.
    #[error("the domain {domain} is not one of this node's")]
    UnknownDomain {
        /// The domain.
        domain: DomainTag,
    },
    /// The outcome is not what the domain takes.
    #[error("the outcome is not what the domain takes")]
    Payload(#[from] PayloadRefusal),
    /// The outcome makes no packet.
    #[error("the outcome makes no packet")]
    Packet(#[from] PacketError),
    /// The selection chooses nobody or too many.
    #[error("the selection is refused")]
    Selection(#[from] ConfigError),
    /// As many emissions as the configuration allows are under way. Wait for a receipt.
    #[error("{limit} emissions are under way already")]
    QueueFull {
        /// The configured bound.
        limit: usize,
    },
    /// The driver or the store is behind, so that a queue is full. Try again later.
    #[error("the node is busy: a queue to its driver or its store is full")]
    Busy,
    /// There is no standing packet of this node to withdraw.
    #[error("nothing of this node stands in the domain {domain}")]
    NothingToRetract {
        /// The domain.
        domain: DomainTag,
    },
    /// The store did not keep the packet, so it was not sent. Should the store have kept it in spite of its error, the next commit takes
    /// it back; only if the process ends before that, it is sent after the restart.
    #[error("the store did not keep the packet")]
    Store(#[source] HostError),
    /// The store failed for good before; the node must be built again.
    #[error("the store failed before and is not used any more")]
    StorePoisoned,
}
