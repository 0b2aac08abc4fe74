//! How the node stands: what `status`, the status page and the metrics tell.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use qis::{OverlayRefusal, OverlayReport, Queues, Stats};
use serde::Serialize;

use super::program::Program;
use super::watch::{LastSynthesis, Recent, now};

/// Everything that is told of a node.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Status {
    pub(super) version: &'static str,
    pub(super) author: String,
    pub(super) name: String,
    pub(super) network: String,
    pub(super) address: String,
    /// Seconds since 1970.
    pub(super) time: u64,
    pub(super) uptime_seconds: u64,
    /// Why the node is not ready; it is when there is nothing.
    pub(super) not_ready: Vec<String>,
    pub(super) counts: Counts,
    /// Frames, and packets in them, that were refused, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) queues: Waiting,
    pub(super) store: StoreStatus,
    pub(super) overlay: Option<OverlayStatus>,
    pub(super) transport: TransportStatus,
    pub(super) domains: Vec<DomainStatus>,
    /// The newest first.
    pub(super) recent: Vec<Recent>,
}

/// Counts since the start.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Counts {
    pub(super) emitted: u64,
    pub(super) delivered: u64,
    pub(super) recipients: u64,
    pub(super) received: u64,
    pub(super) applied: u64,
    pub(super) known: u64,
    pub(super) parked: u64,
    pub(super) refused: u64,
    pub(super) synced: u64,
    pub(super) synthesised: u64,
    pub(super) packets_sent: u64,
    pub(super) frames_sent: u64,
    pub(super) frame_bytes_sent: u64,
    pub(super) sends_failed: u64,
    pub(super) max_packet_bytes: u64,
}

/// What waits.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Waiting {
    pub(super) emissions: usize,
    pub(super) pulls: usize,
    pub(super) outputs: usize,
    pub(super) commits: usize,
    pub(super) parked: usize,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct StoreStatus {
    /// None for a node that forgets.
    pub(super) path: Option<String>,
    pub(super) commits_failed: u64,
    pub(super) commits_full: u64,
    pub(super) rows_damaged: u64,
    pub(super) error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct OverlayStatus {
    pub(super) spaces: Vec<SpaceStatus>,
    pub(super) requests: u64,
    pub(super) answered: u64,
    pub(super) lookups: u64,
    pub(super) lookup_requests: u64,
    pub(super) lookup_rounds: u64,
    pub(super) dead: u64,
    pub(super) expired: u64,
    pub(super) sends_failed: u64,
    pub(super) state_bytes: usize,
    pub(super) refused: BTreeMap<String, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct SpaceStatus {
    pub(super) space: String,
    pub(super) domain: Option<String>,
    pub(super) near: usize,
    pub(super) diverse: usize,
    pub(super) random: usize,
    pub(super) joining: bool,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct TransportStatus {
    pub(super) kind: &'static str,
    /// How it stands now, by name.
    pub(super) gauges: BTreeMap<&'static str, u64>,
    /// Counts since the start, by name.
    pub(super) counts: BTreeMap<&'static str, u64>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct DomainStatus {
    pub(super) tag: String,
    pub(super) about: String,
    /// Packets in force, this node's own among them.
    pub(super) standing: usize,
    pub(super) synthesis: Option<LastSynthesis>,
}

impl Status {
    /// How a program stands now.
    pub(super) fn of(program: &Program) -> Self {
        let node = program.node();
        let stats = node.stats();
        let seen = program.watch().seen();
        let overlay = node.overlay_stats();
        let times = program.store().times();
        let domains = program.config().domains.iter().map(|domain| {
            let tag = domain.domain().tag();
            DomainStatus {
                tag: tag.to_string(),
                about: domain.describe(),
                standing: node.standing(tag.as_str()).len(),
                synthesis: seen.syntheses.get(&tag).cloned(),
            }
        });
        let domains: Vec<_> = domains.collect();
        let refused: BTreeMap<_, _> = stats.refusals().map(|(why, count)| (why.name(), count)).collect();
        let counts = Counts {
            delivered: seen.delivered,
            recipients: seen.recipients,
            refused: refused.values().sum(),
            synthesised: seen.syntheses.values().map(|last| last.count).sum(),
            ..Counts::of(&stats)
        };
        let mut not_ready = Vec::new();
        if let Some(error) = &seen.store_error {
            not_ready.push(format!("the store fails: {error}"));
        }
        if overlay.as_ref().is_some_and(|overlay| overlay.spaces.iter().any(|space| space.joining)) {
            not_ready.push("looking for the first contacts".to_owned());
        }
        let config = program.config();
        Self {
            version: env!("CARGO_PKG_VERSION"),
            author: node.author().to_string(),
            name: config.node.name.as_str().to_owned(),
            network: config.node.network.as_str().to_owned(),
            address: node.address().to_string(),
            time: now(),
            uptime_seconds: program.started().elapsed().as_secs(),
            not_ready,
            counts,
            refused,
            queues: node.queues().into(),
            store: StoreStatus {
                path: config.store.path.as_ref().map(|path| path.display().to_string()),
                commits_failed: times.failed.load(Ordering::Relaxed),
                commits_full: times.full.load(Ordering::Relaxed),
                rows_damaged: stats.rows_damaged,
                error: seen.store_error,
            },
            overlay: overlay.as_ref().map(Into::into),
            transport: program.link().status(),
            domains,
            recent: seen.recent.into(),
        }
    }
}

impl Counts {
    fn of(stats: &Stats) -> Self {
        Self {
            emitted: stats.emissions,
            received: stats.frames_received,
            applied: stats.applied,
            known: stats.known,
            parked: stats.parked,
            synced: stats.synced,
            packets_sent: stats.packets_sent,
            frames_sent: stats.frames_sent,
            frame_bytes_sent: stats.frame_bytes_sent,
            sends_failed: stats.sends_failed,
            max_packet_bytes: stats.max_packet_bytes as u64,
            ..Self::default()
        }
    }
}

impl From<Queues> for Waiting {
    fn from(queues: Queues) -> Self {
        let Queues { emissions, pulls, outputs, commits, parked, .. } = queues;
        Self { emissions, pulls, outputs, commits, parked }
    }
}

impl From<&OverlayReport> for OverlayStatus {
    fn from(report: &OverlayReport) -> Self {
        let stats = &report.stats;
        let spaces = report.spaces.iter().map(|space| SpaceStatus {
            space: space.space.to_string(),
            domain: space.domain.map(|domain| domain.to_string()),
            near: space.near,
            diverse: space.diverse,
            random: space.random,
            joining: space.joining,
        });
        let refused = OverlayRefusal::ALL.into_iter().map(|why| (why.to_string(), stats.refused(why)));
        Self {
            spaces: spaces.collect(),
            requests: stats.requests,
            answered: stats.answered,
            lookups: stats.lookups,
            lookup_requests: stats.lookup_requests,
            lookup_rounds: stats.lookup_rounds,
            dead: stats.dead,
            expired: stats.expired,
            sends_failed: report.sends_failed,
            state_bytes: report.state_bytes,
            refused: refused.filter(|(_, count)| *count > 0).collect(),
        }
    }
}
