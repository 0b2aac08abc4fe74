//! The trellis mode as others see it: any budget, any length, any bytes.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod golden;

use proptest::prelude::*;
use qis_codec::{EncodeError, MAX_DIMS, MIN_TRELLIS_BYTES, Mode, decode, encode};

/// Encodes, decodes, and returns the squared error over the squared norm.
fn error(values: &[f32], budget: usize, seed: u64) -> f64 {
    let encoded = encode(values, budget, seed).unwrap();
    assert!(encoded.bytes().len() <= budget);
    let decoded = decode(encoded.mode(), values.len(), encoded.bytes(), seed).unwrap().to_vec();
    let squares = values.iter().zip(decoded).map(|(&x, y)| (y - f64::from(x)).powi(2));
    squares.sum::<f64>() / values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
}

fn wave(dims: usize) -> Vec<f32> {
    (0..dims).map(|i| (i as f32 * 1.7).sin() * (1.0 + (i as f32 * 0.3).cos())).collect()
}

#[test]
fn any_budget_from_the_least_up_takes_any_length() {
    for dims in [3, 4, 5, 17, 100, 512, 1000, MAX_DIMS] {
        for budget in [MIN_TRELLIS_BYTES, 9, 10, 11, 16, 33, 64, 128, 400] {
            let values = wave(dims);
            let _ = error(&values, budget, 5);
            let sparse: Vec<f32> =
                values.iter().enumerate().map(|(i, &x)| if i % 9 == 0 { x } else { 0.0 }).collect();
            let _ = error(&sparse, budget, 5);
            let mut alone = vec![0.0; dims];
            alone[dims / 2] = -3.0;
            let _ = error(&alone, budget, 5);
            let _ = error(&vec![1.0; dims], budget, 5);
        }
    }
}

/// Bytes and integers of known vectors: no version of the decoder may read them otherwise.
#[test]
fn golden_vectors_decode_to_these_integers() {
    for (dims, seed, bytes, integers, scale) in golden::VECTORS {
        let bytes: Vec<u8> =
            (0..bytes.len() / 2).map(|i| u8::from_str_radix(&bytes[2 * i..2 * i + 2], 16).unwrap()).collect();
        let decoded = decode(Mode::Trellis, *dims, &bytes, *seed).unwrap();
        assert_eq!(decoded.integers().unwrap(), (*integers, *scale));
    }
}

#[test]
#[ignore = "prints what the golden vectors are made from"]
fn print_golden_vectors() {
    let sparse = |dims| (0..dims).map(|i| if i % 4 == 1 { wave(dims)[i] } else { 0.0 }).collect();
    let mut outlying = wave(10);
    outlying[3] = 2000.0;
    for (seed, values, budget) in [
        (1, wave(12), 9),
        (u64::MAX, wave(12), 16),
        (0x0123_4567_89ab_cdef, wave(16), 40),
        (2, wave(24), 16),
        (3, wave(24), 9),
        (7, sparse(20), 16),
        (9, sparse(40), 10),
        (8, outlying, 20),
    ] {
        let values: Vec<f32> = values;
        let encoded = encode(&values, budget, seed).unwrap();
        let hex: String = encoded.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let decoded = decode(encoded.mode(), values.len(), encoded.bytes(), seed).unwrap();
        let (integers, scale) = decoded.integers().unwrap();
        println!("    ({}, {seed}, \"{hex}\", &{integers:?}, {scale:?}),", values.len());
    }
}

#[test]
fn more_bytes_mean_less_error() {
    let values = wave(512);
    let errors = [64, 96, 128, 192, 256, 320, 400, 800, 1600].map(|budget| error(&values, budget, 1));
    assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
}

#[test]
fn magnitude_does_not_matter() {
    for exponent in [-120, -60, 0, 60, 120] {
        let values: Vec<f32> = wave(256).iter().map(|x| x * 2.0_f32.powi(exponent)).collect();
        let error = error(&values, 160, 2);
        assert!(error < 5e-3, "2^{exponent}: {error}");
    }
    let tiny: Vec<f32> = wave(256).iter().map(|x| x * 1e-44).collect();
    assert!(encode(&tiny, 100, 0).is_ok());
    assert!(encode(&[1e33; 256], 8, 0).is_ok());
    assert!(encode(&[f32::MAX; 256], 256, 0).is_ok());
}

/// Numbers of all magnitudes below 1e34, many of them zero or nearly so.
fn wild() -> impl Strategy<Value = f32> {
    prop_oneof![
        Just(0.0_f32),
        any::<u32>().prop_map(|bits| f32::from_bits(bits % 0x78f0_0000)),
        any::<u32>().prop_map(|bits| -f32::from_bits(bits % 0x78f0_0000)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn wild_vectors_fit_any_budget(values in proptest::collection::vec(wild(), 3..80), budget in 8_usize..40, seed: u64) {
        match encode(&values, budget, seed) {
            Ok(encoded) => {
                prop_assert!(encoded.bytes().len() <= budget);
                prop_assert!(decode(encoded.mode(), values.len(), encoded.bytes(), seed).is_ok());
            }
            Err(error) => prop_assert!(matches!(error, EncodeError::Outlier { .. }), "{error}"),
        }
    }
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_close_by(
        values in proptest::collection::vec(prop_oneof![Just(0.0_f32), -1.0_f32..1.0, -1e3_f32..1e3], 3..400),
        budget in MIN_TRELLIS_BYTES..500,
        seed: u64,
    ) {
        prop_assume!(values.iter().any(|&x| x != 0.0));
        let error = error(&values, budget, seed);
        prop_assert!(error.is_finite());
        if budget > values.len() + 20 {
            prop_assert!(error < 1e-2, "{}", error);
        }
    }

    #[test]
    fn any_bytes_are_a_vector_or_refused(
        dims in 0_usize..600, bytes in proptest::collection::vec(any::<u8>(), 0..200), seed: u64,
    ) {
        if let Ok(decoded) = decode(Mode::Trellis, dims, &bytes, seed) {
            prop_assert_eq!(decoded.dims(), dims);
            prop_assert!(decoded.to_vec().iter().all(|value| value.is_finite()));
        }
    }

    #[test]
    fn changed_bytes_are_a_vector_or_refused(
        dims in 3_usize..300, budget in 8_usize..200, at: prop::sample::Index, bits: u8, seed: u64,
    ) {
        let encoded = encode(&wave(dims), budget, seed).unwrap();
        let mut bytes = encoded.bytes().to_vec();
        let index = at.index(bytes.len());
        bytes[index] ^= bits;
        if let Ok(decoded) = decode(Mode::Trellis, dims, &bytes, seed) {
            prop_assert!(decoded.to_vec().iter().all(|value| value.is_finite()));
        }
        let _ = decode(Mode::Trellis, dims, &bytes[..at.index(bytes.len())], seed);
    }
}
