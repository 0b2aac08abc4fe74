//! Faults at every call to the disk in a short history: what was acknowledged is there, and no batch in part.

use qis_route::{Batch, HostErrorKind, Table};

use crate::OpenError;
use crate::cipher::Cipher;
use crate::engine::Engine;
use crate::file::Opener;
use crate::schema::Migration;
use crate::testing::{Disk, Failing, content, history, model, put, settings};

fn store() -> Disk {
    let disk = Disk::default();
    drop(disk.open().unwrap());
    disk
}

/// Writes a history until it fails; returns how many batches were acknowledged, and with what it failed.
fn write(engine: &mut Engine, history: &[Batch]) -> (usize, Option<HostErrorKind>) {
    for (acknowledged, batch) in history.iter().enumerate() {
        if let Err(error) = engine.commit(batch.clone()) {
            return (acknowledged, Some(error.kind()));
        }
    }
    (history.len(), None)
}

/// Checks that a disk holds the acknowledged batches and perhaps one more, whole.
fn assert_holds(disk: &Disk, acknowledged: usize, what: &str) {
    let history = history();
    let mut engine = disk.open().unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = content(&mut engine);
    let next = (acknowledged + 1).min(history.len());
    let expected = [acknowledged, next].map(|batches| model(&history[..batches]));
    assert!(expected.contains(&found), "{what}: neither {acknowledged} batches nor {next}");
    engine.commit(history[0].clone()).unwrap();
}

/// Fails at each call in turn, until the history ends before it does.
fn at_every_call(failing: Failing, mut check: impl FnMut(&Disk, &str)) {
    let new = store();
    for call in 0.. {
        let disk = new.copy();
        let what = format!("{failing:?} at call {call}");
        disk.fail_at(call, failing);
        check(&disk, &what);
        if !disk.has_failed() {
            assert!(call > 60, "the history has more calls than {call}");
            return;
        }
    }
}

fn assert_acknowledged_survives(failing: Failing) {
    let mut seed = 0;
    at_every_call(failing, |disk, what| {
        let mut acknowledged = 0;
        if let Ok(mut engine) = disk.open() {
            let error;
            (acknowledged, error) = write(&mut engine, &history());
            if error.is_some() {
                assert_eq!(error, Some(HostErrorKind::Corrupt), "{what}");
                disk.heal();
                let again = engine.commit(history()[0].clone()).unwrap_err();
                assert_eq!(again.kind(), HostErrorKind::Corrupt, "{what}: it is poisoned for good");
                assert!(engine.range(Table::Order, &[], 1).is_err());
                assert!(engine.check().is_err() && engine.snapshot().is_err());
            }
        }
        disk.heal();
        seed += 1;
        let after = disk.copy();
        after.lose_power(seed);
        assert_holds(&after, acknowledged, &format!("{what}, power lost with seed {seed}"));
        // A process that starts anew sees what the operating system holds.
        assert_holds(&disk.copy(), acknowledged, what);
    });
}

#[test]
fn after_a_failed_write_what_was_acknowledged_is_there_and_nothing_by_halves() {
    assert_acknowledged_survives(Failing::Write);
}

#[test]
fn after_half_a_write_too() {
    assert_acknowledged_survives(Failing::Torn);
}

#[test]
fn after_a_failed_sync_nothing_more_is_written() {
    assert_acknowledged_survives(Failing::Sync);
}

#[test]
fn a_disk_too_full_to_find_out_what_is_there_poisons() {
    assert_acknowledged_survives(Failing::FullForAll);
}

/// Makes room whenever there is none, and goes on.
fn write_with_room_made(engine: &mut Engine, disk: &Disk, what: &str) {
    let history = history();
    for (at, batch) in history.iter().enumerate() {
        if let Err(error) = engine.commit(batch.clone()) {
            assert_eq!(error.kind(), HostErrorKind::Full, "{what}: {error}");
            assert_eq!(content(engine), model(&history[..at]), "{what}: it is as it was");
            let again = engine.commit(batch.clone()).unwrap_err();
            assert_eq!(again.kind(), HostErrorKind::Full, "{what}");
            disk.heal();
            engine.commit(batch.clone()).unwrap();
        }
    }
    assert_eq!(content(engine), model(&history), "{what}");
}

#[test]
fn a_full_disk_is_full_and_nothing_more_and_goes_on_once_there_is_room() {
    at_every_call(Failing::Full, |disk, what| {
        let mut engine = disk.open().unwrap_or_else(|error| panic!("{what}: {error}"));
        write_with_room_made(&mut engine, disk, what);
        drop(engine);
        disk.heal();
        disk.lose_power(1);
        assert_holds(disk, history().len(), what);
    });
}

#[test]
fn a_panic_below_is_contained_and_poisons() {
    for call in [5, 20, 40, 60] {
        let disk = store();
        let mut engine = disk.open().unwrap();
        disk.fail_at(call, Failing::Panic);
        let (acknowledged, error) = write(&mut engine, &history());
        assert_eq!(error, Some(HostErrorKind::Corrupt), "call {call}");
        drop(engine);
        disk.heal();
        assert_holds(&disk, acknowledged, &format!("a panic at call {call}"));
    }
    let opener = Opener::new(|| panic!("as the test says"));
    let error = Engine::open(settings(Cipher::default(), &[]), opener).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_batch_of_thousands_is_one_transaction_and_one_sync() {
    let disk = store();
    let mut engine = disk.open().unwrap();
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
    let open = |disk: &Disk, steps| disk.open_with(Cipher::default(), steps);
    let disk = store();
    disk.open().unwrap().commit(history()[0].clone()).unwrap();
    let error = open(&disk, FAILING_STEPS).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    let mut engine = disk.open().unwrap();
    assert_eq!(content(&mut engine), model(&history()[..1]), "what the first step did is gone too");
    drop(engine);

    let mut engine = open(&disk, STEPS).unwrap();
    let mut expected = model(&history()[..1]);
    expected.insert((Table::Packets, b"second".to_vec()), b"1".to_vec());
    assert_eq!(content(&mut engine), expected);
    drop(engine);
    assert_eq!(content(&mut open(&disk, STEPS).unwrap()), expected, "once");
    let error = open(&disk, &STEPS[..1]).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, supported: 2, .. }), "{error}");
    let error = disk.open().unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, supported: 1, .. }), "{error}");

    let new = Disk::default();
    let mut engine = open(&new, STEPS).unwrap();
    assert!(content(&mut engine).is_empty(), "a new file needs no steps");
}
