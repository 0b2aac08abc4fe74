//! A network in virtual time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use qis_packet::{Identity, NetworkId, Order};
use qis_route::Address;
use qis_route::overlay::{Event, Output, Overlay, OverlayConfig, OverlayError, Statement};

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
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            jitter: Duration::from_millis(60),
            loss: 0.0,
            duplication: 0.0,
        }
    }
}

#[derive(Debug)]
enum Happening {
    Frame { from: u32, frame: Vec<u8> },
    Wake,
}

#[derive(Debug)]
struct Scheduled {
    at: Duration,
    sequence: u64,
    node: u32,
    what: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
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
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

#[derive(Debug)]
struct Node {
    overlay: Overlay,
    address: Address,
    alive: bool,
    /// When it is going to be woken.
    wake: Option<Duration>,
}

/// Nodes, and a queue of what happens to them, ordered by time and then by when it was caused.
#[derive(Debug)]
pub struct Network {
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<Scheduled>>,
    now: Duration,
    sequence: u64,
    rng: Rng,
    /// What befalls frames from now on.
    pub faults: Faults,
    events: VecDeque<(NodeId, Event)>,
    registry: Arc<SharedRegistry>,
    network: NetworkId,
    /// Frames that were sent, those lost included.
    pub frames: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Network {
    /// A network without nodes.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let network = NetworkId::new("simulated");
        Self {
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            now: Duration::ZERO,
            sequence: 0,
            rng: Rng::new(seed),
            faults: Faults::default(),
            events: VecDeque::new(),
            registry: Arc::new(SharedRegistry::new(network)),
            network,
            frames: 0,
            bytes: 0,
        }
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
        let mut seed = [0; 32];
        let mut own = Rng::new(u64::from(id) ^ self.rng.clone().next());
        for part in seed.chunks_mut(8) {
            part.copy_from_slice(&own.next().to_le_bytes());
        }
        let identity = Identity::from_seed(seed);
        let [a, b, c, d] = id.to_be_bytes();
        let Ok(address) = format!("10.{}.{b}.{c}:{}", a, 7000 + u32::from(d)).parse::<Address>() else {
            return Err(OverlayError::WrongSpace);
        };
        let fingerprint = vectors.fingerprint(row).map_err(|_| OverlayError::WrongSpace)?;
        let statement = Statement {
            address: address.clone(),
            fingerprint,
            order: Order { incarnation: 1, sequence: 0 },
            credential: Vec::new(),
        };
        let descriptor = statement.sign(&identity, self.network).map_err(|_| OverlayError::WrongSpace)?;
        let overlay = Overlay::new(config.clone(), &descriptor, self.registry.clone(), seed)?;
        self.nodes.push(Node { overlay, address, alive: true, wake: None });
        Ok(NodeId(id))
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

    /// The node at an address.
    #[must_use]
    pub fn node_at(&self, address: &Address) -> Option<NodeId> {
        let (ip, port) = address.as_str().split_once(':')?;
        let mut parts = ip.split('.').skip(1).map(|part| part.parse::<u8>().ok());
        let (a, b, c) = (parts.next()??, parts.next()??, parts.next()??);
        let d = u8::try_from(port.parse::<u32>().ok()?.checked_sub(7000)?).ok()?;
        let id = u32::from_be_bytes([a, b, c, d]);
        ((id as usize) < self.nodes.len()).then_some(NodeId(id))
    }

    /// Starts a node, which joins the network of the others.
    pub fn start(&mut self, node: NodeId, bootstrap: &[NodeId]) {
        let addresses: Vec<Address> =
            bootstrap.iter().map(|id| self.nodes[id.0 as usize].address.clone()).collect();
        self.with(node, |overlay, now| overlay.start(now, &addresses));
    }

    /// Stops a node for good, without a word.
    pub fn crash(&mut self, node: NodeId) {
        self.nodes[node.0 as usize].alive = false;
    }

    /// Does something with a node, and takes out what it wants done.
    pub fn with<T>(&mut self, node: NodeId, act: impl FnOnce(&mut Overlay, Duration) -> T) -> T {
        let now = self.now;
        let result = act(&mut self.nodes[node.0 as usize].overlay, now);
        self.take_outputs(node.0);
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
            self.step();
        }
    }

    /// Lets time pass; events are dropped.
    pub fn run_until(&mut self, until: Duration) {
        while self.next_event(until).is_some() {}
    }

    fn step(&mut self) {
        let Some(Reverse(Scheduled { at, node, what, .. })) = self.queue.pop() else { return };
        self.now = at;
        let index = node as usize;
        if !self.nodes[index].alive {
            return;
        }
        match what {
            Happening::Frame { from, frame } => {
                let from = self.nodes[from as usize].address.clone();
                self.nodes[index].overlay.receive_frame(at, &from, &frame);
            }
            Happening::Wake => {
                let state = &mut self.nodes[index];
                if state.wake == Some(at) {
                    state.wake = None;
                }
                if state.overlay.next_timeout().is_some_and(|due| due <= at) {
                    state.overlay.handle_timeout(at);
                }
            }
        }
        self.take_outputs(node);
    }

    fn take_outputs(&mut self, node: u32) {
        while let Some(output) = self.nodes[node as usize].overlay.poll_output() {
            match output {
                Output::Send { to, frame } => self.send(node, &to, frame),
                Output::Event(event) => self.events.push_back((NodeId(node), event)),
                _ => {}
            }
        }
        let state = &mut self.nodes[node as usize];
        if let Some(due) = state.overlay.next_timeout()
            && state.wake.is_none_or(|wake| due < wake)
        {
            state.wake = Some(due);
            self.schedule(due.max(self.now), node, Happening::Wake);
        }
    }

    fn send(&mut self, from: u32, to: &Address, frame: Vec<u8>) {
        self.frames += 1;
        self.bytes += frame.len() as u64;
        let Some(to) = self.node_at(to) else { return };
        if self.faults.duplication > 0.0 && self.rng.chance(self.faults.duplication) {
            let frame = frame.clone();
            self.send_once(from, to.0, frame);
        }
        self.send_once(from, to.0, frame);
    }

    fn send_once(&mut self, from: u32, to: u32, frame: Vec<u8>) {
        if self.faults.loss > 0.0 && self.rng.chance(self.faults.loss) {
            return;
        }
        let delay = self.faults.latency + self.faults.jitter.mul_f64(self.rng.unit());
        self.schedule(self.now + delay, to, Happening::Frame { from, frame });
    }

    fn schedule(&mut self, at: Duration, node: u32, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse(Scheduled { at, sequence: self.sequence, node, what }));
    }
}
