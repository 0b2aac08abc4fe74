//! Joining, and keeping the contacts good.

use std::borrow::Cow;
use std::time::Duration;

use qis_packet::{AuthorId, Order, planted};

use super::answers::borrow;
use super::descriptor::Contact;
use super::lookup::{Lookup, Phase, Purpose};
use super::message::{GossipKind, LinkKind, MAX_SKETCHES, Message};
use super::metric::Direction;
use super::requests::Task;
use super::tables::{Candidate, thin};
use super::{Event, LookupId, Overlay};
use crate::Address;

/// After so many exchanges a new network has something to find: the node looks for itself once.
const FIRST_GOSSIPS: u32 = 2;

/// At least so many contacts must be lost, or so many new near ones be heard of, for a look-up out of turn.
const MANY: u32 = 4;

/// Requests of a look-up for oneself at most: where the search took many, fewer contacts are asked to keep this node, those that only
/// fill gaps the first to go.
const MOST_REQUESTS: usize = 148;

/// Questions for fingerprints at most.
const MOST_GETS: usize = 12;

/// What is due, and what has happened since the node looked for itself.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    gossip_at: Option<Duration>,
    lookup_at: Option<Duration>,
    /// When it last began to look for itself.
    looked_at: Option<Duration>,
    /// By which of its descriptors.
    looked_as: Option<Order>,
    gossips: u32,
    /// Contacts that were lost.
    pub(super) lost: u32,
    /// Near contacts that others told of.
    pub(super) news: u32,
    /// Where it joins; again, should it lose everybody.
    bootstrap: Vec<Address>,
    /// Whether the look-up for itself that is under way begins from nobody but the bootstrap.
    joining: bool,
}

impl Upkeep {
    pub(super) fn next(&self) -> Option<Duration> {
        [self.gossip_at, self.lookup_at].into_iter().flatten().min()
    }
}

impl Overlay {
    /// Starts: joins the network of the nodes at these addresses, any live members, three of them or so. With none it waits to be found.
    pub fn start(&mut self, now: Duration, bootstrap: &[Address]) {
        self.upkeep.bootstrap = bootstrap.to_vec();
        self.set_gossip(now);
        self.set_lookup(now);
        self.look_for_myself(now, bootstrap);
    }

    /// Looks for itself, as it does by its timers: finds better contacts, and becomes known to them. It joins again if it has lost everybody.
    pub fn refresh(&mut self, now: Duration) {
        self.join_if_alone(now);
        self.look_for_myself(now, &[]);
    }

    /// Whether it is looking for its first contacts. Look-ups and draws wait for that: they have nowhere to begin.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.upkeep.joining
    }

    /// Whether it knows nobody although it was told where to join: nobody there has answered.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        let mut others = self.upkeep.bootstrap.iter().filter(|address| address.as_str() != self.me.address());
        self.tables.len() == 0 && others.next().is_some()
    }

    pub(super) fn join_if_alone(&mut self, now: Duration) {
        if self.is_cut_off() && !planted!(NotJoinedAgain) {
            let bootstrap = self.upkeep.bootstrap.clone();
            self.look_for_myself(now, &bootstrap);
        }
    }

    fn set_gossip(&mut self, now: Duration) {
        let wait = self.spread(self.config.gossip_every);
        self.upkeep.gossip_at = Some(now.saturating_add(wait));
    }

    fn set_lookup(&mut self, now: Duration) {
        let wait = self.spread(self.config.lookup_every);
        self.upkeep.lookup_at = Some(now.saturating_add(wait));
    }

    /// A quarter more or less, so that nodes which started at once do not stay in step.
    fn spread(&mut self, wait: Duration) -> Duration {
        let part = u32::try_from(self.random_below(512)).unwrap_or_default();
        wait * 3 / 4 + wait * part / 1024
    }

    pub(super) fn keep_up(&mut self, now: Duration) {
        let due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if due(self.upkeep.gossip_at) {
            self.set_gossip(now);
            self.gossip(now);
        }
        let contacts = u32::try_from(self.tables.len()).unwrap_or(u32::MAX);
        let lost = self.upkeep.lost >= MANY.max(contacts / 10);
        let news = self.upkeep.news >= MANY.max(u32::from(self.config.near) / 2);
        let turn = due(self.upkeep.lookup_at);
        if turn {
            // Also where one is under way already, or the time would stay due.
            self.set_lookup(now);
        }
        // What comes while it still learns from the last one is no reason for another.
        let rested =
            self.upkeep.looked_at.is_none_or(|at| now >= at.saturating_add(self.config.gossip_every));
        if turn || (rested && (lost || news)) {
            // Parts of a network that have lost sight of each other meet again where they once joined.
            let place = if turn { self.random_below(self.upkeep.bootstrap.len()) } else { usize::MAX };
            let again = self.upkeep.bootstrap.get(place).cloned();
            self.look_for_myself(now, again.as_slice());
        }
    }

    fn gossip(&mut self, now: Duration) {
        if self.tables.len() == 0 {
            return self.join_if_alone(now);
        }
        let near = !self.tables.near().is_empty() && self.random_below(8) > 0;
        let kind_of_table = if near { self.tables.near() } else { self.tables.random() };
        let partner = (kind_of_table.len(), near);
        let at = self.random_below(partner.0);
        let table = if near { self.tables.near() } else { self.tables.random() };
        if let Some(partner) = table.get(at).map(|entry| entry.contact.clone()) {
            self.gossip_with(now, &partner, GossipKind::Near);
        }
        self.renew_random(now);
        self.upkeep.gossips += 1;
        if self.upkeep.gossips == FIRST_GOSSIPS {
            self.upkeep.lookup_at = Some(now);
        }
        if self.upkeep.gossips.is_multiple_of(4) {
            self.ping_one(now);
        }
    }

    /// Exchanges random contacts with one of them.
    pub(super) fn renew_random(&mut self, now: Duration) {
        let len = self.tables.random().len();
        let at = self.random_below(len);
        let random = self.tables.random().get(at).or_else(|| self.tables.near().first());
        if let Some(partner) = random.map(|entry| entry.contact.clone()) {
            self.gossip_with(now, &partner, GossipKind::Random);
        }
    }

    /// Asks one of the contacts that are never gossiped with whether it is there.
    fn ping_one(&mut self, now: Duration) {
        let at = self.random_below(self.tables.diverse().len());
        if let Some(contact) = self.tables.diverse().get(at).map(|entry| entry.contact.clone()) {
            let task = Task::Ping { asked: contact.author() };
            self.request(now, contact.to_address(), task, |nonce| Message::Ping { nonce });
        }
    }

    fn gossip_with(&mut self, now: Duration, partner: &Contact, kind: GossipKind) {
        let task = Task::Gossip { kind, asked: partner.author() };
        self.exchange_with(now, partner, kind, task);
    }

    /// Offers contacts to one of them and asks for its own; `false` when too many requests are under way.
    pub(super) fn exchange_with(
        &mut self,
        now: Duration,
        partner: &Contact,
        kind: GossipKind,
        task: Task,
    ) -> bool {
        let own = match kind {
            GossipKind::Near => {
                let codes = partner.codes();
                self.gossip_for(partner.direction_of(&codes), partner.author())
            }
            GossipKind::Random => self.random_gossip(partner.author()),
        };
        let gossip = |nonce| Message::Gossip { nonce, kind, descriptors: borrow(&own) };
        self.request(now, partner.to_address(), task, gossip)
    }

    /// Begins to look for itself, unless it does so already; from its contacts, and from members at these addresses.
    pub(super) fn look_for_myself(&mut self, now: Duration, bootstrap: &[Address]) {
        if self.lookups.iter().any(Lookup::is_own) {
            return;
        }
        self.upkeep.lost = 0;
        self.upkeep.news = 0;
        self.upkeep.looked_at = Some(now);
        self.upkeep.looked_as = Some(self.me.order());
        if self.upkeep.lookup_at.is_some() {
            self.set_lookup(now);
        }
        let id = LookupId(self.count());
        let me = self.me.clone();
        let options = self.config.own_lookup;
        let Some(own) = me.direction() else { return };
        let mut lookup = Lookup::new(id, Purpose::Own, options, own);
        lookup.leave_out(me.author());
        for entry in self.tables.iter() {
            lookup.start_from(&entry.contact);
        }
        self.lookups.push(lookup);
        let alone = self.tables.len() == 0;
        for address in bootstrap.iter().filter(|address| address.as_str() != me.address()) {
            let asked = self.find(now, id, None, address.clone());
            self.upkeep.joining |= asked && alone;
        }
        self.advance(now, id);
    }

    /// Asks for the fingerprints of those that may become contacts: of those who told of them, as few as possible.
    pub(super) fn get_sketches(&mut self, now: Duration, id: LookupId) {
        let room = self.list_bytes();
        let Some(lookup) = self.lookup_mut(id) else { return };
        let thinned = thin(lookup.known().collect());
        let mut needed: Vec<(AuthorId, &[u16])> = thinned
            .into_iter()
            .filter(|entry| entry.contact.is_none())
            .map(|entry| (entry.author, entry.tellers.as_slice()))
            .collect();
        let mut questions: Vec<(u16, Vec<AuthorId>)> = Vec::new();
        let most = MAX_SKETCHES.min(room / (lookup.codes.len() + 20));
        while questions.len() < MOST_GETS {
            let mut told = vec![0_usize; lookup.path.len()];
            for &teller in needed.iter().flat_map(|(_, tellers)| *tellers) {
                if let Some(count) = told.get_mut(usize::from(teller)) {
                    *count += 1;
                }
            }
            // The first of those who told of most.
            let best = told.iter().enumerate().max_by_key(|&(at, &count)| (count, usize::MAX - at));
            let Some((teller, _)) = best.filter(|(_, count)| **count > 0) else { break };
            let teller = u16::try_from(teller).unwrap_or_default();
            let mut ids = Vec::new();
            needed.retain(|(author, tellers)| {
                let asked = ids.len() < most && tellers.contains(&teller);
                if asked {
                    ids.push(*author);
                }
                !asked
            });
            questions.push((teller, ids));
        }
        let contact =
            |(teller, ids): (u16, Vec<AuthorId>)| Some((lookup.path.get(usize::from(teller))?.clone(), ids));
        let questions: Vec<(Contact, Vec<AuthorId>)> = questions.into_iter().filter_map(contact).collect();
        for (contact, ids) in questions {
            let task = Task::Get { lookup: id, asked: contact.author() };
            let get = |nonce| Message::Get { nonce, ids };
            self.wait_for(now, id, &contact.to_address(), task, get);
        }
    }

    fn wait_for<'m>(
        &mut self,
        now: Duration,
        id: LookupId,
        to: &Address,
        task: Task,
        message: impl FnOnce(u64) -> Message<'m>,
    ) {
        if self.request(now, to.clone(), task, message)
            && let Some(lookup) = self.lookup_mut(id)
        {
            lookup.waiting += 1;
            lookup.requests += 1;
        }
    }

    /// Chooses contacts among all that is known, and asks them to keep this node as well.
    pub(super) fn choose_links(&mut self, now: Duration, id: LookupId) {
        let me = self.me.clone();
        let Some(lookup) = self.lookups.iter_mut().find(|lookup| lookup.id == id) else { return };
        lookup.phase = Phase::Linking;
        let Some(own) = me.direction() else { return };
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        let entries = thin(lookup.known().collect());
        let known: Vec<Option<Cow<'_, [u8]>>> =
            entries.iter().map(|entry| entry.contact.as_ref().map(|contact| contact.codes())).collect();
        for (entry, codes) in entries.iter().zip(&known) {
            let sketch = || lookup.sketches.iter().find(|(author, ..)| *author == entry.author);
            let direction = match &entry.contact {
                Some(contact) => codes.as_ref().map(|codes| contact.direction_of(codes)),
                None => sketch().map(|(_, codes, scale)| Direction { codes, scale: *scale }),
            };
            let Some(direction) = direction else { continue };
            let (author, score) = (entry.author, own.cosine(direction));
            candidates.push(Candidate { author, score, direction, settled: false });
        }
        for entry in self.tables.random() {
            let Some(direction) = entry.contact.direction() else { continue };
            let (author, score) = (entry.contact.author(), entry.score);
            candidates.push(Candidate { author, score, direction, settled: false });
        }
        let chosen = self.tables.choose_diverse(candidates);
        // Those that were asked have been offered this node as a near one already.
        let near = self.tables.near().iter().map(|entry| &entry.contact);
        let near = near.filter(|contact| !lookup.path.iter().any(|asked| asked.author() == contact.author()));
        let mut links: Vec<(LinkKind, AuthorId, Address)> =
            near.map(|contact| (LinkKind::Near, contact.author(), contact.to_address())).collect();
        for author in chosen {
            if self.tables.links(author) {
                continue;
            }
            let address = lookup
                .known()
                .find(|entry| entry.author == author)
                .map(|entry| entry.address.clone())
                .or_else(|| self.tables.get(author).map(Contact::to_address));
            links.extend(address.map(|address| (LinkKind::Diverse, author, address)));
        }
        links.truncate(MOST_REQUESTS.saturating_sub(lookup.requests as usize));
        for (kind, asked, to) in links {
            let link = |nonce| Message::Link { nonce, kind, descriptor: me.proof().unwrap_or_default() };
            self.wait_for(now, id, &to, Task::Link { lookup: id, kind, asked }, link);
        }
        if self.tables.random().len() < usize::from(self.config.random) {
            self.renew_random(now);
        }
    }

    /// The node has looked for itself.
    pub(super) fn settled(&mut self, now: Duration) {
        let contacts = self.tables.len();
        self.tell(Event::Settled { contacts });
        self.upkeep.joining = false;
        self.begin_lookups(now);
        self.begin_samplings(now);
        if self.upkeep.looked_as != Some(self.me.order()) {
            // It has described itself anew meanwhile.
            self.refresh(now);
        }
    }
}
