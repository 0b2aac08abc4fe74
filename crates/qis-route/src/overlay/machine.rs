//! The state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{AuthorId, Frame, FrameKind, MAX_PACKET_BYTES};

use super::bucket::{Bucket, Buckets};
use super::contacts::MOST_DEAD_BYTES;
use super::descriptor::{Contact, Registry};
use super::lookup::{Lookup, Purpose};
use super::message::Message;
use super::metric::{self, Direction};
use super::requests::Request;
use super::tables::Tables;
use super::upkeep::Upkeep;
use super::{Event, LookupId, LookupOptions, Output, OverlayConfig, OverlayStats, Refusal};
use crate::Address;
use crate::proto::ConfigError;
use crate::proto::nonce::Nonces;

/// A node's part in the overlay of one space. See the [module](super) for how to drive it.
#[derive(Debug)]
pub struct Overlay {
    pub(super) config: OverlayConfig,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) space: SpaceId,
    pub(super) me: Arc<Contact>,
    pub(super) tables: Tables,
    pub(super) lookups: Vec<Lookup>,
    pub(super) requests: Vec<Request>,
    outputs: VecDeque<Output>,
    pub(super) nonces: Nonces,
    counter: u64,
    peers: Buckets,
    pub(super) finds: Bucket,
    /// Authors that did not answer lately, and when that was noticed: not taken from what others say for a while.
    pub(super) dead: Vec<(AuthorId, Duration)>,
    pub(super) upkeep: Upkeep,
    pub(super) stats: OverlayStats,
}

/// Why an overlay did not do what it was told. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OverlayError {
    /// A configuration that makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A descriptor of its own that the others would refuse.
    #[error("the own descriptor is refused: {0}")]
    Descriptor(Refusal),
    /// A fingerprint of another space or number of dimensions.
    #[error("the fingerprint is of another space")]
    WrongSpace,
    /// A packet of more than 512 bytes.
    #[error("a packet of {len} bytes is too large")]
    Packet {
        /// How many it has.
        len: usize,
    },
    /// As many look-ups as the configuration allows are under way.
    #[error("{limit} look-ups are under way already")]
    Full {
        /// The configured bound.
        limit: usize,
    },
}

impl Overlay {
    /// An overlay that knows nobody. `descriptor` is this node's own, signed by [`Statement::sign`](super::Statement::sign); the keys
    /// stay with the host. The seed makes nonces and choices that strangers must not be able to guess: take it from a good
    /// source of entropy, or from a test's.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when a field of the configuration is out of range, or the registry refuses the descriptor.
    pub fn new(
        config: OverlayConfig,
        descriptor: &[u8],
        registry: Arc<dyn Registry>,
        seed: [u8; 32],
    ) -> Result<Self, OverlayError> {
        config.validate()?;
        let (space, _) =
            Contact::claimed_space(descriptor).ok_or(OverlayError::Descriptor(Refusal::Malformed))?;
        let me = registry.admit(descriptor).map_err(OverlayError::Descriptor)?;
        let mut nonces = Nonces::new(seed);
        let used =
            size_of::<Self>() - size_of::<Tables>() + me.bytes(true) + Buckets::MOST_BYTES + MOST_DEAD_BYTES;
        Ok(Self {
            tables: Tables::new(&config, used),
            peers: Buckets::new(config.peer_rate, nonces.next()),
            finds: Bucket::new(&config.find_rate),
            config,
            registry,
            space,
            me,
            lookups: Vec::new(),
            requests: Vec::new(),
            outputs: VecDeque::new(),
            nonces,
            counter: 0,
            dead: Vec::new(),
            upkeep: Upkeep::default(),
            stats: OverlayStats::default(),
        })
    }

    /// Takes a new descriptor of this node's: another situation in the same space, another address. The contacts are sorted anew, and
    /// the node looks for itself.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it is of another space or author, not newer, or refused.
    pub fn set_descriptor(&mut self, now: Duration, descriptor: &[u8]) -> Result<(), OverlayError> {
        if Contact::claimed_space(descriptor) != Some((self.space, self.dims())) {
            return Err(OverlayError::WrongSpace);
        }
        let me = self.registry.admit(descriptor).map_err(OverlayError::Descriptor)?;
        if me.author() != self.me.author() {
            return Err(OverlayError::Descriptor(Refusal::Mismatch));
        }
        if me.order() <= self.me.order() {
            return Err(OverlayError::Descriptor(Refusal::Stale));
        }
        self.me = me;
        self.sort_anew();
        self.look_for_myself(now, &[]);
        Ok(())
    }

    /// Looks for the nodes most similar to a fingerprint; ends with [`Event::Found`]. This node is not among them.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it was not begun.
    pub fn look_up(
        &mut self,
        now: Duration,
        fingerprint: &Fingerprint,
        options: LookupOptions,
    ) -> Result<LookupId, OverlayError> {
        self.begin(now, fingerprint, options, Vec::new(), false)
    }

    /// Delivers a packet to the nodes most similar to a fingerprint; ends with [`Event::Found`]. The packet travels with the
    /// questions, so that asking is delivering, and some that are asked on the way get it too; or, `exactly`, after them, to the nodes
    /// found and nobody else, which takes as many requests more.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it was not begun.
    pub fn deliver(
        &mut self,
        now: Duration,
        fingerprint: &Fingerprint,
        packet: Vec<u8>,
        options: LookupOptions,
        exactly: bool,
    ) -> Result<LookupId, OverlayError> {
        if packet.is_empty() || packet.len() > MAX_PACKET_BYTES {
            return Err(OverlayError::Packet { len: packet.len() });
        }
        self.begin(now, fingerprint, options, packet, exactly)
    }

    fn begin(
        &mut self,
        now: Duration,
        fingerprint: &Fingerprint,
        options: LookupOptions,
        packet: Vec<u8>,
        exactly: bool,
    ) -> Result<LookupId, OverlayError> {
        options.validate()?;
        if fingerprint.space() != self.space || fingerprint.dims() != self.dims() {
            return Err(OverlayError::WrongSpace);
        }
        let limit = self.config.lookups;
        if self.lookups.len() >= limit {
            return Err(OverlayError::Full { limit });
        }
        let codes: Vec<u8> = fingerprint.codes().iter().map(|code| code.cast_unsigned()).collect();
        let scale = metric::scale(&codes).ok_or(OverlayError::WrongSpace)?;
        let id = LookupId(self.count());
        let purpose = Purpose::Host { packet, exactly };
        let mut lookup = Lookup::new(id, purpose, options, self.space, Direction { codes: &codes, scale });
        lookup.leave_out(self.me.author());
        for entry in self.tables.iter() {
            lookup.start_from(&entry.contact);
        }
        self.lookups.push(lookup);
        self.advance(now, id);
        Ok(id)
    }

    /// Takes in a frame's body. What is wrong with it is counted, and never more than dropped.
    pub fn receive(&mut self, now: Duration, from: &Address, body: &[u8]) {
        let Some(message) = Message::decode(body) else { return self.stats.refuse(Refusal::Malformed) };
        if body.first().is_some_and(|&tag| Message::is_request(tag)) {
            if !self.peers.allow(now, from.as_str()) {
                return self.stats.refuse(Refusal::RateLimited);
            }
            if self.outputs.len() >= self.config.outputs / 2 {
                return self.stats.refuse(Refusal::Busy);
            }
            self.answer(now, from, message);
        } else {
            self.stats.answer_bytes += body.len() as u64 + 1;
            self.take_answer(now, &message);
        }
    }

    /// Takes in a whole frame, for a driver that has no other kinds.
    pub fn receive_frame(&mut self, now: Duration, from: &Address, frame: &[u8]) {
        match Frame::parse(frame) {
            Ok(Frame { kind: FrameKind::Overlay, body }) => self.receive(now, from, body),
            _ => self.stats.refuse(Refusal::Malformed),
        }
    }

    /// The next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        let output = self.outputs.pop_front();
        if self.outputs.is_empty() && self.outputs.capacity() > 64 {
            self.outputs = VecDeque::new();
        }
        output
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let requests = self.requests.iter().map(|request| request.deadline).min();
        [requests, self.upkeep.next()].into_iter().flatten().min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.repeat_requests(now);
        self.keep_up(now);
    }

    /// This node as the others know it.
    #[must_use]
    pub const fn me(&self) -> &Arc<Contact> {
        &self.me
    }

    /// The counts so far.
    #[must_use]
    pub const fn stats(&self) -> &OverlayStats {
        &self.stats
    }

    /// How many contacts there are in each table: near, diverse, random.
    #[must_use]
    pub fn contacts(&self) -> (usize, usize, usize) {
        (self.tables.near().len(), self.tables.diverse().len(), self.tables.random().len())
    }

    /// How many bytes of memory the node takes while nothing is under way: its tables, its own descriptor and what it counts by. All that
    /// they point at is included as if no other node shared it.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        let own = size_of::<Self>() - size_of::<Tables>() + self.me.bytes(true);
        own + self.tables.bytes()
            + self.peers.bytes()
            + self.dead.capacity() * size_of::<(AuthorId, Duration)>()
    }

    pub(super) fn dims(&self) -> usize {
        self.me.dims()
    }

    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    /// A number below `most`, which is not zero.
    pub(super) fn random_below(&mut self, most: usize) -> usize {
        let most = most.max(1) as u64;
        usize::try_from(self.nonces.next() % most).unwrap_or_default()
    }

    pub(super) fn send(&mut self, to: &Address, frame: Vec<u8>) {
        if self.outputs.len() >= self.config.outputs {
            return self.stats.refuse(Refusal::Busy);
        }
        self.outputs.push_back(Output::Send { to: to.clone(), frame });
    }

    pub(super) fn tell(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}
