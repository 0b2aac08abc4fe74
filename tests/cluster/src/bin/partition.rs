//! A network is cut in two, and heals: both halves must agree soon after.
//!
//! Every node has a network namespace of its own, at one of two switches. The cable between these is cut; the nodes of both halves state outcomes, which reach
//! their own half and are given up for the other one. Then the cable is restored, and the time is taken until all nodes hold the same.
//! It wants root on Linux; where namespaces can't be made it says so, and ends with 0.
//!
//! ```text
//! cargo build --release -p qis-cli -p cluster-tests --features qis-cli/node
//! target/release/partition
//! target/release/partition --nodes 4 --sync 60 --json
//! ```
//!
//! Ends with 0 when they agreed and all promises were kept, with 1 when a promise was broken, with 2 when they did not agree in ten periods or
//! the run could not be made.
#![expect(clippy::print_stdout, reason = "a program that tells what it found")]
#![expect(clippy::print_stderr, reason = "a program that tells what it does")]

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use cluster_tests::{
    Cluster, Fault, Leftovers, Namespaces, Settings, Site, Violation, load_average, program,
};
use serde::Serialize;

/// All nodes must have found each other within so long.
const FIND_PATIENCE: Duration = Duration::from_secs(180);
/// After so many periods of anti-entropy it is given up. How long it takes is told, and not judged: it is the machine's too.
const PERIODS: f64 = 10.0;
/// So that what is stated while the network is cut is given up before it heals: what heals it then is anti-entropy.
const ATTEMPTS: u8 = 2;
/// Where all nodes listen, each in its own network.
const PORT: u16 = 4001;

/// Cuts a network of nodes in two, restores it, and measures how long they take to agree.
#[derive(Debug, Parser)]
struct Args {
    /// Nodes, 2 to 100; half of them on each side.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(2..=100))]
    nodes: u16,
    /// Seconds between two rounds of anti-entropy.
    #[arg(long, default_value_t = 10)]
    sync: u64,
    /// Seconds of the cut, at least; it lasts until what was stated meanwhile is given up.
    #[arg(long, default_value_t = 30)]
    cut: u64,
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

/// What a run found.
#[derive(Debug, Serialize)]
struct Report {
    nodes: u16,
    sync_seconds: u64,
    cut_seconds: f64,
    /// Deliveries across the cut while it lasted; there must be none.
    across: u64,
    /// From the cable's repair until every node held the same of every other one.
    agreed_seconds: f64,
    agreed_periods: f64,
    load_average: String,
    violations: Vec<Violation>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let namespaces = match Namespaces::new(args.nodes.into()) {
        Ok(namespaces) => namespaces,
        Err(fault) => {
            eprintln!("left out: this needs to make network namespaces, which wants root on Linux: {fault}");
            return ExitCode::SUCCESS;
        }
    };
    match run(&args, &namespaces) {
        Ok(report) => {
            print(&args, &report);
            ExitCode::from(u8::from(report.across > 0 || !report.violations.is_empty()))
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args, namespaces: &Namespaces) -> Result<Report, Fault> {
    let folder = std::env::temp_dir().join(format!("qis-cut-{}", std::process::id()));
    let settings = Settings {
        program: program(args.program.as_deref())?,
        folder: folder.clone(),
        sync_seconds: args.sync,
        attempts: ATTEMPTS,
        more: String::new(),
    };
    let site = |number| {
        let mut site = Site::new(&settings.folder, args.seed, number, &namespaces.address(number), PORT);
        site.namespace = Some(namespaces.host(number));
        site
    };
    let sites: Vec<Site> = (0..args.nodes.into()).map(site).collect();
    let mut cluster = Cluster::new(settings, sites)?;
    cluster.start_from_one_address()?;
    cluster.find_each_other(FIND_PATIENCE)?;
    cluster.agree(FIND_PATIENCE)?;
    eprintln!("all {} nodes found each other and agree", args.nodes);

    let began = Instant::now();
    namespaces.set_cable(false)?;
    let across = state_apart(&mut cluster, namespaces)?;
    cluster.listen(began + Duration::from_secs(args.cut))?;
    let cut = began.elapsed();
    namespaces.set_cable(true)?;
    eprintln!("the cable is restored after {:.1} s", cut.as_secs_f64());
    let period = Duration::from_secs(args.sync);
    let agreed = cluster.agree(period.mul_f64(PERIODS))?;
    cluster.stop()?;

    let violations = Leftovers::read(cluster.sites())?.judge(cluster.history().entries());
    if violations.is_empty() {
        fs::remove_dir_all(&folder).map_err(|source| Fault::Io { what: "cannot tidy up".into(), source })?;
    } else {
        eprintln!("the nodes' files are in {}", folder.display());
    }
    Ok(Report {
        nodes: args.nodes,
        sync_seconds: args.sync,
        cut_seconds: cut.as_secs_f64(),
        across,
        agreed_seconds: agreed.as_secs_f64(),
        agreed_periods: agreed.div_duration_f64(period),
        load_average: load_average(),
        violations,
    })
}

/// Has every node state an outcome, and waits until each is acknowledged or given up. Returns how many got to the other side.
fn state_apart(cluster: &mut Cluster, namespaces: &Namespaces) -> Result<u64, Fault> {
    let authors = cluster.authors();
    let mut under_way = Vec::new();
    for site in 0..authors.len() {
        under_way.push((site, cluster.emit(site, true)?));
    }
    let mut across = 0;
    cluster.until("what is stated is over", FIND_PATIENCE, |cluster| {
        under_way.retain(|(site, id)| {
            let Some(answer) = id.and_then(|id| cluster.answer(id)) else { return id.is_some() };
            let recipients = answer["ok"]["recipients"].as_array().cloned().unwrap_or_default();
            let arrived = recipients.iter().filter(|one| one["delivery"] == "acknowledged");
            let place = |one: &serde_json::Value| authors.iter().position(|author| one["author"] == **author);
            let other_side =
                arrived.filter_map(place).filter(|to| namespaces.is_left(*to) != namespaces.is_left(*site));
            across += other_side.count() as u64;
            false
        });
        Ok(under_way.is_empty())
    })?;
    Ok(across)
}

fn print(args: &Args, report: &Report) {
    if args.json {
        // Numbers and texts, which have a form in JSON.
        println!("{}", serde_json::to_string(report).unwrap_or_default());
        return;
    }
    let Report { nodes, cut_seconds, across, agreed_seconds, agreed_periods, .. } = report;
    println!("{nodes} nodes, cut in two for {cut_seconds:.1} s; {across} deliveries across the cut");
    println!(
        "all agreed {agreed_seconds:.1} s after the repair, which is {agreed_periods:.1} periods of anti-entropy"
    );
    println!("load average {}", report.load_average);
    for violation in &report.violations {
        println!("BROKEN: {violation}");
    }
}
