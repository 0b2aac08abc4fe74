//! What goes into an overlay and comes out of it.

use std::fmt;

use qis_packet::Order;

use super::Contact;
use crate::Address;

/// Names a look-up or a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LookupId(pub(super) u64);

/// What the driver is to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Hand a frame to the transport. What becomes of it need not be reported.
    Send {
        /// Where to.
        to: Address,
        /// The frame.
        frame: Vec<u8>,
    },
    /// Tell those who listen.
    Event(Event),
}

/// What happened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// A look-up of the host's is over.
    Found {
        /// Which.
        id: LookupId,
        /// What it found.
        found: Found,
    },
    /// A draw of the host's is over.
    Sampled {
        /// Which.
        id: LookupId,
        /// Members of the network, each known from its own verified descriptor, in no order; as many as were wanted, or fewer.
        members: Vec<Contact>,
        /// How many requests it took, repetitions left out.
        requests: u32,
    },
    /// The node has looked for itself, and has asked those it chose to keep it as a contact.
    Settled {
        /// How many contacts it has.
        contacts: usize,
    },
    /// Others hold a descriptor that this node has signed, newer than its present one: of a life in which its clock was ahead, say, and of which
    /// it has kept nothing. They take nothing that is older, so describe the node anew, by an incarnation after that of this one, since others may
    /// hold something newer still of that life. Told whenever it turns up: do so a few times in some minutes at most, since two nodes that go on by
    /// one key would outdo each other without end.
    Outdated {
        /// That of the newer descriptor.
        order: Order,
    },
    /// A packet came with a request: what is in it, and whether it is wanted, is for the router.
    Packet {
        /// From where.
        from: Address,
        /// The packet, unread.
        packet: Vec<u8>,
    },
}

/// What a look-up found.
#[derive(Debug, Default)]
pub struct Found {
    /// The most similar nodes, the most similar first, each known from its own verified descriptor.
    pub nearest: Vec<(f32, Contact)>,
    /// Those who have the packet of the look-up: all that were asked on the way, or the nearest only.
    pub reached: Vec<Contact>,
    /// How many requests it took, repetitions left out.
    pub requests: u32,
    /// How many round trips.
    pub rounds: u32,
}

/// Why a descriptor or a message was not taken. Each is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// Not a message or descriptor in its only form, or too large.
    Malformed,
    /// A signature or key that is not valid in this network.
    Signature,
    /// The credential does not admit the author.
    NotAdmitted,
    /// Of another space or number of dimensions.
    WrongSpace,
    /// Older than the one that is known.
    Stale,
    /// This node's own.
    Own,
    /// Known already.
    Duplicate,
    /// Less similar than those that are kept.
    Far,
    /// An answer to nothing that was asked, or that was answered before.
    Unasked,
    /// An answer of another kind than was asked for, or of another author.
    Mismatch,
    /// More requests than are allowed.
    RateLimited,
    /// No room for the output.
    Busy,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Signature,
        Self::NotAdmitted,
        Self::WrongSpace,
        Self::Stale,
        Self::Own,
        Self::Duplicate,
        Self::Far,
        Self::Unasked,
        Self::Mismatch,
        Self::RateLimited,
        Self::Busy,
    ];
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::Signature => "invalid signature",
            Self::NotAdmitted => "not admitted",
            Self::WrongSpace => "of another space",
            Self::Stale => "stale",
            Self::Own => "this node's own",
            Self::Duplicate => "known already",
            Self::Far => "too far away",
            Self::Unasked => "an answer to nothing",
            Self::Mismatch => "not what was asked for",
            Self::RateLimited => "too many requests",
            Self::Busy => "no room",
        })
    }
}

impl std::error::Error for Refusal {}

/// Counts since the overlay was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OverlayStats {
    /// Requests made, repetitions left out.
    pub requests: u64,
    /// Requests repeated.
    pub repeated: u64,
    /// Bytes of the frames of requests made, repetitions included.
    pub request_bytes: u64,
    /// Bytes of the frames that answered them.
    pub answer_bytes: u64,
    /// Requests of others for the similar ones that were answered.
    pub served: u64,
    /// All requests of others that were answered.
    pub answered: u64,
    /// Look-ups of the host's that are over.
    pub lookups: u64,
    /// Requests that they took, repetitions left out.
    pub lookup_requests: u64,
    /// Their round trips.
    pub lookup_rounds: u64,
    /// Contacts that were given up since they did not answer.
    pub dead: u64,
    /// Contacts that were forgotten since their admission is over.
    pub expired: u64,
    refused: [u32; Refusal::ALL.len()],
}

impl OverlayStats {
    /// How many messages and descriptors were refused for this reason.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get(refusal as usize).copied().map_or(0, u64::from)
    }

    pub(super) fn add(&mut self, other: &Self) {
        let Self { requests, repeated, request_bytes, answer_bytes, served, answered, .. } = other;
        let Self { lookups, lookup_requests, lookup_rounds, dead, expired, refused, .. } = other;
        self.requests += requests;
        self.repeated += repeated;
        self.request_bytes += request_bytes;
        self.answer_bytes += answer_bytes;
        self.served += served;
        self.answered += answered;
        self.lookups += lookups;
        self.lookup_requests += lookup_requests;
        self.lookup_rounds += lookup_rounds;
        self.dead += dead;
        self.expired += expired;
        for (sum, count) in self.refused.iter_mut().zip(refused) {
            *sum = sum.saturating_add(*count);
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        if let Some(count) = self.refused.get_mut(refusal as usize) {
            *count = count.saturating_add(1);
        }
    }
}
