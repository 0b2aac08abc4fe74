//! Why a run could not go on; what it found is another matter.

use std::io;
use std::path::PathBuf;

/// Why a run could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The program under test is not there.
    #[error(
        "there is no program {}: run `cargo build --release -p qis-cli --features node`, or say with --program where it is",
        path.display()
    )]
    Program {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A file or a process of the run failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        source: io::Error,
    },
    /// A command of the system failed.
    #[error("`{command}` failed: {problem}")]
    Command {
        /// The command.
        command: String,
        /// What it said.
        problem: String,
    },
    /// A node ended that was not asked to.
    #[error("node {site} ended by itself ({status}); its log ends with: {log}")]
    Ended {
        /// Which.
        site: usize,
        /// How.
        status: String,
        /// The last line of its log.
        log: String,
    },
    /// Something did not happen.
    #[error("waited {seconds:.0} s in vain until {what}")]
    Waited {
        /// What.
        what: String,
        /// How long.
        seconds: f64,
    },
    /// A node answered something else than it should.
    #[error("node {site} answered {answer}")]
    Answer {
        /// Which.
        site: usize,
        /// What.
        answer: String,
    },
}

impl Fault {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}
