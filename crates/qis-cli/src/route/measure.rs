//! One overlay, built and asked.

use qis_route::overlay::{LookupOptions, OverlayConfig, OverlayError};
use qis_sim::{Costs, Experiment, Load, Vectors};

use super::{Args, Build, ColdRound, Report, config, siege};
use crate::error::Error;
use crate::progress::Progress;

/// Up to so many nodes join by the protocol unless told otherwise.
const JOINING: usize = 100_000;
/// The last nodes of a snapshot join by the protocol, to see what that costs.
const LAST: usize = 1000;
/// Packets over which the spread of work is measured.
const PACKETS: u32 = 10_000;
/// Exchanges of a cold start.
const COLD_ROUNDS: usize = 3;

/// Rows for so many nodes and the queries behind them, and where they come from.
pub(super) struct Rows {
    pub(super) vectors: Vectors,
    pub(super) origin: &'static str,
}

pub(super) fn vectors(args: &Args, nodes: usize) -> Result<Rows, Error> {
    let (dims, queries) = (usize::from(args.dims), args.queries as usize);
    let Some(path) = &args.vectors else {
        return Ok(Rows {
            vectors: Vectors::clustered(nodes + queries, dims, args.seed),
            origin: "synthetic",
        });
    };
    let name = || path.display().to_string();
    let vectors = Vectors::read(path, dims)
        .map_err(|source| Error::Vectors { path: name(), source: Box::new(source) })?;
    if vectors.len() <= queries {
        return Err(Error::TooFew { path: name(), found: vectors.len(), needed: queries + 1 });
    }
    let missing = nodes + queries > vectors.len();
    let origin = if missing { "jittered" } else { "file" };
    Ok(Rows { vectors: vectors.jittered(nodes + queries, queries, args.seed), origin })
}

/// For each query its row and the rows returned.
pub(super) type Returned = Vec<(usize, Vec<usize>)>;

pub(super) fn run(args: &Args, rows: Rows, nodes: usize) -> Result<(Report, Returned), Error> {
    let Rows { vectors, origin } = rows;
    let (dims, queries) = (vectors.dims(), args.queries as usize);
    let first_query = vectors.len() - queries;
    let build = args.build.unwrap_or(if nodes > JOINING { Build::Snapshot } else { Build::Join });
    let progress = Progress::new("signing", 0);
    let sybils = siege::sybils(args);
    // A cold start is about upkeep, and a siege goes on while there is some.
    let with_upkeep = args.cold_start.is_some() || sybils.is_some();
    let config = if with_upkeep { OverlayConfig::default() } else { config() };
    let experiment = match sybils {
        None => Experiment::new(vectors, nodes, queries, config, args.seed),
        Some(sybils) => Experiment::with_sybils(vectors, nodes, queries, sybils, config, args.seed),
    };
    let mut experiment = experiment.map_err(Error::Overlay)?;
    progress.end();

    let options = options(args);
    let mut cold_rounds = Vec::new();
    let mut settled = Costs::default();
    if let Some(contacts) = args.cold_start {
        cold_rounds = start_cold(&mut experiment, contacts.into(), options)?;
    } else {
        if build == Build::Snapshot {
            let progress = Progress::new("building", nodes);
            experiment
                .build_snapshot(nodes.saturating_sub(LAST), !args.just_joined, |done| progress.set(done));
            progress.end();
        }
        let progress = Progress::new("joining", nodes);
        experiment.join_all(|done| progress.set(done));
        progress.end();
        if !args.just_joined {
            let progress = Progress::new("settling", nodes);
            settled = experiment.settle(|done| progress.set(done));
            progress.end();
        }
    }
    let state_bytes_max = experiment.state_bytes_most();
    let joins = experiment.joins();
    let mean = |count: u64, nodes: u64| (nodes > 0).then(|| count as f64 / nodes as f64);

    if args.crash > 0.0 {
        experiment.crash(args.crash);
    }
    if args.colluders > 0.0 {
        experiment.collude(args.colluders);
    }
    if sybils.is_some() {
        let progress = Progress::new("deceiving", 0);
        siege::begin(&mut experiment);
        progress.end();
    }
    experiment.network().faults.loss = args.loss;
    let progress = Progress::new("looking", 0);
    let truth = experiment.truth();
    let mut found = experiment.measure(options, &truth).map_err(Error::Overlay)?;
    let siege = sybils.map(|sybils| siege::measure(&mut experiment, sybils, args.selection, &truth));
    let siege = siege.transpose().map_err(Error::Overlay)?;
    progress.end();
    let mut recall_before_repair = None;
    if args.repair {
        recall_before_repair = Some(found.recall);
        let progress = Progress::new("repairing", nodes);
        experiment.refresh_all(|done| progress.set(done));
        progress.end();
        found = experiment.measure(options, &truth).map_err(Error::Overlay)?;
    }
    let faults = args.crash > 0.0 || args.colluders > 0.0 || args.loss > 0.0 || with_upkeep;
    let packets = args.packets.unwrap_or(if faults { 0 } else { PACKETS }) as usize;
    let load = load(&mut experiment, packets, options).map_err(Error::Overlay)?;
    let returned = (first_query..).zip(found.returned).collect();
    let report = Report {
        nodes,
        vectors: origin,
        build: match (args.cold_start, build) {
            (Some(_), _) => "cold",
            (None, Build::Join) => "join",
            (None, Build::Snapshot) => "snapshot",
        },
        dims,
        queries: found.queries,
        effort: args.effort,
        seed: args.seed,
        recall_at_20: found.recall,
        worst5_recall: found.worst,
        rpcs_mean: found.requests,
        rounds_mean: found.rounds,
        rounds_p99: found.rounds_p99,
        hops_log2n: (nodes as f64).log2(),
        state_bytes_max,
        join_messages_mean: mean(joins.messages, joins.nodes),
        join_bytes_mean: mean(joins.bytes, joins.nodes),
        join_bytes_max: (joins.nodes > 0).then_some(joins.bytes_most),
        settle_messages_mean: mean(settled.messages, settled.nodes),
        settle_bytes_mean: mean(settled.bytes, settled.nodes),
        cold_rounds,
        recall_before_repair,
        siege,
        load_packets: packets,
        load_skew: load.map(|load| load.requests),
        delivery_skew: load.map(|load| load.deliveries),
        packet_bytes_mean: load.map(|load| load.bytes_mean),
        packet_bytes_busiest: load.map(|load| load.bytes_most),
        seconds: 0.0,
    };
    Ok((report, returned))
}

fn options(args: &Args) -> LookupOptions {
    let options = LookupOptions::nearest(20).with_effort(args.effort);
    // Among those found there may be colluders, which are told apart only here.
    if args.colluders > 0.0 || args.sybils.is_some() {
        LookupOptions { k: args.effort.min(200), ..options }
    } else {
        options
    }
}

fn start_cold(
    experiment: &mut Experiment,
    contacts: usize,
    options: LookupOptions,
) -> Result<Vec<ColdRound>, Error> {
    let truth = experiment.truth();
    let progress = Progress::new("upkeep, round", COLD_ROUNDS);
    let mut rounds = Vec::new();
    let mut failed = None;
    experiment.start_cold(contacts, COLD_ROUNDS, |experiment, round, messages_mean| {
        progress.set(round);
        match experiment.measure(options, &truth) {
            Ok(found) => rounds.push(ColdRound { round, messages_mean, recall_at_20: found.recall }),
            Err(error) => failed = Some(error),
        }
    });
    progress.end();
    failed.map_or(Ok(rounds), |error| Err(Error::Overlay(error)))
}

fn load(
    experiment: &mut Experiment,
    packets: usize,
    options: LookupOptions,
) -> Result<Option<Load>, OverlayError> {
    if packets == 0 {
        return Ok(None);
    }
    let progress = Progress::new("delivering", 0);
    let load = experiment.load(packets, options)?;
    progress.end();
    Ok(Some(load))
}
