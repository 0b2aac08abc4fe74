use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use qis_conformance::block_on;
use qis_conformance::store::Suite;
use qis_route::{Batch, HostError, Operation, Row, Store, Table};

use crate::assert_each_is_caught;
use crate::log::{self, Log};
use crate::slow::pause;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    LosesTheLastBatch,
    DeletesLast,
    CutsValues,
    MixesTables,
    DropsEmptyKeys,
    IsOneCommitBehind,
    SortsBackward,
    SkipsTheFirst,
    GivesMore,
    HasPages,
    DoesDroppedOnesLater,
    DoesDroppedOnesByHalves,
    Panics,
    OnDisk(log::Bug),
}

const BUGS: [(Bug, &str); 18] = [
    (Bug::LosesTheLastBatch, "Once `commit` returns `Ok`"),
    (Bug::DeletesLast, "The operations of a batch are applied in their order."),
    (Bug::CutsValues, "A value comes back as it was written"),
    (Bug::MixesTables, "A value comes back as it was written"),
    (Bug::DropsEmptyKeys, "A value comes back as it was written"),
    (Bug::IsOneCommitBehind, "`range` sees every commit that has ended."),
    (Bug::SortsBackward, "It returns rows in ascending byte order"),
    (Bug::SkipsTheFirst, "It returns rows in ascending byte order"),
    (Bug::GivesMore, "It returns exactly `limit` of them"),
    (Bug::HasPages, "It returns exactly `limit` of them"),
    (Bug::DoesDroppedOnesLater, "An implementation that goes on regardless"),
    (Bug::DoesDroppedOnesByHalves, "When it returns an error or is never heard of again"),
    (Bug::Panics, "It does not panic"),
    (Bug::OnDisk(log::Bug::AcknowledgesEarly), "Once `commit` returns `Ok`"),
    (Bug::OnDisk(log::Bug::HasNoTransactions), "When it returns an error or is never heard of again"),
    (Bug::OnDisk(log::Bug::GoesOn), "After a write that failed in a way"),
    (Bug::OnDisk(log::Bug::FullIsTheEnd), "A full disk is"),
    (Bug::OnDisk(log::Bug::KeepsWhatDidNotFit), "When it returns an error or is never heard of again"),
];

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// What survives the handle.
type Kept = Arc<Mutex<Rows>>;

#[derive(Debug)]
struct Memory {
    bug: Option<Bug>,
    kept: Kept,
    rows: Mutex<Rows>,
    before: Mutex<Rows>,
    later: Mutex<Vec<Operation>>,
}

fn apply(rows: &mut Rows, operation: Operation) {
    match operation {
        Operation::Put { table, key, value } => rows.insert((table, key), value),
        Operation::Delete { table, key } => rows.remove(&(table, key)),
    };
}

/// Does what was dropped, once something else was done.
struct Unfinished<'a>(&'a Memory, Vec<Operation>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.later.lock().unwrap().append(&mut self.1);
    }
}

impl Memory {
    fn new(kept: &Kept, bug: Option<Bug>) -> Self {
        let rows = kept.lock().unwrap().clone();
        let (before, later) = Default::default();
        Self { bug, kept: Arc::clone(kept), rows: Mutex::new(rows), before, later }
    }

    fn as_kept(&self, operation: Operation) -> Option<Operation> {
        Some(match (self.bug, operation) {
            (Some(Bug::CutsValues), Operation::Put { table, key, mut value }) => {
                value.truncate(65_535);
                Operation::Put { table, key, value }
            }
            (Some(Bug::MixesTables), Operation::Put { table: Table::Packets, key, value }) => {
                Operation::Put { table: Table::Outbox, key, value }
            }
            (Some(Bug::DropsEmptyKeys), Operation::Put { key, .. }) if key.is_empty() => return None,
            (_, operation) => operation,
        })
    }
}

#[async_trait]
impl Store for Memory {
    async fn commit(&self, mut batch: Batch) -> Result<(), HostError> {
        let is_put = |operation: &Operation| matches!(operation, Operation::Put { .. });
        match self.bug {
            Some(Bug::Panics) if batch.operations.is_empty() => panic!("as the test has it"),
            Some(Bug::DeletesLast) => batch.operations.sort_by_key(|operation| !is_put(operation)),
            Some(Bug::DoesDroppedOnesLater) => {
                let mut unfinished = Unfinished(self, std::mem::take(&mut batch.operations));
                pause().await;
                batch.operations = std::mem::take(&mut unfinished.1);
            }
            Some(Bug::DoesDroppedOnesByHalves) if batch.operations.len() > 1 => {
                let first = batch.operations.remove(0);
                apply(&mut self.rows.lock().unwrap(), first);
                pause().await;
            }
            _ => {}
        }
        let mut rows = self.rows.lock().unwrap();
        *self.before.lock().unwrap() = rows.clone();
        if self.bug == Some(Bug::LosesTheLastBatch) {
            self.kept.lock().unwrap().clone_from(&rows);
        }
        let later = std::mem::take(&mut *self.later.lock().unwrap());
        for operation in batch.operations.into_iter().chain(later) {
            if let Some(operation) = self.as_kept(operation) {
                apply(&mut rows, operation);
            }
        }
        if self.bug != Some(Bug::LosesTheLastBatch) {
            self.kept.lock().unwrap().clone_from(&rows);
        }
        Ok(())
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        let rows = match self.bug {
            Some(Bug::IsOneCommitBehind) => self.before.lock().unwrap().clone(),
            _ => self.rows.lock().unwrap().clone(),
        };
        let found = rows.into_iter().filter(|((of, key), _)| *of == table && &key[..] >= from);
        let mut found: Vec<Row> = found.map(|((_, key), value)| Row { key, value }).collect();
        match self.bug {
            Some(Bug::SortsBackward) => found.reverse(),
            Some(Bug::SkipsTheFirst) if !from.is_empty() => found.retain(|row| row.key != from),
            _ => {}
        }
        found.truncate(match self.bug {
            Some(Bug::GivesMore) => limit.saturating_add(1),
            Some(Bug::HasPages) => limit.min(100),
            _ => limit,
        });
        Ok(found)
    }
}

fn memory(bug: Option<Bug>) -> Suite {
    let place = move || {
        let kept = Kept::default();
        async move || Ok::<_, Infallible>(Memory::new(&kept, bug))
    };
    Suite::new(place)
}

#[test]
fn each_broken_store_is_caught_by_the_sentence_it_breaks() {
    assert_each_is_caught(&Suite::requirements(), &BUGS, |bug| {
        let bug_of_disk = match bug {
            Some(Bug::OnDisk(bug)) => Some(bug),
            _ => None,
        };
        let suite = memory(bug).on_disk(async move |disk| Log::open(disk, bug_of_disk));
        suite.patience(Duration::from_secs(5)).run(block_on)
    });
}

#[test]
fn without_a_medium_crashes_are_left_out_and_the_report_says_so() {
    let report = memory(None).run(block_on).unwrap();
    assert_eq!(report.left_out.len(), 5);
    assert!(report.left_out.iter().all(|left| left.why.contains("on_disk")), "{report:?}");
}

#[test]
fn a_store_that_cannot_be_opened_is_no_broken_sentence() {
    let failures = Suite::new(|| async || Err::<Log, _>("it is in use")).run(block_on).unwrap_err();
    assert_eq!(failures.sentences().count(), 0);
    assert!(failures.to_string().contains("it is in use"), "{failures}");
}
