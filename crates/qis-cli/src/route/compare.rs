//! The article's table, beside what is measured.

use std::fmt;
use std::time::Instant;

use qis_route::DhtConfig;
use qis_sim::{DhtReport, Vectors, measure_dht};
use serde::Serialize;

use super::{Args, Report, measure, plot};
use crate::Answer;
use crate::error::Error;
use crate::progress::{Progress, say};

/// The bytes of the models a federated aggregator is compared with.
const MODELS: [u64; 2] = [4096, 1 << 20];

/// A directory over a DHT is for networks of at most so many members.
const DHT_MEMBERS: usize = 10_000;
/// Look-ups that are made in it.
const DHT_QUERIES: usize = 200;

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    /// Pairs of nodes: N (N - 1) / 2.
    pub(super) pairs: u64,
    /// Bytes through a federated aggregator in a round in which each node gets and sends a model of 4 KB and of 1 MB: computed, not measured.
    pub(super) aggregator_bytes_computed: [u64; 2],
    /// The same nodes found by locality-sensitive hashing over a DHT, and the gets a look-up takes.
    pub(super) dht_recall_at_20: Option<f64>,
    pub(super) dht_gets_mean: Option<f64>,
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
        let given = measure::vectors(args, nodes)?;
        let dht = dht(args, &given.vectors, nodes)?;
        let started = Instant::now();
        let (mut measured, _) = measure::run(args, given, nodes)?;
        measured.seconds = started.elapsed().as_secs_f64();
        let row = Row {
            dht_recall_at_20: dht.map(|dht| dht.recall),
            dht_gets_mean: dht.map(|dht| dht.gets),
            pairs: size * (size - 1) / 2,
            aggregator_bytes_computed: MODELS.map(|model| 2 * size * model),
            measured,
        };
        if !args.json {
            say(&format!("{size} nodes: recall {:.4}", row.measured.recall_at_20));
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
    Ok(Answer::of(&table, args.json))
}

fn dht(args: &Args, vectors: &Vectors, nodes: usize) -> Result<Option<DhtReport>, Error> {
    if nodes > DHT_MEMBERS {
        return Ok(None);
    }
    let progress = Progress::new("over a DHT", 0);
    let queries = DHT_QUERIES.min(args.queries as usize);
    let config = DhtConfig::for_members(u32::try_from(nodes).unwrap_or(u32::MAX));
    let report = measure_dht(&vectors.spread(nodes + queries), nodes, 20, config);
    progress.end();
    report.map(Some).map_err(|source| Error::Dht(Box::new(source)))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:>9} {:>14} {:>6} | {:>6} {:>4} {:>8} {:>7} {:>7} {:>5} | {:>9} {:>9} | {:>9} {:>9}",
            "nodes",
            "pairs",
            "log2 N",
            "trips",
            "p99",
            "requests",
            "recall",
            "worst5",
            "DHT",
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
                "{:>9} {:>14} {:>6.1} | {:>6.1} {:>4} {:>8.1} {:>7.4} {:>7.3} {:>5} | {:>9} {:>9} | {:>9} {:>9}",
                measured.nodes,
                row.pairs,
                measured.hops_log2n,
                measured.rounds_mean,
                measured.rounds_p99,
                measured.rpcs_mean,
                measured.recall_at_20,
                measured.worst5_recall,
                row.dht_recall_at_20.map_or_else(|| "-".to_owned(), |recall| format!("{recall:.2}")),
                of(measured.packet_bytes_mean),
                of(measured.packet_bytes_busiest),
                bytes(row.aggregator_bytes_computed[0] as f64),
                bytes(row.aggregator_bytes_computed[1] as f64),
            )?;
        }
        let packets = self.rows.first().map_or(0, |row| row.measured.load_packets);
        writeln!(
            f,
            "\nThe article's columns are the pairs and log2 N. Trips are the round trips of a look-up (mean, and what 99 of 100 stay within);\n\
             requests include the 20 deliveries. DHT is the recall of locality-sensitive hashing over a DHT, where that is for. Average and\n\
             busiest are the bytes that such a node sends and gets when every node delivers one packet, scaled up from {packets} packets. The\n\
             last two are computed: what passes an aggregator of federated learning when every node gets and sends one model of that size."
        )?;
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
