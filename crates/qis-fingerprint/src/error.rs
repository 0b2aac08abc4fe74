//! Errors.

use alloc::boxed::Box;
use core::error::Error;
use core::fmt;

use crate::SpaceId;

/// Why something is not a fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// No dimension, or more than [`MAX_DIMS`](crate::MAX_DIMS).
    #[error("a fingerprint has 1 to 4096 dimensions, this one has {dims}")]
    Dims {
        /// How many it has.
        dims: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("coordinate {index} is not finite")]
    NotFinite {
        /// The first such coordinate.
        index: usize,
    },
    /// All coordinates are zero: there is no direction to compare.
    #[error("a zero vector has no direction")]
    Zero,
    /// A code is -128, which the quantiser never writes.
    #[error("code {index} is -128; codes are -127 to 127")]
    Code {
        /// The first such code.
        index: usize,
    },
    /// No byte, or more bytes than dimensions.
    #[error("a fingerprint of {dims} dimensions travels in 1 to {dims} bytes, not in {len}")]
    Length {
        /// Its dimensions.
        dims: usize,
        /// Its bytes.
        len: usize,
    },
    /// Compact bytes that expand to no fingerprint of so many dimensions.
    #[error("the bytes expand to no fingerprint of {dims} dimensions")]
    Malformed {
        /// The stated dimensions.
        dims: usize,
    },
    /// It was to be compacted into fewer bytes than it takes.
    #[error("the fingerprint needs {needed} bytes and may have {max_bytes}")]
    Budget {
        /// The fewest bytes it takes.
        needed: usize,
        /// Bytes it may have.
        max_bytes: usize,
    },
}

/// Two fingerprints of different spaces or dimensions were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fingerprints of space {left} ({left_dims} dims) and {right} ({right_dims} dims) do not compare")]
pub struct SpaceMismatch {
    /// The space of the one.
    pub left: SpaceId,
    /// Its dimensions.
    pub left_dims: usize,
    /// The space of the other.
    pub right: SpaceId,
    /// Its dimensions.
    pub right_dims: usize,
}

/// What kind of failure an embedder met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EmbedErrorKind {
    /// The text can't be embedded: empty, too long, not of the language. The caller's fault.
    Text,
    /// The model gave something that is no fingerprint of its space.
    Model,
    /// The model can't be reached or is out of a resource. The environment's fault.
    Unavailable,
}

/// Why texts were not embedded: a kind, whether a retry can help, and the source.
#[derive(Debug)]
pub struct EmbedError {
    kind: EmbedErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

impl EmbedError {
    /// An error of `kind` because of `source`, which may be a plain string.
    pub fn new(kind: EmbedErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into() }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> EmbedErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        matches!(self.kind, EmbedErrorKind::Unavailable)
    }
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            EmbedErrorKind::Text => "the text cannot be embedded",
            EmbedErrorKind::Model => "the model gave no fingerprint of its space",
            EmbedErrorKind::Unavailable => "the model is unavailable",
        };
        write!(f, "{what}: {}", self.source)
    }
}

impl Error for EmbedError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

impl From<FingerprintError> for EmbedError {
    fn from(error: FingerprintError) -> Self {
        Self::new(EmbedErrorKind::Model, error)
    }
}
