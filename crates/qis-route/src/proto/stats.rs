//! Counts.

use std::collections::BTreeMap;

use qis_packet::{FrameKind, ReassemblyStats};

use super::{Refusal, Verdict};

/// What a router did since it was made. Counts saturate and are not kept over a restart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Emissions this node began, renewals included.
    pub emissions: u64,
    /// Packets handed to the transport, repeats and answers included.
    pub packets_sent: u64,
    /// Bytes of those packets, without their frames.
    pub packet_bytes_sent: u64,
    /// The largest of those packets.
    pub max_packet_bytes: usize,
    /// Frames of all kinds handed to the transport, each part of a larger one counted.
    pub frames_sent: u64,
    /// Bytes of those frames.
    pub frame_bytes_sent: u64,
    /// Those of them that are parts of larger ones.
    pub fragments_sent: u64,
    /// Sends the transport reported as failed.
    pub sends_failed: u64,
    /// Frames that came in, parts of larger ones counted.
    pub frames_received: u64,
    /// What became of the parts that came in.
    pub reassembly: ReassemblyStats,
    /// Packets applied, retractions included.
    pub applied: u64,
    /// Packets that were here already, or older than one that was.
    pub known: u64,
    /// Packets that were parked for their time.
    pub parked: u64,
    /// Packets applied that neighbours had and this node had missed: those of [`sync`](super::RouterConfig::sync).
    pub synced: u64,
    /// Rows of the store that were damaged, or of another identity or network, and left out.
    pub rows_damaged: u64,
    /// Commits that failed.
    pub commits_failed: u64,
    refused: BTreeMap<Refusal, u64>,
}

impl Stats {
    /// How many frames, or packets in them, were refused for this reason.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refused.get(&refusal).copied().unwrap_or(0)
    }

    /// How many were refused for each reason that occurred.
    pub fn refusals(&self) -> impl Iterator<Item = (Refusal, u64)> + '_ {
        self.refused.iter().map(|(&refusal, &count)| (refusal, count))
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        let counter = match verdict {
            Verdict::Applied | Verdict::Retracted => &mut self.applied,
            Verdict::Known => &mut self.known,
            Verdict::Parked => &mut self.parked,
            Verdict::Refused(refusal) => self.refused.entry(refusal).or_default(),
            Verdict::Handled | Verdict::Part => return,
        };
        *counter = counter.saturating_add(1);
    }

    pub(super) fn count_sent(&mut self, kind: FrameKind, frames: &[Vec<u8>], packet: usize) {
        let count = frames.len() as u64;
        self.frames_sent = self.frames_sent.saturating_add(count);
        if count > 1 {
            self.fragments_sent = self.fragments_sent.saturating_add(count);
        }
        let bytes: usize = frames.iter().map(Vec::len).sum();
        self.frame_bytes_sent = self.frame_bytes_sent.saturating_add(bytes as u64);
        if matches!(kind, FrameKind::Packet | FrameKind::Answer) && packet > 0 {
            self.packets_sent = self.packets_sent.saturating_add(1);
            self.packet_bytes_sent = self.packet_bytes_sent.saturating_add(packet as u64);
            self.max_packet_bytes = self.max_packet_bytes.max(packet);
        }
    }
}
