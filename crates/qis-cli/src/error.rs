//! What can go wrong, in one line each.

use std::io;

use qis_codec::EncodeError;

use crate::words::plural;

/// Why a command failed. Arguments that clap refuses by itself never get here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("cannot read {path}: {source}")]
    Read { path: String, source: io::Error },
    #[error("cannot write {path}: {source}")]
    Write { path: String, source: io::Error },
    #[error("{option} needs {needed}")]
    Needs { option: &'static str, needed: &'static str },
    #[error("--output {path} is the file of --input, which would be lost")]
    SameFile { path: String },
    #[error("--bytes {bytes} is too few for {}: at least {needed}", plural(*dims, "coordinate"))]
    Budget { bytes: usize, dims: usize, needed: usize },
    #[error("--source embedding makes vectors of 8 to 4096 coordinates, not {dims}; give them by --input")]
    EmbeddingDims { dims: usize },
    #[error("--source {name} is generated and does not go with --input")]
    SourceOfInput { name: &'static str },
    #[error("{path} has {}, no multiple of the {row} of a vector of {}", plural(*bytes, "byte"), plural(*dims, "coordinate"))]
    Length { path: String, bytes: usize, row: usize, dims: usize },
    #[error("{path} holds {}, at least {needed} {} needed", plural(*found, "vector"), if *needed == 1 { "is" } else { "are" })]
    TooFew { path: String, found: usize, needed: usize },
    #[error("{path}: {source}")]
    Input { path: String, source: Box<Self> },
    #[error("{path}: {source}")]
    Vectors { path: String, source: Box<qis_sim::VectorError> },
    #[error("{path}: {source}")]
    Plan { path: String, source: Box<crate::plan::PlanError> },
    #[error("the overlay refuses: {0}")]
    Overlay(qis_route::overlay::OverlayError),
    #[error("over a DHT: {0}")]
    Dht(Box<qis_sim::DhtError>),
    #[error("{rule} under {attack}, seed {seed}: {source}")]
    Attack {
        rule: String,
        attack: &'static str,
        seed: u64,
        source: Box<qis_conformance::attack::AttackError>,
    },
    #[error("the rule cannot be made: {source}")]
    Rule { source: qis_synth::rules::ShareError },
    #[error(transparent)]
    Load(#[from] crate::load::LoadError),
    #[error("cannot draw into {path}: {message}")]
    Picture { path: String, message: String },
    #[error("nothing can be measured: every vector is zero")]
    AllZero,
    #[error("vector {index} cannot be encoded: {source} (vectors and coordinates count from 0)")]
    Encode { index: usize, source: EncodeError },
    #[error("vector {index} does not decode: {source}")]
    Decode { index: usize, source: qis_codec::DecodeError },
    #[error(
        "vector {index} decodes to {value:.3e} at coordinate {coordinate}, beyond f32: --output cannot hold it"
    )]
    BeyondSingle { index: usize, coordinate: usize, value: f64 },
    #[error("{path} is larger than the {limit} bytes that a frame in hex could take")]
    TooLarge { path: String, limit: u64 },
    #[error("{path} is text but not hex: character {index} is {found:?}")]
    Hex { path: String, index: usize, found: char },
    #[error("{path} is hex text with an odd number of digits, {digits}")]
    OddHex { path: String, digits: usize },
    #[error("{path} is hex text in which a byte has one digit, before character {index}")]
    HalfByte { path: String, index: usize },
    #[error("{message}")]
    Frame { message: String },
    #[error("not a packet: byte {offset}, {field}: {message}")]
    Packet { offset: usize, field: &'static str, message: String },
    #[error("the packet is well formed but its delta is no vector: {source}")]
    Delta { source: qis_codec::DecodeError },
    #[error("{failed} of {} failed", plural(*seeds, "seed"))]
    Simulation { failed: u64, seeds: u64 },
    #[cfg(not(qis_planted))]
    #[error(
        "no bugs are in this build: RUSTFLAGS=\"--cfg qis_planted\" cargo run --release -p qis-cli -- simulate --planted"
    )]
    NoBugs,
    #[cfg(qis_planted)]
    #[error("there is no bug of the name {name:?}: --planted lists them")]
    UnknownBug { name: String },
    #[cfg(qis_planted)]
    #[error("{missed} of the planted bugs were not found within {seeds} seeds")]
    BugsMissed { missed: usize, seeds: u64 },
    #[error("the packet is well formed but nothing shows who made it: {why}")]
    Unproven { why: &'static str },
    #[error("the frame is well formed but there is no packet in it to check")]
    NoPacket,
    #[cfg(all(feature = "node", unix))]
    #[error(transparent)]
    Node(Box<crate::node::NodeError>),
    #[cfg(not(all(feature = "node", unix)))]
    #[error(
        "this `qis` was built without nodes: on Unix, `cargo install --path crates/qis-cli --features node` builds it with them"
    )]
    NoNode,
    #[error("the packet is well formed but was not made by its author in this network: {source}")]
    Signature { source: qis_packet::VerifyError },
}

impl Error {
    /// 2 for arguments that do not go together, else 1.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Needs { .. }
            | Self::SameFile { .. }
            | Self::Budget { .. }
            | Self::EmbeddingDims { .. }
            | Self::SourceOfInput { .. } => 2,
            #[cfg(all(feature = "node", unix))]
            Self::Node(error) => error.exit_code(),
            _ => 1,
        }
    }
}
