//! Faults at every call to the disk: what was acknowledged is there, and no batch in part.

use std::collections::BTreeMap;

use qis_conformance::block_on;
use qis_conformance::store::{Disk, Fault, Suite};
use qis_route::{Batch, HostErrorKind, Operation, Table};

use crate::OpenError;
use crate::engine::Engine;
use crate::file::Opener;
use crate::schema::Migration;
use crate::testing;
use crate::testing::{engine_with, settings, store};

type Content = BTreeMap<Vec<u8>, Vec<u8>>;

fn put(table: Table, key: &[u8], value: &[u8]) -> Operation {
    Operation::Put { table, key: key.to_vec(), value: value.to_vec() }
}

/// A batch that replaces a row and adds one, of several pages.
fn batch(number: u8) -> Batch {
    let operations =
        vec![put(Table::Packets, b"last", &[number]), put(Table::Packets, &[number], &[number; 9_000])];
    Batch { operations }
}

/// What there should be after so many batches.
fn content_after(batches: u8) -> Content {
    let rows = (0..batches).map(|number| (vec![number], vec![number; 9_000]));
    rows.chain(batches.checked_sub(1).map(|last| (b"last".to_vec(), vec![last]))).collect()
}

fn content(engine: &mut Engine) -> Content {
    let rows = engine.range(Table::Packets, &[], usize::MAX).unwrap();
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

/// A disk with an empty store on it.
fn new() -> Disk {
    let disk = Disk::default();
    drop(testing::engine(&disk).unwrap());
    disk
}

#[test]
fn it_keeps_to_the_trait_whichever_write_or_sync_fails() {
    let place = || {
        let disk = Disk::default();
        async move || store(&disk)
    };
    let report = Suite::new(place).on_disk(async |disk| store(&disk)).run(block_on).unwrap();
    assert!(report.left_out.is_empty(), "{report:?}");
}

/// Writes batches until one fails; returns how many were acknowledged.
fn write(engine: &mut Engine, what: &str) -> u8 {
    for number in 0..9 {
        if let Err(error) = engine.commit(batch(number)) {
            assert_eq!(error.kind(), HostErrorKind::Corrupt, "{what}: {error}");
            return number;
        }
    }
    panic!("{what}: nothing failed");
}

#[test]
fn after_a_fault_it_is_poisoned_for_good_and_opens_again() {
    for fault in [Fault::Write, Fault::TornWrite, Fault::Sync, Fault::FullForAll, Fault::Panic] {
        for call in [1, 5, 10, 20, 30] {
            let (disk, what) = (new(), format!("{fault:?} at call {call}"));
            let mut engine = testing::engine(&disk).unwrap();
            disk.fail_at(call, fault);
            let acknowledged = write(&mut engine, &what);
            disk.heal();
            let again = engine.commit(batch(0)).unwrap_err();
            assert_eq!(again.kind(), HostErrorKind::Corrupt, "{what}");
            assert!(engine.range(Table::Order, &[], 1).is_err(), "{what}");
            assert!(engine.check().is_err() && engine.snapshot().is_err(), "{what}");
            drop(engine);
            let mut engine = testing::engine(&disk).unwrap();
            let found = content(&mut engine);
            assert!([acknowledged, acknowledged + 1].map(content_after).contains(&found), "{what}");
        }
    }
    let opener = Opener::new(|| panic!("as the test says"));
    let error = Engine::open(settings(&[]), opener).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_batch_of_thousands_is_one_transaction_and_one_sync() {
    let disk = new();
    let mut engine = testing::engine(&disk).unwrap();
    let mut syncs = 0;
    // The first times the file grows, which takes some of their own.
    for number in 0..4 {
        let rows = (0..5_000_u16).map(|row| put(Table::Packets, &row.to_be_bytes(), &[number; 600]));
        let operations = rows.collect();
        syncs = disk.syncs();
        engine.commit(Batch { operations }).unwrap();
    }
    assert_eq!(disk.syncs() - syncs, 1);
    assert_eq!(content(&mut engine).len(), 5_000);
}

const STEPS: &[Migration] = &[
    |write| {
        let mut packets = write.open_table(crate::schema::rows(Table::Packets).unwrap())?;
        packets.insert(&b"first"[..], &b"1"[..])?;
        Ok(())
    },
    |write| {
        let mut packets = write.open_table(crate::schema::rows(Table::Packets).unwrap())?;
        let first = packets.remove(&b"first"[..])?.map(|value| value.value().to_vec());
        packets.insert(&b"second"[..], first.unwrap_or_default().as_slice())?;
        Ok(())
    },
];

const FAILING_STEPS: &[Migration] = &[STEPS[0], |_| Err(redb::Error::ValueTooLarge(0))];

#[test]
fn an_earlier_version_is_brought_to_this_one_at_once_or_not_at_all() {
    let disk = new();
    testing::engine(&disk).unwrap().commit(batch(0)).unwrap();
    let error = engine_with(&disk, FAILING_STEPS).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let mut engine = testing::engine(&disk).unwrap();
    assert_eq!(content(&mut engine), content_after(1), "what the first step did is gone too");
    drop(engine);

    let mut engine = engine_with(&disk, STEPS).unwrap();
    let mut expected = content_after(1);
    expected.insert(b"second".to_vec(), b"1".to_vec());
    assert_eq!(content(&mut engine), expected);
    drop(engine);
    assert_eq!(content(&mut engine_with(&disk, STEPS).unwrap()), expected, "once");
    let error = engine_with(&disk, &STEPS[..1]).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, supported: 2, .. }), "{error}");
    let error = testing::engine(&disk).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, supported: 1, .. }), "{error}");

    let mut engine = engine_with(&Disk::default(), STEPS).unwrap();
    assert!(content(&mut engine).is_empty(), "a new file needs no steps");
}
