//! `qis attack`: what a rule of synthesis keeps of its accuracy when some of the peers lie.

mod measure;
mod table;

use std::fmt;

use clap::builder::PossibleValuesParser;
use qis_conformance::attack::Attack;
use qis_synth::Synthesizer;
use qis_synth::rules::{self, AnchoredMean, ShareError};
use serde::Serialize;

use crate::Answer;
use crate::error::Error;
use measure::{Job, Jobs};

/// The mean of the peers' deltas weighted by confidence, with the robust rules' share of the site's own: what all are held against.
const MEAN: &str = "weighted-mean";

/// Let some of the peers lie, and measure what a rule of synthesis keeps of its accuracy
///
/// 24 sites learn to tell ten classes, from made-up records whose labels are spread unevenly over them (Dirichlet, 0.3). In each of 150
/// rounds a site sends its step (250 parameters, about a byte each) in a packet, and moves its model by what the rule makes of its own and
/// those of 20 peers, of whom some lie. Liars know everything: what the honest peers send, the receiver's own step and model, the test
/// records. The accuracy is the mean over the sites and seeds; the clean one is that of the weighted mean when nobody lies, and the share
/// is of that.
///
/// A measurement takes about a second a seed, the table some ten minutes on two processors.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The rule
    #[arg(long, value_name = "RULE", default_value = "robust", value_parser = PossibleValuesParser::new(names()))]
    rule: String,
    /// The attack
    #[arg(long, value_name = "ATTACK", default_value = "ipm", value_parser = PossibleValuesParser::new(Attack::ALL.map(Attack::name)))]
    attack: String,
    /// The share of a receiver's 20 peers that lies, 0 to 0.5
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = fraction)]
    fraction: f64,
    /// How many seeds are averaged, 1 to 1000
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Rounds of learning, 1 to 10000; the bars of the documentation are for 150
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    rounds: u16,
    /// The noise that each liar adds, as a share of an honest step's size, 0 to 10: more hides copies and says less
    #[arg(long, value_name = "SHARE", default_value_t = 0.25, value_parser = jitter)]
    jitter: f64,
    /// All rules by all attacks
    #[arg(long, conflicts_with_all = ["rule", "attack"])]
    table: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis attack --rule robust --attack ipm --fraction 0.2
  qis attack --rule hostile --attack mimic --fraction 0.3 --jitter 0.5 --json
  qis attack --table --fraction 0.3 --seeds 1";

fn names() -> Vec<&'static str> {
    [&[MEAN], &rules::NAMES[..]].concat()
}

fn rule(name: &str) -> Result<Box<dyn Synthesizer>, ShareError> {
    match rules::by_name(name) {
        Some(rule) => Ok(rule),
        // The only other name that the arguments take.
        None => Ok(Box::new(AnchoredMean::new(0.2)?)),
    }
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, 0.5).ok_or_else(|| "not a share from 0 to 0.5".to_owned())
}

fn jitter(text: &str) -> Result<f64, String> {
    number(text, 10.0).ok_or_else(|| "not a share from 0 to 10".to_owned())
}

fn number(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|number| (0.0..=most).contains(number))
}

/// What is printed.
#[derive(Clone, Debug, Serialize)]
struct Report {
    rule: String,
    attack: &'static str,
    fraction: f64,
    clean_accuracy: f64,
    accuracy: f64,
    share_of_clean: f64,
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    if args.table {
        return table::run(args);
    }
    // The arguments take names of attacks only.
    let attack = args.attack.parse().unwrap_or(Attack::Ipm);
    let mut jobs = Jobs::new(args);
    let (clean, attacked) = (jobs.add(Job::honest(MEAN)), jobs.add(Job::new(&args.rule, attack)));
    let found = jobs.run()?;
    let (clean_accuracy, accuracy) = (found.mean(clean), found.mean(attacked));
    let report = Report {
        rule: args.rule.clone(),
        attack: attack.name(),
        fraction: args.fraction,
        clean_accuracy,
        accuracy,
        share_of_clean: accuracy / clean_accuracy,
    };
    Ok(Answer::of(&report, args.json))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, attack, fraction, clean_accuracy, accuracy, share_of_clean } = self;
        writeln!(f, "{rule}, {:.0} % of the peers lie by {attack}\n", 100.0 * fraction)?;
        writeln!(f, "accuracy          {accuracy:.3}")?;
        writeln!(f, "without attack    {clean_accuracy:.3}   (the weighted mean)")?;
        writeln!(f, "share of it       {share_of_clean:.3}")
    }
}
