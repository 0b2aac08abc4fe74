//! The bodies of the router's frames. `docs/wire-format.md` has the tables.

use postcard::{take_from_bytes, to_extend};
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{DomainTag, FrameKind, MAX_FINGERPRINT_BYTES, MAX_PACKET_BYTES, PublicKey};
use serde::{Deserialize, Serialize};

use super::held::Held;

/// What a frame that carries a packet has besides it, at most: an answer's kind, nonce, place, number, and the author's key.
pub const FRAME_OVERHEAD: usize = 1 + 8 + 1 + 1 + 1 + 32;

/// The most packets in answer to a query.
pub(super) const MAX_ANSWERS: u8 = 32;

/// No similarity is as low.
pub(super) const EVERY_SIMILARITY: i8 = i8::MIN;

/// A packet on its way, with what its receiver may need beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PacketMessage<'a> {
    /// Chosen by the sender for this recipient; the acknowledgement repeats it.
    pub(super) nonce: u64,
    /// The author's key, for a packet that has no room for it.
    pub(super) key: Option<PublicKey>,
    /// The packet, unread.
    pub(super) packet: &'a [u8],
}

/// What became of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Acknowledgement<'a> {
    pub(super) nonce: u64,
    pub(super) status: Status,
    /// The author's packet that the receiver holds instead, when it is a newer one or another one of the same order,
    /// and the packet that came verifies; else empty. So an
    /// author restored from a backup notices, and believes nobody but itself: it checks its own signature.
    pub(super) instead: &'a [u8],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// It is the author's newest now, durably.
    Applied,
    /// The receiver had it, or a newer one.
    Known,
    /// It is from the future and waits for its time.
    Parked,
    /// Try again later.
    Busy,
    /// Send it again with the author's key.
    KeyNeeded,
    /// It will never be taken.
    Refused,
}

/// A request for the newest packets of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) nonce: u64,
    pub(super) domain: DomainTag,
    /// At most this many packets.
    pub(super) limit: u8,
    /// Only packets whose [similarity](Self::similarity) is above this.
    pub(super) above: i8,
    /// The most similar ones first.
    pub(super) fingerprint: Fingerprint,
    /// Those the asker has, which need not be sent.
    pub(super) held: Held,
}

/// One packet in answer to a query; or word that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer<'a> {
    pub(super) nonce: u64,
    /// Which of the answers this is, from 0.
    pub(super) index: u8,
    /// How many answers there are in all, at most 32; 0 for none, and no packet then.
    pub(super) total: u8,
    pub(super) key: Option<PublicKey>,
    pub(super) packet: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct PacketHead {
    nonce: [u8; 8],
    key: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
struct AcknowledgementHead {
    nonce: [u8; 8],
    status: u8,
}

#[derive(Serialize, Deserialize)]
struct WireQuery<'a> {
    nonce: [u8; 8],
    domain: &'a str,
    limit: u8,
    above: [u8; 1],
    space: [u8; 4],
    dims: u16,
    #[serde(with = "serde_bytes")]
    fingerprint: &'a [u8],
    hashes: u8,
    #[serde(with = "serde_bytes")]
    held: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct AnswerHead {
    nonce: [u8; 8],
    index: u8,
    total: u8,
    key: Option<[u8; 32]>,
}

impl Status {
    const ALL: [Self; 6] =
        [Self::Applied, Self::Known, Self::Parked, Self::Busy, Self::KeyNeeded, Self::Refused];

    fn code(self) -> u8 {
        match self {
            Self::Applied => 0,
            Self::Known => 1,
            Self::Parked => 2,
            Self::Busy => 3,
            Self::KeyNeeded => 4,
            Self::Refused => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }
}

impl<'a> PacketMessage<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let head =
            PacketHead { nonce: self.nonce.to_le_bytes(), key: self.key.as_ref().map(PublicKey::to_bytes) };
        let mut frame = encode(FrameKind::Packet, &head);
        frame.extend(self.packet);
        frame
    }

    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, packet) = take_from_bytes::<PacketHead>(body).ok()?;
        if packet.len() > MAX_PACKET_BYTES {
            return None;
        }
        Some(Self { nonce: u64::from_le_bytes(head.nonce), key: key(head.key)?, packet })
    }
}

impl<'a> Acknowledgement<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = AcknowledgementHead { nonce: self.nonce.to_le_bytes(), status: self.status.code() };
        let mut frame = encode(FrameKind::Acknowledgement, &head);
        frame.extend(self.instead);
        frame
    }

    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, instead) = take_from_bytes::<AcknowledgementHead>(body).ok()?;
        let status = Status::from_code(head.status)?;
        if instead.len() > MAX_PACKET_BYTES || (status != Status::Known && !instead.is_empty()) {
            return None;
        }
        Some(Self { nonce: u64::from_le_bytes(head.nonce), status, instead })
    }
}

impl Query {
    /// A frame with the longest tag, fingerprint and filter: no more than one with an answer.
    pub(super) const MAX_BYTES: usize = 1 + 8 + 33 + 1 + 1 + 4 + 2 + 194 + 1 + 298;

    const _A_FRAME_OF_AN_ANSWER_CARRIES_IT: () =
        assert!(Self::MAX_BYTES <= FRAME_OVERHEAD + MAX_PACKET_BYTES);

    /// How similar two fingerprints are, in parts of 127, -127 to 127; those of two spaces are not similar at all.
    pub(super) fn similarity(a: &Fingerprint, b: &Fingerprint) -> i8 {
        let cosine = a.cosine(b).unwrap_or(-1.0);
        #[expect(clippy::cast_possible_truncation, reason = "a cosine is -1 to 1")]
        let quantised = (cosine.clamp(-1.0, 1.0) * 127.0).round() as i8;
        quantised
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let fingerprint = self.fingerprint.to_bytes();
        let wire = WireQuery {
            nonce: self.nonce.to_le_bytes(),
            domain: self.domain.as_str(),
            limit: self.limit,
            above: self.above.to_le_bytes(),
            space: self.fingerprint.space().to_bytes(),
            dims: u16::try_from(self.fingerprint.dims()).unwrap_or(u16::MAX),
            fingerprint: &fingerprint,
            hashes: self.held.hashes(),
            held: self.held.bits(),
        };
        encode(FrameKind::Query, &wire)
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let wire: WireQuery<'_> = decode_exactly(body)?;
        if wire.fingerprint.len() > MAX_FINGERPRINT_BYTES {
            return None;
        }
        let (space, dims) = (SpaceId::from_bytes(wire.space), usize::from(wire.dims));
        Some(Self {
            nonce: u64::from_le_bytes(wire.nonce),
            domain: wire.domain.parse().ok()?,
            limit: wire.limit,
            above: i8::from_le_bytes(wire.above),
            fingerprint: Fingerprint::from_bytes(space, dims, wire.fingerprint).ok()?,
            held: Held::from_parts(wire.held, wire.hashes)?,
        })
    }
}

impl<'a> Answer<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let head = AnswerHead {
            nonce: self.nonce.to_le_bytes(),
            index: self.index,
            total: self.total,
            key: self.key.as_ref().map(PublicKey::to_bytes),
        };
        let mut frame = encode(FrameKind::Answer, &head);
        frame.extend(self.packet);
        frame
    }

    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (head, packet) = take_from_bytes::<AnswerHead>(body).ok()?;
        let says_none = head.total == 0;
        let in_range = head.index < head.total.max(1) && head.total <= MAX_ANSWERS;
        if packet.len() > MAX_PACKET_BYTES || says_none != packet.is_empty() || !in_range {
            return None;
        }
        let nonce = u64::from_le_bytes(head.nonce);
        Some(Self { nonce, index: head.index, total: head.total, key: key(head.key)?, packet })
    }
}

/// The outer option says whether the bytes are a key at all.
#[expect(clippy::option_option, reason = "absent and invalid are two things")]
fn key(bytes: Option<[u8; 32]>) -> Option<Option<PublicKey>> {
    bytes.map(|bytes| PublicKey::from_bytes(&bytes).ok()).map_or(Some(None), |key| key.map(Some))
}

fn encode<T: Serialize>(kind: FrameKind, body: &T) -> Vec<u8> {
    let written = to_extend(body, vec![kind.code()]);
    debug_assert!(written.is_ok(), "postcard writes plain structs into a vector");
    written.unwrap_or_default()
}

/// Reads a value that takes all of the bytes, in the only form it is written in.
fn decode_exactly<'a, T: Serialize + Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    let (value, rest) = take_from_bytes::<T>(bytes).ok()?;
    let again = to_extend(&value, Vec::with_capacity(bytes.len())).ok()?;
    (rest.is_empty() && again == bytes).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(frame: &[u8]) -> &[u8] {
        &frame[1..]
    }

    #[test]
    fn messages_come_back() {
        let key = qis_packet::Identity::from_seed([1; 32]).public_key();
        for key in [None, Some(key)] {
            let packet = PacketMessage { nonce: 7, key, packet: b"packet" };
            assert_eq!(PacketMessage::decode(body(&packet.encode())), Some(packet));
            let answer = Answer { nonce: 7, index: 0, total: 3, key, packet: b"packet" };
            assert_eq!(Answer::decode(body(&answer.encode())), Some(answer));
        }
        for status in Status::ALL {
            let instead: &[u8] = if status == Status::Known { b"packet" } else { b"" };
            let acknowledgement = Acknowledgement { nonce: u64::MAX, status, instead };
            assert_eq!(Acknowledgement::decode(body(&acknowledgement.encode())), Some(acknowledgement));
        }
        let small = Fingerprint::from_codes(SpaceId::new("t", 2), vec![1, -127]).unwrap();
        let large =
            Fingerprint::from_codes(SpaceId::new("t", 400), (0..400).map(|i| (i % 100) as i8).collect());
        let large = large.unwrap().compact(MAX_FINGERPRINT_BYTES).unwrap();
        for fingerprint in [small, large] {
            let held = Held::from_parts(&[0xa5; Held::MAX_BYTES], 16).unwrap();
            let domain = "a2345678901234567890123456789012".parse().unwrap();
            let query = Query { nonce: 1, domain, limit: 8, above: -3, fingerprint, held };
            assert!(query.encode().len() <= Query::MAX_BYTES);
            assert_eq!(Query::decode(body(&query.encode())), Some(query));
        }
    }

    #[test]
    fn oversized_and_contradicting_ones_are_refused() {
        let long = [0; 513];
        let packet = PacketMessage { nonce: 7, key: None, packet: &long };
        assert_eq!(PacketMessage::decode(body(&packet.encode())), None);
        let answer = Answer { nonce: 7, index: 0, total: 0, key: None, packet: b"packet" };
        assert_eq!(Answer::decode(body(&answer.encode())), None);
        let answer = Answer { nonce: 7, index: 0, total: 1, key: None, packet: b"" };
        assert_eq!(Answer::decode(body(&answer.encode())), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_only_form_of_a_message_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Some(message) = PacketMessage::decode(&bytes) {
                prop_assert!(body(&message.encode()) == bytes);
            }
            if let Some(message) = Acknowledgement::decode(&bytes) {
                prop_assert!(body(&message.encode()) == bytes);
            }
            if let Some(message) = Query::decode(&bytes) {
                prop_assert!(body(&message.encode()) == bytes);
            }
            if let Some(message) = Answer::decode(&bytes) {
                prop_assert!(body(&message.encode()) == bytes);
            }
        }
    }
}
