//! The state machine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{AuthorId, Frame, FrameKind, MAX_PACKET_BYTES, Order, Timestamp};

use super::bucket::{Bucket, Buckets};
use super::contacts::MOST_DEAD_BYTES;
use super::descriptor::{Contact, Registry};
use super::lookup::{Lookup, Phase, Purpose};
use super::message::{HEAD_BYTES, Message, peek};
use super::metric::{self, Direction};
use super::requests::Request;
use super::sample::Sampling;
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
    pub(super) me: Contact,
    pub(super) tables: Tables,
    pub(super) lookups: Vec<Lookup>,
    pub(super) samplings: Vec<Sampling>,
    pub(super) requests: Vec<Request>,
    outputs: VecDeque<Output>,
    pub(super) nonces: Nonces,
    counter: u64,
    peers: Buckets,
    pub(super) finds: Bucket,
    /// Authors that did not answer lately, and when that was noticed: not taken from what others say for a while.
    pub(super) dead: Vec<(AuthorId, Duration)>,
    pub(super) upkeep: Upkeep,
    /// What time it is, once that was told: until then nobody's admission is over.
    pub(super) wall: Timestamp,
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
    /// As many spaces as a node may have, or as leave each other enough of [`OverlayConfig::state_bytes`].
    #[error("the node is in the overlays of {limit} spaces already")]
    Spaces {
        /// The bound.
        limit: usize,
    },
    /// As many look-ups and draws as the configuration allows are under way.
    #[error("{limit} look-ups and draws are under way already")]
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
        Ok(Self {
            tables: Tables::new(&config, config.state_bytes.saturating_sub(fixed_bytes(&me))),
            peers: Buckets::new(config.peer_rate, nonces.next()),
            finds: Bucket::new(&config.find_rate),
            config,
            registry,
            space,
            me,
            lookups: Vec::new(),
            samplings: Vec::new(),
            requests: Vec::new(),
            outputs: VecDeque::new(),
            nonces,
            counter: 0,
            dead: Vec::new(),
            upkeep: Upkeep::default(),
            wall: Timestamp::from_unix_seconds(0),
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
        self.set_state_bytes(self.config.state_bytes);
        self.sort_anew();
        self.refresh(now);
        Ok(())
    }

    /// Tells what time it is by the wall clock, and the registry too. Contacts whose admission [is over](Contact::is_expired) are forgotten: they
    /// are not asked, not found and not passed on from then on. Without it none is.
    pub fn set_time(&mut self, wall: Timestamp) {
        self.registry.set_time(wall);
        self.forget_expired(wall);
    }

    /// Looks for the nodes most similar to a fingerprint; ends with [`Event::Found`]. This node is not among them. While the node
    /// [joins](Self::is_joining), it waits for that.
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
        self.check_room()?;
        let codes: Vec<u8> = fingerprint.codes().iter().map(|code| code.cast_unsigned()).collect();
        let scale = metric::scale(&codes).ok_or(OverlayError::WrongSpace)?;
        let id = LookupId(self.count());
        let purpose = Purpose::Host { packet, exactly };
        let mut lookup = Lookup::new(id, purpose, options, Direction { codes: &codes, scale });
        lookup.leave_out(self.me.author());
        lookup.phase = Phase::Waiting;
        self.lookups.push(lookup);
        self.join_if_alone(now);
        if !self.is_joining() {
            self.begin_lookups(now);
        }
        Ok(id)
    }

    /// Begins the look-ups that have waited for the node to join.
    pub(super) fn begin_lookups(&mut self, now: Duration) {
        let mut begun = Vec::new();
        for lookup in self.lookups.iter_mut().filter(|lookup| lookup.phase == Phase::Waiting) {
            lookup.phase = Phase::Finding;
            for entry in self.tables.iter() {
                lookup.start_from(&entry.contact);
            }
            begun.push(lookup.id);
        }
        for id in begun {
            self.advance(now, id);
        }
    }

    /// Whether another look-up or draw may begin.
    pub(super) fn check_room(&self) -> Result<(), OverlayError> {
        let limit = self.config.lookups;
        let under_way = self.lookups.len() + self.samplings.len();
        if under_way >= limit { Err(OverlayError::Full { limit }) } else { Ok(()) }
    }

    /// Takes in a frame's body. What is wrong with it is counted, and never more than dropped.
    pub fn receive(&mut self, now: Duration, from: &Address, body: &[u8]) {
        let Some((space, is_request)) = peek(body) else { return self.stats.refuse(Refusal::Malformed) };
        if space != self.space {
            return self.stats.refuse(Refusal::WrongSpace);
        }
        if is_request && !self.peers.allow(now, from.as_str()) {
            return self.stats.refuse(Refusal::RateLimited);
        }
        // What is refused has been counted.
        let _ = self.take_in(now, from, body, is_request);
    }

    /// Takes in a body of this space whose sender is within its rate.
    pub(super) fn take_in(
        &mut self,
        now: Duration,
        from: &Address,
        body: &[u8],
        is_request: bool,
    ) -> Result<(), Refusal> {
        let refusal = if is_request && self.outputs.len() >= self.config.outputs / 2 {
            Refusal::Busy
        } else if let Some(message) = Message::decode(body) {
            if is_request {
                self.answer(now, from, message);
            } else {
                self.stats.answer_bytes += body.len() as u64 + 1;
                self.take_answer(now, &message);
            }
            return Ok(());
        } else {
            Refusal::Malformed
        };
        self.stats.refuse(refusal);
        Err(refusal)
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

    /// The space.
    #[must_use]
    pub const fn space(&self) -> SpaceId {
        self.space
    }

    /// This node as the others know it.
    #[must_use]
    pub const fn me(&self) -> &Contact {
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

    /// Takes so many bytes at most from now on.
    pub(super) fn set_state_bytes(&mut self, bytes: usize) {
        self.config.state_bytes = bytes;
        self.tables.set_budget(bytes.saturating_sub(fixed_bytes(&self.me)));
    }

    /// What a list may take of a frame.
    pub(super) fn list_bytes(&self) -> usize {
        self.config.max_frame.saturating_sub(HEAD_BYTES)
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

    /// Tells that this node has said something newer in another life; one such event that waits is enough.
    pub(super) fn tell_outdated(&mut self, order: Order) {
        let waiting = self.outputs.iter_mut().find_map(|output| match output {
            Output::Event(Event::Outdated { order }) => Some(order),
            _ => None,
        });
        match waiting {
            Some(waiting) => *waiting = order.max(*waiting),
            None => self.tell(Event::Outdated { order }),
        }
    }
}

/// What of the budget the tables do not get.
fn fixed_bytes(me: &Contact) -> usize {
    let own = size_of::<Overlay>() - size_of::<Tables>() + me.bytes(true);
    own + Buckets::MOST_BYTES + MOST_DEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::super::descriptor::{Open, Statement, Verifier};
    use super::super::message::{GossipKind, Hint, LinkKind, Subject};
    use super::*;
    use crate::proto::Rate;
    use proptest::prelude::*;
    use qis_packet::{Identity, NetworkId};

    const ZERO: Duration = Duration::ZERO;

    fn descriptor(seed: u8, y: i8, sequence: u32, space: &str, network: &str) -> Vec<u8> {
        let statement = Statement {
            address: format!("node-{seed}").parse().unwrap(),
            fingerprint: Fingerprint::from_codes(SpaceId::new(space, 2), vec![100, y]).unwrap(),
            order: Order { incarnation: 1, sequence },
            credential: Vec::new(),
        };
        statement.sign(&Identity::from_seed([seed; 32]), NetworkId::new(network)).unwrap()
    }

    fn good(seed: u8, sequence: u32) -> Vec<u8> {
        descriptor(seed, seed.cast_signed(), sequence, "a", "net")
    }

    fn overlay(config: OverlayConfig) -> Overlay {
        let registry = Verifier { network: NetworkId::new("net"), admission: Arc::new(Open) };
        Overlay::new(config, &good(1, 5), Arc::new(registry), [1; 32]).unwrap()
    }

    fn peer() -> Address {
        "node-2".parse().unwrap()
    }

    fn hand(overlay: &mut Overlay, message: &Message<'_>) {
        overlay.receive_frame(ZERO, &peer(), &message.encode(space()));
    }

    fn space() -> SpaceId {
        SpaceId::new("a", 2)
    }

    fn nonce_of(frame: &[u8]) -> u64 {
        u64::from_le_bytes(frame[6..14].try_into().unwrap())
    }

    fn sent(overlay: &mut Overlay) -> Vec<Vec<u8>> {
        let frames = std::iter::from_fn(|| overlay.poll_output());
        frames
            .filter_map(|output| if let Output::Send { frame, .. } = output { Some(frame) } else { None })
            .collect()
    }

    #[test]
    fn what_is_wrong_with_a_descriptor_is_counted_and_not_answered() {
        let mut overlay = overlay(OverlayConfig::default());
        let link = |descriptor: &[u8], overlay: &mut Overlay| {
            hand(overlay, &Message::Link { nonce: 1, kind: LinkKind::Near, descriptor });
            sent(overlay).len()
        };
        assert_eq!(link(&good(2, 7), &mut overlay), 1);
        assert_eq!(link(&good(1, 9), &mut overlay), 0);
        assert_eq!(link(&descriptor(3, 1, 0, "b", "net"), &mut overlay), 0);
        assert_eq!(link(&descriptor(3, 1, 0, "a", "other"), &mut overlay), 0);
        assert_eq!(link(b"nothing", &mut overlay), 0);
        for (refusal, count) in
            [(Refusal::Own, 1), (Refusal::WrongSpace, 1), (Refusal::Signature, 1), (Refusal::Malformed, 1)]
        {
            assert_eq!(overlay.stats().refused(refusal), count, "{refusal}");
        }
        assert_eq!(overlay.contacts(), (1, 0, 0));
        assert_eq!(link(&good(2, 8), &mut overlay), 1, "a newer one takes its place");
        assert_eq!(overlay.contacts(), (1, 0, 0));
    }

    #[test]
    fn who_says_something_old_is_told_what_it_has_said_since() {
        let mut holder = overlay(OverlayConfig::default());
        let (old, new) = (good(2, 3), descriptor(2, -9, 9, "a", "net"));
        hand(&mut holder, &Message::Link { nonce: 1, kind: LinkKind::Near, descriptor: &new });
        sent(&mut holder);
        let kind = GossipKind::Near;
        for (nonce, request) in [
            (2, Message::Link { nonce: 2, kind: LinkKind::Near, descriptor: &old }),
            (
                3,
                Message::Find {
                    nonce: 3,
                    limit: 5,
                    subject: Subject::Asker { descriptor: &old },
                    packet: &[],
                },
            ),
            (4, Message::Gossip { nonce: 4, kind, descriptors: vec![&old] }),
        ] {
            hand(&mut holder, &request);
            let [answer] = &sent(&mut holder)[..] else { panic!("not one answer to {request:?}") };
            let expected = Message::Outdated { nonce, descriptor: &new };
            assert_eq!(Message::decode(&answer[1..]), Some(expected));
        }
        assert_eq!(holder.stats().refused(Refusal::Stale), 3);
        let author = Identity::from_seed([2; 32]).author();
        assert_eq!(holder.tables.get(author).unwrap().codes()[1].cast_signed(), -9);
    }

    #[test]
    fn who_says_something_old_is_answered_where_nothing_proves_it_and_not_believed() {
        let mut holder = overlay(OverlayConfig::default());
        let (old, new) = (good(2, 3), descriptor(2, -9, 9, "a", "net"));
        hand(&mut holder, &Message::Link { nonce: 1, kind: LinkKind::Diverse, descriptor: &new });
        sent(&mut holder);
        assert_eq!(holder.contacts(), (0, 1, 0));
        let mut answer = |request: Message<'_>| {
            hand(&mut holder, &request);
            let [answer] = &sent(&mut holder)[..] else { panic!("not one answer to {request:?}") };
            Message::decode(&answer[1..]).map(|answer| format!("{answer:?}")).unwrap()
        };
        for kind in [LinkKind::Near, LinkKind::Diverse] {
            let linked = answer(Message::Link { nonce: 2, kind, descriptor: &old });
            assert!(linked.starts_with("Linked { nonce: 2, kept: false,"), "{linked}");
        }
        let subject = Subject::Asker { descriptor: &old };
        let found = answer(Message::Find { nonce: 3, limit: 5, subject, packet: &[] });
        assert!(found.starts_with("Found { nonce: 3,"), "{found}");
        let other = good(3, 0);
        for kind in [GossipKind::Near, GossipKind::Random] {
            let gossiped = answer(Message::Gossip { nonce: 4, kind, descriptors: vec![&old, &other] });
            assert!(gossiped.starts_with("Gossiped { nonce: 4,"), "{gossiped}");
        }
        assert_eq!((holder.contacts(), holder.stats().refused(Refusal::Stale)), ((0, 1, 0), 5));
        let author = Identity::from_seed([2; 32]).author();
        assert_eq!(holder.tables.get(author).unwrap().order().sequence, 9);
    }

    #[test]
    fn a_node_is_told_of_what_it_said_in_another_life_until_it_says_something_newer() {
        let mut node = overlay(OverlayConfig::default());
        let outdated = |node: &mut Overlay| {
            let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
            let orders = outputs.iter().filter_map(|output| match output {
                Output::Event(Event::Outdated { order }) => Some(order.sequence),
                _ => None,
            });
            orders.collect::<Vec<u32>>()
        };
        node.start(ZERO, &[peer()]);
        let nonce = nonce_of(&sent(&mut node)[0]);
        hand(&mut node, &Message::Outdated { nonce: nonce ^ 1, descriptor: &good(1, 9) });
        assert_eq!((outdated(&mut node), node.stats().refused(Refusal::Unasked)), (vec![], 1));
        hand(&mut node, &Message::Outdated { nonce, descriptor: &good(1, 9) });
        assert_eq!(outdated(&mut node), [9]);
        // Whoever gossips of it says so too.
        let gossip = |node: &mut Overlay, sequences: &[u32]| {
            let descriptors = std::iter::once(good(2, 0)).chain(sequences.iter().map(|&one| good(1, one)));
            let descriptors: Vec<Vec<u8>> = descriptors.collect();
            let descriptors = descriptors.iter().map(Vec::as_slice).collect();
            hand(node, &Message::Gossip { nonce: 1, kind: GossipKind::Near, descriptors });
        };
        gossip(&mut node, &[7, 9, 12, 8]);
        assert_eq!(outdated(&mut node), [12]);
        node.set_descriptor(ZERO, &good(1, 13)).unwrap();
        gossip(&mut node, &[9, 13, 12]);
        assert!(outdated(&mut node).is_empty());
        // Nobody says it for another.
        let forged = [&good(1, 90)[..good(1, 90).len() - 1], &[0]].concat();
        let descriptors = vec![&forged[..]];
        hand(&mut node, &Message::Gossip { nonce: 1, kind: GossipKind::Near, descriptors });
        assert!(outdated(&mut node).is_empty());
    }

    #[test]
    fn one_exchange_replaces_only_a_part_of_the_random_contacts() {
        let mut overlay = overlay(OverlayConfig { random: 8, ..OverlayConfig::default() });
        let all: Vec<Vec<u8>> = (2..=25).map(|seed| good(seed, 0)).collect();
        for (nonce, some) in [(1, &all[..5]), (2, &all[4..8]), (3, &all[8..])] {
            let descriptors = some.iter().map(Vec::as_slice).collect();
            hand(&mut overlay, &Message::Gossip { nonce, kind: GossipKind::Random, descriptors });
        }
        let random = overlay.tables.random();
        assert_eq!(random.len(), 8);
        let earlier = |seed: u8| Identity::from_seed([seed; 32]).author();
        let kept = (2..=9).filter(|&seed| random.iter().any(|entry| entry.contact.author() == earlier(seed)));
        assert!(kept.count() >= 3);
    }

    #[test]
    fn a_query_of_another_space_is_not_answered() {
        let mut overlay = overlay(OverlayConfig::default());
        let find = |codes| {
            let subject = Subject::Fingerprint { codes };
            Message::Find { nonce: 1, limit: 5, subject, packet: b"packet" }
        };
        let other = SpaceId::new("b", 2);
        overlay.receive_frame(ZERO, &peer(), &find(&[1, 2]).encode(other));
        overlay.receive_frame(ZERO, &peer(), &Message::Ping { nonce: 1 }.encode(other));
        hand(&mut overlay, &find(&[1, 2, 3]));
        assert_eq!(overlay.stats().refused(Refusal::WrongSpace), 3);
        hand(&mut overlay, &find(&[0, 0]));
        assert!(overlay.poll_output().is_none());
        assert_eq!(overlay.stats().refused(Refusal::Malformed), 1);
    }

    #[test]
    fn answers_to_nothing_and_of_another_kind_are_refused() {
        let mut overlay = overlay(OverlayConfig::default());
        hand(&mut overlay, &Message::Pong { nonce: 3 });
        assert_eq!(overlay.stats().refused(Refusal::Unasked), 1);
        overlay.start(ZERO, &[peer()]);
        let asked = sent(&mut overlay);
        let nonce = nonce_of(&asked[0]);
        hand(&mut overlay, &Message::Pong { nonce });
        hand(&mut overlay, &Message::Pong { nonce });
        assert_eq!(overlay.stats().refused(Refusal::Mismatch), 1);
        assert_eq!(overlay.stats().refused(Refusal::Unasked), 2);
    }

    #[test]
    fn who_answers_for_another_is_taken_for_what_it_is() {
        let mut overlay = overlay(OverlayConfig::default());
        overlay.start(ZERO, &[peer()]);
        let nonce = nonce_of(&sent(&mut overlay)[0]);
        // The bootstrap says that author 9 is at an address, where author 3 answers.
        let author = Identity::from_seed([9; 32]).author();
        let hints = vec![Hint { author, address: "node-3", score: 1.0 }];
        hand(&mut overlay, &Message::Found { nonce, descriptor: &good(2, 0), hints });
        let nonce = nonce_of(&sent(&mut overlay)[0]);
        hand(&mut overlay, &Message::Found { nonce, descriptor: &good(3, 0), hints: vec![] });
        assert_eq!(overlay.stats().refused(Refusal::Mismatch), 1);
        assert!(overlay.tables.get(author).is_none());
        assert_eq!(overlay.contacts().0, 2);
    }

    #[test]
    fn floods_are_dropped_and_too_many_questions_answered_as_busy() {
        let config = OverlayConfig {
            peer_rate: Rate { per_second: 1.0, burst: 20 },
            find_rate: Rate { per_second: 1.0, burst: 5 },
            ..OverlayConfig::default()
        };
        let mut overlay = overlay(config);
        hand(&mut overlay, &Message::Link { nonce: 1, kind: LinkKind::Near, descriptor: &good(2, 7) });
        sent(&mut overlay);
        let subject = Subject::Fingerprint { codes: &[1, 2] };
        for _ in 0..30 {
            hand(&mut overlay, &Message::Find { nonce: 1, limit: 5, subject, packet: b"packet" });
        }
        let frames = sent(&mut overlay);
        let busy = |frame: &&Vec<u8>| matches!(Message::decode(&frame[1..]), Some(Message::Busy { hints, .. }) if hints.len() == 1);
        assert_eq!((frames.len(), frames.iter().filter(busy).count()), (19, 14));
        assert_eq!(overlay.stats().served, 5);
    }

    #[test]
    fn gossip_of_more_than_the_caps_keeps_the_caps() {
        let mut overlay = overlay(OverlayConfig::default());
        for round in 0..5_u8 {
            let descriptors: Vec<Vec<u8>> = (0..24).map(|at| good(2 + round * 24 + at, 0)).collect();
            for kind in [GossipKind::Near, GossipKind::Random] {
                let descriptors = descriptors.iter().map(Vec::as_slice).collect();
                hand(&mut overlay, &Message::Gossip { nonce: 1, kind, descriptors });
            }
        }
        let (near, diverse, random) = overlay.contacts();
        assert!(near == 8 && random == 8 && diverse <= 127);
        assert!(overlay.state_bytes() <= 64 * 1024);
        let newer = descriptor(1, -90, 6, "a", "net");
        overlay.set_descriptor(ZERO, &newer).unwrap();
        assert_eq!(overlay.set_descriptor(ZERO, &newer), Err(OverlayError::Descriptor(Refusal::Stale)));
        assert!(overlay.contacts().0 == 8);
    }

    proptest! {
        #[test]
        fn any_bytes_are_borne(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..80), 0..20)) {
            let mut overlay = overlay(OverlayConfig::default());
            overlay.start(ZERO, &[peer()]);
            for (at, body) in bodies.iter().enumerate() {
                let now = Duration::from_secs(at as u64);
                overlay.receive(now, &peer(), body);
                overlay.handle_timeout(now);
            }
            prop_assert_eq!(overlay.contacts(), (0, 0, 0));
        }
    }
}
