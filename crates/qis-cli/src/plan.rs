//! `qis plan`: whether a consortium is worth joining, measured on a table of records.

mod charts;
mod column;
mod consortium;
mod cox;
mod curve;
mod error;
mod exchange;
mod html;
mod measure;
mod model;
mod report;
mod stress;
mod study;
mod svg;
mod table;
mod target;
mod verdict;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use qis_synth::evidence::Family;

use crate::Answer;
use crate::error::Error;
use crate::parallel;
use consortium::Plan;
use curve::Curve;
pub(crate) use error::PlanError;
use report::{Report, Setting};
use stress::Lie;
use study::Study;
use table::Table;
use verdict::Verdict;

/// Say whether sites would gain by learning from each other, by trying it on a table of their records
///
/// Each site of the table becomes a node. Consortia of so many sites are drawn at random; each site learns from a sample of its rows and is
/// judged on the rest. The loop is the real one: a site's rows become evidence, evidence becomes a signed packet of at most 512 bytes,
/// packets are routed by similarity, to 20 similar and 20 random nodes, verified, decoded, and synthesised. Only the
/// guard that keeps sites with fewer than 20 records from publishing is set to 1, since that is what is to be tried.
///
/// The gain is by how much the mean held-out error over sites is smaller than that of the stronger of two tuned local models: ridge
/// regression by cross-validation, and ridge regressions averaged by their evidence. Beside it stand the model of all rows together (where
/// federated averaging converges to) and the rule of the article the project comes from. docs/planning.md of the repository says how to read it.
///
/// Columns of numbers are standardised, columns of text become one indicator for each frequent text but the most frequent, rows with a missing
/// value (empty, NA, ?) are left out. The error is squared error in variances of the target, log-loss, or for survival the negative log partial likelihood.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The table: one record a line, the first line names the columns; separated by commas, semicolons, tabs, bars or blanks
    #[arg(value_name = "DATA.csv")]
    data: PathBuf,
    /// The column that says which site a record is of
    #[arg(long, value_name = "COLUMN")]
    site: String,
    /// The column to predict; COLUMN=TEXT for whether it is that text
    #[arg(long, value_name = "COLUMN", required_unless_present = "time", conflicts_with = "time")]
    target: Option<String>,
    /// The columns to predict by; log:COLUMN for a logarithm, COLUMN=TEXT for whether it is that text [default: all others]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    features: Vec<String>,
    /// The kind of regression [default: cox with --time, logistic for a target of two values, else gaussian]
    #[arg(long, value_enum)]
    family: Option<FamilyName>,
    /// For survival, the column of times instead of a target
    #[arg(long, value_name = "COLUMN", requires = "event")]
    time: Option<String>,
    /// For survival, the column that says whether there was an event then: the larger of two numbers, the later of two words, or COLUMN=TEXT
    #[arg(long, value_name = "COLUMN", requires = "time")]
    event: Option<String>,
    /// Records each site learns from
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    per_site: u32,
    /// Records a site must have besides, to be judged by
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    min_rows: u32,
    /// How many sites make a consortium
    #[arg(long, value_name = "SIZES", value_delimiter = ',', default_value = "2,4,8,10,20,50", value_parser = clap::value_parser!(u32).range(2..=10_000))]
    sizes: Vec<u32>,
    /// Consortia drawn of each size
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    draws: u32,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Write a report with drawings: one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Turn the outcomes of a random half of the sites around, and report how many neighbours are of the same half
    #[arg(long, help_heading = "Stress")]
    flip_half: bool,
    /// This share of the sites lies, at full confidence
    #[arg(long, value_name = "SHARE", help_heading = "Stress", value_parser = minority)]
    liars: Option<f64>,
    /// What liars send: scale (-10 times their own coefficients) or ipm (-2 times the mean of the honest ones'); scale:5, ipm:0.5 for other
    /// strengths
    #[arg(long, value_name = "LIE", default_value = "scale", requires = "liars", help_heading = "Stress")]
    lie: Lie,
}

const EXAMPLES: &str = "\
Examples:
  qis plan wards.csv --site hospital --target readmitted
  qis plan wards.csv --site hospital --target days --features age,log:crp,ward --html report.html
  qis plan wards.csv --site hospital --target days --per-site 20 --sizes 10,20,50 --json
  qis plan trial.csv --site hospital --time months --event died
  qis plan wards.csv --site hospital --target days --sizes 50 --liars 0.4 --lie ipm";

/// The kinds of regression.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FamilyName {
    /// A number with Gaussian noise: linear regression
    Gaussian,
    /// One of two values: logistic regression
    Logistic,
    /// A time until an event: proportional hazards
    Cox,
}

fn minority(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..0.5).contains(&share) => Ok(share),
        _ => Err("not a share from 0 to less than 0.5".to_owned()),
    }
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    let started = Instant::now();
    let path = || args.data.display().to_string();
    let refuse = |source| Error::Plan { path: path(), source: Box::new(source) };
    check(args)?;
    let table = Table::read(&args.data)?;
    let study = Study::new(&table, args).map_err(refuse)?;
    let mut report = measure(args, &study).map_err(refuse)?;
    report.seconds = started.elapsed().as_secs_f64();
    if let Some(path) = &args.html {
        fs::write(path, html::page(&report))
            .map_err(|source| Error::Write { path: path.display().to_string(), source })?;
    }
    Ok(Answer::of(&report, args.json))
}

/// That the arguments go together.
fn check(args: &Args) -> Result<(), Error> {
    let survival = args.time.is_some();
    let needs = |option, needed| Err(Error::Needs { option, needed });
    match args.family {
        Some(FamilyName::Cox) if !survival => return needs("--family cox", "--time and --event"),
        Some(FamilyName::Gaussian | FamilyName::Logistic) if survival => {
            return needs("--time", "--family cox, or none");
        }
        _ => {}
    }
    if survival && args.flip_half {
        needs("--flip-half", "--target: times cannot be turned around")
    } else if survival && args.liars.is_some() {
        needs("--liars", "--target: nobody lies about times here")
    } else {
        Ok(())
    }
}

fn measure(args: &Args, study: &Study) -> Result<Report, PlanError> {
    let mut sizes: Vec<usize> = args.sizes.iter().map(|size| *size as usize).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let sites = study.sites.len();
    let (sizes, sizes_left_out): (Vec<_>, Vec<_>) = sizes.into_iter().partition(|size| *size <= sites);
    let plan = Plan {
        per_site: args.per_site as usize,
        flip_half: args.flip_half,
        liars: args.liars.map(|share| (share, args.lie)),
    };
    let measured = measure::run(study, &plan, &sizes, args.draws as usize, args.seed, parallel::threads())?;
    let by_n = measured.by_n;
    let verdict = Verdict::of(&by_n, plan.per_site).ok_or(PlanError::Sizes { sites })?;
    Ok(Report {
        rows: study.rows(),
        sites,
        features: study.schema.features().len(),
        n_min: verdict::n_min(&by_n),
        curve: Curve::fit(&by_n),
        verdict,
        by_n,
        setting: Setting {
            file: args.data.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned()),
            site: args.site.clone(),
            target: args.target.iter().chain(&args.time).cloned().collect(),
            event: args.event.clone(),
            positive: study.positive.clone(),
            family: match study.family() {
                Family::Cox => "Cox",
                Family::Logistic => "logistic",
                _ => "linear",
            },
            feature_names: study.schema.features().to_vec(),
            per_site: plan.per_site,
            min_rows: args.min_rows as usize,
            draws: args.draws as usize,
            seed: args.seed,
            publish_from_records: 1,
            flip_half: args.flip_half,
            liars: args.liars.unwrap_or(0.0),
            lie: args.liars.map(|_| args.lie.to_string()),
        },
        left_out: study.left_out,
        sizes_left_out,
        max_packet_bytes: measured.max_packet_bytes,
        seconds: 0.0,
    })
}
