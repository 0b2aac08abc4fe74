//! Parts of a frame, for links smaller than it.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::{FragmentError, Frame, FrameKind, ReassemblyError};

/// Bytes a fragment has besides its part: the kind of the frame, and three of header.
pub const FRAGMENT_OVERHEAD: usize = 4;

/// The smallest frame a link must carry for frames to be cut for it.
pub const MIN_LINK_FRAME: usize = 24;

/// Indices of 7 bits.
const MAX_PARTS: usize = 128;

/// How many parity parts a frame that is cut gets: any k parts are enough to put it together, k being the number of data parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parity {
    /// One for up to 5 data parts, 3 for up to 11, 4 for up to 16, and so on: from 6 on the frame arrives with a probability of at least
    /// .95 when a tenth of all parts are lost, each independently, up to 109 data parts, beyond which as many are added as there are
    /// indices for. With one, 2 to 5 data parts arrive with .972, .948, .919 and .886.
    #[default]
    Auto,
    /// None: every part has to arrive.
    None,
    /// So many, for links that lose more or less than a tenth.
    Parts(u8),
}

/// The most data parts for which 3, 4, 5.. parities give a probability of .95 at a loss of a tenth; a test computes them.
const UP_TO: [usize; 16] = [11, 16, 22, 28, 34, 40, 47, 53, 60, 67, 73, 80, 87, 94, 102, 109];

/// Into what a frame is cut, without cutting it.
///
/// A frame that the link carries as it is stays whole: one part, no parity, no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FragmentPlan {
    data: u8,
    parity: u8,
    frame_len: usize,
}

impl FragmentPlan {
    /// How a frame of `len` bytes travels over a link that carries frames of `max_frame` bytes.
    ///
    /// # Errors
    ///
    /// [`FragmentError`] when the frame is empty or too large, the link too small, or more parts were needed than there are indices.
    pub fn new(len: usize, max_frame: usize, parity: Parity) -> Result<Self, FragmentError> {
        if len == 0 || len > Frame::MAX_BYTES {
            return Err(FragmentError::Length { len });
        }
        if max_frame < MIN_LINK_FRAME {
            return Err(FragmentError::LinkTooSmall { max_frame });
        }
        if len <= max_frame {
            return Ok(Self { data: 1, parity: 0, frame_len: len });
        }
        // At least one byte of padding says where the frame ends.
        let data = (len + 1).div_ceil(max_frame - FRAGMENT_OVERHEAD);
        let parity = match parity {
            Parity::Auto => default_parity(data).min(MAX_PARTS.saturating_sub(data)),
            Parity::None => 0,
            Parity::Parts(parts) => usize::from(parts),
        };
        let error = FragmentError::TooManyParts { needed: data + parity };
        if data + parity > MAX_PARTS {
            return Err(error);
        }
        let frame_len = (len + 1).div_ceil(data) + FRAGMENT_OVERHEAD;
        // The count has 7 bits as well, so 128 data parts are one too many.
        let (Ok(data @ ..=127), Ok(parity)) = (u8::try_from(data), u8::try_from(parity)) else {
            return Err(error);
        };
        Ok(Self { data, parity, frame_len })
    }

    /// Data parts: so many parts put the frame together. 1 for a frame that stays whole.
    #[must_use]
    pub const fn data(&self) -> u8 {
        self.data
    }

    /// Parity parts: so many may be lost.
    #[must_use]
    pub const fn parity(&self) -> u8 {
        self.parity
    }

    /// Frames on the link, data and parity: 1 to 128.
    #[must_use]
    pub const fn frames(&self) -> u8 {
        self.data + self.parity
    }

    /// Bytes of each frame on the link, its kind and header counted.
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        self.frame_len
    }
}

fn default_parity(data: usize) -> usize {
    match data {
        ..=5 => 1,
        _ => 3 + UP_TO.iter().take_while(|&&last| last < data).count(),
    }
}

/// Cuts a frame into frames of at most `max_frame` bytes, data parts first; one that is no larger comes back whole, without a header.
///
/// Any k parts, k being the number of data parts, put it together again: that is what [`Reassembler::accept_frame`] does. The first byte
/// of a frame is its [kind](FrameKind), by which a receiver tells parts from whole frames. Bytes of your own may begin with anything but
/// the kind of a fragment, 2, such as with a byte of 0 put before them.
///
/// ```
/// use core::time::Duration;
/// use qis_packet::{FragmentError, FrameKind, Parity, Reassembler, ReassemblyConfig, fragment};
///
/// let frame = [7; 200];
/// let mut parts = fragment(&frame, 51, Parity::Auto)?; // 5 of data and one of parity
/// assert!(parts.iter().all(|part| part[0] == FrameKind::Fragment.code()));
/// parts.remove(2); // is lost
///
/// // What the link carries stays as it is.
/// assert_eq!(fragment(&frame[..40], 51, Parity::Auto)?, [&frame[..40]]);
/// // The first byte says that this is a part already.
/// assert_eq!(fragment(&[2; 40], 51, Parity::Auto), Err(FragmentError::Nested));
///
/// // What `accept_frame` does: only the body of a fragment is for `accept`.
/// let mut reassembler = Reassembler::new(ReassemblyConfig::default());
/// let mut whole = None;
/// for part in parts {
///     let frame = if part[0] == FrameKind::Fragment.code() {
///         reassembler.accept(Duration::ZERO, &"sender", &part[1..])?
///     } else {
///         Some(part)
///     };
///     whole = whole.or(frame);
/// }
/// assert_eq!(whole.as_deref(), Some(&frame[..]));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// [`Reassembler::accept_frame`]: crate::Reassembler::accept_frame
///
/// # Errors
///
/// Those of [`FragmentPlan::new`], and [`FragmentError::Nested`] when the frame is a fragment already, which its first byte says.
pub fn fragment(frame: &[u8], max_frame: usize, parity: Parity) -> Result<Vec<Vec<u8>>, FragmentError> {
    let plan = FragmentPlan::new(frame.len(), max_frame, parity)?;
    if frame.first() == Some(&FrameKind::Fragment.code()) {
        return Err(FragmentError::Nested);
    }
    if plan.data == 1 {
        return Ok([frame.to_vec()].into());
    }
    let part_len = plan.frame_len - FRAGMENT_OVERHEAD;
    let mut padded = frame.to_vec();
    padded.push(PADDING);
    padded.resize(part_len * usize::from(plan.data), 0);
    let parts = || padded.chunks_exact(part_len);
    let header = |index| Header { hash: hash(frame), index, count: plan.data };
    let data = (0..plan.data).zip(parts()).map(|(index, part)| header(index).before(part));
    let parities = (plan.data..plan.frames())
        .map(|index| header(index).before(&crate::parity::parity(plan.data, parts(), index)));
    Ok(data.chain(parities).collect())
}

/// The first byte of the padding of ISO/IEC 7816-4; zeros follow.
pub(crate) const PADDING: u8 = 0x80;

/// The first 10 bits of SHA-256.
pub(crate) fn hash(frame: &[u8]) -> u16 {
    let hash: [u8; 32] = Sha256::digest(frame).into();
    hash.first_chunk().map_or(0, |&first| u16::from_be_bytes(first) >> 6)
}

#[derive(Clone, Copy)]
struct Header {
    hash: u16,
    index: u8,
    count: u8,
}

impl Header {
    fn before(self, part: &[u8]) -> Vec<u8> {
        let bits = u32::from(self.hash) << 14 | u32::from(self.index) << 7 | u32::from(self.count);
        let [_, header @ ..] = bits.to_be_bytes();
        let mut frame = Vec::with_capacity(FRAGMENT_OVERHEAD + part.len());
        frame.push(FrameKind::Fragment.code());
        frame.extend(header);
        frame.extend(part);
        frame
    }
}

/// The body of a frame of the kind fragment, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment<'a> {
    hash: u16,
    index: u8,
    count: u8,
    part: &'a [u8],
}

impl<'a> Fragment<'a> {
    /// Reads the body of a fragment, which nobody vouches for.
    ///
    /// # Errors
    ///
    /// [`ReassemblyError::Malformed`] when there is no whole header, no part, or fewer than two data parts;
    /// [`ReassemblyError::TooLarge`] when the whole would be larger than a frame may be.
    pub fn parse(body: &'a [u8]) -> Result<Self, ReassemblyError> {
        let Some((&[a, b, c], part)) = body.split_first_chunk::<3>() else {
            return Err(ReassemblyError::Malformed);
        };
        let bits = u32::from_be_bytes([0, a, b, c]);
        let seven = |shift: u32| (bits >> shift) as u8 & 0x7f;
        let (index, count) = (seven(7), seven(0));
        if part.is_empty() || count < 2 {
            return Err(ReassemblyError::Malformed);
        }
        // Each part ends at most one byte before the whole frame is cut evenly, see `assemble`.
        if usize::from(count) * (part.len() - 1) > Frame::MAX_BYTES {
            return Err(ReassemblyError::TooLarge);
        }
        Ok(Self { hash: (bits >> 14) as u16, index, count, part })
    }

    /// The 10 bits of the hash of the whole frame.
    #[must_use]
    pub const fn hash(&self) -> u16 {
        self.hash
    }

    /// Which part it is; from [`count`](Self::count) on, a parity.
    #[must_use]
    pub const fn index(&self) -> u8 {
        self.index
    }

    /// How many parts put the frame together, 2 to 127.
    #[must_use]
    pub const fn count(&self) -> u8 {
        self.count
    }

    /// The part.
    #[must_use]
    pub const fn part(&self) -> &'a [u8] {
        self.part
    }
}

/// Takes the padding off the parts of a frame and checks that it is the frame they say they are of.
pub(crate) fn assemble(hash: u16, parts: &[Vec<u8>]) -> Result<Vec<u8>, ReassemblyError> {
    let mut frame = parts.concat();
    let padded = frame.len();
    let end = frame.iter().rposition(|&byte| byte != 0).unwrap_or(0);
    // Equal parts of the least length need no more padding than a byte for each: there is one way to cut a frame.
    if frame.get(end) != Some(&PADDING) || end == 0 || padded - end > parts.len() {
        return Err(ReassemblyError::Padding);
    }
    frame.truncate(end);
    if self::hash(&frame) != hash {
        return Err(ReassemblyError::Hash);
    }
    if frame.first() == Some(&FrameKind::Fragment.code()) {
        return Err(ReassemblyError::Nested);
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(len: usize, max_frame: usize) -> (u8, u8, usize) {
        let plan = FragmentPlan::new(len, max_frame, Parity::Auto).unwrap();
        (plan.data(), plan.parity(), plan.frame_len())
    }

    #[test]
    fn plans_for_common_links() {
        // A packet of 512 bytes in its message, and the largest answer.
        assert_eq!((plan(522, 51), plan(556, 51)), ((12, 4, 48), (12, 4, 51)));
        assert_eq!((plan(522, 222), plan(522, 115), plan(522, 340)), ((3, 1, 179), (5, 1, 109), (2, 1, 266)));
        assert_eq!((plan(51, 51), plan(52, 51), plan(16_384, 600)), ((1, 0, 51), (2, 1, 31), (28, 6, 590)));
    }

    #[test]
    fn refuses_what_has_too_many_parts() {
        let new = FragmentPlan::new;
        assert_eq!(new(522, 23, Parity::Auto), Err(FragmentError::LinkTooSmall { max_frame: 23 }));
        assert_eq!(new(0, 51, Parity::Auto), Err(FragmentError::Length { len: 0 }));
        assert_eq!(new(16_385, 51, Parity::Auto), Err(FragmentError::Length { len: 16_385 }));
        let many = |len, parity| new(len, 24, parity).map(|plan| (plan.data(), plan.parity()));
        assert_eq!(many(127 * 20 - 1, Parity::Auto), Ok((127, 1)));
        assert_eq!(many(127 * 20, Parity::Auto), Err(FragmentError::TooManyParts { needed: 128 }));
        assert_eq!(many(2000, Parity::Parts(27)), Ok((101, 27)));
        assert_eq!(many(2000, Parity::Parts(28)), Err(FragmentError::TooManyParts { needed: 129 }));
        assert_eq!(fragment(&[2; 9], 51, Parity::Auto), Err(FragmentError::Nested));
    }

    #[test]
    fn the_default_parity_delivers_at_a_loss_of_a_tenth() {
        let delivered = |data: usize, parity: usize| -> f64 {
            let parts = data + parity;
            let mut term = 0.9_f64.powi(i32::try_from(parts).unwrap());
            (0..=parity)
                .map(|lost| {
                    let this = term;
                    term *= (parts - lost) as f64 / (lost + 1) as f64 / 9.0;
                    this
                })
                .sum()
        };
        assert!((delivered(12, 4) - 0.982_996).abs() < 1e-6);
        for data in 6..=109 {
            let parity = default_parity(data);
            assert!(delivered(data, parity) >= 0.95, "{data}");
            assert!(parity == 3 || delivered(data, parity - 1) < 0.95, "{data} wants fewer than {parity}");
            assert!(data + parity <= MAX_PARTS);
        }
        let few = [2, 3, 4, 5].map(|data| (delivered(data, default_parity(data)) * 1000.0).round());
        assert_eq!(few, [972.0, 948.0, 919.0, 886.0]);
    }
}
