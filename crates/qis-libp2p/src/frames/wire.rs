//! What goes through a stream of frames: an address, then frames, each after its length.
//!
//! Integers are big-endian. The address that the sender states is after its length in one byte, a frame after its length in two.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use qis_packet::Frame;
use qis_route::Address;

const FIRST_BUFFER: usize = 2 * 1024;
/// The largest frame and its length, and as much of what follows.
const LARGEST_BUFFER: usize = 2 * (Frame::MAX_BYTES + 2);

/// Bytes that are not what a stream of frames has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a frame of {len} bytes, where 1 to 16384 are allowed")]
    Length { len: usize },
    #[error("an address that is empty or no text")]
    Address,
}

/// How many bytes a frame takes in a stream.
pub(crate) const fn frame_len(frame: &[u8]) -> usize {
    2 + frame.len()
}

/// Appends a frame of 1 to [`Frame::MAX_BYTES`] bytes.
pub(crate) fn write_frame(buffer: &mut Vec<u8>, frame: &[u8]) {
    debug_assert!((1..=Frame::MAX_BYTES).contains(&frame.len()));
    let len = u16::try_from(frame.len()).unwrap_or(u16::MAX);
    buffer.extend_from_slice(&len.to_be_bytes());
    buffer.extend_from_slice(frame);
}

/// What a stream begins with.
pub(crate) fn hello(address: &Address) -> Vec<u8> {
    let text = address.as_str().as_bytes();
    let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
    [&[len], text].concat()
}

/// Puts frames together from what arrives in pieces, in a buffer of at most 32 KiB.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Decoder {
    /// Room for more bytes; never empty after all whole frames were taken out.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                let len = (2 * self.buffer.len()).clamp(FIRST_BUFFER, LARGEST_BUFFER);
                self.buffer.resize(len, 0);
            }
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the room.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.end = (self.end + bytes).min(self.buffer.len());
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The address at the beginning, once it is there.
    pub(crate) fn hello(&mut self) -> Result<Option<&str>, Malformed> {
        let Some(len) = self.unread().first().copied().map(usize::from) else { return Ok(None) };
        if len == 0 {
            return Err(Malformed::Address);
        }
        if self.unread().len() < 1 + len {
            return Ok(None);
        }
        let from = self.start + 1;
        self.start = from + len;
        let text = self.buffer.get(from..self.start).unwrap_or_default();
        std::str::from_utf8(text).map(Some).map_err(|_| Malformed::Address)
    }

    /// The next frame, once all of it is there.
    pub(crate) fn frame(&mut self) -> Result<Option<&[u8]>, Malformed> {
        let Some(len) = self.unread().first_chunk().copied().map(u16::from_be_bytes) else { return Ok(None) };
        let len = usize::from(len);
        if len == 0 || len > Frame::MAX_BYTES {
            return Err(Malformed::Length { len });
        }
        if self.unread().len() < 2 + len {
            return Ok(None);
        }
        let from = self.start + 2;
        self.start = from + len;
        Ok(Some(self.buffer.get(from..self.start).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts bytes in as they would arrive, in pieces of at most `piece`.
    fn decode(bytes: &[u8], piece: usize) -> Result<(String, Vec<Vec<u8>>), Malformed> {
        let mut decoder = Decoder::default();
        let (mut address, mut frames) = (None, Vec::new());
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = decoder.room();
            let len = room.len().min(piece).min(rest.len());
            assert!(len > 0, "no room");
            room[..len].copy_from_slice(&rest[..len]);
            decoder.advance(len);
            rest = &rest[len..];
            if address.is_none() {
                address = decoder.hello()?.map(str::to_owned);
            }
            if address.is_some() {
                while let Some(frame) = decoder.frame()? {
                    frames.push(frame.to_vec());
                }
            }
        }
        assert!(decoder.buffer.len() <= LARGEST_BUFFER);
        Ok((address.unwrap_or_default(), frames))
    }

    #[test]
    fn frames_arrive_whole_however_they_are_cut() {
        let address: Address = "a:1".parse().unwrap();
        let frames =
            [vec![1], vec![2; 512], vec![3; Frame::MAX_BYTES], vec![4; 2048], vec![5; Frame::MAX_BYTES]];
        let mut bytes = hello(&address);
        for frame in &frames {
            write_frame(&mut bytes, frame);
        }
        for piece in [1, 2, 3, 511, 2048, 20_000, 100_000] {
            assert_eq!(decode(&bytes, piece), Ok(("a:1".to_owned(), frames.to_vec())), "{piece}");
        }
    }

    #[test]
    fn lengths_that_no_frame_has_are_refused_before_their_bytes_arrive() {
        let of = |len: u16| [b"\x01a".to_vec(), len.to_be_bytes().to_vec()].concat();
        assert_eq!(decode(&of(0), 9), Err(Malformed::Length { len: 0 }));
        assert_eq!(decode(&of(16_385), 9), Err(Malformed::Length { len: 16_385 }));
        assert_eq!(decode(&of(u16::MAX), 1), Err(Malformed::Length { len: 65_535 }));
        assert_eq!(decode(&of(16_384), 9), Ok(("a".to_owned(), Vec::new())));
    }

    #[test]
    fn an_address_is_a_text_that_is_not_empty() {
        assert_eq!(decode(b"\0", 1), Err(Malformed::Address));
        assert_eq!(decode(b"\x02\xff\xff", 1), Err(Malformed::Address));
        assert_eq!(decode(b"\x05ab", 1), Ok((String::new(), Vec::new())));
    }
}
