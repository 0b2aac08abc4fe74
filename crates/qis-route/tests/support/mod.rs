//! Routers on a wire that does what a test says: virtual time, a store that can fail, and every frame in the open.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{
    AuthorId, Confidence, DomainTag, Draft, Epoch, Identity, Lifetime, NetworkId, Order, OutcomePacket,
    Payload, RotationStatement, Seal, SiteSecret, Timestamp, Trailer,
};
use qis_route::proto::{
    Author, Event, Input, Output, PayloadDecoder, PayloadRefusal, Router, RouterConfig, Verdict,
};
use qis_route::{Address, Candidates, HostError, HostErrorKind, Moment, Operation, Peer, Row, Table};

pub(crate) const DIMS: usize = 3;
pub(crate) const START: u64 = 1_795_000_000;
/// The kind of a frame with a statement of a new key.
pub(crate) const ROTATION: u8 = 7;

pub(crate) fn domain() -> DomainTag {
    "cardiology/heart".parse().unwrap()
}

/// Of which nothing is made unless a test does.
pub(crate) fn other_domain() -> DomainTag {
    "test/vectors/more".parse().unwrap()
}

pub(crate) fn fingerprint() -> Fingerprint {
    Fingerprint::from_codes(SpaceId::new("test", 2), vec![100, 27]).unwrap()
}

pub(crate) fn draft(value: f32) -> Draft {
    Draft::delta(domain(), fingerprint(), &[value; DIMS]).confidence(Confidence::FULL)
}

/// Takes part in one domain of vectors.
#[derive(Debug)]
pub(crate) struct Vectors;

impl PayloadDecoder for Vectors {
    type Content = Vec<f64>;

    fn knows(&self, tag: &DomainTag) -> bool {
        [domain(), other_domain()].contains(tag)
    }

    fn decode(&self, packet: &OutcomePacket) -> Result<Vec<f64>, PayloadRefusal> {
        let actual = usize::from(packet.payload().dims());
        if !matches!(packet.payload(), Payload::Delta { .. }) {
            return Err(PayloadRefusal::Kind { expected: "deltas" });
        }
        if actual != DIMS {
            return Err(PayloadRefusal::Dims { expected: DIMS, actual });
        }
        let delta = packet.delta().unwrap();
        delta.map(|delta| delta.to_vec()).map_err(|error| PayloadRefusal::Malformed(error.to_string()))
    }
}

/// A packet as its author would make it, at liberty to be odd.
pub(crate) struct Maker {
    pub(crate) seed: u8,
    pub(crate) order: Order,
    pub(crate) time: u64,
    pub(crate) lifetime: u16,
    pub(crate) trailer: Trailer,
    pub(crate) network: &'static str,
}

impl Maker {
    pub(crate) fn new(seed: u8) -> Self {
        let order = Order { incarnation: 1, sequence: 1 };
        let trailer = Trailer::SignatureAndKey;
        Self { seed, order, time: START, lifetime: 720, trailer, network: "test" }
    }

    pub(crate) fn make(&self, draft: Draft) -> OutcomePacket {
        let identity = Identity::from_seed([self.seed; 32]);
        draft
            .lifetime(Lifetime::from_hours(self.lifetime).unwrap())
            .seal(&Seal {
                identity: &identity,
                network: NetworkId::new(self.network),
                secret: &SiteSecret::new(Epoch::from_index(2900), [1; 32]),
                node: "",
                source: "",
                order: self.order,
                time: Timestamp::from_unix_seconds(self.time),
                trailer: self.trailer,
            })
            .unwrap()
    }

    /// The packet in the frame that pushes it.
    pub(crate) fn frame(&self, draft: Draft) -> Vec<u8> {
        push(self.make(draft).as_bytes())
    }
}

/// The frame with the statement that `new` follows `old`, of makers with these seeds.
pub(crate) fn rotation(old: u8, new: u8) -> Vec<u8> {
    let (old, new) = (Identity::from_seed([old; 32]), Identity::from_seed([new; 32]));
    let time = Timestamp::from_unix_seconds(START);
    let statement = RotationStatement::new(&old, &new, NetworkId::new("test"), time);
    [&[ROTATION][..], &statement.to_bytes()].concat()
}

/// Kind, nonce, no key, packet.
pub(crate) fn push(packet: &[u8]) -> Vec<u8> {
    [&[0][..], &7_u64.to_le_bytes(), &[0], packet].concat()
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) router: Router<Vectors>,
    pub(crate) address: Address,
    pub(crate) rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Whether the store works, and how it fails when it does not.
    pub(crate) store: Option<HostErrorKind>,
    /// Whether the directory works.
    pub(crate) directory: Option<HostErrorKind>,
    pub(crate) events: Vec<Event>,
    /// A batch that is neither done nor failed yet, when the store hangs.
    pub(crate) hanging: bool,
    pub(crate) held: Vec<qis_route::Batch>,
}

/// What became of a frame on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrives,
    Lost,
    Fails(HostErrorKind),
}

/// Decides about a frame, by its sender and bytes.
pub(crate) trait Weather: FnMut(usize, &[u8]) -> Fate {}

impl<F: FnMut(usize, &[u8]) -> Fate> Weather for F {}

pub(crate) struct World {
    pub(crate) hosts: Vec<Host>,
    /// Of all routers that are made here.
    config: RouterConfig,
    pub(crate) now: Moment,
    pub(crate) fate: Box<dyn Weather>,
    /// Every frame that was sent: from, to, bytes.
    pub(crate) wire: Vec<(usize, usize, Vec<u8>)>,
    pub(crate) verdicts: Vec<Verdict>,
}

/// The default, but that nothing is sent by the clock alone.
pub(crate) fn config() -> RouterConfig {
    RouterConfig { sync: None, ..RouterConfig::default() }
}

pub(crate) fn author(seed: u16) -> Author {
    let [low, high] = seed.to_le_bytes();
    let mut bytes = [low; 32];
    bytes[31] ^= high;
    Author {
        identity: Identity::from_seed(bytes),
        secret: SiteSecret::new(Epoch::from_index(2900), bytes),
        node: format!("node-{seed}"),
        network: NetworkId::new("test"),
    }
}

impl World {
    pub(crate) fn new(hosts: u16) -> Self {
        Self::with(hosts, &config())
    }

    pub(crate) fn with(hosts: u16, config: &RouterConfig) -> Self {
        let now = Moment { elapsed: Duration::ZERO, wall: Timestamp::from_unix_seconds(START) };
        let mut world = Self {
            hosts: Vec::new(),
            config: config.clone(),
            now,
            fate: Box::new(|_, _| Fate::Arrives),
            wire: Vec::new(),
            verdicts: Vec::new(),
        };
        for seed in 0..hosts {
            let random = [seed.to_le_bytes()[0]; 32];
            let router = Router::new(config.clone(), author(seed), Vectors, random, now).unwrap();
            world.add(router, BTreeMap::new());
        }
        world
    }

    pub(crate) fn add(&mut self, router: Router<Vectors>, rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>) {
        let address = format!("host-{}", self.hosts.len()).parse().unwrap();
        self.hosts.push(Host {
            router,
            address,
            rows,
            store: None,
            directory: None,
            events: Vec::new(),
            hanging: false,
            held: Vec::new(),
        });
        let last = self.hosts.len() - 1;
        self.hosts[last].router.start(self.now);
    }

    /// Ends a host's process and starts it again on what its store holds.
    pub(crate) fn restart(&mut self, index: usize, seed: u8) {
        let mut router =
            Router::new(self.config.clone(), author(seed.into()), Vectors, [seed; 32], self.now).unwrap();
        for ((table, key), value) in &self.hosts[index].rows {
            router.restore(self.now, *table, &Row { key: key.clone(), value: value.clone() }).unwrap();
        }
        router.start(self.now);
        let host = &mut self.hosts[index];
        host.router = router;
        host.events.clear();
        host.held.clear();
    }

    /// Does all there is to do at this time.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut idle = true;
            for index in 0..self.hosts.len() {
                while let Some(output) = self.hosts[index].router.poll_output() {
                    idle = false;
                    self.perform(index, output);
                }
            }
            if idle {
                return;
            }
        }
    }

    fn carry(&mut self, index: usize, to: &Address, frame: &[u8]) -> Result<(), HostError> {
        let target = self.hosts.iter().position(|host| host.address == *to);
        match ((self.fate)(index, frame), target) {
            (Fate::Fails(kind), _) => Err(HostError::new(kind, "as the test says")),
            (_, None) => Err(HostError::new(HostErrorKind::Unavailable, "nobody is there")),
            (Fate::Lost, Some(_)) => Ok(()),
            (Fate::Arrives, Some(target)) => {
                self.wire.push((index, target, frame.to_vec()));
                let from = self.hosts[index].address.clone();
                let verdict = self.hosts[target].router.receive(self.now, &from, frame);
                self.verdicts.push(verdict);
                Ok(())
            }
        }
    }

    fn perform(&mut self, index: usize, output: Output) {
        let now = self.now;
        match output {
            Output::Send { id, to, frames, .. } => {
                let mut sent = frames.iter().map(|frame| self.carry(index, &to, frame));
                let result = sent.find(Result::is_err).unwrap_or(Ok(()));
                self.hosts[index].router.handle(now, Input::Sent { id, result });
            }
            Output::Lookup { id, similar, random, .. } => {
                let result = match self.hosts[index].directory {
                    Some(kind) => Err(HostError::new(kind, "as the test says")),
                    None => {
                        // Members at random are the last ones, so that a test tells them from similar ones.
                        let members = if random > 0 { random + similar } else { 0 };
                        let random: Vec<Peer> = self.hosts.iter().rev().take(members).map(peer).collect();
                        Ok(Candidates {
                            similar: self.hosts.iter().take(similar).map(peer).collect(),
                            random,
                        })
                    }
                };
                self.hosts[index].router.handle(now, Input::Found { id, result });
            }
            Output::Announce { domain, .. } => {
                self.hosts[index].router.handle(now, Input::Announced { domain, result: Ok(()) });
            }
            Output::Commit(batch) => {
                let host = &mut self.hosts[index];
                if host.hanging {
                    host.held.push(batch);
                    return;
                }
                let result = match host.store {
                    Some(kind) => Err(HostError::new(kind, "as the test says")),
                    None => {
                        host.apply(batch);
                        Ok(())
                    }
                };
                host.router.handle(now, Input::Committed(result));
            }
            Output::Event(event) => self.hosts[index].events.push(event),
            other => panic!("an output the test does not know: {other:?}"),
        }
    }

    /// Lets time pass, stopping at every time-out on the way.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now.elapsed + time;
        self.settle();
        loop {
            let next = self.hosts.iter().filter_map(|host| host.router.next_timeout()).min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.set_elapsed(next.max(self.now.elapsed));
            for host in &mut self.hosts {
                if host.router.next_timeout().is_some_and(|due| due <= next) {
                    host.router.handle(self.now, Input::Timeout);
                }
            }
            self.settle();
        }
        self.set_elapsed(end);
    }

    fn set_elapsed(&mut self, elapsed: Duration) {
        // Whole seconds of the wall clock follow the other one.
        let passed = elapsed.as_secs() - self.now.elapsed.as_secs();
        self.now = Moment { elapsed, wall: self.now.wall.saturating_add(passed) };
    }

    pub(crate) fn emit(&mut self, index: usize, value: f32) -> qis_route::proto::EmissionId {
        let now = self.now;
        let origin = qis_route::proto::Origin("test");
        self.hosts[index].router.emit(now, draft(value), origin).unwrap()
    }

    /// Hands a host a frame from an address that is no host's, and lets it settle.
    pub(crate) fn inject(&mut self, index: usize, frame: &[u8]) -> Verdict {
        let stranger: Address = "stranger".parse().unwrap();
        let verdict = self.hosts[index].router.receive(self.now, &stranger, frame);
        self.settle();
        verdict
    }

    /// What stands at a host, by author.
    pub(crate) fn standing(&self, index: usize) -> BTreeMap<AuthorId, f64> {
        self.hosts[index]
            .router
            .standing(domain(), self.now.wall)
            .map(|(author, standing)| (author, standing.content().unwrap()[0]))
            .collect()
    }

    pub(crate) fn author(&self, index: usize) -> AuthorId {
        self.hosts[index].router.author().identity.author()
    }

    pub(crate) fn pushes(&self) -> usize {
        self.wire.iter().filter(|(_, _, frame)| frame[0] == 0).count()
    }
}

impl Host {
    pub(crate) fn apply(&mut self, batch: qis_route::Batch) {
        for operation in batch.operations {
            match operation {
                Operation::Put { table, key, value } => self.rows.insert((table, key), value),
                Operation::Delete { table, key } => self.rows.remove(&(table, key)),
            };
        }
    }

    pub(crate) fn receipt(&self) -> &qis_route::proto::Receipt {
        let mut receipts = self.events.iter().rev().filter_map(|event| match event {
            Event::Emitted(receipt) => Some(receipt),
            _ => None,
        });
        receipts.next().unwrap()
    }
}

fn peer(host: &Host) -> Peer {
    let author = host.router.author().identity.author();
    Peer { author, address: host.address.clone(), fingerprint: fingerprint(), organisation: None }
}
