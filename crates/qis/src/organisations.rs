//! On whose behalf the authors of packets take part.

use std::collections::{BTreeMap, VecDeque};

use qis_packet::AuthorId;
use qis_route::Organisation;
use qis_route::proto::Input;

/// More authors than the standing packets of a domain have by default; beyond, whoever was said first is forgotten.
const MOST: usize = 16_384;

/// What was said of authors' organisations, by look-ups or by the host; the last word counts.
#[derive(Debug, Default)]
pub(crate) struct Organisations {
    of: BTreeMap<AuthorId, Organisation>,
    /// Oldest first.
    order: VecDeque<AuthorId>,
}

impl Organisations {
    pub(crate) fn set(&mut self, author: AuthorId, organisation: Organisation) {
        if self.of.insert(author, organisation).is_none() {
            self.order.push_back(author);
            if self.order.len() > MOST
                && let Some(oldest) = self.order.pop_front()
            {
                self.of.remove(&oldest);
            }
        }
    }

    /// Remembers what a look-up says of those it found, if this is the end of one.
    pub(crate) fn learn(&mut self, input: &Input) {
        let Input::Found { result: Ok(found), .. } = input else { return };
        for peer in found.similar.iter().chain(&found.random) {
            if let Some(organisation) = peer.organisation {
                self.set(peer.author, organisation);
            }
        }
    }

    /// That of an author, under the id its packets count by or that of the key it signs with now.
    pub(crate) fn of(&self, root: AuthorId, current: AuthorId) -> Option<Organisation> {
        self.of.get(&current).or_else(|| self.of.get(&root)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn author(number: usize) -> AuthorId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        AuthorId::from_bytes(bytes)
    }

    #[test]
    fn the_last_word_counts_and_the_oldest_is_forgotten() {
        let mut known = Organisations::default();
        let [a, b] = ["a", "b"].map(Organisation::new);
        known.set(author(0), a);
        known.set(author(0), b);
        assert_eq!(known.of(author(0), author(1)), Some(b));
        assert_eq!(known.of(author(1), author(0)), Some(b));
        for number in 1..=MOST {
            known.set(author(number), a);
        }
        assert_eq!(known.of(author(0), author(0)), None);
        assert_eq!((known.of.len(), known.order.len()), (MOST, MOST));
    }
}
