//! Nodes whose threads take their steps in many orders: nothing that another thread hands in is left lying.
//!
//! `RUSTFLAGS='--cfg shuttle' cargo test -p qis --test threads`: the lock, the running flag and the waker are then those of
//! [shuttle](https://docs.rs/shuttle), which notices when all threads wait for each other.
#![cfg(shuttle)]
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{LazyLock, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use qis::memory::{ManualClock, Network};
use qis::{
    Address, Domain, Fingerprint, HostError, Identity, NetworkId, Node, SiteSecret, SpaceId, Timestamp,
    Transport, Verdict, async_trait,
};
use qis_packet::{Draft, Epoch, FrameKind, Order, Seal, Trailer};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::sync::Mutex;
use shuttle::sync::mpsc::{Sender, channel};
use shuttle::{Config, Runner, thread};

const DOMAIN: &str = "cardiology/heart";
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);
const RUNS: usize = 400;

/// Frames with a packet each, of two authors.
static FRAMES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    [1, 2].map(|seed| {
        let fingerprint = Fingerprint::from_codes(SpaceId::new("test", 2), vec![100, 27]).unwrap();
        let draft = Draft::delta(DOMAIN.parse().unwrap(), fingerprint, &[1.0, 2.0]);
        let packet = draft.seal(&Seal {
            identity: &Identity::from_seed([seed; 32]),
            network: NetworkId::new("threads"),
            secret: &SiteSecret::new(Epoch::of(NOW), [seed; 32]),
            node: "",
            source: "",
            order: Order { incarnation: 1, sequence: 1 },
            time: NOW,
            trailer: Trailer::SignatureAndKey,
        });
        let head = [FrameKind::Packet.code(), seed, 0, 0, 0, 0, 0, 0, 0, 0];
        [&head[..], packet.unwrap().as_bytes()].concat()
    })
});

/// Says when an acknowledgement is sent.
struct Wire(Mutex<Sender<()>>);

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Transport for Wire {
    fn local_address(&self) -> Address {
        "here".parse().unwrap()
    }

    async fn send(&self, _to: &Address, frame: &[u8], _allowed: Duration) -> Result<(), HostError> {
        if frame[0] == FrameKind::Acknowledgement.code() {
            // Nobody may be left who listens.
            let _ = self.0.lock().unwrap().send(());
        }
        Ok(())
    }
}

/// So many threads hand in a packet each and one more may emit an outcome, while the driver runs on another. Every packet is acknowledged, the outcome becomes durable,
/// and the node stops when it is told to.
fn all_that_is_handed_in_is_done(packets: usize, emits: bool) {
    let (acknowledged, acknowledgements) = channel();
    let builder = Node::builder()
        .identity(Identity::from_seed([9; 32]))
        .network(NetworkId::new("threads"))
        .seed([9; 32])
        .clock(ManualClock::at(NOW))
        .transport(Wire(Mutex::new(acknowledged)))
        .directory(Network::new().directory())
        .domain(Domain::delta(DOMAIN, 2).unwrap());
    let node = block_on(builder.build()).unwrap();
    // It counts as running from here on.
    let run = node.run();
    let driver = thread::spawn(move || block_on(run));
    let listen = |at: usize| {
        let node = node.clone();
        thread::spawn(move || {
            let from = format!("peer-{at}").parse().unwrap();
            assert_eq!(node.receive(&from, &FRAMES[at]), Verdict::Applied);
        })
    };
    let mut others: Vec<_> = (0..packets).map(listen).collect();
    if emits {
        let node = node.clone();
        others.push(thread::spawn(move || {
            block_on(node.emit(DOMAIN, [0.5, 0.5]).queue()).unwrap();
        }));
    }
    // Waits for ever when the driver sleeps on what it was given.
    for _ in 0..packets {
        acknowledgements.recv().unwrap();
    }
    let all = others.len();
    for other in others {
        other.join().unwrap();
    }
    assert_eq!(node.standing(DOMAIN).len(), all);
    block_on(node.shutdown());
    driver.join().unwrap();
}

/// Signatures, unoptimised, take more of a stack than there is by default.
fn check(scheduler: impl Scheduler + 'static, packets: usize, emits: bool) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(move || all_that_is_handed_in_is_done(packets, emits));
}

/// The bug is planted for all tests of the process.
static ONE_AT_A_TIME: StdMutex<()> = StdMutex::new(());

#[test]
fn nothing_that_is_handed_in_is_left_lying() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    check(RandomScheduler::new(RUNS), 1, false);
    check(RandomScheduler::new(RUNS), 2, true);
    check(PctScheduler::new(3, RUNS), 2, true);
}

/// A driver that first looks for work, and only then says who is to be woken, sleeps on what comes in between.
#[test]
fn a_missed_wake_up_is_found() {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    qis::plant_late_waker(true);
    let found = catch_unwind(AssertUnwindSafe(|| check(RandomScheduler::new(RUNS), 1, false)));
    qis::plant_late_waker(false);
    assert!(found.is_err(), "{RUNS} orders of steps, and none shows it");
}
