//! Choosing a mode, and the way back.

use alloc::vec;
use alloc::vec::Vec;

use crate::{DecodeError, Decoded, EncodeError, Mode, dither, fit, stream};

/// The most coordinates a vector may have.
pub const MAX_DIMS: usize = 4096;

/// The fewest bytes into which every vector can be encoded that has no [outlier](EncodeError::Outlier) and whose largest coordinate is between
/// `1e-38` and `1e34`.
pub const MIN_TRELLIS_BYTES: usize = 8;

const BYTES_PER_COORDINATE: usize = 4;

/// The bytes of a vector and how to read them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    mode: Mode,
    bytes: Vec<u8>,
}

impl Encoded {
    /// How the bytes are to be read.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Writes a vector into at most `budget` bytes.
///
/// The zero vector takes none ([`Mode::Empty`]). A vector that fits as it is is written without loss ([`Mode::Raw`]); a negative zero
/// becomes zero, so that it has one form. Any other takes up to the whole budget ([`Mode::Trellis`]).
///
/// The trellis mode is for vectors whose largest coordinate is between about `1e-38` and `1e34`: scale others first. Its step is a
/// bfloat16, which has fewer bits below; above, the coarsest step may be too fine for few bytes, and a decoded coordinate beyond the `f32`
/// it was.
///
/// The seed chooses the dither of the trellis mode and must be known to the decoder. Give each vector another one, such as a hash of its
/// author and number: the error of a mean over many vectors falls only if their dithers are independent.
///
/// # Errors
///
/// [`EncodeError`] when the vector is empty, longer than [`MAX_DIMS`], not finite, needs more bytes, is too large, or has one
/// coordinate that would swamp the others.
pub fn encode(values: &[f32], budget: usize, seed: u64) -> Result<Encoded, EncodeError> {
    let dims = values.len();
    if dims == 0 || dims > MAX_DIMS {
        return Err(EncodeError::Dims { dims });
    }
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(EncodeError::NotFinite { index });
    }
    if values.iter().all(|&value| value == 0.0) {
        return Ok(Encoded { mode: Mode::Empty, bytes: Vec::new() });
    }
    if dims * BYTES_PER_COORDINATE <= budget {
        // Adding zero turns -0 into +0 and leaves every other value alone.
        let bytes = values.iter().flat_map(|&value| (value + 0.0).to_le_bytes()).collect();
        return Ok(Encoded { mode: Mode::Raw, bytes });
    }
    let needed = MIN_TRELLIS_BYTES.min(dims * BYTES_PER_COORDINATE);
    if budget < needed {
        return Err(EncodeError::Budget { needed, budget });
    }
    if let Some(index) = outlier(values) {
        return Err(EncodeError::Outlier { index });
    }
    let bytes = fit::encode(values, budget, seed).ok_or_else(|| {
        let largest = values.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        EncodeError::Magnitude { index: largest.map_or(0, |(index, _)| index) }
    })?;
    Ok(Encoded { mode: Mode::Trellis, bytes })
}

/// The coordinate beside which the finest possible step leaves nothing of the others.
fn outlier(values: &[f32]) -> Option<usize> {
    let square = |&value: &f32| f64::from(value) * f64::from(value);
    let (index, largest) = values.iter().map(square).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let others = || values.iter().enumerate().filter(|&(i, &value)| i != index && value != 0.0);
    let power: f64 = others().map(|(_, value)| square(value)).sum();
    let count = others().count();
    (count > 0 && largest > power / count as f64 * fit::MAX_STEPS * fit::MAX_STEPS).then_some(index)
}

/// Reads a vector of `dims` coordinates from exactly `bytes`, with the seed it was encoded with.
///
/// Total: any input gives a vector or an error, and nothing is allocated before `dims` is checked, nor more than `dims` asks for. The
/// empty and raw modes accept one form of each vector; in the trellis mode, different bytes may give the same vector.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not a vector of `dims` coordinates. In the trellis mode many that
/// nobody encoded are: it is no check of integrity.
pub fn decode(mode: Mode, dims: usize, bytes: &[u8], seed: u64) -> Result<Decoded, DecodeError> {
    check_dims(dims)?;
    let check_length = |expected| {
        let actual = bytes.len();
        if actual == expected { Ok(()) } else { Err(DecodeError::Length { mode, expected, actual }) }
    };
    match mode {
        Mode::Empty => {
            check_length(0)?;
            Ok(Decoded::zero(dims))
        }
        Mode::Raw => {
            check_length(dims * BYTES_PER_COORDINATE)?;
            let (coordinates, _) = bytes.as_chunks::<BYTES_PER_COORDINATE>();
            let values: Vec<f32> = coordinates.iter().map(|&four| f32::from_le_bytes(four)).collect();
            let negative_zero = (-0.0_f32).to_bits();
            let bad = |value: &f32| !value.is_finite() || value.to_bits() == negative_zero;
            if let Some(index) = values.iter().position(bad) {
                return Err(DecodeError::NotCanonical { index });
            }
            if values.iter().all(|&value| value == 0.0) {
                return Err(DecodeError::ZeroNotEmpty);
            }
            Ok(Decoded::real(values))
        }
        Mode::Trellis => {
            let mut integers = vec![0; dims];
            dither::fill(seed, &mut integers);
            let step = stream::read(bytes, &mut integers).ok_or(DecodeError::Malformed)?;
            Ok(Decoded::scaled(integers, step))
        }
    }
}

pub(crate) const fn check_dims(dims: usize) -> Result<(), DecodeError> {
    if dims == 0 || dims > MAX_DIMS { Err(DecodeError::Dims { dims }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn zero_vector_takes_no_bytes() {
        let encoded = encode(&[0.0, -0.0, 0.0], 0, 0).unwrap();
        assert_eq!((encoded.mode(), encoded.bytes()), (Mode::Empty, &[][..]));
        assert_eq!(decode(Mode::Empty, 3, &[], 0).unwrap().to_vec(), vec![0.0; 3]);
    }

    #[test]
    fn refuses_what_is_no_vector() {
        assert_eq!(encode(&[], 9, 0), Err(EncodeError::Dims { dims: 0 }));
        assert_eq!(encode(&[1.0; 4097], 1 << 20, 0), Err(EncodeError::Dims { dims: 4097 }));
        assert_eq!(encode(&[1.0, f32::NAN], 99, 0), Err(EncodeError::NotFinite { index: 1 }));
        assert_eq!(encode(&[1.0], 3, 0), Err(EncodeError::Budget { needed: 4, budget: 3 }));
        assert_eq!(encode(&[1.0; 9], 7, 0), Err(EncodeError::Budget { needed: 8, budget: 7 }));
    }

    #[test]
    fn says_what_is_too_large_for_few_bytes() {
        let mut values = [1e38; 64];
        values[9] = f32::MAX;
        assert_eq!(encode(&values, 8, 0), Err(EncodeError::Magnitude { index: 9 }));
        assert_eq!(encode(&values, 64, 0).unwrap().mode(), Mode::Trellis);
        assert_eq!(encode(&[1e34; 64], 8, 0).unwrap().mode(), Mode::Trellis);
    }

    #[test]
    fn refuses_one_coordinate_that_would_swamp_the_others() {
        let mut values = [1.0; 100];
        values[7] = -1e6;
        assert_eq!(encode(&values, 99, 0), Err(EncodeError::Outlier { index: 7 }));
        assert_eq!(encode(&values, 400, 0).unwrap().mode(), Mode::Raw);
        values[7] = -1e5;
        assert_eq!(encode(&values, 99, 0).unwrap().mode(), Mode::Trellis);
        let mut alone = [0.0; 100];
        alone[7] = 1e30;
        assert_eq!(encode(&alone, 99, 0).unwrap().mode(), Mode::Trellis);
    }

    #[test]
    fn refuses_second_forms_of_a_vector() {
        let minus_zero = [1.0_f32.to_le_bytes(), (-0.0_f32).to_le_bytes()].concat();
        assert_eq!(decode(Mode::Raw, 2, &minus_zero, 0), Err(DecodeError::NotCanonical { index: 1 }));
        assert_eq!(decode(Mode::Raw, 2, &[0; 8], 0), Err(DecodeError::ZeroNotEmpty));
        assert_eq!(
            decode(Mode::Empty, 2, &[0], 0),
            Err(DecodeError::Length { mode: Mode::Empty, expected: 0, actual: 1 })
        );
    }

    proptest! {
        #[test]
        fn raw_round_trip_is_exact(values in proptest::collection::vec(-1e30_f32..1e30, 1..200)) {
            let encoded = encode(&values, 4 * values.len(), 0).unwrap();
            let decoded = decode(encoded.mode(), values.len(), encoded.bytes(), 0).unwrap();
            let expected: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
            prop_assert_eq!(decoded.to_vec(), expected);
        }

        #[test]
        fn any_raw_bytes_decode_to_their_own_encoding_or_are_refused(
            dims in 0_usize..40, bytes in proptest::collection::vec(any::<u8>(), 0..160), raw: bool,
        ) {
            let mode = if raw { Mode::Raw } else { Mode::Empty };
            if let Ok(decoded) = decode(mode, dims, &bytes, 0) {
                #[expect(clippy::cast_possible_truncation, reason = "the values came from f32")]
                let values: Vec<f32> = decoded.to_vec().iter().map(|&v| v as f32).collect();
                let again = encode(&values, bytes.len(), 0).unwrap();
                prop_assert_eq!(again.bytes(), &bytes[..]);
                prop_assert_eq!(again.mode(), mode);
            }
        }
    }
}
