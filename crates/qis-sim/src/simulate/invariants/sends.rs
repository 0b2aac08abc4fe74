//! An emission sends at most as many packets as it has recipients, times the attempts, and nothing that is not durable.

use std::collections::{BTreeMap, BTreeSet};

use qis::{Address, DomainTag, OutcomePacket, PacketId};
use qis_packet::Order;

use super::super::site::VECTORS;
use super::{Facts, Violation, holds};

const NAME: &str = "sends";
const DURABLE: &str = "nothing is sent before it is durable";
/// Recipients of a vector and of evidence.
const MOST_RECIPIENTS: [usize; 2] = [20, 40];

/// A packet on its way to a recipient.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Sent {
    pub(in crate::simulate) to: Address,
    pub(in crate::simulate) domain: DomainTag,
    pub(in crate::simulate) order: Order,
    attempts: u8,
}

#[derive(Debug)]
pub(in crate::simulate) struct Sends {
    attempts: u8,
    sent: BTreeMap<(usize, u64), Sent>,
    /// The recipients of a packet, in a life of its author's.
    recipients: BTreeMap<(usize, u64, PacketId), BTreeSet<Address>>,
}

impl Sends {
    pub(super) const fn new(attempts: u8) -> Self {
        Self { attempts, sent: BTreeMap::new(), recipients: BTreeMap::new() }
    }

    /// What a site sent under this nonce.
    pub(in crate::simulate) fn find(&self, site: usize, nonce: u64) -> Option<&Sent> {
        self.sent.get(&(site, nonce))
    }

    /// A site sends a packet of its own.
    pub(in crate::simulate) fn check(
        &mut self,
        facts: &Facts,
        (site, life): (usize, u64),
        to: &Address,
        nonce: u64,
        packet: &OutcomePacket,
    ) -> Result<(), Violation> {
        let (order, domain) = (packet.order(), packet.domain());
        let new = Sent { to: to.clone(), domain, order, attempts: 0 };
        let sent = self.sent.entry((site, nonce)).or_insert(new);
        sent.attempts = sent.attempts.saturating_add(1);
        let (attempts, most) = (sent.attempts, self.attempts);
        holds(NAME, attempts <= most, || {
            format!("site {site} sent {order} to {to} {attempts} times, {most} are allowed")
        })?;
        if attempts > 1 {
            return Ok(());
        }
        let id = packet.id();
        holds(DURABLE, facts.is_emitted(&id), || format!("site {site} sent {order}, which its disk lacks"))?;
        let recipients = self.recipients.entry((site, life, id)).or_default();
        recipients.insert(to.clone());
        let most = MOST_RECIPIENTS[usize::from(domain.as_str() != VECTORS)];
        holds(NAME, recipients.len() <= most, || {
            format!("site {site} sent {order} to {} recipients, {most} are allowed", recipients.len())
        })
    }
}
