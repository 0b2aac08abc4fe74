//! What a packet says.

use alloc::vec::Vec;

use qis_codec::{Decoded, Mode};

/// The outcome in a packet, in its wire form.
///
/// Its length and mode are checked, its content is not: [`Payload::delta`] and the synthesis crate's evidence decoder do that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Payload {
    /// A change of `dims` coordinates that the author found to be of use.
    Delta {
        /// How the bytes are to be read.
        mode: Mode,
        /// Coordinates of the vector.
        dims: u16,
        /// The vector as the codec wrote it.
        bytes: Vec<u8>,
    },
    /// What the author's data say of a model of `dims` coefficients, in a form of the domain's schema.
    Evidence {
        /// Coefficients of the model.
        dims: u16,
        /// The evidence as the synthesis crate wrote it.
        bytes: Vec<u8>,
    },
    /// The author withdraws its standing packet of the domain.
    Retraction,
}

impl Payload {
    /// The bytes, whatever they mean.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Delta { bytes, .. } | Self::Evidence { bytes, .. } => bytes,
            Self::Retraction => &[],
        }
    }

    /// Coordinates of the delta or coefficients of the model; 0 for a retraction.
    #[must_use]
    pub const fn dims(&self) -> u16 {
        match self {
            Self::Delta { dims, .. } | Self::Evidence { dims, .. } => *dims,
            Self::Retraction => 0,
        }
    }

    /// Whether it took the size there was: a quantised delta, which more room would have made more exact.
    #[must_use]
    pub const fn is_fitted(&self) -> bool {
        matches!(self, Self::Delta { mode: Mode::Trellis, .. })
    }

    /// Decodes a delta; `None` for other payloads. The seed is the packet's
    /// [`dither_seed`](crate::OutcomePacket::dither_seed); [`OutcomePacket::delta`](crate::OutcomePacket::delta) does both.
    ///
    /// # Errors
    ///
    /// The codec's, when the bytes are not a vector in its canonical form.
    #[must_use]
    pub fn delta(&self, seed: u64) -> Option<Result<Decoded, qis_codec::DecodeError>> {
        match self {
            Self::Delta { mode, dims, bytes } => {
                Some(qis_codec::decode(*mode, usize::from(*dims), bytes, seed))
            }
            Self::Evidence { .. } | Self::Retraction => None,
        }
    }
}
