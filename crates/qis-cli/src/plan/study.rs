//! The table as a study: sites, features, outcomes, and what was left out.

use std::collections::{BTreeMap, BTreeSet};

use csv::StringRecord;
use qis_route::proto::RouterConfig;
use qis_synth::evidence::{Evidence, EvidenceError, EvidenceSummary, Family, Scaling, Schema};
use serde::Serialize;

use super::Args;
use super::column::{Column, Feature};
use super::error::PlanError;
use super::exchange::DOMAIN;
use super::table::{Table, is_missing};
use super::target::{Outcomes, Target};

/// Less than this share of a column's spread is left when the columns before it are known: they tell all of it.
const COLLINEAR: f64 = 1e-8;

/// What does not take part, and why.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct LeftOut {
    /// Rows in which a value is missing.
    pub(super) incomplete_rows: usize,
    /// Sites with too few complete rows.
    pub(super) small_sites: usize,
    /// Complete rows of those sites.
    pub(super) rows_of_small_sites: usize,
}

/// The rows of a site, by their place in the study.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) name: String,
    pub(super) rows: Vec<usize>,
}

/// All that is known of the rows that take part.
#[derive(Clone, Debug)]
pub(super) struct Study {
    pub(super) schema: Schema,
    pub(super) sites: Vec<Site>,
    pub(super) left_out: LeftOut,
    /// The value of the target that a label of 1 or an event stands for, unless the column's name says it.
    pub(super) positive: Option<String>,
    /// Row after row, in raw units.
    raw: Vec<f64>,
    /// Of the Cox family: times.
    outcomes: Vec<f64>,
    /// Of the Cox family: whether a time is that of an event.
    events: Vec<bool>,
    /// The same standardised, with a leading 1 a row where there is an intercept.
    design: Vec<f64>,
    standardised: Vec<f64>,
}

/// Some rows: what a site learns from, or is judged on.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    pub(super) raw: Vec<f64>,
    pub(super) raw_outcomes: Vec<f64>,
    /// Rows of [`Study::dims`] standardised numbers, the first of them 1 where there is an intercept.
    pub(super) design: Vec<f64>,
    pub(super) outcomes: Vec<f64>,
    pub(super) events: Vec<bool>,
}

impl Study {
    pub(super) fn new(table: &Table, args: &Args) -> Result<Self, PlanError> {
        let site = Column::find(table, &args.site)?;
        let target = Target::find(table, args)?;
        let columns = columns(table, args, &site, &target)?;
        let mut left_out = LeftOut::default();
        let used = std::iter::once(&site).chain(target.columns()).chain(&columns);
        let rows = complete(table, &used.collect::<Vec<_>>())?;
        left_out.incomplete_rows = table.rows().len() - rows.len();

        let mut of_sites: BTreeMap<&str, Vec<&StringRecord>> = BTreeMap::new();
        for row in rows {
            of_sites.entry(site.text(row)?).or_default().push(row);
        }
        let all = of_sites.len();
        if let (1, Some(name)) = (all, of_sites.keys().next()) {
            return Err(PlanError::OneSite { column: site.name, site: (*name).to_owned() });
        }
        let least = args.per_site as usize + args.min_rows as usize;
        of_sites.retain(|_, rows| {
            let enough = rows.len() >= least;
            left_out.rows_of_small_sites += if enough { 0 } else { rows.len() };
            enough
        });
        left_out.small_sites = all - of_sites.len();
        if of_sites.len() < 2 {
            return Err(PlanError::SmallSites { enough: of_sites.len(), sites: all, rows: least });
        }

        let mut sites = Vec::new();
        let mut rows = Vec::new();
        for (name, of_site) in of_sites {
            sites.push(Site {
                name: name.to_owned(),
                rows: (rows.len()..rows.len() + of_site.len()).collect(),
            });
            rows.extend(of_site);
        }
        let mut features = Vec::new();
        for column in &columns {
            features.extend(column.features(&rows)?);
        }
        if features.len() >= rows.len() {
            return Err(PlanError::Features { features: features.len(), rows: rows.len() });
        }
        let outcomes = target.read(&rows, args.family)?;
        let study = Self { left_out, sites, ..Self::standardise(&features, outcomes)? };
        study.check_rank()?;
        Ok(study)
    }

    /// The study without its sites: the schema publishes mean and spread of the rows that take part.
    fn standardise(features: &[Feature], outcomes: Outcomes) -> Result<Self, PlanError> {
        let Outcomes { family, values, events, positive } = outcomes;
        let (mean, scale) = features.iter().map(|one| moments(&one.values)).unzip();
        let names = features.iter().map(|one| one.name.as_str());
        let mut schema = Schema::new(family, names, Scaling::Public { mean, scale })?;
        if family == Family::Gaussian {
            let (mean, scale) = moments(&values);
            schema = schema.with_outcome_scaling(mean, scale)?;
        }
        check_room(&schema)?;
        let row = |at: usize| features.iter().filter_map(move |one| one.values.get(at).copied());
        let raw: Vec<f64> = (0..values.len()).flat_map(row).collect();
        // What a site of all rows would work with is what each site works with: the figures are public.
        let all = evidence(&schema, &raw, &values, &events)
            .map_err(|source| PlanError::Evidence { site: "all together".to_owned(), source })?;
        Ok(Self {
            design: all.design().to_vec(),
            standardised: all.outcomes().to_vec(),
            raw,
            outcomes: values,
            events,
            schema,
            sites: Vec::new(),
            left_out: LeftOut::default(),
            positive,
        })
    }

    pub(super) fn family(&self) -> Family {
        self.schema.family()
    }

    /// Coefficients, the intercept included.
    pub(super) fn dims(&self) -> usize {
        self.schema.dims()
    }

    pub(super) fn rows(&self) -> usize {
        self.outcomes.len()
    }

    pub(super) fn records(&self, rows: &[usize]) -> Records {
        let (features, dims) = (self.schema.features().len(), self.dims());
        let mut records = Records::default();
        for &row in rows {
            records.raw.extend(self.raw.chunks_exact(features).nth(row).unwrap_or_default());
            records.design.extend(self.design.chunks_exact(dims).nth(row).unwrap_or_default());
            records.raw_outcomes.extend(self.outcomes.get(row));
            records.outcomes.extend(self.standardised.get(row));
            records.events.extend(self.events.get(row));
        }
        records
    }

    /// That no column follows from those before it, by a Cholesky factorisation of the correlations.
    fn check_rank(&self) -> Result<(), PlanError> {
        let dims = self.dims();
        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(dims);
        for column in 0..dims {
            let mut entries: Vec<f64> = vec![0.0; column + 1];
            for row in self.design.chunks_exact(dims) {
                let of_column = row.get(column).copied().unwrap_or_default();
                for (entry, value) in entries.iter_mut().zip(row) {
                    *entry += value * of_column;
                }
            }
            let whole = entries.last().copied().unwrap_or_default();
            for at in 0..=column {
                let (before, rest) = entries.split_at_mut(at);
                let Some(entry) = rest.first_mut() else { continue };
                match factor.get(at) {
                    Some(row) => {
                        let known: f64 = before.iter().zip(row).map(|(one, other)| one * other).sum();
                        *entry = (*entry - known) / row.last().copied().unwrap_or(1.0);
                    }
                    None => *entry -= before.iter().map(|one| one * one).sum::<f64>(),
                }
            }
            let left = entries.last_mut();
            let Some(left) = left.filter(|left| **left > COLLINEAR * whole) else {
                let intercept = usize::from(self.family().has_intercept());
                let name =
                    column.checked_sub(intercept).and_then(|feature| self.schema.features().get(feature));
                return Err(PlanError::Collinear { column: name.cloned().unwrap_or_default() });
            };
            *left = libm::sqrt(*left);
            factor.push(entries);
        }
        Ok(())
    }
}

impl Records {
    pub(super) fn len(&self) -> usize {
        self.outcomes.len()
    }

    /// These rows and then others, standardised.
    pub(super) fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.append(others);
        all
    }

    /// Adds rows, standardised.
    pub(super) fn append(&mut self, others: &Self) {
        self.design.extend(&others.design);
        self.outcomes.extend(&others.outcomes);
        self.events.extend(&others.events);
    }

    /// The rows, standardised, and their outcomes.
    pub(super) fn iter(&self, dims: usize) -> impl Iterator<Item = (&[f64], f64)> {
        self.design.chunks_exact(dims).zip(self.outcomes.iter().copied())
    }

    /// Exchanges the outcomes, keeping the raw ones in step.
    pub(super) fn set_outcomes(&mut self, schema: &Schema, outcomes: Vec<f64>) {
        let (mean, scale) = schema.outcome_scaling();
        self.raw_outcomes = outcomes.iter().map(|value| mean + scale * value).collect();
        self.outcomes = outcomes;
    }

    pub(super) fn evidence(&self, schema: &Schema, site: &str) -> Result<Evidence, PlanError> {
        let refuse = |source| PlanError::Evidence { site: site.to_owned(), source };
        evidence(schema, &self.raw, &self.raw_outcomes, &self.events).map_err(refuse)
    }
}

fn evidence(
    schema: &Schema,
    rows: &[f64],
    outcomes: &[f64],
    events: &[bool],
) -> Result<Evidence, EvidenceError> {
    match schema.family() {
        Family::Cox => Evidence::cox(schema, rows, outcomes, events),
        Family::Logistic => Evidence::logistic(schema, rows, outcomes),
        _ => Evidence::gaussian(schema, rows, outcomes),
    }
}

/// The features that were asked for, or all columns that have no other part.
fn columns(table: &Table, args: &Args, site: &Column, target: &Target) -> Result<Vec<Column>, PlanError> {
    let mut parts: Vec<(usize, &'static str)> = vec![(site.at, "the site")];
    for column in target.columns() {
        if let Some((_, part)) = parts.iter().find(|(at, _)| *at == column.at) {
            return Err(PlanError::Roles { column: column.name.clone(), one: "the target", other: part });
        }
        parts.push((column.at, "the target"));
    }
    let columns = if args.features.is_empty() {
        let rest = table.header().enumerate().filter(|(at, _)| parts.iter().all(|(part, _)| part != at));
        rest.map(|(_, name)| Column::find(table, name)).collect::<Result<Vec<_>, _>>()?
    } else {
        args.features.iter().map(|name| Column::find(table, name)).collect::<Result<Vec<_>, _>>()?
    };
    let mut seen = BTreeSet::new();
    for column in &columns {
        let part = parts.iter().find(|(at, _)| *at == column.at).map(|(_, part)| *part);
        let part = part.or_else(|| (!seen.insert(&column.name)).then_some("another one"));
        if let Some(other) = part {
            return Err(PlanError::Roles { column: column.name.clone(), one: "a feature", other });
        }
    }
    if columns.is_empty() { Err(PlanError::NoFeatures) } else { Ok(columns) }
}

/// The rows that have a value in each of these columns.
fn complete<'a>(table: &'a Table, columns: &[&Column]) -> Result<Vec<&'a StringRecord>, PlanError> {
    let lacks = |row: &StringRecord, column: &Column| row.get(column.at).is_none_or(is_missing);
    let whole = |row: &&StringRecord| !columns.iter().any(|column| lacks(row, column));
    let rows: Vec<_> = table.rows().iter().filter(whole).collect();
    if !rows.is_empty() {
        return Ok(rows);
    }
    let missing = |column: &Column| table.rows().iter().filter(|row| lacks(row, column)).count();
    let worst = columns.iter().map(|column| (missing(column), &column.name)).max();
    let (missing, column) = worst.map_or((0, String::new()), |(missing, name)| (missing, name.clone()));
    Err(PlanError::NothingComplete { column, missing, rows: table.rows().len() })
}

/// That evidence of the schema fits a packet, signed.
fn check_room(schema: &Schema) -> Result<(), PlanError> {
    let tag = schema.domain(DOMAIN)?;
    let fits = |features: usize| {
        let room = RouterConfig::default().payload_room(tag.as_str().len(), features);
        let dims = features + usize::from(schema.family().has_intercept());
        EvidenceSummary::smallest_len(schema.family(), dims) <= room
    };
    let features = schema.features().len();
    if fits(features) {
        return Ok(());
    }
    let most = (1..features).rev().find(|count| fits(*count)).unwrap_or(0);
    Err(PlanError::TooWide { features, most })
}

/// Mean and standard deviation.
fn moments(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / count;
    (mean, libm::sqrt(variance))
}

/// Four sites of seven rows in which the outcome follows from two columns.
#[cfg(test)]
pub(super) fn sample_study() -> Study {
    let mut rng = crate::rng::Rng::new(1, 1);
    let mut text = "site,y,a,b\n".to_owned();
    for row in 0..28 {
        let (a, b) = (rng.gaussian(), rng.gaussian());
        text += &format!("s{},{},{a},{b}\n", row % 4, 2.0 * a - b + 0.3 * rng.gaussian());
    }
    tests::study(&text, &["--per-site", "4"]).unwrap_or_else(|error| panic!("{error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    pub(super) fn study(text: &str, args: &[&str]) -> Result<Study, PlanError> {
        let target = if args.contains(&"--target") { &[][..] } else { &["--target", "y"] };
        let line = [&["plan", "data.csv", "--site", "site"], target, args].concat();
        Study::new(&Table::parse(text.as_bytes())?, &Line::parse_from(line).args)
    }

    const SMALL: [&str; 4] = ["--per-site", "1", "--min-rows", "1"];

    #[test]
    fn what_is_left_out_is_counted() {
        let text = "site,y,a\np,1,3\np,2,5\nq,3,4\nq,NA,1\nq,5,?\nq,7,2\nr,1,1\n";
        let study = study(text, &SMALL).unwrap();
        let LeftOut { incomplete_rows, small_sites, rows_of_small_sites } = study.left_out;
        assert_eq!((incomplete_rows, small_sites, rows_of_small_sites), (2, 1, 1));
        assert_eq!((study.rows(), study.sites.len(), study.dims()), (4, 2, 2));
        // Means of 3.5 and 3.25, of the rows that take part.
        let all = study.records(&[0, 1, 2, 3]);
        assert_eq!((all.raw, all.raw_outcomes), (vec![3.0, 5.0, 4.0, 2.0], vec![1.0, 2.0, 3.0, 7.0]));
        assert!(all.outcomes.iter().sum::<f64>().abs() < 1e-12 && all.design[0] == 1.0);
    }

    #[test]
    fn a_target_of_two_values_is_a_label() {
        for (one, other) in [("0", "1"), ("2", "10"), ("no", "yes")] {
            let text = format!("site,y,a\np,{other},1\np,{one},2\nq,{one},3\nq,{other},5\n");
            let labels = study(&text, &SMALL).unwrap();
            assert_eq!((labels.family(), labels.positive.as_deref()), (Family::Logistic, Some(other)));
            assert_eq!(labels.records(&[0, 1, 2, 3]).outcomes, [1.0, 0.0, 0.0, 1.0]);
        }
        let text = "site,z,a\np,0,1\np,x,2\nq,1,3\nq,0,5\n";
        let asked = |target| study(text, &[&SMALL[..], &["--target", target]].concat());
        let of_three = asked("z=0").unwrap();
        assert_eq!(of_three.records(&[0, 1, 2, 3]).outcomes, [1.0, 0.0, 0.0, 1.0]);
        assert!(asked("z=2").unwrap_err().to_string().contains("\"z=2\" is true of no row"));
        let text = "site,y,a\np,0,1\np,1,2\nq,1,3\nq,0,5\n";
        let asked = study(text, &[&SMALL[..], &["--family", "gaussian"]].concat()).unwrap();
        assert_eq!((asked.family(), asked.positive), (Family::Gaussian, None));
    }

    #[test]
    fn a_column_that_follows_from_others_is_named() {
        let rows = "p,1,3,1,5\np,2,5,2,9\nq,3,4,2,8\nq,4,7,3,13\nq,9,1,1,3\n";
        let error = |features| {
            let args = [&SMALL[..], &["--features", features]].concat();
            study(&format!("site,y,a,b,c\n{rows}"), &args).map(|_| ()).map_err(|error| error.to_string())
        };
        // c = a + 2 b.
        assert!(error("a,b,c").unwrap_err().contains("the column \"c\" follows from the columns before it"));
        assert_eq!(error("b,c"), Ok(()));
    }

    #[test]
    fn other_outcomes_are_the_same_in_raw_units() {
        let study = sample_study();
        let mut records = study.records(&[3, 5]);
        let before = records.clone();
        records.set_outcomes(&study.schema, before.outcomes.clone());
        for (one, other) in records.raw_outcomes.iter().zip(&before.raw_outcomes) {
            assert!((one - other).abs() < 1e-12);
        }
    }
}
