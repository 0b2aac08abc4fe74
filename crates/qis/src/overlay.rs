//! Similar nodes found by the overlay, for a node without a directory: what stands between the router and the state machine.

use std::collections::BTreeMap;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{DomainTag, FragmentPlan, Order, planted};
use qis_route::overlay::{
    self, Event, LookupOptions, Output, OverlayConfig, OverlayError, OverlayStats, Overlays, Statement,
};
use qis_route::proto::{Author, Input, LookupId, Refusal, Router, RouterConfig, Verdict};
use qis_route::{Address, Candidates, HostError, HostErrorKind, Moment, Peer};

use crate::domain::Domains;
use crate::node::Core;
use crate::organisations::Organisations;

/// The most addresses to join by.
pub(crate) const MOST_BOOTSTRAP: usize = 16;

/// How long after it has begun to join a node first keeps addresses of members, and how often it does so later.
const KEEP_FIRST: Duration = Duration::from_secs(60);
const KEEP_EVERY: Duration = Duration::from_secs(3600);

/// So often in so long a time a node says again what it is because others hold something newer: once for each life that its clock was ahead in is
/// enough, unless two go on by one key.
const MOST_OUTDONE: u8 = 3;
const OUTDONE_WITHIN: Duration = Duration::from_secs(300);

/// The most nodes that one look-up or draw finds.
const MOST_FOUND: u8 = 200;

/// The largest frame of an overlay that travels in parts, in bytes: to put one together from forged parts takes up to a millisecond.
const LARGEST_IN_PARTS: usize = 4096;

/// So many times a look-up may wait for contacts that are gone, all of a round at once, before the router gives it up.
const STALLS: u32 = 4;

/// No look-up takes longer, whatever the waits of the overlay are.
const LONGEST_LOOKUP: Duration = Duration::from_secs(3600);

/// How a node stands in its overlays.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverlayReport {
    /// Each space that the node is in, in the order in which it joined them.
    pub spaces: Vec<SpaceReport>,
    /// The counts of all of them.
    pub stats: OverlayStats,
    /// Frames that the transport did not take, or that had more parts than there may be. Nothing was done about them but to wait.
    pub sends_failed: u64,
    /// Bytes of memory that the overlays take while nothing is under way.
    pub state_bytes: usize,
}

/// How a node stands in the overlay of one space.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpaceReport {
    /// The space.
    pub space: SpaceId,
    /// The domain by whose situation the node is found there; none while it has announced nothing and only looked.
    pub domain: Option<DomainTag>,
    /// Contacts that are the most similar ones.
    pub near: usize,
    /// Contacts that lead elsewhere.
    pub diverse: usize,
    /// Contacts from anywhere.
    pub random: usize,
    /// Whether it is looking for its first contacts.
    pub joining: bool,
    /// The counts.
    pub stats: OverlayStats,
}

/// What a node is known by in a space.
#[derive(Debug)]
struct Situation {
    /// Whose it is.
    domain: Option<DomainTag>,
    codes: Vec<i8>,
    order: Order,
    /// Since when it was said again because others held something newer, and how often.
    outdone: Option<(Duration, u8)>,
}

impl Situation {
    /// Whether it may be said again now because others hold something newer; counted if so.
    fn may_be_outdone(&mut self, now: Duration) -> bool {
        let lately = self.outdone.filter(|(since, _)| now < since.saturating_add(OUTDONE_WITHIN));
        let (since, count) = lately.unwrap_or((now, 0));
        self.outdone = Some((since, count.saturating_add(1)));
        count < MOST_OUTDONE
    }
}

/// A node's overlays, and what the router and the host want of them.
#[derive(Debug)]
pub(crate) struct OverlayPart {
    overlays: Overlays,
    /// Where to join, until the driver runs: what the host said, and what an earlier life kept.
    bootstrap: Option<Vec<Address>>,
    /// When the store is next told who is there, once it runs.
    keep_at: Option<Duration>,
    address: Address,
    /// Of descriptors of this life of the node.
    opening: Order,
    /// By its own clock, the incarnation of this life.
    born: u32,
    /// What admits this node, in each of its descriptors.
    credential: Vec<u8>,
    situations: BTreeMap<SpaceId, Situation>,
    /// Look-ups of the router that are under way, by the draw or look-up they wait for.
    searches: BTreeMap<(SpaceId, overlay::LookupId), Search>,
    sends_failed: u64,
}

/// A look-up of the router: some members by chance, if it wants any, and then the similar ones.
#[derive(Debug)]
pub(crate) struct Search {
    id: LookupId,
    fingerprint: Fingerprint,
    similar: usize,
    random: usize,
    /// Those who were drawn.
    members: Vec<Peer>,
}

impl Search {
    pub(crate) const fn new(id: LookupId, fingerprint: Fingerprint, similar: usize, random: usize) -> Self {
        Self { id, fingerprint, similar, random, members: Vec::new() }
    }
}

/// A frame on its way: its parts, one after the other.
pub(crate) struct OverlaySend {
    pub(crate) to: Address,
    pub(crate) frames: Vec<Vec<u8>>,
    /// How long each may take.
    pub(crate) allowed: Duration,
}

/// Fits the configurations of a node's overlays and router to each other: what is sent in parts, what is taken so, and how long a look-up may
/// take.
pub(crate) fn fit(overlay: &mut OverlayConfig, router: &mut RouterConfig) {
    let whole = router.max_frame;
    let in_parts = [LARGEST_IN_PARTS, LARGEST_IN_PARTS * 3 / 4];
    let fits = |len: &usize| FragmentPlan::new(*len, whole, router.parity).is_ok();
    let most = if whole >= LARGEST_IN_PARTS {
        whole
    } else {
        in_parts.into_iter().find(fits).unwrap_or(LARGEST_IN_PARTS / 2)
    };
    // A contact that is gone holds a look-up up until it is given up.
    let given_up =
        overlay.answer_timeout.saturating_mul(2_u32.saturating_pow(u32::from(overlay.retries) + 1) - 1);
    let stalled = given_up.saturating_mul(STALLS).min(LONGEST_LOOKUP);
    router.lookup_timeout = router.lookup_timeout.max(stalled);
    router.reassembly.frame_bytes = router.reassembly.frame_bytes.max(LARGEST_IN_PARTS);
    overlay.max_frame = overlay.max_frame.min(most);
}

impl OverlayPart {
    pub(crate) fn new(
        mut overlays: Overlays,
        bootstrap: Vec<Address>,
        address: Address,
        credential: Vec<u8>,
        now: Moment,
    ) -> Self {
        overlays.set_time(now.wall);
        let opening = Order::opening(now.wall);
        Self {
            overlays,
            bootstrap: Some(bootstrap),
            keep_at: None,
            address,
            opening,
            born: opening.incarnation,
            credential,
            situations: BTreeMap::new(),
            searches: BTreeMap::new(),
            sends_failed: 0,
        }
    }

    /// Joins, when the driver runs for the first time: before that, nobody would hand over what comes in answer.
    pub(crate) fn start(&mut self, now: Moment) {
        self.overlays.set_time(now.wall);
        if let Some(bootstrap) = self.bootstrap.take() {
            self.overlays.start(now.elapsed, &bootstrap);
            self.keep_at = Some(now.elapsed.saturating_add(KEEP_FIRST));
        }
    }

    /// Joins by these as well: addresses of members that were there in an earlier life of this node.
    pub(crate) fn join_by_kept<'a>(&mut self, kept: impl Iterator<Item = &'a Address>) {
        if let Some(bootstrap) = &mut self.bootstrap {
            for address in kept {
                if !bootstrap.contains(address) {
                    bootstrap.push(address.clone());
                }
            }
        }
    }

    /// Whether the store is to be told who is there. If so it is not before an hour has passed.
    fn takes_turn_to_keep(&mut self, now: Moment) -> bool {
        let due = self.keep_at.is_some_and(|at| at <= now.elapsed);
        if due {
            self.keep_at = Some(now.elapsed.saturating_add(KEEP_EVERY));
        }
        due
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        [self.overlays.next_timeout(), self.keep_at].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.overlays.set_time(now.wall);
        self.overlays.handle_timeout(now.elapsed);
    }

    pub(crate) const fn count_failed_send(&mut self) {
        self.sends_failed = self.sends_failed.saturating_add(1);
    }

    /// Is known by the situation of a domain from now on, in the space of its fingerprint.
    ///
    /// A node has one descriptor a space, or it would have to be several nodes: the domain that came first keeps it, and those of another situation
    /// are refused.
    fn announce(
        &mut self,
        now: Moment,
        author: &Author,
        domain: DomainTag,
        fingerprint: &Fingerprint,
    ) -> Result<(), HostError> {
        if let Some(known) = self.situations.get_mut(&fingerprint.space()) {
            let owner = *known.domain.get_or_insert(domain);
            if known.codes == fingerprint.codes() {
                return Ok(());
            }
            if owner != domain {
                let problem = format!(
                    "in the overlay of its space this node is known by its situation in {owner}, and can have no other"
                );
                return Err(HostError::new(HostErrorKind::Refused, problem));
            }
        }
        self.describe(now, author, Some(domain), fingerprint)
    }

    fn describe(
        &mut self,
        now: Moment,
        author: &Author,
        domain: Option<DomainTag>,
        fingerprint: &Fingerprint,
    ) -> Result<(), HostError> {
        let space = fingerprint.space();
        let next =
            |known: &Situation| Order { sequence: known.order.sequence.saturating_add(1), ..known.order };
        let order = self.situations.get(&space).map_or(self.opening, next);
        let statement = Statement {
            address: self.address.clone(),
            fingerprint: fingerprint.clone(),
            order,
            credential: self.credential.clone(),
        };
        self.overlays.set_time(now.wall);
        let signed = statement.sign(&author.identity, author.network);
        let descriptor = signed.map_err(|error| HostError::new(HostErrorKind::Refused, error))?;
        let announced = self.overlays.announce(now.elapsed, &descriptor);
        announced.map_err(|error| HostError::new(HostErrorKind::Refused, error))?;
        let codes = fingerprint.codes().to_vec();
        match self.situations.get_mut(&space) {
            Some(known) => (known.domain, known.codes, known.order) = (domain, codes, order),
            None => {
                self.situations.insert(space, Situation { domain, codes, order, outdone: None });
            }
        }
        Ok(())
    }

    /// Begins a look-up: returns its result, should it be over at once.
    fn begin(&mut self, now: Moment, author: &Author, search: Search) -> Option<Input> {
        let space = search.fingerprint.space();
        self.overlays.set_time(now.wall);
        // The router looks by fingerprints of this node's own. One of an earlier life may come before that life's situation is announced.
        if self.overlays.get(space).is_none()
            && let Err(error) = self.describe(now, author, None, &search.fingerprint)
        {
            return Some(Input::Found { id: search.id, result: Err(error) });
        }
        if search.random > 0 {
            // As many more as may be among the similar ones.
            let wanted = count(search.random + search.similar);
            if let Ok(draw) = self.overlays.sample(now.elapsed, space, wanted) {
                self.searches.insert((space, draw), search);
                return None;
            }
        }
        self.find_similar(now, search)
    }

    fn find_similar(&mut self, now: Moment, search: Search) -> Option<Input> {
        let Search { id, fingerprint, similar, random, members } = &search;
        let options = LookupOptions::nearest(count(similar + random.saturating_sub(members.len())));
        match self.overlays.look_up(now.elapsed, fingerprint, options) {
            Ok(lookup) => {
                self.searches.insert((fingerprint.space(), lookup), search);
                None
            }
            Err(error) => {
                let full = matches!(error, OverlayError::Full { .. });
                let kind = if full { HostErrorKind::Full } else { HostErrorKind::Refused };
                Some(Input::Found { id: *id, result: Err(HostError::new(kind, error)) })
            }
        }
    }

    /// Describes this node anew in a space where others hold a descriptor of an earlier life that is newer: until then they answer it nothing.
    fn outdo(&mut self, now: Moment, author: &Author, space: SpaceId, order: Order) {
        if planted!(OutdatedIgnored) {
            return;
        }
        // Others may hold something newer still of that life, so this one goes on after all of it. Another life may have been told the same, and gone
        // on by that incarnation too: the later one of them counts.
        let after =
            order.max(Order { incarnation: order.incarnation.saturating_add(1), sequence: self.born });
        self.opening = self.opening.max(after);
        let Some(situation) = self.situations.get_mut(&space) else { return };
        // What is said next comes after it, also when that is not now.
        situation.order = situation.order.max(after);
        if !situation.may_be_outdone(now.elapsed) {
            return;
        }
        let (domain, codes) = (situation.domain, situation.codes.clone());
        if let Ok(fingerprint) = Fingerprint::from_codes(space, codes) {
            // There is none only if the numbers of that incarnation are used up: then a key has to follow.
            let _ = self.describe(now, author, domain, &fingerprint);
        }
    }

    /// Takes note of what an overlay tells; returns what the router is to hear of it.
    fn take_event(&mut self, now: Moment, author: &Author, space: SpaceId, event: Event) -> Option<Input> {
        match event {
            Event::Outdated { order } => {
                self.outdo(now, author, space, order);
                None
            }
            Event::Sampled { id, members, .. } => {
                let mut search = self.searches.remove(&(space, id))?;
                search.members = members.iter().filter_map(|contact| contact.to_peer(space)).collect();
                self.find_similar(now, search)
            }
            Event::Found { id, found } => {
                let Search { id, members: random, .. } = self.searches.remove(&(space, id))?;
                let similar: Vec<Peer> =
                    found.nearest.iter().filter_map(|(_, contact)| contact.to_peer(space)).collect();
                let cut_off = self.overlays.get(space).is_some_and(overlay::Overlay::is_cut_off);
                let result = if cut_off && similar.is_empty() && random.is_empty() {
                    let problem = "no member of the network has answered at the addresses to join by";
                    Err(HostError::new(HostErrorKind::Unavailable, problem))
                } else {
                    Ok(Candidates { similar, random })
                };
                Some(Input::Found { id, result })
            }
            _ => None,
        }
    }

    fn receive(&mut self, now: Moment, from: &Address, body: &[u8]) -> Verdict {
        self.overlays.set_time(now.wall);
        match self.overlays.receive(now.elapsed, from, body) {
            Ok(()) => Verdict::Handled,
            Err(overlay::Refusal::WrongSpace) => Verdict::Refused(Refusal::UnknownSpace),
            Err(overlay::Refusal::RateLimited) => Verdict::Refused(Refusal::PeerRate),
            Err(overlay::Refusal::Busy) => Verdict::Refused(Refusal::Busy),
            Err(_) => Verdict::Refused(Refusal::Malformed),
        }
    }

    /// The next frame to send. What happened meanwhile is told to the router first, and remembered of organisations.
    fn next_send(
        &mut self,
        now: Moment,
        router: &mut Router<Domains>,
        organisations: &mut Organisations,
    ) -> Option<OverlaySend> {
        loop {
            let (space, output) = self.overlays.poll_output()?;
            match output {
                Output::Send { to, frame } => match router.cut_overlay_frame(&frame) {
                    Some((frames, allowed)) => return Some(OverlaySend { to, frames, allowed }),
                    None => self.count_failed_send(),
                },
                Output::Event(Event::Packet { packet, .. }) => {
                    // The verdict is counted, and nobody waits for it.
                    let _ = router.receive_packet(now, &packet);
                }
                Output::Event(event) => {
                    if let Some(input) = self.take_event(now, router.author(), space, event) {
                        organisations.learn(&input);
                        router.handle(now, input);
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn report(&self) -> OverlayReport {
        let spaces = self.overlays.iter().map(|overlay| {
            let (near, diverse, random) = overlay.contacts();
            let space = overlay.space();
            SpaceReport {
                space,
                domain: self.situations.get(&space).and_then(|situation| situation.domain),
                near,
                diverse,
                random,
                joining: overlay.is_joining(),
                stats: overlay.stats().clone(),
            }
        });
        OverlayReport {
            spaces: spaces.collect(),
            stats: self.overlays.stats(),
            sends_failed: self.sends_failed,
            state_bytes: self.overlays.state_bytes(),
        }
    }
}

/// As many as an overlay finds at a time.
fn count(wanted: usize) -> u8 {
    u8::try_from(wanted).unwrap_or(MOST_FOUND).clamp(1, MOST_FOUND)
}

impl Core {
    /// Takes in a frame, for the router or the overlays.
    pub(crate) fn receive(&mut self, now: Moment, from: &Address, frame: &[u8]) -> Verdict {
        match &mut self.overlay {
            Some(overlay) => {
                self.router.receive_beside(now, from, frame, |body| overlay.receive(now, from, body))
            }
            None => self.router.receive(now, from, frame),
        }
    }

    pub(crate) fn announce_in_overlay(
        &mut self,
        now: Moment,
        domain: DomainTag,
        fingerprint: &Fingerprint,
    ) -> Result<(), HostError> {
        match &mut self.overlay {
            Some(overlay) => overlay.announce(now, self.router.author(), domain, fingerprint),
            None => Ok(()),
        }
    }

    /// Begins a look-up; the router hears of its end.
    pub(crate) fn look_up_in_overlay(&mut self, now: Moment, search: Search) {
        let Some(overlay) = &mut self.overlay else { return };
        if let Some(input) = overlay.begin(now, self.router.author(), search) {
            self.router.handle(now, input);
        }
    }

    pub(crate) fn next_overlay_send(&mut self, now: Moment) -> Option<OverlaySend> {
        self.overlay.as_mut()?.next_send(now, &mut self.router, &mut self.organisations)
    }

    /// When the router or the overlays want to be called again.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let overlay = self.overlay.as_ref().and_then(OverlayPart::next_timeout);
        [self.router.next_timeout(), overlay].into_iter().flatten().min()
    }

    pub(crate) fn handle_timeout(&mut self, now: Moment) {
        self.router.handle(now, Input::Timeout);
        let Some(overlay) = &mut self.overlay else { return };
        overlay.handle_timeout(now);
        if overlay.takes_turn_to_keep(now) {
            self.keep_peers();
        }
    }

    /// Tells the store who is there, for after a restart. A node that has lost everybody keeps those it knew.
    pub(crate) fn keep_peers(&mut self) {
        if let Some(overlay) = &self.overlay {
            self.router.keep_peers(&overlay.overlays.addresses(MOST_BOOTSTRAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use qis_packet::{Epoch, Identity, NetworkId, SiteSecret, Timestamp};
    use qis_route::overlay::{Open, Verifier};
    use std::sync::Arc;

    fn at(seconds: u64) -> Moment {
        Moment { elapsed: Duration::from_secs(seconds), wall: Timestamp::from_unix_seconds(1_795_000_000) }
    }

    /// A node that has announced one situation.
    fn part(now: Moment) -> (OverlayPart, Author, SpaceId) {
        let network = NetworkId::new("test");
        let identity = Identity::from_seed([1; 32]);
        let secret = SiteSecret::derived(&identity, Epoch::of(now.wall)).unwrap();
        let author = Author { identity, secret, node: String::new(), network };
        let registry = Arc::new(Verifier { network, admission: Arc::new(Open) });
        let overlays = Overlays::new(OverlayConfig::default(), registry, [7; 32]).unwrap();
        let address = "clinic".parse().unwrap();
        let mut part = OverlayPart::new(overlays, Vec::new(), address, Vec::new(), now);
        let space = SpaceId::new("test", 2);
        let fingerprint = Fingerprint::from_vector(space, &[1.0, 2.0]).unwrap();
        part.announce(now, &author, "cardiology/heart".parse().unwrap(), &fingerprint).unwrap();
        (part, author, space)
    }

    /// What a node says after it was told of something newer: after all that its other life may have said, and not as often as it is told.
    #[test]
    fn what_outdoes_others_comes_after_the_whole_of_another_life() {
        let (mut part, author, space) = part(at(0));
        let said = |part: &OverlayPart| part.overlays.get(space).unwrap().me().order();
        let opening = Order::opening(at(0).wall);
        assert_eq!(said(&part), opening);

        // A life whose clock was ahead, and another farther ahead, each of which changed its situation some times.
        let mut told = Order { incarnation: opening.incarnation + 86_400, sequence: 2 };
        for _ in 0..2 {
            part.outdo(at(1), &author, space, told);
            assert!(said(&part) > Order { sequence: u32::MAX, ..told }, "{:?}", said(&part));
            told.incarnation += 86_400;
        }
        // Another node with the same key answers each word with a newer one.
        let mut outdone = 0;
        for second in 2..3601 {
            let before = said(&part);
            part.outdo(
                at(second),
                &author,
                space,
                Order { incarnation: before.incarnation + 1, sequence: 1 },
            );
            outdone += u32::from(said(&part) != before);
        }
        assert_eq!(outdone, 1 + 11 * 3, "three times in five minutes, of which two were used up");
        // A word that came too soon is remembered: what is said after it is newer.
        let before = said(&part);
        let too_soon = Order { incarnation: before.incarnation + 9, sequence: 1 };
        part.outdo(at(3600), &author, space, too_soon);
        assert_eq!(said(&part), before);
        part.outdo(at(8000), &author, space, Order { incarnation: before.incarnation + 1, sequence: 1 });
        assert!(said(&part) > too_soon, "{:?}", said(&part));
        let greatest = Order { incarnation: u32::MAX, sequence: 7 };
        part.outdo(at(9000), &author, space, greatest);
        assert!(said(&part) > greatest, "{:?}", said(&part));
    }

    /// Two lives that are told of the same one say different things, so that the later of them is heard.
    #[test]
    fn of_two_lives_that_were_told_the_same_the_later_one_counts() {
        let told = Order { incarnation: Order::opening(at(0).wall).incarnation + 86_400, sequence: 3 };
        let said = [0, 60].map(|later| {
            let wall = at(0).wall.saturating_add(later);
            let (mut part, author, space) = part(Moment { wall, ..at(0) });
            part.outdo(at(1), &author, space, told);
            part.overlays.get(space).unwrap().me().order()
        });
        assert!(told < said[0] && said[0] < said[1], "{said:?}");
    }
}
