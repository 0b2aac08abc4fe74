//! What the fields of a column are: numbers, their logarithms, or names of groups.

use std::collections::BTreeMap;

use csv::StringRecord;

use super::error::PlanError;
use super::table::{Table, field, line};

/// A feature by this prefix is the natural logarithm of the column that follows.
const LOG: &str = "log:";
/// A column of more different texts is a name or free text, not a group.
const MOST_LEVELS: usize = 20;
/// A group of fewer than this share of the rows is not told apart from the most frequent one.
const RARE: f64 = 0.01;

/// A column that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Column {
    /// As it was asked for.
    pub(super) name: String,
    pub(super) at: usize,
    reading: Reading,
}

/// What is taken of a column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    /// Its numbers, or its groups.
    Whole,
    Logarithm,
    /// Whether it is this text.
    Indicator(String),
}

/// The values of a feature.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Feature {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

impl Column {
    pub(super) fn find(table: &Table, name: &str) -> Result<Self, PlanError> {
        let column = |at, reading| Self { name: name.to_owned(), at, reading };
        // A column may really be named like that.
        let found = table.column(name);
        if !matches!(found, Err(PlanError::MissingColumn { .. })) {
            return Ok(column(found?, Reading::Whole));
        }
        if let Some(of) = name.strip_prefix(LOG) {
            return Ok(column(table.column(of)?, Reading::Logarithm));
        }
        match name.rsplit_once('=') {
            Some((of, text)) => Ok(column(table.column(of)?, Reading::Indicator(text.to_owned()))),
            None => found.map(|at| column(at, Reading::Whole)),
        }
    }

    /// The column's features: one of numbers, or one for each of its groups but the most frequent.
    ///
    /// A column is numeric when every field of it is.
    pub(super) fn features(&self, rows: &[&StringRecord]) -> Result<Vec<Feature>, PlanError> {
        let numeric = |row: &&StringRecord| field(row, self.at).parse::<f64>().is_ok();
        if self.reading == Reading::Whole && !rows.iter().all(numeric) {
            return self.groups(rows);
        }
        let values = rows.iter().map(|row| self.number(row)).collect::<Result<Vec<_>, _>>()?;
        if values.windows(2).all(|pair| matches!(pair, [one, other] if one == other)) {
            return Err(PlanError::Constant { column: self.name.clone() });
        }
        Ok(vec![Feature { name: self.name.clone(), values }])
    }

    /// The text that the column is asked about, if it is about one.
    pub(super) fn indicated(&self) -> Option<&str> {
        match &self.reading {
            Reading::Indicator(text) => Some(text),
            Reading::Whole | Reading::Logarithm => None,
        }
    }

    /// One field as a number, or its logarithm, or whether it is the text that is asked about.
    pub(super) fn number(&self, row: &StringRecord) -> Result<f64, PlanError> {
        if let Some(text) = self.indicated() {
            return Ok(f64::from(u8::from(self.text(row)? == text)));
        }
        let (text, column, line) = (field(row, self.at), || self.name.clone(), line(row));
        let not = || PlanError::NotANumber { line, column: column(), text: text.to_owned() };
        let value: f64 = text.parse().map_err(|_| not())?;
        if !value.is_finite() {
            return Err(PlanError::NotFinite { line, column: column(), text: text.to_owned() });
        }
        if self.reading != Reading::Logarithm {
            return Ok(value);
        }
        if value > 0.0 {
            Ok(libm::log(value))
        } else {
            Err(PlanError::NoLogarithm { line, column: column(), value })
        }
    }

    /// Indicators of the groups, against the most frequent one and those that are rare.
    fn groups(&self, rows: &[&StringRecord]) -> Result<Vec<Feature>, PlanError> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for row in rows {
            *counts.entry(self.text(row)?).or_default() += 1;
        }
        if counts.len() > MOST_LEVELS {
            // A number with a slip in it among many numbers is more likely than that many groups.
            let texts = rows.iter().filter(|row| field(row, self.at).parse::<f64>().is_err());
            if let Some(row) = texts.clone().next().filter(|_| texts.count() * 2 < rows.len()) {
                self.number(row)?;
            }
            let column = self.name.clone();
            return Err(PlanError::Levels { column, levels: counts.len(), most: MOST_LEVELS });
        }
        // Of equals the first in the order of the alphabet.
        let base = counts.iter().rev().max_by_key(|(_, count)| **count).map(|(level, _)| *level);
        let least = RARE * rows.len() as f64;
        let shown = counts.iter().filter(|(level, count)| Some(**level) != base && **count as f64 >= least);
        let features: Vec<Feature> = shown
            .map(|(level, _)| Feature {
                name: format!("{}={level}", self.name),
                values: rows.iter().map(|row| f64::from(u8::from(field(row, self.at) == *level))).collect(),
            })
            .collect();
        if features.is_empty() {
            Err(PlanError::Constant { column: self.name.clone() })
        } else {
            Ok(features)
        }
    }

    /// A field that names a group; what stands for no number in other programs does not.
    pub(super) fn text<'a>(&self, row: &'a StringRecord) -> Result<&'a str, PlanError> {
        let text = field(row, self.at);
        if text.parse().is_ok_and(f64::is_nan) {
            let (line, column) = (line(row), self.name.clone());
            return Err(PlanError::NotFinite { line, column, text: text.to_owned() });
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(name: &str, text: &str) -> Result<Vec<Feature>, PlanError> {
        let table = Table::parse(text.as_bytes()).unwrap();
        let rows: Vec<_> = table.rows().iter().collect();
        Column::find(&table, name)?.features(&rows)
    }

    fn error(name: &str, text: &str) -> String {
        features(name, text).unwrap_err().to_string()
    }

    #[test]
    fn numbers_are_taken_as_they_are_or_as_logarithms() {
        assert_eq!(features("a", "a\n1\n2.5e1").unwrap()[0].values, [1.0, 25.0]);
        let logs = features("log:a", "a\n1\n2").unwrap();
        assert_eq!((logs[0].name.as_str(), logs[0].values[0]), ("log:a", 0.0));
        assert_eq!(features("log:a", "log:a\n0\n2").unwrap()[0].values, [0.0, 2.0]);
        assert_eq!(error("log:a", "a\n3\n0"), "line 3, column \"log:a\": 0 has no logarithm");
        assert!(error("log:b", "a\n3\n0").contains("no column \"b\""));
    }

    #[test]
    fn groups_become_indicators_against_the_most_frequent() {
        let groups = features("a", "a\nK\n1\n2\n1").unwrap();
        let names: Vec<&str> = groups.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a=2", "a=K"]);
        assert_eq!(groups[1].values, [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(features("a=1", "a\nK\n1\n2\n1").unwrap()[0].values, [0.0, 1.0, 0.0, 1.0]);
        assert!(error("a=3", "a\nK\n1\n").contains("\"a=3\" is the same in all rows"));
    }

    #[test]
    fn a_rare_group_is_not_told_apart() {
        let text = format!("a\n{}{}z\n", "x\n".repeat(120), "y\n".repeat(100));
        let groups = features("a", &text).unwrap();
        assert_eq!(groups.len(), 1);
        assert_eq!((groups[0].name.as_str(), groups[0].values.iter().sum::<f64>()), ("a=y", 100.0));
        assert!(error("a", &format!("a\n{}z\n", "x\n".repeat(120))).contains("the same in all rows"));
    }

    #[test]
    fn what_is_no_number_and_no_group_is_named() {
        let numbers: String = (0..40).map(|n| format!("{n}\n")).collect();
        assert_eq!(error("a", &format!("a\n{numbers}4o\n")), "line 42, column \"a\": \"4o\" is not a number");
        let names: String = (0..40).map(|n| format!("n{n}\n")).collect();
        assert!(error("a", &format!("a\n{names}")).contains("40 different texts"));
        assert!(error("a", "a\n1\nNaN\n").starts_with("line 3, column \"a\": \"NaN\" is not finite"));
        assert!(error("a", "a\nx\nnan\n").starts_with("line 3, column \"a\": \"nan\" is not finite"));
        assert!(error("a", "a\n1\ninf\n").contains("not finite"));
        assert!(error("a", "a\n1\n1\n").contains("the same in all rows"));
    }
}
