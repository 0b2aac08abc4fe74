//! A file of rows and columns, as text.

use std::fs;
use std::path::Path;

use csv::{ErrorKind, ReaderBuilder, StringRecord, Trim};

use super::error::PlanError;
use crate::error::Error;

/// What may stand between the fields of a row.
const DELIMITERS: [u8; 5] = *b",;\t| ";
/// What stands for a value that is not there.
const MISSING: [&str; 8] = ["", "?", ".", "NA", "N/A", "NULL", "null", "None"];
/// How many columns an error names.
const NAMED: usize = 12;

/// The header and the rows, all of as many fields.
#[derive(Clone, Debug)]
pub(super) struct Table {
    header: StringRecord,
    rows: Vec<StringRecord>,
}

impl Table {
    /// Reads a file whose first line names the columns.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let bytes = fs::read(path).map_err(|source| Error::Read { path: name.clone(), source })?;
        Self::parse(&bytes).map_err(|source| Error::Plan { path: name, source: Box::new(source) })
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, PlanError> {
        // What some spreadsheets put before UTF-8.
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        // The reader counts lines that end in both as if the second were of the next.
        let ends = |at: usize| bytes.get(at..at + 2) == Some(b"\r\n");
        let bytes: Vec<u8> =
            bytes.iter().enumerate().filter(|(at, _)| !ends(*at)).map(|(_, byte)| *byte).collect();
        let mut reader =
            ReaderBuilder::new().delimiter(delimiter(&bytes)).trim(Trim::All).from_reader(bytes.as_slice());
        let header = reader.headers().map_err(refuse)?.clone();
        let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        if rows.is_empty() { Err(PlanError::NoRows) } else { Ok(Self { header, rows }) }
    }

    pub(super) fn header(&self) -> impl Iterator<Item = &str> {
        self.header.iter()
    }

    pub(super) fn rows(&self) -> &[StringRecord] {
        &self.rows
    }

    /// Where a column is.
    pub(super) fn column(&self, name: &str) -> Result<usize, PlanError> {
        let mut found = self.header().enumerate().filter(|(_, header)| *header == name);
        match (found.next(), found.next()) {
            (Some((at, _)), None) => Ok(at),
            (Some(_), Some(_)) => Err(PlanError::TwoColumns { column: name.to_owned() }),
            (None, _) => {
                let mut known: Vec<&str> = self.header().take(NAMED).collect();
                if self.header.len() > NAMED {
                    known.push("…");
                }
                Err(PlanError::MissingColumn { column: name.to_owned(), known: known.join(", ") })
            }
        }
    }
}

/// A field of a row; empty when it is not there, which rows of a table never are.
pub(super) fn field(row: &StringRecord, at: usize) -> &str {
    row.get(at).unwrap_or_default()
}

/// The line of the file that a row begins on, from 1.
pub(super) fn line(row: &StringRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

pub(super) fn is_missing(text: &str) -> bool {
    MISSING.contains(&text)
}

/// The one that is most often in the header.
fn delimiter(bytes: &[u8]) -> u8 {
    let header = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |one: &u8| header.iter().filter(|byte| *byte == one).count();
    // Of equals the last one; names with blanks in them are more frequent than tables with blanks between.
    DELIMITERS
        .iter()
        .rev()
        .max_by_key(|one| if **one == b' ' { count(one).min(1) } else { 2 * count(one) })
        .copied()
        .unwrap_or(b',')
}

fn refuse(error: csv::Error) -> PlanError {
    let line = |pos: Option<csv::Position>| pos.as_ref().map_or(0, csv::Position::line);
    match error.into_kind() {
        ErrorKind::UnequalLengths { pos, expected_len, len } => {
            PlanError::Ragged { line: line(pos), found: len, expected: expected_len }
        }
        ErrorKind::Utf8 { pos, .. } => PlanError::NotUtf8 { line: line(pos) },
        other => PlanError::Csv(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_found() {
        for text in ["a,b c\n1,2", "a;b c\n1;2", "a\tb c\n1\t2", "a|b c\n1|2", "\u{feff}a, b c\r\n1, 2\r\n"] {
            let table = Table::parse(text.as_bytes()).unwrap();
            assert_eq!(table.header().collect::<Vec<_>>(), ["a", "b c"], "{text}");
            assert_eq!((field(&table.rows()[0], 1), line(&table.rows()[0])), ("2", 2));
        }
        assert_eq!(Table::parse(b"a b\n1 2").unwrap().column("b").unwrap(), 1);
        assert_eq!(Table::parse(b"a\n1").unwrap().column("a").unwrap(), 0);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let error = |bytes: &[u8]| Table::parse(bytes).unwrap_err().to_string();
        assert_eq!(error(b"a,b\n1,2\n1,2,3\n"), "line 3 has 3 fields, the header has 2");
        assert_eq!(error(b"a,b\n1,\xff\n"), "line 2 is not UTF-8");
        assert_eq!(error(b"a,b\n\n1,2\r\n\"1\n\",3\n4\n"), "line 6 has 1 field, the header has 2");
        assert_eq!(error(b"a,b\n"), "there are no rows");
        assert_eq!(error(b""), "there are no rows");
        let table = Table::parse(b"a,b,b\n1,2,3\n").unwrap();
        assert!(table.column("b").unwrap_err().to_string().contains("two columns"));
        assert!(table.column("c").unwrap_err().to_string().contains("the columns are a, b, b"));
    }
}
