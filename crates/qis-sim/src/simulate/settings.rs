//! Which run is asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;

use super::fault::FaultKind;

/// A run: the same settings give the same run, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What everything is drawn from.
    pub seed: u64,
    /// How many sites there are, by the seed's choice: 2 to 200.
    pub nodes: RangeInclusive<u16>,
    /// Kinds of faults that are left out, though the seed may have wanted them.
    pub without: BTreeSet<FaultKind>,
}

impl Settings {
    /// The run of a seed with 5 to 50 sites and all kinds of faults.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, nodes: 5..=50, without: BTreeSet::new() }
    }
}

/// The options of `qis simulate` that repeat the run.
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, most) = (self.nodes.start(), self.nodes.end());
        write!(f, "--seed {} --nodes {least}..{most}", self.seed)?;
        let names: Vec<&str> = self.without.iter().map(|kind| kind.name()).collect();
        if names.is_empty() { Ok(()) } else { write!(f, " --without {}", names.join(",")) }
    }
}
