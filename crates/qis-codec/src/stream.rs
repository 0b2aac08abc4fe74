//! The bytes of a vector in the trellis mode.
//!
//! ```text
//! 2 bytes   u16 LE: scale (7 bits) | shape << 7 (2 bits) | zeros << 9 (7 bits)
//! 3 or 4    the state of the entropy coder, LE; 3 when the number of bytes after the header is odd
//! rest      its words, u16 LE
//! ```
//!
//! Coordinate by coordinate, the coder holds: with `zeros` not 0, whether the coordinate is exactly zero, which takes `zeros` in
//! 128 of the slots; then, if it is not, the symbol of its level, for an escape the rest of it (Elias gamma and a sign), and
//! its low bits. What is left at the end is the step, a bfloat16, so that the step costs no bytes of its own.

use alloc::vec::Vec;

use crate::dither;
use crate::model::{self, Conditional, FIRST_SINGLE, SHAPES, Scale, Single, Slots};
use crate::rans::{Decoder, Encoder, SLOTS};
use crate::trellis::{Path, unpack_level};

/// Levels are not larger than this, so that the decoded integers fit an `i32`.
pub(crate) const MAX_LEVEL: u32 = 1 << 20;

/// Slots of an exact zero, for each unit of the header's `zeros`.
const ZERO_SLOTS: u32 = SLOTS / 128;

/// Which distributions the coordinates are coded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) scale: u32,
    pub(crate) shape: usize,
    /// The probability of an exact zero in units of 1/128; with 0 nothing is said of zeros.
    pub(crate) zeros: u32,
}

impl Header {
    fn to_bytes(self) -> [u8; 2] {
        let packed = self.scale | u32::try_from(self.shape).unwrap_or_default() << 7 | self.zeros << 9;
        let [low, high, ..] = packed.to_le_bytes();
        [low, high]
    }

    fn from_bytes(bytes: [u8; 2]) -> Option<Self> {
        let packed = u32::from(u16::from_le_bytes(bytes));
        let shape = usize::try_from(packed >> 7 & 3).ok()?;
        (shape < SHAPES).then_some(Self { scale: packed & 127, shape, zeros: packed >> 9 })
    }

    /// Slots of an exact zero and of another number.
    pub(crate) const fn zero_slots(self) -> [u32; 2] {
        [self.zeros * ZERO_SLOTS, SLOTS - self.zeros * ZERO_SLOTS]
    }
}

/// What a level beside its table costs.
#[inline]
pub(crate) const fn escape_bits(beyond: u32) -> u32 {
    2 * beyond.ilog2() + 2
}

/// Splits a level into its symbol and its low bits.
#[inline]
pub(crate) const fn split_level(level: i32, low_bits: u32) -> (i32, u32) {
    let shifted = level + ((1 << low_bits) >> 1);
    (shifted >> low_bits, shifted.cast_unsigned() & ((1 << low_bits) - 1))
}

/// Writes the packed levels of the coordinates, with none for those that `is_zero` says are exactly zero.
pub(crate) fn write(header: Header, scale: Scale, step: u16, is_zero: &[bool], levels: &[i32]) -> Vec<u8> {
    let mut coder = Encoder::new(step);
    let [zero, other] = header.zero_slots();
    let half_width = scale.half_width();
    let mut levels = levels.iter().rev();
    for &is_zero in is_zero.iter().rev() {
        if is_zero {
            coder.put(0, zero);
            continue;
        }
        let (level, bin) = unpack_level(levels.next().copied().unwrap_or_default());
        let (symbol, low) = split_level(level, scale.low_bits);
        coder.put_bits(low, scale.low_bits);
        let inside = symbol.abs() <= half_width;
        if !inside {
            let beyond = symbol.unsigned_abs() - half_width.cast_unsigned();
            let width = beyond.ilog2();
            coder.put_bits(u32::from(symbol < 0), 1);
            // In two parts, since a width may be above 16.
            coder.put_bits(beyond >> (width / 2), width - width / 2);
            coder.put_bits(beyond, width / 2);
            coder.put_bits(1, 1);
            for _ in 0..width {
                coder.put_bits(0, 1);
            }
        }
        let Slots { start, frequency } =
            model::slots(header.shape, scale.table, inside.then_some(symbol), bin);
        coder.put(start, frequency);
        if header.zeros != 0 {
            coder.put(zero, other);
        }
    }
    let mut out = Vec::from(header.to_bytes());
    coder.finish(&mut out);
    out
}

/// Reads as many coordinates as `out` has and returns the step.
///
/// `out` holds the dither before and, if the bytes are those of a vector, the integers after: a coordinate is its integer times
/// the step times `2^-dither::BITS`.
pub(crate) fn read(bytes: &[u8], out: &mut [i32]) -> Option<u16> {
    let (&header, rest) = bytes.split_first_chunk::<2>()?;
    let header = Header::from_bytes(header)?;
    let scale = Scale::new(header.scale)?;
    let mut coder = Decoder::new(rest)?;
    let half_width = scale.half_width();
    let (shape, low_bits) = (header.shape, scale.low_bits);
    if scale.table < FIRST_SINGLE {
        let table = Conditional::new(shape, scale.table)?;
        coordinates(&mut coder, header, out, |coder, bin| {
            let slot = coder.slot();
            let (symbol, slots) = table.find(slot, bin);
            coder.advance(slots.frequency, slot.wrapping_sub(slots.start));
            symbol.map_or_else(|| escape(coder, half_width, 0), Some)
        })?;
    } else {
        let table = Single::new(shape, scale.table)?;
        if low_bits == 0 {
            coordinates(&mut coder, header, out, |coder, _| {
                let (symbol, frequency, offset) = table.find(coder.slot());
                coder.advance(frequency, offset);
                symbol.map_or_else(|| escape(coder, half_width, 0), Some)
            })?;
        } else {
            coordinates(&mut coder, header, out, |coder, _| {
                let (symbol, frequency, offset) = table.find(coder.slot());
                coder.advance(frequency, offset);
                let symbol = symbol.map_or_else(|| escape(coder, half_width, low_bits), Some)?;
                Some((symbol << low_bits | coder.bits(low_bits).cast_signed()) - (1 << low_bits >> 1))
            })?;
        }
    }
    let step = coder.finish()?;
    (step != 0 && step < INFINITY).then_some(step)
}

/// The bfloat16 of infinity; above it are the NaNs and the negative numbers.
const INFINITY: u16 = 0x7f80;

/// Turns dithers into decoded integers, with a function that reads one level in a bin.
#[inline]
fn coordinates(
    coder: &mut Decoder<'_>,
    header: Header,
    out: &mut [i32],
    level: impl Fn(&mut Decoder<'_>, i32) -> Option<i32>,
) -> Option<()> {
    let mut path = Path::default();
    let mut coordinate = |coder: &mut Decoder<'_>, dither: i32| {
        let (bin, offset) = path.bin(dither);
        let point = path.advance(level(coder, bin)? + offset);
        Some(point * dither::HALF - dither)
    };
    if header.zeros == 0 {
        for value in out {
            *value = coordinate(coder, *value)?;
        }
    } else {
        let [zero, other] = header.zero_slots();
        for value in out {
            let slot = coder.slot();
            if slot < zero {
                coder.advance(zero, slot);
                *value = 0;
            } else {
                coder.advance(other, slot - zero);
                *value = coordinate(coder, *value)?;
            }
        }
    }
    Some(())
}

/// The symbol of an escape; `None` when its level would be too large.
#[cold]
fn escape(coder: &mut Decoder<'_>, half_width: i32, low_bits: u32) -> Option<i32> {
    let mut width = 0;
    while coder.bits(1) == 0 {
        width += 1;
        if MAX_LEVEL >> width == 0 {
            return None;
        }
    }
    let low = coder.bits(width / 2);
    let beyond = (1 << (width - width / 2) | coder.bits(width - width / 2)) << (width / 2) | low;
    let symbol = half_width.checked_add_unsigned(beyond)?;
    if symbol.cast_unsigned() > MAX_LEVEL >> low_bits {
        return None;
    }
    Some(if coder.bits(1) == 1 { -symbol } else { symbol })
}
