//! Nodes are killed again and again while they emit, and a judge looks at what they leave behind.
//!
//! Starts `qis node` processes on loopback that know one address, waits until all have found each other, and kills some of them at random every few
//! seconds while outcomes are stated. Then all are stopped, and their stores, logs and answers are judged: nothing that was
//! acknowledged is lost, nothing was applied twice, no number was used twice. What is done when follows from the seed; what the machine makes of it does not.
//!
//! ```text
//! cargo build --release -p qis-cli -p cluster-tests --features qis-cli/node
//! target/release/chaos
//! target/release/chaos --nodes 8 --seconds 60 --kill 2 --json
//! target/release/chaos --nodes 8 --seconds 20 --kill 2 --tamper store       # the judge must notice
//! ```
//!
//! Ends with 0 when all promises were kept, with 1 when one was broken, with 2 when the run could not be made.
#![expect(clippy::print_stdout, reason = "a program that tells what it found")]
#![expect(clippy::print_stderr, reason = "a program that tells what it does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use cluster_tests::{
    Cluster, Entry, Fault, HISTORY, History, Leftovers, Name, Plan, Settings, Site, Step, Violation,
    free_ports, load_average, program,
};
use serde::Serialize;

/// Nodes must find each other within so long for the run to go on. How long it takes is told, and not judged: it is the machine's too.
const FIND_PATIENCE: Duration = Duration::from_secs(180);

/// Kills nodes at random while they emit, and judges what they leave behind.
#[derive(Debug, Parser)]
struct Args {
    /// Nodes, 2 to 100.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=100))]
    nodes: u16,
    /// Seconds of kills.
    #[arg(long, default_value_t = 300)]
    seconds: u64,
    /// Nodes that are killed at a time; fewer than there are.
    #[arg(long, default_value_t = 5)]
    kill: u16,
    /// Seconds from one time to the next; 2 at least.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(2..=3600))]
    every: u64,
    /// Outcomes a second, of all nodes together.
    #[arg(long, default_value_t = 2.0)]
    rate: f64,
    /// Seconds between two rounds of anti-entropy.
    #[arg(long, default_value_t = 10)]
    sync: u64,
    /// Seconds that nodes have to agree in the end.
    #[arg(long, default_value_t = 120)]
    settle: u64,
    /// What is done when, and the nodes' keys, follow from this.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program under test; `qis` beside this one by default.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// A new folder for the nodes' files, of a short path, that is kept; a temporary one, kept when a promise was broken, by default.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Judge what an earlier run of as many nodes and the same seed left in this folder, and run nothing.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["dir", "tamper", "json"])]
    judge: Option<PathBuf>,
    /// Break a promise on purpose, to see that it is noticed.
    #[arg(long)]
    tamper: Option<Tamper>,
    /// Print one JSON object and nothing else.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Tamper {
    /// A store is deleted in the end.
    Store,
    /// Stores are deleted while their nodes are down, so that these forget what they applied. It shows where they tell of applying it again.
    Amnesia,
    /// A store is put back to what it was at the first kill, in the end.
    Backup,
    /// In the history a number is used for a second packet.
    Number,
}

/// What a run found.
#[derive(Debug, Serialize)]
struct Report {
    nodes: u16,
    seconds: u64,
    seed: u64,
    /// From the start of the first process until every node had an outcome of its own acknowledged by every other one.
    found_seconds: f64,
    kills: usize,
    asked: usize,
    acknowledged: usize,
    refused: usize,
    applied: usize,
    /// Seconds from the last restart until all agreed.
    settled_seconds: f64,
    load_average: String,
    violations: Vec<Violation>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(folder) = &args.judge {
        return judge_again(&args, folder);
    }
    match run(&args) {
        Ok(report) => {
            print(&args, &report);
            ExitCode::from(u8::from(!report.violations.is_empty()))
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Report, Fault> {
    let temporary = std::env::temp_dir().join(format!("qis-chaos-{}", std::process::id()));
    let folder = args.dir.clone().unwrap_or(temporary);
    let settings = Settings {
        program: program(args.program.as_deref())?,
        folder: folder.clone(),
        sync_seconds: args.sync,
        attempts: 5,
        more: String::new(),
    };
    let ports = free_ports(args.nodes.into())?;
    let site = |(number, port)| Site::new(&settings.folder, args.seed, number, "127.0.0.1", port);
    let sites: Vec<Site> = ports.into_iter().enumerate().map(site).collect();
    let mut cluster = Cluster::new(settings, sites)?;

    let began = Instant::now();
    cluster.start_from_one_address()?;
    cluster.find_each_other(FIND_PATIENCE)?;
    let found = began.elapsed();
    eprintln!("all {} nodes found each other in {:.1} s", args.nodes, found.as_secs_f64());
    let kills = cause_chaos(&mut cluster, args)?;
    let settled = cluster.agree(Duration::from_secs(args.settle));
    let settled = match settled {
        Ok(took) => took,
        // The judge says who lacks what.
        Err(Fault::Waited { .. }) => Duration::from_secs(args.settle),
        Err(fault) => return Err(fault),
    };
    cluster.stop()?;
    eprintln!("{kills} kills; all agreed {:.1} s later", settled.as_secs_f64());

    let violations = judged(&cluster, args)?;
    if args.dir.is_none() && violations.is_empty() {
        fs::remove_dir_all(&folder).map_err(|source| Fault::Io { what: "cannot tidy up".into(), source })?;
    } else {
        eprintln!("the nodes' files are in {}", folder.display());
    }
    let entries = cluster.history().entries();
    let count = |is: fn(&Entry) -> bool| entries.iter().filter(|entry| is(entry)).count();
    Ok(Report {
        nodes: args.nodes,
        seconds: args.seconds,
        seed: args.seed,
        found_seconds: found.as_secs_f64(),
        kills,
        asked: count(|entry| matches!(entry, Entry::Asked { .. })),
        acknowledged: count(|entry| matches!(entry, Entry::Acknowledged { .. })),
        refused: count(|entry| matches!(entry, Entry::Refused { .. })),
        applied: count(|entry| matches!(entry, Entry::Applied { .. })),
        settled_seconds: settled.as_secs_f64(),
        load_average: load_average(),
        violations,
    })
}

/// Judges what an earlier run left behind.
fn judge_again(args: &Args, folder: &Path) -> ExitCode {
    let site = |number| Site::new(folder, args.seed, number, "127.0.0.1", 0);
    let sites: Vec<Site> = (0..args.nodes.into()).map(site).collect();
    let history = History::read(&folder.join(HISTORY));
    match history.and_then(|history| Ok(Leftovers::read(&sites)?.judge(&history))) {
        Ok(violations) => {
            print_violations(&violations);
            ExitCode::from(u8::from(!violations.is_empty()))
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(2)
        }
    }
}

/// Follows the plan. Returns how many nodes were killed.
fn cause_chaos(cluster: &mut Cluster, args: &Args) -> Result<usize, Fault> {
    let seconds = Duration::from_secs;
    let rate = Duration::from_secs_f64(1.0 / args.rate.clamp(0.01, 100.0));
    let kill = usize::from(args.kill.min(args.nodes - 1));
    let plan =
        Plan::new(args.seed, args.nodes.into(), seconds(args.seconds), kill, seconds(args.every), rate);
    let (began, mut kills) = (Instant::now(), 0);
    for (at, step) in plan.steps {
        cluster.listen(began + at)?;
        match step {
            Step::Emit { site } => {
                let all = cluster.sites().len();
                // One that is down has its turn taken by the next.
                for site in (site..all).chain(0..site) {
                    if cluster.emit(site, false)?.is_some() {
                        break;
                    }
                }
            }
            Step::Kill { site } => {
                kills += usize::from(cluster.kill(site)?);
                if kills == 1 && args.tamper == Some(Tamper::Backup) {
                    let site = &cluster.sites()[site];
                    copy(&site.store(), &site.path("copy"))?;
                }
            }
            Step::Restart { site } => {
                if args.tamper == Some(Tamper::Amnesia) && kills <= kill {
                    remove(&cluster.sites()[site].store())?;
                }
                cluster.start(site)?;
            }
        }
    }
    Ok(kills)
}

/// Judges what the nodes left behind.
fn judged(cluster: &Cluster, args: &Args) -> Result<Vec<Violation>, Fault> {
    let mut history = cluster.history().entries().to_vec();
    tamper(cluster, args, &mut history)?;
    Ok(Leftovers::read(cluster.sites())?.judge(&history))
}

/// Breaks what is to be broken in the end.
fn tamper(cluster: &Cluster, args: &Args, history: &mut Vec<Entry>) -> Result<(), Fault> {
    match args.tamper {
        None | Some(Tamper::Amnesia) => Ok(()),
        Some(Tamper::Store) => remove(&cluster.sites()[0].store()),
        Some(Tamper::Backup) => {
            let copied = cluster.sites().iter().find(|site| site.path("copy").exists());
            copied.map_or(Ok(()), |site| copy(&site.path("copy"), &site.store()))
        }
        Some(Tamper::Number) => {
            let of_first =
                history.iter().rev().find(|entry| matches!(entry, Entry::Acknowledged { site: 0, .. }));
            if let Some(Entry::Acknowledged { site, number, name }) = of_first.cloned() {
                let name = Name { packet: "another".to_owned(), ..name };
                history.push(Entry::Acknowledged { site, number: number + 1, name });
            }
            Ok(())
        }
    }
}

fn copy(from: &PathBuf, to: &PathBuf) -> Result<(), Fault> {
    let what = format!("cannot copy {}", from.display());
    fs::copy(from, to).map(|_| ()).map_err(|source| Fault::Io { what, source })
}

fn remove(path: &PathBuf) -> Result<(), Fault> {
    let what = format!("cannot remove {}", path.display());
    fs::remove_file(path).map_err(|source| Fault::Io { what, source })
}

fn print(args: &Args, report: &Report) {
    if args.json {
        // Numbers and texts, which have a form in JSON.
        println!("{}", serde_json::to_string(report).unwrap_or_default());
        return;
    }
    let Report { nodes, found_seconds, kills, asked, acknowledged, .. } = report;
    println!("{nodes} nodes found each other in {found_seconds:.1} s");
    println!("{kills} kills in {} s; {acknowledged} of {asked} outcomes acknowledged", report.seconds);
    println!("{} packets applied; all agreed {:.1} s after the end", report.applied, report.settled_seconds);
    println!("load average {}", report.load_average);
    print_violations(&report.violations);
}

fn print_violations(violations: &[Violation]) {
    for violation in violations {
        println!("BROKEN: {violation}");
    }
    if violations.is_empty() {
        println!("nothing acknowledged was lost, nothing was applied twice, no number was used twice");
    }
}
