//! A network in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use qis_packet::{AuthorId, Identity, NetworkId, Order, Timestamp};
use qis_route::overlay::{
    Credential, Event, Issuers, Output, Overlay, OverlayConfig, OverlayError, Statement,
};
use qis_route::{Address, Organisation};

use crate::{Rng, SharedRegistry, Vectors};

/// A node, in the order they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

/// What befalls frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The least time a frame takes.
    pub latency: Duration,
    /// What it takes more, at most; frames overtake each other within it.
    pub jitter: Duration,
    /// The share of frames that are lost.
    pub loss: f64,
    /// The share of frames that arrive twice.
    pub duplication: f64,
    /// No frame passes between the nodes before this one and the others.
    pub split: Option<NodeId>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(60),
            loss: 0.0,
            duplication: 0.0,
            split: None,
        }
    }
}

#[derive(Debug)]
enum Happening {
    Frame(Vec<u8>),
    Wake,
}

/// Something that happens to a node, in the order of time, then of who caused it, then of when it did.
#[derive(Debug)]
struct Scheduled {
    at: Duration,
    from: u32,
    count: u64,
    node: u32,
    what: Happening,
}

impl Scheduled {
    const fn key(&self) -> (Duration, u32, u64) {
        (self.at, self.from, self.count)
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Scheduled {}
impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

#[derive(Debug)]
struct Node {
    overlay: Overlay,
    alive: bool,
    /// When it is going to be woken.
    wake: Option<Duration>,
    /// Decides what befalls its frames, so that nodes can run side by side.
    rng: Rng,
    /// What it has caused so far.
    count: u64,
    /// Bytes of the frames it sent and got.
    bytes: u64,
}

/// What some nodes did, to be put together in the order of the nodes.
#[derive(Debug, Default)]
struct Done {
    scheduled: Vec<Scheduled>,
    events: Vec<(Duration, NodeId, Event)>,
    frames: u64,
    bytes: u64,
}

/// Nodes, and a queue of what happens to them.
///
/// No frame arrives sooner than [`Faults::latency`] after it was sent, so nothing that happens within this time of each other on two nodes has to
/// do with each other. Such a span is handed to all processors at once, a part of the nodes each, and what comes of it does not depend on
/// how many there are.
#[derive(Debug)]
pub struct Network {
    nodes: Vec<Node>,
    /// Where each is.
    addresses: Vec<Address>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    now: Duration,
    rng: Rng,
    /// What befalls frames from now on.
    pub faults: Faults,
    events: VecDeque<(NodeId, Event)>,
    registry: Arc<SharedRegistry>,
    network: NetworkId,
    /// Of each node, if anybody vouches for organisations.
    organisations: Vec<Organisation>,
    threads: usize,
    /// Frames that were sent, those lost included.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Fewer happenings than this in a span are not worth waking another processor for.
const WORTH_A_THREAD: usize = 128;

impl Network {
    /// A network without nodes, of as many threads as there are processors.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let network = NetworkId::new("simulated");
        Self {
            nodes: Vec::new(),
            addresses: Vec::new(),
            queue: BinaryHeap::new(),
            now: Duration::ZERO,
            rng: Rng::new(seed),
            faults: Faults::default(),
            events: VecDeque::new(),
            registry: Arc::new(SharedRegistry::new(network)),
            network,
            organisations: Vec::new(),
            threads: crate::processors(),
            frames: 0,
            bytes: 0,
        }
    }

    /// The same where an issuer vouches for organisations: each node has a credential of the one at its place among these, and those without
    /// one are not admitted.
    #[must_use]
    pub fn with_organisations(self, organisations: Vec<Organisation>) -> Self {
        let issuers = Issuers::new(self.network, [issuer().public_key()], Timestamp::from_unix_seconds(0));
        let registry = Arc::new(SharedRegistry::admitting(self.network, issuers));
        Self { registry, organisations, ..self }
    }

    /// The same of so many threads; the outcome is the same, too.
    #[must_use]
    pub fn with_threads(self, threads: usize) -> Self {
        Self { threads: threads.max(1), ..self }
    }

    /// Adds a node whose situation is a row of the vectors. It does nothing before [`start`](Self::start).
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the row is no fingerprint of an overlay, or the configuration makes no sense.
    pub fn add(
        &mut self,
        vectors: &Vectors,
        row: usize,
        config: &OverlayConfig,
    ) -> Result<NodeId, OverlayError> {
        let id = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let (address, node) = self.node(id, vectors, row, config)?;
        self.addresses.push(address);
        self.nodes.push(node);
        Ok(NodeId(id))
    }

    /// [`add`](Self::add) for each of these rows, on all processors: signing takes longer than all else.
    ///
    /// # Errors
    ///
    /// As there; no node is added then.
    pub fn add_all(
        &mut self,
        vectors: &Vectors,
        rows: &[usize],
        config: &OverlayConfig,
    ) -> Result<(), OverlayError> {
        let first = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        let ids: Vec<(u32, usize)> = (first..).zip(rows.iter().copied()).collect();
        let part = ids.len().div_ceil(self.threads).max(1);
        let this = &*self;
        let make = |ids: &[(u32, usize)]| -> Result<Vec<_>, _> {
            ids.iter().map(|&(id, row)| this.node(id, vectors, row, config)).collect()
        };
        let parts: Vec<Result<Vec<_>, _>> = std::thread::scope(|scope| {
            let handles: Vec<_> = ids.chunks(part).map(|ids| scope.spawn(move || make(ids))).collect();
            handles
                .into_iter()
                .map(|handle| handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        for (address, node) in parts.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten() {
            self.addresses.push(address);
            self.nodes.push(node);
        }
        Ok(())
    }

    fn node(
        &self,
        id: u32,
        vectors: &Vectors,
        row: usize,
        config: &OverlayConfig,
    ) -> Result<(Address, Node), OverlayError> {
        let mut seed = [0; 32];
        let mut own = Rng::new(u64::from(id) ^ self.rng.clone().next());
        for part in seed.chunks_mut(8) {
            part.copy_from_slice(&own.next().to_le_bytes());
        }
        let identity = Identity::from_seed(seed);
        let address: Address = address(id).parse().map_err(|_| OverlayError::WrongSpace)?;
        let fingerprint = vectors.fingerprint(row).map_err(|_| OverlayError::WrongSpace)?;
        let statement = Statement {
            address: address.clone(),
            fingerprint,
            order: Order { incarnation: 1, sequence: 0 },
            credential: self.credential(id, identity.author()),
        };
        let descriptor = statement.sign(&identity, self.network).map_err(|_| OverlayError::WrongSpace)?;
        let overlay = Overlay::new(config.clone(), &descriptor, self.registry.clone(), seed)?;
        let rng = Rng::new(own.next());
        Ok((address, Node { overlay, alive: true, wake: None, rng, count: 0, bytes: 0 }))
    }

    /// What admits a node; nothing where nothing is asked for.
    fn credential(&self, id: u32, author: AuthorId) -> Vec<u8> {
        let issue = |&of: &Organisation| {
            let never = Timestamp::from_unix_seconds(u32::MAX.into());
            Credential::issue(&issuer(), self.network, author, of, never)
        };
        self.organisations.get(id as usize).map(issue).unwrap_or_default()
    }

    /// How many nodes there are, crashed ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The time.
    #[must_use]
    pub const fn now(&self) -> Duration {
        self.now
    }

    /// A node's state machine.
    #[must_use]
    pub fn overlay(&self, node: NodeId) -> &Overlay {
        &self.nodes[node.0 as usize].overlay
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.nodes[node.0 as usize].alive
    }

    /// Bytes of all frames that a node has sent, and of those it got.
    #[must_use]
    pub fn bytes_of(&self, node: NodeId) -> u64 {
        self.nodes[node.0 as usize].bytes
    }

    /// The node at an address.
    #[must_use]
    pub fn node_at(&self, address: &str) -> Option<NodeId> {
        node_at(&self.addresses, address).map(NodeId)
    }

    /// Starts a node, which joins the network of the others.
    pub fn start(&mut self, node: NodeId, bootstrap: &[NodeId]) {
        let addresses: Vec<Address> =
            bootstrap.iter().map(|id| self.addresses[id.0 as usize].clone()).collect();
        self.with(node, |overlay, now| overlay.start(now, &addresses));
    }

    /// Stops a node for good, without a word.
    pub fn crash(&mut self, node: NodeId) {
        self.nodes[node.0 as usize].alive = false;
    }

    /// Does something with a node, and takes out what it wants done.
    pub fn with<T>(&mut self, node: NodeId, act: impl FnOnce(&mut Overlay, Duration) -> T) -> T {
        let now = self.now;
        let mut done = Done::default();
        let state = &mut self.nodes[node.0 as usize];
        let result = act(&mut state.overlay, now);
        let around = Around { addresses: &self.addresses, faults: &self.faults };
        state.take_outputs(node, now, around, &mut done);
        state.set_wake(node, now, &mut done);
        self.put_together([done]);
        result
    }

    /// The next event of any node, if there is one before `until`.
    pub fn next_event(&mut self, until: Duration) -> Option<(NodeId, Event)> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if self.queue.peek().is_none_or(|Reverse(next)| next.at > until) {
                self.now = self.now.max(until);
                return None;
            }
            self.step(until);
        }
    }

    /// Lets time pass; events are dropped.
    pub fn run_until(&mut self, until: Duration) {
        while self.next_event(until).is_some() {}
    }

    /// Lets happen what happens within the least time a frame takes.
    fn step(&mut self, until: Duration) {
        let Some(Reverse(first)) = self.queue.peek() else { return };
        // Both ends included.
        let last = (first.at + self.faults.latency.saturating_sub(Duration::from_nanos(1))).min(until);
        let mut span = Vec::new();
        while let Some(Reverse(next)) = self.queue.peek()
            && next.at <= last
        {
            span.extend(self.queue.pop().map(|Reverse(next)| next));
        }
        // Stable, so that what happens to a node stays in order.
        span.sort_by_key(|one| one.node);
        let threads = if span.len() < WORTH_A_THREAD { 1 } else { self.threads };
        let around = Around { addresses: &self.addresses, faults: &self.faults };
        let done = std::thread::scope(|scope| {
            let mut handles = Vec::new();
            let (mut nodes, mut offset) = (self.nodes.as_mut_slice(), 0);
            for left in (1..=threads).rev() {
                let mut len = span.len() / left;
                // What happens to one node stays together.
                while len > 0 && len < span.len() && span[len].node == span[len - 1].node {
                    len += 1;
                }
                let rest = span.split_off(len);
                let some = std::mem::replace(&mut span, rest);
                let end = some.last().map_or(offset, |last| last.node as usize + 1);
                let (mine, others) = std::mem::take(&mut nodes).split_at_mut(end - offset);
                let first = offset;
                (nodes, offset) = (others, end);
                if left == 1 {
                    let done = run_some(mine, first, some, last, around);
                    let before = handles
                        .drain(..)
                        .filter_map(|handle: std::thread::ScopedJoinHandle<'_, Done>| handle.join().ok());
                    return before.chain([done]).collect::<Vec<_>>();
                }
                handles.push(scope.spawn(move || run_some(mine, first, some, last, around)));
            }
            Vec::new()
        });
        self.now = last;
        self.put_together(done);
    }

    fn put_together(&mut self, done: impl IntoIterator<Item = Done>) {
        let mut events = Vec::new();
        for some in done {
            self.frames += some.frames;
            self.bytes += some.bytes;
            for mut one in some.scheduled {
                one.at = one.at.max(self.now);
                self.queue.push(Reverse(one));
            }
            events.extend(some.events);
        }
        events.sort_by_key(|(at, node, _)| (*at, *node));
        self.events.extend(events.into_iter().map(|(_, node, event)| (node, event)));
    }
}

/// What nodes that run side by side share.
#[derive(Clone, Copy)]
struct Around<'a> {
    addresses: &'a [Address],
    faults: &'a Faults,
}

/// Lets happen to some nodes, the first of which is number `first`, what is scheduled for them, and what becomes of it until `last`.
fn run_some(
    nodes: &mut [Node],
    first: usize,
    span: Vec<Scheduled>,
    last: Duration,
    around: Around<'_>,
) -> Done {
    let mut done = Done::default();
    let mut span = span.into_iter().peekable();
    while let Some(&Scheduled { node, .. }) = span.peek() {
        let (id, state) = (NodeId(node), &mut nodes[node as usize - first]);
        while let Some(next) = span.next_if(|next| next.node == node) {
            if state.alive {
                state.run_until(id, next.at, around, &mut done);
                state.happen(id, next, around, &mut done);
            }
        }
        if state.alive {
            state.run_until(id, last, around, &mut done);
            state.set_wake(id, last, &mut done);
        }
    }
    done
}

impl Node {
    /// Does what comes due until then.
    fn run_until(&mut self, id: NodeId, until: Duration, around: Around<'_>, done: &mut Done) {
        while let Some(due) = self.overlay.next_timeout().filter(|due| *due <= until) {
            self.overlay.handle_timeout(due);
            self.take_outputs(id, due, around, done);
        }
    }

    fn happen(&mut self, id: NodeId, next: Scheduled, around: Around<'_>, done: &mut Done) {
        match next.what {
            Happening::Frame(frame) => {
                let from = &around.addresses[next.from as usize];
                self.bytes += frame.len() as u64;
                self.overlay.receive_frame(next.at, from, &frame);
                self.take_outputs(id, next.at, around, done);
            }
            // What was due has been done.
            Happening::Wake => self.wake = self.wake.filter(|wake| *wake > next.at),
        }
    }

    fn take_outputs(&mut self, id: NodeId, now: Duration, around: Around<'_>, done: &mut Done) {
        while let Some(output) = self.overlay.poll_output() {
            match output {
                Output::Send { to, frame } => self.send(id, now, &to, frame, around, done),
                Output::Event(event) => done.events.push((now, id, event)),
                _ => {}
            }
        }
    }

    fn send(
        &mut self,
        id: NodeId,
        now: Duration,
        to: &Address,
        frame: Vec<u8>,
        around: Around<'_>,
        done: &mut Done,
    ) {
        done.frames += 1;
        done.bytes += frame.len() as u64;
        self.bytes += frame.len() as u64;
        let Some(node) = node_at(around.addresses, to.as_str()) else { return };
        let faults = around.faults;
        if faults.split.is_some_and(|split| (id < split) != (NodeId(node) < split)) {
            return;
        }
        let twice = faults.duplication > 0.0 && self.rng.chance(faults.duplication);
        for frame in twice.then(|| frame.clone()).into_iter().chain([frame]) {
            if faults.loss > 0.0 && self.rng.chance(faults.loss) {
                continue;
            }
            let at = now + faults.latency + faults.jitter.mul_f64(self.rng.unit());
            self.schedule(id, at, node, Happening::Frame(frame), done);
        }
    }

    /// Sees to it that it is woken when it next wants to be.
    fn set_wake(&mut self, id: NodeId, now: Duration, done: &mut Done) {
        if let Some(due) = self.overlay.next_timeout()
            && self.wake.is_none_or(|wake| due < wake)
        {
            self.wake = Some(due);
            self.schedule(id, due.max(now), id.0, Happening::Wake, done);
        }
    }

    fn schedule(&mut self, id: NodeId, at: Duration, node: u32, what: Happening, done: &mut Done) {
        self.count += 1;
        done.scheduled.push(Scheduled { at, from: id.0, count: self.count, node, what });
    }
}

/// Vouches for all organisations of a simulation.
fn issuer() -> Identity {
    Identity::from_seed([0xff; 32])
}

fn address(id: u32) -> String {
    let [a, b, c, d] = id.to_be_bytes();
    format!("10.{a}.{b}.{c}:{}", 7000 + u32::from(d))
}

fn node_at(addresses: &[Address], address: &str) -> Option<u32> {
    let (ip, port) = address.split_once(':')?;
    let mut parts = ip.split('.').skip(1).map(|part| part.parse::<u8>().ok());
    let (a, b, c) = (parts.next()??, parts.next()??, parts.next()??);
    let d = u8::try_from(port.parse::<u32>().ok()?.checked_sub(7000)?).ok()?;
    let id = u32::from_be_bytes([a, b, c, d]);
    (addresses.get(id as usize)?.as_str() == address).then_some(id)
}
