//! Which packet of an author is the newer one.

use core::fmt;

use serde::{Deserialize, Serialize};

/// Where a packet stands among those of its author: by incarnation, then by sequence.
///
/// Time never orders packets. An author counts the sequence up for each packet and the incarnation whenever it may have forgotten
/// how far it had counted, so that no pair is ever used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Order {
    /// Raised when the author lost its state; starts at the seconds since 2020-01-01.
    pub incarnation: u32,
    /// Raised by one for each packet of an incarnation.
    pub sequence: u32,
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.sequence)
    }
}
