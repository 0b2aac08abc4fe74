//! `qis route`: how well the overlay finds the most similar nodes, and what that costs.

mod compare;
mod measure;
mod plot;
mod siege;

use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use qis_route::Selection;
use qis_route::overlay::OverlayConfig;
use serde::Serialize;

use crate::Answer;
use crate::error::Error;
use siege::Siege;

/// Build an overlay of many nodes in one process, and look for the nodes most similar to queries
///
/// Every node is the state machine that runs in production; frames, signatures and time-outs are those of the protocol, time and the
/// network are simulated. The situations of the nodes are the rows of a file of signed bytes without a header, or are made up; the last rows are
/// the queries, which no node has. Recall is the share of the 20 exactly nearest nodes that were found, from a random node.
///
/// Up to 100,000 nodes join by the protocol, a sixteenth of the network at a time; then each looks for itself once more, as upkeep has it
/// do two minutes after it joined. Beyond, all but the last 1,000 are given the contacts that
/// their joins would have given them, and "build" says "snapshot"; --build tells which to do. With more nodes than the file has rows, copies
/// of the rows with noise stand in for them, and "vectors" says "jittered".
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// How many nodes, 1 to 4,000,000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    nodes: u32,
    /// The nodes' situations: a file of rows of signed bytes [default: made up, in clusters]
    #[arg(long, value_name = "FILE")]
    vectors: Option<PathBuf>,
    /// Bytes of a row, 1 to 1024
    #[arg(long, value_name = "D", default_value_t = 384, value_parser = clap::value_parser!(u16).range(1..=1024))]
    dims: u16,
    /// How many of the last rows are queries
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    queries: u32,
    /// How many of the nearest known nodes are asked, 20 to 250
    #[arg(long, value_name = "B", default_value_t = 20, value_parser = clap::value_parser!(u8).range(20..=250))]
    effort: u8,
    /// This share of the nodes crashes before the queries
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    crash: f64,
    /// This share of the frames is lost, each way, during the queries
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    loss: f64,
    /// This share of the nodes swallows packets and tells of each other only; recall is about the honest nodes then
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    colluders: f64,
    /// So many more nodes of one attacker gather at situations that are asked for, 20 at each, swallow packets and tell of each other only
    #[arg(long, value_name = "N", conflicts_with_all = ["colluders", "cold_start", "build"], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    sybils: Option<u32>,
    /// With --sybils: organisations are vouched for, and the attacker has credentials of so many
    #[arg(long, value_name = "N", requires = "sybils", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    organisations: Option<u32>,
    /// With --sybils: how senders choose whom they send to
    #[arg(long, value_enum, requires = "sybils", default_value_t = Preset::Hostile)]
    selection: Preset,
    /// After a crash, let each node look for itself once and measure again, as upkeep does
    #[arg(long)]
    repair: bool,
    /// Measure right after the joins, before the nodes have looked for themselves again
    #[arg(long)]
    just_joined: bool,
    /// Let no node join: each knows so many random others, and finds its way by upkeep alone, for three rounds
    #[arg(long, value_name = "N", conflicts_with_all = ["repair", "build", "just_joined"])]
    cold_start: Option<u8>,
    /// How the overlay comes about [default: join up to 100,000 nodes]
    #[arg(long, value_enum)]
    build: Option<Build>,
    /// Packets delivered to measure how work spreads, 0 for none [default: 10,000, and 0 with faults]
    #[arg(long, value_name = "N")]
    packets: Option<u32>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write for each query a line of its row and the rows that were returned
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// Print the article's table beside what is measured at 10, 100, ... nodes, up to --nodes, and draw it
    #[arg(long, conflicts_with_all = ["crash", "loss", "colluders", "sybils", "repair", "cold_start", "dump"])]
    table: bool,
    /// Where --table draws to
    #[arg(long, value_name = "DIRECTORY", default_value = "out")]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis route --nodes 1000
  qis route --nodes 10000 --vectors embeddings.i8 --dims 384 --crash 0.5 --repair --json
  qis route --table --nodes 100000 --vectors embeddings.i8";

/// How an overlay comes about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Build {
    /// Every node joins by the protocol
    Join,
    /// All but the last 1,000 nodes are given their contacts
    Snapshot,
}

/// How senders choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    /// The 20 most similar
    Article,
    /// 20 most similar, 20 random
    Balanced,
    /// 10 most similar, 10 sampled, 20 random, at most 2 of an organisation
    Hostile,
}

impl Preset {
    const fn selection(self) -> Selection {
        match self {
            Self::Article => Selection::article(),
            Self::Balanced => Selection::balanced(),
            Self::Hostile => Selection::hostile(),
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=0.99).contains(&share) => Ok(share),
        _ => Err("not a share from 0 to 0.99".to_owned()),
    }
}

/// What is printed. What was not measured is null in JSON.
#[derive(Clone, Debug, Serialize)]
struct Report {
    nodes: usize,
    /// `file`, `jittered` or `synthetic`.
    vectors: &'static str,
    /// `join`, `snapshot` or `cold`.
    build: &'static str,
    dims: usize,
    queries: usize,
    effort: u8,
    seed: u64,
    recall_at_20: f64,
    worst5_recall: f64,
    rpcs_mean: f64,
    rounds_mean: f64,
    rounds_p99: u32,
    hops_log2n: f64,
    state_bytes_max: usize,
    join_messages_mean: Option<f64>,
    join_bytes_mean: Option<f64>,
    join_bytes_max: Option<u64>,
    /// What looking for itself once more cost a node; none when it was not done.
    settle_messages_mean: Option<f64>,
    settle_bytes_mean: Option<f64>,
    /// Requests a node of the cold start made, by round, and the recall after it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cold_rounds: Vec<ColdRound>,
    /// Before the nodes looked for themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    recall_before_repair: Option<f64>,
    /// What became of packets to the situations at which an attacker gathers.
    #[serde(skip_serializing_if = "Option::is_none")]
    siege: Option<Siege>,
    load_packets: usize,
    /// The shares of the busiest hundredth of the nodes.
    load_skew: Option<f64>,
    delivery_skew: Option<f64>,
    /// Bytes at an average node and at the busiest, when each node delivers one packet.
    packet_bytes_mean: Option<f64>,
    packet_bytes_busiest: Option<f64>,
    seconds: f64,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct ColdRound {
    round: usize,
    messages_mean: f64,
    recall_at_20: f64,
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    if args.table {
        return compare::run(args);
    }
    let started = Instant::now();
    let vectors = measure::vectors(args, args.nodes as usize)?;
    let (mut report, returned) = measure::run(args, vectors, args.nodes as usize)?;
    report.seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &args.dump {
        dump(path, &returned)?;
    }
    Ok(Answer::of(&report, args.json))
}

fn dump(path: &Path, returned: &[(usize, Vec<usize>)]) -> Result<(), Error> {
    let mut text = String::new();
    for (query, rows) in returned {
        // Writing to a string does not fail.
        let _ = write!(text, "{query}");
        for row in rows {
            let _ = write!(text, ",{row}");
        }
        text.push('\n');
    }
    fs::write(path, text).map_err(|source| Error::Write { path: path.display().to_string(), source })
}

/// The overlay as it is by default, but that upkeep does not disturb what is measured.
fn config() -> OverlayConfig {
    let never = std::time::Duration::from_secs(24 * 3600);
    OverlayConfig { gossip_every: never, lookup_every: never, ..OverlayConfig::default() }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { nodes, dims, queries, vectors, build, .. } = self;
        writeln!(f, "{nodes} nodes ({build}), {queries} queries, {dims} dimensions ({vectors})\n")?;
        for cold in &self.cold_rounds {
            let ColdRound { round, messages_mean, recall_at_20 } = cold;
            writeln!(f, "round {round}: {messages_mean:.0} messages a node, recall {recall_at_20:.4}")?;
        }
        if let Some(before) = self.recall_before_repair {
            writeln!(f, "recall before repair   {before:.4}")?;
        }
        writeln!(
            f,
            "recall@20              {:.4}   (worst 5 % of queries {:.3})",
            self.recall_at_20, self.worst5_recall
        )?;
        writeln!(f, "requests a look-up     {:.1}", self.rpcs_mean)?;
        let (mean, p99, log) = (self.rounds_mean, self.rounds_p99, self.hops_log2n);
        writeln!(f, "round trips            {mean:.1}   (99 of 100: {p99}; log2 N = {log:.1})")?;
        if let (Some(messages), Some(bytes)) = (self.join_messages_mean, self.join_bytes_mean) {
            writeln!(f, "a join                 {messages:.0} requests, {:.0} KiB", bytes / 1024.0)?;
        }
        if let (Some(messages), Some(bytes)) = (self.settle_messages_mean, self.settle_bytes_mean) {
            writeln!(f, "another look for itself {messages:>3.0} requests, {:.0} KiB", bytes / 1024.0)?;
        }
        writeln!(f, "a node's memory        {:.1} KiB at most", self.state_bytes_max as f64 / 1024.0)?;
        if let Some(siege) = &self.siege {
            write!(f, "{siege}")?;
        }
        if let (Some(load), Some(delivery)) = (self.load_skew, self.delivery_skew) {
            writeln!(
                f,
                "the busiest 1 %        {:.1} % of requests, {:.1} % of deliveries ({} packets)",
                100.0 * load,
                100.0 * delivery,
                self.load_packets
            )?;
        }
        writeln!(f, "took                   {:.0} s", self.seconds)
    }
}
