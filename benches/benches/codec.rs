//! What the delta codec costs, beside an axpy in `f64` of the same length and the simplest forms of a vector.
#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use qis_codec::{Decoded, Encoded, accumulate, decode, encode};

/// Vectors a bench goes round: enough that no branch predictor learns one by heart.
const VECTORS: u64 = 64;

const WEIGHT: f64 = 0.05;

/// Nearly Gaussian: the sum of twelve uniform numbers.
fn vector(seed: u64, dims: usize) -> Vec<f32> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut uniform = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / 16_777_216.0 - 0.5
    };
    (0..dims).map(|_| (0..12).map(|_| uniform()).sum()).collect()
}

fn codec(criterion: &mut Criterion) {
    for (dims, budget) in [(128, 128), (512, 128), (512, 320), (1024, 320), (2048, 320)] {
        let vectors: Vec<Vec<f32>> = (0..VECTORS).map(|seed| vector(seed, dims)).collect();
        let encoded: Vec<Encoded> =
            vectors.iter().zip(0..).map(|(vector, seed)| encode(vector, budget, seed).unwrap()).collect();
        let decoded: Vec<Decoded> = encoded
            .iter()
            .zip(0..)
            .map(|(encoded, seed)| decode(encoded.mode(), dims, encoded.bytes(), seed).unwrap())
            .collect();
        let doubles: Vec<Vec<f64>> =
            vectors.iter().map(|vector| vector.iter().map(|&value| f64::from(value)).collect()).collect();
        // The simplest lossy form: bytes and a scale.
        let scaled: Vec<(f32, Vec<i8>)> = vectors
            .iter()
            .map(|vector| {
                let scale = vector.iter().fold(0.0_f32, |peak, value| peak.max(value.abs())) / 127.0;
                (scale, vector.iter().map(|value| (value / scale) as i8).collect())
            })
            .collect();

        let mut group = criterion.benchmark_group(format!("codec_{dims}"));
        group.throughput(Throughput::Elements(VECTORS));
        let id = |name| BenchmarkId::new(name, format!("{budget}B"));
        let mut sum = vec![0.0_f64; dims];
        let mut single = vec![0.0_f32; dims];
        let mut fixed = vec![0_i64; dims];

        group.bench_function(id("axpy_f64"), |bencher| {
            bencher.iter(|| {
                for vector in black_box(&doubles) {
                    for (total, value) in sum.iter_mut().zip(vector) {
                        *total += WEIGHT * value;
                    }
                }
                black_box(&sum);
            });
        });
        group.bench_function(id("encode"), |bencher| {
            bencher.iter(|| {
                for (vector, seed) in black_box(&vectors).iter().zip(0..) {
                    black_box(encode(vector, budget, seed).unwrap());
                }
            });
        });
        group.bench_function(id("wire_to_accumulate"), |bencher| {
            bencher.iter(|| {
                for (encoded, seed) in black_box(&encoded).iter().zip(0..) {
                    accumulate(encoded.mode(), dims, encoded.bytes(), seed, WEIGHT, &mut sum).unwrap();
                }
                black_box(&sum);
            });
        });
        group.bench_function(id("wire_to_cached"), |bencher| {
            bencher.iter(|| {
                for (encoded, seed) in black_box(&encoded).iter().zip(0..) {
                    black_box(decode(encoded.mode(), dims, encoded.bytes(), seed).unwrap());
                }
            });
        });
        group.bench_function(id("cached_accumulate_f64"), |bencher| {
            bencher.iter(|| {
                for decoded in black_box(&decoded) {
                    decoded.add_scaled(WEIGHT, &mut sum).unwrap();
                }
                black_box(&sum);
            });
        });
        group.bench_function(id("cached_accumulate_f32"), |bencher| {
            bencher.iter(|| {
                for decoded in black_box(&decoded) {
                    decoded.add_scaled_f32(WEIGHT as f32, &mut single).unwrap();
                }
                black_box(&single);
            });
        });
        group.bench_function(id("cached_accumulate_fixed"), |bencher| {
            bencher.iter(|| {
                for decoded in black_box(&decoded) {
                    decoded.add_fixed(WEIGHT, &mut fixed).unwrap();
                }
                black_box(&fixed);
            });
        });
        group.bench_function(id("raw_f32"), |bencher| {
            bencher.iter(|| {
                for vector in black_box(&vectors) {
                    for (total, value) in sum.iter_mut().zip(vector) {
                        *total += WEIGHT * f64::from(*value);
                    }
                }
                black_box(&sum);
            });
        });
        group.bench_function(id("int8"), |bencher| {
            bencher.iter(|| {
                for (scale, bytes) in black_box(&scaled) {
                    let factor = WEIGHT * f64::from(*scale);
                    for (total, byte) in sum.iter_mut().zip(bytes) {
                        *total += factor * f64::from(*byte);
                    }
                }
                black_box(&sum);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
