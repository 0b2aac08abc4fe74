//! A disk, as far as a store can tell: what was written is there for good only once it was synced.

use std::collections::BTreeMap;

use qis::{Batch, Operation, Row, Table};

use crate::Rng;

/// A log of batches on a disk, and what it amounts to.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// What survives a loss of power.
    durable: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    /// Written and not synced, in this order.
    written: Vec<Batch>,
    /// Whether there is no room.
    pub(super) full: bool,
    /// Whether a sync has failed: nobody knows what is there until the store is opened anew.
    pub(super) poisoned: bool,
    /// Raised each time everything is lost.
    pub(super) generation: u32,
}

impl Disk {
    /// Hands a batch to the operating system.
    pub(super) fn write(&mut self, batch: Batch) {
        self.written.push(batch);
    }

    /// Whether something was written and not synced.
    pub(super) fn is_dirty(&self) -> bool {
        !self.written.is_empty()
    }

    /// Takes the last write back, which is known not to have happened.
    pub(super) fn unwrite(&mut self) {
        self.written.pop();
    }

    /// Makes all that was written durable; returns it.
    pub(super) fn sync(&mut self) -> Vec<Batch> {
        let written = std::mem::take(&mut self.written);
        for batch in &written {
            self.apply(batch);
        }
        written
    }

    /// The process or the power is gone: of what was not synced the first so many batches are there all the same. A batch of which only a part got
    /// to the disk has the wrong checksum, and is none; with `torn` the store takes it all the same. Returns what is durable now.
    pub(super) fn crash(&mut self, random: &mut Rng, torn: bool) -> Vec<Batch> {
        let written = std::mem::take(&mut self.written);
        let kept = random.below(written.len() + 1);
        let mut survived = Vec::new();
        for (at, mut batch) in written.into_iter().enumerate() {
            if at == kept && torn {
                batch.operations.truncate(random.below(batch.operations.len()));
            } else if at >= kept {
                break;
            }
            self.apply(&batch);
            survived.push(batch);
        }
        self.poisoned = false;
        survived
    }

    /// Everything is lost.
    pub(super) fn reformat(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::default() };
    }

    /// Rows from a key on, as a store reads them.
    pub(super) fn range(&self, table: Table, from: &[u8], limit: usize) -> Vec<Row> {
        let rows = self.durable.range((table, from.to_vec())..).take_while(|((of, _), _)| *of == table);
        rows.take(limit).map(|((_, key), value)| Row { key: key.clone(), value: value.clone() }).collect()
    }

    /// The durable value of a key.
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<&[u8]> {
        self.durable.get(&(table, key.to_vec())).map(Vec::as_slice)
    }

    /// The durable rows of a table.
    pub(super) fn rows(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        let rows = self.durable.range((table, Vec::new())..).take_while(move |((of, _), _)| *of == table);
        rows.map(|((_, key), value)| (key.as_slice(), value.as_slice()))
    }

    fn apply(&mut self, batch: &Batch) {
        for operation in &batch.operations {
            match operation {
                Operation::Put { table, key, value } => {
                    self.durable.insert((*table, key.clone()), value.clone());
                }
                Operation::Delete { table, key } => {
                    self.durable.remove(&(*table, key.clone()));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(key: u8) -> Batch {
        let put = |table| Operation::Put { table, key: vec![key], value: vec![key] };
        Batch { operations: vec![put(Table::Packets), put(Table::Outbox)] }
    }

    #[test]
    fn what_was_synced_survives_and_nothing_by_halves() {
        for seed in 0..20 {
            let mut disk = Disk::default();
            disk.write(batch(1));
            assert_eq!(disk.sync().len(), 1);
            disk.write(batch(2));
            disk.write(batch(3));
            let survived = disk.crash(&mut Rng::new(seed), false).len();
            assert_eq!(disk.rows(Table::Packets).count(), 1 + survived);
            assert_eq!(disk.rows(Table::Outbox).count(), 1 + survived);
            assert_eq!(disk.range(Table::Packets, &[1], 1)[0].key, [1]);
        }
        let mut torn = 0;
        for seed in 0..20 {
            let mut disk = Disk::default();
            disk.write(batch(1));
            disk.crash(&mut Rng::new(seed), true);
            torn += usize::from(disk.rows(Table::Packets).count() > disk.rows(Table::Outbox).count());
        }
        assert!(torn > 0, "a store that takes halves");
    }

    #[test]
    fn a_reformatted_disk_is_empty() {
        let mut disk = Disk::default();
        disk.write(batch(1));
        disk.sync();
        disk.reformat();
        assert_eq!((disk.rows(Table::Packets).count(), disk.generation), (0, 1));
    }
}
