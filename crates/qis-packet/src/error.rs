//! Errors, split by blame: the caller's misuse, the sender's bytes, the sender's word.

use alloc::string::String;

use qis_fingerprint::FingerprintError;

use crate::{AuthorId, PublicKey};

/// Why a packet was not made. The caller's misuse; nothing was made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketError {
    /// It would be larger than a packet, or this one, may be.
    #[error("the packet needs {needed} bytes and may have {limit}; {overhead} of them are not payload")]
    TooLarge {
        /// Bytes it would need.
        needed: usize,
        /// Bytes it may have.
        limit: usize,
        /// Bytes it needs for all but the payload.
        overhead: usize,
    },
    /// The delta is no vector the codec takes.
    #[error("the delta is refused")]
    Delta(#[source] qis_codec::EncodeError),
    /// The fingerprint can't be compacted into the bytes it may have: they are fewer than 9.
    #[error("the fingerprint does not fit its bytes")]
    Fingerprint(#[source] FingerprintError),
    /// Evidence without a byte, without dimensions, or with more than 4,096.
    #[error("evidence has 1 to 4096 dimensions and at least one byte; this has {dims} and {bytes}")]
    Evidence {
        /// The stated dimensions.
        dims: usize,
        /// The bytes of the evidence.
        bytes: usize,
    },
    /// Evidence in a domain whose tag names no schema.
    #[error(
        "evidence belongs into a domain whose tag ends in @ and the hash of its schema; {domain} names none"
    )]
    NoSchema {
        /// The tag.
        domain: String,
    },
    /// A retraction that is declared as derived.
    #[error("a retraction is not derived from packets")]
    DerivedRetraction,
    /// An extension field that is even, out of order or too long.
    #[error("extension {id} is even, not in ascending order, or has more than 255 bytes")]
    Extension {
        /// The id of the field.
        id: u8,
    },
    /// The provenance can't be committed to.
    #[error("the provenance cannot be committed to")]
    Provenance(#[from] crate::ProvenanceError),
}

/// Why bytes are not a packet. The sender's fault. [`Layout`](crate::Layout) tells at which byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More than 512 bytes; nothing of them was read.
    #[error("{len} bytes are more than a packet may have")]
    TooLarge {
        /// How many there are.
        len: usize,
    },
    /// A version this library does not know. The packet may be relayed.
    #[error("version {version} is not known here")]
    UnknownVersion {
        /// The stated version.
        version: u8,
    },
    /// The bytes end inside a field, or a field is not of its type.
    #[error("the field {field} is cut short or malformed")]
    Malformed {
        /// The name of the field in the wire format.
        field: &'static str,
    },
    /// A field has a value no packet has.
    #[error("the field {field} has a value outside its range")]
    Range {
        /// The name of the field in the wire format.
        field: &'static str,
    },
    /// The bytes of the fingerprint are none of so many dimensions.
    #[error("the fingerprint is none")]
    Fingerprint(#[source] FingerprintError),
    /// The bytes left after the body are not the trailer that the flags announce.
    #[error("the trailer has {actual} bytes, the flags announce {expected}")]
    Trailer {
        /// Bytes the flags announce: 0, 64 or 96.
        expected: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// The fields are fine but were not written in the one form a packet has.
    #[error("the packet is not in its canonical form")]
    NotCanonical,
    /// An extension that must be understood is not.
    #[error("extension {id} must be understood and is not known here")]
    UnknownExtension {
        /// The id of the field.
        id: u8,
    },
}

/// Why a packet is not what its author signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// It carries no signature.
    #[error("the packet is not signed")]
    Unsigned,
    /// It carries no key and none is known for its author.
    #[error("no public key is known for author {author}")]
    UnknownKey {
        /// The stated author.
        author: AuthorId,
    },
    /// The key is another author's.
    #[error("the key {key} is not that of author {author}")]
    WrongKey {
        /// The stated author.
        author: AuthorId,
        /// The key that was carried or given.
        key: PublicKey,
    },
    /// The bytes of the key are no point of the curve, or a weak one.
    #[error("the public key is invalid")]
    InvalidKey,
    /// The signature does not fit the bytes, the key and the network.
    #[error("the signature is invalid")]
    Signature,
}

/// Why a frame was not cut into fragments. The caller's misuse; nothing was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FragmentError {
    /// A frame without a byte, or with more than any frame has.
    #[error("a frame has 1 to 16384 bytes, this one has {len}")]
    Length {
        /// How many it has.
        len: usize,
    },
    /// The link carries too little for a part to be worth its header.
    #[error("frames of {max_frame} bytes are too small to carry parts of others; 24 is the least")]
    LinkTooSmall {
        /// The largest frame of the link.
        max_frame: usize,
    },
    /// More parts than there are indices: 128, and at most 127 of them data.
    #[error("the frame would take {needed} parts, and 128 is the most, 127 of them data")]
    TooManyParts {
        /// How many it would take, parity counted.
        needed: usize,
    },
    /// The frame is a fragment already.
    #[error("a fragment is not cut again")]
    Nested,
}

/// Why a fragment was not taken, or what it completed is no frame. The sender's fault, or somebody's who speaks in its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReassemblyError {
    /// No whole header, no part, or fewer than two data parts. Nothing has changed.
    #[error("the fragment has no header, no part, or fewer than two data parts")]
    Malformed,
    /// The whole would be larger than a frame may be. Nothing has changed.
    #[error("the parts make more than a frame may have")]
    TooLarge,
    /// Another part of the same index and frame came first. It stands.
    #[error("part {index} contradicts the one that came first")]
    Conflict {
        /// Its index.
        index: u8,
    },
    /// What the parts make does not end in its padding. They were forgotten.
    #[error("the parts do not end in the padding of a frame")]
    Padding,
    /// What the parts make is not the frame they say they are of. They were forgotten.
    #[error("the parts are not those of the frame they name")]
    Hash,
    /// What the parts make is a fragment itself. They were forgotten.
    #[error("the parts make another fragment")]
    Nested,
}
