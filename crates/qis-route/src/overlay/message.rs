//! The bodies of the overlay's frames. `docs/wire-format.md` has the tables.

use postcard::{take_from_bytes, to_extend};
use qis_fingerprint::SpaceId;
use qis_packet::{AuthorId, Frame, FrameKind, MAX_PACKET_BYTES};
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes;

use super::descriptor::{MAX_DESCRIPTOR_BYTES, MAX_OVERLAY_DIMS};
use super::metric;

/// The most contacts in an answer.
pub(super) const MAX_HINTS: usize = 40;

/// The most fingerprints asked for at once; fewer come back where they would not fit into a frame.
pub(super) const MAX_SKETCHES: usize = 40;

/// The most descriptors in an exchange; fewer are sent where they would not fit into a frame.
pub(super) const MAX_GOSSIP: usize = 24;

/// What a frame has beside a list or a descriptor: the head of the message, lengths and flags.
pub(super) const HEAD_BYTES: usize = 64;

/// One message. What it borrows is of the frame it came in, and of nobody's word but its sender's.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Message<'a> {
    /// Who is similar to this? And, with a packet, this is for you if you are.
    Find { nonce: u64, limit: u8, subject: Subject<'a>, packet: &'a [u8] },
    /// I am this, and these are the most similar ones I know.
    Found { nonce: u64, descriptor: &'a [u8], hints: Vec<Hint<'a>> },
    /// I have too much to do, and have taken no packet; these may help.
    Busy { nonce: u64, hints: Vec<Hint<'a>> },
    /// Keep me as a contact.
    Link { nonce: u64, kind: LinkKind, descriptor: &'a [u8] },
    /// I do or do not; I am this.
    Linked { nonce: u64, kept: bool, descriptor: &'a [u8] },
    /// What are the fingerprints of these?
    Get { nonce: u64, ids: Vec<AuthorId> },
    /// These, of those I know.
    Sketches { nonce: u64, sketches: Vec<Sketch<'a>> },
    /// Here are some nodes; tell me of some.
    Gossip { nonce: u64, kind: GossipKind, descriptors: Vec<&'a [u8]> },
    /// Here are some.
    Gossiped { nonce: u64, kind: GossipKind, descriptors: Vec<&'a [u8]> },
    /// Are you there?
    Ping { nonce: u64 },
    /// I am.
    Pong { nonce: u64 },
    /// This packet is for you.
    Commit { nonce: u64, packet: &'a [u8] },
    /// I have it.
    Committed { nonce: u64 },
    /// Instead of any other answer: you have said since that you are this.
    Outdated { nonce: u64, descriptor: &'a [u8] },
}

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Subject<'a> {
    /// The nodes near a fingerprint of the message's space.
    Fingerprint { codes: &'a [u8] },
    /// The nodes near the one who asks, and whoever is asked may keep it as a contact.
    Asker { descriptor: &'a [u8] },
}

/// A node that somebody says is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Hint<'a> {
    pub(super) author: AuthorId,
    pub(super) address: &'a str,
    /// The cosine, in the answerer's word.
    pub(super) score: f32,
}

/// A fingerprint as somebody else passed it on: good for choosing whom to ask, and for nothing else.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sketch<'a> {
    pub(super) author: AuthorId,
    pub(super) codes: &'a [u8],
}

/// For which table a contact is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkKind {
    /// The most similar ones.
    Near,
    /// Those that lead elsewhere.
    Diverse,
}

/// What is exchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GossipKind {
    /// Contacts similar to the receiver.
    Near,
    /// Contacts from anywhere.
    Random,
}

#[derive(Serialize, Deserialize)]
struct Head {
    tag: u8,
    /// Of which overlay the message is: a node may have several.
    space: [u8; 4],
    nonce: [u8; 8],
}

#[derive(Serialize, Deserialize)]
struct WireFind<'a> {
    limit: u8,
    /// Whether the subject is a descriptor, and not the codes of a fingerprint.
    asker: bool,
    #[serde(with = "serde_bytes")]
    subject: &'a [u8],
    #[serde(with = "serde_bytes")]
    packet: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct WireHint<'a> {
    author: [u8; 16],
    address: &'a str,
    score: [u8; 2],
}

#[derive(Serialize, Deserialize)]
struct WireSketch<'a> {
    author: [u8; 16],
    #[serde(with = "serde_bytes")]
    codes: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct Flagged<'a> {
    flag: bool,
    #[serde(with = "serde_bytes")]
    descriptor: &'a [u8],
}

/// What the first bytes of a body say, before the rest is looked at: the space, and whether an answer is asked for.
pub(super) fn peek(body: &[u8]) -> Option<(SpaceId, bool)> {
    let (Head { tag, space, .. }, _) = take_from_bytes::<Head>(body).ok()?;
    Some((SpaceId::from_bytes(space), matches!(tag, 0 | 3 | 5 | 7 | 9 | 11)))
}

impl Message<'_> {
    const fn tag(&self) -> u8 {
        match self {
            Self::Find { .. } => 0,
            Self::Found { .. } => 1,
            Self::Busy { .. } => 2,
            Self::Link { .. } => 3,
            Self::Linked { .. } => 4,
            Self::Get { .. } => 5,
            Self::Sketches { .. } => 6,
            Self::Gossip { .. } => 7,
            Self::Gossiped { .. } => 8,
            Self::Ping { .. } => 9,
            Self::Pong { .. } => 10,
            Self::Commit { .. } => 11,
            Self::Committed { .. } => 12,
            Self::Outdated { .. } => 13,
        }
    }

    const fn nonce(&self) -> u64 {
        match *self {
            Self::Find { nonce, .. }
            | Self::Found { nonce, .. }
            | Self::Busy { nonce, .. }
            | Self::Link { nonce, .. }
            | Self::Linked { nonce, .. }
            | Self::Get { nonce, .. }
            | Self::Sketches { nonce, .. }
            | Self::Gossip { nonce, .. }
            | Self::Gossiped { nonce, .. }
            | Self::Ping { nonce }
            | Self::Pong { nonce }
            | Self::Commit { nonce, .. }
            | Self::Committed { nonce }
            | Self::Outdated { nonce, .. } => nonce,
        }
    }

    /// The frame of this message in the overlay of a space.
    pub(super) fn encode(&self, space: SpaceId) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        out.push(FrameKind::Overlay.code());
        self.write(space, &mut out);
        debug_assert!(out.len() <= Frame::MAX_BYTES, "lists are cut before they are sent");
        out
    }

    fn write(&self, space: SpaceId, out: &mut Vec<u8>) {
        let nonce = self.nonce().to_le_bytes();
        append(out, &Head { tag: self.tag(), space: space.to_bytes(), nonce });
        match self {
            Self::Find { limit, subject, packet, .. } => {
                let (asker, subject) = match *subject {
                    Subject::Fingerprint { codes } => (false, codes),
                    Subject::Asker { descriptor } => (true, descriptor),
                };
                append(out, &WireFind { limit: *limit, asker, subject, packet });
            }
            Self::Outdated { descriptor, .. } => append(out, Bytes::new(descriptor)),
            Self::Found { descriptor, hints, .. } => {
                append(out, Bytes::new(descriptor));
                write_list(out, hints, |hint| WireHint {
                    author: *hint.author.as_bytes(),
                    address: hint.address,
                    score: metric::to_wire(hint.score).to_le_bytes(),
                });
            }
            Self::Busy { hints, .. } => write_list(out, hints, |hint| WireHint {
                author: *hint.author.as_bytes(),
                address: hint.address,
                score: metric::to_wire(hint.score).to_le_bytes(),
            }),
            Self::Link { kind, descriptor, .. } => {
                append(out, &Flagged { flag: *kind == LinkKind::Diverse, descriptor });
            }
            Self::Linked { kept, descriptor, .. } => append(out, &Flagged { flag: *kept, descriptor }),
            Self::Get { ids, .. } => write_list(out, ids, |id| *id.as_bytes()),
            Self::Sketches { sketches, .. } => {
                write_list(out, sketches, |sketch| WireSketch {
                    author: *sketch.author.as_bytes(),
                    codes: sketch.codes,
                });
            }
            Self::Gossip { kind, descriptors, .. } | Self::Gossiped { kind, descriptors, .. } => {
                append(out, &(*kind == GossipKind::Random));
                write_list(out, descriptors, |descriptor| Bytes::new(descriptor));
            }
            Self::Ping { .. } | Self::Pong { .. } | Self::Committed { .. } => {}
            Self::Commit { packet, .. } => append(out, Bytes::new(packet)),
        }
    }
}

impl<'a> Message<'a> {
    /// Reads the body of a frame: total, in time and memory bounded by its length, and only in the form that is written.
    pub(super) fn decode(body: &'a [u8]) -> Option<Self> {
        let (Head { tag, space, nonce }, rest) = take_from_bytes::<Head>(body).ok()?;
        let nonce = u64::from_le_bytes(nonce);
        let mut reader = Reader { rest };
        let message = match tag {
            0 => {
                let wire: WireFind<'_> = reader.next()?;
                let subject = if wire.asker {
                    Subject::Asker { descriptor: wire.subject }
                } else {
                    Subject::Fingerprint { codes: wire.subject }
                };
                Self::Find { nonce, limit: wire.limit, subject, packet: wire.packet }
            }
            1 => Self::Found { nonce, descriptor: reader.next()?, hints: reader.hints()? },
            2 => Self::Busy { nonce, hints: reader.hints()? },
            3 => {
                let Flagged { flag, descriptor } = reader.next()?;
                let kind = if flag { LinkKind::Diverse } else { LinkKind::Near };
                Self::Link { nonce, kind, descriptor }
            }
            4 => {
                let Flagged { flag, descriptor } = reader.next()?;
                Self::Linked { nonce, kept: flag, descriptor }
            }
            5 => Self::Get { nonce, ids: reader.list(MAX_SKETCHES, |id| Some(AuthorId::from_bytes(id)))? },
            6 => {
                let sketch = |wire: WireSketch<'a>| {
                    let author = AuthorId::from_bytes(wire.author);
                    (wire.codes.len() <= MAX_OVERLAY_DIMS).then_some(Sketch { author, codes: wire.codes })
                };
                Self::Sketches { nonce, sketches: reader.list(MAX_SKETCHES, sketch)? }
            }
            7 | 8 => {
                let kind = if reader.next()? { GossipKind::Random } else { GossipKind::Near };
                let fits = |bytes: &'a [u8]| (bytes.len() <= MAX_DESCRIPTOR_BYTES).then_some(bytes);
                let descriptors = reader.list(MAX_GOSSIP, fits)?;
                if tag == 7 {
                    Self::Gossip { nonce, kind, descriptors }
                } else {
                    Self::Gossiped { nonce, kind, descriptors }
                }
            }
            9 => Self::Ping { nonce },
            10 => Self::Pong { nonce },
            11 => Self::Commit { nonce, packet: reader.next()? },
            12 => Self::Committed { nonce },
            13 => Self::Outdated { nonce, descriptor: reader.next()? },
            _ => return None,
        };
        let fits = match &message {
            Self::Find { limit, subject, packet, .. } => {
                let subject_fits = match subject {
                    Subject::Fingerprint { codes } => codes.len() <= MAX_OVERLAY_DIMS,
                    Subject::Asker { descriptor } => descriptor.len() <= MAX_DESCRIPTOR_BYTES,
                };
                usize::from(*limit) <= MAX_HINTS && packet.len() <= MAX_PACKET_BYTES && subject_fits
            }
            Self::Found { descriptor, .. }
            | Self::Link { descriptor, .. }
            | Self::Linked { descriptor, .. }
            | Self::Outdated { descriptor, .. } => descriptor.len() <= MAX_DESCRIPTOR_BYTES,
            Self::Commit { packet, .. } => (1..=MAX_PACKET_BYTES).contains(&packet.len()),
            _ => true,
        };
        if !fits || !reader.rest.is_empty() {
            return None;
        }
        let mut again = Vec::with_capacity(body.len());
        message.write(SpaceId::from_bytes(space), &mut again);
        (again == body).then_some(message)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn next<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let (value, rest) = take_from_bytes(self.rest).ok()?;
        self.rest = rest;
        Some(value)
    }

    /// As many items as a byte says, at most `most`.
    fn list<W: Deserialize<'a>, T>(&mut self, most: usize, item: impl Fn(W) -> Option<T>) -> Option<Vec<T>> {
        let len = usize::from(self.next::<u8>()?);
        if len > most {
            return None;
        }
        (0..len).map(|_| self.next().and_then(&item)).collect()
    }

    fn hints(&mut self) -> Option<Vec<Hint<'a>>> {
        self.list(MAX_HINTS, |wire: WireHint<'a>| {
            // The one score that is no cosine.
            let score = i16::from_le_bytes(wire.score);
            (score != i16::MIN && (1..=255).contains(&wire.address.len())).then_some(Hint {
                author: AuthorId::from_bytes(wire.author),
                address: wire.address,
                score: metric::from_wire(score),
            })
        })
    }
}

fn write_list<T, W: Serialize>(out: &mut Vec<u8>, items: &[T], wire: impl for<'i> Fn(&'i T) -> W) {
    out.push(u8::try_from(items.len()).unwrap_or(u8::MAX));
    for item in items {
        append(out, &wire(item));
    }
}

fn append<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    let written = to_extend(value, std::mem::take(out));
    debug_assert!(written.is_ok(), "postcard writes plain structs into a vector");
    *out = written.unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::super::Statement;
    use super::*;
    use proptest::prelude::*;
    use qis_fingerprint::Fingerprint;
    use qis_packet::{Identity, NetworkId, Order};

    fn messages() -> Vec<Message<'static>> {
        let author = AuthorId::from_bytes([5; 16]);
        let hints = vec![Hint { author, address: "a:1", score: -0.5_f32 }; MAX_HINTS];
        let hints: Vec<_> = hints
            .into_iter()
            .map(|hint| Hint { score: metric::from_wire(metric::to_wire(hint.score)), ..hint })
            .collect();
        vec![
            Message::Find {
                nonce: 1,
                limit: 20,
                subject: Subject::Fingerprint { codes: &[1, 2] },
                packet: b"p",
            },
            Message::Find { nonce: 1, limit: 0, subject: Subject::Asker { descriptor: b"d" }, packet: b"" },
            Message::Found { nonce: 2, descriptor: b"d", hints: hints.clone() },
            Message::Busy { nonce: 3, hints },
            Message::Link { nonce: 4, kind: LinkKind::Near, descriptor: b"d" },
            Message::Link { nonce: 4, kind: LinkKind::Diverse, descriptor: b"d" },
            Message::Linked { nonce: 5, kept: true, descriptor: b"d" },
            Message::Get { nonce: 6, ids: vec![author; MAX_SKETCHES] },
            Message::Sketches { nonce: 7, sketches: vec![Sketch { author, codes: &[0; 384] }; 2] },
            Message::Gossip { nonce: 8, kind: GossipKind::Near, descriptors: vec![b"d"; MAX_GOSSIP] },
            Message::Gossiped { nonce: 9, kind: GossipKind::Random, descriptors: vec![] },
            Message::Ping { nonce: 10 },
            Message::Pong { nonce: 11 },
            Message::Commit { nonce: 12, packet: b"p" },
            Message::Committed { nonce: u64::MAX },
            Message::Outdated { nonce: 13, descriptor: b"d" },
        ]
    }

    fn space() -> SpaceId {
        SpaceId::new("t", 2)
    }

    #[test]
    fn messages_come_back_and_bytes_after_them_are_refused() {
        for message in messages() {
            let mut frame = message.encode(space());
            assert_eq!(Message::decode(&frame[1..]), Some(message.clone()));
            assert_eq!(peek(&frame[1..]).unwrap().0, space());
            frame.push(0);
            assert_eq!(Message::decode(&frame[1..]), None, "{message:?}");
            assert_eq!(Message::decode(&frame[1..frame.len() - 2]), None, "{message:?}");
        }
    }

    /// The vectors of `docs/wire-format.md`.
    #[test]
    fn frames_are_those_of_the_documentation() {
        let hex = |frame: &[u8]| frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let space = SpaceId::new("test", 8);
        let subject = Subject::Fingerprint { codes: &[1, 2] };
        let find = Message::Find { nonce: 7, limit: 20, subject, packet: b"" };
        assert_eq!(hex(&find.encode(space)), "05001044fab70700000000000000140002010200");
        let statement = Statement {
            address: "a:1".parse().unwrap(),
            fingerprint: Fingerprint::from_codes(space, vec![1, 2]).unwrap(),
            order: Order { incarnation: 300, sequence: 1 },
            credential: Vec::new(),
        };
        let descriptor = statement.sign(&Identity::from_seed([7; 32]), NetworkId::new("test")).unwrap();
        let link = Message::Link { nonce: 7, kind: LinkKind::Diverse, descriptor: &descriptor };
        let frame = "05031044fab7070000000000000001\
            6fea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22cac020103613a311044fab702010200\
            cc26f6e194c06d199f8b5147e8717e6ed5ef6d1e29da086a790dae842fae65c4\
            05658eba2695665bb5a525c7d178e96d3196deffeca110d1e484a74b7659cd0b";
        assert_eq!(hex(&link.encode(space)), frame);
    }

    #[test]
    fn oversized_ones_are_refused() {
        let refused = |message: Message<'_>| assert_eq!(Message::decode(&message.encode(space())[1..]), None);
        let author = AuthorId::from_bytes([5; 16]);
        refused(Message::Find {
            nonce: 1,
            limit: 41,
            subject: Subject::Asker { descriptor: b"d" },
            packet: b"",
        });
        refused(Message::Find {
            nonce: 1,
            limit: 1,
            subject: Subject::Asker { descriptor: b"d" },
            packet: &[0; 513],
        });
        refused(Message::Commit { nonce: 1, packet: &[0; 513] });
        refused(Message::Commit { nonce: 1, packet: b"" });
        refused(Message::Get { nonce: 6, ids: vec![author; MAX_SKETCHES + 1] });
        refused(Message::Gossip {
            nonce: 8,
            kind: GossipKind::Near,
            descriptors: vec![b"d"; MAX_GOSSIP + 1],
        });
        refused(Message::Busy { nonce: 8, hints: vec![Hint { author, address: "", score: 0.0 }] });
        refused(Message::Link { nonce: 4, kind: LinkKind::Near, descriptor: &[0; MAX_DESCRIPTOR_BYTES + 1] });
    }

    proptest! {
        #[test]
        fn any_bytes_are_the_only_form_of_a_message_or_refused(
            which in 0..15_usize,
            flips in proptest::collection::vec((any::<u16>(), any::<u8>()), 0..4),
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut near_one = messages()[which].encode(space());
            for (at, byte) in flips {
                let at = usize::from(at) % near_one.len();
                near_one[at] = byte;
            }
            for body in [&near_one[1..], &bytes[..]] {
                if let Some(message) = Message::decode(body) {
                    prop_assert!(message.encode(peek(body).unwrap().0)[1..] == *body);
                }
            }
        }
    }
}
