//! Whoever is not honest: senders of what is forged, old, too much, or nothing at all.

use std::time::Duration;

use qis::{Confidence, Fingerprint, Identity, NetworkId, OutcomePacket, SiteSecret, Support, Timestamp};
use qis_packet::{Draft, Epoch, FrameKind, Order, Seal, Trailer};
use qis_route::overlay::Statement;

use super::fault::FaultKind;
use super::plan::{Plan, stream};
use super::site::{VECTOR_DIMS, VECTORS, address, bytes, embed, network, space};
use super::world::{Frame, START, State};
use crate::Rng;

const STREAM_OF_LIARS: u64 = 4;
/// Frames of a flood: beyond what an address may send at once.
const FLOOD: usize = 700;
/// Packets of one author in a flood: beyond what an author may send at once, and what may be parked of one.
const FLOOD_OF_PACKETS: u32 = 120;
const DAY: u64 = 24 * 3600;

/// The liars' keys and what they draw.
#[derive(Debug)]
pub(super) struct Liars {
    rng: Rng,
    /// One has wild claims, one floods, one has no sense of time.
    keys: [Identity; 3],
    next: u32,
}

impl Liars {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut rng = stream(plan.seed, STREAM_OF_LIARS);
        let keys = [(); 3].map(|()| Identity::from_seed(bytes(&mut rng)));
        Self { rng, keys, next: 0 }
    }
}

/// What a lie says.
struct Lie<'a> {
    by: &'a Identity,
    network: NetworkId,
    order: Order,
    time: Timestamp,
    values: Vec<f32>,
    support: Support,
    trailer: Trailer,
}

impl State {
    /// Lies once, to some site.
    pub(super) fn lie(&mut self, kind: FaultKind) {
        if !self.faulty {
            return;
        }
        let to = self.liars.rng.below(self.sites.len());
        self.note(format_args!("a liar's {kind} for site {to}"));
        match kind {
            FaultKind::Garbage => self.send_garbage(to),
            FaultKind::Flood => self.flood(to),
            FaultKind::Inflation => self.inflate(),
            FaultKind::WrongTime => self.lie_about_time(to),
            FaultKind::Forgery => self.forge(to),
            FaultKind::OtherNetwork => self.replay_of_another_network(to),
            FaultKind::Spoofing => self.spoof(to),
            _ => {}
        }
    }

    fn right_time(&self) -> Timestamp {
        Timestamp::from_unix_seconds(self.wall(0))
    }

    fn plausible(&mut self) -> Vec<f32> {
        (0..VECTOR_DIMS).map(|_| single(self.liars.rng.gauss())).collect()
    }

    fn next_order(&mut self) -> Order {
        self.liars.next += 1;
        Order {
            incarnation: Order::opening(Timestamp::from_unix_seconds(START)).incarnation,
            sequence: self.liars.next,
        }
    }

    fn packet(&self, lie: &Lie<'_>) -> Option<OutcomePacket> {
        let dims = self.plan.dims;
        let fingerprint = Fingerprint::from_vector(space(dims), &embed("group 0 site 999", dims)).ok()?;
        let secret = SiteSecret::new(Epoch::of(Timestamp::from_unix_seconds(START - 100 * DAY)), [7; 32]);
        let seal = Seal {
            identity: lie.by,
            network: lie.network,
            secret: &secret,
            node: "liar",
            source: "nowhere",
            order: lie.order,
            time: lie.time,
            trailer: lie.trailer,
        };
        let draft = Draft::delta(VECTORS.parse().ok()?, fingerprint, &lie.values);
        draft.confidence(Confidence::FULL).support(lie.support).seal(&seal).ok()
    }

    /// Has a frame arrive, as if from an address.
    fn slip(&mut self, kind: FaultKind, from: &str, to: usize, bytes: Vec<u8>) {
        let wait = Duration::from_millis(1 + self.liars.rng.below(50) as u64);
        self.slip_after(wait, kind, from, to, bytes);
    }

    fn slip_after(&mut self, wait: Duration, kind: FaultKind, from: &str, to: usize, bytes: Vec<u8>) {
        self.inject(kind);
        self.arrive(wait, Frame { from: address(from), to, bytes: bytes.into(), lie: Some(kind) });
    }

    fn slip_packet(&mut self, kind: FaultKind, from: &str, to: usize, packet: &[u8]) {
        let frame = self.frame(packet);
        self.slip(kind, from, to, frame);
    }

    fn frame(&mut self, packet: &[u8]) -> Vec<u8> {
        let nonce = self.liars.rng.next().to_le_bytes();
        [&[FrameKind::Packet.code()], &nonce[..], &[0], packet].concat()
    }

    fn send_garbage(&mut self, to: usize) {
        for _ in 0..5 {
            let len = self.liars.rng.below(600);
            let mut bytes: Vec<u8> = (0..len).map(|_| self.liars.rng.next().to_le_bytes()[0]).collect();
            if let Some(first) = bytes.first_mut() {
                *first %= 8;
            }
            self.slip(FaultKind::Garbage, "liar-0", to, bytes);
        }
    }

    fn flood(&mut self, to: usize) {
        for _ in 0..FLOOD {
            self.slip(FaultKind::Flood, "liar-1", to, vec![FrameKind::Query.code(), 0, 1, 2]);
        }
        let by = Identity::from_seed(*self.liars.keys[1].expose_seed());
        // Fresh ones, or of the near future, which would wait.
        let early = if self.liars.rng.chance(0.5) { 3600 } else { 0 };
        for at in 0..FLOOD_OF_PACKETS {
            let (order, values) = (self.next_order(), self.plausible());
            let time = self.right_time().saturating_add(early);
            let lie = Lie {
                by: &by,
                network: network(),
                order,
                time,
                values,
                support: Support::UNKNOWN,
                trailer: Trailer::SignatureAndKey,
            };
            if let Some(packet) = self.packet(&lie) {
                self.invariants.facts.admit_lie(&packet);
                // From many addresses, so that it is the author's rate that counts; and in order, or most would be old when they come.
                let (frame, wait) =
                    (self.frame(packet.as_bytes()), Duration::from_millis(60 + u64::from(at)));
                self.slip_after(wait, FaultKind::Flood, &format!("liar-{}", 10 + at), to, frame);
            }
        }
    }

    /// A valid packet with claims beyond all measure, or with modest values and wild claims, to half of the sites.
    fn inflate(&mut self) {
        let by = Identity::from_seed(*self.liars.keys[0].expose_seed());
        let (order, mut values) = (self.next_order(), self.plausible());
        if self.liars.rng.chance(0.5) {
            values.iter_mut().for_each(|value| *value *= 1e6);
        }
        let time = self.right_time();
        let support = Support::of(1_000_000_000);
        let trailer = Trailer::SignatureAndKey;
        let lie = Lie { by: &by, network: network(), order, time, values, support, trailer };
        let Some(packet) = self.packet(&lie) else { return };
        self.invariants.facts.admit_lie(&packet);
        for to in 0..self.sites.len() {
            if self.liars.rng.chance(0.5) {
                self.slip_packet(FaultKind::Inflation, "liar-2", to, packet.as_bytes());
            }
        }
    }

    fn lie_about_time(&mut self, to: usize) {
        let by = Identity::from_seed(*self.liars.keys[2].expose_seed());
        let now = self.right_time();
        for time in [now.saturating_sub(60 * DAY), now.saturating_add(2 * DAY), now.saturating_add(400 * DAY)]
        {
            let (order, values) = (self.next_order(), self.plausible());
            let (support, trailer) = (Support::UNKNOWN, Trailer::SignatureAndKey);
            let lie = Lie { by: &by, network: network(), order, time, values, support, trailer };
            if let Some(packet) = self.packet(&lie) {
                self.invariants.facts.admit_lie(&packet);
                self.slip_packet(FaultKind::WrongTime, "liar-3", to, packet.as_bytes());
            }
        }
    }

    /// An honest author's name on a packet that it did not make; and on a descriptor that leads to the liar.
    fn forge(&mut self, to: usize) {
        let victim = self.liars.rng.below(self.sites.len());
        let honest = self.sites[victim].identity();
        let by = Identity::from_seed(*self.liars.keys[0].expose_seed());
        let incarnation = Order::opening(self.right_time()).incarnation + 1;
        let values = self.plausible();
        for trailer in [Trailer::Signature, Trailer::SignatureAndKey] {
            let lie = Lie {
                by: &by,
                network: network(),
                order: Order { incarnation, sequence: self.liars.next },
                time: self.right_time(),
                values: values.clone(),
                support: Support::UNKNOWN,
                trailer,
            };
            let Some(packet) = self.packet(&lie) else { continue };
            let mut bytes = packet.as_bytes().to_vec();
            replace(&mut bytes, by.author().as_bytes(), honest.author().as_bytes());
            replace(&mut bytes, &by.public_key().to_bytes(), &honest.public_key().to_bytes());
            self.slip_packet(FaultKind::Forgery, "liar-0", to, &bytes);
        }
        if self.plan.overlay {
            self.forge_descriptor(to, victim, &by);
        }
    }

    fn forge_descriptor(&mut self, to: usize, victim: usize, by: &Identity) {
        let dims = self.plan.dims;
        let vector = embed(&self.sites[victim].situation(), dims);
        let Ok(fingerprint) = Fingerprint::from_vector(space(dims), &vector) else { return };
        let incarnation = Order::opening(self.right_time()).incarnation + 1;
        let statement = Statement {
            address: address("liar-0"),
            fingerprint,
            order: Order { incarnation, sequence: 0 },
            credential: Vec::new(),
        };
        let Ok(mut descriptor) = statement.sign(by, network()) else { return };
        let key = self.sites[victim].identity().public_key().to_bytes();
        replace(&mut descriptor, &by.public_key().to_bytes(), &key);
        // A request to be kept as a contact; the wire format has the table.
        let nonce = self.liars.rng.next().to_le_bytes();
        let len = descriptor.len();
        let len = if len < 128 { vec![low(len)] } else { vec![low(len % 128) | 128, low(len / 128)] };
        let head = [FrameKind::Overlay.code(), 3];
        let frame = [&head[..], &space(dims).to_bytes(), &nonce, &[0], &len[..], &descriptor[..]].concat();
        self.slip(FaultKind::Forgery, "liar-0", to, frame);
    }

    /// What an honest site signed for another network.
    fn replay_of_another_network(&mut self, to: usize) {
        let from = self.liars.rng.below(self.sites.len());
        let by = self.sites[from].identity();
        let incarnation = Order::opening(self.right_time()).incarnation + 1;
        let values = self.plausible();
        let lie = Lie {
            by: &by,
            network: NetworkId::new("another"),
            order: Order { incarnation, sequence: 0 },
            time: self.right_time(),
            values,
            support: Support::UNKNOWN,
            trailer: Trailer::SignatureAndKey,
        };
        if let Some(packet) = self.packet(&lie) {
            self.slip_packet(FaultKind::OtherNetwork, "liar-0", to, packet.as_bytes());
        }
    }

    /// Acknowledgements of everything in others' names, and an answer to nothing.
    fn spoof(&mut self, to: usize) {
        for from in 0..self.sites.len() {
            let nonce = self.liars.rng.next().to_le_bytes();
            let frame = [&[FrameKind::Acknowledgement.code()], &nonce[..], &[0]].concat();
            self.slip(FaultKind::Spoofing, &format!("site-{from}"), to, frame);
        }
        let seen = self.captured.iter().find_map(|frame| {
            let packet = super::frames::packet(&frame.bytes)?;
            Some((frame.from.to_string(), packet.bytes.to_vec()))
        });
        if let Some((from, packet)) = seen {
            let nonce = self.liars.rng.next().to_le_bytes();
            let frame = [&[FrameKind::Answer.code()], &nonce[..], &[0, 1, 0], &packet].concat();
            self.slip(FaultKind::Spoofing, &from, to, frame);
        }
    }
}

fn low(value: usize) -> u8 {
    value.to_le_bytes()[0]
}

/// Puts other bytes in place of some, wherever they are.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let places: Vec<usize> =
        (0..bytes.len().saturating_sub(from.len() - 1)).filter(|&at| bytes[at..].starts_with(from)).collect();
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a packet holds single precision")]
const fn single(value: f64) -> f32 {
    value as f32
}
