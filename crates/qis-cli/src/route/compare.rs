//! The article's table, beside what is measured.

use std::fmt;
use std::time::Instant;

use serde::Serialize;

use super::{Args, Report, json, measure, plot};
use crate::Answer;
use crate::error::Error;

/// The bytes of the models a federated aggregator is compared with.
const MODELS: [u64; 2] = [4096, 1 << 20];

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Pairs of nodes: N (N - 1) / 2.
    pub(super) pairs: u64,
    /// Bytes through a federated aggregator in a round in which each node gets and sends a model of 4 KB and of 1 MB: computed, not measured.
    pub(super) aggregator_bytes_computed: [u64; 2],
    #[serde(flatten)]
    pub(super) measured: Report,
}

#[derive(Debug, Serialize)]
struct Table {
    rows: Vec<Row>,
    pictures: Vec<String>,
}

pub(super) fn run(args: &Args) -> Result<Answer, Error> {
    let mut rows = Vec::new();
    let sizes = (1..).map(|power| 10_u64.pow(power)).take_while(|&size| size <= u64::from(args.nodes));
    for size in sizes {
        let nodes = usize::try_from(size).unwrap_or(usize::MAX);
        let started = Instant::now();
        let (mut measured, _) = measure::run(args, measure::vectors(args, nodes)?, nodes)?;
        measured.seconds = started.elapsed().as_secs_f64();
        let row = Row {
            pairs: size * (size - 1) / 2,
            aggregator_bytes_computed: MODELS.map(|model| 2 * size * model),
            measured,
        };
        if !args.json {
            crate::progress::say(&format!("{size} nodes: recall {:.4}", row.measured.recall_at_20));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(Error::Needs { option: "--table", needed: "--nodes of at least 10" });
    }
    let pictures = plot::write(&rows, &args.out)
        .map_err(|message| Error::Picture { path: args.out.display().to_string(), message })?;
    let pictures = pictures.map(|path| path.display().to_string()).into();
    let table = Table { rows, pictures };
    let text = if args.json { format!("{}\n", json(&table)) } else { table.to_string() };
    Ok(Answer { text, verdict: Ok(()) })
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>9} {:>14} {:>6} | {:>6} {:>4} {:>8} {:>8} {:>7} | {:>9} {:>9} | {:>9} {:>9}",
            "nodes",
            "pairs",
            "log2 N",
            "trips",
            "p99",
            "requests",
            "recall",
            "worst5",
            "average",
            "busiest",
            "4 KB",
            "1 MB"
        )?;
        for row in &self.rows {
            let measured = &row.measured;
            let of = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), bytes);
            writeln!(
                f,
                "{:>9} {:>14} {:>6.1} | {:>6.1} {:>4} {:>8.1} {:>8.4} {:>7.3} | {:>9} {:>9} | {:>9} {:>9}",
                measured.nodes,
                row.pairs,
                measured.hops_log2n,
                measured.rounds_mean,
                measured.rounds_p99,
                measured.rpcs_mean,
                measured.recall_at_20,
                measured.worst5_recall,
                of(measured.packet_bytes_mean),
                of(measured.packet_bytes_busiest),
                bytes(row.aggregator_bytes_computed[0] as f64),
                bytes(row.aggregator_bytes_computed[1] as f64),
            )?;
        }
        writeln!(
            f,
            "\nThe article's columns are the pairs and log2 N. Trips are the round trips of a look-up (mean, and what 99 of 100 stay"
        )?;
        writeln!(
            f,
            "within); requests include the 20 deliveries. Average and busiest are the bytes that such a node sends and gets when every node"
        )?;
        writeln!(
            f,
            "delivers one packet, scaled up from {} packets. The last two are computed: what passes an aggregator of",
            self.rows.first().map_or(0, |row| row.measured.load_packets)
        )?;
        writeln!(f, "federated learning when every node gets and sends one model of that size.")?;
        for row in &self.rows {
            let Report { nodes, vectors, build, .. } = &row.measured;
            if *vectors != "file" || *build != "join" {
                writeln!(f, "{nodes} nodes: vectors {vectors}, built by {build}.")?;
            }
        }
        writeln!(f, "Drawn: {}", self.pictures.join(", "))
    }
}

/// Bytes for people: three digits or so.
pub(super) fn bytes(count: f64) -> String {
    let mut unit = count;
    for name in ["B", "KB", "MB", "GB"] {
        if unit < 1000.0 {
            return if name == "B" { format!("{unit:.0} {name}") } else { format!("{unit:.1} {name}") };
        }
        unit /= 1000.0;
    }
    format!("{unit:.1} TB")
}
