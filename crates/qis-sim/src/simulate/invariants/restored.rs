//! A node that starts stands where its disk says.

use qis::{OutcomePacket, Table, Timestamp};
use qis_packet::{Freshness, Payload};

use super::super::world::State;
use super::durability::stored_packet;
use super::{Violation, holds};

const NAME: &str = "a restart forgets nothing";

impl State {
    /// Rows of packets that a node which starts now must have standing: those in force, of authors who kept their key.
    pub(in crate::simulate) fn rows_in_force(&self, site: usize) -> Vec<OutcomePacket> {
        let wall = Timestamp::from_unix_seconds(self.wall(self.sites[site].ahead));
        let rotated = |packet: &OutcomePacket| {
            let of = self.authors.get(&packet.author());
            of.is_some_and(|&of| self.sites[of].has_rotated())
        };
        let rows = self.sites[site].disk.rows(Table::Packets).filter_map(|(_, row)| stored_packet(row));
        // What has not come yet is in force too: its time was judged when it came.
        rows.filter(|packet| packet.freshness(wall) != Freshness::Expired)
            .filter(|packet| *packet.payload() != Payload::Retraction && !rotated(packet))
            .collect()
    }
}

/// Whether a node that has just started has all that its disk holds.
pub(in crate::simulate) fn lost_rows(
    site: usize,
    rows: &[OutcomePacket],
    standing: &[OutcomePacket],
) -> Result<(), Violation> {
    for row in rows {
        let held = standing.iter().any(|packet| packet.id() == row.id());
        holds(NAME, held, || {
            format!("site {site} started without {} of {}, which is on its disk", row.order(), row.author())
        })?;
    }
    Ok(())
}
