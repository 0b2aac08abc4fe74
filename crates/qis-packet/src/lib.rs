#![doc = include_str!("../README.md")]
#![no_std]
#![deny(clippy::indexing_slicing, clippy::expect_used)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod domain;
mod draft;
mod error;
mod extension;
mod fragment;
mod frame;
mod identity;
mod layout;
mod lineage;
mod link;
#[cfg(feature = "memo")]
mod memo;
mod order;
mod organisation;
mod packet;
mod parity;
mod payload;
#[cfg(qis_planted)]
pub mod planted;
mod provenance;
mod quantity;
mod reassembler;
mod rotation;
mod time;
mod wire;

pub use domain::{DomainTag, DomainTagError};
pub use draft::{Draft, Seal};
pub use error::{DecodeError, FragmentError, PacketError, ReassemblyError, VerifyError};
pub use extension::{Extensions, ExtensionsIter};
pub use fragment::{FRAGMENT_OVERHEAD, Fragment, FragmentPlan, MIN_LINK_FRAME, Parity, fragment};
pub use frame::{Frame, FrameError, FrameKind};
#[cfg(feature = "entropy")]
pub use identity::EntropyError;
pub use identity::{AuthorId, Identity, KeyError, NetworkId, PublicKey, Trailer};
pub use layout::{Fault, Field, Layout, Problem, Span};
pub use lineage::{Lineage, MAX_GENERATION};
pub use link::{LinkProfile, LinkReport};
#[cfg(feature = "memo")]
pub use memo::SignatureMemo;
pub use order::Order;
pub use organisation::Organisation;
pub use packet::{OutcomePacket, PacketId, VerifiedPacket};
pub use payload::Payload;
pub use provenance::{Commitment, Epoch, Opening, OpeningError, ProvenanceError, SiteSecret};
pub use quantity::{Confidence, Support};
pub use reassembler::{Reassembler, ReassemblyConfig, ReassemblyStats};
pub use rotation::{RotationError, RotationStatement};
pub use time::{Freshness, Lifetime, SKEW_SECONDS, Timestamp};

/// Whether one of the bugs that are there on purpose is planted: never, but in a build with `--cfg qis_planted`.
///
/// For the simulator, which shows by them that it would find them.
#[doc(hidden)]
#[cfg(qis_planted)]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::Bug::$bug.is_planted()
    };
}

/// Whether one of the bugs that are there on purpose is planted: never, but in a build with `--cfg qis_planted`.
///
/// For the simulator, which shows by them that it would find them.
#[doc(hidden)]
#[cfg(not(qis_planted))]
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        false
    };
}

/// The most bytes a packet takes, with its signature and all else.
pub const MAX_PACKET_BYTES: usize = 512;

/// The most bytes of the fingerprint in a packet.
pub const MAX_FINGERPRINT_BYTES: usize = 192;

/// The bytes of the fingerprint in a packet unless its draft says otherwise: up to so many dimensions travel as they are, more are
/// [compacted](qis_fingerprint::Fingerprint::compact).
pub const DEFAULT_FINGERPRINT_BYTES: usize = 64;
