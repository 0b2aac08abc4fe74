//! No two packets have the same commitment, and what opens one opens no other.

use std::collections::BTreeMap;

use qis::{AuthorId, Opening, OutcomePacket, PacketId};
use qis_packet::Order;

use super::{Stored, Violation, holds};

const NAME: &str = "provenance is of one packet";
/// An opening begins with the key that opens.
const KEY_BYTES: usize = 32;

#[derive(Debug, Default)]
pub(in crate::simulate) struct Provenance {
    committed: BTreeMap<[u8; 32], PacketId>,
    opened: BTreeMap<Vec<u8>, (AuthorId, Order, PacketId)>,
}

impl Provenance {
    pub(super) fn check(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        let commitment = *stored.packet.commitment().as_bytes();
        let before = *self.committed.entry(commitment).or_insert(stored.id);
        holds(NAME, before == stored.id, || {
            format!("site {} committed to two packets in the same way", stored.site)
        })
    }

    /// A site opened the provenance of a packet of its own.
    pub(in crate::simulate) fn opened(
        &mut self,
        site: usize,
        opening: &Opening,
        own: &OutcomePacket,
    ) -> Result<(), Violation> {
        let mut key = opening.to_bytes();
        key.truncate(KEY_BYTES);
        let place = (own.author(), own.order());
        let (author, order, before) = *self.opened.entry(key).or_insert((place.0, place.1, own.id()));
        // The key is of the number, and whether that may be used twice is for `numbers.rs` to say.
        holds(NAME, before == own.id() || (author, order) == place, || {
            format!("what opens one packet of site {site} opens another one")
        })
    }
}
