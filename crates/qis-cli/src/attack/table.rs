//! All rules by all attacks.

use std::collections::BTreeMap;
use std::fmt;

use qis_conformance::attack::Attack;
use serde::Serialize;

use super::measure::{Job, Jobs};
use super::{Args, MEAN, names};
use crate::Answer;
use crate::error::Error;

/// What is printed. Shares are of the clean accuracy.
#[derive(Clone, Debug, Serialize)]
struct Table {
    fraction: f64,
    jitter: f64,
    seeds: u64,
    /// Of the weighted mean, when nobody lies.
    clean_accuracy: f64,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Serialize)]
struct Row {
    rule: &'static str,
    /// When nobody lies.
    none: f64,
    /// By attack.
    shares: BTreeMap<&'static str, f64>,
    worst: f64,
    worst_attack: &'static str,
}

pub(super) fn run(args: &Args) -> Result<Answer, Error> {
    let mut jobs = Jobs::new(args);
    let clean = jobs.add(Job::honest(MEAN));
    let places: Vec<_> = names()
        .into_iter()
        .map(|rule| {
            let none = jobs.add(Job::honest(rule));
            (rule, none, Attack::ALL.map(|attack| (attack, jobs.add(Job::new(rule, attack)))))
        })
        .collect();
    let found = jobs.run()?;
    let clean_accuracy = found.mean(clean);
    let row = |(rule, none, attacked): (_, _, [_; Attack::ALL.len()])| {
        let share = |place| found.mean(place) / clean_accuracy;
        let shares = attacked.map(|(attack, place): (Attack, _)| (attack.name(), share(place)));
        let (worst_attack, worst) =
            shares.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or_default();
        Row { rule, none: share(none), shares: shares.into(), worst, worst_attack }
    };
    let Args { fraction, jitter, seeds, .. } = *args;
    let table =
        Table { fraction, jitter, seeds, clean_accuracy, rows: places.into_iter().map(row).collect() };
    Ok(Answer::of(&table, args.json))
}

/// A line for each attack and a column for each rule.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fraction, jitter, seeds, clean_accuracy, rows } = self;
        let lying = 100.0 * fraction;
        writeln!(
            f,
            "{lying:.0} % of the peers lie, with noise {jitter}; {seeds} seeds; accuracy without attack {clean_accuracy:.3}\n"
        )?;
        write!(f, "{:<24}", "share of that")?;
        for row in rows {
            write!(f, " {:>8}", short(row.rule))?;
        }
        let line = |f: &mut fmt::Formatter<'_>, name: &str, of: &dyn Fn(&Row) -> f64| {
            write!(f, "\n{name:<24}")?;
            rows.iter().try_for_each(|row| write!(f, " {:>8.3}", of(row)))
        };
        line(f, "no attack", &|row| row.none)?;
        for attack in Attack::ALL {
            line(f, attack.name(), &|row| row.shares.get(attack.name()).copied().unwrap_or_default())?;
        }
        line(f, "worst", &|row| row.worst)?;
        writeln!(f)
    }
}

/// The name of a rule in eight letters.
fn short(rule: &'static str) -> &'static str {
    match rule {
        "weighted-mean" => "mean",
        "anchored-mean" => "anchored",
        "trimmed-mean" => "trimmed",
        "geometric-median" => "geo.med.",
        "centered-clip" => "clip",
        "multi-krum" => "m-krum",
        _ => rule,
    }
}
