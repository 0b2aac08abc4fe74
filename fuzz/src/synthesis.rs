//! Whatever evidence and claims peers send, a synthesis ends, is finite and accounts for every sample.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::Reader;
use qis_codec::{Mode, decode};
use qis_packet::{AuthorId, Confidence, Organisation, Support, Timestamp};
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::evidence::{Evidence, EvidenceSummary, Family, Scaling, Schema};
use qis_synth::rules::{self, Intake, Robust};
use qis_synth::{Content, Own, Sample, Samples, Synthesizer};

const X: [f64; 12] = [60.0, 3.0, 45.0, 9.0, 71.0, 2.0, 38.0, 5.0, 66.0, 8.0, 52.0, 1.0];

static LOGISTIC: LazyLock<Evidence> = LazyLock::new(|| {
    let schema = Schema::new(Family::Logistic, ["a", "b"], Scaling::SiteLocal).expect("a schema");
    Evidence::logistic(&schema, &X, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0]).expect("evidence")
});

static GAUSSIAN: LazyLock<Evidence> = LazyLock::new(|| {
    let schema = Schema::new(Family::Gaussian, ["a", "b"], Scaling::SiteLocal).expect("a schema");
    Evidence::gaussian(&schema, &X, &[1.5, 0.25, 2.0, 0.5, 1.0, 0.0]).expect("evidence")
});

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let kind = input.byte();
    let own = if kind & 1 == 0 { &*LOGISTIC } else { &*GAUSSIAN };
    let vectors = kind & 2 != 0;
    let mut samples = Vec::new();
    for author in 0..12 {
        if input.is_empty() {
            break;
        }
        let similarity = f32::from(input.byte().cast_signed()) / 128.0;
        let confidence = Confidence::from_byte(input.byte());
        let support = Support::from_byte(input.byte());
        let content = if vectors {
            decode(Mode::Raw, 3, &input.array::<12>(), 0).ok().map(Arc::new).map(Content::Delta)
        } else {
            let mut bytes = input.take(EvidenceSummary::encoded_len(own.family(), 3)).to_vec();
            bytes.resize(EvidenceSummary::encoded_len(own.family(), 3), 0);
            EvidenceSummary::decode(own.family(), 3, &bytes).ok().map(Arc::new).map(Content::Evidence)
        };
        let id = AuthorId::from_bytes([author; 16]);
        let organisation = (author % 3 == 2).then(|| Organisation::from_bytes([author / 6; 8]));
        let time = Some(Timestamp::from_unix_seconds(u64::from(support.byte())));
        samples.extend(content.map(|content| Sample {
            similarity,
            confidence,
            support,
            time,
            organisation,
            ..Sample::new(id, content)
        }));
    }
    let mut turned = samples.clone();
    turned.reverse();
    let (samples, turned) = (Samples::new(samples).expect("a set"), Samples::new(turned).expect("a set"));

    let mut rules: Vec<Box<dyn Synthesizer>> = vec![Box::new(EmpiricalBayes::default())];
    if vectors {
        let intake = Intake::DEFAULT.half_life(Duration::from_secs(9)).min_similarity(-0.5).max_norm(3.0);
        rules = rules::NAMES.into_iter().filter_map(rules::by_name).collect();
        rules.push(Box::new(Robust::default().with_intake(intake.max_abs(1e30).min_origins(2))));
    }
    let owns = if vectors {
        [Own::delta(&[1.0, -2.0, 0.5]).at(Timestamp::from_unix_seconds(200)), Own::nothing()]
    } else {
        [Own::evidence(own), Own::nothing()]
    };
    for rule in &rules {
        for own in &owns {
            let Ok(synthesis) = rule.synthesize(own, &samples) else { continue };
            assert!(synthesis.estimate.iter().all(|value| value.is_finite()), "{synthesis:?}");
            assert_eq!(synthesis.contributions.len(), samples.len());
            let again = rule.synthesize(own, &turned).ok();
            assert_eq!(again.as_ref(), Some(&synthesis), "the order of arrival matters");
            let _ = synthesis.to_string();
        }
    }
}
