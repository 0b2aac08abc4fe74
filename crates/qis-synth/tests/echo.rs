//! Packets that go round a ring for fifteen rounds: nobody becomes surer than the evidence is.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeSet;
use std::sync::Arc;

use nalgebra::{DMatrix, DVector};
use qis_packet::{AuthorId, Confidence, Support};
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::evidence::{Evidence, EvidenceSummary, Family, Scaling, Schema};
use qis_synth::{Content, Own, Sample, Samples, Synthesizer};

const SITES: usize = 20;
const ROUNDS: usize = 15;
const RECORDS: usize = 12;
const DIMS: usize = 4;
const MEAN: [f64; DIMS] = [0.2, 0.7, -0.5, 0.3];
/// Standard deviations of the sites' coefficients, and of the outcomes.
const SPREAD: f64 = 0.3;
const NOISE: f64 = 0.7;

/// Twelve uniform numbers are as good as a normal one here.
struct Random(u64);

impl Random {
    fn normal(&mut self) -> f64 {
        let uniform = |_| {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        };
        (0..12).map(uniform).sum::<f64>() - 6.0
    }
}

struct Site {
    theta: [f64; DIMS],
    evidence: Evidence,
    /// As peers have it.
    received: Arc<EvidenceSummary>,
}

fn site(random: &mut Random) -> Site {
    let scaling = Scaling::Public { mean: vec![0.0; DIMS - 1], scale: vec![1.0; DIMS - 1] };
    let schema = Schema::new(Family::Gaussian, ["a", "b", "c"], scaling).unwrap();
    let theta = MEAN.map(|mean| mean + SPREAD * random.normal());
    let x: Vec<f64> = (0..RECORDS * (DIMS - 1)).map(|_| random.normal()).collect();
    let outcome = |row: &[f64]| {
        let slopes: f64 = row.iter().zip(&theta[1..]).map(|(x, t)| x * t).sum();
        theta[0] + slopes + NOISE * random.normal()
    };
    let y: Vec<f64> = x.chunks(DIMS - 1).map(outcome).collect();
    let evidence = Evidence::gaussian(&schema, &x, &y).unwrap();
    let payload = evidence.summary().encode(300).unwrap();
    let received = Arc::new(EvidenceSummary::decode(Family::Gaussian, DIMS, &payload).unwrap());
    Site { theta, evidence, received }
}

fn sample(author: usize, site: &Site) -> Sample {
    let author = AuthorId::from_bytes([u8::try_from(author).unwrap() + 1; 16]);
    Sample {
        similarity: 1.0,
        confidence: Confidence::FULL,
        support: Support::of(RECORDS as u64),
        ..Sample::new(author, Content::Evidence(Arc::clone(&site.received)))
    }
}

/// Who holds whose packets after some rounds, if everyone passes on all it holds to both neighbours.
fn held(rounds: usize) -> Vec<BTreeSet<usize>> {
    let mut held: Vec<BTreeSet<usize>> = (0..SITES).map(|site| BTreeSet::from([site])).collect();
    for _ in 0..rounds {
        let before = held.clone();
        for (site, packets) in held.iter_mut().enumerate() {
            packets.extend(&before[(site + 1) % SITES]);
            packets.extend(&before[(site + SITES - 1) % SITES]);
        }
    }
    held
}

#[test]
fn the_squared_error_stays_near_the_claimed_variance() {
    for rounds in [3, ROUNDS] {
        let held = held(rounds);
        let (mut ratios, mut count) = (0.0, 0.0);
        for seed in 0..2 {
            let mut random = Random(seed);
            let sites: Vec<Site> = (0..SITES).map(|_| site(&mut random)).collect();
            for (number, packets) in held.iter().enumerate() {
                let own = &sites[number];
                let peers = packets.iter().filter(|&&peer| peer != number);
                let samples = Samples::new(peers.map(|&k| sample(k, &sites[k])).collect()).unwrap();
                let rule = EmpiricalBayes::default();
                let synthesis = rule.synthesize(&Own::evidence(&own.evidence), &samples).unwrap();
                let variances = synthesis.uncertainty.unwrap();
                for ((found, truth), variance) in synthesis.estimate.iter().zip(own.theta).zip(variances) {
                    ratios += (found - truth) * (found - truth) / variance;
                    count += 1.0;
                }
            }
        }
        let ratio = ratios / count;
        println!("after {rounds} rounds: {ratio:.3}");
        assert!((0.8..=1.2).contains(&ratio), "after {rounds} rounds: {ratio}");
    }
}

/// What the node must not do, and does not: pass on what it has made of what it got.
#[test]
fn passing_on_posteriors_makes_everyone_sure_of_anything() {
    let mut random = Random(0);
    let sites: Vec<Site> = (0..SITES).map(|_| site(&mut random)).collect();
    let exact = |site: &Site| {
        let summary = site.evidence.summary();
        let precision = DMatrix::from_column_slice(DIMS, DIMS, summary.precision()) / (NOISE * NOISE);
        (precision, DVector::from_column_slice(summary.information()) / (NOISE * NOISE))
    };
    let mut beliefs: Vec<(DMatrix<f64>, DVector<f64>)> = sites.iter().map(exact).collect();
    for _ in 0..ROUNDS {
        let before = beliefs.clone();
        for (site, belief) in beliefs.iter_mut().enumerate() {
            for neighbour in [(site + 1) % SITES, (site + SITES - 1) % SITES] {
                belief.0 += &before[neighbour].0;
                belief.1 += &before[neighbour].1;
            }
        }
    }
    let truth = DVector::from_column_slice(&MEAN);
    let ratio = beliefs.into_iter().map(|(precision, information)| {
        let error = precision.clone().cholesky().unwrap().solve(&information) - &truth;
        error.dot(&(precision * &error)) / DIMS as f64
    });
    let ratio = ratio.sum::<f64>() / SITES as f64;
    println!("after {ROUNDS} rounds: {ratio:.3e}");
    assert!(ratio > 1e4, "{ratio}");
}
