//! Files that were damaged outside: a typed error, or the data as it was; never a panic, and never something else.

use std::path::Path;

use qis_conformance::block_on as wait;
use qis_route::{Row, Table};
use qis_store::{OpenError, RedbStore};

use crate::rows::{all, commit, put};

/// Positions in which a file is damaged, of each kind of damage.
const PLACES: usize = 60;

fn content(store: &RedbStore) -> Vec<Row> {
    Table::ALL.into_iter().flat_map(|table| wait(all(store, table))).collect()
}

fn fill(store: &RedbStore, number: u8) {
    let rows = (0..60_u8).map(|row| put(Table::Packets, [row, number], vec![number; 300]));
    wait(commit(store, rows.chain([put(Table::Order, b"", [number; 16])])));
}

/// Opens a damaged file: returns what is in it, or nothing where it is refused as damaged or as no store.
fn look(path: &Path, what: &str) -> Option<Vec<Row>> {
    match RedbStore::open(path) {
        Ok(store) => Some(content(&store)),
        Err(OpenError::Damaged { .. } | OpenError::NotAStore { .. }) => None,
        Err(error) => panic!("{what}: {error}"),
    }
}

/// Damages a file in many places, one at a time. Returns how many were refused.
fn damage(bytes: &[u8], allowed: &[Vec<Row>], mut change: impl FnMut(&mut Vec<u8>, usize)) -> usize {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.redb");
    // All of the header, and places all over the rest.
    let header = 0..320;
    let rest = (0..PLACES).map(|place| 320 + place * (bytes.len() - 320) / PLACES + place % 61);
    let mut refused = 0;
    for at in header.step_by(5).chain(rest).filter(|at| *at < bytes.len()) {
        let mut damaged = bytes.to_vec();
        change(&mut damaged, at);
        std::fs::write(&path, damaged).unwrap();
        let what = format!("damaged at {at} of {}", bytes.len());
        match look(&path, &what) {
            None => refused += 1,
            Some(found) => assert!(allowed.contains(&found), "{what}: other rows"),
        }
    }
    refused
}

#[test]
fn a_damaged_file_is_refused_or_has_what_it_had() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.redb");
    let store = RedbStore::open(&path).unwrap();
    for number in 0..3 {
        fill(&store, number);
    }
    let rows = content(&store);
    drop(store);
    let bytes = std::fs::read(&path).unwrap();
    let allowed = [rows];
    let flip = damage(&bytes, &allowed, |bytes, at| bytes[at] ^= 0x10);
    assert!(flip > 20, "{flip} refused: nothing was damaged");
    let blank = damage(&bytes, &allowed, |bytes, at| {
        let end = (at + 512).min(bytes.len());
        bytes[at..end].fill(0);
    });
    assert!(blank > 20, "{blank}");
    let cut = damage(&bytes, &allowed, Vec::truncate);
    assert!(cut > 20, "{cut}");
    damage(&bytes, &allowed, |bytes, at| {
        let longer = bytes.len() + 1 + at;
        bytes.resize(longer, 0xa5);
    });
}

#[test]
fn the_file_of_a_killed_process_goes_back_by_one_commit_at_most() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.redb");
    let store = RedbStore::open(&path).unwrap();
    let mut states = Vec::new();
    for number in 0..3 {
        fill(&store, number);
        states.push(content(&store));
    }
    // As it is while a process has it open.
    let bytes = std::fs::read(&path).unwrap();
    let refused = damage(&bytes, &states[1..], |bytes, at| bytes[at] ^= 0x10);
    assert!(refused > 0, "{refused}");
    drop(store);
    std::fs::write(&path, &bytes).unwrap();
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(content(&store), states[2]);
}

#[test]
fn a_file_that_is_damaged_while_it_is_open_is_noticed_by_a_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.redb");
    let store = RedbStore::open(&path).unwrap();
    for number in 0..3 {
        fill(&store, number);
    }
    let mut bytes = std::fs::read(&path).unwrap();
    for at in (8192..bytes.len()).step_by(1000) {
        bytes[at] ^= 0xff;
    }
    std::fs::write(&path, bytes).unwrap();
    let error = wait(store.check()).unwrap_err();
    assert_eq!(error.kind(), qis_route::HostErrorKind::Corrupt, "{error}");
    let batch = qis_route::Batch { operations: vec![put(Table::Order, b"", b"1")] };
    let error = wait(qis_route::Store::commit(&store, batch)).unwrap_err();
    assert_eq!(error.kind(), qis_route::HostErrorKind::Corrupt, "nothing is written on top of it");
}
