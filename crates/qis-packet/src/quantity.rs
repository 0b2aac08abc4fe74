//! Numbers of one byte.

use core::fmt;

/// How sure an author says it is: a byte q for q/255.
///
/// It is the author's own word and nobody checks it. Rules that weigh by it can be steered by liars; see the synthesis crate for those
/// that don't.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Confidence(u8);

impl Confidence {
    /// No confidence at all.
    pub const NONE: Self = Self(0);
    /// Full confidence.
    pub const FULL: Self = Self(255);

    /// The nearest confidence to `value`; `None` unless it is in 0..=1.
    #[must_use]
    pub fn from_f64(value: f64) -> Option<Self> {
        if !(0.0..=1.0).contains(&value) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in 0..=255 after the check"
        )]
        let byte = (value * 255.0 + 0.5) as u8;
        Some(Self(byte))
    }

    /// The confidence with this byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte q.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// The value q/255, in 0..=1.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 255.0
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2}", self.value())
    }
}

/// About how many records an outcome rests on, in quarter octaves: 0 for unknown, else 1 + round(4 log2 n).
///
/// It tells a receiver the order of magnitude and not the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Support(u8);

impl Support {
    /// Not stated.
    pub const UNKNOWN: Self = Self(0);

    /// The support of `records` records; none are [`UNKNOWN`](Self::UNKNOWN).
    #[must_use]
    pub fn of(records: u64) -> Self {
        // The quarter octave whose lower edge, 2^((2q - 1)/8), is the last one not above n; edges as q28 thresholds of n^8 would
        // overflow, so compare the fraction of the octave to the three inner edges 2^(1/8), 2^(3/8), 2^(5/8), 2^(7/8).
        const EDGES: [u64; 4] = [1_170_923_762, 1_392_470_869, 1_655_936_265, 1_969_251_188];
        let Some(octave) = records.checked_ilog2() else { return Self::UNKNOWN };
        let fraction = u64::try_from((u128::from(records) << 30) >> octave).unwrap_or(u64::MAX);
        let quarters = EDGES.iter().filter(|&&edge| fraction >= edge).count();
        let code = 1 + 4 * octave as usize + quarters;
        Self(u8::try_from(code).unwrap_or(u8::MAX))
    }

    /// The support with this byte.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte)
    }

    /// The byte.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// About how many records, within 9 %: 2^((q - 1)/4); `None` when unknown.
    #[must_use]
    pub fn records(self) -> Option<f64> {
        // 2^(i/4), correctly rounded.
        const QUARTER: [f64; 4] =
            [1.0, 1.189_207_115_002_721, core::f64::consts::SQRT_2, 1.681_792_830_507_429];
        let code = self.0.checked_sub(1)?;
        let fraction = QUARTER.get(usize::from(code % 4))?;
        #[expect(clippy::cast_precision_loss, reason = "a power of two is exact")]
        let octave = (1_u64 << (code / 4)) as f64;
        Some(fraction * octave)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_rounds_and_refuses() {
        assert_eq!(Confidence::from_f64(1.0), Some(Confidence::FULL));
        assert_eq!(Confidence::from_f64(0.8).unwrap().byte(), 204);
        for bad in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Confidence::from_f64(bad), None);
        }
    }

    #[test]
    fn support_is_the_rounded_quarter_octave() {
        for n in (1_u64..5000).chain([u64::from(u32::MAX), 1 << 52]) {
            let expected = 1.0 + (4.0 * (n as f64).log2()).round();
            assert_eq!(f64::from(Support::of(n).byte()), expected, "{n}");
            let back = Support::of(n).records().unwrap();
            assert!((back / n as f64).log2().abs() <= 0.125 + 1e-9, "{n} {back}");
        }
        assert_eq!(Support::of(0), Support::UNKNOWN);
        assert_eq!(Support::of(0).records(), None);
        assert_eq!(Support::of(u64::MAX).byte(), 255);
        assert!(Support::from_byte(255).records().unwrap().is_finite());
    }
}
