//! What was asked of the nodes, and what they said: a line each, so that a run can be looked at, and judged, later.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Fault;

/// The name of the file.
pub const HISTORY: &str = "history.jsonl";

/// What a packet is called by: its place in its author's order, and its id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Name {
    /// The packet's place in its author's order.
    pub incarnation: u32,
    /// And there.
    pub sequence: u32,
    /// Its id.
    pub packet: String,
}

impl Name {
    /// Its place, by which packets of an author replace each other.
    #[must_use]
    pub const fn order(&self) -> (u32, u32) {
        (self.incarnation, self.sequence)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A node was started.
    Started {
        /// Which.
        site: usize,
        /// For the how manieth time, from 0.
        life: u32,
    },
    /// It was killed.
    Killed {
        /// Which.
        site: usize,
        /// In which life.
        life: u32,
    },
    /// It was asked to emit an outcome.
    Asked {
        /// Which.
        site: usize,
        /// The outcome's number, from 1, which is in the outcome.
        number: u32,
    },
    /// It said that the outcome is durable.
    Acknowledged {
        /// Which.
        site: usize,
        /// The outcome's number.
        number: u32,
        /// The packet.
        name: Name,
    },
    /// It said that it did not take the outcome.
    Refused {
        /// Which.
        site: usize,
        /// The outcome's number.
        number: u32,
        /// Why.
        kind: String,
    },
    /// It applied a packet of another one.
    Applied {
        /// Which.
        site: usize,
        /// In which life.
        life: u32,
        /// Whose packet.
        author: String,
        /// The packet's id.
        packet: String,
    },
}

/// All that happened, in order, also in a file.
#[derive(Debug)]
pub struct History {
    entries: Vec<Entry>,
    file: BufWriter<File>,
}

impl History {
    /// A new one, in a file.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn create(path: &Path) -> Result<Self, Fault> {
        let file = File::create(path).map_err(Fault::io(format!("cannot write {}", path.display())))?;
        Ok(Self { entries: Vec::new(), file: BufWriter::new(file) })
    }

    /// Adds what happened.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn add(&mut self, entry: Entry) -> Result<(), Fault> {
        let written = serde_json::to_string(&entry).map_err(std::io::Error::from);
        let written = written.and_then(|line| writeln!(self.file, "{line}"));
        self.entries.push(entry);
        written.and_then(|()| self.file.flush()).map_err(Fault::io("cannot write the history"))
    }

    /// What happened so far.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads what an earlier run wrote.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn read(path: &Path) -> Result<Vec<Entry>, Fault> {
        let failed = || Fault::io(format!("cannot read the history {}", path.display()));
        let text = fs::read_to_string(path).map_err(failed())?;
        let entries = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        entries.map_err(|error| failed()(error.into()))
    }
}
