//! From what passes a site's ports to the invariants.

use qis::{Address, Batch, Operation, OutcomePacket, PacketId, Table, Verdict};

use super::fault::FaultKind;
use super::frames;
use super::invariants::{Stored, Violation, Who, check_unasked};
use super::world::{Frame, State};

/// A clock that was set so short a time ago may not be the one by which a packet was judged, in seconds.
const LATELY: u64 = 900;

impl State {
    /// Batches became durable at a site.
    pub(super) fn committed(&mut self, site: usize, batches: &[Batch]) {
        for batch in batches {
            let mut rows = 0;
            for operation in &batch.operations {
                rows += 1;
                let Operation::Put { table, value, .. } = operation else { continue };
                let packet = match table {
                    Table::Packets => value.get(40..),
                    Table::Outbox => Some(value.as_slice()),
                    _ => None,
                };
                let Some(Ok(packet)) = packet.map(OutcomePacket::decode) else { continue };
                self.stored(site, &packet, *table == Table::Outbox);
            }
            self.note(format_args!("site {site} commits {rows} rows"));
        }
    }

    fn stored(&mut self, site: usize, packet: &OutcomePacket, outbox: bool) {
        let one = &self.sites[site];
        let who = self.authors.get(&packet.author()).map_or(Who::Liar(packet.author()), |of| Who::Site(*of));
        if (who == Who::Site(site)) != outbox {
            // Of an own packet the row in the outbox is what counts.
            return;
        }
        let id: PacketId = packet.id();
        let stored = Stored {
            site,
            life: one.life,
            generation: one.disk.generation,
            now: self.now,
            wall: self.wall(one.ahead),
            steady: (self.now - one.clock_set).as_secs() >= LATELY || !one.clock_was_wrong,
            wrong_clock: one.clock_was_wrong,
            may_forget: one.may_forget,
            who,
            rotated: matches!(who, Who::Site(of) if self.sites[of].has_rotated()),
            packet,
            id,
        };
        let (held, verb) = if outbox {
            (self.invariants.own(&stored), "emits")
        } else {
            self.invariants.facts.applied += 1;
            (self.invariants.applied(&stored), "applies")
        };
        self.note(format_args!("site {site} {verb} {} {} {id}", packet.author(), packet.order()));
        self.check(held);
    }

    /// A site hands a frame to its transport.
    pub(super) fn sends(
        &mut self,
        site: usize,
        life: u64,
        to: &Address,
        frame: &[u8],
    ) -> Result<(), Violation> {
        if let Some(nonce) = frames::acknowledgement(frame) {
            let to = self.places.get(to).copied();
            return to.map_or(Ok(()), |to| self.acknowledges(site, to, nonce));
        }
        if let Some(message) = frames::overlay(frame).filter(|_| !self.faulty) {
            self.invariants.heard.asks(site, message, self.now);
            let Some(&to) = self.places.get(to) else { return Ok(()) };
            let life = self.sites[to].life;
            return self.invariants.heard.tells((to, life), message, self.now);
        }
        let Some(sent) = frames::packet(frame) else { return Ok(()) };
        let Ok(packet) = OutcomePacket::decode(sent.bytes) else { return Ok(()) };
        let invariants = &mut self.invariants;
        invariants.sends.check(&invariants.facts, (site, life), to, sent.nonce, &packet)
    }

    /// A node judged a frame.
    pub(super) fn judged(&mut self, frame: &Frame, verdict: Verdict) {
        let life = self.sites[frame.to].life;
        self.note(format_args!(
            "site {} takes {} of {}: {verdict:?}",
            frame.to,
            frame.bytes.len(),
            frame.from
        ));
        if frame.lie == Some(FaultKind::Spoofing) {
            self.check(check_unasked(frame.to, verdict));
        }
        let held = self.invariants.rates.check(self.now, (frame.to, life), &frame.from, verdict);
        self.check(held);
    }
}
