//! What is known to be true, whatever nodes believe.

use std::collections::BTreeSet;

use qis::{AuthorId, OutcomePacket, PacketId};

use super::Stored;

/// Whose an author id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::simulate) enum Who {
    /// A site's, under whichever of its keys.
    Site(usize),
    /// Somebody else's.
    Liar(AuthorId),
}

/// Who made what.
#[derive(Debug, Default)]
pub(in crate::simulate) struct Facts {
    emitted: BTreeSet<PacketId>,
    lies: BTreeSet<PacketId>,
    /// Packets that became durable at somebody else than their author.
    pub(in crate::simulate) applied: u64,
}

impl Facts {
    pub(super) fn emitted(&mut self, stored: &Stored<'_>) {
        self.emitted.insert(stored.id);
    }

    /// Whether a site made it, durably.
    pub(in crate::simulate) fn is_emitted(&self, id: &PacketId) -> bool {
        self.emitted.contains(id)
    }

    /// Whether somebody made it, with a key of its own.
    pub(super) fn is_real(&self, id: &PacketId) -> bool {
        self.is_emitted(id) || self.lies.contains(id)
    }

    /// A liar made this with its own key, and it is as good as anybody's.
    pub(in crate::simulate) fn admit_lie(&mut self, packet: &OutcomePacket) {
        self.lies.insert(packet.id());
    }
}
