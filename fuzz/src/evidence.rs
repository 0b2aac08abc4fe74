//! Evidence that decodes is finite, consistent, and encodes to the bytes it came from.

use crate::Reader;
use qis_synth::evidence::{EvidenceSummary, Family};

/// Dimensions that a fuzzer reaches in few bytes, the ends of the range, and some beyond it.
const DIMS: [usize; 12] = [1, 2, 3, 4, 7, 12, 29, 64, 65, 66, 0, 4096];

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let dims = DIMS[usize::from(input.byte()) % DIMS.len()];
    for family in [Family::Logistic, Family::Gaussian, Family::Cox] {
        check(family, dims, input.0);
        // The same with the length that is expected, which a fuzzer seldom hits by chance.
        if (1..=66).contains(&dims) {
            let mut fitted = input.0.to_vec();
            fitted.resize(EvidenceSummary::encoded_len(family, dims), 0);
            check(family, dims, &fitted);
        }
    }
}

fn check(family: Family, dims: usize, bytes: &[u8]) {
    let Ok(summary) = EvidenceSummary::decode(family, dims, bytes) else { return };
    assert_eq!(summary.encode(bytes.len()).expect("it came out of so many bytes"), bytes);
    assert_eq!((summary.family(), summary.dims()), (family, dims));
    assert!(summary.records() >= 1);
    assert_eq!((summary.precision().len(), summary.information().len()), (dims * dims, dims));
    let finite = |values: &[f64]| values.iter().all(|value| value.is_finite());
    assert!(finite(summary.precision()) && finite(summary.information()));
    assert!(summary.outcome_squares().is_finite() && summary.outcome_squares() >= 0.0);
    for i in 0..dims {
        for j in 0..=i {
            assert_eq!(summary.precision()[i * dims + j], summary.precision()[j * dims + i]);
        }
    }
}
