//! A router among strangers: arbitrary and well-made frames, any order of results, clocks that jump, restarts.
//!
//! It never panics, its frames fit, its queues have their bounds, what it commits is taken back after a restart, and no number of its own is sent with two packets.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use crate::{IDENTITIES, Reader, SECRET, START, domain, fingerprint, network, secret};
use qis_packet::{
    DomainTag, Draft, Frame, FrameKind, Identity, Lifetime, Order, OutcomePacket, Payload, Reassembler,
    ReassemblyConfig, RotationStatement, Seal, Timestamp, Trailer,
};
use qis_route::proto::{
    Author, Event, Input, Origin, Output, PayloadDecoder, PayloadRefusal, Router, RouterConfig,
};
use qis_route::{
    Address, Batch, Candidates, HostError, HostErrorKind, Moment, Operation, Peer, Row, Selection, Table,
};

const STEPS: usize = 128;
const ADDRESSES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug)]
struct Decoder;

impl PayloadDecoder for Decoder {
    type Content = ();

    fn knows(&self, tag: &DomainTag) -> bool {
        *tag == domain(0) || *tag == domain(1)
    }

    fn decode(&self, packet: &OutcomePacket) -> Result<(), PayloadRefusal> {
        match packet.payload() {
            Payload::Delta { dims: 2, .. } | Payload::Evidence { .. } => Ok(()),
            _ => Err(PayloadRefusal::Kind { expected: "two numbers" }),
        }
    }
}

struct World {
    router: Router<Decoder>,
    now: Moment,
    store: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    committing: Option<Batch>,
    broken: bool,
    waiting: VecDeque<Output>,
    /// Nonces of packets and queries that the router sent, and to whom.
    asked: VecDeque<(FrameKind, [u8; 8], Address)>,
    frames: VecDeque<Vec<u8>>,
    /// Packets of the router's own that it sent, by their order.
    sent: BTreeMap<Order, Vec<u8>>,
    bounds: RouterConfig,
}

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let config = input.byte();
    let mut world = World::new(config);
    for _ in 0..STEPS {
        if input.is_empty() {
            break;
        }
        world.step(&mut input, config);
        world.drain();
    }
}

fn bounds(config: u8) -> RouterConfig {
    let preset = match config % 3 {
        0 => RouterConfig::default(),
        1 => RouterConfig::small(),
        _ => RouterConfig::radio(),
    };
    let selection = if config.is_multiple_of(2) { Some(Selection::hostile()) } else { preset.selection };
    RouterConfig { max_frame: max_frame(config), selection, ..preset }
}

fn router(config: u8, now: Moment) -> Router<Decoder> {
    let author = Author {
        identity: Identity::from_seed([1; 32]),
        secret: secret(),
        node: "node".into(),
        network: network(),
    };
    Router::new(bounds(config), author, Decoder, [3; 32], now).expect("a preset is valid")
}

fn address(byte: u8) -> Address {
    ADDRESSES[usize::from(byte) % ADDRESSES.len()].parse().expect("an address")
}

fn identity(byte: u8) -> &'static Identity {
    &IDENTITIES[usize::from(byte) % IDENTITIES.len()]
}

fn failure(byte: u8) -> Option<HostErrorKind> {
    [
        None,
        None,
        None,
        Some(HostErrorKind::Unavailable),
        Some(HostErrorKind::Timeout),
        Some(HostErrorKind::Full),
        Some(HostErrorKind::Refused),
        Some(HostErrorKind::Corrupt),
    ][usize::from(byte) % 8]
}

/// A packet as its author would make it, at about `now`.
fn packet(input: &mut Reader<'_>, now: Moment) -> Option<OutcomePacket> {
    let (who, what, about) = (input.byte(), input.byte(), input.byte());
    let (order, hours, x) = (input.u16(), input.u16(), input.byte().cast_signed());
    // From two days ago to two days ahead, so that some are early and some have expired.
    let offset = u64::from(input.u16()) * 6;
    let draft = match what % 4 {
        0 | 1 => Draft::delta(domain(about), fingerprint(x), &[1.0, f32::from(x)]),
        2 => Draft::evidence(domain(about), fingerprint(x), 3, vec![1, 2, 3]),
        _ => Draft::retraction(domain(about), fingerprint(x)),
    };
    let draft = Lifetime::from_hours(hours).into_iter().fold(draft, Draft::lifetime);
    let [incarnation, sequence] = order.to_le_bytes();
    let seal = Seal {
        identity: identity(who),
        network: network(),
        secret: &SECRET,
        node: "node",
        source: "source",
        order: Order {
            // Small ones, and ones like those of the router itself.
            incarnation: u32::from(incarnation) + if what & 16 == 0 { 0 } else { 222_000_000 },
            sequence: u32::from(sequence),
        },
        time: now.wall.saturating_sub(196_608).saturating_add(offset),
        trailer: [Trailer::SignatureAndKey, Trailer::Signature, Trailer::None][usize::from(what >> 2) % 3],
    };
    draft.seal(&seal).ok()
}

/// A frame of the router's, put together as any receiver would.
fn whole(frames: &[Vec<u8>]) -> Vec<u8> {
    if let [frame] = frames {
        return frame.clone();
    }
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    let parts = frames.iter().map(|part| reassembler.accept(Duration::ZERO, &(), &part[1..]));
    parts.filter_map(|part| part.expect("the router's own part")).next().expect("a whole frame")
}

/// The larger half of the configurations is of small links.
fn max_frame(config: u8) -> usize {
    if config & 128 == 0 { Frame::MAX_BYTES } else { 24 + usize::from(config & 127) }
}

impl World {
    fn new(config: u8) -> Self {
        let now = Moment { elapsed: Duration::ZERO, wall: START };
        let mut router = router(config, now);
        router.start(now);
        Self {
            router,
            now,
            store: BTreeMap::new(),
            committing: None,
            broken: false,
            waiting: VecDeque::new(),
            asked: VecDeque::new(),
            frames: VecDeque::new(),
            sent: BTreeMap::new(),
            bounds: bounds(config),
        }
    }

    fn step(&mut self, input: &mut Reader<'_>, config: u8) {
        match input.byte() % 16 {
            0 => {
                let from = address(input.byte());
                let length = usize::from(input.u16());
                let frame = input.take(length);
                self.receive(&from, frame);
            }
            1 | 2 => {
                let from = address(input.byte());
                let Some(packet) = packet(input, self.now) else { return };
                let flags = input.byte();
                let mut frame = [&[FrameKind::Packet.code()][..], &[flags; 8]].concat();
                self.key(&mut frame, flags, &packet);
                frame.extend(packet.as_bytes());
                self.receive(&from, &frame);
            }
            3 => {
                let status = input.byte();
                let Some((nonce, to)) = self.asked(FrameKind::Packet, input.byte()) else { return };
                let mut frame = [&[FrameKind::Acknowledgement.code()][..], &nonce, &[status]].concat();
                // One who knows a newer packet shows it, perhaps one of this node's own.
                if input.byte() & 1 == 1
                    && let Some(packet) = packet(input, self.now)
                {
                    frame.extend(packet.as_bytes());
                }
                self.receive(&to, &frame);
            }
            4 => {
                let Some((nonce, to)) = self.asked(FrameKind::Query, input.byte()) else { return };
                let (index, total) = (input.byte() % 33, input.byte() % 34);
                let mut frame = [&[FrameKind::Answer.code()][..], &nonce, &[index, total]].concat();
                match packet(input, self.now) {
                    Some(packet) if total > 0 => {
                        let flags = input.byte();
                        self.key(&mut frame, flags, &packet);
                        frame.extend(packet.as_bytes());
                    }
                    _ => frame.push(0),
                }
                self.receive(&to, &frame);
            }
            5 => {
                let from = address(input.byte());
                let tag = domain(input.byte());
                let print = fingerprint(input.byte().cast_signed());
                let mut frame = [&[FrameKind::Query.code()][..], &input.array::<8>()].concat();
                frame.push(tag.as_str().len() as u8);
                frame.extend(tag.as_str().as_bytes());
                // How many at most, and above which similarity.
                frame.extend(input.array::<2>());
                frame.extend(print.space().to_bytes());
                let dims = print.codes().len() as u8;
                frame.extend([dims, dims]);
                frame.extend(print.codes().iter().map(|code| code.cast_unsigned()));
                // Also more bits a packet, and more bytes, than a filter may have.
                frame.push(input.byte() % 18);
                let held = usize::from(input.byte()) + usize::from(input.byte() % 64);
                let held = input.take(held);
                frame.extend(match held.len() {
                    short @ ..128 => vec![short as u8],
                    long => vec![long as u8 | 0x80, (long >> 7) as u8],
                });
                frame.extend(held);
                self.receive(&from, &frame);
            }
            6 => {
                let from = address(input.byte());
                let time = Timestamp::from_unix_seconds(u64::from(input.u32()));
                let (old, new) = (identity(input.byte()), identity(input.byte()));
                let statement = RotationStatement::new(old, new, network(), time).to_bytes();
                self.receive(&from, &[&[FrameKind::Rotation.code()][..], &statement].concat());
            }
            7 => {
                // A frame seen before, perhaps damaged, perhaps from somewhere else.
                let from = address(input.byte());
                let (which, place, bits) = (input.byte(), input.u16(), input.byte());
                if self.frames.is_empty() {
                    return;
                }
                let mut frame = self.frames[usize::from(which) % self.frames.len()].clone();
                let place = usize::from(place) % frame.len().max(1);
                if let Some(byte) = frame.get_mut(place) {
                    *byte ^= bits;
                }
                self.receive(&from, &frame);
            }
            8 => {
                // Time passes; the wall clock may go its own way.
                let step = Duration::from_millis(u64::from(input.u32()));
                self.now.elapsed += step;
                self.now.wall = self.now.wall.saturating_add(step.as_secs());
                self.router.handle(self.now, Input::Timeout);
            }
            9 => {
                self.now.elapsed = self.router.next_timeout().unwrap_or_default().max(self.now.elapsed);
                self.router.handle(self.now, Input::Timeout);
            }
            10 => {
                let jump = input.u64();
                self.now.wall = match jump % 4 {
                    0 => self.now.wall.saturating_add(jump % 10_000_000),
                    1 => self.now.wall.saturating_sub(jump % 10_000_000),
                    2 => Timestamp::from_unix_seconds(jump),
                    _ => START,
                };
            }
            11 => {
                let (about, x) = (input.byte(), input.byte().cast_signed());
                let draft = match about % 4 {
                    0 | 1 => Draft::delta(domain(about), fingerprint(x), &[f32::from(x), 1.0]),
                    2 => Draft::evidence(domain(1), fingerprint(x), 3, vec![1, 2, 3]),
                    _ => Draft::retraction(domain(about / 4), fingerprint(x)),
                };
                let _ = self.router.emit(self.now, draft, Origin("fuzz"));
            }
            12 => match input.byte() % 6 {
                0 => drop(self.router.retract(self.now, domain(input.byte()), Origin("fuzz"))),
                1 => self.router.keep(domain(input.byte()), input.array::<4>().to_vec()),
                2 => {
                    let (old, new) = (identity(input.byte()), identity(0));
                    let time = self.now.wall;
                    let _ = self.router.set_rotation(RotationStatement::new(old, new, network(), time));
                }
                3 => {
                    let (about, wall) = (input.byte(), Timestamp::from_unix_seconds(input.u64()));
                    let _ = self.router.standing(domain(about), wall).count();
                }
                4 => {
                    let about = domain(input.byte());
                    self.router.announce(self.now, about, fingerprint(input.byte().cast_signed()));
                }
                _ => {
                    let about = domain(input.byte());
                    let _ = self.router.pull(self.now, about, fingerprint(input.byte().cast_signed()));
                }
            },
            13 | 14 => self.report(input),
            _ => {
                // The commit under way may have got there.
                if input.byte() & 1 == 1
                    && let Some(batch) = self.committing.take()
                {
                    self.apply(batch);
                }
                self.restart(config);
            }
        }
    }

    fn key(&self, frame: &mut Vec<u8>, flags: u8, packet: &OutcomePacket) {
        let author = IDENTITIES.iter().find(|identity| identity.author() == packet.author());
        match author {
            Some(identity) if flags & 1 == 0 => {
                frame.push(1);
                frame.extend(identity.public_key().to_bytes());
            }
            _ => frame.push(0),
        }
    }

    fn asked(&self, kind: FrameKind, which: u8) -> Option<([u8; 8], Address)> {
        let of_kind: Vec<_> = self.asked.iter().filter(|asked| asked.0 == kind).collect();
        let (_, nonce, to) = of_kind.get(usize::from(which) % of_kind.len().max(1))?;
        Some((*nonce, to.clone()))
    }

    fn remember(&mut self, frame: &[u8]) {
        self.frames.push_back(frame.to_vec());
        if self.frames.len() > 16 {
            self.frames.pop_front();
        }
    }

    fn receive(&mut self, from: &Address, frame: &[u8]) {
        self.remember(frame);
        self.router.receive(self.now, from, frame);
    }

    /// Takes out all that is to be done, and keeps it for a later step to report on.
    fn drain(&mut self) {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Send { ref frames, ref to, .. } => {
                    for frame in frames {
                        assert!(frame.len() <= self.bounds.max_frame);
                        self.remember(frame);
                    }
                    let frame = whole(frames);
                    let parsed = Frame::parse(&frame).expect("the router sends frames");
                    if matches!(parsed.kind, FrameKind::Packet | FrameKind::Query) {
                        let nonce = *parsed.body.first_chunk().expect("a nonce");
                        if parsed.kind == FrameKind::Packet {
                            // After the nonce, and the key beside it if there is one.
                            let packet = &parsed.body[if parsed.body[8] == 0 { 9 } else { 41 }..];
                            let order = OutcomePacket::decode(packet).expect("an own packet").order();
                            let first = self.sent.entry(order).or_insert_with(|| packet.to_vec());
                            assert_eq!(first, packet, "a number is used twice");
                        }
                        self.asked.push_back((parsed.kind, nonce, to.clone()));
                        if self.asked.len() > 64 {
                            self.asked.pop_front();
                        }
                    }
                    self.waiting.push_back(output);
                }
                Output::Commit(batch) => {
                    assert!(self.committing.is_none(), "one commit at a time");
                    assert!(!batch.operations.is_empty(), "a commit of nothing");
                    self.committing = Some(batch);
                }
                Output::Event(Event::Emitted(receipt)) => {
                    let _ = format!("{receipt:?}");
                }
                Output::Event(event) => {
                    let _ = format!("{event:?}");
                }
                _ => self.waiting.push_back(output),
            }
        }
        let _ = self.router.next_timeout();
        let queues = self.router.queues();
        assert!(queues.emissions <= self.bounds.emissions.get() && queues.pulls <= self.bounds.pulls.get());
        assert!(queues.parked <= self.bounds.parked.get() && queues.outputs == 0, "{queues:?}");
    }

    /// Reports how something ended that the router asked for.
    fn report(&mut self, input: &mut Reader<'_>) {
        let (which, how) = (input.byte(), input.byte());
        let result = |how| failure(how).map_or(Ok(()), |kind| Err(HostError::new(kind, "fuzz")));
        if which % 2 == 0
            && let Some(batch) = self.committing.take()
        {
            let mut result = result(how);
            // A store whose write failed for good refuses every later one.
            self.broken |= result.as_ref().is_err_and(|error| !error.is_retryable());
            if self.broken {
                result = Err(HostError::new(HostErrorKind::Corrupt, "fuzz"));
            }
            if result.is_ok() {
                self.apply(batch);
            }
            self.router.handle(self.now, Input::Committed(result));
            return;
        }
        let Some(output) = self.waiting.remove(usize::from(which / 2) % self.waiting.len().max(1)) else {
            return;
        };
        let report = match output {
            Output::Send { id, .. } => Input::Sent { id, result: result(how) },
            Output::Announce { domain, .. } => Input::Announced { domain, result: result(how) },
            Output::Lookup { id, similar, random, .. } => {
                let peer = |byte: u8| Peer {
                    author: identity(byte).author(),
                    address: address(byte / 8),
                    fingerprint: fingerprint(byte.cast_signed()),
                    organisation: None,
                };
                let mut peers = |most: usize| -> Vec<Peer> {
                    let bytes = input.take(most.min(usize::from(how / 8)) + usize::from(how & 1));
                    bytes.iter().map(|&byte| peer(byte)).collect()
                };
                let candidates = Candidates { similar: peers(similar), random: peers(random) };
                Input::Found { id, result: result(how).map(|()| candidates) }
            }
            _ => return,
        };
        self.router.handle(self.now, report);
    }

    fn apply(&mut self, batch: Batch) {
        for operation in batch.operations {
            match operation {
                Operation::Put { table, key, value } => {
                    assert!(key.len() <= 255);
                    self.store.insert((table, key), value);
                }
                Operation::Delete { table, key } => {
                    self.store.remove(&(table, key));
                }
            }
        }
    }

    fn restart(&mut self, config: u8) {
        self.router = router(config, self.now);
        for table in Table::ALL {
            for ((of, key), value) in &self.store {
                if *of == table {
                    let row = Row { key: key.clone(), value: value.clone() };
                    self.router
                        .restore(self.now, table, &row)
                        .expect("a router takes back what it committed");
                }
            }
        }
        (self.committing, self.broken) = (None, false);
        self.waiting.clear();
        self.router.start(self.now);
    }
}
