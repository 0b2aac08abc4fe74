//! One search for the most similar nodes, by the node that wants them.

use std::collections::BTreeSet;

use qis_packet::AuthorId;

use super::descriptor::Contact;
use super::metric::{Direction, Scale};
use super::{LookupId, LookupOptions};
use crate::Address;

/// Nodes that a look-up remembers at most, the most similar ones. Some times what any effort needs.
const POOL: usize = 512;

/// Finds that a look-up for the host may cost, whatever it is told of, and one for this node itself, of which the rest goes to
/// making contacts. Among 10,000 honest nodes the most were 93 and 73; liars who tell of ever better nodes would have a look-up ask for ever.
const MOST_FINDS: usize = 192;
const MOST_OWN_FINDS: usize = 96;

/// A score travels in parts of 32,767: less than this is no improvement.
const ROUNDING: f32 = 1e-4;

/// How many of those who told of a node are remembered, to be asked about it.
const TELLERS: usize = 6;

/// So many of the nearest are heard of only around the target in an easy search; each one more is worth asking one more.
const CALM: usize = 3;

/// By how much a score in somebody's word may be too low: six bits a dimension err by some thousandths. Asking those within it costs one
/// request of thirty at 100,000 nodes, and finds a tenth of what is missed without.
const SLACK: f32 = 0.0015;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Unasked,
    Asking,
    Answered,
    Failed,
}

/// A node, known from somebody's answer, or from its own.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) author: AuthorId,
    pub(super) address: Address,
    /// By its own descriptor once it has answered; before, in somebody's word.
    pub(super) score: f32,
    pub(super) contact: Option<Contact>,
    /// Places in `path` of those who told of it; kept by look-ups for oneself only.
    pub(super) tellers: Vec<u16>,
    state: State,
    /// In which round it was heard of.
    round: u32,
}

/// What a look-up is for.
#[derive(Debug)]
pub(super) enum Purpose {
    /// For the host: to find nodes, and to hand them a packet on the way, or when they are found.
    Host { packet: Vec<u8>, exactly: bool },
    /// For this node itself, to find contacts.
    Own,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Waits until this node has joined the network.
    Waiting,
    Finding,
    /// Fetches fingerprints to choose contacts by.
    Getting,
    /// Asks the chosen ones.
    Linking,
    /// Hands over the packet.
    Committing,
}

#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) id: LookupId,
    pub(super) purpose: Purpose,
    pub(super) phase: Phase,
    pub(super) options: LookupOptions,
    pub(super) codes: Vec<u8>,
    scale: Scale,
    /// The most similar first.
    pool: Vec<Entry>,
    seen: BTreeSet<AuthorId>,
    /// All that have answered, in that order.
    pub(super) path: Vec<Contact>,
    /// Requests that are not settled; the next step is taken when there are none.
    pub(super) waiting: usize,
    pub(super) requests: u32,
    pub(super) rounds: u32,
    /// The round in which it arrived.
    arrived: Option<u32>,
    best_before: f32,
    /// Fingerprints that were fetched.
    pub(super) sketches: Vec<(AuthorId, Vec<u8>, Scale)>,
    /// Who has taken the packet after the look-up.
    pub(super) committed: Vec<AuthorId>,
}

impl Lookup {
    pub(super) fn new(id: LookupId, purpose: Purpose, options: LookupOptions, target: Direction<'_>) -> Self {
        Self {
            id,
            purpose,
            phase: Phase::Finding,
            options,
            codes: target.codes.to_vec(),
            scale: target.scale,
            pool: Vec::new(),
            seen: BTreeSet::new(),
            path: Vec::new(),
            waiting: 0,
            requests: 0,
            rounds: 0,
            arrived: None,
            best_before: -2.0,
            sketches: Vec::new(),
            committed: Vec::new(),
        }
    }

    pub(super) fn target(&self) -> Direction<'_> {
        Direction { codes: &self.codes, scale: self.scale }
    }

    pub(super) const fn is_own(&self) -> bool {
        matches!(self.purpose, Purpose::Own)
    }

    /// Never asks this author.
    pub(super) fn leave_out(&mut self, author: AuthorId) {
        self.seen.insert(author);
    }

    /// Adds a contact of this node's.
    pub(super) fn start_from(&mut self, contact: &Contact) {
        if self.seen.insert(contact.author()) {
            let score = contact.cosine(self.target());
            self.push(contact.author(), contact.to_address(), score, Some(contact.clone()));
        }
    }

    fn push(&mut self, author: AuthorId, address: Address, score: f32, contact: Option<Contact>) {
        self.pool.push(Entry {
            author,
            address,
            score,
            contact,
            tellers: Vec::new(),
            state: State::Unasked,
            round: self.rounds,
        });
    }

    /// Takes in a node of which somebody told; `teller` is the place of who did in the path. `false` when its address is none.
    pub(super) fn hint(&mut self, author: AuthorId, address: &str, score: f32, teller: Option<u16>) -> bool {
        if self.seen.insert(author) {
            let Ok(address) = address.parse() else { return false };
            self.push(author, address, score, None);
        }
        if self.is_own()
            && let Some(teller) = teller
            && let Some(entry) = self.pool.iter_mut().find(|entry| entry.author == author)
            && entry.tellers.len() < TELLERS
        {
            entry.tellers.push(teller);
        }
        true
    }

    /// Takes in an answer's own descriptor. What was asked as somebody else has failed. Returns its place in the path.
    pub(super) fn answered(&mut self, asked: Option<AuthorId>, contact: &Contact) -> Option<u16> {
        let author = contact.author();
        if let Some(asked) = asked
            && asked != author
        {
            self.failed(asked);
        }
        let score = contact.cosine(self.target());
        let place = u16::try_from(self.path.len()).ok();
        if let Some(entry) = self.pool.iter_mut().find(|entry| entry.author == author) {
            entry.state = State::Answered;
            entry.score = score;
            entry.contact = Some(contact.clone());
        } else if self.seen.insert(author) {
            self.push(author, contact.to_address(), score, Some(contact.clone()));
            if let Some(entry) = self.pool.last_mut() {
                entry.state = State::Answered;
            }
        } else {
            // It was left out, or was too far away to be remembered.
            return None;
        }
        self.path.push(contact.clone());
        place
    }

    pub(super) fn failed(&mut self, author: AuthorId) {
        if let Some(entry) = self.pool.iter_mut().find(|entry| entry.author == author) {
            entry.state = State::Failed;
        }
    }

    /// Whom to ask next; nobody when it is over. All of the round before must be settled.
    pub(super) fn next_round(&mut self) -> Vec<(AuthorId, Address)> {
        self.pool.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.author.cmp(&b.author)));
        self.pool.truncate(POOL);
        let best = self.pool.first().map_or(-2.0, |entry| entry.score);
        let live = |entry: &&Entry| entry.state != State::Failed;
        // On the way it pays to wait for what the best few say. Once the best one has been asked and knows none better, all
        // that is left is around here, and asking for it one after the other would only take longer.
        let arrived = self.pool.iter().find(live).is_some_and(|entry| entry.state == State::Answered);
        if self.rounds > 0 && arrived && best <= self.best_before + ROUNDING && self.arrived.is_none() {
            self.arrived = Some(self.rounds);
        }
        self.best_before = best;
        if self.rounds >= u32::from(self.options.rounds) {
            return Vec::new();
        }
        let room = self.most_finds().saturating_sub(self.requests as usize);
        let most = if self.arrived.is_some() { room } else { room.min(usize::from(self.options.parallel)) };
        let effort = self.effort();
        // Others know most nodes in six bits a dimension: one that is hardly below the last of those to ask may be above it.
        let slack = if self.arrived.is_some() && !self.is_own() { SLACK } else { 0.0 };
        let least =
            self.pool.iter().filter(live).nth(effort.saturating_sub(1)).map_or(-2.0, |entry| entry.score);
        let live = self.pool.iter_mut().filter(|entry| entry.state != State::Failed).enumerate();
        let top = live
            .take_while(|(at, entry)| *at < effort || entry.score > least - slack)
            .map(|(_, entry)| entry);
        let mut asked = Vec::new();
        for entry in top.filter(|entry| entry.state == State::Unasked).take(most) {
            entry.state = State::Asking;
            asked.push((entry.author, entry.address.clone()));
        }
        if !asked.is_empty() {
            self.rounds += 1;
        }
        asked
    }

    /// How many may be asked in all; more where the effort that is wanted needs more.
    fn most_finds(&self) -> usize {
        let most = if self.is_own() { MOST_OWN_FINDS } else { MOST_FINDS };
        most.max(2 * usize::from(self.options.effort))
    }

    /// How many of the most similar ones must have been asked by now.
    fn effort(&self) -> usize {
        let effort = usize::from(self.options.effort);
        let Some(arrived) = self.arrived else { return effort };
        let k = usize::from(self.options.k);
        let top = self.pool.iter().filter(|entry| entry.state != State::Failed).take(k);
        // Where much is heard of only after arriving, there is more to hear of: a hard target gets more effort, an easy one none.
        let late = top.filter(|entry| entry.round > arrived).count();
        effort + if self.is_own() { 0 } else { late.saturating_sub(CALM) }
    }

    /// The nodes found that have answered, the most similar first.
    pub(super) fn found(&self) -> impl Iterator<Item = &Entry> {
        self.pool.iter().filter(|entry| entry.state == State::Answered)
    }

    /// All that is known, those that failed left out, the most similar first.
    pub(super) fn known(&self) -> impl Iterator<Item = &Entry> {
        self.pool.iter().filter(|entry| entry.state != State::Failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(number: u32) -> AuthorId {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        AuthorId::from_bytes(bytes)
    }

    /// How many a look-up asks when all are live, and each tells of forty more, each more similar than the one before by so much.
    fn asked(purpose: Purpose, options: LookupOptions, better: f32) -> usize {
        let codes = [64; 16];
        let target = Direction { codes: &codes, scale: super::super::metric::scale(&codes).unwrap() };
        let mut lookup = Lookup::new(LookupId(0), purpose, options, target);
        let mut told = 0_u16..;
        let mut tell = |lookup: &mut Lookup| {
            for number in told.by_ref().take(40) {
                let score = 0.5 + better * f32::from(number);
                assert!(lookup.hint(author(number.into()), "clone", score, None));
            }
        };
        tell(&mut lookup);
        loop {
            let asked = lookup.next_round();
            if asked.is_empty() {
                return lookup.requests as usize;
            }
            for (clone, _) in asked {
                lookup.requests += 1;
                tell(&mut lookup);
                let entry = lookup.pool.iter_mut().find(|entry| entry.author == clone).unwrap();
                entry.state = State::Answered;
            }
        }
    }

    fn host() -> Purpose {
        Purpose::Host { packet: Vec::new(), exactly: false }
    }

    #[test]
    fn tales_without_end_cost_a_bounded_number_of_finds() {
        // All at once after arriving, or ever on.
        let quick = LookupOptions { parallel: 16, ..LookupOptions::default() };
        assert_eq!(asked(host(), LookupOptions::default(), 0.0), MOST_FINDS);
        assert_eq!(asked(host(), quick, 1e-5), MOST_FINDS);
        assert_eq!(asked(Purpose::Own, quick, 1e-5), MOST_OWN_FINDS);
    }

    #[test]
    fn more_effort_than_the_bound_is_given() {
        let thorough = LookupOptions::nearest(200).with_effort(250);
        assert!(asked(host(), thorough, 0.0) >= 250);
    }
}
