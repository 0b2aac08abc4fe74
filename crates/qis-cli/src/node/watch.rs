//! What happened in the node, as far as a person or a graph wants to know it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use qis::{DomainTag, NodeEvent, Synthesis};
use serde::Serialize;

/// Packets that are shown.
const RECENT: usize = 20;
/// Contributions that are kept of a synthesis, the weightiest.
const CONTRIBUTIONS: usize = 20;

/// What a program remembers beside the node's own counts.
#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Seen>);

#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Recipients that acknowledged, over all emissions that are over.
    pub(super) delivered: u64,
    /// Recipients of all emissions that are over.
    pub(super) recipients: u64,
    /// Packets, the newest first.
    pub(super) recent: VecDeque<Recent>,
    pub(super) syntheses: BTreeMap<DomainTag, LastSynthesis>,
    /// How the store failed last, if its last commit did.
    pub(super) store_error: Option<String>,
}

/// A packet that came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Recent {
    /// Seconds since 1970.
    pub(super) time: u64,
    pub(super) kind: Kind,
    pub(super) domain: String,
    pub(super) packet: String,
    /// Of a packet that came.
    pub(super) author: Option<String>,
    /// Of a packet that went: recipients that have it, and recipients.
    pub(super) delivered: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Applied,
    Retracted,
    Emitted,
}

/// The last synthesis of a domain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct LastSynthesis {
    /// Seconds since 1970.
    pub(super) time: u64,
    /// Syntheses of the domain so far.
    pub(super) count: u64,
    pub(super) origins: usize,
    pub(super) peer_weight: Option<f64>,
    pub(super) abstained: Option<String>,
    /// Samples that were looked at.
    pub(super) samples: usize,
    /// The weightiest.
    pub(super) contributions: Vec<Share>,
}

/// What became of a sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Share {
    pub(super) author: String,
    pub(super) weight: f64,
    pub(super) standing: String,
}

impl Watch {
    /// Takes note of an event.
    pub(super) fn note(&self, event: &NodeEvent) {
        let mut seen = self.lock();
        match event {
            NodeEvent::Applied { domain, author, packet, retraction } => {
                let kind = if *retraction { Kind::Retracted } else { Kind::Applied };
                let author = Some(author.to_string());
                seen.add(kind, *domain, packet.to_string(), author, None);
            }
            NodeEvent::Emitted { domain, packet, delivered, recipients } => {
                seen.delivered = seen.delivered.saturating_add(*delivered as u64);
                seen.recipients = seen.recipients.saturating_add(*recipients as u64);
                seen.add(Kind::Emitted, *domain, packet.to_string(), None, Some((*delivered, *recipients)));
            }
            NodeEvent::StoreFailed { error, .. } => seen.store_error = Some(error.clone()),
            _ => {}
        }
    }

    /// Takes note of a synthesis.
    pub(super) fn synthesised(&self, domain: DomainTag, synthesis: &Synthesis) {
        let mut contributions = synthesis.contributions.clone();
        contributions.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let shares = contributions.iter().take(CONTRIBUTIONS).map(|one| Share {
            author: one.author.to_string(),
            weight: one.weight,
            standing: one.standing.to_string(),
        });
        let mut seen = self.lock();
        let count = seen.syntheses.get(&domain).map_or(0, |last| last.count);
        let last = LastSynthesis {
            time: now(),
            count: count.saturating_add(1),
            origins: synthesis.origins,
            peer_weight: synthesis.peer_weight,
            abstained: synthesis.abstained.map(|reason| reason.to_string()),
            samples: synthesis.contributions.len(),
            contributions: shares.collect(),
        };
        seen.syntheses.insert(domain, last);
    }

    /// A commit went well.
    pub(super) fn store_works(&self) {
        self.lock().store_error = None;
    }

    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// Plain values are whole whatever their holder did.
    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn add(
        &mut self,
        kind: Kind,
        domain: DomainTag,
        packet: String,
        author: Option<String>,
        delivered: Option<(usize, usize)>,
    ) {
        self.recent.truncate(RECENT - 1);
        let domain = domain.to_string();
        self.recent.push_front(Recent { time: now(), kind, domain, packet, author, delivered });
    }
}

/// Seconds since 1970, 0 before.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use qis::synth::{Contribution, Standing};
    use qis::{AuthorId, PacketId};

    use super::*;

    #[test]
    fn the_newest_packets_and_the_weightiest_shares_are_kept() {
        let watch = Watch::default();
        let domain: DomainTag = "a".parse().unwrap();
        for number in 0..30 {
            let packet = PacketId::from_bytes([number; 32]);
            watch.note(&NodeEvent::Emitted { domain, packet, delivered: 2, recipients: 3 });
        }
        let mut synthesis = Synthesis::new(vec![0.0]);
        let share = |number: u8| {
            let author = AuthorId::from_bytes([number; 16]);
            Contribution::new(author, f64::from(number), Standing::Counted)
        };
        synthesis.contributions = (0..50).map(share).collect();
        watch.synthesised(domain, &synthesis);
        watch.synthesised(domain, &synthesis);

        let seen = watch.seen();
        assert_eq!((seen.delivered, seen.recipients, seen.recent.len()), (60, 90, 20));
        assert_eq!(seen.recent[0].packet, PacketId::from_bytes([29; 32]).to_string());
        let last = &seen.syntheses[&domain];
        assert_eq!((last.count, last.samples, last.contributions.len()), (2, 50, 20));
        assert_eq!(last.contributions[0].weight, 49.0);
    }
}
