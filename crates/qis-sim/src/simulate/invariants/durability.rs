//! What was acknowledged is held: to the host by its own disk, to the sender by the recipient's.

use std::collections::BTreeMap;

use qis::{DomainTag, OutcomePacket, Receipt, Table};
use qis_packet::Order;

use super::super::world::State;
use super::{Violation, Who, holds};

const NAME: &str = "nothing acknowledged is lost";
/// A site whose disk was replaced so short a time ago may have acknowledged before that, in seconds.
const LATELY: u64 = 300;

#[derive(Debug, Default)]
pub(in crate::simulate) struct Durability {
    /// The newest of its own that a site's host was told is durable, on this disk.
    acknowledged: BTreeMap<(usize, u32, DomainTag), Order>,
}

impl State {
    /// Whether a site's disk holds a packet of this order, or a newer one of the same author and domain.
    fn holds(&self, site: usize, domain: DomainTag, who: Who, order: Order) -> bool {
        let authors = match who {
            Who::Site(of) => self.sites[of].authors.clone(),
            Who::Liar(author) => vec![author],
        };
        authors.iter().any(|author| {
            let key = [domain.as_str().as_bytes(), author.as_bytes()].concat();
            let row = self.sites[site].disk.get(Table::Packets, &key);
            row.and_then(stored_packet).is_some_and(|packet| packet.order() >= order)
        })
    }

    /// A host was told that an outcome is durable.
    pub(in crate::simulate) fn acknowledged_to_host(
        &mut self,
        site: usize,
        packet: &OutcomePacket,
    ) -> Result<(), Violation> {
        self.keep_acknowledged(site, packet.domain(), packet.order())
    }

    fn keep_acknowledged(&mut self, site: usize, domain: DomainTag, order: Order) -> Result<(), Violation> {
        let place = (site, self.sites[site].disk.generation, domain);
        let highest = self.invariants.durability.acknowledged.entry(place).or_insert(order);
        *highest = order.max(*highest);
        let held = self.sites[site].may_forget || self.holds(site, domain, Who::Site(site), order);
        holds(NAME, held, || format!("site {site} said that {order} is durable, and its disk lacks it"))
    }

    /// A host was told what became of an emission.
    pub(in crate::simulate) fn receipt(&mut self, site: usize, receipt: &Receipt) -> Result<(), Violation> {
        use qis::Delivery::Acknowledged;
        self.recipients(site, receipt)?;
        self.keep_acknowledged(site, receipt.domain, receipt.order)?;
        for report in receipt.recipients.iter().filter(|report| report.delivery == Acknowledged) {
            let Some(&to) = self.places.get(&report.address) else { continue };
            let replaced = self.sites[to].reformatted.is_some_and(|at| (self.now - at).as_secs() < LATELY);
            let excused = replaced || self.sites[to].may_forget;
            let held = excused || self.holds(to, receipt.domain, Who::Site(site), receipt.order);
            holds(NAME, held, || {
                format!("site {site} was told that site {to} holds {}, whose disk lacks it", receipt.order)
            })?;
        }
        Ok(())
    }

    /// A site acknowledges a packet.
    pub(in crate::simulate) fn acknowledges(
        &self,
        site: usize,
        to: usize,
        nonce: u64,
    ) -> Result<(), Violation> {
        let Some(sent) = self.invariants.sends.find(to, nonce) else { return Ok(()) };
        if self.sites[site].may_forget || sent.to != self.sites[site].address {
            return Ok(());
        }
        let held = self.holds(site, sent.domain, Who::Site(to), sent.order);
        holds(NAME, held, || {
            format!("site {site} acknowledges {} of site {to}, and its disk lacks it", sent.order)
        })
    }

    /// A site starts: what its host was told is durable is on the disk.
    pub(in crate::simulate) fn kept_own(&self, site: usize) -> Result<(), Violation> {
        let generation = self.sites[site].disk.generation;
        let all = &self.invariants.durability.acknowledged;
        for (&(_, _, domain), &order) in
            all.iter().filter(|((of, at, _), _)| *of == site && *at == generation)
        {
            let held = self.sites[site].may_forget || self.holds(site, domain, Who::Site(site), order);
            holds(NAME, held, || format!("site {site} lost {order} of its own, which it said is durable"))?;
        }
        Ok(())
    }
}

/// The packet in a row of the table of packets: behind a time and a key.
pub(in crate::simulate) fn stored_packet(row: &[u8]) -> Option<OutcomePacket> {
    OutcomePacket::decode(row.get(40..)?).ok()
}
