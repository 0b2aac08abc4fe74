//! The range variant of asymmetric numeral systems (Duda 2013): symbols of known probability in nearly their entropy.
//!
//! A symbol that owns `frequency` of 4,096 slots from `start` on takes the state `x` to
//! `(x / frequency) << 12 | (start + x % frequency)`, which grows it by `log2(4096 / frequency)` bits; decoding is the inverse and
//! yields symbols last in, first out. States stay below `2^64`; what overflows leaves in words of 32 bits.
//! Bits without a model go through the same state, as symbols of equal probability.
//!
//! Two symbols whose distributions do not depend on each other go in one step, as one symbol of `2^24` slots: the decoder then
//! looks both up at the same time, which halves the chain of operations that each wait for the one before.
//!
//! Coders commonly begin with a state of a word or more, so that no symbol ever meets a small one, and spend as many bits on it.
//! Here the first state is as small as what it carries. Until it has grown nothing overflows, so the decoder comes back
//! to the small states only after the last word, and needs no other sign to stop refilling. A small state costs a fraction of a bit as long as it is
//! not below the frequency.

use alloc::vec::Vec;

/// Slots are numbered in this many bits.
pub(crate) const SLOT_BITS: u32 = 12;

/// Number of slots.
pub(crate) const SLOTS: u32 = 1 << SLOT_BITS;

/// Bits that leave the state at once.
const WORD_BITS: u32 = 32;

/// As long as words are left, the decoder's states are not smaller.
const LEAST: u64 = 1 << WORD_BITS;

/// Slots of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) start: u32,
    pub(crate) frequency: u32,
}

/// Takes symbols in reverse order.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    state: u64,
    words: Vec<u32>,
}

impl Encoder {
    /// An encoder whose first state is a number that the decoder finds in its last.
    pub(crate) fn new(carried: u16) -> Self {
        Self { state: u64::from(carried), words: Vec::new() }
    }

    /// Codes a symbol, whose frequency is not zero.
    pub(crate) fn put(&mut self, symbol: Slots) {
        let Slots { start, frequency } = symbol;
        self.spill(u128::from(frequency) << (64 - SLOT_BITS));
        let frequency = u64::from(frequency);
        self.state = (self.state / frequency) << SLOT_BITS | (u64::from(start) + self.state % frequency);
    }

    /// Codes two symbols in one step.
    pub(crate) fn put_pair(&mut self, [first, second]: [Slots; 2]) {
        let [inner, outer] = [first, second].map(|slots| u64::from(slots.frequency));
        let both = inner * outer;
        self.spill(u128::from(both) << (64 - 2 * SLOT_BITS));
        let rest = self.state % both;
        let slots =
            (u64::from(second.start) + rest / inner) << SLOT_BITS | (u64::from(first.start) + rest % inner);
        self.state = (self.state / both) << (2 * SLOT_BITS) | slots;
    }

    /// Codes the low `width` (at most 32) bits of `value`.
    pub(crate) fn put_bits(&mut self, value: u32, width: u32) {
        self.spill(1 << (64 - width));
        self.state = self.state << width | u64::from(value) & ((1 << width) - 1);
    }

    fn spill(&mut self, limit: u128) {
        if u128::from(self.state) >= limit {
            let [a, b, c, d, ..] = self.state.to_le_bytes();
            self.words.push(u32::from_le_bytes([a, b, c, d]));
            self.state >>= WORD_BITS;
        }
    }

    /// The last state without leading zeros, and the words.
    pub(crate) fn finish(self) -> Vec<u8> {
        let mut out = Vec::from(self.state.to_le_bytes());
        while out.last() == Some(&0) {
            out.pop();
        }
        out.extend(self.words.iter().rev().flat_map(|word| word.to_le_bytes()));
        out
    }
}

/// Yields the symbols of an [`Encoder`], in the order opposite to theirs.
///
/// Loops keep a copy of their own, which the compiler then holds in registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decoder<'a> {
    state: u64,
    words: &'a [[u8; 4]],
    read: usize,
}

impl<'a> Decoder<'a> {
    /// A decoder of all of `bytes`; `None` when they do not begin with a state in its shortest form.
    ///
    /// With words behind it a state has 5 to 8 bytes, so the length tells how many.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let length = if bytes.len() <= 8 { bytes.len() } else { 5 + (bytes.len() - 5) % 4 };
        let (first, rest) = bytes.split_at_checked(length)?;
        if first.last().is_none_or(|&top| top == 0) {
            return None;
        }
        let state = first.iter().rev().fold(0, |state, &byte| state << 8 | u64::from(byte));
        let (words, _) = rest.as_chunks::<4>();
        Some(Self { state, words, read: 0 })
    }

    /// The slot of the next symbol, below [`SLOTS`].
    #[inline]
    pub(crate) const fn slot(&self) -> u32 {
        self.state as u32 & (SLOTS - 1)
    }

    /// The slots of the next two symbols.
    #[inline]
    pub(crate) const fn slot_pair(&self) -> [u32; 2] {
        [self.slot(), (self.state >> SLOT_BITS) as u32 & (SLOTS - 1)]
    }

    /// Goes past a symbol that owns `frequency` slots, of which the current one is number `offset`.
    #[inline]
    pub(crate) fn advance(&mut self, frequency: u32, offset: u32) {
        self.state = u64::from(frequency) * (self.state >> SLOT_BITS) + u64::from(offset);
        self.refill();
    }

    /// Goes past two symbols that were coded in one step.
    #[inline]
    pub(crate) fn advance_pair(&mut self, frequencies: [u32; 2], [first, second]: [u32; 2]) {
        let [inner, outer] = frequencies;
        let (both, offset) = (inner * outer, second * inner + first);
        self.state = u64::from(both) * (self.state >> (2 * SLOT_BITS)) + u64::from(offset);
        self.refill();
    }

    /// The next `width` (at most 32) bits.
    #[inline]
    pub(crate) fn bits(&mut self, width: u32) -> u32 {
        let value = self.state & ((1 << width) - 1);
        self.state >>= width;
        self.refill();
        value as u32
    }

    #[inline]
    fn refill(&mut self) {
        let word = self.words.get(self.read);
        let low = self.state < LEAST && word.is_some();
        let filled =
            self.state << WORD_BITS | u64::from(u32::from_le_bytes(word.copied().unwrap_or_default()));
        self.state = if low { filled } else { self.state };
        self.read += usize::from(low);
    }

    /// The number the encoder began with; `None` when words are left or it is too large.
    pub(crate) fn finish(self) -> Option<u16> {
        if self.read == self.words.len() { u16::try_from(self.state).ok() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slots() -> impl Strategy<Value = Slots> {
        (0_u32..4095, 1_u32..4096)
            .prop_map(|(start, frequency)| Slots { start, frequency: frequency.min(SLOTS - start) })
    }

    proptest! {
        #[test]
        fn symbols_and_bits_come_back(
            carried in 1_u16..,
            symbols in proptest::collection::vec((slots(), slots(), slots(), any::<u32>(), 0_u32..=32), 0..99),
        ) {
            let low = |bits: u32, width: u32| bits & u32::MAX.checked_shr(32 - width).unwrap_or_default();
            let mut encoder = Encoder::new(carried);
            for &(one, first, second, bits, width) in symbols.iter().rev() {
                encoder.put_bits(bits, width);
                encoder.put(one);
                encoder.put_pair([first, second]);
            }
            let bytes = encoder.finish();
            let mut decoder = Decoder::new(&bytes).unwrap();
            for (one, first, second, bits, width) in symbols {
                let pair = decoder.slot_pair();
                let offsets = [pair[0].wrapping_sub(first.start), pair[1].wrapping_sub(second.start)];
                prop_assert!(offsets[0] < first.frequency && offsets[1] < second.frequency);
                decoder.advance_pair([first.frequency, second.frequency], offsets);
                let slot = decoder.slot();
                prop_assert!((one.start..one.start + one.frequency).contains(&slot));
                decoder.advance(one.frequency, slot - one.start);
                prop_assert_eq!(decoder.bits(width), low(bits, width));
            }
            prop_assert_eq!(decoder.finish(), Some(carried));
        }

        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Some(mut decoder) = Decoder::new(&bytes) {
                for _ in 0..100 {
                    let slot = decoder.slot();
                    decoder.advance(4096, slot);
                    let [first, second] = decoder.slot_pair();
                    decoder.advance_pair([7, 9], [first % 7, second % 9]);
                    decoder.bits(31);
                }
                decoder.finish();
            }
        }
    }
}
