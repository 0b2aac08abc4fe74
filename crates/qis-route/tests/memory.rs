//! What a router takes of memory when its tables and queues are full, by an allocator that counts.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::num::NonZeroUsize;
use std::time::Duration;

use peak_alloc::PeakAlloc;
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{
    DomainTag, Draft, Epoch, Identity, NetworkId, Order, OutcomePacket, Parity, RotationStatement, Seal,
    SiteSecret, Timestamp, Trailer, fragment,
};
use qis_route::proto::{
    Author, Input, Origin, Output, PayloadDecoder, PayloadRefusal, Refusal, Router, RouterConfig, Verdict,
};
use qis_route::{Address, Candidates, HostError, HostErrorKind, Moment, Peer};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

const START: u64 = 1_795_000_000;
const MIB: usize = 1024 * 1024;
const DIMS: usize = 60;
const PACKET: u8 = 0;
const ROTATION: u8 = 7;
/// One more than a chain has.
const KEYS: u32 = 9;
/// What a driver has under way at a time.
const SENDS: usize = 128;

fn domains() -> [DomainTag; 2] {
    ["memory/first", "memory/second"].map(|tag| tag.parse().unwrap())
}

fn fingerprint(number: u32) -> Fingerprint {
    let code = |at: u32| (number.wrapping_mul(31).wrapping_add(7 * at) % 201).cast_signed() - 100;
    let codes = (0..64).map(|at| i8::try_from(code(at)).unwrap());
    Fingerprint::from_codes(SpaceId::new("memory", 64), codes.collect()).unwrap()
}

fn address(number: u32) -> Address {
    // As long as there may be.
    format!("{number:0255}").parse().unwrap()
}

fn identity(number: u32) -> Identity {
    let mut seed = [0x4d; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    Identity::from_seed(seed)
}

fn network() -> NetworkId {
    NetworkId::new("memory")
}

fn author(number: u32) -> Author {
    let secret = SiteSecret::new(Epoch::from_index(2900), [1; 32]);
    Author { identity: identity(number), secret, node: format!("node-{number}"), network: network() }
}

fn draft(domain: DomainTag, number: u32) -> Draft {
    Draft::delta(domain, fingerprint(number), &[number as f32; DIMS])
}

/// The frame of a packet of an author, its so-manieth, made so many seconds after the start.
fn push(domain: DomainTag, number: u32, sequence: u32, after: u64) -> Vec<u8> {
    let packet = draft(domain, number).seal(&Seal {
        identity: &identity(number),
        network: network(),
        secret: &SiteSecret::new(Epoch::from_index(2900), [1; 32]),
        node: "",
        source: "",
        order: Order { incarnation: 1, sequence },
        time: Timestamp::from_unix_seconds(START + after),
        trailer: Trailer::SignatureAndKey,
    });
    [&[PACKET][..], &7_u64.to_le_bytes(), &[0], packet.unwrap().as_bytes()].concat()
}

#[derive(Debug)]
struct Vectors;

impl PayloadDecoder for Vectors {
    type Content = Vec<f64>;

    fn knows(&self, tag: &DomainTag) -> bool {
        domains().contains(tag)
    }

    fn decode(&self, packet: &OutcomePacket) -> Result<Vec<f64>, PayloadRefusal> {
        Ok(packet.delta().unwrap().unwrap().to_vec())
    }
}

struct Node {
    router: Router<Vectors>,
    elapsed: Duration,
    /// Those whom it is told of.
    peers: Vec<Peer>,
    sent: Vec<Vec<u8>>,
    /// What the store is at, and does not end.
    commit: Option<Output>,
}

impl Node {
    fn new(config: RouterConfig, number: u32) -> Self {
        let elapsed = Duration::ZERO;
        let now = Moment { elapsed, wall: Timestamp::from_unix_seconds(START) };
        let mut router = Router::new(config, author(number), Vectors, [3; 32], now).unwrap();
        router.start(now);
        let peer = |number| Peer {
            author: identity(number).author(),
            address: address(number),
            fingerprint: fingerprint(number),
            organisation: None,
        };
        Self { router, elapsed, peers: (1..=40).map(peer).collect(), sent: Vec::new(), commit: None }
    }

    fn now(&self) -> Moment {
        let wall = Timestamp::from_unix_seconds(START + self.elapsed.as_secs());
        Moment { elapsed: self.elapsed, wall }
    }

    fn receive(&mut self, from: u32, frame: &[u8]) -> Verdict {
        let now = self.now();
        self.router.receive(now, &address(from), frame)
    }

    /// Does what the router asks for, as a driver whose peers never answer.
    fn drive(&mut self) {
        while let Some(output) = self.router.poll_output() {
            self.act_on(output);
        }
    }

    /// The same of a driver whose transport takes no frame.
    fn drive_without_sends(&mut self) {
        while let Some(output) = self.router.poll_urgent() {
            self.act_on(output);
        }
    }

    /// The same of a driver whose sends all take the time that they are allowed, and whose store never ends.
    fn drive_a_stuck_transport(&mut self) {
        for _ in 0..SENDS {
            let Some(output) = self.router.poll_output() else { return };
            if let Output::Send { id, .. } = output {
                let error = HostError::new(HostErrorKind::Timeout, "stuck");
                self.router.handle(self.now(), Input::Sent { id, result: Err(error) });
            } else if matches!(output, Output::Commit(_)) {
                self.commit = Some(output);
            } else {
                self.act_on(output);
            }
        }
    }

    fn act_on(&mut self, output: Output) {
        let input = match output {
            Output::Send { id, frames, .. } => {
                self.sent = frames;
                Input::Sent { id, result: Ok(()) }
            }
            Output::Lookup { id, similar, random, .. } => {
                let of = |count: usize| self.peers.iter().take(count).cloned().collect();
                Input::Found { id, result: Ok(Candidates { similar: of(similar), random: of(random) }) }
            }
            Output::Announce { domain, .. } => Input::Announced { domain, result: Ok(()) },
            Output::Commit(_) => Input::Committed(Ok(())),
            _ => return,
        };
        self.router.handle(self.now(), input);
    }
}

/// A query for the first domain, by a node that has nothing.
fn query() -> Vec<u8> {
    let mut asker = Node::new(RouterConfig::default(), 900_000);
    let now = asker.now();
    asker.router.pull(now, domains()[0], fingerprint(0)).unwrap();
    asker.drive();
    asker.sent.remove(0)
}

/// Brings as many authors, changes of keys, packets from the future and parts of frames as there may be, and more.
fn fill_tables(node: &mut Node, config: &RouterConfig) {
    let [authors, parked, rates] = [config.authors_per_domain, config.parked, config.rates].map(count);
    for number in 1..=2 * authors.max(rates) {
        for domain in domains() {
            node.receive(number, &push(domain, number, 1, 0));
            node.drive();
        }
    }
    for domain in domains() {
        assert_eq!(node.router.standing(domain, node.now().wall).count(), authors as usize);
    }
    for number in 0..2 * parked {
        node.receive(100_000 + number, &push(domains()[0], 100_000 + number, 1, 3600));
        node.drive();
    }
    assert_eq!(node.router.queues().parked, parked as usize);
    for number in 1..=authors {
        for change in 1..=KEYS {
            let key = |change| identity(number + change * 1_000_000);
            let time = Timestamp::from_unix_seconds(START);
            let statement = RotationStatement::new(&key(change - 1), &key(change), network(), time);
            let frame = [&[ROTATION][..], &statement.to_bytes()].concat();
            let verdict = node.receive(100_000 * change + number, &frame);
            let expected = if change < KEYS { Verdict::Handled } else { Verdict::Refused(Refusal::Full) };
            assert_eq!(verdict, expected, "{number} {change}");
            node.drive();
        }
    }
    for number in 0..2000_u32 {
        let frame = [[PACKET; 4], number.to_le_bytes()].concat().repeat(100);
        let parts = fragment(&frame, 120, Parity::None).unwrap();
        for part in &parts[1..] {
            node.receive(300_000 + number / 10, part);
        }
    }
    node.drive();
}

/// Emits and pulls as often as it may; then the transport stands still, and at last the store too, while packets and queries come.
fn fill_queues(node: &mut Node, config: &RouterConfig) {
    let [authors, outputs] = [config.authors_per_domain, config.outputs].map(count);
    let (emissions, pulls) = (config.emissions.get(), config.pulls.get());
    let (now, domain, origin) = (node.now(), domains()[0], Origin("memory"));
    let emitted = (0..=emissions).take_while(|_| node.router.emit(now, draft(domain, 0), origin).is_ok());
    assert_eq!(emitted.count(), emissions);
    node.drive();
    let pulled = (0..=pulls).take_while(|_| node.router.pull(now, domain, fingerprint(0)).is_ok());
    assert_eq!(pulled.count(), pulls);
    node.drive();
    let query = query();
    let (mut refused, mut number) = (0, 0);
    while refused < outputs {
        node.elapsed += Duration::from_micros(100);
        let (by, sequence) = (1 + number % authors, 2 + number / authors);
        let verdict = node.receive(400_000 + number, &push(domains()[1], by, sequence, 0));
        refused += u32::from(verdict == Verdict::Refused(Refusal::Busy));
        node.receive(500_000 + number, &query);
        if node.router.queues().outputs < outputs as usize * 7 / 8 {
            node.drive_without_sends();
        }
        number += 1;
    }
    let queues = node.router.queues();
    assert_eq!((queues.emissions, queues.pulls, queues.parked), (emissions, pulls, config.parked.get()));
    assert!(queues.outputs.max(queues.commits) >= outputs as usize, "{queues:?}");
    assert!(queues.outputs.min(queues.commits) >= outputs as usize * 7 / 8, "{queues:?}");
}

/// An hour of what the clock asks for, with a transport that lets each send wait for as long as it may.
fn stand_still(node: &mut Node) {
    for _ in 0..1800 {
        node.elapsed += Duration::from_secs(2);
        node.drive_a_stuck_transport();
        let now = node.now();
        if node.router.next_timeout().is_some_and(|due| due <= now.elapsed) {
            node.router.handle(now, Input::Timeout);
        }
    }
}

fn count(bound: NonZeroUsize) -> u32 {
    bound.get().try_into().unwrap()
}

/// The most bytes that are allocated at a time.
fn most_bytes(config: &RouterConfig) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let mut node = Node::new(config.clone(), 0);
    fill_tables(&mut node, config);
    fill_queues(&mut node, config);
    stand_still(&mut node);
    ALLOCATED.peak_usage() - before
}

/// One test, since the allocator counts for the whole process. Two domains; the overlays of a node come on top, with 64 KiB of contacts.
#[test]
fn full_tables_and_queues_take_a_bounded_amount_of_memory() {
    let small = most_bytes(&RouterConfig::small());
    let default = most_bytes(&RouterConfig::default());
    println!("small {:.2} MiB, default {:.2} MiB", small as f64 / MIB as f64, default as f64 / MIB as f64);
    assert!(small <= 2 * MIB, "{small} bytes");
    assert!(default <= 32 * MIB, "{default} bytes");
}
