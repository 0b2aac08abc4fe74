//! The bounds of an overlay.

use std::time::Duration;

use qis_packet::Frame;

use crate::proto::{ConfigError, Rate};

use super::message::MAX_HINTS;

/// A descriptor of the largest, and some contacts; or a question with a packet.
const LEAST_FRAME: usize = 2048;
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The bounds and waits of an overlay.
///
/// Later versions add fields: write `OverlayConfig { near, ..OverlayConfig::default() }`.
#[derive(Clone, Debug, PartialEq)]
pub struct OverlayConfig {
    /// Contacts that are the most similar ones to this node: 4 to 64, 8 by default. They are kept with their proofs, to be passed on.
    pub near: u8,
    /// Contacts that lead elsewhere, after pruning: 8 to 200, 136 by default. One in twenty more are taken in before they are pruned again.
    pub diverse: u8,
    /// How many of them a node chooses and asks when it has looked for itself, 8 to 128, 92 by default; the others ask it. It is what most
    /// of the requests of a join are.
    pub links: u8,
    /// Contacts from anywhere, that hold the network together: 2 to 32, 8 by default.
    pub random: u8,
    /// How much nearer to a kept contact than to this node, in squared distance, another one must be to be left out by it: 1 to 4,
    /// 1.44 by default. More keeps more of the near ones.
    pub prune: f32,
    /// Bytes that the tables may take, 64 KiB by default and at least 16; fewer contacts are kept where they would take more. A node of several
    /// spaces divides them into equal parts.
    pub state_bytes: usize,
    /// How a node looks for itself, when it joins and later.
    pub own_lookup: LookupOptions,
    /// How many times a request is repeated that is not answered, 0 to 8, 2 by default; then the contact counts as dead.
    pub retries: u8,
    /// How long to wait for an answer, 1 s by default; each further wait is twice as long.
    pub answer_timeout: Duration,
    /// How often contacts are exchanged with one peer, a minute by default.
    pub gossip_every: Duration,
    /// How often a node looks for itself without another reason, an hour by default.
    pub lookup_every: Duration,
    /// The largest frame it makes, 2,048 to 16,384 bytes, the latter by default. Lists are cut to it: less of contacts is exchanged at a time. Lower it
    /// for a link that carries less, where larger frames travel in parts; the facade does so by itself.
    pub max_frame: usize,
    /// Look-ups and draws under way, 16 by default; a further one is refused.
    pub lookups: usize,
    /// Requests without an answer yet, 512 by default; further ones fail at once.
    pub requests: usize,
    /// Outputs that wait for the driver, 4,096 by default; answers to others are left out beyond half of it.
    pub outputs: usize,
    /// Requests of one address. Beyond, they are dropped and counted.
    pub peer_rate: Rate,
    /// Requests for the similar ones, of all addresses together. Beyond, they are answered as busy, with contacts.
    pub find_rate: Rate,
}

/// How a look-up is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookupOptions {
    /// How many of the most similar nodes are wanted, 1 to 200, 20 by default.
    pub k: u8,
    /// How many of the most similar ones known must have been asked before it is over, `k` to 250; 20 by default, 40 for what is important
    /// or in doubtful networks. Finds more, and costs as many requests. A search that keeps hearing of similar ones late asks up to `k` more.
    pub effort: u8,
    /// How many are asked at a time on the way there, 1 to 16, 3 by default.
    pub parallel: u8,
    /// How many contacts an answer may have, 1 to 40, 20 by default.
    pub limit: u8,
    /// Round trips at most, 60 by default.
    pub rounds: u8,
}

impl LookupOptions {
    /// For `k` nodes with the least effort that finds nearly all.
    #[must_use]
    pub fn nearest(k: u8) -> Self {
        Self { k, effort: k.max(20), ..Self::default() }
    }

    /// The same with more effort.
    #[must_use]
    pub fn with_effort(self, effort: u8) -> Self {
        Self { effort, ..self }
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError { field, problem });
        if !(1..=200).contains(&self.k) {
            refuse("k", "must be 1 to 200")
        } else if !(self.k..=250).contains(&self.effort) {
            refuse("effort", "must be k to 250")
        } else if !(1..=16).contains(&self.parallel) {
            refuse("parallel", "must be 1 to 16")
        } else if !(1..=MAX_HINTS).contains(&usize::from(self.limit)) {
            refuse("limit", "must be 1 to 40")
        } else if self.rounds == 0 {
            refuse("rounds", "must be at least 1")
        } else {
            Ok(())
        }
    }
}

impl Default for LookupOptions {
    fn default() -> Self {
        Self { k: 20, effort: 20, parallel: 3, limit: 20, rounds: 60 }
    }
}

impl OverlayConfig {
    /// Checks every field.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with the first field that is out of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError { field, problem });
        let waitable = |wait: Duration| !wait.is_zero() && wait <= LONGEST_WAIT;
        let positive = |rate: &Rate| rate.per_second > 0.0 && rate.per_second.is_finite() && rate.burst >= 1;
        self.own_lookup.validate()?;
        if !(4..=64).contains(&self.near) {
            refuse("near", "must be 4 to 64")
        } else if !(8..=200).contains(&self.diverse) {
            refuse("diverse", "must be 8 to 200")
        } else if !(8..=128).contains(&self.links) {
            refuse("links", "must be 8 to 128")
        } else if !(2..=32).contains(&self.random) {
            refuse("random", "must be 2 to 32")
        } else if !(1.0..=4.0).contains(&self.prune) {
            refuse("prune", "must be 1 to 4")
        } else if self.state_bytes < 16 * 1024 {
            refuse("state_bytes", "must be at least 16 KiB")
        } else if self.retries > 8 {
            refuse("retries", "must be 0 to 8")
        } else if !waitable(self.answer_timeout) {
            refuse("answer_timeout", "must be more than zero and at most a day")
        } else if !waitable(self.gossip_every) {
            refuse("gossip_every", "must be more than zero and at most a day")
        } else if !waitable(self.lookup_every) {
            refuse("lookup_every", "must be more than zero and at most a day")
        } else if !(LEAST_FRAME..=Frame::MAX_BYTES).contains(&self.max_frame) {
            refuse("max_frame", "must be 2,048 to 16,384")
        } else if self.lookups == 0 {
            refuse("lookups", "must be at least 1")
        } else if self.requests < 16 {
            refuse("requests", "must be at least 16")
        } else if self.outputs < 16 {
            refuse("outputs", "must be at least 16")
        } else if !positive(&self.peer_rate) {
            refuse("peer_rate", "must be more than zero, with a burst of at least one")
        } else if !positive(&self.find_rate) {
            refuse("find_rate", "must be more than zero, with a burst of at least one")
        } else {
            Ok(())
        }
    }
}

impl Default for OverlayConfig {
    fn default() -> Self {
        Self {
            near: 8,
            diverse: 136,
            links: 92,
            random: 8,
            prune: 1.44,
            state_bytes: 64 * 1024,
            own_lookup: LookupOptions { k: 32, effort: 32, parallel: 4, limit: 24, rounds: 60 },
            retries: 2,
            answer_timeout: Duration::from_secs(1),
            gossip_every: Duration::from_secs(60),
            lookup_every: Duration::from_secs(3600),
            max_frame: Frame::MAX_BYTES,
            lookups: 16,
            requests: 512,
            outputs: 4096,
            peer_rate: Rate { per_second: 50.0, burst: 200 },
            find_rate: Rate { per_second: 200.0, burst: 1000 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_field_it_refuses() {
        let refused = |change: fn(&mut OverlayConfig)| {
            let mut config = OverlayConfig::default();
            change(&mut config);
            config.validate().unwrap_err().field
        };
        assert_eq!(OverlayConfig::default().validate(), Ok(()));
        assert_eq!(refused(|c| c.near = 0), "near");
        assert_eq!(refused(|c| c.diverse = 201), "diverse");
        assert_eq!(refused(|c| c.prune = f32::NAN), "prune");
        assert_eq!(refused(|c| c.own_lookup.effort = 3), "effort");
        assert_eq!(refused(|c| c.own_lookup.limit = 41), "limit");
        assert_eq!(refused(|c| c.max_frame = 2047), "max_frame");
        assert_eq!(refused(|c| c.answer_timeout = Duration::ZERO), "answer_timeout");
        assert_eq!(refused(|c| c.find_rate.burst = 0), "find_rate");
    }
}
