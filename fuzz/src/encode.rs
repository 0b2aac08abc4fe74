//! Any finite vector that is no outlier comes back from any budget, without loss unless a loss was needed.

use crate::Reader;
use qis_codec::{EncodeError, MAX_DIMS, MIN_TRELLIS_BYTES, Mode, decode, encode};

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let seed = u64::from(input.byte());
    let budget = usize::from(input.u16());
    let (chunks, _) = input.0.as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|&four| f32::from_le_bytes(four)).collect();
    match encode(&values, budget, seed) {
        Ok(encoded) => {
            assert!(encoded.bytes().len() <= budget);
            let decoded =
                decode(encoded.mode(), values.len(), encoded.bytes(), seed).expect("an encoding decodes");
            let exact = encoded.mode() != Mode::Trellis;
            assert!(
                decoded.to_vec().iter().zip(&values).all(|(&out, &value)| !exact || out == f64::from(value))
            );
        }
        Err(EncodeError::Budget { .. }) => assert!(budget < MIN_TRELLIS_BYTES),
        Err(EncodeError::Magnitude { index }) => assert!(!(1e-38..=1e34).contains(&values[index].abs())),
        Err(EncodeError::Outlier { .. }) => assert!(values.len() * 4 > budget),
        Err(_) => assert!(
            values.is_empty() || values.len() > MAX_DIMS || values.iter().any(|value| !value.is_finite())
        ),
    }
}
