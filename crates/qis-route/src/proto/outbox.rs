//! Emissions under way.

use qis_fingerprint::Fingerprint;
use qis_packet::OutcomePacket;

use super::LookupId;
use super::receipt::{Delivery, EmissionId, Receipt, RecipientReport};
use super::timer::TimerKey;
use crate::{HostError, Operation, Peer, Selection, Table};

/// An outcome on its way to its recipients.
#[derive(Debug)]
pub(super) struct Emission {
    pub(super) packet: OutcomePacket,
    /// What its recipients are found by: the exact one, where the packet's is compact and this node knows it. Not stored.
    pub(super) fingerprint: Fingerprint,
    /// Not stored: after a restart it is the domain's.
    pub(super) selection: Selection,
    pub(super) phase: Phase,
    pub(super) recipients: Vec<Recipient>,
    pub(super) lookup_error: Option<HostError>,
}

/// What an emission waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// That the store has it.
    Committing,
    /// Who is most similar.
    Finding { lookup: LookupId, attempt: u8 },
    /// That its recipients have it.
    Delivering,
}

#[derive(Debug)]
pub(super) struct Recipient {
    pub(super) peer: Peer,
    pub(super) similarity: f32,
    /// The same for all attempts, so that a late acknowledgement of an early one counts.
    pub(super) nonce: u64,
    pub(super) attempts: u8,
    /// It asked for the author's key.
    pub(super) with_key: bool,
    pub(super) delivery: Option<Delivery>,
    /// When to try again.
    pub(super) timer: Option<TimerKey>,
}

impl Emission {
    pub(super) fn new(packet: OutcomePacket, fingerprint: Fingerprint, selection: Selection) -> Self {
        let (phase, recipients) = (Phase::Committing, Vec::new());
        Self { packet, fingerprint, selection, phase, recipients, lookup_error: None }
    }

    pub(super) fn is_delivered(&self) -> bool {
        self.phase == Phase::Delivering && self.recipients.iter().all(|one| one.delivery.is_some())
    }

    pub(super) fn row(&self) -> Operation {
        let (key, value) = (self.key(), self.packet.as_bytes().to_vec());
        Operation::Put { table: Table::Outbox, key, value }
    }

    pub(super) fn delete(&self) -> Operation {
        Operation::Delete { table: Table::Outbox, key: self.key() }
    }

    fn key(&self) -> Vec<u8> {
        let order = self.packet.order();
        [order.incarnation.to_be_bytes(), order.sequence.to_be_bytes()].concat()
    }

    pub(super) fn into_receipt(self, emission: EmissionId) -> Receipt {
        let report = |one: Recipient| RecipientReport {
            author: one.peer.author,
            address: one.peer.address,
            similarity: one.similarity,
            attempts: one.attempts,
            delivery: one.delivery.unwrap_or(Delivery::Unacknowledged),
        };
        Receipt {
            emission,
            packet: self.packet.id(),
            order: self.packet.order(),
            domain: self.packet.domain(),
            bytes: self.packet.as_bytes().len(),
            recipients: self.recipients.into_iter().map(report).collect(),
            lookup_error: self.lookup_error,
        }
    }
}
