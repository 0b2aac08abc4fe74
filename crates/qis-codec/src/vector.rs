//! Choosing a mode, and the way back.

use alloc::vec::Vec;

use crate::{DecodeError, Decoded, EncodeError, Mode};

/// The most coordinates a vector may have.
pub const MAX_DIMS: usize = 4096;

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
/// The zero vector takes none. A negative zero is written as zero, so that each vector has one form.
///
/// # Errors
///
/// [`EncodeError`] when the vector is empty, longer than [`MAX_DIMS`], not finite, or does not fit.
pub fn encode(values: &[f32], budget: usize) -> Result<Encoded, EncodeError> {
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
    let needed = dims * BYTES_PER_COORDINATE;
    if needed > budget {
        return Err(EncodeError::Budget { needed, budget });
    }
    // Adding zero turns -0 into +0 and leaves every other value alone.
    let bytes = values.iter().flat_map(|&value| (value + 0.0).to_le_bytes()).collect();
    Ok(Encoded { mode: Mode::Raw, bytes })
}

/// Reads a vector of `dims` coordinates from exactly `bytes`.
///
/// Total: any input gives a vector or an error, and nothing is allocated before the sizes agree.
///
/// # Errors
///
/// [`DecodeError`] when the bytes are not what [`encode`] writes for some vector of `dims` coordinates.
pub fn decode(mode: Mode, dims: usize, bytes: &[u8]) -> Result<Decoded, DecodeError> {
    if dims == 0 || dims > MAX_DIMS {
        return Err(DecodeError::Dims { dims });
    }
    let expected = match mode {
        Mode::Empty => 0,
        Mode::Raw => dims * BYTES_PER_COORDINATE,
    };
    if bytes.len() != expected {
        return Err(DecodeError::Length { mode, expected, actual: bytes.len() });
    }
    match mode {
        Mode::Empty => Ok(Decoded::zero(dims)),
        Mode::Raw => {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    #[test]
    fn zero_vector_takes_no_bytes() {
        let encoded = encode(&[0.0, -0.0, 0.0], 0).unwrap();
        assert_eq!((encoded.mode(), encoded.bytes()), (Mode::Empty, &[][..]));
        assert_eq!(decode(Mode::Empty, 3, &[]).unwrap().to_vec(), vec![0.0; 3]);
    }

    #[test]
    fn refuses_what_is_no_vector() {
        assert_eq!(encode(&[], 9), Err(EncodeError::Dims { dims: 0 }));
        assert_eq!(encode(&[1.0; 4097], 1 << 20), Err(EncodeError::Dims { dims: 4097 }));
        assert_eq!(encode(&[1.0, f32::NAN], 99), Err(EncodeError::NotFinite { index: 1 }));
        assert_eq!(encode(&[1.0, 2.0], 7), Err(EncodeError::Budget { needed: 8, budget: 7 }));
    }

    #[test]
    fn refuses_second_forms_of_a_vector() {
        let minus_zero = [1.0_f32.to_le_bytes(), (-0.0_f32).to_le_bytes()].concat();
        assert_eq!(decode(Mode::Raw, 2, &minus_zero), Err(DecodeError::NotCanonical { index: 1 }));
        assert_eq!(decode(Mode::Raw, 2, &[0; 8]), Err(DecodeError::ZeroNotEmpty));
        assert_eq!(
            decode(Mode::Empty, 2, &[0]),
            Err(DecodeError::Length { mode: Mode::Empty, expected: 0, actual: 1 })
        );
    }

    #[test]
    fn accumulation_refuses_another_length_and_leaves_it_alone() {
        let decoded = decode(Mode::Raw, 1, &1.5_f32.to_le_bytes()).unwrap();
        let mut sum = [7.0, 8.0];
        assert!(decoded.add_scaled(1.0, &mut sum).is_err());
        assert_eq!(sum, [7.0, 8.0]);
    }

    proptest! {
        #[test]
        fn round_trip_is_exact(values in proptest::collection::vec(-1e30_f32..1e30, 1..200)) {
            let encoded = encode(&values, 4 * values.len()).unwrap();
            let decoded = decode(encoded.mode(), values.len(), encoded.bytes()).unwrap();
            let expected: Vec<f64> = values.iter().map(|&v| f64::from(v)).collect();
            prop_assert_eq!(decoded.to_vec(), expected);
        }

        #[test]
        fn any_bytes_decode_to_their_own_encoding_or_are_refused(
            dims in 0_usize..40, bytes in proptest::collection::vec(any::<u8>(), 0..160), raw: bool,
        ) {
            let mode = if raw { Mode::Raw } else { Mode::Empty };
            if let Ok(decoded) = decode(mode, dims, &bytes) {
                #[expect(clippy::cast_possible_truncation, reason = "the values came from f32")]
                let values: Vec<f32> = decoded.to_vec().iter().map(|&v| v as f32).collect();
                let again = encode(&values, bytes.len()).unwrap();
                prop_assert_eq!(again.bytes(), &bytes[..]);
                prop_assert_eq!(again.mode(), mode);
            }
        }
    }
}
