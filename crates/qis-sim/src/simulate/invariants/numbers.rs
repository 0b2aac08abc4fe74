//! A place in an author's order is used for one packet only.

use std::collections::BTreeMap;

use qis::{AuthorId, PacketId};
use qis_packet::Order;

use super::{Stored, Violation, holds};

const NAME: &str = "a number is never used twice";

#[derive(Debug, Default)]
pub(super) struct Numbers {
    used: BTreeMap<(AuthorId, Order), PacketId>,
    /// The last of each disk.
    last: BTreeMap<(usize, u32), Order>,
}

impl Numbers {
    pub(super) fn check(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        let (site, order) = (stored.site, stored.packet.order());
        let before = *self.used.entry((stored.packet.author(), order)).or_insert(stored.id);
        // A site that lost its disk goes by its clock; one whose clock is wrong too may meet a number of an earlier life.
        let excused = stored.wrong_clock && stored.generation > 0;
        holds(NAME, before == stored.id || excused, || format!("site {site} used {order} for two packets"))?;
        let last = self.last.insert((site, stored.generation), order);
        holds(NAME, last.is_none_or(|last| last < order), || {
            format!("site {site} used {order} after {last:?}")
        })
    }
}
