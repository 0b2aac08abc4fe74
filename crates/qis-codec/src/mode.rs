//! How a vector is written.

/// How the bytes of a vector are to be read.
///
/// The mode is not part of the bytes; a container, such as the packet's flags, carries it in two bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Mode {
    /// Every coordinate is zero; there are no bytes.
    Empty,
    /// Little-endian `f32`, four bytes a coordinate.
    Raw,
    /// Dithered, quantised along a trellis and entropy coded: any number of bytes from
    /// [`MIN_TRELLIS_BYTES`](crate::MIN_TRELLIS_BYTES) up, with a loss.
    Trellis,
}

impl Mode {
    /// The two-bit code of this mode.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Empty => 0,
            Self::Raw => 1,
            Self::Trellis => 2,
        }
    }

    /// The mode of a two-bit code; `None` for codes this version does not know.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Empty),
            1 => Some(Self::Raw),
            2 => Some(Self::Trellis),
            _ => None,
        }
    }
}
