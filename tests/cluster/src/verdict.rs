//! What must never be.

use serde::Serialize;

/// A guarantee that was broken, and how that shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Violation {
    /// What was acknowledged is not in the store of who acknowledged it, and nothing later is.
    #[error("node {site} acknowledged its outcome {number}, and its store has {found}")]
    Lost {
        /// Who.
        site: usize,
        /// The last outcome it acknowledged.
        number: u32,
        /// What is there.
        found: String,
    },
    /// A node that had all the time it needed has not what another acknowledged.
    #[error("node {site} has of node {of} {found}, and {of} acknowledged its outcome {number}")]
    NotSpread {
        /// Who lacks it.
        site: usize,
        /// Whose outcome.
        of: usize,
        /// Its number.
        number: u32,
        /// What is there.
        found: String,
    },
    /// A node applied the same packet more than once.
    #[error("node {site} applied packet {packet} {times} times, in its lives {lives:?}")]
    AppliedTwice {
        /// Who.
        site: usize,
        /// Which.
        packet: String,
        /// How often.
        times: usize,
        /// When.
        lives: Vec<u32>,
    },
    /// Two packets of an author have the same place in its order.
    #[error("the number {incarnation}.{sequence} of node {site} is that of the packets {packets:?}")]
    NumberRepeated {
        /// Who.
        site: usize,
        /// The number.
        incarnation: u32,
        /// The number.
        sequence: u32,
        /// The packets.
        packets: Vec<String>,
    },
    /// A later outcome of an author has an earlier place in its order.
    #[error("the outcome {number} of node {site} has the number {found}, and an earlier one had {before}")]
    NumberWentBack {
        /// Who.
        site: usize,
        /// The outcome.
        number: u32,
        /// Its place.
        found: String,
        /// That of an earlier outcome.
        before: String,
    },
    /// A packet that nobody was asked to emit.
    #[error("node {site} has an outcome {number} of {author}, who was never asked for it")]
    Invented {
        /// Who has it.
        site: usize,
        /// Whose.
        author: String,
        /// Its number.
        number: u32,
    },
    /// A store is not there, does not open, or is damaged.
    #[error("the store of node {site}: {problem}")]
    Store {
        /// Whose.
        site: usize,
        /// What is wrong.
        problem: String,
    },
    /// A line of a log that a kill does not explain.
    #[error("the log of node {site}: {line}")]
    Log {
        /// Whose.
        site: usize,
        /// The line.
        line: String,
    },
}
