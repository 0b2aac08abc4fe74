//! What a host's implementation reports when it fails.

use std::error::Error;
use std::fmt;

/// What kind of failure a host's transport, directory or store met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HostErrorKind {
    /// The other side or the service can't be reached now. A retry may help.
    Unavailable,
    /// The time allowed was over. A retry may help.
    Timeout,
    /// The disk or another resource is full. A retry may help once there is room.
    Full,
    /// The request is one that will always be refused: an unknown address, a frame too large.
    Refused,
    /// What was stored is damaged, or a write can't be trusted any more. Nothing will help but an operator.
    Corrupt,
    /// The host's code panicked. It was contained; whether a retry helps is unknown, so none is made.
    Panicked,
}

/// A host's failure: a kind, whether a retry can help, and its source.
#[derive(Debug)]
pub struct HostError {
    kind: HostErrorKind,
    source: Box<dyn Error + Send + Sync>,
}

impl HostError {
    /// A failure of `kind` because of `source`, which may be a plain string.
    pub fn new(kind: HostErrorKind, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into() }
    }

    /// What kind of failure it is.
    #[must_use]
    pub const fn kind(&self) -> HostErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        match self.kind {
            HostErrorKind::Unavailable | HostErrorKind::Timeout | HostErrorKind::Full => true,
            HostErrorKind::Refused | HostErrorKind::Corrupt | HostErrorKind::Panicked => false,
        }
    }
}

impl fmt::Display for HostErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Timeout => "timed out",
            Self::Full => "full",
            Self::Refused => "refused",
            Self::Corrupt => "corrupt",
            Self::Panicked => "panicked",
        })
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.source)
    }
}

impl Error for HostError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
