//! What can be wrong with a table, in words for whoever has it open.

use qis_packet::{DomainTagError, PacketError, VerifyError};
use qis_synth::SynthesisError;
use qis_synth::evidence::{EncodingError, EvidenceError, SchemaError};

use crate::words::plural;

/// Why a table cannot be planned with. Lines count from 1, and the header is on the first.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error("line {line} has {}, the header has {expected}", plural(*found, "field"))]
    Ragged { line: u64, found: u64, expected: u64 },
    #[error("line {line} is not UTF-8")]
    NotUtf8 { line: u64 },
    #[error("not a table: {0}")]
    Csv(String),
    #[error("there is no column {column:?}; the columns are {known}")]
    MissingColumn { column: String, known: String },
    #[error("two columns are named {column:?}")]
    TwoColumns { column: String },
    #[error("the column {column:?} is both {one} and {other}")]
    Roles { column: String, one: &'static str, other: &'static str },
    #[error("there are no columns besides those of the sites and the target")]
    NoFeatures,
    #[error("there are no rows")]
    NoRows,
    #[error("no row is complete: the column {column:?} is empty in {missing} of {rows}")]
    NothingComplete { column: String, missing: usize, rows: usize },
    #[error("line {line}, column {column:?}: {text:?} is not a number")]
    NotANumber { line: u64, column: String, text: String },
    #[error(
        "line {line}, column {column:?}: {text:?} is not finite; leave the field empty where a value is missing"
    )]
    NotFinite { line: u64, column: String, text: String },
    #[error("line {line}, column {column:?}: {value} has no logarithm")]
    NoLogarithm { line: u64, column: String, value: f64 },
    #[error("the column {column:?} is the same in all rows that are left: leave it out")]
    Constant { column: String },
    #[error("the column {column:?} follows from the columns before it: leave one of them out")]
    Collinear { column: String },
    #[error("the column {column:?} has {levels} different texts, more than {most}: leave it out")]
    Levels { column: String, levels: usize, most: usize },
    #[error("the column {column:?} has one value only, {value:?}")]
    OneClass { column: String, value: String },
    #[error("line {line}, column {column:?}: {text} is before zero, and no time")]
    NegativeTime { line: u64, column: String, text: String },
    #[error("there is neither a target nor a time and an event")]
    NoTarget,
    #[error("{column:?} is true of no row")]
    NeverThat { column: String },
    #[error("the column {column:?} has {found} different values, and it takes two")]
    Classes { column: String, found: usize },
    #[error("the column {column:?} names one site only, {site:?}")]
    OneSite { column: String, site: String },
    #[error("{enough} of {sites} sites have the {rows} complete rows it takes: --per-site and --min-rows")]
    SmallSites { enough: usize, sites: usize, rows: usize },
    #[error("{features} features are more than {} can tell apart", plural(*rows, "row"))]
    Features { features: usize, rows: usize },
    #[error("evidence on {features} features does not fit a signed packet, on {most} it does")]
    TooWide { features: usize, most: usize },
    #[error("none of --sizes is possible with {}", plural(*sites, "site"))]
    Sizes { sites: usize },
    #[error("the schema: {0}")]
    Schema(#[from] SchemaError),
    #[error("the schema: {0}")]
    Tag(#[from] DomainTagError),
    #[error("the fingerprint: {0}")]
    Fingerprint(qis_fingerprint::FingerprintError),
    #[error("the site {site:?}: {source}")]
    Evidence { site: String, source: EvidenceError },
    #[error("the site {site:?}: {source}")]
    Encoding { site: String, source: EncodingError },
    #[error("the site {site:?}: {source}")]
    Packet { site: String, source: PacketError },
    #[error("the packet of the site {site:?} does not come through: {why}")]
    Lost { site: String, why: String },
    #[error("the packet of the site {site:?}: {source}")]
    Forged { site: String, source: VerifyError },
    #[error("the synthesis of the site {site:?}: {source}")]
    Synthesis { site: String, source: SynthesisError },
    #[error("the site {site:?}: no model can be fitted, its figures are too large")]
    Singular { site: String },
}
