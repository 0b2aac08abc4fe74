//! Where the fields of a packet stand, and at which byte something stops being one.

use alloc::vec::Vec;
use core::fmt;

use qis_codec::{MAX_DIMS, Mode};
use qis_fingerprint::FingerprintError;

use crate::wire::{self, Flags, Tail, VERSION};
use crate::{DecodeError, DomainTag, Lifetime, MAX_FINGERPRINT_BYTES, MAX_GENERATION, MAX_PACKET_BYTES};

/// A field of a packet in its wire form, in the order of the bytes.
///
/// What has a length prefix is two fields, so that the fields of a packet cover its bytes without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Field {
    /// The version of the wire format.
    Version,
    /// Kind, mode, trailer and which optional fields are there.
    Flags,
    /// The author's id.
    Author,
    /// The higher part of the order.
    Incarnation,
    /// The lower part of the order.
    Sequence,
    /// When the author said so.
    Time,
    /// How long it stands.
    Lifetime,
    /// Bytes of the domain tag.
    DomainLength,
    /// The domain tag.
    Domain,
    /// How sure the author says it is.
    Confidence,
    /// About how many records stand behind it.
    Support,
    /// The commitment to the provenance.
    Commitment,
    /// Steps from observations, of derived packets only.
    Generation,
    /// The root over the inputs, of derived packets only.
    LineageRoot,
    /// The space of the fingerprint.
    Space,
    /// Dimensions of the fingerprint.
    FingerprintDims,
    /// Bytes of the fingerprint.
    FingerprintLength,
    /// The fingerprint.
    Fingerprint,
    /// Coordinates of the delta or coefficients of the model.
    Dims,
    /// Bytes of the payload.
    PayloadLength,
    /// The payload.
    Payload,
    /// Bytes of the extensions, of extended packets only.
    ExtensionsLength,
    /// The extensions, of extended packets only.
    Extensions,
    /// The signature, of signed packets only.
    Signature,
    /// The author's public key, of packets that carry it.
    PublicKey,
    /// No field: where the packet must be over.
    End,
}

/// A field and the bytes it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    /// Which field it is.
    pub field: Field,
    /// Where its first byte stands in the packet.
    pub offset: usize,
    /// Its bytes; none for an empty payload.
    pub bytes: &'a [u8],
}

/// The first byte at which something stops being a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("byte {offset}, {field}: {problem}")]
pub struct Fault {
    /// Its place, counted from 0; the number of bytes when it is missing.
    pub offset: usize,
    /// The field it belongs to.
    pub field: Field,
    /// What is wrong with it.
    pub problem: Problem,
}

/// What is wrong at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There are more bytes than a packet may have; nothing of them was read.
    #[error("expected the end, a packet has at most 512 bytes and this has {len}")]
    TooLarge {
        /// How many there are.
        len: usize,
    },
    /// The bytes end inside the field.
    #[error("the bytes end here, expected {missing} more")]
    Cut {
        /// How many more the field takes at least.
        missing: usize,
    },
    /// A length goes past the end of the bytes.
    #[error("the length is {stated}, bytes left: {left}")]
    Length {
        /// The stated length.
        stated: u64,
        /// Bytes after it.
        left: usize,
    },
    /// A varint ends in a group of zeros, which its one form leaves out.
    #[error("expected the shortest form of {value}, this byte adds nothing to it")]
    LongVarint {
        /// The number it stands for.
        value: u64,
    },
    /// A varint is above what its field holds.
    #[error("expected a number of at most {max}")]
    Overflow {
        /// The largest number.
        max: u64,
    },
    /// A value no packet has there.
    #[error("expected {expected}, found {found} ({found:#x})")]
    Value {
        /// What would have been right.
        expected: &'static str,
        /// The number or byte that is there.
        found: u64,
    },
    /// Bytes that are no fingerprint of so many dimensions.
    #[error("{0}")]
    Fingerprint(FingerprintError),
    /// Evidence in a domain whose tag names no schema.
    #[error("expected a tag that ends in @ and 8 digits of 0-9 a-f, since the packet is evidence")]
    NoSchema,
    /// An extension that must be understood is not.
    #[error("extension {id} must be understood and is not known here")]
    UnknownExtension {
        /// The id of the extension.
        id: u8,
    },
    /// There are bytes after the trailer that the flags announce.
    #[error("expected the end, surplus bytes: {surplus}")]
    Surplus {
        /// How many there are.
        surplus: usize,
    },
}

/// The fields of a packet and their places, or of as much of it as is one.
///
/// For people and tools that look at bytes. A receiver uses [`OutcomePacket::decode`](crate::OutcomePacket::decode), which is faster; the
/// two agree on what is a packet.
///
/// ```
/// use qis_packet::{Field, Layout};
///
/// let layout = Layout::of(&[1, 0x0c, 9]);
/// assert_eq!(layout.spans().len(), 2);
/// let fault = layout.fault().unwrap();
/// assert_eq!((fault.offset, fault.field), (1, Field::Flags));
/// assert_eq!(fault.to_string(), "byte 1, flags: expected a kind of 0, 1 or 2, found 3 (0x3)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout<'a> {
    spans: Vec<Span<'a>>,
    fault: Option<Fault>,
}

impl Field {
    /// Its name in the wire format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Flags => "flags",
            Self::Author => "author",
            Self::Incarnation => "incarnation",
            Self::Sequence => "sequence",
            Self::Time => "time",
            Self::Lifetime => "lifetime",
            Self::DomainLength => "domain length",
            Self::Domain => "domain",
            Self::Confidence => "confidence",
            Self::Support => "support",
            Self::Commitment => "commitment",
            Self::Generation => "generation",
            Self::LineageRoot => "lineage root",
            Self::Space => "space",
            Self::FingerprintDims => "fingerprint dims",
            Self::FingerprintLength => "fingerprint length",
            Self::Fingerprint => "fingerprint",
            Self::Dims => "dims",
            Self::PayloadLength => "payload length",
            Self::Payload => "payload",
            Self::ExtensionsLength => "extensions length",
            Self::Extensions => "extensions",
            Self::Signature => "signature",
            Self::PublicKey => "public key",
            Self::End => "end",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl<'a> Layout<'a> {
    /// Looks at exactly `bytes`, which nobody vouches for, up to the first fault.
    ///
    /// Total, like the decoder. Neither the signature nor the content of the payload is looked at.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let mut walk = Walk { bytes, at: 0, spans: Vec::new() };
        let fault = walk.packet().err();
        Self { spans: walk.spans, fault }
    }

    /// The fields in the order of their bytes, without gaps: all of a packet; else those before the fault, and the one it is in
    /// when the bytes of that can be told.
    #[must_use]
    pub fn spans(&self) -> &[Span<'a>] {
        &self.spans
    }

    /// Where the bytes stop being a packet; `None` when they are one.
    #[must_use]
    pub const fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }
}

/// Goes over the bytes and notes the fields.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    spans: Vec<Span<'a>>,
}

/// A number and where its field starts.
#[derive(Clone, Copy)]
struct Number {
    field: Field,
    offset: usize,
    value: u64,
}

impl Number {
    /// The number, if it is what the field must hold.
    const fn expect(self, legal: bool, expected: &'static str) -> Result<u64, Fault> {
        if legal {
            return Ok(self.value);
        }
        let problem = Problem::Value { expected, found: self.value };
        Err(Fault { offset: self.offset, field: self.field, problem })
    }
}

impl<'a> Walk<'a> {
    fn packet(&mut self) -> Result<(), Fault> {
        let len = self.bytes.len();
        if len > MAX_PACKET_BYTES {
            return Err(fault(MAX_PACKET_BYTES, Field::End, Problem::TooLarge { len }));
        }
        let version = self.byte(Field::Version)?;
        version.expect(version.value == u64::from(VERSION), "version 1")?;
        let flags = self.flags()?;

        self.take(Field::Author, 16)?;
        self.varint(Field::Incarnation, u32::BITS)?;
        self.varint(Field::Sequence, u32::BITS)?;
        self.varint(Field::Time, u64::BITS)?;
        let hours = self.varint(Field::Lifetime, u16::BITS)?;
        let lifetime = u16::try_from(hours.value).ok().and_then(Lifetime::from_hours);
        hours.expect(lifetime.is_some(), "1 to 2160 hours")?;
        self.domain(flags)?;

        let retraction = Flags::kind(flags) == Flags::RETRACTION;
        for field in [Field::Confidence, Field::Support] {
            let byte = self.byte(field)?;
            byte.expect(!retraction || byte.value == 0, "0 in a retraction")?;
        }
        self.take(Field::Commitment, 32)?;
        if flags & Flags::DERIVED != 0 {
            let generation = self.byte(Field::Generation)?;
            let legal = (1..=u64::from(MAX_GENERATION)).contains(&generation.value);
            generation.expect(legal, "a generation of 1 or 2")?;
            self.take(Field::LineageRoot, 16)?;
        }
        self.fingerprint()?;
        self.payload(flags)?;
        if flags & Flags::EXTENDED != 0 {
            self.extensions()?;
        }

        if flags & Flags::SIGNED != 0 {
            self.take(Field::Signature, 64)?;
        }
        if flags & Flags::KEY != 0 {
            self.take(Field::PublicKey, 32)?;
        }
        match self.left().len() {
            0 => Ok(()),
            surplus => Err(fault(self.at, Field::End, Problem::Surplus { surplus })),
        }
    }

    fn flags(&mut self) -> Result<u8, Fault> {
        let byte = self.byte(Field::Flags)?;
        let [flags, ..] = byte.value.to_le_bytes();
        let (kind, mode) = (Flags::kind(flags), Flags::mode(flags));
        let check = |legal, found: u8, expected| {
            Number { value: u64::from(found), ..byte }.expect(legal, expected).map(|_| ())
        };
        let keyed = flags & Flags::KEY == 0 || flags & Flags::SIGNED != 0;
        check(keyed, flags, "the flag of the signature beside that of the key")?;
        check(kind <= Flags::RETRACTION, kind, "a kind of 0, 1 or 2")?;
        if kind == Flags::DELTA {
            check(Mode::from_code(mode).is_some(), mode, "a mode of 0, 1 or 2")?;
        } else {
            check(mode == 0, mode, "mode 0 of what is no delta")?;
        }
        let derived = flags & Flags::DERIVED != 0;
        check(kind != Flags::RETRACTION || !derived, flags, "a retraction that is not derived")?;
        Ok(flags)
    }

    fn domain(&mut self, flags: u8) -> Result<(), Fault> {
        let length = self.varint(Field::DomainLength, u64::BITS)?;
        length.expect((1..=32).contains(&length.value), "1 to 32 bytes")?;
        let offset = self.at;
        let bytes = self.counted(Field::Domain, length)?;
        for (&byte, offset) in bytes.iter().zip(offset..) {
            let legal = DomainTag::is_legal(byte);
            let byte = Number { field: Field::Domain, offset, value: u64::from(byte) };
            byte.expect(legal, "one of a-z 0-9 . _ / @ -")?;
        }
        let tag = core::str::from_utf8(bytes).ok().and_then(|text| text.parse::<DomainTag>().ok());
        let schema = tag.is_some_and(|tag| tag.schema_hash().is_some());
        if Flags::kind(flags) == Flags::EVIDENCE && !schema {
            return Err(fault(offset, Field::Domain, Problem::NoSchema));
        }
        Ok(())
    }

    fn fingerprint(&mut self) -> Result<(), Fault> {
        let space = self.take(Field::Space, 4)?;
        let dims = self.varint(Field::FingerprintDims, u16::BITS)?;
        let length = self.varint(Field::FingerprintLength, u64::BITS)?;
        let offset = self.at;
        let bytes = self.counted(Field::Fingerprint, length)?;
        let tail = Tail {
            space: space.first_chunk().copied().unwrap_or_default(),
            fingerprint_dims: u16::try_from(dims.value).unwrap_or_default(),
            fingerprint: bytes,
            dims: 0,
            payload: &[],
        };
        let Err(error) = wire::fingerprint(&tail) else { return Ok(()) };
        // Which of the three it is that does not go with the others.
        dims.expect((1..=MAX_DIMS as u64).contains(&dims.value), "1 to 4096 dimensions")?;
        let most = dims.value.min(MAX_FINGERPRINT_BYTES as u64);
        length.expect((1..=most).contains(&length.value), "1 to 192 bytes, and no more than dimensions")?;
        let (index, error) = match error {
            DecodeError::Fingerprint(error @ FingerprintError::Code { index }) => (index, error),
            DecodeError::Fingerprint(error) => (0, error),
            // All its other errors were found above.
            _ => return Ok(()),
        };
        Err(fault(offset + index, Field::Fingerprint, Problem::Fingerprint(error)))
    }

    fn payload(&mut self, flags: u8) -> Result<(), Fault> {
        let dims = self.varint(Field::Dims, u16::BITS)?;
        let kind = Flags::kind(flags);
        if kind == Flags::RETRACTION {
            dims.expect(dims.value == 0, "0 in a retraction")?;
        } else {
            dims.expect((1..=MAX_DIMS as u64).contains(&dims.value), "1 to 4096")?;
        }
        let length = self.varint(Field::PayloadLength, u64::BITS)?;
        let stated = length.value;
        match Mode::from_code(Flags::mode(flags)) {
            _ if kind == Flags::RETRACTION => length.expect(stated == 0, "no byte in a retraction")?,
            _ if kind == Flags::EVIDENCE => length.expect(stated > 0, "at least a byte of evidence")?,
            Some(Mode::Empty) => length.expect(stated == 0, "no byte in the mode empty")?,
            Some(Mode::Raw) => length.expect(stated == dims.value * 4, "4 bytes for each of the dims")?,
            _ => length.expect(stated > 0, "at least a byte in this mode")?,
        };
        self.counted(Field::Payload, length)?;
        Ok(())
    }

    fn extensions(&mut self) -> Result<(), Fault> {
        let length = self.varint(Field::ExtensionsLength, u64::BITS)?;
        length.expect(length.value > 0, "at least one extension")?;
        let mut offset = self.at;
        let mut rest = self.counted(Field::Extensions, length)?;
        let mut above = None;
        while let Some((&id, after)) = rest.split_first() {
            let number =
                |offset, byte: u8| Number { field: Field::Extensions, offset, value: u64::from(byte) };
            let Some((&len, after)) = after.split_first() else {
                number(offset, id).expect(false, "an id with a length after it")?;
                break;
            };
            let Some((_, after)) = after.split_at_checked(usize::from(len)) else {
                let problem = Problem::Length { stated: u64::from(len), left: after.len() };
                return Err(fault(offset + 1, Field::Extensions, problem));
            };
            if id % 2 == 0 {
                return Err(fault(offset, Field::Extensions, Problem::UnknownExtension { id }));
            }
            number(offset, id).expect(above.is_none_or(|last| last < id), "an id above the one before")?;
            above = Some(id);
            offset += rest.len() - after.len();
            rest = after;
        }
        Ok(())
    }

    fn left(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// The next field, of `len` bytes.
    fn take(&mut self, field: Field, len: usize) -> Result<&'a [u8], Fault> {
        let left = self.left();
        let Some(bytes) = left.get(..len) else {
            let missing = len - left.len();
            return Err(fault(self.bytes.len(), field, Problem::Cut { missing }));
        };
        self.spans.push(Span { field, offset: self.at, bytes });
        self.at += len;
        Ok(bytes)
    }

    /// The next field, of one byte.
    fn byte(&mut self, field: Field) -> Result<Number, Fault> {
        let offset = self.at;
        let bytes = self.take(field, 1)?;
        Ok(Number { field, offset, value: bytes.first().copied().map_or(0, u64::from) })
    }

    /// The next field, of as many bytes as the one before it says.
    fn counted(&mut self, field: Field, length: Number) -> Result<&'a [u8], Fault> {
        let left = self.left().len();
        match usize::try_from(length.value) {
            Ok(len) if len <= left => self.take(field, len),
            _ => Err(fault(length.offset, length.field, Problem::Length { stated: length.value, left })),
        }
    }

    /// The next field, a varint of so many bits in its shortest form.
    fn varint(&mut self, field: Field, bits: u32) -> Result<Number, Fault> {
        let max = u64::MAX >> (u64::BITS - bits);
        let mut value = 0;
        for (&byte, index) in self.left().iter().zip(0_u32..) {
            let group = u64::from(byte & 0x7f);
            let offset = self.at + index as usize;
            let shift = 7 * index;
            let full = shift + 7 > bits;
            if (full && group > max >> shift) || (shift + 7 >= bits && byte & 0x80 != 0) {
                return Err(fault(offset, field, Problem::Overflow { max }));
            }
            value |= group << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && index > 0 {
                    return Err(fault(offset, field, Problem::LongVarint { value }));
                }
                let offset = self.at;
                self.take(field, index as usize + 1)?;
                return Ok(Number { field, offset, value });
            }
        }
        Err(fault(self.bytes.len(), field, Problem::Cut { missing: 1 }))
    }
}

const fn fault(offset: usize, field: Field, problem: Problem) -> Fault {
    Fault { offset, field, problem }
}
