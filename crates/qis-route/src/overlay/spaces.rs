//! A node's overlays, one for each space.

use std::sync::Arc;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::Timestamp;

use super::bucket::Buckets;
use super::descriptor::{Contact, Registry};
use super::message::peek;
use super::{LookupId, LookupOptions, Output, Overlay, OverlayConfig, OverlayError, OverlayStats, Refusal};
use crate::Address;
use crate::proto::ConfigError;
use crate::proto::nonce::Nonces;

/// The most spaces a node has a situation in.
pub const MAX_SPACES: usize = 8;

/// What the tables of a space must be left at least.
const LEAST_SHARE: usize = 8 * 1024;

/// The overlays of a node: one of each space that it has a fingerprint in, at most [`MAX_SPACES`]. Drive it like an [`Overlay`].
///
/// A node joins the overlay of a space with its first [descriptor](Self::announce) there, and is no member of the others: it answers
/// nothing in them, and finds nobody.
///
/// Its overlays share [`OverlayConfig::state_bytes`] in equal parts: each new one lowers what the others may take, which prune their
/// contacts to it. There are no more than leave each other 8 KiB. They share the rate of requests of one address
/// too; all other bounds are for each of them.
#[derive(Debug)]
pub struct Overlays {
    config: OverlayConfig,
    registry: Arc<dyn Registry>,
    /// Of the seeds of the overlays.
    nonces: Nonces,
    /// In the order in which they were joined.
    overlays: Vec<Overlay>,
    peers: Buckets,
    wall: Timestamp,
    /// Where to join, once it is started.
    bootstrap: Option<Vec<Address>>,
    /// Whose output is next.
    turn: usize,
    /// What is of no overlay.
    stats: OverlayStats,
}

impl Overlays {
    /// A node that is in no overlay yet. The seed makes nonces and choices that strangers must not be able to guess; it may be the
    /// router's, whose nonces tell nothing of these.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the field that is out of its range.
    pub fn new(
        config: OverlayConfig,
        registry: Arc<dyn Registry>,
        seed: [u8; 32],
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut nonces = Nonces::apart(seed, b"overlays");
        Ok(Self {
            peers: Buckets::new(config.peer_rate, nonces.next()),
            config,
            registry,
            nonces,
            overlays: Vec::new(),
            wall: Timestamp::from_unix_seconds(0),
            bootstrap: None,
            turn: 0,
            stats: OverlayStats::default(),
        })
    }

    /// Starts: joins the networks of the nodes at these addresses, which are asked in each space, now and for those that come later.
    pub fn start(&mut self, now: Duration, bootstrap: &[Address]) {
        self.bootstrap = Some(bootstrap.to_vec());
        for overlay in &mut self.overlays {
            overlay.start(now, bootstrap);
        }
    }

    /// Tells what time it is by the wall clock: see [`Overlay::set_time`]. Once a second is often enough; within a second it does nothing.
    pub fn set_time(&mut self, wall: Timestamp) {
        if self.wall == wall {
            return;
        }
        self.wall = wall;
        self.registry.set_time(wall);
        for overlay in &mut self.overlays {
            overlay.forget_expired(wall);
        }
    }

    /// Takes a descriptor of this node's: the first of a space joins its overlay, a newer one is [what it is](Overlay::set_descriptor)
    /// from now on.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it is refused, or there are too many spaces.
    pub fn announce(&mut self, now: Duration, descriptor: &[u8]) -> Result<(), OverlayError> {
        let (space, _) =
            Contact::claimed_space(descriptor).ok_or(OverlayError::Descriptor(Refusal::Malformed))?;
        if let Some(overlay) = self.overlay_mut(space) {
            return overlay.set_descriptor(now, descriptor);
        }
        let limit = (self.config.state_bytes / LEAST_SHARE).min(MAX_SPACES);
        if self.overlays.len() >= limit {
            return Err(OverlayError::Spaces { limit });
        }
        let seed = self.seed();
        let mut overlay = Overlay::new(self.config.clone(), descriptor, Arc::clone(&self.registry), seed)?;
        overlay.forget_expired(self.wall);
        self.overlays.push(overlay);
        let share = self.config.state_bytes / self.overlays.len();
        for overlay in &mut self.overlays {
            overlay.set_state_bytes(share);
        }
        if let (Some(bootstrap), Some(overlay)) = (&self.bootstrap, self.overlays.last_mut()) {
            overlay.start(now, bootstrap);
        }
        Ok(())
    }

    fn seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        for part in seed.as_chunks_mut::<8>().0 {
            *part = self.nonces.next().to_le_bytes();
        }
        seed
    }

    /// Looks for the nodes most similar to a fingerprint, in its space: see [`Overlay::look_up`].
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it was not begun; [`OverlayError::WrongSpace`] when this node is no member of the space.
    pub fn look_up(
        &mut self,
        now: Duration,
        fingerprint: &Fingerprint,
        options: LookupOptions,
    ) -> Result<LookupId, OverlayError> {
        self.member(fingerprint.space())?.look_up(now, fingerprint, options)
    }

    /// Delivers a packet to the nodes most similar to a fingerprint, in its space: see [`Overlay::deliver`].
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it was not begun; [`OverlayError::WrongSpace`] when this node is no member of the space.
    pub fn deliver(
        &mut self,
        now: Duration,
        fingerprint: &Fingerprint,
        packet: Vec<u8>,
        options: LookupOptions,
        exactly: bool,
    ) -> Result<LookupId, OverlayError> {
        self.member(fingerprint.space())?.deliver(now, fingerprint, packet, options, exactly)
    }

    /// Draws members of a space: see [`Overlay::sample`].
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it was not begun; [`OverlayError::WrongSpace`] when this node is no member of the space.
    pub fn sample(&mut self, now: Duration, space: SpaceId, k: u8) -> Result<LookupId, OverlayError> {
        self.member(space)?.sample(now, k)
    }

    /// Takes in a frame's body, for the overlay of the space it names. What is wrong further inside of it is counted there.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it was dropped unread: it is no message, this node is no member of its space, or there is too much to do. Counted too.
    pub fn receive(&mut self, now: Duration, from: &Address, body: &[u8]) -> Result<(), Refusal> {
        let Self { overlays, peers, stats, .. } = self;
        let mut refuse = |refusal| {
            stats.refuse(refusal);
            Err(refusal)
        };
        let Some((space, is_request)) = peek(body) else { return refuse(Refusal::Malformed) };
        let Some(overlay) = overlays.iter_mut().find(|overlay| overlay.space() == space) else {
            return refuse(Refusal::WrongSpace);
        };
        if is_request && !peers.allow(now, from.as_str()) {
            return refuse(Refusal::RateLimited);
        }
        overlay.take_in(now, from, body, is_request)
    }

    /// The next thing for the driver to do, and in which space; the spaces take turns.
    pub fn poll_output(&mut self) -> Option<(SpaceId, Output)> {
        let spaces = self.overlays.len();
        for at in (0..spaces).map(|step| (self.turn + step) % spaces) {
            let overlay = self.overlays.get_mut(at)?;
            if let Some(output) = overlay.poll_output() {
                self.turn = at + 1;
                return Some((overlay.space(), output));
            }
        }
        None
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.overlays.iter().filter_map(Overlay::next_timeout).min()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        for overlay in &mut self.overlays {
            if overlay.next_timeout().is_some_and(|due| due <= now) {
                overlay.handle_timeout(now);
            }
        }
    }

    /// The overlays, in the order in which they were joined.
    pub fn iter(&self) -> impl Iterator<Item = &Overlay> {
        self.overlays.iter()
    }

    /// The overlay of a space, if this node is a member.
    #[must_use]
    pub fn get(&self, space: SpaceId) -> Option<&Overlay> {
        self.overlays.iter().find(|overlay| overlay.space() == space)
    }

    /// The counts so far, of all spaces together and of frames of no space.
    #[must_use]
    pub fn stats(&self) -> OverlayStats {
        let mut all = self.stats.clone();
        for overlay in &self.overlays {
            all.add(overlay.stats());
        }
        all
    }

    /// How many bytes of memory the overlays take while nothing is under way, and what they share.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.overlays.iter().map(Overlay::state_bytes).sum::<usize>() + self.peers.bytes()
    }

    /// Addresses of contacts, each once and at most so many: some of every space, and of every kind of contact.
    #[must_use]
    pub fn addresses(&self, most: usize) -> Vec<Address> {
        let tables = self.overlays.iter().map(|overlay| &overlay.tables);
        let lists: Vec<_> =
            tables.flat_map(|tables| [tables.near(), tables.random(), tables.diverse()]).collect();
        let deepest = lists.iter().map(|list| list.len()).max().unwrap_or(0);
        let in_turn = (0..deepest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at)));
        let mut found: Vec<Address> = Vec::new();
        for entry in in_turn {
            if found.len() >= most {
                break;
            }
            let address = entry.contact.to_address();
            if !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    fn overlay_mut(&mut self, space: SpaceId) -> Option<&mut Overlay> {
        self.overlays.iter_mut().find(|overlay| overlay.space() == space)
    }

    fn member(&mut self, space: SpaceId) -> Result<&mut Overlay, OverlayError> {
        self.overlay_mut(space).ok_or(OverlayError::WrongSpace)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Event;
    use super::super::message::{GossipKind, Message};
    use super::super::testing::{ZERO, address, descriptor, print, run, space, spaces};
    use super::*;
    use crate::overlay::Statement;
    use crate::proto::Rate;
    use qis_packet::{Identity, NetworkId, Order};

    #[test]
    fn each_space_has_an_overlay_of_its_own() {
        let mut nodes: Vec<Overlays> = (0..6).map(|seed| spaces(OverlayConfig::default(), seed)).collect();
        for (at, node) in (0..6_u8).zip(&mut nodes) {
            // All are in the first space, the even ones in the second: the odd ones answer nothing there.
            node.announce(ZERO, &descriptor(at, 1, at.cast_signed(), 0)).unwrap();
            node.start(ZERO, &[address(0)]);
            if at % 2 == 0 {
                node.announce(ZERO, &descriptor(at, 2, at.cast_signed(), 0)).unwrap();
            }
        }
        run(&mut nodes);
        let options = LookupOptions::nearest(20);
        let in_first = nodes[1].look_up(ZERO, &print(1, 0), options).unwrap();
        assert_eq!(nodes[1].look_up(ZERO, &print(2, 0), options), Err(OverlayError::WrongSpace));
        let in_second = nodes[4].look_up(ZERO, &print(2, 0), options).unwrap();
        let events = run(&mut nodes);
        let of = |space, id| {
            let found = events.iter().find_map(|(_, of, event)| match event {
                Event::Found { id: one, found } if (*of, *one) == (space, id) => Some(&found.nearest),
                _ => None,
            });
            let addresses = found.unwrap().iter().map(|(_, contact)| contact.address().to_string());
            addresses.collect::<Vec<String>>()
        };
        assert_eq!(of(space(1), in_first), ["node-0", "node-2", "node-3", "node-4", "node-5"]);
        assert_eq!(of(space(2), in_second), ["node-0", "node-2"]);
        assert!(nodes[4].get(space(2)).is_some() && nodes[1].get(space(2)).is_none());
    }

    #[test]
    fn who_is_no_member_of_a_space_says_nothing_in_it() {
        let mut node = spaces(OverlayConfig::default(), 1);
        node.announce(ZERO, &descriptor(1, 1, 0, 0)).unwrap();
        node.start(ZERO, &[]);
        let hand = |node: &mut Overlays, frame: &[u8]| node.receive(ZERO, &address(2), &frame[1..]);
        assert_eq!(hand(&mut node, &Message::Ping { nonce: 1 }.encode(space(1))), Ok(()));
        let sent = |node: &mut Overlays| {
            let outputs = std::iter::from_fn(|| node.poll_output());
            outputs.filter(|(_, output)| matches!(output, Output::Send { .. })).count()
        };
        assert_eq!(sent(&mut node), 1);
        assert_eq!(hand(&mut node, &Message::Ping { nonce: 1 }.encode(space(2))), Err(Refusal::WrongSpace));
        assert_eq!(hand(&mut node, &[5, 1, 2]), Err(Refusal::Malformed));
        assert_eq!(sent(&mut node), 0);
        assert_eq!(node.stats().refused(Refusal::WrongSpace), 1);
        assert_eq!(node.stats().refused(Refusal::Malformed), 1);
    }

    #[test]
    fn the_rate_of_an_address_is_one_for_all_spaces() {
        let rate = Rate { per_second: 1.0, burst: 6 };
        let mut node = spaces(OverlayConfig { peer_rate: rate, ..OverlayConfig::default() }, 1);
        for of in [1, 2] {
            node.announce(ZERO, &descriptor(1, of, 0, 0)).unwrap();
        }
        let ping = |of| Message::Ping { nonce: 1 }.encode(space(of));
        let mut answered = 0;
        for frame in [ping(1), ping(2)].iter().cycle().take(20) {
            answered += usize::from(node.receive(ZERO, &address(2), &frame[1..]).is_ok());
        }
        assert_eq!(answered, 6);
        let turns: Vec<SpaceId> = std::iter::from_fn(|| node.poll_output()).map(|(space, _)| space).collect();
        assert_eq!(turns, [1, 2, 1, 2, 1, 2].map(space), "fair");
    }

    #[test]
    fn frames_keep_to_the_largest_that_is_allowed() {
        for max_frame in [2048, 16_384] {
            let mut largest = 0;
            let mut nodes: Vec<Overlays> = Vec::new();
            for at in 0..30_u8 {
                let config = OverlayConfig { max_frame, ..OverlayConfig::default() };
                let mut node = spaces(config, at);
                // Of the longest address and as many dimensions as there may be.
                let codes: Vec<i8> =
                    (0..1024).map(|i| if i % 30 == usize::from(at) { 100 } else { 1 }).collect();
                let fingerprint = Fingerprint::from_codes(space(1), codes).unwrap();
                let long = format!("{at:0>255}").parse().unwrap();
                let bytes = Statement {
                    address: long,
                    fingerprint,
                    order: Order { incarnation: 1, sequence: 0 },
                    credential: vec![1; 256],
                };
                let bytes = bytes.sign(&Identity::from_seed([at; 32]), NetworkId::new("net")).unwrap();
                node.announce(ZERO, &bytes).unwrap();
                node.start(ZERO, &[format!("{:0>255}", 0).parse().unwrap()]);
                nodes.push(node);
                let mut frames = Vec::new();
                loop {
                    for (from, node) in nodes.iter_mut().enumerate() {
                        while let Some((_, output)) = node.poll_output() {
                            let Output::Send { to, frame } = output else { continue };
                            frames.push((from, to, frame));
                        }
                    }
                    let Some((from, to, frame)) = frames.pop() else { break };
                    largest = largest.max(frame.len());
                    let from = format!("{from:0>255}").parse().unwrap();
                    let to: usize = to.as_str().parse().unwrap();
                    nodes[to].receive(ZERO, &from, &frame[1..]).unwrap();
                }
            }
            assert!((max_frame / 2..=max_frame).contains(&largest), "{largest} of {max_frame}");
            assert!(nodes.iter().all(|node| node.iter().all(|overlay| overlay.contacts().0 > 0)));
        }
    }

    #[test]
    fn spaces_share_the_budget_and_are_few() {
        let config = OverlayConfig { state_bytes: 64 * 1024, ..OverlayConfig::default() };
        let mut node = spaces(config, 1);
        let fill = |node: &mut Overlays, of: u8| {
            for round in 0..8_u8 {
                for kind in [GossipKind::Near, GossipKind::Random] {
                    let all: Vec<Vec<u8>> =
                        (0..24).map(|at| descriptor(10 + round * 24 + at, of, 3, 0)).collect();
                    let descriptors = all.iter().map(Vec::as_slice).collect();
                    let frame = Message::Gossip { nonce: 1, kind, descriptors }.encode(space(of));
                    let _ = node.receive(ZERO, &address(2), &frame[1..]);
                }
            }
            while node.poll_output().is_some() {}
        };
        for of in 0..8 {
            node.announce(ZERO, &descriptor(1, of, 0, 0)).unwrap();
            fill(&mut node, of);
            assert!(node.state_bytes() <= 64 * 1024, "{} with {of}", node.state_bytes());
        }
        assert_eq!(node.announce(ZERO, &descriptor(1, 8, 0, 0)), Err(OverlayError::Spaces { limit: 8 }));
        assert_eq!(node.announce(ZERO, &descriptor(1, 3, 9, 1)), Ok(()), "a known one changes");
        assert!(node.iter().all(|overlay| overlay.contacts().0 == 8));
        let config = OverlayConfig { state_bytes: 16 * 1024, ..OverlayConfig::default() };
        let mut small = spaces(config, 1);
        let joined = (0..8).filter(|&of| small.announce(ZERO, &descriptor(1, of, 0, 0)).is_ok()).count();
        assert_eq!(joined, 2);
    }
}
