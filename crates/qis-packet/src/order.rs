//! Which packet of an author is the newer one.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

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

/// 2020-01-01T00:00:00Z.
const INCARNATION_EPOCH: u64 = 1_577_836_800;

impl Order {
    /// The first of an incarnation that begins now, after all of those that began in an earlier second.
    #[must_use]
    pub fn opening(now: Timestamp) -> Self {
        let seconds = now.unix_seconds().saturating_sub(INCARNATION_EPOCH);
        Self { incarnation: u32::try_from(seconds).unwrap_or(u32::MAX), sequence: 0 }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.incarnation, self.sequence)
    }
}
