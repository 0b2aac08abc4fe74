//! Whoever starts the hospitals: it gives each its own patients, and compares what they have learned.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use examples::Rng;
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::data::{FEATURE_NAMES, FEATURES, Hospital, Site, Study};
use crate::report::{Report, Run};
use crate::site::{Learned, PATIENTS, Word};
use crate::{Args, compare};

/// The report of the example `hospitals`, and what is new here.
#[derive(Debug, Serialize)]
struct Cluster {
    #[serde(flatten)]
    report: Report,
    /// The hospitals' processes.
    pids: Vec<u32>,
    /// All bytes of frames that went over their connections.
    socket_bytes: u64,
}

/// A hospital's process.
struct Running {
    child: Child,
    pid: u32,
    words: Lines<BufReader<ChildStdout>>,
}

pub(crate) async fn run(args: &Args) -> Result<(), Box<dyn Error>> {
    let study = Study::published(&Hospital::load()?);
    let temporary = std::env::temp_dir().join(format!("qis-hospitals-{}", std::process::id()));
    let dir = args.dir.as_ref().unwrap_or(&temporary);
    let learned = learn(&study.sites, dir, args.quic).await;
    if args.dir.is_none() {
        fs::remove_dir_all(dir)?;
    }
    let (run, pids, socket_bytes) = learned?.judged(&study)?;
    let cluster = Cluster { report: Report::new(&study, &[run]), pids, socket_bytes };
    if args.json {
        println!("{}", serde_json::to_string(&cluster)?);
    } else {
        let Cluster { report, pids, socket_bytes } = cluster;
        println!("{report}");
        println!("Processes {pids:?}, {socket_bytes} bytes of frames over their connections.");
    }
    Ok(())
}

/// What the hospitals have learned, and how long it took from the first one's start.
struct Exchange {
    learned: Vec<(u32, Learned)>,
    elapsed: std::time::Duration,
}

async fn learn(sites: &[Site], dir: &Path, quic: bool) -> Result<Exchange, Box<dyn Error>> {
    let started = Instant::now();
    let mut running: Vec<Running> = Vec::new();
    let mut join = None;
    for site in sites {
        let place = dir.join(&site.name);
        hand_over(site, &place)?;
        let mut hospital = Running::start(&place, join.as_deref(), quic)?;
        // One address is all that the others need.
        if join.is_none() {
            let Word::Listening(address) = hospital.word().await? else {
                return Err("a hospital learned before it listened".into());
            };
            join = Some(address);
        }
        running.push(hospital);
    }
    let mut learned = Vec::new();
    for hospital in &mut running {
        let what = loop {
            if let Word::Learned(what) = hospital.word().await? {
                break what;
            }
        };
        learned.push((hospital.pid, what));
    }
    let elapsed = started.elapsed();
    // The end of its input lets a hospital go.
    for hospital in &mut running {
        drop(hospital.child.stdin.take());
        let status = hospital.child.wait().await?;
        if !status.success() {
            return Err(format!("a hospital ended with {status}").into());
        }
    }
    Ok(Exchange { learned, elapsed })
}

impl Running {
    fn start(place: &PathBuf, join: Option<&str>, quic: bool) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("--site").arg(place);
        command.args(join.map(|join| format!("--join={join}"))).args(quic.then_some("--quic"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let pid = child.id().ok_or("a hospital ended at once")?;
        let words = child.stdout.take().ok_or("a hospital has no output")?;
        Ok(Self { child, pid, words: BufReader::new(words).lines() })
    }

    /// What it says next.
    async fn word(&mut self) -> Result<Word, Box<dyn Error>> {
        let line = self.words.next_line().await?.ok_or("a hospital ended early; it says why above")?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Exchange {
    fn judged(self, study: &Study) -> Result<(Run, Vec<u32>, u64), Box<dyn Error>> {
        let Self { learned, elapsed } = self;
        let estimates: Vec<Vec<f64>> = learned.iter().map(|(_, one)| one.estimate.clone()).collect();
        // As the other example does.
        let mut rng = Rng::new(0);
        rng.bits();
        let total = |of: fn(&Learned) -> usize| learned.iter().map(|(_, one)| of(one)).sum();
        let run = Run {
            scores: compare::scores(study, &estimates, &mut rng),
            packets_sent: total(|one| one.packets_sent),
            bytes_sent: total(|one| one.bytes_sent),
            max_packet_bytes: learned.iter().map(|(_, one)| one.max_packet_bytes).max().unwrap_or(0),
            elapsed,
        };
        let socket_bytes = learned.iter().map(|(_, one)| one.socket_bytes).sum();
        Ok((run, learned.iter().map(|(pid, _)| *pid).collect(), socket_bytes))
    }
}

/// Writes the patients that a hospital learns from to a file of its own.
fn hand_over(site: &Site, place: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(place)?;
    let mut file = csv::Writer::from_path(place.join(PATIENTS))?;
    file.write_record(FEATURE_NAMES.iter().chain(&["ill"]))?;
    let (patients, _) = site.raw.as_chunks::<FEATURES>();
    for (features, label) in patients.iter().zip(&site.train.labels) {
        file.serialize((features, label))?;
    }
    file.flush()?;
    Ok(())
}
