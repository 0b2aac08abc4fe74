//! Disks that are full, read-only or damaged, and signals that come again: a defined outcome for each, and a line that says what to do.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::process::{Folder, Process, qis, wait_until};

/// A file system in memory, of so many KiB; taken away in the end.
struct Mounted(PathBuf);

impl Mounted {
    /// None where mounting is not allowed.
    fn new(folder: &Folder, kib: u32) -> Option<Self> {
        let path = folder.path("small");
        fs::create_dir_all(&path).unwrap();
        let mounted = run(Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"])
            .arg(&path));
        mounted.then_some(Self(path))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        run(Command::new("umount").arg(&self.0));
    }
}

fn run(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A node that keeps its store there, and reaches nobody.
fn with_store(folder: &Folder, store: &str) -> PathBuf {
    let more = "[transport]\nkind = \"memory\"\n[http]\nlisten = \"off\"\n[control]\nsocket = \"a.sock\"\n";
    let config = folder.config("a", more);
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("path = \"a.redb\"", &format!("path = {store:?}"))).unwrap();
    config
}

/// Emits until the store takes no more, and returns that failure.
fn emit_until_full(node: &Process) -> Value {
    // Each has its place, so that the store grows.
    (0..10_000)
        .find_map(|number| {
            let situation = format!("patients of ward {number}, as different as can be");
            let request = json!({"emit":{
                "domain":"cardiology/heart","delta":[number, 1, 1],"situation":situation,"wait":false}});
            node.try_ask(&request).err()
        })
        .unwrap()
}

#[test]
fn a_full_disk_is_told_of_and_the_node_goes_on_once_there_is_room() {
    let folder = Folder::new("full");
    let Some(mounted) = Mounted::new(&folder, 3_072) else {
        println!("left out: this needs to mount a tmpfs, which wants root on Linux");
        return;
    };
    let config = with_store(&folder, "small/a.redb");
    let node = Process::run(&folder, "a", config);
    let ballast = mounted.0.join("ballast");
    let room = || fs::metadata(&ballast).map_or(0, |found| found.len());
    // All that is left; the file system gives as much as it has.
    let _ = fs::write(&ballast, vec![1; 3 << 20]);
    assert!(room() > 0);
    let failure = emit_until_full(&node);
    assert_eq!(failure["kind"], "store", "{failure}");
    wait_until("it is told of", || node.log().contains("make room, or see to the disk"));
    assert!(node.status()["store"]["commits_full"].as_u64() > Some(0));
    assert!(node.status()["not_ready"][0].as_str().unwrap().starts_with("the store fails"));

    fs::remove_file(&ballast).unwrap();
    let request = json!({"emit":{"domain":"cardiology/heart","delta":[1, 2, 3],"wait":false}});
    wait_until("the node goes on", || node.try_ask(&request).is_ok());
    wait_until("it is ready", || node.status()["not_ready"] == json!([]));
    assert_eq!(node.terminate(), Some(0));
    assert!(qis(&["node", folder.path("a.toml").to_str().unwrap(), "--check"]).out.contains("which opens"));
}

#[test]
fn a_file_that_may_not_grow_is_a_full_disk_too() {
    let folder = Folder::new("limit");
    let config = with_store(&folder, "a.redb");
    assert_eq!(Process::run(&folder, "a", config.clone()).terminate(), Some(0));
    let size = fs::metadata(folder.path("a.redb")).unwrap().len();
    // In blocks of 512 bytes, and with the signal ignored that would end it.
    let limit = format!("trap '' XFSZ; ulimit -f {}", size / 512);
    let node = Process::run_after(&folder, "a", config, &limit);
    let failure = emit_until_full(&node);
    assert_eq!(failure["kind"], "store", "{failure}");
    wait_until("it is told of", || node.log().contains("make room, or see to the disk"));
    // It ends in order all the same, and the store is as it was acknowledged.
    assert_eq!(node.terminate(), Some(0));
    assert!(qis(&["node", folder.path("a.toml").to_str().unwrap(), "--check"]).out.contains("which opens"));
}

#[test]
fn a_store_that_may_not_be_written_is_refused_at_the_start() {
    let folder = Folder::new("readonly");
    let config = with_store(&folder, "a.redb");
    let node = Process::run(&folder, "a", config.clone());
    assert_eq!(node.terminate(), Some(0));
    fs::set_permissions(folder.path("a.redb"), Permissions::from_mode(0o444)).unwrap();
    let refused = qis(&["node", config.to_str().unwrap()]);
    assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{}", refused.err);
    assert!(refused.err.contains("is read-only: let the user of this process write"), "{}", refused.err);
    assert!(!folder.path("a.sock").exists(), "nothing is left behind");
}

#[test]
fn a_damaged_store_is_refused_at_the_start_and_left_as_it_is() {
    let folder = Folder::new("damaged");
    let config = with_store(&folder, "a.redb");
    let node = Process::run(&folder, "a", config.clone());
    node.ask(&json!({"emit":{"domain":"cardiology/heart","delta":[1, 2, 3]}}));
    assert_eq!(node.terminate(), Some(0));
    let store = folder.path("a.redb");
    let size = fs::metadata(&store).unwrap().len();
    let mut file = OpenOptions::new().write(true).open(&store).unwrap();
    for at in (4096..size).step_by(512) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&[0xa5; 64]).unwrap();
    }
    let damaged = fs::read(&store).unwrap();
    for arguments in [&["node", config.to_str().unwrap()][..], &["node", config.to_str().unwrap(), "--check"]]
    {
        let refused = qis(arguments);
        assert_eq!((refused.code, refused.err.lines().count()), (1, 1), "{}", refused.err);
        for words in ["is damaged", "restore a backup or move the file away"] {
            assert!(refused.err.contains(words), "{}", refused.err);
        }
    }
    assert!(fs::read(&store).unwrap() == damaged, "it is left for whoever looks at it");
    // As the message says.
    fs::remove_file(&store).unwrap();
    let node = Process::run(&folder, "a", config);
    assert_eq!(node.terminate(), Some(0));
}

#[test]
fn a_second_signal_ends_a_node_that_takes_its_time() {
    let folder = Folder::new("twice");
    let node = Process::start_alone(&folder, "a", "[control]\nsocket = \"a.sock\"\n");
    // A client that asks and does not read is waited for a while.
    let mut client = UnixStream::connect(folder.path("a.sock")).unwrap();
    client.set_nonblocking(true).unwrap();
    let mut last = Instant::now();
    while last.elapsed() < Duration::from_secs(1) {
        match client.write_all(b"{\"status\":{}}\n") {
            Ok(()) => last = Instant::now(),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    node.signal("TERM");
    wait_until("it ends", || node.log().contains("the node ends"));
    node.signal("TERM");
    assert_eq!(node.wait(), Some(128 + 15));
    drop(client);
    let log = fs::read_to_string(folder.path("a.log")).unwrap();
    assert!(
        log.contains("a second signal: the node ends at once; what was acknowledged is in the store"),
        "{log}"
    );
    // What it left behind is in nobody's way.
    let again = Process::start_alone(&folder, "a", "[control]\nsocket = \"a.sock\"\n");
    assert_eq!(again.terminate(), Some(0));
}
