//! `qis load`: how many signed packets a node verifies, applies and keeps, and what a flood does to that.

mod authors;
mod drive;
mod error;
mod flood;
mod histogram;
mod kept;
mod plot;
mod process;
mod replies;
mod schedule;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::Answer;
use crate::error::Error;
use drive::{Measured, Plan};
pub(crate) use error::LoadError;
use kept::Kept;

/// Drive a node with signed packets, and measure how many it verifies, applies and keeps
///
/// A node of this process takes frames as its listener would hand them in, on one thread; a store in a file has another. Packets have 512 bytes, are of many
/// authors in turn, and are made on a thread of their own, whose time does not count. A packet is kept when the node has handed its acknowledgement, which waits for
/// the store, to the transport; its latency begins when it was due, also where the node was late to take it. A packet that is refused is not sent again.
///
/// "A second and core" are packets by the processor time of all threads but the one that makes them, so it depends little on what else the machine does.
///
/// With --overload there are frames of strangers besides, at a few addresses: in turn a packet that was there before, one with a wrong signature, one of an
/// author there is no place for, and noise. Goodput is the share of the packets that are kept, of those that were due.
///
/// In the end the numbers must add up, and a node that is built on the store must have the newest packet of every author; otherwise it ends with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Packets a second [default: as many as the node takes with --in-flight not kept yet]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// For how long, 1 to 86,400
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    seconds: u32,
    /// How many authors send, 1 to 100,000
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    authors: u32,
    /// Frames in all, as a multiple of --rate, 1 to 100: what is more than one is a flood
    #[arg(long, value_name = "N", default_value_t = 1, requires = "rate", value_parser = clap::value_parser!(u8).range(1..=100))]
    overload: u8,
    /// Addresses that the flood is from, 1 to 100,000
    #[arg(long, value_name = "N", default_value_t = 16, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    strangers: u32,
    /// So many packets are due at once, at the same mean rate
    #[arg(long, value_name = "N", default_value_t = 1, requires = "rate", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    burst: u32,
    /// Packets that are not kept yet, without --rate
    #[arg(long, value_name = "N", default_value_t = 256, conflicts_with = "rate", value_parser = clap::value_parser!(u32).range(1..=4096))]
    in_flight: u32,
    /// Where they are kept: "memory", or a new file
    #[arg(long, value_name = "FILE", default_value = "memory")]
    store: String,
    /// Draw packets, memory and latency by the second: load.svg and load.png
    #[arg(long, value_name = "DIRECTORY")]
    out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis load --seconds 10
  qis load --rate 10000 --seconds 600 --out out
  qis load --rate 5000 --overload 10 --burst 500 --store load.redb";

/// What is printed. What the system does not tell is null in JSON.
#[derive(Clone, Debug, Serialize)]
struct Report {
    rate: Option<u32>,
    seconds: f64,
    authors: u32,
    overload: u8,
    burst: u32,
    /// `memory` or `file`.
    store: &'static str,
    due: u64,
    packets: u64,
    kept: u64,
    /// Kept of those that were due.
    goodput: f64,
    kept_per_second: f64,
    kept_per_core_second: Option<f64>,
    node_cpu_seconds: Option<f64>,
    flood: u64,
    /// Frames and packets that were known, and those refused, by reason.
    known: u64,
    refused: BTreeMap<&'static str, u64>,
    /// From when a packet was due until it was kept.
    latency_us: Latency,
    /// After a tenth of the time, in which tables and buffers get their size.
    resident_bytes_least: Option<u64>,
    resident_bytes_most: Option<u64>,
    /// By how much the most is above the least.
    resident_change: Option<f64>,
    /// How long no packet was ready when one was due: what is lost by that is no fault of the node's.
    starved_seconds: f64,
    samples: Vec<Sample>,
    pictures: Vec<String>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
    p999: Option<u64>,
    most: u64,
}

/// A second of the load.
#[derive(Clone, Copy, Debug, Serialize)]
struct Sample {
    second: u64,
    packets: u64,
    kept: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    resident_bytes: Option<u64>,
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    let plan = Plan {
        rate: args.rate,
        length: Duration::from_secs(args.seconds.into()),
        authors: args.authors as usize,
        strangers: args.strangers as usize,
        flood: u64::from(args.rate.unwrap_or(0)) * u64::from(args.overload - 1),
        burst: args.burst,
        in_flight: args.in_flight.into(),
        kept: Kept::new(&args.store)?,
    };
    let mut report = Report::new(args, &plan, drive::run(&plan)?);
    if let Some(directory) = &args.out {
        let pictures = plot::write(&report, directory)
            .map_err(|message| Error::Picture { path: directory.display().to_string(), message })?;
        report.pictures = pictures.map(|path| path.display().to_string()).into();
    }
    Ok(Answer::of(&report, args.json))
}

impl Report {
    fn new(args: &Args, plan: &Plan, measured: Measured) -> Self {
        let seconds = measured.window.as_secs_f64();
        let warm_up = measured.samples.len() / 10;
        let resident: Vec<u64> =
            measured.samples.iter().skip(warm_up).filter_map(|sample| sample.resident_bytes).collect();
        let (least, most) = (resident.iter().min().copied(), resident.iter().max().copied());
        let quantile = |share| measured.latency.quantile(share);
        Self {
            rate: args.rate,
            seconds,
            authors: args.authors,
            overload: args.overload,
            burst: args.burst,
            store: plan.kept.name(),
            due: measured.due,
            packets: measured.packets,
            kept: measured.kept,
            goodput: measured.kept as f64 / measured.due.max(1) as f64,
            kept_per_second: measured.kept_in_window as f64 / seconds,
            kept_per_core_second: measured
                .processor_seconds
                .filter(|&used| used > 0.0)
                .map(|used| measured.kept_in_window as f64 / used),
            node_cpu_seconds: measured.processor_seconds,
            flood: measured.flood,
            known: measured.stats.known,
            refused: measured.stats.refusals().map(|(why, count)| (why.name(), count)).collect(),
            latency_us: Latency {
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p999: quantile(0.999),
                most: measured.latency.most(),
            },
            resident_bytes_least: least,
            resident_bytes_most: most,
            resident_change: least.zip(most).map(|(least, most)| (most - least) as f64 / least.max(1) as f64),
            starved_seconds: measured.starved.as_secs_f64(),
            samples: measured.samples,
            pictures: Vec::new(),
        }
    }
}

/// Puts a nonce into the frame of a packet.
fn set_nonce(frame: &mut [u8], nonce: u64) {
    if let Some(place) = frame.get_mut(1..9) {
        place.copy_from_slice(&nonce.to_le_bytes());
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, authors, store, packets, due, kept, flood, .. } = self;
        writeln!(
            f,
            "{packets} packets of {authors} authors in {seconds:.0} s, {due} were due; store: {store}\n"
        )?;
        writeln!(f, "kept                   {kept}   ({:.2} % of those due)", 100.0 * self.goodput)?;
        writeln!(f, "a second               {:.0}", self.kept_per_second)?;
        if let (Some(rate), Some(used)) = (self.kept_per_core_second, self.node_cpu_seconds) {
            writeln!(f, "a second and core      {rate:.0}   ({used:.1} s of processor time)")?;
        }
        let Latency { p50, p90, p99, p999, most } = self.latency_us;
        let milliseconds = |value: Option<u64>| {
            value.map_or_else(|| "-".to_owned(), |value| format!("{:.1}", value as f64 / 1000.0))
        };
        writeln!(
            f,
            "due until kept, ms     {} (half), {} (90 %), {} (99 %), {} (99.9 %), {} (all)",
            milliseconds(p50),
            milliseconds(p90),
            milliseconds(p99),
            milliseconds(p999),
            milliseconds(Some(most))
        )?;
        if let (Some(least), Some(most), Some(change)) =
            (self.resident_bytes_least, self.resident_bytes_most, self.resident_change)
        {
            let mib = |bytes: u64| bytes as f64 / (1024.0 * 1024.0);
            writeln!(
                f,
                "resident, MiB          {:.1} to {:.1}   ({:.1} % more, after the first tenth)",
                mib(least),
                mib(most),
                100.0 * change
            )?;
        }
        if *flood > 0 {
            writeln!(f, "flood                  {flood} frames")?;
        }
        writeln!(f, "known already          {}", self.known)?;
        for (why, count) in &self.refused {
            writeln!(f, "refused                {count}   ({why})")?;
        }
        if self.starved_seconds > 0.0 {
            writeln!(f, "no packet was ready    {:.1} s of the time", self.starved_seconds)?;
        }
        if !self.pictures.is_empty() {
            writeln!(f, "\nDrawn: {}", self.pictures.join(", "))?;
        }
        Ok(())
    }
}
