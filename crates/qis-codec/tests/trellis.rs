//! The trellis mode as others see it: any budget, any length, any bytes.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use proptest::prelude::*;
use qis_codec::{MAX_DIMS, MIN_TRELLIS_BYTES, Mode, decode, encode};

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
    for (dims, seed, bytes, integers, scale) in GOLDEN {
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
        (7, sparse(20), 16),
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

/// Coordinates, seed, bytes, integers, scale.
type Golden = (usize, u64, &'static str, &'static [i32], f64);

const GOLDEN: &[Golden] = &[
    (
        12,
        1,
        "9d00cfe850602522b2",
        &[219, 2973, -511, -2265, 791, 1377, -925, -319, 373, 173, 111, 231],
        0.000659942626953125,
    ),
    (
        12,
        18446744073709551615,
        "b016d54088d9a42391653a2a61a86c75",
        &[0, 90523, -22025, -70045, 31457, 39739, -25345, -14051, 10719, 1667, -343, 31],
        2.1457672119140625e-5,
    ),
    (
        16,
        81985529216486895,
        "5c11d080e8b272ad861554f89187f20fbefdcd608915bf73624c4b2c164c0dc7d81a7b147f41c468",
        &[
            0, 180067215, -43316475, -139417641, 62512405, 79395791, -50226727, -28423327, 20952129, 3533997,
            -893477, -173283, 9585285, -2764983, -46001547, 26314897,
        ],
        1.076841726899147e-8,
    ),
    (
        20,
        7,
        "50c187a77beb7f1ac722b043dab1c108",
        &[0, 16139949, 0, 0, 0, 7116521, 0, 0, 0, 317031, 0, 0, 0, -247951, 0, 0, 0, -6717025, 0, 0],
        1.2014061212539673e-7,
    ),
    (
        10,
        8,
        "4b1b1a1029b6d32378f95613b425f355b0b3b96c",
        &[0, 23709, -5675, 24244713, 8253, 10383, -6675, -3737, 2943, 339],
        8.249282836914063e-5,
    ),
];
