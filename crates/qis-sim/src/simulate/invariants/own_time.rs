//! A site's own time never goes back within an incarnation, but for the skew that honest clocks have.

use std::collections::BTreeMap;

use qis::AuthorId;
use qis_packet::SKEW_SECONDS;

use super::{Stored, Violation, holds};

const NAME: &str = "own time goes forward";

/// The latest time of each author and incarnation, and of its site's disk: what died with a disk before it was sent nobody knows, the site neither.
#[derive(Debug, Default)]
pub(super) struct OwnTime(BTreeMap<(AuthorId, u32, u32), u64>);

impl OwnTime {
    pub(super) fn check(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        let order = stored.packet.order();
        let time = stored.packet.time().unix_seconds();
        let latest =
            self.0.entry((stored.packet.author(), order.incarnation, stored.generation)).or_insert(time);
        let before = *latest;
        *latest = time.max(before);
        holds(NAME, time.saturating_add(SKEW_SECONDS) >= before, || {
            format!(
                "site {} made {order} at {time}, after one of {before} in the same incarnation",
                stored.site
            )
        })
    }
}
