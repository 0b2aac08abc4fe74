//! A file system without room, and one that may not be written: small ones of its own, where this may make them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use qis_conformance::block_on as wait;
use qis_route::{Batch, HostErrorKind, Store, Table};
use qis_store::{BackupError, OpenError, RedbStore};

use crate::rows::{all, commit, delete, put};

/// A file system in memory, of so many KiB. It is taken away in the end.
struct Mounted {
    directory: tempfile::TempDir,
}

impl Mounted {
    /// None where mounting is not allowed.
    #[expect(clippy::print_stdout, reason = "a test that is left out says so")]
    fn new(kib: u32) -> Option<Self> {
        let mounted = Self { directory: tempfile::tempdir().unwrap() };
        let made = cfg!(target_os = "linux")
            && run(
                "mount",
                &["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"],
                mounted.directory.path(),
            );
        if !made {
            println!("left out: this needs to mount a tmpfs, which wants root on Linux");
        }
        made.then_some(mounted)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[], self.directory.path());
    }
}

fn run(program: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = Command::new(program);
    let command = command.args(arguments).arg(path).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn large(number: u8) -> Batch {
    let rows = (0..20_u8).map(|row| put(Table::Packets, [number, row], vec![number; 1_000]));
    Batch { operations: rows.collect() }
}

#[test]
fn a_store_that_fills_its_file_system_says_so_and_goes_on_once_there_is_room() {
    let Some(mounted) = Mounted::new(512) else { return };
    let path = mounted.path("node.redb");
    let store = RedbStore::open(&path).unwrap();
    let ballast = mounted.path("ballast");
    std::fs::write(&ballast, vec![1; 100_000]).unwrap();
    let mut written = 0;
    let error = loop {
        match wait(store.commit(large(written))) {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), HostErrorKind::Full, "{error}");
    assert!(written > 0);
    assert_eq!(wait(all(&store, Table::Packets)).len(), usize::from(written) * 20);
    assert_eq!(wait(store.commit(large(written))).unwrap_err().kind(), HostErrorKind::Full);
    let full = wait(store.backup(mounted.path("copy.redb"))).unwrap_err();
    assert!(matches!(full, BackupError::Full { .. }), "{full}");
    assert!(!mounted.path("copy.redb").exists());

    std::fs::remove_file(&ballast).unwrap();
    wait(store.commit(large(written))).unwrap();
    wait(commit(&store, (0..20_u8).map(|row| delete(Table::Packets, [0, row]))));
    drop(store);
    let store = RedbStore::open(&path).unwrap();
    assert_eq!(wait(all(&store, Table::Packets)).len(), usize::from(written) * 20);
}

#[test]
fn where_there_is_no_room_or_nothing_may_be_written_no_store_is_made() {
    let Some(mounted) = Mounted::new(8) else { return };
    let error = RedbStore::open(mounted.path("node.redb")).unwrap_err();
    assert!(matches!(error, OpenError::Full { .. }), "{error}");
    assert_eq!(std::fs::read_dir(mounted.directory.path()).unwrap().count(), 0, "nothing is left");

    let Some(mounted) = Mounted::new(1024) else { return };
    drop(RedbStore::open(mounted.path("node.redb")).unwrap());
    assert!(run("mount", &["-o", "remount,ro"], mounted.directory.path()));
    for name in ["node.redb", "other.redb"] {
        let error = RedbStore::open(mounted.path(name)).unwrap_err();
        assert!(matches!(error, OpenError::ReadOnly { .. }), "{error}");
    }
}
