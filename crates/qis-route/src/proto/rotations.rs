//! Which keys are one author's.

use std::collections::BTreeMap;

use qis_packet::{AuthorId, Lifetime, PacketId, RotationStatement, SKEW_SECONDS, Timestamp};

/// The longest chain of keys of one author, so that one author can't fill the table.
const MAX_CHAIN: usize = 8;

/// Statements that one key follows another, as chains from an author's first key to its last.
#[derive(Debug)]
pub(super) struct Rotations {
    /// As many authors as a domain has places: who fills this needs as many keys as for those.
    max_chains: usize,
    by_new: BTreeMap<AuthorId, RotationStatement>,
    successors: BTreeMap<AuthorId, AuthorId>,
    /// How many chains there are, so that a statement costs no walk over those of others.
    chains: usize,
}

/// A statement that can't be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RotationRefusal {
    /// The old key has a successor, the new one a predecessor, or both are of one chain.
    Taken,
    /// The table or the chain is full.
    Full,
}

impl Rotations {
    pub(super) const fn new(max_chains: usize) -> Self {
        Self { max_chains, by_new: BTreeMap::new(), successors: BTreeMap::new(), chains: 0 }
    }

    /// The id under which all keys of an author count: that of the first of its chain.
    pub(super) fn root(&self, author: AuthorId) -> AuthorId {
        let mut root = author;
        // Chains are short and have no circles (see `insert`); the bound is for a store that was tampered with.
        for _ in 0..=MAX_CHAIN {
            let Some(statement) = self.by_new.get(&root) else { break };
            root = statement.old().author();
        }
        root
    }

    /// The statement that made this key its author's.
    pub(super) fn get(&self, new: AuthorId) -> Option<&RotationStatement> {
        self.by_new.get(&new)
    }

    /// The statements that lead from an author's first key to this one, the oldest first; those so old that nothing under the earlier key
    /// can stand any more are left out.
    pub(super) fn chain(&self, author: AuthorId, now: Timestamp) -> Vec<&RotationStatement> {
        let mut chain = Vec::new();
        let mut key = author;
        while let Some(statement) = self.by_new.get(&key).filter(|_| chain.len() <= MAX_CHAIN) {
            chain.push(statement);
            key = statement.old().author();
        }
        chain.retain(|statement| now <= retirement(statement.time()));
        chain.reverse();
        chain
    }

    /// By what a filter knows all statements that lead to this key: the beginning of the signature by the new one, which is as good as a hash.
    pub(super) fn ids(&self, author: AuthorId) -> impl Iterator<Item = PacketId> {
        let whole_chain = self.chain(author, Timestamp::from_unix_seconds(0));
        whole_chain.into_iter().filter_map(id)
    }

    /// Whether a filter lacks one of the statements that matter still and lead to this key.
    pub(super) fn misses(&self, author: AuthorId, now: Timestamp, held: impl Fn(&PacketId) -> bool) -> bool {
        self.chain(author, now).into_iter().filter_map(id).any(|id| !held(&id))
    }

    /// Takes in a statement whose signatures were checked.
    pub(super) fn insert(&mut self, statement: RotationStatement) -> Result<(), RotationRefusal> {
        let (old, new) = (statement.old().author(), statement.new_key().author());
        if self.successors.contains_key(&old) || self.by_new.contains_key(&new) {
            return Err(RotationRefusal::Taken);
        }
        let (first, last) = (self.root(old), self.root(new));
        if first == last {
            return Err(RotationRefusal::Taken);
        }
        // Nothing follows the old key and nothing precedes the new one, so the statement joins what ends here to what begins there.
        let before = walk(old, |key| self.by_new.get(&key).map(|statement| statement.old().author()));
        let after = walk(new, |key| self.successors.get(&key).copied());
        let joined = usize::from(before > 0) + usize::from(after > 0);
        if before + after >= MAX_CHAIN || (joined == 0 && self.chains >= self.max_chains) {
            return Err(RotationRefusal::Full);
        }
        self.chains = self.chains + 1 - joined;
        self.successors.insert(old, new);
        self.by_new.insert(new, statement);
        Ok(())
    }

    /// Whether a key was followed by another before the packet of this time was made, or so long ago that nothing it signed can stand
    /// any more.
    pub(super) fn is_retired(&self, author: AuthorId, made: Timestamp, now: Timestamp) -> bool {
        let statement = self.successors.get(&author).and_then(|new| self.by_new.get(new));
        statement.is_some_and(|statement| {
            let since = statement.time();
            made > since.saturating_add(SKEW_SECONDS) || now > retirement(since)
        })
    }

    /// Forgets whole chains of retired keys whose author is not `known` any more; returns the new keys of the statements.
    pub(super) fn purge(&mut self, now: Timestamp, known: impl Fn(AuthorId) -> bool) -> Vec<AuthorId> {
        let mut over: BTreeMap<AuthorId, (bool, Vec<AuthorId>)> = BTreeMap::new();
        for (new, statement) in &self.by_new {
            let chain = over.entry(self.root(*new)).or_insert((true, Vec::new()));
            chain.0 &= now > retirement(statement.time());
            chain.1.push(*new);
        }
        over.retain(|root, (retired, _)| *retired && !known(*root));
        self.chains -= over.len();
        let forgotten: Vec<AuthorId> = over.into_values().flat_map(|(_, chain)| chain).collect();
        for new in &forgotten {
            if let Some(statement) = self.by_new.remove(new) {
                self.successors.remove(&statement.old().author());
            }
        }
        forgotten
    }
}

/// How many steps it is from a key to the end of its chain.
fn walk(from: AuthorId, step: impl Fn(AuthorId) -> Option<AuthorId>) -> usize {
    std::iter::successors(step(from), |key| step(*key)).take(MAX_CHAIN).count()
}

fn retirement(since: Timestamp) -> Timestamp {
    since.saturating_add(Lifetime::MAX.seconds() + SKEW_SECONDS)
}

fn id(statement: &RotationStatement) -> Option<PacketId> {
    let bytes = statement.to_bytes();
    let (_, by_new) = bytes.split_last_chunk::<64>()?;
    by_new.first_chunk().copied().map(PacketId::from_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use qis_packet::{Identity, NetworkId};

    fn key(seed: u8) -> Identity {
        Identity::from_seed([seed; 32])
    }

    fn statement(old: u8, new: u8) -> RotationStatement {
        let time = Timestamp::from_unix_seconds(1000);
        RotationStatement::new(&key(old), &key(new), NetworkId::new("test"), time)
    }

    #[test]
    fn chains_have_one_root_in_any_order_of_learning() {
        let mut rotations = Rotations::new(2);
        for (old, new) in [(2, 3), (1, 2), (3, 4)] {
            rotations.insert(statement(old, new)).unwrap();
        }
        let chain = rotations.chain(key(4).author(), Timestamp::from_unix_seconds(2000));
        let olds: Vec<AuthorId> = chain.iter().map(|statement| statement.old().author()).collect();
        assert_eq!(olds, [key(1).author(), key(2).author(), key(3).author()]);
        for seed in 1..=4 {
            assert_eq!(rotations.root(key(seed).author()), key(1).author());
        }
    }

    #[test]
    fn forks_merges_and_circles_are_refused() {
        let mut rotations = Rotations::new(2);
        rotations.insert(statement(1, 2)).unwrap();
        for (old, new) in [(1, 3), (3, 2), (2, 1)] {
            assert_eq!(rotations.insert(statement(old, new)), Err(RotationRefusal::Taken), "{old} to {new}");
        }
    }

    #[test]
    fn one_author_does_not_fill_the_table() {
        let mut rotations = Rotations::new(2);
        for old in 1..9 {
            rotations.insert(statement(old, old + 1)).unwrap();
        }
        assert_eq!(rotations.insert(statement(9, 10)), Err(RotationRefusal::Full));
        rotations.insert(statement(20, 21)).unwrap();
        assert_eq!(rotations.insert(statement(30, 31)), Err(RotationRefusal::Full), "two authors are here");
        rotations.insert(statement(21, 22)).unwrap();
    }

    #[test]
    fn chains_are_forgotten_as_a_whole_and_only_when_nobody_is_left() {
        let mut rotations = Rotations::new(2);
        rotations.insert(statement(1, 2)).unwrap();
        rotations.insert(statement(2, 3)).unwrap();
        let late = Timestamp::from_unix_seconds(100 * 24 * 3600);
        assert!(rotations.purge(Timestamp::from_unix_seconds(2000), |_| false).is_empty());
        assert!(rotations.purge(late, |_| true).is_empty());
        assert_eq!(rotations.purge(late, |_| false).len(), 2);
        assert_eq!(rotations.root(key(3).author()), key(3).author());
    }

    #[test]
    fn a_place_is_free_again_after_a_chain_was_joined_to_another_or_forgotten() {
        let mut rotations = Rotations::new(2);
        rotations.insert(statement(1, 2)).unwrap();
        rotations.insert(statement(3, 4)).unwrap();
        assert_eq!(rotations.insert(statement(5, 6)), Err(RotationRefusal::Full));
        rotations.insert(statement(2, 3)).unwrap();
        rotations.insert(statement(5, 6)).unwrap();
        assert_eq!(rotations.insert(statement(7, 8)), Err(RotationRefusal::Full));
        let late = Timestamp::from_unix_seconds(100 * 24 * 3600);
        assert_eq!(rotations.purge(late, |root| root == key(5).author()).len(), 3);
        rotations.insert(statement(7, 8)).unwrap();
        assert_eq!(rotations.insert(statement(1, 2)), Err(RotationRefusal::Full));
    }

    #[test]
    fn chains_that_are_too_long_together_are_not_joined() {
        let mut rotations = Rotations::new(2);
        for old in [1, 2, 3, 4, 11, 12, 13, 14] {
            rotations.insert(statement(old, old + 1)).unwrap();
        }
        assert_eq!(rotations.insert(statement(5, 11)), Err(RotationRefusal::Full));
        assert_eq!(rotations.insert(statement(15, 1)), Err(RotationRefusal::Full));
    }
}
