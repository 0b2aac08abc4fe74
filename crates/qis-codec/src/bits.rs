//! Values of a few bits each, packed without gaps, least significant bit first.

use alloc::vec::Vec;

/// Packs values into bytes.
#[derive(Clone, Debug, Default)]
pub struct BitWriter {
    bytes: Vec<u8>,
    used: u32,
}

impl BitWriter {
    /// An empty writer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), used: 0 }
    }

    /// Appends the low `width` bits of `value`; `width` above 32 counts as 32.
    pub fn write(&mut self, value: u32, width: u32) {
        for bit in 0..width.min(32) {
            if self.used == 0 {
                self.bytes.push(0);
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << self.used;
            }
            self.used = (self.used + 1) % 8;
        }
    }

    /// The bytes; the unused bits of the last one are zero.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Clone, Debug)]
pub struct BitReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> BitReader<'a> {
    /// A reader at the first bit.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// The next `width` bits (at most 32), or `None` when fewer are left; the reader stays where it was then.
    pub fn read(&mut self, width: u32) -> Option<u32> {
        let end = self.position.checked_add(usize::try_from(width).ok()?)?;
        if width > 32 || end > self.bytes.len().checked_mul(8)? {
            return None;
        }
        let mut value = 0;
        for (shift, at) in (self.position..end).enumerate() {
            let byte = self.bytes.get(at / 8)?;
            value |= u32::from(byte >> (at % 8) & 1) << shift;
        }
        self.position = end;
        Some(value)
    }

    /// Whether nothing but the zero padding of the last byte is left: what a canonical message ends with.
    #[must_use]
    pub fn finish(mut self) -> bool {
        let left = self.bytes.len() * 8 - self.position;
        left < 8 && (0..left).all(|_| self.read(1) == Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_value_sits_in_the_low_bits() {
        let mut writer = BitWriter::new();
        writer.write(0b101, 3);
        writer.write(0b11, 2);
        writer.write(0xff, 4);
        assert_eq!(writer.into_bytes(), [0b1111_1101, 0b1]);
    }

    #[test]
    fn padding_must_be_zero_and_short() {
        let mut reader = BitReader::new(&[0b1000_0001]);
        assert_eq!(reader.read(1), Some(1));
        assert!(!reader.clone().finish());
        assert_eq!(reader.read(7), Some(0b100_0000));
        assert!(reader.finish());
        assert!(!BitReader::new(&[0]).finish());
    }

    proptest! {
        #[test]
        fn values_come_back(values in proptest::collection::vec((any::<u32>(), 0_u32..=32), 0..50)) {
            let mut writer = BitWriter::new();
            for &(value, width) in &values {
                writer.write(value, width);
            }
            let bytes = writer.into_bytes();
            let mut reader = BitReader::new(&bytes);
            for &(value, width) in &values {
                let mask = u32::try_from((1_u64 << width) - 1).unwrap();
                prop_assert_eq!(reader.read(width), Some(value & mask));
            }
            prop_assert!(reader.finish());
        }
    }
}
