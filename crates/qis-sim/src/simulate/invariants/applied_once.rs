//! Each packet is applied at most once at a site, over all its lives on one disk, and no older one after a newer one.

use std::collections::BTreeMap;

use qis::{DomainTag, PacketId};
use qis_packet::Order;

use super::{Stored, Violation, Who, holds};

const NAME: &str = "applied once";

#[derive(Debug, Default)]
pub(super) struct AppliedOnce(BTreeMap<(usize, u32, DomainTag, Who), (Order, PacketId)>);

impl AppliedOnce {
    pub(super) fn check(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        let order = stored.packet.order();
        let place = (stored.site, stored.generation, stored.packet.domain(), stored.who);
        let before = self.0.insert(place, (order, stored.id));
        let Some((last, id)) = before.filter(|_| !stored.may_forget) else { return Ok(()) };
        // What stands under one key is put under another when the site hears that they are one author's.
        let moved = stored.rotated && order <= last;
        if moved {
            self.0.insert(place, (last, id));
        }
        holds(NAME, order > last || moved, || {
            let again = if id == stored.id { "once more" } else { "an older one" };
            format!("site {} applied {order} of {:?} after {last}: {again}", stored.site, stored.who)
        })
    }
}
