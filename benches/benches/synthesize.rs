//! What a synthesis costs, by rule.
#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use qis::synth::evidence::EvidenceSummary;
use qis::synth::{Content, Own, Sample, Samples, rules};
use qis::{
    AnchoredMean, AuthorId, Ema, EmpiricalBayes, Evidence, Family, Scaling, Schema, Support, Synthesizer,
};

const PEERS: u8 = 20;

fn sample(author: u8, content: Content) -> Sample {
    let author = AuthorId::from_bytes([author; 16]);
    Sample { similarity: 1.0, support: Support::of(100), ..Sample::new(author, content) }
}

/// The rules of plain vectors beside the loop they come down to.
fn deltas(criterion: &mut Criterion) {
    for dims in [64, 512] {
        let vectors: Vec<Vec<f32>> = (0..PEERS)
            .map(|peer| (0..dims).map(|i| (f32::from(peer) + 1.0) / (i as f32 + 1.0)).collect())
            .collect();
        let decode = |vector: &Vec<f32>| {
            let encoded = qis_codec::encode(vector, 4 * dims, 0).unwrap();
            qis_codec::decode(encoded.mode(), dims, encoded.bytes(), 0).unwrap()
        };
        let contents = vectors.iter().map(|vector| Content::Delta(Arc::new(decode(vector))));
        let samples = Samples::new((0..PEERS).zip(contents).map(|(i, content)| sample(i, content)).collect());
        let samples = samples.unwrap();
        let own = vec![0.5_f32; dims];
        let mut group = criterion.benchmark_group(format!("deltas_{dims}x{PEERS}"));
        group.bench_function("axpy_f64", |bencher| {
            let mut sum = vec![0.0_f64; dims];
            bencher.iter(|| {
                for vector in black_box(&vectors) {
                    for (total, value) in sum.iter_mut().zip(vector) {
                        *total += 0.05 * f64::from(*value);
                    }
                }
                black_box(&sum);
            });
        });
        let anchored = AnchoredMean::default();
        group.bench_function("anchored_mean", |bencher| {
            bencher.iter(|| anchored.synthesize(&Own::delta(&own), black_box(&samples)).unwrap());
        });
        let article = Ema::default();
        group.bench_function("ema", |bencher| {
            bencher.iter(|| article.synthesize(&Own::delta(&own), black_box(&samples)).unwrap());
        });
        let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24) - 0.5;
        let unlike: Vec<Content> = (0..u32::from(PEERS))
            .map(|peer| {
                let vector: Vec<f32> = (0..dims as u32).map(|i| noise(i + 7919 * peer) as f32).collect();
                Content::Delta(Arc::new(decode(&vector)))
            })
            .collect();
        let samples = Samples::new((0..PEERS).zip(unlike).map(|(i, content)| sample(i, content)).collect());
        let samples = samples.unwrap();
        for name in rules::NAMES.into_iter().filter(|name| !["ema", "anchored-mean"].contains(name)) {
            let rule = rules::by_name(name).unwrap();
            group.bench_function(name, |bencher| {
                bencher.iter(|| rule.synthesize(&Own::delta(&own), black_box(&samples)).unwrap());
            });
        }
        group.finish();
    }
}

/// Made-up sites of a logistic model with 13 features.
fn site(schema: &Schema, seed: u32, records: u32) -> Evidence {
    let features = u32::try_from(schema.features().len()).unwrap();
    let noise = |i: u32| f64::from(i.wrapping_mul(2_654_435_761) >> 8) / f64::from(1_u32 << 24) - 0.5;
    let x: Vec<f64> = (0..records * features).map(|i| noise(i + seed * 7919)).collect();
    let y = x.chunks(schema.features().len()).enumerate().map(|(i, row)| {
        let noise = noise(u32::try_from(i).unwrap() + seed * 104_729);
        f64::from(u8::from(row[0] - row[1] + noise > 0.0))
    });
    let y: Vec<f64> = y.collect();
    Evidence::logistic(schema, &x, &y).unwrap()
}

fn evidence(criterion: &mut Criterion) {
    let names: Vec<String> = (0..13).map(|i| format!("feature-{i}")).collect();
    let schema = Schema::new(Family::Logistic, names, Scaling::SiteLocal).unwrap();
    let own = site(&schema, 0, 100);
    let mut group = criterion.benchmark_group("empirical_bayes_14");
    for peers in [3_u8, 40] {
        let samples = (1..=peers).map(|peer| {
            let bytes = site(&schema, u32::from(peer), 100).summary().encode(512).unwrap();
            let summary = EvidenceSummary::decode(Family::Logistic, 14, &bytes).unwrap();
            sample(peer, Content::Evidence(Arc::new(summary)))
        });
        let samples = Samples::new(samples.collect()).unwrap();
        let rule = EmpiricalBayes::default();
        group.bench_function(format!("{peers}_peers"), |bencher| {
            bencher.iter(|| rule.synthesize(&Own::evidence(&own), black_box(&samples)).unwrap());
        });
    }
    group.bench_function("encode_evidence", |bencher| bencher.iter(|| own.summary().encode(512).unwrap()));
    let bytes = own.summary().encode(512).unwrap();
    group.bench_function("decode_evidence", |bencher| {
        bencher.iter(|| EvidenceSummary::decode(Family::Logistic, 14, black_box(&bytes)).unwrap());
    });
    group.finish();
}

criterion_group!(benches, deltas, evidence);
criterion_main!(benches);
