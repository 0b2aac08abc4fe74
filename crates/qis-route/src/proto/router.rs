//! The state machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use qis_fingerprint::Fingerprint;
use qis_packet::{
    AuthorId, DomainTag, FrameKind, Freshness, OutcomePacket, Payload, Reassembler, RotationStatement,
    SKEW_SECONDS, Timestamp, fragment, planted,
};

use super::inbox::{Inbox, PayloadDecoder, Standing};
use super::journal::Journal;
use super::kept::KeptPeers;
use super::limiter::Limiter;
use super::message::{Acknowledgement, Status};
use super::nonce::Nonces;
use super::outbox::Emission;
use super::own::{Author, OwnOrder};
use super::pull::Pull;
use super::sync::Sync;
use super::timer::{TimerKey, Timers};
use super::{
    ConfigError, Delivery, EmissionId, EmitError, Event, Input, LookupId, Output, PullId, RestoreError,
    RouterConfig, SendId, Stats,
};
use crate::{
    Address, Candidates, Descriptor, HostError, HostErrorKind, Moment, Operation, Peer, Row, Selection, Table,
};

/// What follows the domain in the key of the number of published records. No tag has a zero in it.
const PUBLISHED: &[u8] = b"\0published";

const PURGE_EVERY: Duration = Duration::from_secs(600);
const ANNOUNCE_EVERY: Duration = Duration::from_secs(6 * 3600);
const ANNOUNCE_AGAIN: Duration = Duration::from_secs(60);
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
const COMMIT_AGAIN_AT_MOST: Duration = Duration::from_secs(60);

/// What may only happen once the changes before it are durable.
#[derive(Debug)]
pub(super) enum Effect {
    Acknowledge {
        to: Address,
        nonce: u64,
        status: Status,
        /// Whether the receiver holds another packet instead, and whose.
        instead: Option<(DomainTag, AuthorId)>,
    },
    StartEmission(EmissionId),
    Event(Event),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Timer {
    Retry { emission: EmissionId, recipient: usize, attempt: u8 },
    Lookup(LookupId),
    RepeatLookup(EmissionId),
    AskAgain(PullId),
    PullOver(PullId),
    Parked,
    Renew(DomainTag),
    Restate,
    Announce(DomainTag),
    Commit,
    Purge,
    Sync,
}

#[derive(Debug)]
pub(super) enum Asker {
    Emission(EmissionId),
    Pull(PullId),
    Sync(DomainTag),
}

/// A packet that was handed out to be sent, and is not reported on yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) emission: EmissionId,
    pub(super) recipient: usize,
    pub(super) attempt: u8,
    /// How long to wait for the acknowledgement from the last part on, when there are several.
    pub(super) wait: Option<Duration>,
}

#[derive(Debug)]
struct Lookup {
    asker: Asker,
    selection: Selection,
    timer: TimerKey,
}

/// What is known of a fingerprint that a standing packet of this node's carries compact.
#[derive(Debug)]
struct Known {
    compact: Fingerprint,
    exact: Fingerprint,
}

#[derive(Debug)]
struct Announced {
    fingerprint: Fingerprint,
    timer: TimerKey,
}

/// The protocol of a node: emission, delivery, intake, answers, and the order of it all. See the [module](super) for how to drive it.
#[derive(Debug)]
pub struct Router<D: PayloadDecoder> {
    pub(super) config: RouterConfig,
    pub(super) author: Author,
    pub(super) decoder: D,
    pub(super) own: OwnOrder,
    pub(super) inbox: Inbox<D::Content>,
    /// Own packets that stand once they are durable.
    pub(super) unapplied: BTreeMap<EmissionId, Standing<D::Content>>,
    pub(super) emissions: BTreeMap<EmissionId, Emission>,
    /// Whose acknowledgement a nonce brings.
    pub(super) nonces_out: BTreeMap<u64, (EmissionId, usize)>,
    pub(super) pulls: BTreeMap<PullId, Pull>,
    pub(super) sync: Sync,
    /// Of domains that have one of their own.
    selections: BTreeMap<DomainTag, Selection>,
    lookups: BTreeMap<LookupId, Lookup>,
    pub(super) sends: BTreeMap<SendId, Sending>,
    announced: BTreeMap<DomainTag, Announced>,
    /// Of domains in which more is known of this node's fingerprint than travels.
    known: BTreeMap<DomainTag, Known>,
    /// Domains whose renewal has a timer.
    pub(super) renewals: BTreeSet<DomainTag>,
    pub(super) parked: BTreeMap<(Timestamp, u64), super::intake::Parked>,
    pub(super) reassembler: Reassembler<Address>,
    pub(super) peers: Limiter<Address>,
    pub(super) authors: Limiter<AuthorId>,
    pub(super) journal: Journal<Effect>,
    pub(super) timers: Timers<Timer>,
    /// Everything but sends, which no slow send may hold up. Few at a time: emissions, pulls and domains are.
    pub(super) urgent: VecDeque<Output>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) nonces: Nonces,
    counter: u64,
    commit_failures: u32,
    /// Whether the next commit waits for its timer.
    commit_waits: bool,
    pub(super) parked_timer: Option<TimerKey>,
    /// When the inbox was purged.
    purged: Moment,
    /// Domains whose own outcome is to be stated again, and whether a timer is set for that.
    pub(super) restate: BTreeSet<DomainTag>,
    pub(super) restated: Option<Duration>,
    pub(super) poisoned: bool,
    /// Whether the store has the author's secret.
    pub(super) keeps_secret: bool,
    pub(super) peers_kept: KeptPeers,
    pub(super) stats: Stats,
}

impl<D: PayloadDecoder> Router<D> {
    /// A router that remembers nothing. Give it what a store holds with [`restore`](Self::restore), then [`start`](Self::start) it.
    ///
    /// The seed makes its nonces, which strangers must not be able to guess: take it from a good source of entropy, or from a
    /// test's.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the field that is out of range.
    pub fn new(
        config: RouterConfig,
        author: Author,
        decoder: D,
        seed: [u8; 32],
        now: Moment,
    ) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            own: OwnOrder::new(now.wall),
            inbox: Inbox::new(config.authors_per_domain.get()),
            reassembler: Reassembler::new(config.reassembly),
            peers: Limiter::new(config.peer_rate, config.rates),
            authors: Limiter::new(config.author_rate, config.rates),
            config,
            author,
            decoder,
            unapplied: BTreeMap::new(),
            emissions: BTreeMap::new(),
            nonces_out: BTreeMap::new(),
            pulls: BTreeMap::new(),
            sync: Sync::default(),
            selections: BTreeMap::new(),
            lookups: BTreeMap::new(),
            sends: BTreeMap::new(),
            announced: BTreeMap::new(),
            known: BTreeMap::new(),
            renewals: BTreeSet::new(),
            parked: BTreeMap::new(),
            journal: Journal::new(),
            timers: Timers::new(),
            urgent: VecDeque::new(),
            outputs: VecDeque::new(),
            nonces: Nonces::new(seed),
            counter: 0,
            commit_failures: 0,
            commit_waits: false,
            parked_timer: None,
            purged: now,
            restate: BTreeSet::new(),
            restated: None,
            poisoned: false,
            keeps_secret: false,
            peers_kept: KeptPeers::default(),
            stats: Stats::default(),
        })
    }

    /// Takes in a row that an earlier life of this node committed; table by table, in the order of [`Table::ALL`].
    ///
    /// # Errors
    ///
    /// [`RestoreError`] when the row is not what a router of this identity and network writes; the row is left out.
    pub fn restore(&mut self, now: Moment, table: Table, row: &Row) -> Result<(), RestoreError> {
        let network = self.author.network;
        let restored = match table {
            Table::Order => OwnOrder::restored(&row.value, now.wall).map(|own| self.own = own),
            Table::Packets if planted!(WindowNotRestored) => Some(()),
            Table::Packets => {
                let decoder = &self.decoder;
                let decode = |packet: &OutcomePacket| match packet.payload() {
                    _ if !decoder.knows(&packet.domain()) => None,
                    Payload::Retraction => Some(None),
                    _ => decoder.decode(packet).ok().map(Some),
                };
                self.inbox.restore(&row.key, &row.value, network, decode)
            }
            Table::Outbox if planted!(OutboxNotRestored) => Some(()),
            Table::Outbox => OutcomePacket::decode(&row.value).ok().and_then(|packet| {
                let me = self.author.id();
                if packet.author() == me {
                    self.resume(packet);
                } else if self.inbox.root(packet.author()) == self.inbox.root(me) {
                    // Of this node's earlier key, which it does not have any more: what stands is stated again under the new one.
                    self.journal.stage(Operation::Delete { table, key: row.key.clone() }, None);
                    self.restate(now);
                } else {
                    return None;
                }
                Some(())
            }),
            Table::Rotations => self.inbox.restore_rotation(&row.value, network),
            Table::Peers => self.peers_kept.restore(row),
            // The host reads them.
            Table::Synthesis | Table::Secrets => Some(()),
        };
        if restored.is_none() {
            self.stats.rows_damaged = self.stats.rows_damaged.saturating_add(1);
        }
        restored.ok_or(RestoreError { table })
    }

    fn resume(&mut self, packet: OutcomePacket) {
        let id = EmissionId(self.count());
        let selection = self.selection(packet.domain());
        let fingerprint = packet.fingerprint().clone();
        self.emissions.insert(id, Emission::new(packet, fingerprint, selection));
    }

    /// Sets to whom outcomes of a domain are sent and whom a pull asks, from the next one on.
    ///
    /// Call it before [`restore`](Self::restore), so that it counts for what was not delivered before a restart.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when it chooses none or more than 1,000, or the node has no part in the domain; nothing has changed then.
    pub fn set_selection(&mut self, domain: DomainTag, selection: Selection) -> Result<(), ConfigError> {
        selection.validate()?;
        if !self.decoder.knows(&domain) {
            return Err(ConfigError { field: "selection", problem: "must be for a domain of this node" });
        }
        self.selections.insert(domain, selection);
        Ok(())
    }

    pub(super) fn selection(&self, domain: DomainTag) -> Selection {
        self.selections.get(&domain).copied().or(self.config.selection).unwrap_or_default()
    }

    /// Starts: goes on with what the store held, and sets the clocks.
    pub fn start(&mut self, now: Moment) {
        self.timers.set(now.elapsed.saturating_add(PURGE_EVERY), Timer::Purge);
        self.set_sync(now, true);
        let resumed: Vec<EmissionId> = self.emissions.keys().copied().collect();
        for id in resumed {
            let expired = |one: &Emission| one.packet.freshness(now.wall) == Freshness::Expired;
            if self.emissions.get(&id).is_some_and(expired)
                && let Some(emission) = self.emissions.remove(&id)
            {
                self.journal.stage(emission.delete(), None);
            }
            let exact = self.emissions.get(&id).map(|emission| self.exact(&emission.packet));
            if let (Some(exact), Some(emission)) = (exact, self.emissions.get_mut(&id)) {
                emission.fingerprint = exact;
            }
            self.start_emission(now, id);
        }
        let own: Vec<(DomainTag, Fingerprint)> =
            self.emitted(now.wall).map(|packet| (packet.domain(), self.exact(packet))).collect();
        for (domain, fingerprint) in own {
            self.announce(now, domain, fingerprint);
            self.set_renewal(now, domain);
        }
    }

    /// Keeps the state of synthesis of a domain, for after a restart.
    pub fn keep(&mut self, domain: DomainTag, state: Vec<u8>) {
        if self.poisoned {
            return;
        }
        let key = domain.as_str().as_bytes().to_vec();
        self.journal.stage_latest(Operation::Put { table: Table::Synthesis, key, value: state });
        self.pump();
    }

    /// Keeps how many records of the site's were published in a domain, for after a restart: [`published`](Self::published) reads it from the
    /// row of [`Table::Synthesis`] it is in, beside the state of synthesis.
    pub fn keep_published(&mut self, domain: DomainTag, records: u32) {
        if self.poisoned {
            return;
        }
        let key = [domain.as_str().as_bytes(), PUBLISHED].concat();
        let value = records.to_le_bytes().to_vec();
        self.journal.stage_latest(Operation::Put { table: Table::Synthesis, key, value });
        self.pump();
    }

    /// What [`keep_published`](Self::keep_published) kept, if a row is such a one.
    #[must_use]
    pub fn published(row: &Row) -> Option<(DomainTag, u32)> {
        let domain = std::str::from_utf8(row.key.strip_suffix(PUBLISHED)?).ok()?.parse().ok()?;
        Some((domain, u32::from_le_bytes(row.value.as_slice().try_into().ok()?)))
    }

    /// What the node is called by its packets.
    #[must_use]
    pub fn author(&self) -> &Author {
        &self.author
    }

    /// Who knows the domains.
    #[must_use]
    pub const fn decoder(&self) -> &D {
        &self.decoder
    }

    /// The counts so far.
    #[must_use]
    pub const fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The standing packets of a domain that are in force at `now`, this node's own among them, by author. Retractions are left out.
    pub fn standing(
        &self,
        domain: DomainTag,
        now: Timestamp,
    ) -> impl Iterator<Item = (AuthorId, &Standing<D::Content>)> {
        self.inbox.in_force(domain, now).filter(|(_, standing)| standing.content().is_some())
    }

    /// The id under which packets of this author count: that of the first key of its chain.
    #[must_use]
    pub fn root(&self, author: AuthorId) -> AuthorId {
        self.inbox.root(author)
    }

    /// This node's key follows another of its own: says so to those it sends packets to.
    ///
    /// Call it for each statement there is, the latest first, before [`restore`](Self::restore): what the store holds under the old keys is this
    /// node's too. The store has the statements, but one that is lost took them with it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when the statement does not lead to this node's key, or is of another network.
    pub fn set_rotation(&mut self, statement: RotationStatement) -> Result<(), ConfigError> {
        let refuse = |problem| ConfigError { field: "rotation", problem };
        let network = self.author.network;
        if !self.is_own(statement.new_key().author()) {
            return Err(refuse("its new key must be this node's identity, or one that this node's follows"));
        }
        if RotationStatement::verify(&statement.to_bytes(), network).is_err() {
            return Err(refuse("it must be signed for this node's network"));
        }
        let rotated = self.inbox.rotate(statement);
        for operation in rotated.map_err(|_| refuse("it must not contradict another one"))? {
            self.journal.stage(operation, None);
        }
        Ok(())
    }

    /// A fingerprint as this node's packets and queries carry it, [compacted](Fingerprint::compact) where it has to be.
    ///
    /// Compare packets with it, which carry compact ones. What is announced and looked up is the exact one.
    #[must_use]
    pub fn compact(&self, fingerprint: Fingerprint) -> Fingerprint {
        self.config.compact(fingerprint)
    }

    /// The fingerprint of this node's standing packet of a domain, a retraction too, as the packet carries it.
    #[must_use]
    pub fn carried(&self, domain: DomainTag) -> Option<&Fingerprint> {
        self.inbox.get(domain, self.author.id()).map(|standing| standing.packet().fingerprint())
    }

    /// Gives the exact fingerprint back which an earlier life of this node had, of whose packets a store holds only the compact one.
    /// Returns whether it is that, as its compact form tells; otherwise nothing has changed.
    ///
    /// From then on the node announces it and looks for others by it, where it would do so by the compact one. Call it between
    /// [`restore`](Self::restore) and [`start`](Self::start), so that it counts for what was not delivered before a restart, or later.
    pub fn recall(&mut self, now: Moment, domain: DomainTag, fingerprint: Fingerprint) -> bool {
        let Some(carried) = self.carried(domain).filter(|carried| carried.is_compact()).cloned() else {
            return false;
        };
        if fingerprint.is_compact() || self.compact(fingerprint.clone()) != carried {
            return false;
        }
        self.remember(domain, carried.clone(), &fingerprint);
        if self.announced(domain) == Some(&carried) {
            self.announce(now, domain, fingerprint);
        }
        true
    }

    /// Takes note of the exact fingerprint of a packet that stands, while it is known.
    pub(super) fn remember(&mut self, domain: DomainTag, compact: Fingerprint, exact: &Fingerprint) {
        if compact == *exact {
            self.known.remove(&domain);
        } else {
            self.known.insert(domain, Known { compact, exact: exact.clone() });
        }
    }

    /// The fingerprint of an own packet: the exact one where it is known, else what the packet carries.
    pub(super) fn exact(&self, packet: &OutcomePacket) -> Fingerprint {
        let carried = packet.fingerprint();
        let known = self.known.get(&packet.domain()).filter(|known| known.compact == *carried);
        known.map_or(carried, |known| &known.exact).clone()
    }

    /// Makes the node findable in a domain, now and again and again, by the fingerprint as it is given.
    pub fn announce(&mut self, now: Moment, domain: DomainTag, fingerprint: Fingerprint) {
        self.urgent.push_back(Output::Announce { domain, fingerprint: fingerprint.clone() });
        self.announce_later(now, domain, fingerprint, ANNOUNCE_EVERY);
    }

    /// Takes note of what the driver has announced already, so that it is announced again in time.
    pub fn set_announced(&mut self, now: Moment, domain: DomainTag, fingerprint: Fingerprint) {
        self.announce_later(now, domain, fingerprint, ANNOUNCE_EVERY);
    }

    fn announce_later(&mut self, now: Moment, domain: DomainTag, fingerprint: Fingerprint, wait: Duration) {
        let timer = self.timers.set(now.elapsed.saturating_add(wait), Timer::Announce(domain));
        if let Some(before) = self.announced.insert(domain, Announced { fingerprint, timer }) {
            self.timers.cancel(before.timer);
        }
    }

    /// What the node announces in a domain: the exact fingerprint, unless only the compact one of a packet is known.
    #[must_use]
    pub fn announced(&self, domain: DomainTag) -> Option<&Fingerprint> {
        self.announced.get(&domain).map(|announced| &announced.fingerprint)
    }

    /// The domains in which the node announces itself.
    pub(super) fn announced_domains(&self) -> impl Iterator<Item = DomainTag> {
        self.announced.keys().copied()
    }

    /// Takes in what the driver reports.
    pub fn handle(&mut self, now: Moment, input: Input) {
        match input {
            Input::Sent { id, result } => self.sent(now, id, result),
            Input::Found { id, result } => self.found(now, id, result),
            Input::Announced { domain, result } => {
                let fingerprint = self.announced(domain).cloned();
                // One that was refused is refused again: it waits for its turn, or for another fingerprint.
                if let (Err(error), Some(fingerprint)) = (result, fingerprint)
                    && error.is_retryable()
                {
                    self.announce_later(now, domain, fingerprint, ANNOUNCE_AGAIN);
                }
            }
            Input::Committed(result) => self.committed(now, result),
            Input::Timeout => {
                while let Some(timer) = self.timers.pop(now.elapsed) {
                    self.fire(now, timer);
                }
            }
        }
        self.pump();
    }

    /// The next thing for the driver to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.poll_urgent().or_else(|| self.outputs.pop_front())
    }

    /// The next thing that is no send, for a driver that has as many sends under way as it likes.
    pub fn poll_urgent(&mut self) -> Option<Output> {
        self.urgent.pop_front()
    }

    /// When [`Input::Timeout`] is due, by [`Moment::elapsed`].
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        self.timers.next()
    }

    pub(super) fn is_busy(&self) -> bool {
        let limit = self.config.outputs.get();
        self.poisoned || self.outputs.len() + self.urgent.len() >= limit || self.journal.len() >= limit
    }

    pub(super) fn after_commit(&mut self, now: Moment, effect: Effect) {
        if let Some(effect) = self.journal.after(effect) {
            self.perform(now, effect);
        }
    }

    /// Begins the next commit, if there is something to commit and none is under way.
    pub(super) fn pump(&mut self) {
        if !self.commit_waits
            && !self.poisoned
            && let Some(batch) = self.journal.begin()
        {
            self.urgent.push_back(Output::Commit(batch));
        }
    }

    pub(super) fn perform(&mut self, now: Moment, effect: Effect) {
        match effect {
            Effect::Acknowledge { to, nonce, status, instead } => {
                let standing = instead.and_then(|(domain, author)| self.inbox.get(domain, author));
                let instead = standing.map_or(&[][..], |standing| standing.packet().as_bytes());
                let frame = Acknowledgement { nonce, status, instead }.encode();
                self.send(&to, FrameKind::Acknowledgement, frame, 0);
            }
            Effect::StartEmission(id) => {
                self.stand(now, id);
                if let Some(Emission { packet, .. }) = self.emissions.get(&id) {
                    let (packet, order) = (packet.id(), packet.order());
                    self.urgent.push_back(Output::Event(Event::Stored { emission: id, packet, order }));
                }
                self.start_emission(now, id);
            }
            Effect::Event(event) => self.urgent.push_back(Output::Event(event)),
        }
    }

    fn committed(&mut self, now: Moment, result: Result<(), HostError>) {
        let Err(error) = result else {
            self.commit_failures = 0;
            for effect in self.journal.committed() {
                self.perform(now, effect);
            }
            return;
        };
        self.stats.commits_failed = self.stats.commits_failed.saturating_add(1);
        self.poisoned = !error.is_retryable() || planted!(StoreGivenUp);
        let belongs = |effect: &Effect| match effect {
            Effect::StartEmission(id) => Some(*id),
            Effect::Acknowledge { .. } | Effect::Event(_) => None,
        };
        let failed = self.journal.failed(belongs);
        let (kind, message) = (error.kind(), error.to_string());
        for id in failed {
            self.unapplied.remove(&id);
            let Some(emission) = self.emissions.remove(&id) else { continue };
            // Should the store have kept it in spite of its error, this takes it back.
            let row = self.inbox.row_as_it_stands(emission.packet.domain(), self.author.id());
            for operation in [row, emission.delete()] {
                self.journal.stage(operation, None);
            }
            let error = EmitError::Store(HostError::new(kind, message.clone()));
            self.urgent.push_back(Output::Event(Event::EmissionFailed { emission: id, error }));
        }
        for effect in self.journal.released() {
            self.perform(now, effect);
        }
        if !self.poisoned {
            let wait = COMMIT_AGAIN * 2_u32.saturating_pow(self.commit_failures.min(6));
            self.commit_failures = self.commit_failures.saturating_add(1);
            self.commit_waits = true;
            self.timers.set(now.elapsed.saturating_add(wait.min(COMMIT_AGAIN_AT_MOST)), Timer::Commit);
        }
        let event = Event::StoreFailed { poisoned: self.poisoned, error: message };
        self.urgent.push_back(Output::Event(event));
    }

    pub(super) fn look_up(
        &mut self,
        now: Moment,
        asker: Asker,
        fingerprint: Fingerprint,
        selection: Selection,
    ) -> LookupId {
        let id = LookupId(self.count());
        let allowed = self.config.lookup_timeout;
        let timer = self.timers.set(now.elapsed.saturating_add(allowed), Timer::Lookup(id));
        self.lookups.insert(id, Lookup { asker, selection, timer });
        let (similar, random) = (selection.similar_wanted(), selection.random.into());
        self.urgent.push_back(Output::Lookup { id, fingerprint, similar, random, allowed });
        id
    }

    fn found(&mut self, now: Moment, id: LookupId, result: Result<Candidates, HostError>) {
        let Some(Lookup { asker, selection, timer }) = self.lookups.remove(&id) else { return };
        self.timers.cancel(timer);
        let result = result.map(|candidates| self.choose(&selection, candidates));
        let domain = match asker {
            Asker::Emission(id) => self.emissions.get(&id).map(|emission| emission.packet.domain()),
            Asker::Pull(id) => self.pulls.get(&id).map(|pull| pull.domain),
            Asker::Sync(domain) => Some(domain),
        };
        if let (Some(domain), Ok(peers), true) = (domain, &result, self.config.sync.is_some()) {
            self.sync.learn(now, domain, peers);
        }
        match asker {
            Asker::Emission(id) => self.found_recipients(now, id, result),
            Asker::Pull(id) => self.found_sources(now, id, result),
            Asker::Sync(domain) => self.found_neighbours(now, domain, &result),
        }
    }

    fn choose(&mut self, selection: &Selection, candidates: Candidates) -> Vec<Peer> {
        let (inbox, nonces) = (&self.inbox, &mut self.nonces);
        let me = inbox.root(self.author.id());
        selection.choose(candidates, |author| inbox.root(author), me, || nonces.next())
    }

    fn fire(&mut self, now: Moment, timer: Timer) {
        match timer {
            Timer::Retry { emission, recipient, attempt } => {
                let one = self.emissions.get(&emission).and_then(|one| one.recipients.get(recipient));
                let waiting = one.is_some_and(|one| one.delivery.is_none() && one.attempts == attempt);
                if waiting && (attempt < self.config.attempts || planted!(RetriesUncapped)) {
                    self.deliver(now, emission, recipient);
                } else if waiting {
                    self.conclude(now, emission, recipient, Delivery::Unacknowledged);
                }
            }
            Timer::Lookup(id) => {
                let error = HostError::new(HostErrorKind::Timeout, "the look-up took too long");
                self.found(now, id, Err(error));
            }
            Timer::RepeatLookup(id) => self.start_emission(now, id),
            Timer::AskAgain(id) => self.ask_again(now, id),
            Timer::PullOver(id) => self.finish_pull(now, id, true),
            Timer::Sync => self.sync_due(now),
            Timer::Parked => self.admit_parked(now),
            Timer::Renew(domain) => self.renewal_due(now, domain),
            Timer::Restate => self.restate_due(now),
            Timer::Announce(domain) => {
                if let Some(fingerprint) = self.announced(domain).cloned() {
                    self.announce(now, domain, fingerprint);
                }
            }
            Timer::Commit => self.commit_waits = false,
            Timer::Purge => {
                self.purge(now);
                self.reassembler.expire(now.elapsed);
                self.stats.reassembly = self.reassembler.stats();
                self.timers.set(now.elapsed.saturating_add(PURGE_EVERY), Timer::Purge);
            }
        }
    }

    /// Forgets what has expired, unless the wall clock has jumped ahead since last time: then it may be wrong, and is given until next
    /// time to be put right.
    fn purge(&mut self, now: Moment) {
        let before = std::mem::replace(&mut self.purged, now);
        let passed = now.elapsed.saturating_sub(before.elapsed).as_secs();
        if now.wall > before.wall.saturating_add(passed.saturating_add(SKEW_SECONDS)) {
            return;
        }
        let me = self.inbox.root(self.author.id());
        let coming: BTreeSet<DomainTag> = self.unapplied.values().map(|own| own.packet().domain()).collect();
        let awaited = |domain, author| author == me && coming.contains(&domain);
        for operation in self.inbox.purge(now.wall, awaited) {
            self.journal.stage(operation, None);
        }
    }

    /// Hands out a frame, in parts if need be. Returns how many as well.
    pub(super) fn send(
        &mut self,
        to: &Address,
        kind: FrameKind,
        frame: Vec<u8>,
        packet_bytes: usize,
    ) -> (SendId, usize) {
        let id = SendId(self.count());
        // The configuration was checked with the largest frame there is.
        let frames = fragment(&frame, self.config.max_frame, self.config.parity).unwrap_or(vec![frame]);
        self.stats.count_sent(kind, &frames, packet_bytes);
        let (allowed, parts) = (self.config.retry_after, frames.len());
        self.outputs.push_back(Output::Send { id, to: to.clone(), frames, allowed });
        (id, parts)
    }

    /// Cuts a frame of an overlay for this node's transport, and counts it as sent: hand over one part after the other, each within the
    /// time that comes with them, and stop at the first that fails. `None` when it would take more parts than there may be.
    ///
    /// They are no [`Output`]: what becomes of them is of no interest here, and a packet never waits behind them.
    pub fn cut_overlay_frame(&mut self, frame: &[u8]) -> Option<(Vec<Vec<u8>>, Duration)> {
        let frames = fragment(frame, self.config.max_frame, self.config.parity).ok()?;
        self.stats.count_sent(FrameKind::Overlay, &frames, 0);
        Some((frames, self.config.retry_after))
    }

    pub(super) fn count(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }
}

impl Descriptor {
    /// The descriptor of this author and address for an [`Output::Announce`].
    #[must_use]
    pub const fn new(
        author: AuthorId,
        address: Address,
        domain: DomainTag,
        fingerprint: Fingerprint,
    ) -> Self {
        Self { author, address, domain, fingerprint }
    }
}
