//! What a node learns of others, and forgets.

use std::time::Duration;

use qis_packet::{AuthorId, Timestamp};

use super::descriptor::Contact;
use super::tables::Scored;
use super::{Overlay, Refusal};

/// How long the word of others is not taken for a node that did not answer.
const BURIED: Duration = Duration::from_secs(600);

/// How many of them are remembered, the latest.
const MOST_DEAD: usize = 32;

/// What they take; a list that grows to it by doubling.
pub(super) const MOST_DEAD_BYTES: usize = MOST_DEAD.next_power_of_two() * size_of::<(AuthorId, Duration)>();

/// A verified descriptor of another node, beside what is known of it.
#[derive(Debug)]
pub(super) enum Heard {
    /// Nothing newer is known.
    Newest(Scored),
    /// Something newer is known, so this counts for nothing.
    Stale(Scored),
}

impl Heard {
    pub(super) const fn contact(&self) -> &Contact {
        let (Self::Newest(scored) | Self::Stale(scored)) = self;
        &scored.contact
    }
}

impl Overlay {
    /// Reads, verifies and scores a descriptor. A newer one of a contact takes its place.
    pub(super) fn learn(&mut self, bytes: &[u8]) -> Result<Scored, Refusal> {
        match self.hear(bytes)? {
            Heard::Newest(scored) => Ok(scored),
            Heard::Stale(_) => Err(Refusal::Stale),
        }
    }

    /// As [`Overlay::learn`], but one that is not the newest comes back too.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Heard, Refusal> {
        let heard = self.try_hear(bytes);
        match heard {
            Ok(Heard::Newest(_)) => {}
            Ok(Heard::Stale(_)) => self.stats.refuse(Refusal::Stale),
            Err(refusal) => self.stats.refuse(refusal),
        }
        heard
    }

    fn try_hear(&mut self, bytes: &[u8]) -> Result<Heard, Refusal> {
        // What is known need not be read and verified again.
        let same = |entry: &&Scored| entry.contact.proof() == Some(bytes);
        let same = self.tables.near().iter().chain(self.tables.random()).find(same).cloned();
        if let Some(known) = same {
            return Ok(Heard::Newest(known));
        }
        let claim = Contact::claimed_space(bytes).ok_or(Refusal::Malformed)?;
        if claim != (self.space, self.dims()) {
            return Err(Refusal::WrongSpace);
        }
        let contact = self.registry.admit(bytes)?;
        if contact.is_expired(self.wall) {
            return Err(Refusal::NotAdmitted);
        }
        if contact.author() == self.me.author() {
            if contact.order() > self.me.order() {
                self.tell_outdated(contact.order());
            }
            return Err(Refusal::Own);
        }
        let scored = self.scored(contact);
        let order = scored.contact.order();
        match self.tables.get(scored.contact.author()).map(Contact::order) {
            Some(known) if known > order => return Ok(Heard::Stale(scored)),
            Some(known) if known < order => {
                self.tables.update(&scored, &*self.registry);
            }
            _ => {}
        }
        Ok(Heard::Newest(scored))
    }

    pub(super) fn scored(&self, contact: Contact) -> Scored {
        let score = self.me.direction().map_or(-1.0, |me| contact.cosine(me));
        Scored::new(score, contact)
    }

    /// Puts it among the nearest if it is one of them; what falls out for it may lead elsewhere.
    pub(super) fn offer_near(&mut self, new: &Scored) -> bool {
        match self.tables.offer_near(new) {
            Ok(out) => {
                if let Some(out) = out
                    && self.random_below(4) == 0
                {
                    let _ = self.tables.add_diverse(&out, &*self.registry);
                }
                true
            }
            Err(refusal) => {
                self.stats.refuse(refusal);
                false
            }
        }
    }

    pub(super) fn add_diverse(&mut self, new: &Scored) -> bool {
        match self.tables.add_diverse(new, &*self.registry) {
            Ok(()) => true,
            Err(refusal) => {
                self.stats.refuse(refusal);
                false
            }
        }
    }

    pub(super) fn add_random(&mut self, new: Scored) {
        if let Err(refusal) = self.tables.add_random(new) {
            self.stats.refuse(refusal);
        }
    }

    /// Takes in contacts that are known already, in place of those there are: of an earlier life of this node, or of a simulation. The
    /// most similar ones become near contacts and the others diverse ones; `random` are taken as those.
    ///
    /// They must be of this overlay's network and space; those of another number of dimensions, those whose admission is over, and this node itself,
    /// are left out and counted.
    pub fn restore(&mut self, contacts: &[Contact], random: &[Contact]) {
        let mut scored: Vec<Scored> =
            contacts.iter().filter_map(|contact| self.restorable(contact)).collect();
        scored.sort_by(|a, b| {
            b.score.total_cmp(&a.score).then_with(|| a.contact.author().cmp(&b.contact.author()))
        });
        scored.dedup_by_key(|entry| entry.contact.author());
        self.tables.clear();
        for entry in scored {
            let near = entry.contact.proof().is_some()
                && self.tables.near().len() < usize::from(self.config.near)
                && self.tables.offer_near(&entry).is_ok();
            if !near {
                self.add_diverse(&entry);
            }
        }
        for contact in random {
            if let Some(entry) = self.restorable(contact) {
                self.add_random(entry);
            }
        }
    }

    fn restorable(&mut self, contact: &Contact) -> Option<Scored> {
        if contact.dims() != self.dims() {
            self.stats.refuse(Refusal::WrongSpace);
            return None;
        }
        if contact.is_expired(self.wall) {
            self.stats.refuse(Refusal::NotAdmitted);
            return None;
        }
        if contact.author() == self.me.author() {
            self.stats.refuse(Refusal::Own);
            return None;
        }
        Some(self.scored(contact.clone()))
    }

    /// Forgets a contact that does not answer.
    pub(super) fn bury(&mut self, now: Duration, author: AuthorId) {
        if self.tables.remove(author) {
            self.stats.dead += 1;
            self.upkeep.lost += 1;
        }
        self.dead.retain(|(dead, since)| *dead != author && now.saturating_sub(*since) < BURIED);
        if self.dead.len() >= MOST_DEAD {
            self.dead.remove(0);
        }
        self.dead.push((author, now));
    }

    /// Forgets those whose admission is over.
    pub(super) fn forget_expired(&mut self, wall: Timestamp) {
        self.wall = wall;
        let is_over = |entry: &&Scored| entry.contact.is_expired(wall);
        let over: Vec<AuthorId> =
            self.tables.iter().filter(is_over).map(|entry| entry.contact.author()).collect();
        for author in over {
            // One may be in two tables.
            if self.tables.remove(author) {
                self.stats.expired += 1;
                self.upkeep.lost += 1;
            }
        }
    }

    pub(super) fn is_dead(&self, now: Duration, author: AuthorId) -> bool {
        self.dead.iter().any(|(dead, since)| *dead == author && now.saturating_sub(*since) < BURIED)
    }

    /// It has spoken for itself.
    pub(super) fn revive(&mut self, author: AuthorId) {
        self.dead.retain(|(dead, _)| *dead != author);
    }

    /// Sorts all contacts by the present fingerprint of this node.
    pub(super) fn sort_anew(&mut self) {
        let proven: Vec<Contact> = self.tables.near().iter().map(|entry| entry.contact.clone()).collect();
        let random: Vec<Contact> = self.tables.random().iter().map(|entry| entry.contact.clone()).collect();
        let diverse: Vec<Contact> = self.tables.diverse().iter().map(|entry| entry.contact.clone()).collect();
        self.tables.clear();
        for contact in proven.into_iter().chain(diverse) {
            let scored = self.scored(contact);
            // Only what can be passed on is kept as near.
            let near = scored.contact.proof().is_some() && self.tables.offer_near(&scored).is_ok();
            if !near {
                let _ = self.tables.add_diverse(&scored, &*self.registry);
            }
        }
        for contact in random {
            let scored = self.scored(contact);
            let _ = self.tables.add_random(scored);
        }
    }
}
