//! A decoded vector is finite, and unless a loss was allowed has one encoding; any finite vector comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qis_codec::{EncodeError, MAX_DIMS, MIN_TRELLIS_BYTES, Mode, accumulate, decode, encode};
use qis_fuzz::Reader;

fuzz_target!(|data: &[u8]| {
    let mut input = Reader(data);
    let mode = input.byte();
    let dims = usize::from(input.u16());
    let seed = u64::from(mode);
    if let Some(mode) = Mode::from_code(mode)
        && let Ok(decoded) = decode(mode, dims, input.0, seed)
    {
        let values = decoded.to_vec();
        assert_eq!(values.len(), dims);
        assert!(values.iter().all(|value| value.is_finite()));
        if mode != Mode::Trellis {
            let single: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            let again =
                encode(&single, input.0.len(), seed).expect("what was decoded fits where it came from");
            assert_eq!((again.mode(), again.bytes()), (mode, input.0));
        }
        let mut sum = values.clone();
        decoded.add_scaled(-1.0, &mut sum).expect("the same length");
        assert!(sum.iter().all(|&value| value == 0.0));
        accumulate(mode, dims, input.0, seed, 1.0, &mut sum).expect("the same bytes");
        assert_eq!(sum, values);
    }

    let (chunks, _) = input.0.as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|&four| f32::from_le_bytes(four)).collect();
    match encode(&values, dims, seed) {
        Ok(encoded) => {
            assert!(encoded.bytes().len() <= dims);
            let decoded =
                decode(encoded.mode(), values.len(), encoded.bytes(), seed).expect("an encoding decodes");
            let exact = encoded.mode() != Mode::Trellis;
            assert!(
                decoded.to_vec().iter().zip(&values).all(|(&out, &value)| !exact || out == f64::from(value))
            );
        }
        Err(EncodeError::Budget { .. }) => {
            assert!(dims < MIN_TRELLIS_BYTES || values.iter().any(|value| value.abs() > 1e34));
        }
        Err(EncodeError::Outlier { .. }) => assert!(values.len() * 4 > dims),
        Err(_) => assert!(
            values.is_empty() || values.len() > MAX_DIMS || values.iter().any(|value| !value.is_finite())
        ),
    }
});
