//! A packet as it stands.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use qis_codec::{Decoded, Mode};
use qis_fingerprint::Fingerprint;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::identity::{hex_display, signed_message};
use crate::wire::{Body, CONTEXT};
use crate::{
    AuthorId, Commitment, Confidence, DecodeError, DomainTag, Extensions, Freshness, Lifetime, Lineage,
    MAX_PACKET_BYTES, NetworkId, Order, Payload, PublicKey, Support, Timestamp, Trailer, VerifyError,
    planted,
};

/// The id of a packet: SHA-256 of its bytes without the trailer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PacketId([u8; 32]);

/// What one author learned in one domain, in at most [`MAX_PACKET_BYTES`].
///
/// A value that exists is a well-formed packet in its one canonical form and within the limit. Whether its author really made it is
/// another question: [`verify`](Self::verify) it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomePacket {
    bytes: Vec<u8>,
    body_len: usize,
    body: Body,
}

/// `SHA-256("qis/dither/1" | author | incarnation u32 LE | sequence u32 LE)[..8]`, little-endian.
pub(crate) fn dither_seed(author: &AuthorId, order: Order) -> u64 {
    let hash: [u8; 32] = Sha256::new()
        .chain_update(b"qis/dither/1")
        .chain_update(author.as_bytes())
        .chain_update(order.incarnation.to_le_bytes())
        .chain_update(order.sequence.to_le_bytes())
        .finalize()
        .into();
    u64::from_le_bytes(hash.first_chunk().copied().unwrap_or_default())
}

/// A packet whose signature was checked against its author's key, in one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPacket {
    packet: OutcomePacket,
    key: PublicKey,
}

impl PacketId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl OutcomePacket {
    /// Puts a packet together of parts that the caller has checked.
    pub(crate) fn assemble(body: Body, mut bytes: Vec<u8>, trailer: &[&[u8]]) -> Self {
        let body_len = bytes.len();
        bytes.extend(trailer.iter().copied().flatten());
        Self { bytes, body_len, body }
    }

    /// Reads a packet from exactly `bytes`, which nobody vouches for.
    ///
    /// Total: any input gives a packet or an error. Nothing is read of more than [`MAX_PACKET_BYTES`], and what is allocated is
    /// bounded by the input and the dimensions of a compact fingerprint, at most 4,096. The signature and the content of the payload are not looked at.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] when the bytes are too many, of another version, cut short, out of a field's range, followed by anything but the
    /// announced trailer, or not in canonical form.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_PACKET_BYTES {
            return Err(DecodeError::TooLarge { len: bytes.len() });
        }
        let (body, rest) = Body::decode(bytes)?;
        let expected = body.trailer.len();
        if rest.len() != expected {
            return Err(DecodeError::Trailer { expected, actual: rest.len() });
        }
        let body_len = bytes.len() - rest.len();
        if bytes.get(..body_len) != Some(&body.encode()) {
            return Err(DecodeError::NotCanonical);
        }
        Ok(Self { bytes: bytes.to_vec(), body_len, body })
    }

    /// Checks that the packet's author signed it for `network`, by the key it carries or else by `known`.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] when the packet is unsigned, no key is there, the key is another author's or differs from `known`, or the
    /// signature does not verify by the strict rules.
    pub fn verify(
        self,
        network: NetworkId,
        known: Option<&PublicKey>,
    ) -> Result<VerifiedPacket, VerifyError> {
        let author = self.author();
        let trailer = self.bytes.get(self.body_len..).unwrap_or_default();
        let Some((signature, rest)) = trailer.split_first_chunk::<64>() else {
            return Err(VerifyError::Unsigned);
        };
        let carried = match rest.first_chunk::<32>() {
            // A key that is known need not be checked to be one.
            Some(bytes) => match known.filter(|known| known.to_bytes() == *bytes) {
                Some(known) => Some(*known),
                None => Some(PublicKey::from_bytes(bytes).map_err(|_| VerifyError::InvalidKey)?),
            },
            None => None,
        };
        let key = carried.or(known.copied()).ok_or(VerifyError::UnknownKey { author })?;
        if key.author() != author || known.is_some_and(|known| *known != key) {
            return Err(VerifyError::WrongKey { author, key });
        }
        let signed = signed_message(CONTEXT, network, self.body_bytes());
        if !key.verifies(&signed, signature) && !planted!(SignatureUnchecked) {
            return Err(VerifyError::Signature);
        }
        Ok(VerifiedPacket { packet: self, key })
    }

    /// All bytes of the packet.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The seed of the dither of this packet's delta; author and order make it, so that no two packets share it.
    #[must_use]
    pub fn dither_seed(&self) -> u64 {
        dither_seed(&self.body.author, self.body.order)
    }

    /// Decodes the delta in this packet; `None` for other payloads.
    ///
    /// # Errors
    ///
    /// The codec's, when the bytes are not a vector.
    #[must_use]
    pub fn delta(&self) -> Option<Result<Decoded, qis_codec::DecodeError>> {
        // Only the trellis mode has a dither, and a hash for nothing is still a hash.
        let seed = match self.body.payload {
            Payload::Delta { mode: Mode::Trellis, .. } => self.dither_seed(),
            _ => 0,
        };
        self.body.payload.delta(seed)
    }

    /// The id of the packet.
    #[must_use]
    pub fn id(&self) -> PacketId {
        PacketId(Sha256::digest(self.body_bytes()).into())
    }

    /// Who says it made the packet.
    #[must_use]
    pub const fn author(&self) -> AuthorId {
        self.body.author
    }

    /// Where it stands among the author's packets.
    #[must_use]
    pub const fn order(&self) -> Order {
        self.body.order
    }

    /// When the author said so, by its own clock.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.body.time
    }

    /// How long it stands after that.
    #[must_use]
    pub const fn lifetime(&self) -> Lifetime {
        self.body.lifetime
    }

    /// Whether a receiver whose clock shows `now` may apply it.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        Freshness::of(self.body.time, self.body.lifetime, now)
    }

    /// What it is about.
    #[must_use]
    pub const fn domain(&self) -> DomainTag {
        self.body.domain
    }

    /// How sure its author says it is.
    #[must_use]
    pub const fn confidence(&self) -> Confidence {
        self.body.confidence
    }

    /// About how many records stand behind it, by its author's word.
    #[must_use]
    pub const fn support(&self) -> Support {
        self.body.support
    }

    /// What binds the author to the packet's provenance.
    #[must_use]
    pub const fn commitment(&self) -> Commitment {
        self.body.commitment
    }

    /// What it was derived from; `None` for an observation.
    #[must_use]
    pub const fn lineage(&self) -> Option<&Lineage> {
        self.body.lineage.as_ref()
    }

    /// The situation it comes from, as it travels: a compact one is not quite the one that its author gave, for the author neither.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.body.fingerprint
    }

    /// What it says.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.body.payload
    }

    /// Fields of later versions.
    #[must_use]
    pub const fn extensions(&self) -> &Extensions {
        &self.body.extensions
    }

    /// What follows the body.
    #[must_use]
    pub const fn trailer(&self) -> Trailer {
        self.body.trailer
    }

    fn body_bytes(&self) -> &[u8] {
        self.bytes.get(..self.body_len).unwrap_or_default()
    }
}

impl VerifiedPacket {
    /// A packet that was signed with this key a moment ago.
    pub(crate) const fn signed(packet: OutcomePacket, key: PublicKey) -> Self {
        Self { packet, key }
    }

    /// The key that verified it.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The packet, without the proof.
    #[must_use]
    pub fn into_packet(self) -> OutcomePacket {
        self.packet
    }
}

impl Deref for VerifiedPacket {
    type Target = OutcomePacket;

    fn deref(&self) -> &OutcomePacket {
        &self.packet
    }
}

hex_display!(PacketId, "PacketId", |id| id.0);
