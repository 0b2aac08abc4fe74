//! A direction in a space, in signed bytes.

use alloc::vec::Vec;

use crate::{FingerprintError, SpaceId, SpaceMismatch};

/// The most dimensions a fingerprint may have.
pub const MAX_DIMS: usize = 4096;

/// The largest magnitude of a code.
const MAX_CODE: i8 = 127;

/// Scales integers of up to 48 bits so that the largest magnitude becomes 127, halves away from zero; `None` when all are zero.
pub(crate) fn scale(integers: impl Iterator<Item = i64> + Clone) -> Option<Vec<i8>> {
    let largest = integers.clone().map(i64::abs).max().filter(|&largest| largest > 0)?;
    let twice = 2 * i64::from(MAX_CODE);
    let code = |integer: i64| {
        let magnitude = (integer.abs() * twice + largest) / (2 * largest);
        i8::try_from(integer.signum() * magnitude).unwrap_or(MAX_CODE)
    };
    Some(integers.map(code).collect())
}

/// A direction in a [`SpaceId`], as 1 to [`MAX_DIMS`] signed bytes in -127..=127, at least one of them not zero.
///
/// Only the direction is kept: similarity is the cosine, which knows no length, so the quantiser's scale is not stored.
///
/// It travels in the bytes of [`to_bytes`](Self::to_bytes), one a dimension or, once [compacted](Self::compact), fewer. Two are equal when
/// their spaces, codes and bytes are; how similar they are is for the [`cosine`](Self::cosine) to say.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    pub(crate) space: SpaceId,
    pub(crate) codes: Vec<i8>,
    /// The bytes it was expanded from; none when those are its codes. They are kept since several may expand to the same codes.
    pub(crate) compact: Option<Vec<u8>>,
}

impl Fingerprint {
    /// Quantises a real vector: each coordinate becomes 127 times its share of the largest magnitude, rounded to
    /// the nearest integer, halves away from zero.
    ///
    /// # Errors
    ///
    /// [`FingerprintError`] when the vector is empty, too long, not finite, or zero.
    pub fn from_vector(space: SpaceId, vector: &[f32]) -> Result<Self, FingerprintError> {
        if vector.is_empty() || vector.len() > MAX_DIMS {
            return Err(FingerprintError::Dims { dims: vector.len() });
        }
        if let Some(index) = vector.iter().position(|value| !value.is_finite()) {
            return Err(FingerprintError::NotFinite { index });
        }
        let largest = vector.iter().fold(0.0_f64, |most, &value| most.max(f64::from(value).abs()));
        if largest == 0.0 {
            return Err(FingerprintError::Zero);
        }
        let quantise = |&value: &f32| {
            let code = libm::round(f64::from(value) / largest * f64::from(MAX_CODE));
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a share of the largest, so within -127..=127"
            )]
            let code = code as i8;
            code
        };
        Ok(Self { space, codes: vector.iter().map(quantise).collect(), compact: None })
    }

    /// Takes codes as they come from a packet or a quantising model.
    ///
    /// # Errors
    ///
    /// [`FingerprintError`] when there are none or too many, all are zero, or one is -128.
    pub fn from_codes(space: SpaceId, codes: Vec<i8>) -> Result<Self, FingerprintError> {
        if codes.is_empty() || codes.len() > MAX_DIMS {
            return Err(FingerprintError::Dims { dims: codes.len() });
        }
        if let Some(index) = codes.iter().position(|&code| code == i8::MIN) {
            return Err(FingerprintError::Code { index });
        }
        if codes.iter().all(|&code| code == 0) {
            return Err(FingerprintError::Zero);
        }
        Ok(Self { space, codes, compact: None })
    }

    /// The space it lives in.
    #[must_use]
    pub const fn space(&self) -> SpaceId {
        self.space
    }

    /// The number of dimensions.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.codes.len()
    }

    /// The codes.
    #[must_use]
    pub fn codes(&self) -> &[i8] {
        &self.codes
    }

    /// The cosine of the angle to `other`: 1 for the same direction, 0 for unrelated, -1 for opposite.
    ///
    /// # Errors
    ///
    /// [`SpaceMismatch`] when the two are of different spaces or dimensions.
    pub fn cosine(&self, other: &Self) -> Result<f32, SpaceMismatch> {
        if self.space != other.space || self.codes.len() != other.codes.len() {
            return Err(SpaceMismatch {
                left: self.space,
                left_dims: self.dims(),
                right: other.space,
                right_dims: other.dims(),
            });
        }
        // Exact: 4096 * 127^2 fits an i32, and the product of two such sums fits the 53 bits of an f64.
        let norms = f64::from(dot(&self.codes, &self.codes)) * f64::from(dot(&other.codes, &other.codes));
        let cosine = f64::from(dot(&self.codes, &other.codes)) / libm::sqrt(norms);
        #[expect(clippy::cast_possible_truncation, reason = "a cosine needs no more than f32")]
        let cosine = cosine as f32;
        Ok(cosine.clamp(-1.0, 1.0))
    }
}

fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    fn space() -> SpaceId {
        SpaceId::new("test", 2)
    }

    #[test]
    fn largest_coordinate_becomes_127() {
        let print = Fingerprint::from_vector(space(), &[0.5, -1.0]).unwrap();
        assert_eq!(print.codes(), [64, -127]);
    }

    #[test]
    fn refuses_what_has_no_direction() {
        let make = |vector: &[f32]| Fingerprint::from_vector(space(), vector).unwrap_err();
        assert_eq!(make(&[]), FingerprintError::Dims { dims: 0 });
        assert_eq!(make(&[0.0, -0.0]), FingerprintError::Zero);
        assert_eq!(make(&[1.0, f32::INFINITY]), FingerprintError::NotFinite { index: 1 });
        let codes = |codes| Fingerprint::from_codes(space(), codes).unwrap_err();
        assert_eq!(codes(vec![0, 0]), FingerprintError::Zero);
        assert_eq!(codes(vec![1, -128]), FingerprintError::Code { index: 1 });
        assert_eq!(codes(vec![1; 4097]), FingerprintError::Dims { dims: 4097 });
    }

    #[test]
    fn spaces_do_not_mix() {
        let a = Fingerprint::from_vector(space(), &[1.0, 0.0]).unwrap();
        let b = Fingerprint::from_vector(SpaceId::new("other", 2), &[1.0, 0.0]).unwrap();
        let c = Fingerprint::from_vector(space(), &[1.0, 0.0, 0.0]).unwrap();
        assert!(a.cosine(&b).is_err());
        assert!(a.cosine(&c).is_err());
    }

    #[test]
    fn extremes_do_not_overflow() {
        let a = Fingerprint::from_codes(space(), vec![127; MAX_DIMS]).unwrap();
        let b = Fingerprint::from_codes(space(), vec![-127; MAX_DIMS]).unwrap();
        assert_eq!(a.cosine(&a), Ok(1.0));
        assert_eq!(a.cosine(&b), Ok(-1.0));
        let tiny = Fingerprint::from_vector(space(), &[f32::MIN_POSITIVE, f32::MAX]).unwrap();
        assert_eq!(tiny.codes(), [0, 127]);
    }

    proptest! {
        #[test]
        fn cosine_is_close_to_that_of_the_reals(
            pairs in proptest::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 2..300),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
            prop_assume!(dot(&a, &a) > 1e-3 && dot(&b, &b) > 1e-3);
            let exact = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
            let print = |v: &[f32]| Fingerprint::from_vector(space(), v).unwrap();
            prop_assert!((f64::from(print(&a).cosine(&print(&b)).unwrap()) - exact).abs() < 0.02);
        }
    }
}
