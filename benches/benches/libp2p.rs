//! Frames and packets over loopback TCP: how many a second, between two nodes of one process and of two.
//!
//! `cargo bench -p benches --bench libp2p` prints a line for each; the second process is this program once more. Rates depend on what
//! else the machine does, and on its disk where both nodes have a store in a file; the processor time of each, of both sides together, much less.
#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "a bench prints what it finds")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use qis::{
    Address, Descriptor, Directory, Domain, Fingerprint, HostError, Identity, Node, Peer, Rate, RouterConfig,
    SpaceId, Transport, async_trait,
};
use qis_libp2p::Libp2p;
use qis_store::RedbStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Of 512 bytes with its signature and the key: a packet as large as packets get.
const DIMS: usize = 66;
const IN_FLIGHT: usize = 256;
const PACKETS: usize = 60_000;
const FRAMES: usize = 1_000_000;
const ALLOWED: Duration = Duration::from_secs(10);
/// Says that this process is to be the receiver, and where its store is, if it has one in a file.
const ROLE: &str = "QIS_BENCH_RECEIVER";

fn fingerprint() -> Fingerprint {
    Fingerprint::from_codes(SpaceId::new("bench", 64), (1..=64).collect()).unwrap()
}

/// One for each emission under way, so that none takes the place of another that is not acknowledged yet.
fn tag(index: usize) -> String {
    format!("bench/{index}")
}

async fn network(seed: u8) -> Libp2p {
    let listen = std::env::var("QIS_BENCH_LISTEN").unwrap_or("/ip4/127.0.0.1/tcp/0".to_owned());
    Libp2p::builder(&Identity::from_seed([seed; 32])).listen(listen).build().await.unwrap()
}

/// Knows the other node, if there is one, and does not have to look for it.
#[derive(Debug)]
struct Other(Option<Peer>);

#[async_trait]
impl Directory for Other {
    async fn announce(&self, _: &Descriptor) -> Result<(), HostError> {
        Ok(())
    }

    async fn nearest(&self, _: &Fingerprint, _: usize) -> Result<Vec<Peer>, HostError> {
        Ok(self.0.clone().into_iter().collect())
    }
}

/// A node that sends to the other one.
async fn node(seed: u8, libp2p: &Libp2p, peer: Option<(Identity, Address)>, store: Option<&Path>) -> Node {
    let peer = peer.map(|(identity, address)| Peer {
        author: identity.author(),
        address,
        fingerprint: fingerprint(),
        organisation: None,
    });
    let rate = Rate { per_second: 1e9, burst: u32::MAX };
    let config = RouterConfig {
        peer_rate: rate,
        author_rate: rate,
        emissions: IN_FLIGHT.try_into().unwrap(),
        ..RouterConfig::default()
    };
    let mut builder = Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(libp2p.transport())
        .directory(Other(peer))
        .config(config);
    if let Some(path) = store {
        builder = builder.store(RedbStore::open(path).unwrap());
    }
    for index in 0..IN_FLIGHT {
        builder = builder.domain(Domain::delta(&tag(index), DIMS).unwrap());
    }
    let node = builder.start().await.unwrap();
    let receiver = node.clone();
    libp2p.serve(move |from, frame| {
        receiver.receive(from, frame);
    });
    node
}

/// The processor time that processes have used, in seconds; 0 where the system does not tell it like Linux.
fn cpu(processes: &[u32]) -> f64 {
    let used = |process: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // After the name, which may have spaces: user and system time are the 12th and 13th, in hundredths of a second.
        let (_, fields) = stat.rsplit_once(") ")?;
        let ticks = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
        Some(ticks.sum::<f64>() / 100.0)
    };
    processes.iter().filter_map(used).sum()
}

/// Times something that happens `count` times, in this process and perhaps another, and prints what came of it.
struct Clock {
    processes: Vec<u32>,
    begin: Instant,
    used: f64,
}

impl Clock {
    fn start(other: Option<u32>) -> Self {
        let processes: Vec<u32> = [std::process::id()].into_iter().chain(other).collect();
        Self { used: cpu(&processes), begin: Instant::now(), processes }
    }

    fn stop(&self, what: &str, count: usize) {
        let (time, used) = (self.begin.elapsed().as_secs_f64(), cpu(&self.processes) - self.used);
        let count = f64::from(u32::try_from(count).unwrap());
        let (rate, each) = (count / time, used * 1e6 / count);
        println!("{what}, {IN_FLIGHT} on their way: {rate:.0}/s, {each:.1} us of processor time each");
    }
}

/// Emits in as many domains as may be under way, each packet after the one before it was acknowledged.
async fn emit(sender: &Node, to: &str, receiver: Option<u32>) {
    let clock = Clock::start(receiver);
    let mut tasks = JoinSet::new();
    for index in 0..IN_FLIGHT {
        let sender = sender.clone();
        tasks.spawn(async move {
            let mut bytes = 0;
            for i in 0..PACKETS / IN_FLIGHT {
                let value = f32::from(u16::try_from(i).unwrap());
                let emit = sender.emit(tag(index), [value; DIMS]).fingerprint(fingerprint());
                let receipt = emit.await.unwrap();
                assert_eq!(receipt.delivered(), 1);
                bytes = receipt.bytes;
            }
            bytes
        });
    }
    let bytes = tasks.join_all().await.into_iter().max().unwrap();
    clock.stop(&format!("packets of {bytes} bytes acknowledged, {to}"), PACKETS / IN_FLIGHT * IN_FLIGHT);
}

fn frames(runtime: &Runtime) {
    runtime.block_on(async {
        let (a, b) = (network(1).await, network(2).await);
        let received = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&received);
        b.serve(move |_, _| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let (transport, to) = (a.transport(), b.local_address());
        let frame = [7; 512];
        transport.send(&to, &frame, ALLOWED).await.unwrap();
        let clock = Clock::start(None);
        let mut sent = 0;
        while sent < FRAMES {
            // As many on their way as a node would have.
            while sent - received.load(Ordering::Relaxed).min(sent) < IN_FLIGHT {
                transport.send(&to, &frame, ALLOWED).await.unwrap();
                sent += 1;
            }
            tokio::task::yield_now().await;
        }
        // The first one came before the clock was started.
        while received.load(Ordering::Relaxed) <= FRAMES {
            tokio::task::yield_now().await;
        }
        clock.stop("frames of 512 bytes one way, one process", FRAMES);
    });
}

fn packets_in_one_process(runtime: &Runtime) {
    runtime.block_on(async {
        let (a, b) = (network(1).await, network(2).await);
        let receiver = node(2, &b, None, None).await;
        let peer = (Identity::from_seed([2; 32]), b.local_address());
        let sender = node(1, &a, Some(peer), None).await;
        emit(&sender, "one process", None).await;
        sender.shutdown().await;
        receiver.shutdown().await;
    });
}

/// Ends with its parent, whatever becomes of that.
struct Receiver(Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Between nodes that keep everything in memory, or, with a directory, each in a file there: then each packet is acknowledged once it is on the disk.
fn packets_between_processes(runtime: &Runtime, stores: Option<&Path>) {
    let program = std::env::current_exe().unwrap();
    let [mine, others] = ["sender.redb", "receiver.redb"].map(|name| stores.map(|stores| stores.join(name)));
    let child = Command::new(program)
        .env(ROLE, others.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut receiver = Receiver(child.unwrap());
    let mut address = String::new();
    BufReader::new(receiver.0.stdout.take().unwrap()).read_line(&mut address).unwrap();
    runtime.block_on(async {
        let a = network(1).await;
        let peer = (Identity::from_seed([2; 32]), address.trim().parse().unwrap());
        let sender = node(1, &a, Some(peer), mine.as_deref()).await;
        let what = if mine.is_some() { "two processes, stores in files" } else { "two processes" };
        emit(&sender, what, Some(receiver.0.id())).await;
        sender.shutdown().await;
    });
}

fn receive(runtime: &Runtime, store: &OsStr) {
    let store = (!store.is_empty()).then(|| Path::new(store));
    runtime.block_on(async {
        let b = network(2).await;
        let _node = node(2, &b, None, store).await;
        println!("{}", b.local_address());
        // Until the other process ends.
        tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()))
            .await
            .unwrap()
            .unwrap();
    });
}

fn main() {
    let runtime = Runtime::new().unwrap();
    if let Some(store) = std::env::var_os(ROLE) {
        return receive(&runtime, &store);
    }
    frames(&runtime);
    packets_in_one_process(&runtime);
    packets_between_processes(&runtime, None);
    // In the build directory, so that the figures are of the disk that has it.
    let stores = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    packets_between_processes(&runtime, Some(stores.path()));
}
