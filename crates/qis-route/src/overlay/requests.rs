//! What this node asks of others.

use std::time::Duration;

use qis_packet::AuthorId;

use super::descriptor::Contact;
use super::lookup::{Lookup, Phase, Purpose};
use super::message::{GossipKind, Hint, LinkKind, Message, Sketch, Subject};
use super::metric;
use super::{Event, Found, LookupId, Overlay, Refusal};
use crate::Address;

/// A request that is not answered yet.
#[derive(Debug)]
pub(super) struct Request {
    nonce: u64,
    to: Address,
    task: Task,
    /// How often it may be repeated.
    left: u8,
    wait: Duration,
    pub(super) deadline: Duration,
    frame: Vec<u8>,
}

/// What an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Of a look-up; who is asked, where that is known.
    Find {
        lookup: LookupId,
        asked: Option<AuthorId>,
    },
    Get {
        lookup: LookupId,
        asked: AuthorId,
    },
    Link {
        lookup: LookupId,
        kind: LinkKind,
        asked: AuthorId,
    },
    Commit {
        lookup: LookupId,
        asked: AuthorId,
    },
    Gossip {
        kind: GossipKind,
        asked: AuthorId,
    },
    Ping {
        asked: AuthorId,
    },
    Sample {
        sampling: LookupId,
        asked: AuthorId,
    },
}

impl Task {
    const fn lookup(&self) -> Option<LookupId> {
        match self {
            Self::Find { lookup, .. }
            | Self::Get { lookup, .. }
            | Self::Link { lookup, .. }
            | Self::Commit { lookup, .. } => Some(*lookup),
            Self::Gossip { .. } | Self::Ping { .. } | Self::Sample { .. } => None,
        }
    }

    const fn asked(&self) -> Option<AuthorId> {
        match self {
            Self::Find { asked, .. } => *asked,
            Self::Get { asked, .. }
            | Self::Link { asked, .. }
            | Self::Commit { asked, .. }
            | Self::Gossip { asked, .. }
            | Self::Ping { asked }
            | Self::Sample { asked, .. } => Some(*asked),
        }
    }
}

impl Overlay {
    /// Sends a request; `false` when too many are under way.
    pub(super) fn request<'m>(
        &mut self,
        now: Duration,
        to: Address,
        task: Task,
        message: impl FnOnce(u64) -> Message<'m>,
    ) -> bool {
        if self.requests.len() >= self.config.requests {
            self.stats.refuse(Refusal::Busy);
            return false;
        }
        let nonce = self.nonces.next();
        let frame = message(nonce).encode(self.space);
        self.stats.requests += 1;
        self.stats.request_bytes += frame.len() as u64;
        self.send(&to, frame.clone());
        let wait = self.config.answer_timeout;
        let deadline = now.saturating_add(wait);
        self.requests.push(Request { nonce, to, task, left: self.config.retries, wait, deadline, frame });
        true
    }

    pub(super) fn repeat_requests(&mut self, now: Duration) {
        let mut given_up = Vec::new();
        let mut again = Vec::new();
        self.requests.retain_mut(|request| {
            if request.deadline > now {
                return true;
            }
            if request.left == 0 {
                given_up.push(request.task);
                return false;
            }
            request.left -= 1;
            request.wait = request.wait.saturating_mul(2);
            request.deadline = now.saturating_add(request.wait);
            again.push((request.to.clone(), request.frame.clone()));
            true
        });
        for (to, frame) in again {
            self.stats.repeated += 1;
            self.stats.request_bytes += frame.len() as u64;
            self.send(&to, frame);
        }
        for task in given_up {
            self.give_up(now, task);
        }
    }

    fn give_up(&mut self, now: Duration, task: Task) {
        if let Some(author) = task.asked() {
            self.bury(now, author);
        }
        self.go_without(now, task);
    }

    /// Goes on without an answer, of one who may be there.
    fn go_without(&mut self, now: Duration, task: Task) {
        if let Task::Find { lookup, asked: Some(author) } = task
            && let Some(lookup) = self.lookup_mut(lookup)
        {
            lookup.failed(author);
        }
        self.settle(now, task);
    }

    /// One request less to wait for.
    fn settle(&mut self, now: Duration, task: Task) {
        if self.requests.is_empty() {
            self.requests = Vec::new();
        }
        if let Task::Sample { sampling, .. } = task {
            return self.settle_sampling(sampling);
        }
        let Some(id) = task.lookup() else { return };
        if let Some(lookup) = self.lookup_mut(id) {
            lookup.waiting = lookup.waiting.saturating_sub(1);
            if lookup.waiting == 0 {
                self.advance(now, id);
            }
        }
    }

    pub(super) fn lookup_mut(&mut self, id: LookupId) -> Option<&mut Lookup> {
        self.lookups.iter_mut().find(|lookup| lookup.id == id)
    }

    pub(super) fn take_answer(&mut self, now: Duration, message: &Message<'_>) {
        let (Message::Found { nonce, .. }
        | Message::Busy { nonce, .. }
        | Message::Linked { nonce, .. }
        | Message::Sketches { nonce, .. }
        | Message::Gossiped { nonce, .. }
        | Message::Pong { nonce }
        | Message::Committed { nonce }
        | Message::Outdated { nonce, .. }) = *message
        else {
            return;
        };
        let Some(at) = self.requests.iter().position(|request| request.nonce == nonce) else {
            return self.stats.refuse(Refusal::Unasked);
        };
        if let (Some(Request { task: Task::Find { lookup, .. }, .. }), Message::Busy { hints, .. }) =
            (self.requests.get(at), message)
        {
            // The request stays, and is repeated later; meanwhile there are others to ask.
            let lookup = *lookup;
            return self.take_hints(now, lookup, hints, None);
        }
        let task = self.requests.swap_remove(at).task;
        match (task, message) {
            (Task::Find { lookup, asked }, Message::Found { descriptor, hints, .. }) => {
                self.take_found(now, lookup, asked, descriptor, hints);
            }
            (Task::Get { lookup, .. }, Message::Sketches { sketches, .. }) => {
                self.take_sketches(lookup, sketches);
            }
            (Task::Link { kind, asked, .. }, Message::Linked { descriptor, .. }) => {
                self.take_linked(kind, asked, descriptor);
            }
            (Task::Gossip { kind, .. }, Message::Gossiped { kind: answered, descriptors, .. })
                if kind == *answered =>
            {
                self.take_gossip(kind, descriptors);
            }
            (
                Task::Sample { sampling, asked },
                Message::Gossiped { kind: GossipKind::Random, descriptors, .. },
            ) => self.take_members(sampling, asked, descriptors),
            (Task::Ping { .. }, Message::Pong { .. }) => {}
            (Task::Commit { lookup, asked }, Message::Committed { .. }) => {
                if let Some(lookup) = self.lookup_mut(lookup) {
                    lookup.committed.push(asked);
                }
            }
            (_, Message::Outdated { descriptor, .. }) => {
                // Whoever hears of it describes this node anew, and with that it looks for itself again.
                let _ = self.learn(descriptor);
                return self.go_without(now, task);
            }
            _ => {
                self.stats.refuse(Refusal::Mismatch);
                return self.give_up(now, task);
            }
        }
        self.settle(now, task);
    }

    fn take_found(
        &mut self,
        now: Duration,
        id: LookupId,
        asked: Option<AuthorId>,
        descriptor: &[u8],
        hints: &[Hint<'_>],
    ) {
        let learnt = self.learn(descriptor);
        let fail = |overlay: &mut Self| {
            if let (Some(lookup), Some(asked)) = (overlay.lookup_mut(id), asked) {
                lookup.failed(asked);
            }
        };
        let Ok(new) = learnt else { return fail(self) };
        let author = new.contact.author();
        if asked.is_some_and(|asked| asked != author) {
            self.stats.refuse(Refusal::Mismatch);
        }
        self.revive(author);
        let Some(lookup) = self.lookup_mut(id) else { return };
        let place = lookup.answered(asked, &new.contact);
        if lookup.is_own() {
            self.offer_near(&new);
            if asked.is_none() {
                self.add_random(new);
            }
        }
        self.take_hints(now, id, hints, place);
    }

    fn take_hints(&mut self, now: Duration, id: LookupId, hints: &[Hint<'_>], teller: Option<u16>) {
        let dead: Vec<AuthorId> =
            self.dead.iter().map(|(dead, _)| *dead).filter(|&dead| self.is_dead(now, dead)).collect();
        let Some(lookup) = self.lookup_mut(id) else { return };
        let mut malformed = 0;
        for hint in hints.iter().take(usize::from(lookup.options.limit)) {
            if !dead.contains(&hint.author) && !lookup.hint(hint.author, hint.address, hint.score, teller) {
                malformed += 1;
            }
        }
        for _ in 0..malformed {
            self.stats.refuse(Refusal::Malformed);
        }
    }

    fn take_sketches(&mut self, id: LookupId, sketches: &[Sketch<'_>]) {
        let dims = self.dims();
        let Some(lookup) = self.lookup_mut(id) else { return };
        for sketch in sketches {
            if sketch.codes.len() == dims
                && let Some(scale) = metric::scale(sketch.codes)
            {
                lookup.sketches.push((sketch.author, sketch.codes.to_vec(), scale));
            }
        }
    }

    fn take_linked(&mut self, kind: LinkKind, asked: AuthorId, descriptor: &[u8]) {
        let Ok(new) = self.learn(descriptor) else { return };
        if new.contact.author() != asked {
            return self.stats.refuse(Refusal::Mismatch);
        }
        self.revive(asked);
        match kind {
            LinkKind::Near => drop(self.offer_near(&new)),
            LinkKind::Diverse => drop(self.add_diverse(&new)),
        }
    }

    /// Takes the next step of a look-up that waits for nothing.
    pub(super) fn advance(&mut self, now: Duration, id: LookupId) {
        // Each turn asks somebody, goes on to the next phase, or ends: the phases are few, and a look-up that may not ask has nobody
        // left soon.
        while let Some(lookup) = self.lookup_mut(id).filter(|lookup| lookup.waiting == 0) {
            match lookup.phase {
                Phase::Finding => {
                    let asked = lookup.next_round();
                    if asked.is_empty() {
                        self.end_finding(now, id);
                    } else {
                        self.ask(now, id, asked);
                    }
                }
                Phase::Getting => self.choose_links(now, id),
                Phase::Linking | Phase::Committing => return self.end(now, id),
                Phase::Waiting => return,
            }
        }
    }

    fn ask(&mut self, now: Duration, id: LookupId, asked: Vec<(AuthorId, Address)>) {
        for (author, address) in asked {
            if !self.find(now, id, Some(author), address)
                && let Some(lookup) = self.lookup_mut(id)
            {
                lookup.failed(author);
            }
        }
    }

    pub(super) fn find(&mut self, now: Duration, id: LookupId, asked: Option<AuthorId>, to: Address) -> bool {
        let me = self.me.clone();
        let Some(lookup) = self.lookup_mut(id) else { return false };
        let limit = lookup.options.limit;
        let (codes, packet);
        let subject = match &lookup.purpose {
            Purpose::Own => {
                packet = Vec::new();
                Subject::Asker { descriptor: me.proof().unwrap_or_default() }
            }
            Purpose::Host { packet: carried, exactly } => {
                packet = if *exactly { Vec::new() } else { carried.clone() };
                codes = lookup.codes.clone();
                Subject::Fingerprint { codes: &codes }
            }
        };
        let task = Task::Find { lookup: id, asked };
        let find = |nonce| Message::Find { nonce, limit, subject, packet: &packet };
        let sent = self.request(now, to, task, find);
        if sent && let Some(lookup) = self.lookup_mut(id) {
            lookup.waiting += 1;
            lookup.requests += 1;
        }
        sent
    }

    fn end_finding(&mut self, now: Duration, id: LookupId) {
        let Some(lookup) = self.lookup_mut(id) else { return };
        match &lookup.purpose {
            Purpose::Own => {
                lookup.phase = Phase::Getting;
                self.get_sketches(now, id);
            }
            Purpose::Host { packet, exactly: true } => {
                lookup.phase = Phase::Committing;
                let packet = packet.clone();
                let k = usize::from(lookup.options.k);
                let nearest: Vec<(AuthorId, Address)> =
                    lookup.found().take(k).map(|entry| (entry.author, entry.address.clone())).collect();
                for (asked, to) in nearest {
                    let commit = |nonce| Message::Commit { nonce, packet: &packet };
                    if self.request(now, to, Task::Commit { lookup: id, asked }, commit)
                        && let Some(lookup) = self.lookup_mut(id)
                    {
                        lookup.waiting += 1;
                        lookup.requests += 1;
                    }
                }
            }
            Purpose::Host { .. } => lookup.phase = Phase::Committing,
        }
    }

    fn end(&mut self, now: Duration, id: LookupId) {
        let Some(at) = self.lookups.iter().position(|lookup| lookup.id == id) else { return };
        let lookup = self.lookups.swap_remove(at);
        if self.lookups.is_empty() {
            self.lookups = Vec::new();
        }
        match &lookup.purpose {
            Purpose::Own => self.settled(now),
            Purpose::Host { packet, exactly } => {
                let k = usize::from(lookup.options.k);
                let wall = self.wall;
                let known: Vec<(f32, Contact)> = lookup
                    .found()
                    .filter_map(|entry| Some((entry.score, entry.contact.clone()?)))
                    .filter(|(_, contact)| !contact.is_expired(wall))
                    .collect();
                let reached = if packet.is_empty() {
                    Vec::new()
                } else if *exactly {
                    let committed =
                        |(_, contact): &&(f32, Contact)| lookup.committed.contains(&contact.author());
                    known.iter().filter(committed).map(|(_, contact)| contact.clone()).collect()
                } else {
                    lookup.path.clone()
                };
                let found = Found {
                    nearest: known.into_iter().take(k).collect(),
                    reached,
                    requests: lookup.requests,
                    rounds: lookup.rounds,
                };
                self.stats.lookups += 1;
                self.stats.lookup_requests += u64::from(found.requests);
                self.stats.lookup_rounds += u64::from(found.rounds);
                self.tell(Event::Found { id, found });
            }
        }
    }
}
