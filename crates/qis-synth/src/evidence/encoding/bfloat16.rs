//! The upper half of an `f32`: its range, and 8 bits of precision.

/// Codes from here on up to the sign bit are not finite.
pub(super) const INFINITY: u16 = 0x7f80;

/// The nearest `bfloat16` of a finite number that is not negative, ties to even.
pub(super) fn encode(value: f64) -> Option<u16> {
    let bits = (value as f32).to_bits();
    let rounded = bits.checked_add(0x7fff + (bits >> 16 & 1))? >> 16;
    let code = u16::try_from(rounded).ok()?;
    (code < INFINITY).then_some(code)
}

/// The number a code stands for.
pub(super) fn decode(code: u16) -> f64 {
    f32::from_bits(u32::from(code) << 16).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bfloat16_rounds_to_the_nearest() {
        assert_eq!(encode(1.0), Some(0x3f80));
        assert_eq!(encode(1.0 + 1.0 / 256.0), Some(0x3f80));
        assert_eq!(encode(1.0 + 3.0 / 256.0), Some(0x3f82));
        assert_eq!(encode(f64::MAX), None);
        assert_eq!(encode(f64::NAN), None);
        assert_eq!(decode(0x3080), libm::exp2(-30.0));
        assert_eq!(decode(0x4480), 1024.0);
    }
}
