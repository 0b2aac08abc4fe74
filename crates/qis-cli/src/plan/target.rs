//! What is to be predicted: a number, one of two values, or a time until an event.

use std::collections::BTreeSet;

use csv::StringRecord;
use qis_synth::evidence::Family;

use super::column::Column;
use super::error::PlanError;
use super::table::{Table, field, line};
use super::{Args, FamilyName};

/// The columns of the outcome.
#[derive(Clone, Debug)]
pub(super) enum Target {
    Value(Column),
    Survival { time: Column, event: Column },
}

/// The outcomes of rows.
#[derive(Clone, Debug)]
pub(super) struct Outcomes {
    pub(super) family: Family,
    /// Numbers, labels or times.
    pub(super) values: Vec<f64>,
    /// Whether a time is that of an event; empty in other families.
    pub(super) events: Vec<bool>,
    /// The value that a label of 1, or an event, stands for, unless the column's name says it.
    pub(super) positive: Option<String>,
}

impl Target {
    pub(super) fn find(table: &Table, args: &Args) -> Result<Self, PlanError> {
        match (&args.target, &args.time, &args.event) {
            (Some(target), ..) => Ok(Self::Value(Column::find(table, target)?)),
            (None, Some(time), Some(event)) => {
                Ok(Self::Survival { time: Column::find(table, time)?, event: Column::find(table, event)? })
            }
            // Arguments are checked before a table is read.
            (None, ..) => Err(PlanError::NoTarget),
        }
    }

    pub(super) fn columns(&self) -> impl Iterator<Item = &Column> {
        let (first, second) = match self {
            Self::Value(column) => (column, None),
            Self::Survival { time, event } => (time, Some(event)),
        };
        std::iter::once(first).chain(second)
    }

    /// The outcomes under the family that was asked for, or that they look like.
    pub(super) fn read(
        &self,
        rows: &[&StringRecord],
        family: Option<FamilyName>,
    ) -> Result<Outcomes, PlanError> {
        match self {
            Self::Value(column) => value(column, rows, family),
            Self::Survival { time, event } => survival(time, event, rows),
        }
    }
}

fn value(column: &Column, rows: &[&StringRecord], family: Option<FamilyName>) -> Result<Outcomes, PlanError> {
    let values = texts(column, rows)?;
    let two = values.len() == 2 || column.indicated().is_some();
    let logistic = family.map_or(two, |family| family == FamilyName::Logistic);
    if logistic {
        let (labels, positive) = labels(column, rows, values)?;
        let values = labels.iter().map(|label| f64::from(u8::from(*label))).collect();
        return Ok(Outcomes { family: Family::Logistic, values, events: Vec::new(), positive });
    }
    let values = rows.iter().map(|row| column.number(row)).collect::<Result<Vec<_>, _>>()?;
    Ok(Outcomes { family: Family::Gaussian, values, events: Vec::new(), positive: None })
}

fn survival(time: &Column, event: &Column, rows: &[&StringRecord]) -> Result<Outcomes, PlanError> {
    let of = |row: &&StringRecord| {
        let value = time.number(row)?;
        let (line, text) = (line(row), field(row, time.at).to_owned());
        if value < 0.0 {
            Err(PlanError::NegativeTime { line, column: time.name.clone(), text })
        } else {
            Ok(value)
        }
    };
    let values = rows.iter().map(of).collect::<Result<Vec<_>, _>>()?;
    let (events, positive) = labels(event, rows, texts(event, rows)?)?;
    Ok(Outcomes { family: Family::Cox, values, events, positive })
}

/// The different texts of a column, two at least.
fn texts<'a>(column: &Column, rows: &[&'a StringRecord]) -> Result<BTreeSet<&'a str>, PlanError> {
    let texts = rows.iter().map(|row| column.text(row)).collect::<Result<BTreeSet<_>, _>>()?;
    match texts.first() {
        Some(value) if texts.len() == 1 => {
            Err(PlanError::OneClass { column: column.name.clone(), value: (*value).to_owned() })
        }
        _ => Ok(texts),
    }
}

/// Whether each row has the text that is asked about, or else the second of two values: the larger number, or the later in the alphabet.
fn labels(
    column: &Column,
    rows: &[&StringRecord],
    values: BTreeSet<&str>,
) -> Result<(Vec<bool>, Option<String>), PlanError> {
    let found = values.len();
    let mut values: Vec<&str> = values.into_iter().collect();
    let number = |text: &&str| text.parse::<f64>().unwrap_or(f64::INFINITY);
    values.sort_by(|one, other| number(one).total_cmp(&number(other)));
    let positive = match (column.indicated(), values.as_slice()) {
        (Some(text), _) => text,
        (None, [_, second]) => second,
        _ => return Err(PlanError::Classes { column: column.name.clone(), found }),
    };
    let label = |row: &&StringRecord| column.text(row).map(|text| text == positive);
    let labels = rows.iter().map(label).collect::<Result<Vec<_>, _>>()?;
    if !labels.contains(&true) {
        return Err(PlanError::NeverThat { column: column.name.clone() });
    }
    // A column that is asked about a text has it in its name.
    Ok((labels, column.indicated().is_none().then(|| positive.to_owned())))
}
