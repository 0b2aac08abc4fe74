//! A node is sent ten times as much as it takes, for long, and its memory is watched.
//!
//! Several strangers, each with hundreds of keys, send signed packets as members would, each stranger many times as many as a node takes from one address. Meanwhile an
//! honest node states an outcome now and then. The resident memory of the node that is flooded is read every second.
//!
//! ```text
//! cargo build --release -p qis-cli -p cluster-tests --features qis-cli/node
//! target/release/overload
//! target/release/overload --seconds 60 --times 100 --json
//! ```
//!
//! Ends with 0 when memory stayed flat and the honest node was served, with 1 when not, with 2 when the run could not be made.
#![expect(clippy::print_stdout, reason = "a program that tells what it found")]
#![expect(clippy::print_stderr, reason = "a program that tells what it does")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use cluster_tests::{
    Cluster, DIMS, DOMAIN, Fault, NETWORK, Settings, Site, free_ports, load_average, program,
};
use qis::{Address, Fingerprint, Identity, NetworkId, Order, SiteSecret, SpaceId, Timestamp, Transport};
use qis_libp2p::Libp2p;
use qis_packet::{Draft, Epoch, FrameKind, Seal, Trailer};
use serde::Serialize;
use serde_json::json;

/// What a node takes from one address by default, in frames a second.
const TAKEN: u64 = 50;
/// Keys of a stranger. All of them together are more authors than a node has places for.
const KEYS: usize = 400;
/// Memory at the end of the flood, beside that at its beginning.
const MOST_GROWTH: f64 = 1.10;
/// Of what the honest node states.
const LEAST_DELIVERED: f64 = 0.9;
/// Between two turns of a stranger.
const TURN: Duration = Duration::from_millis(20);
/// Nothing of a run that is not the flood takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

/// Floods a node with signed packets, and watches its memory.
#[derive(Debug, Parser)]
struct Args {
    /// Seconds of it; 20 at least.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(20..=86_400))]
    seconds: u64,
    /// How many times what a node takes from an address each stranger sends.
    #[arg(long, default_value_t = 10)]
    times: u64,
    /// Strangers.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=100))]
    strangers: u8,
    /// The nodes' keys follow from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program under test; `qis` beside this one by default.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

/// What a run found. Memory is resident, in MiB.
#[derive(Debug, Serialize)]
struct Report {
    seconds: u64,
    /// Frames that the strangers sent a second, all together.
    sent_per_second: f64,
    /// Of the first minute, and of the last; of the first and the last third of a run that is shorter than three.
    first: f64,
    last: f64,
    most: f64,
    /// What the honest node stated, and what of it was acknowledged.
    stated: u64,
    delivered: u64,
    applied: u64,
    refused: serde_json::Value,
    load_average: String,
}

impl Report {
    fn holds(&self) -> bool {
        let share = self.delivered as f64 / self.stated.max(1) as f64;
        self.last <= MOST_GROWTH * self.first && share >= LEAST_DELIVERED
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(report) => {
            print(&args, &report);
            ExitCode::from(u8::from(!report.holds()))
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Report, Fault> {
    let folder = std::env::temp_dir().join(format!("qis-over-{}", std::process::id()));
    let settings = Settings {
        program: program(args.program.as_deref())?,
        folder: folder.clone(),
        sync_seconds: 60,
        attempts: 5,
        more: String::new(),
    };
    let sites = free_ports(2)?.into_iter().enumerate();
    let sites = sites
        .map(|(number, port)| Site::new(&settings.folder, args.seed, number, "127.0.0.1", port))
        .collect();
    let mut cluster = Cluster::new(settings, sites)?;
    cluster.start_from_one_address()?;
    cluster.find_each_other(PATIENCE)?;
    let status = cluster.ask(0, &json!({"status":{}}))?;
    let address = status["address"].as_str().unwrap_or_default().parse::<Address>();
    let address = address.map_err(|_| Fault::Answer { site: 0, answer: status["address"].to_string() })?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|source| Fault::Io { what: "no runtime".into(), source })?;
    let sent = Arc::new(AtomicU64::new(0));
    for stranger in 0..args.strangers {
        runtime.spawn(flood(address.clone(), stranger, args.times * TAKEN, Arc::clone(&sent)));
    }
    let (memory, (stated, delivered)) = watch(&mut cluster, Duration::from_secs(args.seconds))?;
    let sent = sent.load(Ordering::Relaxed);
    let status = cluster.ask(0, &json!({"status":{}}))?;
    runtime.shutdown_background();
    cluster.stop()?;
    fs::remove_dir_all(&folder).map_err(|source| Fault::Io { what: "cannot tidy up".into(), source })?;
    // Two parts that have nothing in common, or memory would be compared with itself.
    let part = (memory.len() / 3).clamp(1, 60);
    Ok(Report {
        seconds: args.seconds,
        sent_per_second: sent as f64 / args.seconds as f64,
        first: mean(&memory[..part]),
        last: mean(&memory[memory.len() - part..]),
        most: memory.iter().copied().fold(0.0, f64::max),
        stated,
        delivered,
        applied: status["counts"]["applied"].as_u64().unwrap_or(0),
        refused: status["refused"].clone(),
        load_average: load_average(),
    })
}

/// Reads the node's memory every second, and has the honest one state outcomes. Returns what was read, and how many were stated and delivered.
fn watch(cluster: &mut Cluster, lasts: Duration) -> Result<(Vec<f64>, (u64, u64)), Fault> {
    let (began, mut memory) = (Instant::now(), Vec::new());
    let (mut under_way, mut stated, mut delivered) = (Vec::new(), 0, 0);
    while began.elapsed() < lasts {
        let seconds = memory.len() as u64 + 1;
        cluster.listen(began + Duration::from_secs(seconds))?;
        memory.push(cluster.process_id(0).map_or_else(|| Err(unreadable()), resident)?);
        if seconds.is_multiple_of(3) {
            under_way.extend(cluster.emit(1, true)?);
            stated += 1;
        }
        under_way.retain(|id| {
            let Some(answer) = cluster.answer(*id) else { return true };
            delivered += u64::from(answer["ok"]["delivered"] == 1);
            false
        });
        if seconds.is_multiple_of(60) {
            eprintln!("{seconds} s: {:.1} MiB", memory.last().copied().unwrap_or_default());
        }
    }
    // What is on its way still counts, once it is over.
    cluster.until("what was stated is over", PATIENCE, |cluster| {
        under_way.retain(|id| {
            let Some(answer) = cluster.answer(*id) else { return true };
            delivered += u64::from(answer["ok"]["delivered"] == 1);
            false
        });
        Ok(under_way.is_empty())
    })?;
    Ok((memory, (stated, delivered)))
}

/// The resident memory of a process in MiB, as Linux tells it. Elsewhere nobody does, and there is nothing to judge a run by.
fn resident(process: u32) -> Result<f64, Fault> {
    let status = fs::read_to_string(format!("/proc/{process}/status"));
    let status = status.map_err(|source| Fault::Io { what: "no memory of the node".into(), source })?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(unreadable)
}

fn unreadable() -> Fault {
    let source = std::io::ErrorKind::NotFound.into();
    Fault::Io { what: "no memory of the node".into(), source }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Sends newer and newer packets of many authors, so many a second, until the runtime ends.
async fn flood(to: Address, stranger: u8, per_second: u64, sent: Arc<AtomicU64>) {
    let mut seed = [stranger; 32];
    seed[0] = 0xfe;
    let network = NetworkId::new(NETWORK);
    let built = Libp2p::builder(&Identity::from_seed(seed)).network(network).listen("/ip4/127.0.0.1/tcp/0");
    let Ok(libp2p) = built.build().await else { return };
    libp2p.serve(|_, _| ());
    let transport = libp2p.transport();
    let keys: Vec<Identity> = (0..KEYS)
        .map(|key| {
            seed[1..9].copy_from_slice(&(key as u64).to_be_bytes());
            Identity::from_seed(seed)
        })
        .collect();
    let (began, mut number) = (Instant::now(), 0_u64);
    loop {
        // As many as are due; what the node does not read is refused here.
        while number < (began.elapsed().as_secs_f64() * per_second as f64) as u64 {
            let key = &keys[number as usize % KEYS];
            if let Some(frame) = frame(key, network, number)
                && transport.send(&to, &frame, PATIENCE).await.is_ok()
            {
                sent.fetch_add(1, Ordering::Relaxed);
            }
            number += 1;
        }
        tokio::time::sleep(TURN).await;
    }
}

/// A frame with a packet that is in order in every way.
fn frame(identity: &Identity, network: NetworkId, number: u64) -> Option<Vec<u8>> {
    let time = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
    let time = Timestamp::from_unix_seconds(time);
    let sequence = u32::try_from(number / KEYS as u64).ok()?;
    let fingerprint = Fingerprint::from_codes(SpaceId::new("overload", 4), vec![1, 2, 3, 4]).ok()?;
    let draft = Draft::delta(DOMAIN.parse().ok()?, fingerprint, &[number as f32 + 1.0; DIMS]);
    let packet = draft.seal(&Seal {
        identity,
        network,
        secret: &SiteSecret::new(Epoch::of(time), [7; 32]),
        node: "stranger",
        source: "",
        order: Order { incarnation: 1, sequence },
        time,
        trailer: Trailer::SignatureAndKey,
    });
    // Its kind, a nonce, and no key beside it.
    let head = [&[FrameKind::Packet.code()][..], &number.to_le_bytes(), &[0]].concat();
    Some([&head, packet.ok()?.as_bytes()].concat())
}

fn print(args: &Args, report: &Report) {
    if args.json {
        // Numbers and texts, which have a form in JSON.
        println!("{}", serde_json::to_string(report).unwrap_or_default());
        return;
    }
    let Report { first, last, most, stated, delivered, .. } = report;
    println!(
        "{:.0} frames a second for {} s; refused: {}",
        report.sent_per_second, report.seconds, report.refused
    );
    println!("resident: {first:.1} MiB at the beginning, {last:.1} at the end, at most {most:.1}");
    println!(
        "the honest node: {delivered} of {stated} outcomes delivered; packets applied: {}",
        report.applied
    );
    println!("load average {}", report.load_average);
}
