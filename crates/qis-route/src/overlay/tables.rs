//! The contacts of a node.

use qis_packet::AuthorId;

use super::descriptor::{Contact, Registry};
use super::metric::Direction;
use super::{OverlayConfig, Refusal};

/// Pruning starts from a few of the nearest contacts: what they cover needs no other one.
const COVER: usize = 5;

/// Of the candidates for the diverse table, so many of the nearest are looked at, and so many of the rest, evenly.
const NEAREST_CANDIDATES: usize = 72;
const FARTHER_CANDIDATES: usize = 40;

/// A table is pruned when it has a part more than its target, one in so many: the fewer, the less work and the fewer contacts.
const OVERFLOW: usize = 20;

/// A contact and its similarity to this node, computed from its own descriptor.
#[derive(Clone, Debug)]
pub(super) struct Scored {
    pub(super) score: f32,
    /// Whether pruning kept it as one that no other such contact covers, so that these need not be compared again.
    settled: bool,
    pub(super) contact: Contact,
}

impl Scored {
    pub(super) const fn new(score: f32, contact: Contact) -> Self {
        Self { score, settled: false, contact }
    }
}

/// Something that may become a contact, with the fingerprint it is said to have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) author: AuthorId,
    pub(super) score: f32,
    pub(super) direction: Direction<'a>,
    /// See [`Scored`].
    pub(super) settled: bool,
}

/// Three tables: the most similar contacts, those that lead elsewhere, and some from anywhere. No author is in the first two at once.
#[derive(Debug)]
pub(super) struct Tables {
    near_most: usize,
    diverse_target: usize,
    random_most: usize,
    links: usize,
    prune: f32,
    budget: usize,
    /// The most similar first.
    near: Vec<Scored>,
    diverse: Vec<Scored>,
    /// What the diverse contacts take.
    diverse_bytes: usize,
    /// The longest known first.
    random: Vec<Scored>,
}

impl Tables {
    /// `budget` are the bytes that they may take.
    pub(super) fn new(config: &OverlayConfig, budget: usize) -> Self {
        Self {
            near_most: config.near.into(),
            diverse_target: config.diverse.into(),
            random_most: config.random.into(),
            links: config.links.into(),
            prune: config.prune,
            budget,
            near: Vec::new(),
            diverse: Vec::new(),
            diverse_bytes: 0,
            random: Vec::new(),
        }
    }

    /// Another budget from now on.
    pub(super) fn set_budget(&mut self, budget: usize) {
        self.budget = budget;
        self.keep_within_budget();
    }

    /// How many bytes of memory the tables take, all that they alone point at included.
    pub(super) fn bytes(&self) -> usize {
        let proven =
            self.near.iter().chain(&self.random).map(|entry| entry_bytes(entry, true)).sum::<usize>();
        size_of::<Self>() + proven + self.diverse_bytes
    }

    pub(super) fn len(&self) -> usize {
        self.near.len() + self.diverse.len() + self.random.len()
    }

    pub(super) fn near(&self) -> &[Scored] {
        &self.near
    }

    pub(super) fn random(&self) -> &[Scored] {
        &self.random
    }

    pub(super) fn diverse(&self) -> &[Scored] {
        &self.diverse
    }

    /// All, some twice.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Scored> {
        self.near.iter().chain(&self.diverse).chain(&self.random)
    }

    pub(super) fn get(&self, author: AuthorId) -> Option<&Contact> {
        self.iter().map(|entry| &entry.contact).find(|contact| contact.author() == author)
    }

    /// Its descriptor, where that is kept.
    pub(super) fn proof(&self, author: AuthorId) -> Option<&[u8]> {
        let proven = self.near.iter().chain(&self.random);
        proven.map(|entry| &entry.contact).find(|contact| contact.author() == author)?.proof()
    }

    /// Whether it is kept as more than a random one.
    pub(super) fn links(&self, author: AuthorId) -> bool {
        self.near.iter().chain(&self.diverse).any(|entry| entry.contact.author() == author)
    }

    /// Puts it among the nearest if it is one of them.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it is among them, or too far away. What falls out comes back.
    pub(super) fn offer_near(&mut self, new: &Scored) -> Result<Option<Scored>, Refusal> {
        let author = new.contact.author();
        if self.near.iter().any(|entry| entry.contact.author() == author) {
            return Err(Refusal::Duplicate);
        }
        let full = self.near.len() >= self.near_most;
        if full && self.near.last().is_some_and(|last| last.score >= new.score) {
            return Err(Refusal::Far);
        }
        self.remove_diverse(author);
        let at = self.near.partition_point(|entry| entry.score >= new.score);
        self.near.insert(at, new.clone());
        let out = if self.near.len() > self.near_most { self.near.pop() } else { None };
        self.keep_within_budget();
        Ok(out)
    }

    /// Adds it to those that lead elsewhere, and prunes these when they are too many.
    pub(super) fn add_diverse(&mut self, new: &Scored, registry: &dyn Registry) -> Result<(), Refusal> {
        if self.links(new.contact.author()) {
            return Err(Refusal::Duplicate);
        }
        let entry = Scored::new(new.score, registry.without_proof(&new.contact));
        self.diverse_bytes += entry_bytes(&entry, false);
        self.diverse.push(entry);
        if self.diverse.len() > self.diverse_target + self.diverse_target / OVERFLOW {
            self.prune_diverse(self.diverse_target);
        }
        self.keep_within_budget();
        Ok(())
    }

    /// Puts it among the random ones, instead of the longest known where they are full.
    pub(super) fn add_random(&mut self, new: Scored) -> Result<(), Refusal> {
        let author = new.contact.author();
        if self.random.iter().any(|entry| entry.contact.author() == author) {
            return Err(Refusal::Duplicate);
        }
        if self.random.len() >= self.random_most {
            self.random.remove(0);
        }
        self.random.push(new);
        self.keep_within_budget();
        Ok(())
    }

    /// Replaces what is known of its author. Whether it was known.
    pub(super) fn update(&mut self, new: &Scored, registry: &dyn Registry) -> bool {
        let author = new.contact.author();
        let is_it = |entry: &Scored| entry.contact.author() == author;
        let near = self.near.iter().any(is_it);
        let diverse = self.diverse.iter().any(is_it);
        let random = self.random.iter().any(is_it);
        self.remove(author);
        if near {
            // It may be farther away now.
            let _ = self.offer_near(new);
        }
        if diverse {
            let _ = self.add_diverse(new, registry);
        }
        if random {
            let _ = self.add_random(new.clone());
        }
        near || diverse || random
    }

    /// Removes it from all tables. Whether it was in one.
    pub(super) fn remove(&mut self, author: AuthorId) -> bool {
        let before = self.len();
        self.near.retain(|entry| entry.contact.author() != author);
        self.random.retain(|entry| entry.contact.author() != author);
        self.remove_diverse(author);
        self.len() < before
    }

    pub(super) fn clear(&mut self) {
        self.near.clear();
        self.random.clear();
        self.diverse.clear();
        self.diverse_bytes = 0;
    }

    fn remove_diverse(&mut self, author: AuthorId) {
        if let Some(at) = self.diverse.iter().position(|entry| entry.contact.author() == author) {
            let entry = self.diverse.swap_remove(at);
            self.diverse_bytes = self.diverse_bytes.saturating_sub(entry_bytes(&entry, false));
        }
    }

    /// The known contacts most similar to a fingerprint, the most similar first, no author twice.
    pub(super) fn best(&self, target: Direction<'_>, limit: usize) -> Vec<(f32, &Contact)> {
        let mut scored: Vec<(f32, &Contact)> =
            self.iter().map(|entry| (entry.contact.cosine(target), &entry.contact)).collect();
        // An author is at most twice here.
        let enough = limit.saturating_mul(2);
        if scored.len() > enough {
            scored.select_nth_unstable_by(enough, closer);
            scored.truncate(enough);
        }
        scored.sort_unstable_by(closer);
        // A random one that leads elsewhere too is kept there in another form, a little nearer or farther.
        let mut authors: Vec<AuthorId> = Vec::with_capacity(scored.len());
        scored.retain(|(_, contact)| {
            let author = contact.author();
            let is_new = authors.len() < limit && !authors.contains(&author);
            if is_new {
                authors.push(author);
            }
            is_new
        });
        scored
    }

    /// Which of the candidates to ask to be diverse contacts, on top of those that are near, and the nearest first.
    pub(super) fn choose_diverse<'a>(&'a self, mut candidates: Vec<Candidate<'a>>) -> Vec<AuthorId> {
        candidates
            .retain(|candidate| !self.near.iter().any(|entry| entry.contact.author() == candidate.author));
        let cover = self.cover();
        let order = prune(&mut candidates, &cover, self.prune, self.links);
        // The farthest known fill the gaps.
        let filler = candidates.iter().rev().map(|candidate| candidate.author);
        let mut chosen = order;
        for author in filler {
            if chosen.len() >= self.links {
                break;
            }
            if !chosen.contains(&author) {
                chosen.push(author);
            }
        }
        chosen
    }

    /// Near contacts are not packed.
    fn cover(&self) -> Vec<Direction<'_>> {
        let step = (self.near.len() / COVER).max(1);
        self.near.iter().step_by(step).filter_map(|entry| entry.contact.direction()).collect()
    }

    fn keep_within_budget(&mut self) {
        if self.bytes() <= self.budget {
            return;
        }
        // Down to some room, so that it is not pruned at each addition.
        let target = self.diverse.len().saturating_sub(1 + self.diverse_target / OVERFLOW);
        self.prune_diverse(target);
        while self.bytes() > self.budget
            && let Some(entry) = self.diverse.pop()
        {
            self.diverse_bytes = self.diverse_bytes.saturating_sub(entry_bytes(&entry, false));
        }
        // With contacts as large as they may be, even those that are near may be too many.
        while self.bytes() > self.budget && (self.near.pop().is_some() || self.random.pop().is_some()) {}
    }

    fn prune_diverse(&mut self, target: usize) {
        let all = std::mem::take(&mut self.diverse);
        let codes: Vec<Vec<u8>> = all.iter().map(|entry| entry.contact.codes().into_owned()).collect();
        let mut candidates: Vec<Candidate<'_>> = all
            .iter()
            .zip(&codes)
            .map(|(entry, codes)| Candidate {
                author: entry.contact.author(),
                score: entry.score,
                direction: entry.contact.direction_of(codes),
                settled: entry.settled,
            })
            .collect();
        let mut chosen = prune(&mut candidates, &self.cover(), self.prune, target);
        let uncovered = chosen.len();
        for candidate in &candidates {
            if chosen.len() >= target {
                break;
            }
            if !chosen.contains(&candidate.author) {
                chosen.push(candidate.author);
            }
        }
        drop(candidates);
        let place = |entry: &Scored| chosen.iter().position(|author| *author == entry.contact.author());
        self.diverse = all
            .into_iter()
            .filter_map(|entry| Some(Scored { settled: place(&entry)? < uncovered, ..entry }))
            .collect();
        self.diverse_bytes = self.diverse.iter().map(|entry| entry_bytes(entry, false)).sum();
    }
}

/// Thins candidates, the nearest first, to those worth pruning among: many of the nearest, and some of the rest.
pub(super) fn thin<T>(sorted: Vec<T>) -> Vec<T> {
    if sorted.len() <= NEAREST_CANDIDATES + FARTHER_CANDIDATES {
        return sorted;
    }
    let step = ((sorted.len() - NEAREST_CANDIDATES) / FARTHER_CANDIDATES).max(1);
    let keep = |at: usize| at < NEAREST_CANDIDATES || (at - NEAREST_CANDIDATES).is_multiple_of(step);
    sorted.into_iter().enumerate().filter(|(at, _)| keep(*at)).map(|(_, item)| item).collect()
}

/// Robust pruning: the nearest first, keeps a candidate unless one that is kept already is nearer to it than this node, by the
/// factor in squared distance. Sorts the candidates, each author once.
fn prune<'a>(
    candidates: &mut Vec<Candidate<'a>>,
    cover: &[Direction<'a>],
    factor: f32,
    target: usize,
) -> Vec<AuthorId> {
    candidates.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.author.cmp(&b.author)));
    candidates.dedup_by_key(|candidate| candidate.author);
    let mut kept: Vec<&Candidate<'a>> = Vec::with_capacity(target);
    for candidate in &*candidates {
        if kept.len() >= target {
            break;
        }
        // Squared distance of unit vectors.
        let own = 2.0 - 2.0 * candidate.score;
        let covers = |by: Direction<'_>| factor * (2.0 - 2.0 * by.cosine(candidate.direction)) <= own;
        let mut others = kept.iter().rev().filter(|by| !(by.settled && candidate.settled));
        if !others.any(|by| covers(by.direction)) && !cover.iter().any(|by| covers(*by)) {
            kept.push(candidate);
        }
    }
    kept.into_iter().map(|candidate| candidate.author).collect()
}

fn closer(a: &(f32, &Contact), b: &(f32, &Contact)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then_with(|| a.1.author().cmp(&b.1.author()))
}

fn entry_bytes(entry: &Scored, with_proof: bool) -> usize {
    size_of::<Scored>() + entry.contact.bytes(with_proof)
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::super::descriptor::{Open, Statement, Verifier};
    use super::*;
    use proptest::prelude::*;
    use qis_fingerprint::{Fingerprint, SpaceId};
    use qis_packet::{Identity, NetworkId, Order};
    use std::sync::Arc;

    pub(super) fn verifier() -> Verifier {
        Verifier { network: NetworkId::new("test"), admission: Arc::new(Open) }
    }

    fn contact(seed: u8, codes: &[i8], address: usize, sequence: u32) -> Contact {
        let statement = Statement {
            address: "a".repeat(address).parse().unwrap(),
            fingerprint: Fingerprint::from_codes(SpaceId::new("t", 2), codes.to_vec()).unwrap(),
            order: Order { incarnation: 1, sequence },
            credential: Vec::new(),
        };
        let bytes = statement.sign(&Identity::from_seed([seed; 32]), verifier().network).unwrap();
        verifier().admit(&bytes).unwrap()
    }

    fn scored(seed: u8, x: i8, y: i8, address: usize) -> Scored {
        let me = contact(255, &[100, 0], 1, 0);
        let contact = contact(seed, &[x, y], address, 0);
        Scored::new(contact.cosine(me.direction().unwrap()), contact)
    }

    pub(super) fn config() -> OverlayConfig {
        OverlayConfig { near: 4, diverse: 8, random: 2, state_bytes: 16 * 1024, ..OverlayConfig::default() }
    }

    #[test]
    fn near_keeps_the_nearest_and_gives_back_what_falls_out() {
        let mut tables = Tables::new(&config(), 16 * 1024);
        for (seed, y) in [(1, 50), (2, 10), (3, 40), (4, 30)] {
            assert!(tables.offer_near(&scored(seed, 100, y, 1)).unwrap().is_none());
        }
        assert_eq!(tables.offer_near(&scored(5, 100, 60, 1)).unwrap_err(), Refusal::Far);
        assert_eq!(tables.offer_near(&scored(2, 100, 10, 1)).unwrap_err(), Refusal::Duplicate);
        let out = tables.offer_near(&scored(6, 100, 20, 1)).unwrap().unwrap();
        assert_eq!(out.contact.author(), Identity::from_seed([1; 32]).author());
    }

    #[test]
    fn pruning_keeps_one_of_each_direction() {
        let tables = Tables::new(&config(), 16 * 1024);
        let all: Vec<Scored> = [(1, 0, 90), (2, 1, 90), (3, 2, 90), (4, 0, -90)]
            .map(|(seed, x, y)| scored(seed, x, y, 1))
            .into();
        let candidates = all.iter().map(|entry| Candidate {
            author: entry.contact.author(),
            score: entry.score,
            direction: entry.contact.direction().unwrap(),
            settled: false,
        });
        let mut candidates: Vec<_> = candidates.collect();
        let chosen = prune(&mut candidates, &tables.cover(), 1.44, 8);
        assert_eq!(chosen.len(), 2);
        assert!(chosen.contains(&all[3].contact.author()));
        assert_eq!(tables.choose_diverse(candidates).len(), 4, "gaps are filled");
    }

    #[test]
    fn thinning_keeps_the_nearest_and_some_of_the_rest() {
        let thinned = thin((0..300).collect());
        assert!(thinned.len() <= NEAREST_CANDIDATES + 2 * FARTHER_CANDIDATES);
        assert_eq!(thinned[..72], (0..72).collect::<Vec<_>>());
        assert!(*thinned.last().unwrap() > 290);
    }

    #[test]
    fn a_newer_descriptor_replaces_and_moves() {
        let mut tables = Tables::new(&config(), 16 * 1024);
        let registry = verifier();
        tables.add_diverse(&scored(1, 100, 1, 1), &registry).unwrap();
        tables.add_random(scored(1, 100, 1, 1)).unwrap();
        let newer = Scored::new(-1.0, contact(1, &[-100, 0], 1, 1));
        assert!(tables.update(&newer, &registry));
        assert_eq!((tables.diverse().len(), tables.random().len(), tables.near().len()), (1, 1, 0));
        assert!(tables.iter().all(|entry| entry.contact.order().sequence == 1));
        assert!(tables.diverse()[0].contact.proof().is_none());
        assert!(tables.remove(newer.contact.author()) && tables.len() == 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
        #[test]
        fn caps_and_budget_hold_whatever_comes(
            offers in proptest::collection::vec((0..60_u8, 1..255_usize, 0..4_u8), 1..60),
        ) {
            let mut tables = Tables::new(&config(), 6000);
            let registry = verifier();
            for (seed, address, how) in offers {
                let new = scored(seed, 100, (seed * 2) as i8, address);
                match how {
                    0 => drop(tables.offer_near(&new)),
                    1 => drop(tables.add_diverse(&new, &registry)),
                    2 => drop(tables.add_random(new)),
                    _ => drop(tables.update(&new, &registry)),
                }
                prop_assert!(tables.near.len() <= 4 && tables.diverse.len() <= 9 && tables.random.len() <= 2);
                prop_assert!(tables.bytes() <= 6000, "{}", tables.bytes());
                let diverse: usize = tables.diverse.iter().map(|entry| entry_bytes(entry, false)).sum();
                prop_assert_eq!(tables.diverse_bytes, diverse);
                prop_assert!(tables.near.is_sorted_by(|a, b| a.score >= b.score));
                let best = tables.best(scored(99, 1, 1, 1).contact.direction().unwrap(), 5);
                prop_assert!(best.len() <= 5 && best.is_sorted_by(|a, b| a.0 >= b.0));
                let mut authors: Vec<_> = best.iter().map(|(_, contact)| contact.author()).collect();
                authors.sort_unstable();
                prop_assert!(authors.windows(2).all(|pair| pair[0] != pair[1]));
            }
        }
    }
}
