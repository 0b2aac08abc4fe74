//! What waits for the store.

use std::collections::VecDeque;

use super::receipt::EmissionId;
use crate::{Batch, Operation};

/// Collects changes into batches, one under way at a time, and holds back what may only happen once they are durable.
///
/// Changes that come while a batch is under way form the next one: so many packets share one commit when the store is slow.
#[derive(Debug)]
pub(super) struct Journal<E> {
    staged: Staged<E>,
    under_way: Option<Staged<E>>,
}

#[derive(Debug)]
struct Staged<E> {
    changes: Vec<Change>,
    effects: VecDeque<E>,
}

#[derive(Debug)]
struct Change {
    operation: Operation,
    /// The emission that fails when the store does; other changes are tried again.
    emission: Option<EmissionId>,
}

impl<E> Staged<E> {
    const fn new() -> Self {
        Self { changes: Vec::new(), effects: VecDeque::new() }
    }
}

impl<E> Journal<E> {
    pub(super) const fn new() -> Self {
        Self { staged: Staged::new(), under_way: None }
    }

    /// Changes that are not durable yet, and effects that wait for them.
    pub(super) fn len(&self) -> usize {
        let count = |staged: &Staged<E>| staged.changes.len() + staged.effects.len();
        count(&self.staged) + self.under_way.as_ref().map_or(0, count)
    }

    pub(super) fn stage(&mut self, operation: Operation, emission: Option<EmissionId>) {
        self.staged.changes.push(Change { operation, emission });
    }

    /// Stages a change that makes an earlier one of the same key, if that is not under way yet, unnecessary.
    pub(super) fn stage_latest(&mut self, operation: Operation) {
        let same = |change: &&mut Change| match (&change.operation, &operation) {
            (Operation::Put { table: a, key: x, .. }, Operation::Put { table: b, key: y, .. }) => {
                a == b && x == y
            }
            _ => false,
        };
        // After a failure there may be two: the last one counts.
        match self.staged.changes.iter_mut().rev().find(same) {
            Some(earlier) => earlier.operation = operation,
            None => self.stage(operation, None),
        }
    }

    /// Has `effect` happen once all that was staged so far is durable; gives it back when it is already.
    pub(super) fn after(&mut self, effect: E) -> Option<E> {
        if !self.staged.changes.is_empty() {
            self.staged.effects.push_back(effect);
        } else if let Some(under_way) = &mut self.under_way {
            under_way.effects.push_back(effect);
        } else {
            return Some(effect);
        }
        None
    }

    /// The next batch, when none is under way and there is something to commit.
    pub(super) fn begin(&mut self) -> Option<Batch> {
        if self.under_way.is_some() || self.staged.changes.is_empty() {
            return None;
        }
        let staged = std::mem::replace(&mut self.staged, Staged::new());
        let operations = staged.changes.iter().map(|change| change.operation.clone()).collect();
        self.under_way = Some(staged);
        Some(Batch { operations })
    }

    /// The batch under way is durable; returns what may happen now, in order.
    pub(super) fn committed(&mut self) -> VecDeque<E> {
        self.under_way.take().map(|staged| staged.effects).unwrap_or_default()
    }

    /// The batch under way failed. All emissions that are not durable are taken out, in the order they were staged, with what waited
    /// for them: a later one may have replaced an earlier one. The other changes and effects are staged again, in their order.
    pub(super) fn failed(&mut self, belongs: impl Fn(&E) -> Option<EmissionId>) -> Vec<EmissionId> {
        let Some(mut all) = self.under_way.take() else { return Vec::new() };
        all.changes.append(&mut self.staged.changes);
        all.effects.append(&mut self.staged.effects);
        let mut emissions: Vec<EmissionId> =
            all.changes.iter().filter_map(|change| change.emission).collect();
        emissions.dedup();
        all.changes.retain(|change| change.emission.is_none());
        all.effects.retain(|effect| belongs(effect).is_none_or(|id| !emissions.contains(&id)));
        self.staged = all;
        emissions
    }

    /// What waits for nothing any more, after a failure left no change behind.
    pub(super) fn released(&mut self) -> VecDeque<E> {
        if self.staged.changes.is_empty() && self.under_way.is_none() {
            std::mem::take(&mut self.staged.effects)
        } else {
            VecDeque::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;

    fn put(key: u8) -> Operation {
        Operation::Put { table: Table::Packets, key: vec![key], value: vec![] }
    }

    #[test]
    fn effects_wait_for_their_changes() {
        let mut journal = Journal::new();
        assert_eq!(journal.after("at once"), Some("at once"));
        journal.stage(put(1), None);
        assert_eq!(journal.after("first"), None);
        assert_eq!(journal.begin().unwrap().operations, [put(1)]);
        assert_eq!(journal.after("still first"), None);
        journal.stage(put(2), None);
        assert_eq!(journal.after("second"), None);
        assert_eq!(journal.begin(), None, "one at a time");
        assert_eq!(journal.committed(), ["first", "still first"]);
        assert_eq!(journal.begin().unwrap().operations, [put(2)]);
        assert_eq!(journal.committed(), ["second"]);
        assert_eq!(journal.len(), 0);
    }

    #[test]
    fn a_failure_loses_all_emissions_and_nothing_else() {
        let mut journal = Journal::new();
        let id = EmissionId(7);
        journal.stage(put(1), None);
        journal.after("acknowledge 1");
        journal.stage(put(2), Some(id));
        journal.after("emit 2");
        journal.begin();
        journal.stage(put(3), None);
        journal.after("acknowledge 3");
        let later = EmissionId(8);
        journal.stage(put(4), Some(later));
        journal.after("emit 4");
        let failed = journal.failed(|effect| match *effect {
            "emit 2" => Some(id),
            "emit 4" => Some(later),
            _ => None,
        });
        assert_eq!(failed, [id, later]);
        assert_eq!(journal.begin().unwrap().operations, [put(1), put(3)]);
        assert_eq!(journal.committed(), ["acknowledge 1", "acknowledge 3"]);
    }

    #[test]
    fn effects_that_wait_for_nothing_any_more_are_released() {
        let mut journal = Journal::new();
        let id = EmissionId(7);
        journal.stage(put(1), Some(id));
        journal.after("emit");
        journal.after("acknowledge");
        journal.begin();
        journal.failed(|effect| (*effect == "emit").then_some(id));
        assert_eq!(journal.released(), ["acknowledge"]);
        assert_eq!(journal.begin(), None);
    }
}
