use std::sync::Arc;

use qis_route::{Batch, Operation, Row, Store, Table};

use super::Setup;
use super::crashes::{
    a_full_disk_is_full_and_goes_on_once_there_is_room, acknowledged_batches_survive_a_disk_without_any_room,
    acknowledged_batches_survive_a_failed_write, acknowledged_batches_survive_half_a_write,
    after_a_failed_sync_no_commit_succeeds,
};
use super::history::{content, delete, history, model, put};
use crate::requirement::Requirement;
use crate::runner::{Always, Check, Context, Outcome, Stop, broken, check, ensure, poll_and_drop};

pub(super) const SURVIVES: &str =
    "Once `commit` returns `Ok`, all operations of the batch survive a crash and a power loss.";
pub(super) const ALL_OR_NONE: &str =
    "When it returns an error or is never heard of again, either all or none of them do.";
const IN_ORDER: &str = "The operations of a batch are applied in their order.";
const AS_WRITTEN: &str = "A value comes back as it was written, whatever its bytes, under the key and in the table it was written to.";
const ENDS_BEFORE: &str = "An implementation that goes on regardless, on another thread say, must have ended that commit before it \
     begins the next.";
const SEES: &str = "`range` sees every commit that has ended.";
const ORDERED: &str = "It returns rows in ascending byte order of their keys, starting with the first key that is not below `from`.";
const LIMIT: &str = "It returns exactly `limit` of them, and fewer only when there are no more.";
pub(super) const CORRUPT: &str = "After a write that failed in a way that leaves the outcome unknown (a failed fsync), every later \
     `commit` fails with `HostErrorKind::Corrupt`.";
pub(super) const FULL: &str = "A full disk is `HostErrorKind::Full`, and a later commit may succeed.";
const PANICS: &str =
    "It does not panic: a panic is contained, and the node stops as after `HostErrorKind::Corrupt`.";

const NODE: &str = "it is the node's part";

pub(super) const ALWAYS: Always = Always { of: "store", panics: PANICS, ends: None, waits: None };

pub(super) const UNCHECKED: &[Requirement] = &[
    Requirement::unchecked(
        "Commits are called one at a time, in order, from the node's driver; each starts after the one before has ended.",
        NODE,
    ),
    Requirement::unchecked(
        "The driver does not drop the future of a commit unless it is dropped itself.",
        NODE,
    ),
    Requirement::unchecked("It is called when the node starts.", NODE),
    Requirement::unchecked(
        "One node uses a store, one process at a time.",
        "it is the host's part; a store does well to refuse a second process",
    ),
];

/// A history for each call that may fail takes longer than other checks do.
const CRASHES: u32 = 40;

pub(super) const CHECKS: &[Check<Setup>] = &[
    check!(a_batch_is_applied_in_its_order, [IN_ORDER, AS_WRITTEN]),
    check!(values_come_back_as_they_were_written, [AS_WRITTEN]),
    check!(tables_are_kept_apart, [AS_WRITTEN]),
    check!(a_range_sees_every_commit_that_has_ended, [SEES]),
    check!(a_range_is_in_order_from_where_it_was_asked_for, [ORDERED]),
    check!(a_range_is_as_long_as_was_asked_for, [LIMIT]),
    check!(pages_of_many_rows_miss_none_and_repeat_none, [ORDERED, LIMIT]),
    check!(what_was_committed_outlives_the_handle, [SURVIVES]),
    check!(a_commit_that_nobody_waits_for_ends_before_the_next_begins, [ENDS_BEFORE, ALL_OR_NONE]),
    check!(acknowledged_batches_survive_a_failed_write, [SURVIVES, ALL_OR_NONE], CRASHES),
    check!(acknowledged_batches_survive_half_a_write, [SURVIVES, ALL_OR_NONE], CRASHES),
    check!(after_a_failed_sync_no_commit_succeeds, [CORRUPT, SURVIVES, ALL_OR_NONE], CRASHES),
    check!(acknowledged_batches_survive_a_disk_without_any_room, [SURVIVES, ALL_OR_NONE], CRASHES),
    check!(a_full_disk_is_full_and_goes_on_once_there_is_room, [FULL, ALL_OR_NONE], CRASHES),
];

/// A store with nothing in it, or with what was left there before.
impl Setup {
    async fn store(&self) -> Result<Box<dyn Store>, Stop> {
        (self.open)().await.map_err(|error| Stop::failed("the store could not be opened", error))
    }

    async fn commit(
        &self,
        store: &dyn Store,
        operations: impl IntoIterator<Item = Operation>,
    ) -> Result<(), Stop> {
        let batch = Batch { operations: operations.into_iter().collect() };
        self.call("a commit", store.commit(batch)).await
    }

    async fn range(
        &self,
        store: &dyn Store,
        table: Table,
        from: &[u8],
        limit: usize,
    ) -> Result<Vec<Row>, Stop> {
        self.call("a range", store.range(table, from, limit)).await
    }

    async fn all(&self, store: &dyn Store, table: Table) -> Result<Vec<Row>, Stop> {
        self.range(store, table, &[], usize::MAX).await
    }
}

fn keys(rows: &[Row]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.key.as_slice()).collect()
}

fn row(key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Row {
    Row { key: key.as_ref().to_vec(), value: value.as_ref().to_vec() }
}

/// Rows for a message: keys, and lengths of values.
fn show(rows: &[Row]) -> String {
    let first = rows.iter().take(8).map(|row| format!("{:02x?} ({} bytes)", row.key, row.value.len()));
    let more = if rows.len() > 8 { ", …" } else { "" };
    format!("{} rows: {}{more}", rows.len(), first.collect::<Vec<_>>().join(", "))
}

async fn a_batch_is_applied_in_its_order(setup: Arc<Setup>) -> Outcome {
    let store = setup.store().await?;
    let operations = [
        put(Table::Outbox, b"gone", b"1"),
        delete(Table::Outbox, b"gone"),
        delete(Table::Outbox, b"back"),
        put(Table::Outbox, b"back", b"1"),
        put(Table::Outbox, b"back", b"2"),
        delete(Table::Outbox, b"never there"),
    ];
    setup.commit(&*store, operations).await?;
    let rows = setup.all(&*store, Table::Outbox).await?;
    ensure(rows == [row(b"back", b"2")], IN_ORDER, || {
        format!("`gone` was put and deleted, `back` put twice; found {}", show(&rows))
    })?;
    setup.commit(&*store, []).await?;
    let after = setup.all(&*store, Table::Outbox).await?;
    ensure(after == rows, IN_ORDER, || {
        format!("a batch of nothing made {} of {}", show(&after), show(&rows))
    })?;
    setup.commit(&*store, [put(Table::Outbox, b"back", b"3"), delete(Table::Outbox, b"gone")]).await?;
    let after = setup.all(&*store, Table::Outbox).await?;
    ensure(after == [row(b"back", b"3")], AS_WRITTEN, || {
        format!("a value was replaced; found {}", show(&after))
    })
}

async fn values_come_back_as_they_were_written(setup: Arc<Setup>) -> Outcome {
    let store = setup.store().await?;
    let all_bytes: Vec<u8> = (0..=255).collect();
    let written = [
        row([], b"an empty key"),
        row([0], []),
        row([0, 0], [0; 3]),
        row(b"large", vec![3; 100_000]),
        row(&all_bytes[1..], &all_bytes),
        row([255; 255], [255]),
    ];
    for table in Table::ALL {
        setup.commit(&*store, written.iter().map(|row| put(table, &row.key, &row.value))).await?;
        let mut found = setup.all(&*store, table).await?;
        found.sort_by(|a, b| a.key.cmp(&b.key));
        let mut expected = written.to_vec();
        expected.sort_by(|a, b| a.key.cmp(&b.key));
        ensure(found == expected, AS_WRITTEN, || {
            format!("{table:?} holds {} instead of {}", show(&found), show(&expected))
        })?;
    }
    Ok(())
}

async fn tables_are_kept_apart(setup: Arc<Setup>) -> Outcome {
    let store = setup.store().await?;
    // Keys of any table begin with what could be another one's name.
    let key = |table: Table| [table as u8, b'k'];
    for table in Table::ALL {
        let rows = Table::ALL.map(|of| put(table, key(of), format!("{table:?}, {of:?}")));
        setup.commit(&*store, rows).await?;
    }
    setup.commit(&*store, [delete(Table::Packets, key(Table::Outbox))]).await?;
    for table in Table::ALL {
        let found = setup.all(&*store, table).await?;
        let deleted = |of: Table| table == Table::Packets && of == Table::Outbox;
        let expected: Vec<Row> = Table::ALL
            .into_iter()
            .filter(|of| !deleted(*of))
            .map(|of| row(key(of), format!("{table:?}, {of:?}")))
            .collect();
        ensure(found == expected, AS_WRITTEN, || {
            format!("{table:?} holds {} instead of {}", show(&found), show(&expected))
        })?;
    }
    Ok(())
}

async fn a_range_sees_every_commit_that_has_ended(setup: Arc<Setup>) -> Outcome {
    let store = setup.store().await?;
    for number in 0..20_u8 {
        let operations = [put(Table::Packets, [number], [number]), delete(Table::Packets, [number / 2])];
        setup.commit(&*store, operations).await?;
        let rows = setup.all(&*store, Table::Packets).await?;
        let expected: Vec<Row> = (number / 2 + 1..=number).map(|key| row([key], [key])).collect();
        ensure(rows == expected, SEES, || {
            format!("after commit {number} there are {} instead of {}", show(&rows), show(&expected))
        })?;
    }
    Ok(())
}

/// Keys in the order of their bytes, of which some begin like others.
fn sorted_keys() -> [Vec<u8>; 9] {
    [vec![], vec![0], vec![0, 0], vec![0, 255], vec![1], vec![127], vec![128, 1], vec![255], vec![255; 3]]
}

const FROM: [&[u8]; 8] = [&[], &[0], &[0, 1], &[1], &[1, 0], &[128], &[255, 255, 255], &[255, 255, 255, 0]];

/// A store with rows under these keys, written in the opposite order, and others in other tables.
async fn with_keys(setup: &Setup) -> Result<Box<dyn Store>, Stop> {
    let store = setup.store().await?;
    let keys = sorted_keys();
    let puts = keys.iter().rev().map(|key| put(Table::Outbox, key, b"x"));
    let others = [put(Table::Order, b"\x01", b"other"), put(Table::Synthesis, b"", b"other")];
    setup.commit(&*store, puts.chain(others)).await?;
    Ok(store)
}

async fn a_range_is_in_order_from_where_it_was_asked_for(setup: Arc<Setup>) -> Outcome {
    let store = with_keys(&setup).await?;
    let written = sorted_keys();
    for from in FROM {
        let rows = setup.range(&*store, Table::Outbox, from, usize::MAX).await?;
        let left: Vec<&[u8]> = written.iter().map(Vec::as_slice).filter(|key| *key >= from).collect();
        ensure(keys(&rows) == left, ORDERED, || {
            format!("from {from:02x?} on, the keys {left:02x?} should come, not {:02x?}", keys(&rows))
        })?;
    }
    Ok(())
}

async fn a_range_is_as_long_as_was_asked_for(setup: Arc<Setup>) -> Outcome {
    let store = with_keys(&setup).await?;
    let written = sorted_keys();
    for from in FROM {
        let left = written.iter().filter(|key| key.as_slice() >= from).count();
        for limit in [0, 1, 2, left, left + 1, usize::MAX] {
            let rows = setup.range(&*store, Table::Outbox, from, limit).await?;
            ensure(rows.len() == limit.min(left), LIMIT, || {
                format!("from {from:02x?} on there are {left}; limit {limit} gave {}", show(&rows))
            })?;
        }
    }
    let none = setup.all(&*store, Table::Rotations).await?;
    ensure(none.is_empty(), LIMIT, || format!("nothing was written to a table that holds {}", show(&none)))
}

async fn pages_of_many_rows_miss_none_and_repeat_none(setup: Arc<Setup>) -> Outcome {
    const ROWS: u32 = 3_000;
    const PAGE: usize = 256;
    let store = setup.store().await?;
    let value = |number: u32| number.to_le_bytes().repeat(1 + number as usize % 40);
    let expected = (0..ROWS).map(|number| row(number.to_be_bytes(), value(number)));
    setup.commit(&*store, expected.clone().map(|row| put(Table::Packets, row.key, row.value))).await?;
    let mut rows: Vec<Row> = Vec::new();
    // As a node reads it when it is built.
    loop {
        let from = rows.last().map_or_else(Vec::new, |row| [&row.key[..], &[0]].concat());
        let page = setup.range(&*store, Table::Packets, &from, PAGE).await?;
        let (is_last, found) = (page.len() < PAGE, rows.len() + page.len());
        ensure(page.len() <= PAGE && found <= ROWS as usize, LIMIT, || {
            format!("a page of {} rows, {found} of {ROWS} in all", page.len())
        })?;
        rows.extend(page);
        if is_last {
            break;
        }
    }
    ensure(rows.len() == ROWS as usize, LIMIT, || {
        format!("a page was not full before the end: {} of {ROWS}", rows.len())
    })?;
    ensure(rows.into_iter().eq(expected), ORDERED, || {
        "pages of rows are not those that were written".to_owned()
    })
}

async fn what_was_committed_outlives_the_handle(setup: Arc<Setup>) -> Outcome {
    let history = history();
    for (number, batch) in history.iter().enumerate() {
        let store = setup.store().await?;
        let before = model(history.get(..number).unwrap_or_default());
        ensure(content(&*store).await? == before, SURVIVES, || {
            format!("opened again after {number} commits, it does not hold what they wrote")
        })?;
        setup.commit(&*store, batch.operations.clone()).await?;
    }
    let store = setup.store().await?;
    ensure(content(&*store).await? == model(&history), SURVIVES, || {
        "opened again, it does not hold what the last commit wrote".to_owned()
    })
}

async fn a_commit_that_nobody_waits_for_ends_before_the_next_begins(setup: Arc<Setup>) -> Outcome {
    let store = setup.store().await?;
    for number in 0..30_u8 {
        let dropped = [
            put(Table::Packets, b"key", vec![number; 20_000]),
            put(Table::Outbox, b"key", vec![number; 20_000]),
        ];
        poll_and_drop(1, store.commit(Batch { operations: dropped.into() })).await;
        if number % 3 == 2 {
            let next = [put(Table::Order, b"", [number]), put(Table::Packets, b"key", b"next")];
            setup.commit(&*store, next).await?;
            let rows = setup.all(&*store, Table::Packets).await?;
            if rows != [row(b"key", b"next")] {
                let found =
                    format!("a commit was followed by one that was dropped before it: {}", show(&rows));
                return Err(broken(ENDS_BEFORE, found));
            }
        }
        if number % 3 == 0 {
            // Whatever became of it has ended once this has.
            setup.commit(&*store, []).await?;
            let [packets, outbox] = [Table::Packets, Table::Outbox].map(|table| setup.all(&*store, table));
            let has = |rows: Vec<Row>| rows == [row(b"key", vec![number; 20_000])];
            let (packets, outbox) = (has(packets.await?), has(outbox.await?));
            ensure(packets == outbox, ALL_OR_NONE, || {
                "of a commit that was dropped one row is there and the other is not".to_owned()
            })?;
        }
    }
    Ok(())
}
