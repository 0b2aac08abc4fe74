//! What a transport carries.

/// The first byte of a frame: what the rest of it is.
///
/// Kinds are never confused, whatever their bodies: a fragment can't pass for a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FrameKind {
    /// A packet and its routing envelope.
    Packet,
    /// What became of a packet.
    Acknowledgement,
    /// A part of a frame, for links smaller than it.
    Fragment,
    /// A request for the newest packets of a domain.
    Query,
    /// One packet in answer to a query.
    Answer,
    /// A message of the similarity overlay.
    Overlay,
    /// A message of the anti-entropy between neighbours.
    Sync,
    /// A statement that one key follows another.
    Rotation,
}

impl FrameKind {
    /// All kinds, in the order of their codes.
    pub const ALL: [Self; 8] = [
        Self::Packet,
        Self::Acknowledgement,
        Self::Fragment,
        Self::Query,
        Self::Answer,
        Self::Overlay,
        Self::Sync,
        Self::Rotation,
    ];

    /// The first byte of a frame of this kind.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Packet => 0,
            Self::Acknowledgement => 1,
            Self::Fragment => 2,
            Self::Query => 3,
            Self::Answer => 4,
            Self::Overlay => 5,
            Self::Sync => 6,
            Self::Rotation => 7,
        }
    }
}

/// A frame: its kind, and a body that only the layer of that kind understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the body is.
    pub kind: FrameKind,
    /// The rest of the frame.
    pub body: &'a [u8],
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No byte at all.
    #[error("the frame is empty")]
    Empty,
    /// More bytes than any frame has.
    #[error("{len} bytes are more than a frame may have")]
    TooLarge {
        /// How many there are.
        len: usize,
    },
    /// A first byte that is no kind.
    #[error("frames of kind {code} are not known here")]
    UnknownKind {
        /// The first byte.
        code: u8,
    },
}

impl<'a> Frame<'a> {
    /// The most bytes a frame may have, its first byte counted: room for messages of many descriptors, and little enough for a
    /// datagram. A frame with a packet has some 550.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Splits a frame into its kind and body.
    ///
    /// # Errors
    ///
    /// [`FrameError`] when it is empty, too large, or of no known kind.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FrameError> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(FrameError::TooLarge { len: bytes.len() });
        }
        let (&code, body) = bytes.split_first().ok_or(FrameError::Empty)?;
        let kind = FrameKind::ALL.into_iter().find(|kind| kind.code() == code);
        Ok(Self { kind: kind.ok_or(FrameError::UnknownKind { code })?, body })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_parses_to_itself() {
        for kind in FrameKind::ALL {
            assert_eq!(Frame::parse(&[kind.code(), 9]), Ok(Frame { kind, body: &[9] }));
        }
        assert_eq!(Frame::parse(&[]), Err(FrameError::Empty));
        assert_eq!(Frame::parse(&[8]), Err(FrameError::UnknownKind { code: 8 }));
        assert_eq!(Frame::parse(&[0; 16_385]), Err(FrameError::TooLarge { len: 16_385 }));
    }
}
