//! The bounds of a router.

use std::num::NonZeroUsize;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, MIN_COMPACT_BYTES};
use qis_packet::{
    DEFAULT_FINGERPRINT_BYTES, Draft, FragmentPlan, Frame, MAX_FINGERPRINT_BYTES, MAX_PACKET_BYTES,
    MIN_LINK_FRAME, Parity, ReassemblyConfig,
};

use super::{FRAME_OVERHEAD, SyncConfig};
use crate::Selection;

const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);
/// All of a signed packet but its tag, its fingerprint and its payload, at the longest; the wire format has the table.
const LONGEST_OVERHEAD: usize = 143;
/// The longest tag, and the fewest bytes of any delta.
const LEAST_CONTENT: usize = 32 + 8;

/// How much may come, on average and at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// On average, a second. More than 0.
    pub per_second: f64,
    /// At once, after a pause. At least 1.
    pub burst: u32,
}

/// The bounds and waits of a router. Every queue and table has one; what happens at it is said beside it.
///
/// Later versions add fields: write `RouterConfig { attempts, ..RouterConfig::default() }`.
#[derive(Clone, Debug, PartialEq)]
pub struct RouterConfig {
    /// To whom an outcome is sent, and whom a pull asks, in domains for which nothing else [was set](super::Router::set_selection): 1 to 1,000
    /// in all. More reach more and cost as many packets.
    ///
    /// [`None`], the default, leaves it open: the router takes [`Selection::article`], and the facade chooses by what is in a domain. A
    /// selection counts for all domains that have none of their own.
    pub selection: Option<Selection>,
    /// How often a packet is sent to one recipient at most, the first time included: 1 to 16, 5 by default. So one emission causes at most
    /// as many packets as there are recipients, times `attempts`. A packet that has no room for its author's key needs two attempts at a recipient that does not know it.
    pub attempts: u8,
    /// How long to wait for the first acknowledgement, 2 s by default; each further wait is twice as long, a quarter more or less. Set it
    /// to some round trips of the link: a minute over a radio. It is also how long the transport may take to hand over a frame, or each part
    /// of one; the wait begins when the last part was handed over. A transport that keeps a duty cycle by waiting needs the pause after
    /// a part in it.
    pub retry_after: Duration,
    /// How long a look-up may take, 10 s by default; counted as failed beyond.
    pub lookup_timeout: Duration,
    /// How long a pull waits for answers, 4 s by default; it asks those that are silent once more half-way. Query and answers together
    /// travel in it, in parts if need be: some minutes over a radio.
    pub pull_timeout: Duration,
    /// The largest frame the transport carries, 24 to 16,384 bytes, the latter by default. The facade lowers it to what its transport states.
    /// Larger frames are sent in parts, one after the other. Set it where some of the nodes are reached over a link that carries less
    /// than the transport says.
    pub max_frame: usize,
    /// How many of the parts of a frame may be lost; [`Parity::Auto`] by default.
    pub parity: Parity,
    /// The bounds of frames that come in parts; frames of 1,024 bytes, 256 KiB in all, 32 frames of an address and half an hour by default. Let its lifetime be longer
    /// than the waits between attempts, so that the parts of several add up.
    pub reassembly: ReassemblyConfig,
    /// How many packets an answer has at most, 1 to 32, 8 by default.
    pub answer_packets: u8,
    /// How what was missed is repaired; [`None`] for a link on which a minute's silence is worth more. Each period costs a query and its answers
    /// for some neighbours of each domain, and sometimes a look-up.
    pub sync: Option<SyncConfig>,
    /// How large this node's own packets are at most, for a link that carries less than 512 bytes at a time: 512 by default, and at least
    /// 183 more than [`fingerprint_bytes`](Self::fingerprint_bytes), so that a withdrawal always fits. Deltas are fitted to what is left;
    /// evidence has one size and is refused when it does not fit. Renewals keep to it; what others send may still have 512.
    pub max_packet_bytes: usize,
    /// How many bytes the fingerprint of an own packet or query takes at most, 9 to 192, 64 by default; see
    /// [`Draft::fingerprint_bytes`]. 16 leave a delta 48 more. Take the same on all nodes of a network.
    pub fingerprint_bytes: usize,
    /// Emissions under way, 64 by default; a further one is refused with [`EmitError::QueueFull`](super::EmitError::QueueFull).
    pub emissions: NonZeroUsize,
    /// Pulls under way, 16 by default; a further one is refused.
    pub pulls: NonZeroUsize,
    /// Authors whose newest packet is kept, for each domain, 1,024 by default. Further authors are refused until a place is free, which is
    /// when all that was applied in it has expired: nothing in force is ever pushed out by a stranger, but many strangers can keep newcomers
    /// out. Raise it, or admit authors at the transport, where that is a threat.
    pub authors_per_domain: NonZeroUsize,
    /// Packets from the future that wait for their time, 256 by default, and at most 64 an author. Further ones are refused.
    pub parked: NonZeroUsize,
    /// Outputs waiting for the driver, and changes and effects waiting for the store, 4,096 by default of each. Beyond, frames are dropped
    /// and counted as busy, acknowledgements excepted, and emissions are refused; queries are from half of it on.
    pub outputs: NonZeroUsize,
    /// Frames from one address. Beyond, they are dropped unread. The parts of a frame together count as about one.
    pub peer_rate: Rate,
    /// New packets of one author over all domains, counted after verification, so that nobody uses up another's. Beyond, they are refused.
    pub author_rate: Rate,
    /// Addresses and authors whose rate is remembered, 1,024 by default of each; the one longest silent is forgotten.
    pub rates: NonZeroUsize,
}

/// A configuration that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The field that is refused.
    pub field: &'static str,
    /// What it must be.
    pub problem: &'static str,
}

impl RouterConfig {
    /// For a node on a slow or costly link, such as a radio or a satellite: few recipients, few and patient repetitions.
    #[must_use]
    pub fn radio() -> Self {
        Self {
            selection: Some(Selection::most_similar(5)),
            attempts: 4,
            retry_after: Duration::from_secs(60),
            lookup_timeout: Duration::from_secs(120),
            pull_timeout: Duration::from_secs(240),
            answer_packets: 4,
            sync: None,
            reassembly: ReassemblyConfig {
                lifetime: Duration::from_secs(6 * 3600),
                ..Self::small().reassembly
            },
            ..Self::small()
        }
    }

    /// For a node with little memory: every table and queue an eighth of the default or less.
    #[must_use]
    pub fn small() -> Self {
        Self {
            emissions: nonzero(8),
            pulls: nonzero(2),
            authors_per_domain: nonzero(128),
            parked: nonzero(32),
            outputs: nonzero(512),
            rates: nonzero(128),
            sync: Some(SyncConfig { bytes: 16 * 1024, packets: 32, ..SyncConfig::default() }),
            reassembly: ReassemblyConfig {
                bytes: ReassemblyConfig::MIN_BYTES,
                frames_per_sender: 8,
                ..ReassemblyConfig::default()
            },
            ..Self::default()
        }
    }

    /// How many bytes a signed packet without a key leaves to evidence, however long its varints, with a tag of `tag` bytes and a
    /// fingerprint of `dims` dimensions.
    #[must_use]
    pub const fn payload_room(&self, tag: usize, dims: usize) -> usize {
        let fingerprint = if dims < self.fingerprint_bytes { dims } else { self.fingerprint_bytes };
        // Of numbers above 127, the dimensions and the length take a second byte.
        let varints = (dims > 127) as usize + (fingerprint > 127) as usize;
        self.max_packet_bytes.saturating_sub(LONGEST_OVERHEAD + tag + fingerprint + varints)
    }

    /// A draft within these bounds.
    pub(super) fn bound(&self, draft: Draft) -> Draft {
        draft.encode_within(self.max_packet_bytes).fingerprint_bytes(self.fingerprint_bytes)
    }

    /// A fingerprint as it travels within these bounds.
    pub(super) fn compact(&self, fingerprint: Fingerprint) -> Fingerprint {
        // The configuration was checked, so there is room.
        fingerprint.compact(self.fingerprint_bytes).unwrap_or(fingerprint)
    }

    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError { field, problem });
        let waitable = |wait: Duration| !wait.is_zero() && wait <= LONGEST_WAIT;
        let positive = |rate: &Rate| rate.per_second > 0.0 && rate.per_second.is_finite() && rate.burst >= 1;
        if let Some(Err(error)) = self.selection.map(|selection| selection.validate()) {
            Err(error)
        } else if !(1..=16).contains(&self.attempts) {
            refuse("attempts", "must be 1 to 16")
        } else if !waitable(self.retry_after) {
            refuse("retry_after", "must be more than zero and at most a day")
        } else if !waitable(self.lookup_timeout) {
            refuse("lookup_timeout", "must be more than zero and at most a day")
        } else if !waitable(self.pull_timeout) {
            refuse("pull_timeout", "must be more than zero and at most a day")
        } else if !(MIN_LINK_FRAME..=Frame::MAX_BYTES).contains(&self.max_frame) {
            refuse("max_frame", "must be 24 to 16,384")
        } else if FragmentPlan::new(MAX_PACKET_BYTES + FRAME_OVERHEAD, self.max_frame, self.parity).is_err() {
            refuse("parity", "must leave room for the data among 128 parts")
        } else if !(MAX_PACKET_BYTES + FRAME_OVERHEAD..=Frame::MAX_BYTES)
            .contains(&self.reassembly.frame_bytes)
        {
            refuse("reassembly.frame_bytes", "must be 556 to 16,384")
        } else if self.reassembly.bytes < ReassemblyConfig::MIN_BYTES {
            refuse("reassembly.bytes", "must be at least 32 KiB")
        } else if self.reassembly.frames_per_sender == 0 {
            refuse("reassembly.frames_per_sender", "must be at least 1")
        } else if self.reassembly.lifetime.is_zero() {
            refuse("reassembly.lifetime", "must be more than zero")
        } else if !(1..=32).contains(&self.answer_packets) {
            refuse("answer_packets", "must be 1 to 32")
        } else if let Some(Err(error)) = self.sync.as_ref().map(|sync| sync.validate(self.answer_packets)) {
            Err(error)
        } else if !(MIN_COMPACT_BYTES..=MAX_FINGERPRINT_BYTES).contains(&self.fingerprint_bytes) {
            refuse("fingerprint_bytes", "must be 9 to 192")
        } else if !(self.fingerprint_bytes + LONGEST_OVERHEAD + LEAST_CONTENT..=MAX_PACKET_BYTES)
            .contains(&self.max_packet_bytes)
        {
            refuse("max_packet_bytes", "must be at least 183 more than fingerprint_bytes, and at most 512")
        } else if !positive(&self.peer_rate) {
            refuse("peer_rate", "must be more than zero, with a burst of at least one")
        } else if !positive(&self.author_rate) {
            refuse("author_rate", "must be more than zero, with a burst of at least one")
        } else {
            Ok(())
        }
    }
}

const fn nonzero(value: usize) -> NonZeroUsize {
    match NonZeroUsize::new(value) {
        Some(value) => value,
        None => NonZeroUsize::MIN,
    }
}

impl Default for RouterConfig {
    fn default() -> Self {
        Self {
            selection: None,
            attempts: 5,
            retry_after: Duration::from_secs(2),
            lookup_timeout: Duration::from_secs(10),
            pull_timeout: Duration::from_secs(4),
            max_frame: Frame::MAX_BYTES,
            parity: Parity::Auto,
            reassembly: ReassemblyConfig::default(),
            answer_packets: 8,
            sync: Some(SyncConfig::default()),
            max_packet_bytes: MAX_PACKET_BYTES,
            fingerprint_bytes: DEFAULT_FINGERPRINT_BYTES,
            emissions: nonzero(64),
            pulls: nonzero(16),
            authors_per_domain: nonzero(1024),
            parked: nonzero(256),
            outputs: nonzero(4096),
            peer_rate: Rate { per_second: 50.0, burst: 500 },
            author_rate: Rate { per_second: 1.0, burst: 60 },
            rates: nonzero(1024),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field_it_refuses() {
        let refused = |change: fn(&mut RouterConfig)| {
            let mut config = RouterConfig::default();
            change(&mut config);
            config.validate().unwrap_err().field
        };
        for preset in [RouterConfig::default(), RouterConfig::small(), RouterConfig::radio()] {
            assert_eq!(preset.validate(), Ok(()));
        }
        assert_eq!(refused(|c| c.attempts = 0), "attempts");
        assert_eq!(refused(|c| c.retry_after = Duration::ZERO), "retry_after");
        assert_eq!(refused(|c| c.lookup_timeout = Duration::MAX), "lookup_timeout");
        assert_eq!(refused(|c| c.max_frame = 23), "max_frame");
        assert_eq!(refused(|c| (c.max_frame, c.parity) = (24, Parity::Parts(101))), "parity");
        assert_eq!(refused(|c| c.reassembly.frame_bytes = 555), "reassembly.frame_bytes");
        assert_eq!(refused(|c| c.reassembly.bytes = 0), "reassembly.bytes");
        assert_eq!(refused(|c| c.selection = Some(Selection::most_similar(1001))), "selection");
        assert_eq!(refused(|c| c.answer_packets = 33), "answer_packets");
        let sync = |change: fn(&mut SyncConfig)| {
            let mut sync = SyncConfig::default();
            change(&mut sync);
            sync.validate(8).unwrap_err().field
        };
        assert_eq!(sync(|s| s.every = Duration::from_millis(999)), "sync.every");
        assert_eq!(sync(|s| s.peers = 0), "sync.peers");
        assert_eq!(sync(|s| s.bytes = 4990), "sync.bytes");
        assert_eq!(sync(|s| s.packets = 0), "sync.packets");
        assert_eq!(refused(|c| c.sync.as_mut().unwrap().peers = 17), "sync.peers");
        assert_eq!(refused(|c| c.fingerprint_bytes = 8), "fingerprint_bytes");
        assert_eq!(refused(|c| c.fingerprint_bytes = 193), "fingerprint_bytes");
        assert_eq!(refused(|c| c.max_packet_bytes = 513), "max_packet_bytes");
        assert_eq!(refused(|c| c.max_packet_bytes = 222), "max_packet_bytes");
        let lora = RouterConfig { max_packet_bytes: 222, fingerprint_bytes: 16, ..RouterConfig::default() };
        assert_eq!(lora.validate(), Ok(()));
        assert_eq!(refused(|c| c.peer_rate.per_second = f64::NAN), "peer_rate");
        assert_eq!(refused(|c| c.author_rate.burst = 0), "author_rate");
    }
}
