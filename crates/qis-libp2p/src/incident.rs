//! What goes wrong, in counts and in words for the operator.

use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Libp2pStats;

/// One line of a kind in so much time; the others are counted in the next.
const QUIET: Duration = Duration::from_secs(30);

/// A refusal or a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Incident {
    HandshakeFailed,
    NotAdmitted,
    Blocked,
    OverLimit,
    ForeignNetwork,
    FalseHello,
    Malformed,
    Silent,
    Stalled,
    QueueFull,
    DialFailed,
    RecordRefused,
    ReceiverPanicked,
}

impl Incident {
    const COUNT: usize = Self::ReceiverPanicked as usize + 1;

    /// What happened, and what an operator can do.
    const fn text(self) -> &'static str {
        match self {
            Self::HandshakeFailed => {
                "a connection was not by a QIS node, or by one with another pre-shared key: compare the keys if it is one of yours, \
                 else shield the port"
            }
            Self::NotAdmitted => {
                "a peer is not on the list of authors that may connect: add it there if it belongs to you"
            }
            Self::Blocked => "a blocked author tried to connect: unblock it if that was a mistake",
            Self::OverLimit => {
                "a connection was refused because there are too many, or too little memory: raise the limit of connections if the \
                 network has grown"
            }
            Self::ForeignNetwork => {
                "a peer is of another network or version: compare the network's name on both sides, and upgrade the older one"
            }
            Self::FalseHello => {
                "a peer stated an address that is not its own: if it is one of yours, look at what it advertises; else block it"
            }
            Self::Malformed => {
                "a peer sent what is no frame: upgrade it if it is one of yours, else block it"
            }
            Self::Silent => "a peer opened a stream and did not say who it is: look whether it is overloaded",
            Self::Stalled => {
                "a peer stopped reading, and its connection was closed: look whether it is overloaded"
            }
            Self::QueueFull => {
                "frames to a peer were refused because too many wait: look whether it is reachable and not overloaded"
            }
            Self::DialFailed => {
                "a peer could not be reached: look whether it runs, and whether its address and the firewall are right"
            }
            Self::RecordRefused => {
                "a record of another peer was not kept: it is malformed, out of date or too large"
            }
            Self::ReceiverPanicked => {
                "the function given to `serve` panicked; the frame was dropped: this is a bug of the host"
            }
        }
    }
}

/// The counts of a node, which all its tasks write to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: AtomicU64,
    pub(crate) routing_peers: AtomicU64,
    pub(crate) frames_sent: AtomicU64,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) frames_received: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) frames_dropped: AtomicU64,
    pub(crate) records: AtomicU64,
    incidents: [AtomicU64; Incident::COUNT],
    told: Mutex<[Option<Told>; Incident::COUNT]>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    count: u64,
}

pub(crate) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl Counters {
    /// Counts an incident, and tells the operator of it unless one like it was told a moment ago.
    pub(crate) fn note(&self, incident: Incident, detail: &dyn Display) {
        let index = incident as usize;
        let Some(count) = self.incidents.get(index) else { return };
        let count = count.fetch_add(1, Ordering::Relaxed) + 1;
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = told.get_mut(index) else { return };
        let now = Instant::now();
        if told.is_some_and(|told| now.duration_since(told.at) < QUIET) {
            return;
        }
        let unspoken = count - 1 - told.map_or(0, |told| told.count);
        *told = Some(Told { at: now, count });
        tracing::warn!(kind = ?incident, count, unspoken, %detail, "{}", incident.text());
    }

    /// The counts, beside so many bytes that wait.
    pub(crate) fn stats(&self, queued_bytes: usize) -> Libp2pStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let of = |incident: Incident| self.incidents.get(incident as usize).map_or(0, get);
        Libp2pStats {
            connections: get(&self.connections),
            routing_peers: get(&self.routing_peers),
            queued_bytes: u64::try_from(queued_bytes).unwrap_or(u64::MAX),
            records: get(&self.records),
            frames_sent: get(&self.frames_sent),
            bytes_sent: get(&self.bytes_sent),
            frames_received: get(&self.frames_received),
            bytes_received: get(&self.bytes_received),
            frames_dropped: get(&self.frames_dropped),
            handshakes_failed: of(Incident::HandshakeFailed),
            not_admitted: of(Incident::NotAdmitted),
            blocked: of(Incident::Blocked),
            over_limit: of(Incident::OverLimit),
            foreign_network: of(Incident::ForeignNetwork),
            false_hellos: of(Incident::FalseHello),
            malformed: of(Incident::Malformed),
            silent: of(Incident::Silent),
            stalled: of(Incident::Stalled),
            queue_full: of(Incident::QueueFull),
            dials_failed: of(Incident::DialFailed),
            records_refused: of(Incident::RecordRefused),
            receiver_panics: of(Incident::ReceiverPanicked),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_incident_is_counted_and_the_first_is_told() {
        let counters = Counters::default();
        for _ in 0..3 {
            counters.note(Incident::Stalled, &"x");
        }
        counters.note(Incident::ReceiverPanicked, &"y");
        let stats = counters.stats(0);
        assert_eq!((stats.stalled, stats.receiver_panics, stats.malformed), (3, 1, 0));
        let told = counters.told.lock().unwrap();
        assert_eq!(told[Incident::Stalled as usize].map(|told| told.count), Some(1));
        assert!(told[Incident::Malformed as usize].is_none());
    }
}
