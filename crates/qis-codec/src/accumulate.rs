//! Adding decoded vectors up.

use crate::decoded::{self, Form};
use crate::vector::check_dims;
use crate::{AccumulateError, DecodeError, Decoded, DimsMismatch, MAX_DIMS, Mode, decode, dither, stream};

/// Bits of the fraction in sums of [`Decoded::add_fixed`].
pub const FRACTION_BITS: u32 = 40;

/// A weighted coordinate must be smaller than this in a fixed-point sum: `2^11 * 2^40` is the most that
/// rounding by [`SHIFT`] takes.
const FIXED_LIMIT: f64 = (1_u64 << 51) as f64;

/// Added to a number below `2^51` in size, it leaves the nearest integer in the low bits of the sum's mantissa.
const SHIFT: f64 = 6_755_399_441_055_744.0;

impl Decoded {
    /// Adds `weight` times this vector to `sum`, coordinate by coordinate, in order.
    ///
    /// # Errors
    ///
    /// If `sum` has another number of coordinates; it is unchanged then.
    pub fn add_scaled(&self, weight: f64, sum: &mut [f64]) -> Result<(), DimsMismatch> {
        self.check_length(sum.len())?;
        match &self.form {
            Form::Zero => {}
            Form::Real(values) => {
                for (total, value) in sum.iter_mut().zip(values) {
                    *total += weight * f64::from(*value);
                }
            }
            Form::Scaled { integers, scale } => add_integers(weight * scale, integers, sum),
        }
        Ok(())
    }

    /// [`Decoded::add_scaled`] of one vector after the other, by its weight, but two at a time where they are of one mode: the same sum to
    /// the bit, in less time.
    ///
    /// # Errors
    ///
    /// If `sum` has another number of coordinates than a vector; it is unchanged then.
    pub fn add_all_scaled(terms: &[(f64, &Self)], sum: &mut [f64]) -> Result<(), DimsMismatch> {
        terms.iter().try_for_each(|(_, vector)| vector.check_length(sum.len()))?;
        let (pairs, rest) = terms.as_chunks::<2>();
        for &[(first, a), (second, b)] in pairs {
            match (&a.form, &b.form) {
                (Form::Real(a), Form::Real(b)) => add_two((first, a), (second, b), sum),
                (Form::Scaled { integers: a, scale: s }, Form::Scaled { integers: b, scale: t }) => {
                    add_two((first * s, a), (second * t, b), sum);
                }
                _ => {
                    a.add_scaled(first, sum)?;
                    b.add_scaled(second, sum)?;
                }
            }
        }
        rest.iter().try_for_each(|(weight, vector)| vector.add_scaled(*weight, sum))
    }

    /// [`Decoded::add_scaled`] in single precision: half the memory traffic, and 24 bits of each product.
    ///
    /// # Errors
    ///
    /// If `sum` has another number of coordinates; it is unchanged then.
    pub fn add_scaled_f32(&self, weight: f32, sum: &mut [f32]) -> Result<(), DimsMismatch> {
        self.check_length(sum.len())?;
        match &self.form {
            Form::Zero => {}
            Form::Real(values) => {
                for (total, value) in sum.iter_mut().zip(values) {
                    *total += weight * value;
                }
            }
            Form::Scaled { integers, scale } => {
                #[expect(clippy::cast_possible_truncation, reason = "single precision was asked for")]
                let factor = (f64::from(weight) * scale) as f32;
                for (total, &integer) in sum.iter_mut().zip(integers) {
                    #[expect(clippy::cast_precision_loss, reason = "single precision was asked for")]
                    let value = integer as f32;
                    *total += factor * value;
                }
            }
        }
        Ok(())
    }

    /// Adds `weight` times this vector to a sum in fixed point, with [`FRACTION_BITS`] bits behind the point.
    ///
    /// Each product is rounded once, to the nearest multiple of `2^-40`, and integers are added. So the sum of
    /// a set of vectors is the same to the bit in whichever order, and in whatever parts, they are added.
    ///
    /// Overflow: products of `2^11` and more are refused. The sum itself wraps around, which keeps the order irrelevant; it can't
    /// happen before 4,096 vectors, nor while the true sum is below `2^23`.
    ///
    /// # Errors
    ///
    /// If `sum` has another number of coordinates or a product is too large; `sum` is unchanged then.
    pub fn add_fixed(&self, weight: f64, sum: &mut [i64]) -> Result<(), AccumulateError> {
        self.check_length(sum.len())?;
        let unit = (1_u64 << FRACTION_BITS) as f64;
        match &self.form {
            Form::Zero => {}
            Form::Real(values) => {
                let factor = weight * unit;
                let peak = values.iter().fold(0.0_f32, |peak, value| peak.max(value.abs()));
                check_range(factor * f64::from(peak))?;
                for (total, &value) in sum.iter_mut().zip(values) {
                    *total = total.wrapping_add(rounded(factor * f64::from(value)));
                }
            }
            Form::Scaled { integers, scale } => {
                let factor = weight * scale * unit;
                // The exclusive or with the sign is an absolute value, or one less.
                let bound = integers.iter().fold(0, |bound, integer| bound | (integer ^ (integer >> 31)));
                check_peak(factor, bound, integers)?;
                for (total, &integer) in sum.iter_mut().zip(integers) {
                    *total = total.wrapping_add(rounded(factor * f64::from(integer)));
                }
            }
        }
        Ok(())
    }

    const fn check_length(&self, actual: usize) -> Result<(), DimsMismatch> {
        if actual == self.dims { Ok(()) } else { Err(DimsMismatch { expected: self.dims, actual }) }
    }
}

/// Decodes and adds `weight` times the vector to `sum` without keeping it; allocates nothing in the trellis mode.
///
/// It is for a vector that is used once. To synthesise from it again and again, [`decode`] it and use [`Decoded::add_scaled`], which
/// gives the same sum to the bit.
///
/// # Errors
///
/// [`AccumulateError`] when the bytes are not a vector of as many coordinates as `sum` has; `sum` is unchanged then.
pub fn accumulate(
    mode: Mode,
    dims: usize,
    bytes: &[u8],
    seed: u64,
    weight: f64,
    sum: &mut [f64],
) -> Result<(), AccumulateError> {
    if sum.len() != dims {
        return Err(DimsMismatch { expected: dims, actual: sum.len() }.into());
    }
    if mode != Mode::Trellis {
        decode(mode, dims, bytes, seed)?.add_scaled(weight, sum)?;
        return Ok(());
    }
    check_dims(dims)?;
    // Two sizes, since to clear the larger one takes as long as to decode a short vector.
    let mut small = [0; MAX_DIMS / 8];
    if let Some(integers) = small.get_mut(..dims) {
        add_trellis(bytes, seed, weight, integers, sum)
    } else {
        let mut large = [0; MAX_DIMS];
        add_trellis(bytes, seed, weight, large.get_mut(..dims).unwrap_or_default(), sum)
    }
}

fn add_trellis(
    bytes: &[u8],
    seed: u64,
    weight: f64,
    integers: &mut [i32],
    sum: &mut [f64],
) -> Result<(), AccumulateError> {
    dither::fill(seed, integers);
    let step = stream::read(bytes, integers).ok_or(DecodeError::Malformed)?;
    add_integers(weight * decoded::scale(step), integers, sum);
    Ok(())
}

fn add_integers(factor: f64, integers: &[i32], sum: &mut [f64]) {
    for (total, &integer) in sum.iter_mut().zip(integers) {
        *total += factor * f64::from(integer);
    }
}

/// Adds two vectors of the length of `sum`, one after the other.
fn add_two<T: Copy + Into<f64>>((first, a): (f64, &[T]), (second, b): (f64, &[T]), sum: &mut [f64]) {
    for ((total, &a), &b) in sum.iter_mut().zip(a).zip(b) {
        *total = *total + first * a.into() + second * b.into();
    }
}

/// Checks the largest product. A bound by powers of two is enough for nearly all vectors; the others are looked at again.
fn check_peak(factor: f64, bound: i32, integers: &[i32]) -> Result<(), AccumulateError> {
    if check_range(factor * (f64::from(bound) + 1.0)).is_ok() {
        return Ok(());
    }
    let peak = integers.iter().map(|integer| integer.unsigned_abs()).max().unwrap_or_default();
    check_range(factor * f64::from(peak))
}

/// Also refuses NaN.
fn check_range(product: f64) -> Result<(), AccumulateError> {
    if product.abs() < FIXED_LIMIT { Ok(()) } else { Err(AccumulateError::Range) }
}

/// The nearest integer, ties to even, of a number below `2^51` in size.
#[inline]
fn rounded(x: f64) -> i64 {
    (x + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encode;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn vectors() -> Vec<Decoded> {
        let values = |i: u16| (0..64_u16).map(|j| f32::from(i * 64 + j).sin()).collect::<Vec<_>>();
        (0..40_u16)
            .map(|i| {
                let budget = if i % 3 == 0 { 256 } else { 40 };
                let encoded = encode(&values(i), budget, u64::from(i)).unwrap();
                decode(encoded.mode(), 64, encoded.bytes(), u64::from(i)).unwrap()
            })
            .collect()
    }

    #[test]
    fn fixed_sums_do_not_depend_on_the_order() {
        let vectors = vectors();
        let (mut forward, mut backward) = ([0; 64], [0; 64]);
        for vector in &vectors {
            vector.add_fixed(0.3, &mut forward).unwrap();
        }
        for vector in vectors.iter().rev() {
            vector.add_fixed(0.3, &mut backward).unwrap();
        }
        assert_eq!(forward, backward);
        let mut real = [0.0; 64];
        let mut single = [0.0; 64];
        for vector in &vectors {
            vector.add_scaled(0.3, &mut real).unwrap();
            vector.add_scaled_f32(0.3, &mut single).unwrap();
        }
        for ((fixed, real), single) in forward.iter().zip(real).zip(single) {
            assert!((*fixed as f64 / (1_u64 << FRACTION_BITS) as f64 - real).abs() < 1e-10);
            assert!((f64::from(single) - real).abs() < 1e-4);
        }
    }

    #[test]
    fn many_add_as_one_after_the_other() {
        let mut vectors = vectors();
        vectors.insert(5, decode(Mode::Empty, 64, &[], 0).unwrap());
        // Pairs of one mode and of two.
        vectors[12..].sort_by_key(|vector| vector.integers().is_some());
        let terms: Vec<_> =
            vectors.iter().enumerate().map(|(i, vector)| (0.3 * i as f64 - 2.0, vector)).collect();
        let (mut together, mut single) = ([0.1; 64], [0.1; 64]);
        Decoded::add_all_scaled(&terms, &mut together).unwrap();
        for (weight, vector) in &terms {
            vector.add_scaled(*weight, &mut single).unwrap();
        }
        assert_eq!(together, single);
        let shorter = decode(Mode::Empty, 63, &[], 0).unwrap();
        assert!(Decoded::add_all_scaled(&[terms[0], (1.0, &shorter)], &mut together).is_err());
        assert_eq!(together, single);
    }

    #[test]
    fn fixed_sums_refuse_what_is_too_large() {
        let mut sum = [5; 64];
        for vector in vectors().iter().take(2) {
            for weight in [1e6, f64::NAN, f64::INFINITY] {
                assert_eq!(vector.add_fixed(weight, &mut sum), Err(AccumulateError::Range));
            }
            assert!(vector.add_fixed(1000.0, &mut sum.clone()).is_ok());
        }
        assert_eq!(sum, [5; 64]);
    }

    #[test]
    fn accumulation_refuses_another_length_and_leaves_it_alone() {
        let decoded = decode(Mode::Raw, 1, &1.5_f32.to_le_bytes(), 0).unwrap();
        let (mut double, mut single, mut fixed) = ([7.0, 8.0], [7.0, 8.0], [7, 8]);
        assert!(decoded.add_scaled(1.0, &mut double).is_err());
        assert!(decoded.add_scaled_f32(1.0, &mut single).is_err());
        assert!(decoded.add_fixed(1.0, &mut fixed).is_err());
        assert!(accumulate(Mode::Trellis, 3, &[0; 9], 0, 1.0, &mut double).is_err());
        assert!(accumulate(Mode::Trellis, 2, &[0; 9], 0, 1.0, &mut double).is_err());
        assert_eq!((double, single, fixed), ([7.0, 8.0], [7.0, 8.0], [7, 8]));
    }

    proptest! {
        #[test]
        fn fused_sums_are_those_of_the_decoded_vector(
            values in proptest::collection::vec(-9.0_f32..9.0, 3..900), budget in 8_usize..400, seed: u64,
        ) {
            let dims = values.len();
            let encoded = encode(&values, budget, seed).unwrap();
            let mut fused: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
            let mut cached = fused.clone();
            accumulate(encoded.mode(), dims, encoded.bytes(), seed, 0.7, &mut fused).unwrap();
            let decoded = decode(encoded.mode(), dims, encoded.bytes(), seed).unwrap();
            decoded.add_scaled(0.7, &mut cached).unwrap();
            prop_assert_eq!(fused, cached);
        }
    }
}
