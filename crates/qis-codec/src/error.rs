//! Errors, split by blame: the caller's vector, or somebody's bytes.

use crate::Mode;

/// Why a vector was not encoded. The caller's fault; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The vector has no coordinate or more than [`MAX_DIMS`](crate::MAX_DIMS).
    #[error("a vector has 1 to 4096 coordinates, this one has {dims}")]
    Dims {
        /// How many coordinates it has.
        dims: usize,
    },
    /// A coordinate is NaN or infinite.
    #[error("coordinate {index} is not finite")]
    NotFinite {
        /// The first such coordinate.
        index: usize,
    },
    /// No mode writes this vector into so few bytes.
    #[error("the vector needs {needed} bytes, the budget is {budget}")]
    Budget {
        /// Bytes the smallest mode would take.
        needed: usize,
        /// Bytes there were.
        budget: usize,
    },
    /// The largest coordinate is above about `1e34` or below `1e-38`, and no step that has a form of its own fits so few bytes: scale the vector.
    #[error("no step fits a vector as large or small as coordinate {index}")]
    Magnitude {
        /// The largest coordinate.
        index: usize,
    },
    /// One coordinate is more than 524,288 times the root mean square of the others that are not zero, which would be lost beside it.
    #[error("coordinate {index} would swamp the others")]
    Outlier {
        /// The coordinate.
        index: usize,
    },
}

/// Why bytes are not a vector. The sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The stated number of coordinates is 0 or above [`MAX_DIMS`](crate::MAX_DIMS).
    #[error("a vector has 1 to 4096 coordinates, this one states {dims}")]
    Dims {
        /// The stated number.
        dims: usize,
    },
    /// The mode and the number of coordinates ask for another number of bytes.
    #[error("mode {mode:?} needs {expected} bytes here, there are {actual}")]
    Length {
        /// The stated mode.
        mode: Mode,
        /// Bytes the mode needs for the stated coordinates.
        expected: usize,
        /// Bytes there were.
        actual: usize,
    },
    /// A coordinate is NaN, infinite or a negative zero.
    #[error("coordinate {index} is not a canonical finite number")]
    NotCanonical {
        /// The first such coordinate.
        index: usize,
    },
    /// A zero vector was written in a mode other than [`Mode::Empty`].
    #[error("a zero vector must be written in the empty mode")]
    ZeroNotEmpty,
    /// The bytes are not those of a vector with these coordinates and this seed in the trellis mode.
    #[error("the bytes are no vector of this length in the trellis mode")]
    Malformed,
}

/// Why a vector was not added to a sum. The sum is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccumulateError {
    /// The sum has another number of coordinates. The caller's fault.
    #[error(transparent)]
    Dims(#[from] DimsMismatch),
    /// The bytes are not a vector. The sender's fault.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A weighted coordinate is too large for a fixed-point sum, or the weight is not finite.
    #[error("a weighted coordinate is too large for a fixed-point sum")]
    Range,
}

/// Two vectors that should be of one length are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} coordinates, found {actual}")]
pub struct DimsMismatch {
    /// Coordinates of the decoded vector.
    pub expected: usize,
    /// Coordinates of the other one.
    pub actual: usize,
}
