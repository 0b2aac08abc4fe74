//! Who is chosen of those that a directory names.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use qis_packet::AuthorId;

use crate::draw::take_any;
use crate::proto::ConfigError;
use crate::{Address, Candidates, Organisation, Peer};

const MOST_PEERS: usize = 1000;
/// How many similar ones there are to draw each sampled one from: a clone that is among them is drawn one time in four.
const POOL: usize = 4;
/// Of how many similar ones some may be passed over, where organisations have a cap.
const SPARE: usize = 2;

/// Which peers an outcome is sent to, and which ones a pull asks: how many of each kind.
///
/// Peers of three kinds are chosen one kind after the other. No author and no address is chosen twice, nor the node itself. Where one
/// kind has too few, the most similar of those left take the places, then any of those left; so a directory that gives no
/// [members at random](crate::Directory::sample) still fills all places.
///
/// What is drawn is drawn by the router's own unpredictable numbers, and is the same for the same seed.
///
/// Later versions add fields: write `Selection { random, ..Selection::article() }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The most similar ones.
    pub similar: u16,
    /// Drawn from those that are next in similarity, four times as many as are wanted. Who takes up a stranger's situation to get all
    /// that is sent there gets the places above for nothing, and only a share of these.
    pub sampled: u16,
    /// Any members of the network, whatever their situation.
    pub random: u16,
    /// How many of an organisation are chosen at most, all kinds together; as many as there are without it.
    ///
    /// A peer whose directory [names no organisation](Peer::organisation) counts as an organisation of its own, since peers that nobody
    /// vouches for have nothing in common that could be counted. So a cap is of use only with a directory that admits by credential.
    pub per_organisation: Option<NonZeroU16>,
}

impl Selection {
    /// The `count` most similar ones.
    #[must_use]
    pub const fn most_similar(count: u16) -> Self {
        Self { similar: count, sampled: 0, random: 0, per_organisation: None }
    }

    /// The 20 most similar ones: the way of the article the project comes from.
    #[must_use]
    pub const fn article() -> Self {
        Self::most_similar(20)
    }

    /// The 20 most similar ones and 20 random ones: for evidence, whose synthesis judges by itself whom it believes how far. It is what
    /// its accuracy was measured with.
    ///
    /// The random ones tell it how much sites differ, and keep groups of sites that only find each other from staying apart. Organisations
    /// have no cap: where members are trusted, it would only keep the branches of a large one from each other.
    #[must_use]
    pub const fn balanced() -> Self {
        Self { random: 20, ..Self::article() }
    }

    /// 10 most similar, 10 sampled and 20 random ones, at most 2 of an organisation: for networks with members who would like to have
    /// all that is sent to a situation, or to be all that is heard there.
    ///
    /// As many as in [`balanced`](Self::balanced). Among organisations that are vouched for, an organisation gets 2 of the 40 places, however many
    /// nodes it has and wherever they say they are. Where nobody vouches for organisations, clones at a situation get the 10 places
    /// of the most similar ones, but of the others not more than their share.
    #[must_use]
    pub const fn hostile() -> Self {
        Self { similar: 10, sampled: 10, random: 20, per_organisation: NonZeroU16::new(2) }
    }

    /// How many peers are chosen at most.
    #[must_use]
    pub fn total(&self) -> usize {
        usize::from(self.similar) + usize::from(self.sampled) + usize::from(self.random)
    }

    /// Checks the fields.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] when none or more than 1,000 are chosen in all.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if (1..=MOST_PEERS).contains(&self.total()) {
            Ok(())
        } else {
            Err(ConfigError { field: "selection", problem: "must be 1 to 1,000 in all" })
        }
    }

    /// How many of the most similar ones to look up before [choosing](Self::choose): the asking node may be among them.
    #[must_use]
    pub fn similar_wanted(&self) -> usize {
        let spare = if self.per_organisation.is_some() { SPARE } else { 1 };
        usize::from(self.similar) * spare + usize::from(self.sampled) * POOL + 1
    }

    /// Chooses among what a directory found: the [`similar_wanted`](Self::similar_wanted) most similar ones, and [`random`](Self::random) or
    /// more members at random. `root` is what the keys of one author have in common (the author itself where no key was rotated), `me`
    /// this node's, and `draw` gives uniform numbers.
    ///
    /// The router does this by itself; it is here for hosts that study a network without one.
    pub fn choose(
        &self,
        candidates: Candidates,
        root: impl Fn(AuthorId) -> AuthorId,
        me: AuthorId,
        mut draw: impl FnMut() -> u64,
    ) -> Vec<Peer> {
        let mut chosen = Chosen {
            cap: self.per_organisation,
            root,
            peers: Vec::new(),
            taken: BTreeSet::from([me]),
            of: BTreeMap::new(),
            addresses: BTreeSet::new(),
        };
        let mut similar = candidates.similar.into_iter();
        while chosen.peers.len() < self.similar.into() {
            let Some(peer) = similar.next() else { break };
            chosen.take(peer);
        }
        // Those that were chosen must not take places in the pool.
        let mut left: Vec<Peer> = similar.filter(|peer| !chosen.knows(peer)).collect();
        let sampled = usize::from(self.sampled);
        let rest = left.split_off(left.len().min(sampled * POOL));
        let mut pool: Vec<(usize, Peer)> = left.into_iter().enumerate().collect();
        let full = chosen.peers.len() + sampled;
        while chosen.peers.len() < full {
            let Some((_, peer)) = take_any(&mut pool, &mut draw) else { break };
            chosen.take(peer);
        }
        // In the order of similarity again.
        pool.sort_by_key(|(at, _)| *at);
        let mut random = candidates.random;
        let full = chosen.peers.len() + usize::from(self.random);
        while chosen.peers.len() < full {
            let Some(peer) = take_any(&mut random, &mut draw) else { break };
            chosen.take(peer);
        }
        for peer in pool.into_iter().map(|(_, peer)| peer).chain(rest).chain(random) {
            if chosen.peers.len() >= self.total() {
                break;
            }
            chosen.take(peer);
        }
        chosen.peers
    }
}

impl Default for Selection {
    fn default() -> Self {
        Self::article()
    }
}

/// Those that are chosen so far.
struct Chosen<R> {
    cap: Option<NonZeroU16>,
    root: R,
    peers: Vec<Peer>,
    taken: BTreeSet<AuthorId>,
    addresses: BTreeSet<Address>,
    of: BTreeMap<Organisation, u16>,
}

impl<R: Fn(AuthorId) -> AuthorId> Chosen<R> {
    fn knows(&self, peer: &Peer) -> bool {
        self.taken.contains(&(self.root)(peer.author)) || self.addresses.contains(&peer.address)
    }

    /// Takes a peer, unless it is there already or its organisation has had its places.
    fn take(&mut self, peer: Peer) {
        if self.knows(&peer) {
            return;
        }
        if let (Some(cap), Some(organisation)) = (self.cap, peer.organisation) {
            let count = self.of.entry(organisation).or_default();
            if *count >= cap.get() {
                return;
            }
            *count += 1;
        }
        self.taken.insert((self.root)(peer.author));
        self.addresses.insert(peer.address.clone());
        self.peers.push(peer);
    }
}

#[cfg(test)]
mod tests {
    use qis_fingerprint::{Fingerprint, SpaceId};

    use super::*;
    use crate::draw::SplitMix;

    fn peer(number: u16, organisation: Option<&str>) -> Peer {
        let mut author = [0; 16];
        author[..2].copy_from_slice(&number.to_be_bytes());
        Peer {
            author: AuthorId::from_bytes(author),
            address: format!("a:{number}").parse().unwrap(),
            fingerprint: Fingerprint::from_codes(SpaceId::new("t", 1), vec![1]).unwrap(),
            organisation: organisation.map(Organisation::new),
        }
    }

    fn number(peer: &Peer) -> u16 {
        u16::from_be_bytes(*peer.author.as_bytes().first_chunk().unwrap())
    }

    fn choose(selection: &Selection, similar: Vec<Peer>, random: Vec<Peer>, seed: u64) -> Vec<u16> {
        let mut draws = SplitMix::new(seed);
        let me = peer(0, None).author;
        let chosen = selection.choose(Candidates { similar, random }, |author| author, me, || draws.next());
        chosen.iter().map(number).collect()
    }

    /// What a directory of this many members says to a selection, the most similar first, the asking one among them.
    fn members(selection: &Selection, count: u16) -> (Vec<Peer>, Vec<Peer>) {
        let similar = (0..count).take(selection.similar_wanted()).map(|one| peer(one, None)).collect();
        let mut draws = SplitMix::new(9);
        let mut all: Vec<u16> = (0..count).collect();
        let drawn = (0..selection.total()).filter_map(|_| take_any(&mut all, || draws.next()));
        (similar, drawn.map(|one| peer(one, None)).collect())
    }

    #[test]
    fn the_articles_are_the_most_similar() {
        let (similar, random) = members(&Selection::article(), 1000);
        assert_eq!(similar.len(), 21);
        assert_eq!(choose(&Selection::article(), similar, random, 1), (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn all_places_are_filled_and_nobody_is_there_twice() {
        for selection in [Selection::article(), Selection::balanced(), Selection::hostile()] {
            for count in [1, 2, 15, 45, 1000] {
                let (similar, random) = members(&selection, count);
                let mut chosen = choose(&selection, similar, random, 5);
                assert!(chosen.starts_with(&(1..count.min(11)).collect::<Vec<_>>()));
                chosen.sort_unstable();
                chosen.dedup();
                let others = usize::from(count) - 1;
                assert_eq!(chosen.len(), others.min(selection.total()), "{selection:?} of {count}");
                assert!(!chosen.contains(&0));
            }
        }
    }

    #[test]
    fn without_random_ones_more_similar_ones_take_the_places() {
        let balanced = Selection::balanced();
        let similar = (0..60).map(|one| peer(one, None)).collect();
        assert_eq!(choose(&balanced, similar, Vec::new(), 1), (1..=40).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_seed_draws_the_same() {
        let hostile = Selection::hostile();
        let (similar, random) = members(&hostile, 1000);
        let first = choose(&hostile, similar.clone(), random.clone(), 1);
        assert_eq!(first, choose(&hostile, similar.clone(), random.clone(), 1));
        assert_ne!(first, choose(&hostile, similar, random, 2));
    }

    #[test]
    fn clones_at_a_situation_do_not_own_what_is_sampled() {
        let selection = Selection { random: 0, per_organisation: None, ..Selection::hostile() };
        // As many clones as a look-up of the most similar 20 finds, and honest ones behind them.
        let similar: Vec<Peer> = (1..=60).map(|one| peer(one, None)).collect();
        let captured = |seed| {
            choose(&selection, similar.clone(), Vec::new(), seed).iter().filter(|one| **one <= 20).count()
        };
        let captured: usize = (0..400).map(captured).sum();
        // 10, and 10 of 40 for the other ten: 12.5.
        assert!((4900..5100).contains(&captured), "{captured} in 400");
    }

    #[test]
    fn an_organisation_has_its_places_over_all_kinds() {
        let hostile = Selection::hostile();
        // All that is similar is one organisation's, and a fifth of all members are.
        let similar = (0..=hostile.similar_wanted()).map(|one| peer(one as u16, Some("clones"))).collect();
        let of =
            |one: u16| if one.is_multiple_of(5) { "clones".to_owned() } else { format!("o{}", one % 97) };
        let random = (1000..1060).map(|one| peer(one, Some(&of(one)))).collect();
        let chosen = choose(&hostile, similar, random, 3);
        let clones = chosen.iter().filter(|one| **one < 1000 || one.is_multiple_of(5)).count();
        assert_eq!((clones, chosen.len()), (2, 40));
        // Those of no organisation are each their own.
        let nobodys = (1..=100).map(|one| peer(one, None)).collect();
        assert_eq!(choose(&hostile, nobodys, Vec::new(), 3).len(), 40);
    }

    #[test]
    fn keys_of_one_author_and_nodes_at_one_address_are_one() {
        let mut moved = peer(3, None);
        moved.address = "a:2".parse().unwrap();
        let similar = vec![peer(1, None), peer(2, None), moved, peer(4, None), peer(5, None)];
        // 4 is an earlier key of 1.
        let root =
            |author: AuthorId| if author == peer(4, None).author { peer(1, None).author } else { author };
        let candidates = Candidates { similar, random: Vec::new() };
        let chosen = Selection::article().choose(candidates, root, peer(0, None).author, || 0);
        assert_eq!(chosen.iter().map(number).collect::<Vec<_>>(), [1, 2, 5]);
    }

    #[test]
    fn none_and_too_many_are_refused() {
        for selection in
            [Selection::most_similar(0), Selection { random: 1000, ..Selection::most_similar(1) }]
        {
            assert_eq!(selection.validate().unwrap_err().field, "selection");
        }
        assert_eq!(Selection { random: 1000, ..Selection::most_similar(0) }.validate(), Ok(()));
    }
}
