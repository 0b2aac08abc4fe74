use alloc::boxed::Box;

use qis_packet::AuthorId;

use crate::evidence::Family;

/// A synthesis that could not be made. No state changes: a rule has none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SynthesisError {
    /// There is neither anything of the site's own nor any sample.
    #[error("there is nothing to synthesise")]
    Nothing,
    /// The caller's own data is not what the rule works on.
    #[error("the site's own data: {0}")]
    Own(Mismatch),
    /// A sample is not what the rule works on. Leave it out and try again.
    #[error("the sample of author {author}: {mismatch}")]
    Sample {
        /// Whose sample.
        author: AuthorId,
        /// What is wrong with it.
        mismatch: Mismatch,
    },
    /// No author puts any confidence in its sample, so there is no weighted mean.
    #[error("the confidences of all samples are zero")]
    ZeroConfidence,
    /// Fewer independent origins stand behind the samples than the rule was told to want, and the site has nothing of its own.
    #[error("{found} independent origins stand behind the samples, {needed} are wanted")]
    TooFewOrigins {
        /// How many there are.
        found: usize,
        /// How many are wanted.
        needed: usize,
    },
    /// The site's own data leads to a result that is not finite.
    #[error("the result is not finite")]
    NotFinite,
    /// A rule of the host's failed for its own reason.
    #[error("the rule failed")]
    Rule(#[source] Box<dyn core::error::Error + Send + Sync>),
}

/// Why own data or a sample does not fit a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mismatch {
    /// A vector where evidence is wanted, or the other way round.
    #[error("is of the kind {found:?}, the rule works on {expected:?}")]
    Kind {
        /// The kind the rule works on.
        expected: ContentKind,
        /// The kind there is.
        found: ContentKind,
    },
    /// Another dimension than the rest.
    #[error("has {found} dimensions, not {expected}")]
    Dims {
        /// The dimension of the rest.
        expected: usize,
        /// The dimension of this one.
        found: usize,
    },
    /// Evidence of another likelihood family than the rest.
    #[error("is of the {found:?} family, not {expected:?}")]
    Family {
        /// The family of the rest.
        expected: Family,
        /// The family of this one.
        found: Family,
    },
    /// An element is NaN or infinite.
    #[error("element {index} is not finite")]
    NotFinite {
        /// The element, from 0.
        index: usize,
    },
}

/// The two kinds of content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ContentKind {
    /// A plain vector.
    Delta,
    /// Evidence for a statistical model.
    Evidence,
}
