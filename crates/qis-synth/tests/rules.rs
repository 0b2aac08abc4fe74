//! What holds for every rule for plain vectors.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use qis_codec::{Mode, decode};
use qis_packet::{AuthorId, Confidence, Organisation, Timestamp};
use qis_synth::evidence::{Evidence, Family, Scaling, Schema};
use qis_synth::rules::{self, Intake, Median, Robust};
use qis_synth::{
    Abstention, Content, Exclusion, Own, Sample, Samples, Standing, Synthesis, SynthesisError, Synthesizer,
};

fn vector(values: &[f32]) -> Content {
    let zero = values.iter().all(|&value| value == 0.0);
    let (mode, bytes) = if zero {
        (Mode::Empty, Vec::new())
    } else {
        // Adding zero turns -0 into +0.
        (Mode::Raw, values.iter().flat_map(|value| (value + 0.0).to_le_bytes()).collect())
    };
    Content::Delta(Arc::new(decode(mode, values.len(), &bytes, 0).unwrap()))
}

fn sample(author: u8, values: &[f32]) -> Sample {
    Sample::new(AuthorId::from_bytes([author; 16]), vector(values))
}

fn evidence() -> Evidence {
    let schema = Schema::new(Family::Gaussian, ["x"], Scaling::SiteLocal).unwrap();
    Evidence::gaussian(&schema, &[1.0, 2.0, 4.0], &[1.0, 2.0, 2.0]).unwrap()
}

fn every_rule() -> impl Iterator<Item = (&'static str, Box<dyn Synthesizer>)> {
    rules::NAMES.into_iter().map(|name| (name, rules::by_name(name).unwrap()))
}

prop_compose! {
    /// A value such as peers may send: ordinary, the same as others', or of any size.
    fn value()(kind in 0..6_u8, ordinary in -2.0_f32..2.0, any in any::<f32>()) -> f32 {
        match kind {
            0 => 1.0,
            1 if any.is_finite() => any,
            _ => ordinary,
        }
    }
}

prop_compose! {
    fn samples()(
        votes in proptest::collection::vec(
            (proptest::collection::vec(value(), 4), any::<u8>(), any::<i8>(), 0..5_u8, 0..400_u64), 1..24
        )
    ) -> Vec<Sample> {
        let samples = (0..).zip(votes).map(|(author, (values, confidence, similarity, organisation, time))| Sample {
            confidence: Confidence::from_byte(confidence),
            similarity: f32::from(similarity) / 128.0,
            organisation: (organisation < 2).then(|| Organisation::from_bytes([organisation; 8])),
            time: Some(Timestamp::from_unix_seconds(time)),
            ..sample(author, &values)
        });
        samples.collect()
    }
}

/// The bits of a result, in which zeros of two signs differ.
fn bits(synthesis: &Synthesis) -> Vec<u64> {
    let weights = synthesis.contributions.iter().map(|contribution| contribution.weight);
    let numbers = synthesis.estimate.iter().copied().chain(weights).chain(synthesis.peer_weight);
    numbers.map(f64::to_bits).collect()
}

fn check(rule: &dyn Synthesizer, own: &Own<'_>, samples: &[Sample], order: &[Sample]) {
    let run = |samples: &[Sample]| rule.synthesize(own, &Samples::new(samples.to_vec()).unwrap());
    let (first, again) = (run(samples), run(order));
    let (Ok(first), Ok(again)) = (&first, &again) else {
        assert_eq!(first.map_err(|e| e.to_string()), again.map_err(|e| e.to_string()));
        return;
    };
    assert_eq!(bits(first), bits(again), "{rule:?}: the order of arrival shows");
    assert_eq!(first, again);
    assert!(first.estimate.iter().all(|value| value.is_finite()), "{rule:?} {first}");
    assert_eq!(first.contributions.len(), samples.len());
    let total: f64 = first.contributions.iter().map(|contribution| contribution.weight).sum();
    let expected = if first.abstained.is_some() { 0.0 } else { 1.0 };
    assert!((total - expected).abs() < 1e-9, "{rule:?} {first}");
    for contribution in &first.contributions {
        let excluded = matches!(contribution.standing, Standing::Excluded(_));
        assert_eq!(excluded, contribution.weight <= 0.0, "{rule:?} {first}");
        assert!(contribution.weight >= 0.0);
    }
    assert!(first.origins <= samples.len());
    let _ = first.to_string();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_arrival_does_not_show_and_results_are_finite(
        (samples, order) in samples().prop_flat_map(|samples| (Just(samples.clone()), Just(samples).prop_shuffle())),
        own in proptest::collection::vec(-2.0_f32..2.0, 4),
    ) {
        for (_, rule) in every_rule() {
            check(&*rule, &Own::delta(&own), &samples, &order);
            check(&*rule, &Own::nothing(), &samples, &order);
        }
        let intake = Intake::DEFAULT.half_life(Duration::from_secs(30)).min_similarity(-0.5).max_norm(4.0).min_origins(2);
        let now = Timestamp::from_unix_seconds(400);
        check(&Robust::default().with_intake(intake), &Own::delta(&own).at(now), &samples, &order);
        check(&Median::default().with_intake(intake.max_abs(5.0)), &Own::delta(&own).at(now), &samples, &order);
    }
}

#[test]
fn an_author_s_influence_is_bounded_but_for_the_means() {
    for (name, rule) in every_rule().filter(|(name, _)| !["ema", "anchored-mean"].contains(name)) {
        for count in [3, 9] {
            let spread = |at: u8| [1.0 + 0.1 * f32::from(at % 3), 1.0 - 0.1 * f32::from(at), 0.5, 0.0];
            let mut samples: Vec<Sample> = (1..=count).map(|at| sample(at, &spread(at))).collect();
            samples.push(sample(200, &[-3e38, 3e38, 3e38, -3e38]));
            let own = [1.0, 0.7, 0.5, 0.0];
            let synthesis = rule.synthesize(&Own::delta(&own), &Samples::new(samples).unwrap()).unwrap();
            assert!(synthesis.estimate.iter().all(|value| value.abs() < 2.5), "{name} {count}: {synthesis}");
        }
    }
}

#[test]
fn what_is_not_of_the_domain_is_left_out_by_name_and_the_rest_goes_on() {
    let own_evidence = evidence();
    let summary = qis_synth::evidence::EvidenceSummary::decode(
        Family::Gaussian,
        2,
        &own_evidence.summary().encode(512).unwrap(),
    );
    let stranger = Sample::new(AuthorId::from_bytes([1; 16]), Content::Evidence(Arc::new(summary.unwrap())));
    let longer = sample(2, &[1.0, 2.0, 3.0]);
    let samples: Vec<Sample> = (3..12).map(|at| sample(at, &[1.0, f32::from(at)])).collect();
    for (name, rule) in every_rule() {
        let all = [&[stranger.clone(), longer.clone()], &samples[..]].concat();
        // Without own data the domain is what most send, and not what the first does.
        for own in [Own::delta(&[1.0, 7.0]), Own::nothing()] {
            let synthesis = rule.synthesize(&own, &Samples::new(all.clone()).unwrap()).unwrap();
            let domain = Standing::Excluded(Exclusion::Domain);
            assert_eq!([0, 1].map(|at| synthesis.contributions[at].standing), [domain; 2], "{name}");
            assert_eq!(synthesis.excluded().get(&Exclusion::Domain), Some(&2));
            let without = rule.synthesize(&own, &Samples::new(samples.clone()).unwrap()).unwrap();
            assert_eq!(synthesis.estimate, without.estimate, "{name}");
        }
        let error = rule.synthesize(&Own::evidence(&own_evidence), &Samples::default()).unwrap_err();
        assert!(matches!(error, SynthesisError::Own(_)), "{name}");
        let nan = rule.synthesize(&Own::delta(&[f32::NAN]), &Samples::default()).unwrap_err();
        assert!(matches!(nan, SynthesisError::Own(_)), "{name}");
    }
}

#[test]
fn each_check_of_the_intake_leaves_out_what_fails_it() {
    let now = Timestamp::from_unix_seconds(100_000);
    let at = |seconds| Some(Timestamp::from_unix_seconds(seconds));
    let similar = |sample| Sample { similarity: 1.0, ..sample };
    let samples = vec![
        similar(sample(1, &[1.0])),
        similar(sample(2, &[2.0])),
        similar(sample(3, &[3.0])),
        similar(sample(4, &[50.0])),
        similar(sample(5, &[2000.0])),
        sample(6, &[1.5]),
        Sample { similarity: f32::NAN, ..sample(7, &[1.5]) },
        Sample { time: at(0), ..similar(sample(8, &[1.0])) },
        Sample { confidence: Confidence::NONE, ..similar(sample(9, &[1.0])) },
        // From the future: as new as now.
        Sample { time: at(200_000), ..similar(sample(10, &[2.0])) },
    ];
    let samples = Samples::new(samples).unwrap();
    let intake = Intake::DEFAULT
        .min_similarity(0.5)
        .max_abs(1000.0)
        .max_norm(10.0)
        .half_life(Duration::from_secs(1000));
    let rule = Median::default().with_intake(intake);
    let synthesis = rule.synthesize(&Own::nothing().at(now), &samples).unwrap();
    let expected = [
        (Exclusion::NoConfidence, 1),
        (Exclusion::Range, 1),
        (Exclusion::Dissimilar, 2),
        (Exclusion::Outlier, 1),
        (Exclusion::NotChosen, 2),
        (Exclusion::Stale, 1),
    ];
    assert_eq!(synthesis.excluded(), expected.into(), "{synthesis}");
    assert_eq!(synthesis.estimate, [2.0]);
}

#[test]
fn a_vote_halves_with_each_half_life() {
    let intake = Intake::DEFAULT.half_life(Duration::from_secs(3600));
    let rule = rules::AnchoredMean::default().with_intake(intake);
    let at = |seconds, author, value| Sample {
        time: Some(Timestamp::from_unix_seconds(seconds)),
        ..sample(author, &[value])
    };
    let samples = Samples::new(vec![at(7200, 1, 1.0), at(0, 2, 6.0)]).unwrap();
    let estimate = |own: Own<'_>| rule.synthesize(&own, &samples).unwrap().estimate[0];
    // A quarter of a vote beside a whole one.
    let now = Own::nothing().at(Timestamp::from_unix_seconds(7200));
    assert!((estimate(now) - (1.0 + 0.25 * 6.0) / 1.25).abs() < 1e-12);
    assert!((estimate(Own::nothing()) - 3.5).abs() < 1e-12, "without a time nothing ages");
}

#[test]
fn too_few_independent_origins_are_an_abstention() {
    let of = Some(Organisation::new("one"));
    let samples = (1..5).map(|author| Sample { organisation: of, ..sample(author, &[1.0]) }).collect();
    let samples = Samples::new(samples).unwrap();
    let rule = Median::default().with_intake(Intake::DEFAULT.min_origins(2));
    let synthesis = rule.synthesize(&Own::delta(&[9.0]), &samples).unwrap();
    assert_eq!(synthesis.estimate, [9.0]);
    assert_eq!(synthesis.abstained, Some(Abstention::TooFewOrigins { found: 1, needed: 2 }));
    assert_eq!(synthesis.excluded(), [(Exclusion::Abstained, 4)].into());
    let error = rule.synthesize(&Own::nothing(), &samples).unwrap_err();
    assert!(matches!(error, SynthesisError::TooFewOrigins { found: 1, needed: 2 }), "{error}");
}
