//! Errors of the facade, one for each thing a host asks for.

use qis_fingerprint::{EmbedError, FingerprintError};
use qis_packet::DomainTag;
use qis_route::HostError;
use qis_route::proto::{ConfigError, PullError, RestoreError};
use qis_synth::SynthesisError;

/// Why a node was not built. Nothing was started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A part without which there is no node.
    #[error("the builder needs a {part}")]
    Missing {
        /// The builder's method.
        part: &'static str,
    },
    /// A directory and an overlay, which are two ways to find the same nodes: give one of them.
    #[error("the builder takes a directory or an overlay, not both")]
    DirectoryAndOverlay,
    /// A setting out of its range.
    #[error("the configuration is refused")]
    Config(#[from] ConfigError),
    /// Two domains with one tag.
    #[error("the domain {domain} is there twice")]
    DuplicateDomain {
        /// The tag.
        domain: DomainTag,
    },
    /// A domain that does not fit the configuration: its evidence is larger than the node's packets may be.
    #[error("the domain {domain} is refused")]
    Domain {
        /// The tag.
        domain: DomainTag,
        /// Why.
        #[source]
        source: crate::DomainError,
    },
    /// The transport carries too little for parts of frames.
    #[error("the transport carries frames of {max_frame} bytes; parts of a packet's need {needed}")]
    FrameTooSmall {
        /// What it carries.
        max_frame: usize,
        /// What a part needs: its header, and enough besides.
        needed: usize,
    },
    /// The operating system gave no entropy for the nonces; give a seed.
    #[error("the operating system gave no entropy")]
    Entropy,
    /// The clock is too far in the future for the site's secret.
    #[error("the clock is implausibly far in the future")]
    Clock(#[from] qis_packet::ProvenanceError),
    /// The store can't be read.
    #[error("the store cannot be read")]
    Store(#[source] HostError),
    /// The site's secret in the store is damaged. A new one would not open the packets there are; remove the row, or restore a backup.
    #[error("the site's secret in the store is damaged")]
    Secret,
    /// The store's own place in the order is damaged. Other damaged rows are left out and counted in
    /// [`Stats::rows_damaged`](crate::Stats::rows_damaged).
    #[error("the store's record of this node's own numbers is damaged")]
    Restore(#[from] RestoreError),
    /// The situation of a domain can't be embedded.
    #[error("the situation of the domain {domain} cannot be embedded")]
    Embed {
        /// The tag.
        domain: DomainTag,
        /// Why.
        #[source]
        source: EmbedError,
    },
    /// The situation of a domain has more dimensions than an overlay takes, so that nobody would find the node by it.
    #[error("the situation of the domain {domain} does not fit the overlay")]
    Overlay {
        /// The tag.
        domain: DomainTag,
        /// Why.
        #[source]
        source: qis_route::overlay::StatementError,
    },
    /// [`NodeBuilder::start`](crate::NodeBuilder::start) was called outside a runtime.
    #[error("start was called outside a tokio runtime; build the node and drive its run() yourself")]
    NoRuntime,
}

/// Why an outcome was not emitted. Nothing was sent, and what stood before still stands.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitError {
    /// The router, the packet or the store refuses it.
    #[error(transparent)]
    Route(#[from] qis_route::proto::EmitError),
    /// No domain of the node has this tag, or the prefix of several.
    #[error("{domain:?} is none of this node's domains, or the start of several")]
    UnknownDomain {
        /// What was asked for.
        domain: String,
    },
    /// A confidence outside 0..=1.
    #[error("a confidence is in 0..=1, this one is {value}")]
    Confidence {
        /// The value.
        value: f64,
    },
    /// The situation can't be embedded.
    #[error("the situation cannot be embedded")]
    Embed(#[from] EmbedError),
    /// There is no direction to route by: the evidence says nothing about any feature, say.
    #[error("the outcome gives no fingerprint")]
    Fingerprint(#[from] FingerprintError),
    /// Evidence of so few records that it would give them away. [`Node::observe`](crate::Node::observe) keeps it for this
    /// site's own synthesis.
    #[error("evidence of {records} records is not published; the domain asks for {minimum}")]
    TooFewRecords {
        /// Records behind the evidence.
        records: usize,
        /// The domain's minimum.
        minimum: usize,
    },
    /// Evidence of so few records more than were published before that the difference would give them away. It can be published again once
    /// there are `published + minimum` records; [`Node::observe`](crate::Node::observe) keeps it for this site's own synthesis until then.
    #[error(
        "evidence of {records} records is not published after {published}; the domain asks for {minimum} new ones"
    )]
    TooFewNewRecords {
        /// Records behind the evidence.
        records: usize,
        /// Records behind what was published last.
        published: usize,
        /// How many more the domain asks for.
        minimum: usize,
    },
    /// The evidence can't be encoded.
    #[error("the evidence cannot be encoded")]
    Encoding(#[from] qis_synth::evidence::EncodingError),
    /// Nobody drives the node: call [`Node::run`](crate::Node::run), or build it with
    /// [`NodeBuilder::start`](crate::NodeBuilder::start).
    #[error("the node is not running; spawn node.run(), or build it with start()")]
    NotRunning,
    /// The node was shut down. A stored emission goes on when a node is built on the same store.
    #[error("the node was shut down")]
    Stopped,
}

/// Why secrets were not erased, or may still be in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EraseError {
    /// The time is implausibly late. Nothing was erased.
    #[error(transparent)]
    Time(#[from] qis_packet::ProvenanceError),
    /// The store can't be written any more. The secrets are erased in memory only.
    #[error("the store can no longer be written; build the node again and erase once more")]
    StorePoisoned,
    /// Nobody drives the node. The secrets are erased in memory; in the store they are once it runs.
    #[error("the node is not running; spawn node.run(), or build it with start()")]
    NotRunning,
    /// The node was shut down before the store had it.
    #[error("the node was shut down")]
    Stopped,
}

/// Why a packet's provenance was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The secret is not there.
    #[error(transparent)]
    Secret(#[from] qis_packet::ProvenanceError),
    /// The packet was not made by this node from this source.
    #[error(transparent)]
    Opening(#[from] qis_packet::OpeningError),
}

/// Why there is no synthesis. The state of the domain is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthesizeError {
    /// No domain of the node has this tag, or the prefix of several.
    #[error("{domain:?} is none of this node's domains, or the start of several")]
    UnknownDomain {
        /// What was asked for.
        domain: String,
    },
    /// The rule refuses.
    #[error(transparent)]
    Synthesis(#[from] SynthesisError),
    /// The pull was not begun.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// There is nothing to look for similar nodes by: the node has emitted or observed nothing in the domain, and no text
    /// describes it.
    #[error("nothing says what this node's situation in the domain is; emit or observe an outcome first")]
    NoSituation,
    /// Nobody drives the node, and a pull needs that.
    #[error("the node is not running; spawn node.run(), or build it with start()")]
    NotRunning,
    /// The node was shut down.
    #[error("the node was shut down")]
    Stopped,
}

/// Why a node did not catch up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatchUpError {
    /// No domain of the node has this tag, or the prefix of several.
    #[error("{domain:?} is none of this node's domains, or the start of several")]
    UnknownDomain {
        /// What was asked for.
        domain: String,
    },
    /// A round was not begun.
    #[error(transparent)]
    Pull(#[from] PullError),
    /// Nobody drives the node.
    #[error("the node is not running; spawn node.run(), or build it with start()")]
    NotRunning,
    /// The node was shut down.
    #[error("the node was shut down")]
    Stopped,
}

impl From<CatchUpError> for SynthesizeError {
    fn from(error: CatchUpError) -> Self {
        match error {
            CatchUpError::UnknownDomain { domain } => Self::UnknownDomain { domain },
            CatchUpError::Pull(error) => Self::Pull(error),
            CatchUpError::NotRunning => Self::NotRunning,
            CatchUpError::Stopped => Self::Stopped,
        }
    }
}
