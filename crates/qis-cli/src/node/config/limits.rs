//! Bounds and waits of a configuration.

use std::num::NonZeroUsize;
use std::time::Duration;

use qis::{OverlayConfig, Rate, RouterConfig, SyncConfig};
use serde::{Deserialize, Serialize};

use super::values::{Positive, Seconds, Within};

/// How similar nodes are found.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::node) struct Overlay {
    near: Within<4, 64>,
    diverse: Within<8, 200>,
    links: Within<8, 128>,
    random: Within<2, 32>,
    state_bytes: Within<16_384, 67_108_864>,
    retries: Within<0, 8>,
    answer_timeout_seconds: Seconds,
    gossip_every_seconds: Seconds,
    lookup_every_seconds: Seconds,
}

/// How what was missed is repaired.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::node) struct Sync {
    enabled: bool,
    every_seconds: Within<1, 86_400>,
    peers: Within<1, 16>,
    bytes: Within<4_991, 1_073_741_824>,
    packets: Within<1, 1_000_000>,
}

/// What the node takes on at most.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::node) struct Limits {
    attempts: Within<1, 16>,
    retry_after_seconds: Seconds,
    lookup_timeout_seconds: Seconds,
    pull_timeout_seconds: Seconds,
    emissions: Within<1, 65_536>,
    pulls: Within<1, 4_096>,
    authors_per_domain: Within<1, 1_000_000>,
    parked: Within<1, 65_536>,
    outputs: Within<16, 1_000_000>,
    peer_frames_per_second: Positive,
    peer_frames_burst: Within<1, 1_000_000>,
    author_packets_per_second: Positive,
    author_packets_burst: Within<1, 1_000_000>,
}

impl Overlay {
    pub(in crate::node) fn config(&self) -> OverlayConfig {
        OverlayConfig {
            near: self.near.get(),
            diverse: self.diverse.get(),
            links: self.links.get(),
            random: self.random.get(),
            state_bytes: self.state_bytes.get(),
            retries: self.retries.get(),
            answer_timeout: self.answer_timeout_seconds.duration(),
            gossip_every: self.gossip_every_seconds.duration(),
            lookup_every: self.lookup_every_seconds.duration(),
            ..OverlayConfig::default()
        }
    }
}

impl Limits {
    /// The router's configuration, with `sync`.
    pub(in crate::node) fn config(&self, sync: &Sync) -> RouterConfig {
        let count = |value: usize| NonZeroUsize::new(value).unwrap_or(NonZeroUsize::MIN);
        RouterConfig {
            attempts: self.attempts.get(),
            retry_after: self.retry_after_seconds.duration(),
            lookup_timeout: self.lookup_timeout_seconds.duration(),
            pull_timeout: self.pull_timeout_seconds.duration(),
            sync: sync.config(),
            emissions: count(self.emissions.get()),
            pulls: count(self.pulls.get()),
            authors_per_domain: count(self.authors_per_domain.get()),
            parked: count(self.parked.get()),
            outputs: count(self.outputs.get()),
            peer_rate: Rate {
                per_second: self.peer_frames_per_second.get(),
                burst: self.peer_frames_burst.get(),
            },
            author_rate: Rate {
                per_second: self.author_packets_per_second.get(),
                burst: self.author_packets_burst.get(),
            },
            ..RouterConfig::default()
        }
    }
}

impl Sync {
    fn config(&self) -> Option<SyncConfig> {
        let every = Duration::from_secs(self.every_seconds.get());
        let Self { peers, bytes, packets, .. } = self;
        let config = SyncConfig { every, peers: peers.get(), bytes: bytes.get(), packets: packets.get() };
        self.enabled.then_some(config)
    }
}

impl Default for Overlay {
    fn default() -> Self {
        let of = OverlayConfig::default();
        Self {
            near: Within::known(of.near.into()),
            diverse: Within::known(of.diverse.into()),
            links: Within::known(of.links.into()),
            random: Within::known(of.random.into()),
            state_bytes: Within::known(of.state_bytes as u64),
            retries: Within::known(of.retries.into()),
            answer_timeout_seconds: Seconds::of(of.answer_timeout),
            gossip_every_seconds: Seconds::of(of.gossip_every),
            lookup_every_seconds: Seconds::of(of.lookup_every),
        }
    }
}

impl Default for Sync {
    fn default() -> Self {
        let of = SyncConfig::default();
        Self {
            enabled: true,
            every_seconds: Within::known(of.every.as_secs()),
            peers: Within::known(of.peers.into()),
            bytes: Within::known(of.bytes as u64),
            packets: Within::known(of.packets as u64),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let of = RouterConfig::default();
        Self {
            attempts: Within::known(of.attempts.into()),
            retry_after_seconds: Seconds::of(of.retry_after),
            lookup_timeout_seconds: Seconds::of(of.lookup_timeout),
            pull_timeout_seconds: Seconds::of(of.pull_timeout),
            emissions: Within::known(of.emissions.get() as u64),
            pulls: Within::known(of.pulls.get() as u64),
            authors_per_domain: Within::known(of.authors_per_domain.get() as u64),
            parked: Within::known(of.parked.get() as u64),
            outputs: Within::known(of.outputs.get() as u64),
            peer_frames_per_second: Positive::known(of.peer_rate.per_second),
            peer_frames_burst: Within::known(of.peer_rate.burst.into()),
            author_packets_per_second: Positive::known(of.author_rate.per_second),
            author_packets_burst: Within::known(of.author_rate.burst.into()),
        }
    }
}
