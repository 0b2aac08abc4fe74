//! The range variant of asymmetric numeral systems (Duda 2013): symbols of known probability in nearly their entropy.
//!
//! A symbol that owns `frequency` of 4,096 slots from `start` on takes the state `x` to
//! `(x / frequency) << 12 | (start + x % frequency)`, which grows it by `log2(4096 / frequency)` bits; decoding is the inverse and
//! yields symbols last in, first out. States stay in `2^16..2^32`; what overflows leaves in words of 16 bits.
//! Bits without a model go through the same state, as symbols of equal probability.

use alloc::vec::Vec;

/// Slots are numbered in this many bits.
pub(crate) const SLOT_BITS: u32 = 12;

/// Number of slots.
pub(crate) const SLOTS: u32 = 1 << SLOT_BITS;

/// The least state after each symbol.
pub(crate) const LEAST: u32 = 1 << 16;

/// Takes symbols in reverse order.
#[derive(Debug)]
pub(crate) struct Encoder {
    state: u32,
    words: Vec<u16>,
}

impl Encoder {
    /// An encoder whose first state carries 16 bits, which the decoder finds in its last.
    pub(crate) fn new(carried: u16) -> Self {
        Self { state: LEAST | u32::from(carried), words: Vec::new() }
    }

    /// Codes the symbol that owns `frequency` (not zero) slots from `start` on.
    pub(crate) fn put(&mut self, start: u32, frequency: u32) {
        self.spill(u64::from(frequency) << (32 - SLOT_BITS));
        self.state = ((self.state / frequency) << SLOT_BITS) + start + self.state % frequency;
    }

    /// Codes the low `width` (at most 16) bits of `value`.
    pub(crate) fn put_bits(&mut self, value: u32, width: u32) {
        self.spill(1 << (32 - width));
        self.state = self.state << width | value & ((1 << width) - 1);
    }

    fn spill(&mut self, limit: u64) {
        if u64::from(self.state) >= limit {
            let [low, second, ..] = self.state.to_le_bytes();
            self.words.push(u16::from_le_bytes([low, second]));
            self.state >>= 16;
        }
    }

    /// Appends the last state, in three bytes if it fits them and in four otherwise, and the words.
    pub(crate) fn finish(self, out: &mut Vec<u8>) {
        let bytes = self.state.to_le_bytes();
        let [a, b, c, d] = bytes;
        if d == 0 {
            out.extend_from_slice(&[a, b, c]);
        } else {
            out.extend_from_slice(&bytes);
        }
        out.extend(self.words.iter().rev().flat_map(|word| word.to_le_bytes()));
    }
}

/// Yields the symbols of an [`Encoder`], in the order opposite to theirs.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    state: u32,
    words: &'a [[u8; 2]],
    read: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder of all of `bytes`; `None` when they do not begin with a state in its shortest form.
    ///
    /// Words have two bytes, so the parity of the length tells the three-byte state from the four-byte one.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let (state, rest, least) = match (bytes.len() % 2, bytes) {
            (1, [a, b, c, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, 0]), rest, LEAST),
            (0, [a, b, c, d, rest @ ..]) => (u32::from_le_bytes([*a, *b, *c, *d]), rest, 1 << 24),
            _ => return None,
        };
        let (words, _) = rest.as_chunks::<2>();
        (state >= least).then_some(Self { state, words, read: 0 })
    }

    /// The slot of the next symbol, below [`SLOTS`].
    #[inline]
    pub(crate) const fn slot(&self) -> u32 {
        self.state & (SLOTS - 1)
    }

    /// Goes past a symbol that owns `frequency` slots, of which the current one is number `offset`.
    #[inline]
    pub(crate) fn advance(&mut self, frequency: u32, offset: u32) {
        self.state = frequency * (self.state >> SLOT_BITS) + offset;
        self.refill();
    }

    /// The next `width` (at most 16) bits.
    #[inline]
    pub(crate) fn bits(&mut self, width: u32) -> u32 {
        let value = self.state & ((1 << width) - 1);
        self.state >>= width;
        self.refill();
        value
    }

    /// Past the last word come zeros; [`Decoder::finish`] tells.
    #[inline]
    fn refill(&mut self) {
        let word = u16::from_le_bytes(self.words.get(self.read).copied().unwrap_or_default());
        let low = self.state < LEAST;
        let filled = self.state << 16 | u32::from(word);
        self.state = if low { filled } else { self.state };
        self.read += usize::from(low);
    }

    /// The 16 bits the encoder began with; `None` when words are left, were missing, or the state is not one to begin with.
    pub(crate) fn finish(self) -> Option<u16> {
        let carried = u16::try_from(self.state.checked_sub(LEAST)?).ok()?;
        (self.read == self.words.len()).then_some(carried)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn symbols_and_bits_come_back(
            carried: u16,
            symbols in proptest::collection::vec((0_u32..4095, 1_u32..4096, any::<u32>(), 0_u32..=16), 0..99),
        ) {
            let symbols: Vec<_> = symbols
                .into_iter()
                .map(|(start, frequency, bits, width)| (start, frequency.min(SLOTS - start), bits, width))
                .collect();
            let mut encoder = Encoder::new(carried);
            for &(start, frequency, bits, width) in symbols.iter().rev() {
                encoder.put_bits(bits, width);
                encoder.put(start, frequency);
            }
            let mut bytes = Vec::new();
            encoder.finish(&mut bytes);
            let mut decoder = Decoder::new(&bytes).unwrap();
            for (start, frequency, bits, width) in symbols {
                let slot = decoder.slot();
                prop_assert!((start..start + frequency).contains(&slot));
                decoder.advance(frequency, slot - start);
                prop_assert_eq!(decoder.bits(width), bits & ((1 << width) - 1));
            }
            prop_assert_eq!(decoder.finish(), Some(carried));
        }
    }
}
