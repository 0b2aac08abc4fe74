//! How long the codec takes, beside the cheapest thing that could be done with a vector.

use std::hint::black_box;
use std::time::{Duration, Instant};

use qis_codec::{Decoded, Encoded, accumulate, encode};

/// Vectors a measurement goes round: enough that no branch predictor learns one by heart.
pub(crate) const VECTORS: usize = 64;

const WEIGHT: f64 = 0.05;
/// Fast passes are repeated to take at least this long, so that the clock's own time does not count.
const LEAST_PASS: Duration = Duration::from_micros(200);
const ROUNDS: usize = 51;
const LEAST_ROUNDS: usize = 5;
/// No further round is begun after this, on a slow machine or in an unoptimised build.
const LIMIT: Duration = Duration::from_secs(1);

/// A vector in all the forms that are measured.
pub(crate) struct Subject<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) encoded: &'a Encoded,
    pub(crate) decoded: &'a Decoded,
    pub(crate) seed: u64,
}

/// Nanoseconds a vector.
pub(crate) struct Timings {
    pub(crate) encode: f64,
    pub(crate) decode_accumulate: f64,
    pub(crate) cached_accumulate: f64,
    pub(crate) cached_accumulate_f64: f64,
    pub(crate) axpy_f64: f64,
}

/// Medians over rounds, on this thread. A round measures everything once, so that what slows the machine down slows all of it.
pub(crate) fn measure(subjects: &[Subject<'_>], dims: usize, budget: usize) -> Timings {
    let doubles: Vec<Vec<f64>> = subjects
        .iter()
        .map(|subject| subject.values.iter().map(|&value| f64::from(value)).collect())
        .collect();
    let (mut fused, mut cached, mut axpy) = (vec![0.0; dims], vec![0.0; dims], vec![0.0; dims]);
    let mut single = vec![0.0_f32; dims];

    let mut encode_all = || {
        for subject in black_box(subjects) {
            let _ = black_box(encode(subject.values, budget, subject.seed));
        }
    };
    let mut decode_all = || {
        for &Subject { encoded, seed, .. } in black_box(subjects) {
            let _ = accumulate(encoded.mode(), dims, encoded.bytes(), seed, WEIGHT, &mut fused);
        }
        black_box(&fused);
    };
    let mut cached_all = || {
        for subject in black_box(subjects) {
            #[expect(clippy::cast_possible_truncation, reason = "single precision is what is measured")]
            let _ = subject.decoded.add_scaled_f32(WEIGHT as f32, &mut single);
        }
        black_box(&single);
    };
    let mut cached_f64_all = || {
        for subject in black_box(subjects) {
            let _ = subject.decoded.add_scaled(WEIGHT, &mut cached);
        }
        black_box(&cached);
    };
    let mut axpy_all = || {
        for vector in black_box(&doubles) {
            for (total, value) in axpy.iter_mut().zip(vector) {
                *total += WEIGHT * value;
            }
        }
        black_box(&axpy);
    };

    let mut passes: [&mut dyn FnMut(); 5] =
        [&mut encode_all, &mut decode_all, &mut cached_all, &mut cached_f64_all, &mut axpy_all];
    let repeats = passes.each_mut().map(|pass| {
        // The first pass warms up.
        time(*pass, 1);
        let once = time(*pass, 1).max(Duration::from_nanos(1));
        u32::try_from(LEAST_PASS.as_nanos() / once.as_nanos()).unwrap_or(u32::MAX) + 1
    });
    let mut times: [Vec<f64>; 5] = Default::default();
    let started = Instant::now();
    for round in 0..ROUNDS {
        if round >= LEAST_ROUNDS && started.elapsed() > LIMIT {
            break;
        }
        for ((pass, &repeats), times) in passes.iter_mut().zip(&repeats).zip(&mut times) {
            let vectors = f64::from(repeats) * subjects.len() as f64;
            times.push(time(*pass, repeats).as_secs_f64() * 1e9 / vectors);
        }
    }
    let [encode, decode_accumulate, cached_accumulate, cached_accumulate_f64, axpy_f64] = times.map(median);
    Timings { encode, decode_accumulate, cached_accumulate, cached_accumulate_f64, axpy_f64 }
}

fn time(pass: &mut dyn FnMut(), repeats: u32) -> Duration {
    let started = Instant::now();
    for _ in 0..repeats {
        pass();
    }
    started.elapsed()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or_default()
}
