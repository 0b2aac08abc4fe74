//! The bytes of a vector in the trellis mode.
//!
//! They are those of one entropy coder: its last state, little-endian and without leading zeros, then its words, `u32` little-endian. With words
//! behind it the state has 5 to 8 bytes, so the length tells how many. The coder holds, in the order of decoding:
//!
//! 1. the shape and whether exact zeros are told apart, as one of 6 symbols of 682 slots each: `shape + 3 * apart`;
//! 2. with zeros told apart, their share in units of 1/128 (1 to 127), as one of 128 symbols of 32 slots;
//! 3. the scale, as one of 97 symbols, counted upwards from two below the one to expect at the rate and back to 0 after 96: the
//!    first 5 have 640 slots each, the others 9. The one to expect is `32 * bytes / coordinates`, rounded down, plus 15, 15 or 18 by shape,
//!    at most 96, where exact zeros are no coordinates;
//! 4. the coordinates. With zeros told apart, each begins with whether it is exactly zero, which takes 32 slots for each unit of the share. Then, if
//!    it is not, comes the symbol of its level; for an escape the rest of it (Elias gamma and a sign); its low bits;
//! 5. what is left of the state: the step, a bfloat16, so that it takes no more bits than its size.
//!
//! Where tables have one interval a symbol and zeros are not told apart, two coordinates are coded in one step, but for the last
//! four or five.

use alloc::vec::Vec;

use crate::model::{self, Conditional, FIRST_SINGLE, LAST_SCALE, SHAPES, Scale, Single};
use crate::rans::{Decoder, Encoder, SLOTS, Slots};
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
    /// Slots of each of the 6 first symbols.
    const FORM_SLOTS: u32 = SLOTS / 6;

    /// Slots of each of the [`Self::NEAR`] scales about the one to expect, and of each other one.
    const SCALE_SLOTS: [u32; 2] = [640, 9];

    const NEAR: u32 = 5;

    const SCALES: u32 = LAST_SCALE + 1;

    fn put(self, dims: usize, bytes: usize, coder: &mut Encoder) {
        coder.put(self.slots_of_scale(dims, bytes));
        let put = |coder: &mut Encoder, value, frequency| {
            coder.put(Slots { start: value * frequency, frequency });
        };
        if self.zeros != 0 {
            put(coder, self.zeros, ZERO_SLOTS);
        }
        let form = self.shape + if self.zeros == 0 { 0 } else { SHAPES };
        put(coder, u32::try_from(form).unwrap_or_default(), Self::FORM_SLOTS);
    }

    fn take(dims: usize, bytes: usize, coder: &mut Decoder<'_>) -> Option<Self> {
        let mut take = |frequency, count| {
            let slot = coder.slot();
            let value = slot / frequency;
            coder.advance(frequency, slot % frequency);
            (value < count).then_some(value)
        };
        let form = usize::try_from(take(Self::FORM_SLOTS, 6)?).ok()?;
        let (shape, zeros) = if form < SHAPES {
            (form, 0)
        } else {
            (form - SHAPES, take(ZERO_SLOTS, 128).filter(|&zeros| zeros != 0)?)
        };
        let header = Self { scale: 0, shape, zeros };
        let [near, far] = Self::SCALE_SLOTS;
        let slot = coder.slot();
        let (rank, frequency, offset) = match slot.checked_sub(Self::NEAR * near) {
            None => (slot / near, near, slot % near),
            Some(slot) => (Self::NEAR + slot / far, far, slot % far),
        };
        if rank >= Self::SCALES {
            return None;
        }
        coder.advance(frequency, offset);
        Some(Self { scale: (header.first_scale(dims, bytes) + rank) % Self::SCALES, ..header })
    }

    /// The scale that is counted first.
    fn first_scale(self, dims: usize, bytes: usize) -> u32 {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        // At most 4,096 coordinates, of which 1/128 are not zero.
        let coordinates = number(dims) * (128 - self.zeros);
        let rate = number(bytes.min(1 << 16)) * 32 * 128 / coordinates.max(1);
        let expected = rate + if self.shape == 2 { 18 } else { 15 };
        (expected.min(LAST_SCALE) + Self::SCALES - 2) % Self::SCALES
    }

    fn slots_of_scale(self, dims: usize, bytes: usize) -> Slots {
        let rank = (self.scale + Self::SCALES - self.first_scale(dims, bytes)) % Self::SCALES;
        let [near, far] = Self::SCALE_SLOTS;
        match rank.checked_sub(Self::NEAR) {
            None => Slots { start: rank * near, frequency: near },
            Some(rank) => Slots { start: Self::NEAR * near + rank * far, frequency: far },
        }
    }

    /// Bits the header takes.
    pub(crate) fn bits(self, dims: usize, bytes: usize) -> f64 {
        let zeros = if self.zeros == 0 { 0.0 } else { 7.0 };
        let bits = |frequency| libm::log2(f64::from(SLOTS) / f64::from(frequency));
        zeros + bits(Self::FORM_SLOTS) + bits(self.slots_of_scale(dims, bytes).frequency)
    }

    /// Slots of an exact zero and of another number.
    pub(crate) const fn zero_slots(self) -> [Slots; 2] {
        let zero = self.zeros * ZERO_SLOTS;
        [Slots { start: 0, frequency: zero }, Slots { start: zero, frequency: SLOTS - zero }]
    }

    /// How many coordinates are coded in pairs.
    const fn paired(self, scale: Scale, dims: usize) -> usize {
        if self.zeros == 0 && scale.table >= FIRST_SINGLE { dims.saturating_sub(4) & !1 } else { 0 }
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
///
/// `None` when they take more bytes than `budget`, or when no number of bytes is the one that the header takes for granted.
pub(crate) fn write(
    header: Header,
    scale: Scale,
    step: u16,
    is_zero: &[bool],
    levels: &[i32],
    budget: usize,
) -> Option<Vec<u8>> {
    let mut coder = Encoder::new(step);
    let [zero, other] = header.zero_slots();
    let paired = header.paired(scale, levels.len());
    let (pairs, singles) = levels.split_at_checked(paired).unwrap_or((&[], levels));
    let mut levels = singles.iter().rev();
    for &is_zero in is_zero.iter().skip(paired).rev() {
        if is_zero {
            coder.put(zero);
            continue;
        }
        let symbol = Symbol::new(header, scale, levels.next().copied().unwrap_or_default());
        symbol.put_rest(&mut coder, scale);
        coder.put(symbol.slots);
        if header.zeros != 0 {
            coder.put(other);
        }
    }
    for &pair in pairs.as_chunks::<2>().0.iter().rev() {
        let [first, second] = pair.map(|level| Symbol::new(header, scale, level));
        second.put_rest(&mut coder, scale);
        first.put_rest(&mut coder, scale);
        coder.put_pair([first.slots, second.slots]);
    }
    let mut expected = budget;
    loop {
        let mut coder = coder.clone();
        header.put(is_zero.len(), expected, &mut coder);
        let bytes = coder.finish();
        if bytes.len() >= expected {
            return (bytes.len() == expected).then_some(bytes);
        }
        expected = bytes.len();
    }
}

/// A level as it is coded.
struct Symbol {
    slots: Slots,
    /// What an escape is beyond the half width, and whether it is negative.
    escaped: Option<(u32, bool)>,
    low: u32,
}

impl Symbol {
    fn new(header: Header, scale: Scale, packed: i32) -> Self {
        let (level, bin) = unpack_level(packed);
        let (symbol, low) = split_level(level, scale.low_bits);
        let half_width = scale.half_width();
        let inside = symbol.abs() <= half_width;
        let slots = model::slots(header.shape, scale.table, inside.then_some(symbol), bin);
        let beyond = symbol.unsigned_abs().wrapping_sub(half_width.cast_unsigned());
        Self { slots, escaped: (!inside).then_some((beyond, symbol < 0)), low }
    }

    /// Codes what follows the symbol itself.
    fn put_rest(&self, coder: &mut Encoder, scale: Scale) {
        coder.put_bits(self.low, scale.low_bits);
        if let Some((beyond, negative)) = self.escaped {
            let width = beyond.ilog2();
            coder.put_bits(u32::from(negative), 1);
            coder.put_bits(beyond, width);
            coder.put_bits(1, 1);
            for _ in 0..width {
                coder.put_bits(0, 1);
            }
        }
    }
}

/// Reads as many coordinates as `out` has and returns the step.
///
/// `out` holds the dither before and, if the bytes are those of a vector, the integers after: a coordinate is its integer times
/// the step times `2^-dither::BITS`.
pub(crate) fn read(bytes: &[u8], out: &mut [i32]) -> Option<u16> {
    let mut coder = Decoder::new(bytes)?;
    let header = Header::take(out.len(), bytes.len(), &mut coder)?;
    let scale = Scale::new(header.scale)?;
    if scale.table < FIRST_SINGLE {
        let table = Conditional::new(header.shape, scale.table)?;
        singles(&mut coder, &mut Path::default(), header, scale, out, |coder, path, dither| {
            let slot = coder.slot();
            let (symbol, slots) = table.find(slot, path.bin(dither));
            coder.advance(slots.frequency, slot.wrapping_sub(slots.start));
            symbol
        })?;
    } else {
        flat(&mut coder, header, scale, Single::new(header.shape, scale.table)?, out)?;
    }
    let step = coder.finish()?;
    (step != 0 && step < INFINITY).then_some(step)
}

/// The bfloat16 of infinity; above it are the NaNs and the negative numbers.
const INFINITY: u16 = 0x7f80;

/// Turns dithers into decoded integers, one at a time, with a function that reads one symbol: its level, or `None` for an escape.
#[inline]
fn singles(
    outer: &mut Decoder<'_>,
    path: &mut Path,
    header: Header,
    scale: Scale,
    out: &mut [i32],
    symbol: impl Fn(&mut Decoder<'_>, Path, i32) -> Option<i32>,
) -> Option<()> {
    let [zero, other] = header.zero_slots();
    let mut coder = *outer;
    for value in out {
        if header.zeros != 0 {
            let slot = coder.slot();
            if slot < zero.frequency {
                coder.advance(zero.frequency, slot);
                *value = 0;
                continue;
            }
            coder.advance(other.frequency, slot - other.start);
        }
        let symbol = symbol(&mut coder, *path, *value);
        let level = level(&mut coder, scale, symbol)?;
        *value = path.advance(level, *value);
    }
    *outer = coder;
    Some(())
}

/// The level of a symbol, with what follows it; `None` when it would be too large.
#[inline]
fn level(coder: &mut Decoder<'_>, scale: Scale, symbol: Option<i32>) -> Option<i32> {
    let symbol = if let Some(symbol) = symbol {
        symbol
    } else {
        let (symbol, after) = escape(*coder, scale)?;
        *coder = after;
        symbol
    };
    if scale.low_bits == 0 {
        return Some(symbol);
    }
    let low = coder.bits(scale.low_bits).cast_signed();
    Some((symbol << scale.low_bits | low) - (1 << scale.low_bits >> 1))
}

/// [`singles`] for a table with one interval a symbol, as many as possible in pairs.
#[inline]
fn flat(outer: &mut Decoder<'_>, header: Header, scale: Scale, table: Single, out: &mut [i32]) -> Option<()> {
    let mut path = Path::default();
    let (pairs, others) = out.split_at_mut_checked(header.paired(scale, out.len()))?;
    let mut coder = *outer;
    for pair in pairs.as_chunks_mut::<2>().0 {
        let [first, second] = coder.slot_pair().map(|slot| table.find(slot));
        coder.advance_pair([first.1, second.1], [first.2, second.2]);
        // One after the other: to advance with both at once in a vector register, as compilers do, takes longer.
        for (value, symbol) in pair.iter_mut().zip([first.0, second.0]) {
            *value = path.advance(level(&mut coder, scale, symbol)?, *value);
        }
    }
    *outer = coder;
    singles(outer, &mut path, header, scale, others, |coder, _, _| {
        let (symbol, frequency, offset) = table.find(coder.slot());
        coder.advance(frequency, offset);
        symbol
    })
}

/// The symbol of an escape; `None` when its level would be too large.
#[cold]
fn escape(mut coder: Decoder<'_>, scale: Scale) -> Option<(i32, Decoder<'_>)> {
    let mut width = 0;
    while coder.bits(1) == 0 {
        width += 1;
        if MAX_LEVEL >> width == 0 {
            return None;
        }
    }
    let beyond = 1 << width | coder.bits(width);
    let symbol = scale.half_width().checked_add_unsigned(beyond)?;
    if symbol.cast_unsigned() > MAX_LEVEL >> scale.low_bits {
        return None;
    }
    let symbol = if coder.bits(1) == 1 { -symbol } else { symbol };
    Some((symbol, coder))
}
