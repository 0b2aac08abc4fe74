//! The bytes of a packet: a body in postcard, then a raw trailer. `docs/wire-format.md` has the table.

use alloc::vec::Vec;

use postcard::take_from_bytes;
use qis_codec::{MAX_DIMS, Mode};
use qis_fingerprint::{Fingerprint, SpaceId};
use serde::{Deserialize, Serialize};

use crate::{
    AuthorId, Commitment, Confidence, DecodeError, DomainTag, Extensions, Lifetime, Lineage,
    MAX_FINGERPRINT_BYTES, Order, Payload, Support, Timestamp, Trailer,
};

pub(crate) const VERSION: u8 = 1;
pub(crate) const CONTEXT: &[u8] = b"qis/packet/1";

/// All fields of a packet but its trailer's bytes: each combination of valid values is a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) trailer: Trailer,
    pub(crate) author: AuthorId,
    pub(crate) order: Order,
    pub(crate) time: Timestamp,
    pub(crate) lifetime: Lifetime,
    pub(crate) domain: DomainTag,
    pub(crate) confidence: Confidence,
    pub(crate) support: Support,
    pub(crate) commitment: Commitment,
    pub(crate) lineage: Option<Lineage>,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) payload: Payload,
    pub(crate) extensions: Extensions,
}

#[derive(Serialize, Deserialize)]
struct Head<'a> {
    version: u8,
    flags: u8,
    author: [u8; 16],
    incarnation: u32,
    sequence: u32,
    time: u64,
    lifetime: u16,
    domain: &'a str,
    confidence: u8,
    support: u8,
    commitment: [u8; 32],
}

#[derive(Serialize, Deserialize)]
struct WireLineage {
    generation: u8,
    root: [u8; 16],
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Tail<'a> {
    pub(crate) space: [u8; 4],
    pub(crate) fingerprint_dims: u16,
    pub(crate) fingerprint: &'a [u8],
    pub(crate) dims: u16,
    pub(crate) payload: &'a [u8],
}

/// The flags: signed, key in the trailer, two bits of kind, two bits of delta mode, derived, extended.
pub(crate) struct Flags;

impl Flags {
    pub(crate) const SIGNED: u8 = 1;
    pub(crate) const KEY: u8 = 1 << 1;
    const KIND_SHIFT: u8 = 2;
    const MODE_SHIFT: u8 = 4;
    const TWO_BITS: u8 = 0b11;
    pub(crate) const DERIVED: u8 = 1 << 6;
    pub(crate) const EXTENDED: u8 = 1 << 7;

    pub(crate) const DELTA: u8 = 0;
    pub(crate) const EVIDENCE: u8 = 1;
    pub(crate) const RETRACTION: u8 = 2;

    pub(crate) const fn kind(flags: u8) -> u8 {
        flags >> Self::KIND_SHIFT & Self::TWO_BITS
    }

    pub(crate) const fn mode(flags: u8) -> u8 {
        flags >> Self::MODE_SHIFT & Self::TWO_BITS
    }

    fn of(body: &Body) -> u8 {
        let trailer = match body.trailer {
            Trailer::None => 0,
            Trailer::Signature => Self::SIGNED,
            Trailer::SignatureAndKey => Self::SIGNED | Self::KEY,
        };
        let (kind, mode) = match &body.payload {
            Payload::Delta { mode, .. } => (Self::DELTA, mode.code()),
            Payload::Evidence { .. } => (Self::EVIDENCE, 0),
            Payload::Retraction => (Self::RETRACTION, 0),
        };
        let derived = if body.lineage.is_some() { Self::DERIVED } else { 0 };
        let extended = if body.extensions.is_empty() { 0 } else { Self::EXTENDED };
        trailer | kind << Self::KIND_SHIFT | mode << Self::MODE_SHIFT | derived | extended
    }
}

impl Body {
    /// The bytes of the body. Its length is not limited here.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(crate::MAX_PACKET_BYTES);
        let head = Head {
            version: VERSION,
            flags: Flags::of(self),
            author: *self.author.as_bytes(),
            incarnation: self.order.incarnation,
            sequence: self.order.sequence,
            time: self.time.unix_seconds(),
            lifetime: self.lifetime.hours(),
            domain: self.domain.as_str(),
            confidence: self.confidence.byte(),
            support: self.support.byte(),
            commitment: *self.commitment.as_bytes(),
        };
        append(&mut out, &head);
        if let Some(lineage) = &self.lineage {
            append(&mut out, &WireLineage { generation: lineage.generation(), root: *lineage.root() });
        }
        let fingerprint = self.fingerprint.to_bytes();
        let tail = Tail {
            space: self.fingerprint.space().to_bytes(),
            fingerprint_dims: u16::try_from(self.fingerprint.dims()).unwrap_or(u16::MAX),
            fingerprint: &fingerprint,
            dims: self.payload.dims(),
            payload: self.payload.bytes(),
        };
        append(&mut out, &tail);
        if !self.extensions.is_empty() {
            append(&mut out, self.extensions.as_bytes());
        }
        out
    }

    /// Reads a body and returns it with the bytes after it.
    ///
    /// Everything is parsed from borrowed slices and checked; the few copies at the end are of at most 512 bytes, and of at most 4,096
    /// dimensions of a compact fingerprint.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), DecodeError> {
        let malformed = |field| move |_: postcard::Error| DecodeError::Malformed { field };
        let range = |field| move || DecodeError::Range { field };

        let &version = bytes.first().ok_or(DecodeError::Malformed { field: "version" })?;
        if version != VERSION {
            return Err(DecodeError::UnknownVersion { version });
        }
        let (head, rest) = take_from_bytes::<Head<'_>>(bytes).map_err(malformed("head"))?;
        let derived = head.flags & Flags::DERIVED != 0;
        let (lineage, rest) = if derived {
            let (wire, rest) = take_from_bytes::<WireLineage>(rest).map_err(malformed("lineage"))?;
            let lineage = Lineage::from_parts(wire.generation, wire.root);
            (Some(lineage.ok_or_else(range("generation"))?), rest)
        } else {
            (None, rest)
        };
        let (tail, rest) = take_from_bytes::<Tail<'_>>(rest).map_err(malformed("tail"))?;
        let (extensions, rest) = if head.flags & Flags::EXTENDED != 0 {
            let (blob, rest) = take_from_bytes::<&[u8]>(rest).map_err(malformed("extensions"))?;
            (Extensions::decode(blob)?, rest)
        } else {
            (Extensions::default(), rest)
        };

        let trailer = match head.flags & (Flags::SIGNED | Flags::KEY) {
            0 => Trailer::None,
            Flags::SIGNED => Trailer::Signature,
            Flags::KEY => return Err(DecodeError::Range { field: "flags" }),
            _ => Trailer::SignatureAndKey,
        };
        let body = Self {
            trailer,
            author: AuthorId::from_bytes(head.author),
            order: Order { incarnation: head.incarnation, sequence: head.sequence },
            time: Timestamp::from_unix_seconds(head.time),
            lifetime: Lifetime::from_hours(head.lifetime).ok_or_else(range("lifetime"))?,
            domain: head.domain.parse().map_err(|_| DecodeError::Range { field: "domain" })?,
            confidence: Confidence::from_byte(head.confidence),
            support: Support::from_byte(head.support),
            commitment: Commitment::from_bytes(head.commitment),
            lineage,
            // Cheap checks first.
            payload: payload(&head, &tail)?,
            fingerprint: fingerprint(&tail)?,
            extensions,
        };
        Ok((body, rest))
    }
}

/// The fingerprint of a tail. The caller may have filled in no more of it than that.
pub(crate) fn fingerprint(tail: &Tail<'_>) -> Result<Fingerprint, DecodeError> {
    if tail.fingerprint.len() > MAX_FINGERPRINT_BYTES {
        return Err(DecodeError::Range { field: "fingerprint" });
    }
    let (space, dims) = (SpaceId::from_bytes(tail.space), usize::from(tail.fingerprint_dims));
    Fingerprint::from_bytes(space, dims, tail.fingerprint).map_err(DecodeError::Fingerprint)
}

fn payload(head: &Head<'_>, tail: &Tail<'_>) -> Result<Payload, DecodeError> {
    let error = |field| Err(DecodeError::Range { field });
    let (kind, mode) = (Flags::kind(head.flags), Flags::mode(head.flags));
    if kind != Flags::DELTA && mode != 0 {
        return error("flags");
    }
    let dims = tail.dims;
    let in_range = (1..=MAX_DIMS).contains(&usize::from(dims));
    let bytes = tail.payload.to_vec();
    match kind {
        Flags::DELTA => {
            let Some(mode) = Mode::from_code(mode) else { return error("delta mode") };
            let length_fits = match mode {
                Mode::Empty => bytes.is_empty(),
                Mode::Raw => bytes.len() == usize::from(dims) * size_of::<f32>(),
                _ => !bytes.is_empty(),
            };
            if !in_range || !length_fits {
                return error("delta");
            }
            Ok(Payload::Delta { mode, dims, bytes })
        }
        Flags::EVIDENCE => {
            // The schema gives the evidence its meaning; see `DomainTag::schema_hash`.
            let has_schema = head.domain.parse::<DomainTag>().is_ok_and(|tag| tag.schema_hash().is_some());
            if !in_range || bytes.is_empty() || !has_schema {
                return error("evidence");
            }
            Ok(Payload::Evidence { dims, bytes })
        }
        Flags::RETRACTION => {
            let derived = head.flags & Flags::DERIVED != 0;
            let plain = dims == 0 && bytes.is_empty() && head.confidence == 0 && head.support == 0;
            if derived || !plain {
                return error("retraction");
            }
            Ok(Payload::Retraction)
        }
        _ => error("flags"),
    }
}

fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Structs of integers, arrays, texts and slices, written into a vector that grows: postcard has no error for that.
    let written = postcard::to_extend(value, core::mem::take(out));
    debug_assert!(written.is_ok(), "postcard writes plain structs into a vector");
    *out = written.unwrap_or_default();
}
