//! A decoded vector is finite, and unless a loss was allowed has one encoding.

use crate::Reader;
use qis_codec::{MAX_DIMS, Mode, accumulate, decode, encode};

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let first = input.byte();
    let seed = u64::from(first);
    let Some(mode) = Mode::from_code(first & 3) else { return };
    // Mostly short vectors, which take less time and reach the same code.
    let dims = usize::from(input.u16()) >> (first >> 4);
    let mut sum = vec![0.0; dims.min(MAX_DIMS)];
    let Ok(decoded) = decode(mode, dims, input.0, seed) else {
        assert!(accumulate(mode, sum.len(), input.0, seed, 1.0, &mut sum).is_err() || dims > MAX_DIMS);
        assert!(dims > MAX_DIMS || sum.iter().all(|&value| value == 0.0));
        return;
    };
    let values = decoded.to_vec();
    assert_eq!(values.len(), dims);
    assert!(values.iter().all(|value| value.is_finite()));
    if mode != Mode::Trellis {
        let single: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        let again = encode(&single, input.0.len(), seed).expect("what was decoded fits where it came from");
        assert_eq!((again.mode(), again.bytes()), (mode, input.0));
    }
    accumulate(mode, dims, input.0, seed, 1.0, &mut sum).expect("the same bytes");
    assert_eq!(sum, values);
    decoded.add_scaled(-1.0, &mut sum).expect("the same length");
    assert!(sum.iter().all(|&value| value == 0.0));
}
