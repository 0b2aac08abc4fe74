//! A process that is killed at any time loses nothing that it acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, SystemTime};

use qis_conformance::block_on as wait;
use qis_route::{Operation, Row, Table};
use qis_store::RedbStore;

use crate::rows::{all, commit, delete, put};

/// Tells the process that writes where; without it, it does nothing.
const STORE: &str = "QIS_KILLED_STORE";
/// How many rounds, if not 50.
const ROUNDS: &str = "QIS_KILL_ROUNDS";
/// Batches write their number to as many places in turn, so that the file does not grow.
const PLACES: u64 = 64;

/// The rows of a batch, in several tables and of several lengths.
fn batch(number: u64) -> Vec<Operation> {
    let place = [(number % PLACES) as u8];
    let value = number.to_le_bytes();
    let long = value.repeat(1 + (number % 97) as usize);
    let mut operations = vec![
        put(Table::Order, b"", value),
        put(Table::Packets, place, &long),
        put(Table::Secrets, place, value),
    ];
    // Every other batch has a row in the outbox, and takes the last one out.
    operations.push(if number.is_multiple_of(2) {
        put(Table::Outbox, b"odd", value)
    } else {
        delete(Table::Outbox, b"odd")
    });
    operations
}

/// The number of the last batch, after checking that it and those before it are whole.
fn verify(store: &RedbStore) -> u64 {
    let number = |row: &Row| u64::from_le_bytes(*row.value.first_chunk().unwrap());
    let last = wait(all(store, Table::Order)).first().map_or(0, number);
    let (packets, secrets) = (wait(all(store, Table::Packets)), wait(all(store, Table::Secrets)));
    assert_eq!(packets.len() as u64, last.min(PLACES));
    assert_eq!(secrets.len(), packets.len());
    for (packet, secret) in packets.iter().zip(&secrets) {
        let of = number(packet);
        assert!(of <= last && last < of + PLACES, "batch {of} in its place, after {last}");
        assert_eq!((of % PLACES) as u8, packet.key[0]);
        assert_eq!(packet.value, of.to_le_bytes().repeat(1 + (of % 97) as usize), "torn");
        assert_eq!((&secret.key, number(secret)), (&packet.key, of), "torn");
    }
    let outbox = wait(all(store, Table::Outbox));
    let expected = (last > 0 && last.is_multiple_of(2)).then_some(last);
    assert_eq!(outbox.first().map(number), expected, "torn");
    last
}

/// The process that is killed: a test that does nothing unless it is told where to write.
#[test]
fn writes_until_it_is_killed() {
    let Some(path) = std::env::var_os(STORE) else { return };
    let store = RedbStore::open(path).unwrap();
    let mut out = std::io::stdout();
    for number in verify(&store) + 1.. {
        wait(commit(&store, batch(number)));
        writeln!(out, "\nacknowledged {number}.").unwrap();
    }
}

/// When a process is killed.
#[derive(Clone, Copy)]
enum When {
    /// So long after it was started: it may be opening the store.
    Started(Duration),
    /// So long after it acknowledged its first batch: it is writing.
    Wrote(Duration),
}

/// Lets a process write and kills it. Returns the last batch it said was acknowledged, none if it said nothing.
fn write_and_kill(path: &Path, when: When) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::writes_until_it_is_killed", "--nocapture", "--test-threads=1"])
        .env(STORE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = child.stdout.take().unwrap();
    let (tell, wrote) = channel();
    // It is read meanwhile, or the process would wait for that.
    let reader = std::thread::spawn(move || {
        let mut last = None;
        for line in BufReader::new(out).split(b'\n').map_while(Result::ok) {
            let number = str::from_utf8(&line).ok().and_then(|line| line.strip_prefix("acknowledged "));
            // The last line may be cut short: what counts has an end.
            if let Some(number) = number.and_then(|number| number.strip_suffix('.')) {
                last = Some(number.parse().unwrap());
                // Nobody may be waiting for it.
                let _ = tell.send(());
            }
        }
        last
    });
    let after = match when {
        When::Started(after) => after,
        When::Wrote(after) => {
            wrote.recv_timeout(Duration::from_secs(60)).unwrap();
            after
        }
    };
    std::thread::sleep(after);
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success(), "it ended by itself");
    reader.join().unwrap()
}

#[test]
fn no_acknowledged_batch_is_lost_and_none_is_torn_when_the_process_is_killed() {
    let rounds = std::env::var(ROUNDS).ok().map_or(50, |rounds| rounds.parse::<u32>().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.redb");
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut random = u64::from(seed) | 1;
    let (mut last, mut wrote) = (0, 0);
    for round in 0..rounds {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let after = |most| Duration::from_micros((random >> 33) % most);
        let when = if round % 5 == 0 { When::Started(after(100_000)) } else { When::Wrote(after(50_000)) };
        let acknowledged = write_and_kill(&path, when);
        let found = if path.exists() { verify(&RedbStore::open(&path).unwrap()) } else { 0 };
        let least = acknowledged.unwrap_or(last);
        assert!(found >= least, "round {round}: {least} was acknowledged, and {found} is the last");
        if let Some(acknowledged) = acknowledged {
            // What is there beyond it was not heard of before the end, or not said.
            assert!(found <= acknowledged + 1, "round {round}: {acknowledged}, then {found}");
            wrote += 1;
        }
        last = found;
    }
    println!("{last} batches in {rounds} rounds, of which {wrote} wrote some");
    assert!(wrote >= rounds - rounds.div_ceil(5), "{wrote} of {rounds} rounds wrote anything");
}
