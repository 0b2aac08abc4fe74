//! The contract of the trait, and what is the file's alone.

use std::path::{Path, PathBuf};

use qis_conformance::{block_on as wait, store};
use qis_route::{Batch, HostErrorKind, Store, Table};
use qis_store::{BackupError, OpenError, RedbStore};
use tempfile::TempDir;

use crate::rows::{all, commit, delete, put};

/// A place for a store, which is removed in the end.
struct Place {
    directory: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("node.redb")
    }

    fn open(&self) -> RedbStore {
        RedbStore::open(self.path()).unwrap()
    }
}

#[test]
fn it_keeps_to_the_trait() {
    let place = || {
        let place = Place::new();
        async move || RedbStore::open(place.path())
    };
    store::Suite::new(place).run(wait).unwrap();
}

#[test]
fn one_process_at_a_time_and_the_next_once_the_last_handle_is_gone() {
    let place = Place::new();
    let store = place.open();
    let error = RedbStore::open(place.path()).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }) && error.to_string().contains("in use"), "{error}");
    let clone = store.clone();
    drop(store);
    assert!(RedbStore::open(place.path()).is_err(), "a clone is left");
    drop(clone);
    place.open();
}

#[test]
fn what_is_no_store_is_left_alone() {
    let place = Place::new();
    let not_a_store = |path: &Path| {
        let before = std::fs::read(path).unwrap_or_default();
        let error = RedbStore::open(path).unwrap_err();
        assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
        assert_eq!(std::fs::read(path).unwrap_or_default(), before);
    };
    for content in [&b""[..], b"x", b"something else, of a few bytes", &[0; 8192], &[0xff; 100_000]] {
        std::fs::write(place.path(), content).unwrap();
        not_a_store(&place.path());
    }
    not_a_store(place.directory.path());
    let nowhere = place.directory.path().join("nowhere").join("node.redb");
    let error = RedbStore::open(nowhere).unwrap_err();
    assert!(matches!(error, OpenError::NoDirectory { .. }), "{error}");

    let foreign = place.directory.path().join("foreign.redb");
    let database = redb::Database::create(&foreign).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<u64, u64>::new("order")).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = RedbStore::open(foreign).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
}

#[test]
fn a_file_that_may_not_be_written_is_read_only() {
    let place = Place::new();
    drop(place.open());
    let mut permissions = std::fs::metadata(place.path()).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(place.path(), permissions).unwrap();
    let error = RedbStore::open(place.path()).unwrap_err();
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn only_the_owner_can_read_the_file_and_nothing_is_left_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let store = place.open();
    wait(store.backup(place.directory.path().join("copy.redb"))).unwrap();
    drop(store);
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(place.directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["copy.redb", "node.redb"]);
}

#[test]
fn secrets_are_sealed_with_a_key_and_open_with_no_other() {
    const SECRET: &[u8] = b"what hides provenance";
    let place = Place::new();
    let open = |key: Option<u8>| match key {
        Some(key) => RedbStore::options().secret_key([key; 32]).open(place.path()),
        None => RedbStore::open(place.path()),
    };
    let in_clear = || {
        let bytes = std::fs::read(place.path()).unwrap();
        bytes.windows(SECRET.len()).any(|part| part == SECRET)
    };
    let store = open(Some(1)).unwrap();
    wait(commit(&store, [put(Table::Secrets, b"site", SECRET), put(Table::Peers, b"1", b"node-1")]));
    assert_eq!(wait(all(&store, Table::Secrets))[0].value, SECRET);
    drop(store);
    assert!(!in_clear());
    assert!(matches!(open(None), Err(OpenError::KeyMissing { .. })));
    assert!(matches!(open(Some(2)), Err(OpenError::KeyWrong { .. })));
    let store = open(Some(1)).unwrap();
    assert_eq!(wait(all(&store, Table::Secrets))[0].value, SECRET);
    assert_eq!(wait(all(&store, Table::Peers))[0].value, b"node-1", "other tables are in clear");
    wait(commit(&store, [delete(Table::Secrets, b"site")]));
    drop(store);

    let store = open(None).unwrap();
    wait(commit(&store, [put(Table::Secrets, b"site", SECRET)]));
    drop(store);
    assert!(in_clear(), "without a key");
    let store = open(Some(3)).unwrap();
    assert_eq!(wait(all(&store, Table::Secrets))[0].value, SECRET);
    drop(store);
    assert!(matches!(open(None), Err(OpenError::KeyMissing { .. })), "what was in clear was sealed");
}

#[test]
fn a_backup_is_the_store_at_one_moment_while_commits_go_on() {
    let place = Place::new();
    let store = place.open();
    let round = |number: u16| {
        (0..200_u16).map(move |row| put(Table::Packets, row.to_be_bytes(), number.to_be_bytes().repeat(50)))
    };
    wait(commit(&store, round(0)));
    let mut copies = Vec::new();
    for number in 1..5_u16 {
        let path = place.directory.path().join(format!("copy-{number}.redb"));
        let copying = std::thread::spawn({
            let (store, path) = (store.clone(), path.clone());
            move || wait(store.backup(path)).unwrap()
        });
        wait(commit(&store, round(number)));
        copying.join().unwrap();
        copies.push((number, path));
    }
    for (number, path) in &copies {
        let copy = RedbStore::open(path).unwrap();
        let rows = wait(all(&copy, Table::Packets));
        assert_eq!(rows.len(), 200);
        assert!(rows.iter().all(|row| row.value == rows[0].value), "one moment");
        let of = u16::from_be_bytes([rows[0].value[0], rows[0].value[1]]);
        assert!((number - 1..=*number).contains(&of), "{of} in copy {number}");
        wait(commit(&copy, [put(Table::Order, b"", b"it can be written")]));
    }
    let exists = wait(store.backup(&copies[0].1)).unwrap_err();
    assert!(matches!(exists, BackupError::Exists { .. }), "{exists}");
    let nowhere = wait(store.backup(place.directory.path().join("no/copy"))).unwrap_err();
    assert!(matches!(nowhere, BackupError::NoDirectory { .. }), "{nowhere}");
}

#[test]
fn a_check_counts_what_is_there() {
    let place = Place::new();
    let store = place.open();
    wait(commit(&store, (0..100_u8).map(|row| put(Table::Packets, [row], [row; 9]))));
    let check = wait(store.check()).unwrap();
    assert_eq!((check.repaired, check.rows, check.bytes), (false, 100, 1_000));
    wait(commit(&store, [delete(Table::Packets, [1])]));
    assert_eq!(wait(store.check()).unwrap().rows, 99);
}

#[test]
fn a_hundred_calls_at_once_are_answered_or_refused_and_block_nobody() {
    let place = Place::new();
    let store = place.open();
    let batch = || Batch { operations: vec![put(Table::Packets, b"key", vec![1; 200_000])] };
    let commits = (0..200).map(|_| store.commit(batch()));
    let results = wait(futures_util::future::join_all(commits));
    let refused: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(refused.len() < 200);
    assert!(refused.iter().all(|error| error.kind() == HostErrorKind::Unavailable));
    assert_eq!(wait(all(&store, Table::Packets)).len(), 1);
}

#[test]
fn what_a_killed_process_left_unfinished_is_in_nobodys_way() {
    let place = Place::new();
    for number in 0..3 {
        std::fs::write(place.directory.path().join(format!("node.redb.new-{number}")), b"half").unwrap();
    }
    wait(commit(&place.open(), [put(Table::Order, b"", b"1")]));
    assert_eq!(std::fs::read_dir(place.directory.path()).unwrap().count(), 4);
}
