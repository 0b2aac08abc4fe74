use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use qis_conformance::synthesizer::Suite;
use qis_synth::{
    Abstention, Content, Contribution, Exclusion, Own, OwnOutcome, Sample, Samples, Standing, Synthesis,
    SynthesisError, Synthesizer,
};

use crate::assert_each_is_caught;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    Counts,
    Remembers,
    TrustsTheFirstInMemory,
    PanicsWithoutSamples,
    PanicsOnOtherDimensions,
    LoopsOnNaN,
    AddsInSinglePrecision,
    DividesByConfidence,
    LeavesOthersOut,
    Reverses,
    GivesWholeWeights,
    DoesNotSayItAbstains,
    MakesUpZero,
}

const BUGS: [(Bug, &str); 13] = [
    (Bug::Counts, "It is a pure function"),
    (Bug::Remembers, "It reads no clock, random numbers or state."),
    (Bug::TrustsTheFirstInMemory, "It does not depend on the order"),
    (Bug::PanicsWithoutSamples, "It never panics and always ends"),
    (Bug::PanicsOnOtherDimensions, "It never panics and always ends"),
    (Bug::LoopsOnNaN, "It never panics and always ends"),
    (Bug::AddsInSinglePrecision, "What it gives is finite."),
    (Bug::DividesByConfidence, "What it gives is finite."),
    (Bug::LeavesOthersOut, "`Synthesis::contributions` accounts for every sample"),
    (Bug::Reverses, "`Synthesis::contributions` accounts for every sample"),
    (Bug::GivesWholeWeights, "The weights are from 0 to 1"),
    (Bug::DoesNotSayItAbstains, "Without usable samples"),
    (Bug::MakesUpZero, "Without usable samples"),
];

/// The mean of what peers sent, or the site's own.
#[derive(Debug, Default)]
struct Mean {
    bug: Option<Bug>,
    calls: AtomicUsize,
    most: AtomicUsize,
}

fn values(sample: &Sample, dims: usize) -> Option<Vec<f64>> {
    match &sample.content {
        Content::Delta(delta) if delta.dims() == dims => Some(delta.to_vec()),
        _ => None,
    }
}

impl Mean {
    fn of(&self, usable: &[(&Sample, Vec<f64>)], dims: usize) -> Vec<f64> {
        let mut sum = vec![0.0; dims];
        for (sample, values) in usable {
            for (sum, value) in sum.iter_mut().zip(values) {
                *sum += value;
                match self.bug {
                    Some(Bug::AddsInSinglePrecision) => *sum = f64::from(*sum as f32),
                    Some(Bug::DividesByConfidence) => *sum /= sample.confidence.value(),
                    _ => {}
                }
            }
        }
        let count = match self.bug {
            Some(Bug::Remembers) => self.most.fetch_max(usable.len(), Ordering::SeqCst).max(usable.len()),
            _ => usable.len(),
        };
        sum.iter_mut().for_each(|sum| *sum /= count as f64);
        if self.bug == Some(Bug::Counts) {
            sum[0] += self.calls.fetch_add(1, Ordering::SeqCst) as f64;
        }
        if self.bug == Some(Bug::TrustsTheFirstInMemory) {
            let place = |sample: &Sample| match &sample.content {
                Content::Delta(delta) => Arc::as_ptr(delta) as usize,
                _ => usize::MAX,
            };
            let first = usable.iter().min_by_key(|(sample, _)| place(sample));
            sum.clone_from(&first.unwrap().1);
        }
        sum
    }
}

impl Synthesizer for Mean {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        let delta: Option<Vec<f64>> = match own.outcome {
            Some(OwnOutcome::Delta(delta)) => Some(delta.iter().map(|&value| f64::from(value)).collect()),
            _ => None,
        };
        let first = samples.iter().find_map(|sample| match &sample.content {
            Content::Delta(delta) => Some(delta.dims()),
            _ => None,
        });
        if self.bug == Some(Bug::PanicsWithoutSamples) {
            let _ = samples.as_slice().first().unwrap();
        }
        let Some(dims) = delta.as_ref().map(Vec::len).or(first) else {
            return match self.bug {
                Some(Bug::MakesUpZero) => Ok(Synthesis::new(vec![0.0; 4])),
                _ => Err(SynthesisError::Nothing),
            };
        };
        while self.bug == Some(Bug::LoopsOnNaN) && samples.iter().any(|sample| sample.similarity.is_nan()) {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.bug == Some(Bug::PanicsOnOtherDimensions) {
            assert!(samples.iter().all(|sample| values(sample, dims).is_some()), "as the test has it");
        }
        let usable: Vec<(&Sample, Vec<f64>)> =
            samples.iter().filter_map(|sample| Some((sample, values(sample, dims)?))).collect();
        let weight = if self.bug == Some(Bug::GivesWholeWeights) { 1.0 } else { 1.0 / usable.len() as f64 };
        let estimate =
            if usable.is_empty() { delta.ok_or(SynthesisError::Nothing)? } else { self.of(&usable, dims) };
        let mut synthesis = Synthesis::new(estimate);
        for sample in samples {
            let (weight, standing) = match values(sample, dims) {
                Some(_) => (weight, Standing::Counted),
                None if self.bug == Some(Bug::LeavesOthersOut) => continue,
                None => (0.0, Standing::Excluded(Exclusion::Domain)),
            };
            synthesis.contributions.push(Contribution::new(sample.author, weight, standing));
        }
        if self.bug == Some(Bug::Reverses) {
            synthesis.contributions.reverse();
        }
        if usable.is_empty() && self.bug != Some(Bug::DoesNotSayItAbstains) {
            synthesis.abstained = Some(Abstention::NoPeers);
        }
        Ok(synthesis)
    }
}

#[test]
fn each_broken_rule_is_caught_by_the_sentence_it_breaks() {
    assert_each_is_caught(&Suite::requirements(), &BUGS, |bug| {
        let suite = Suite::new(Mean { bug, ..Mean::default() });
        // One that never ends is waited for in several checks.
        let patience = if bug == Some(Bug::LoopsOnNaN) { 100 } else { 10_000 };
        suite.patience(Duration::from_millis(patience)).run()
    });
}

#[test]
fn a_rule_that_always_fails_does_not_pass() {
    let fails = qis_synth::synthesizer_fn(|_, _| Err(SynthesisError::ZeroConfidence));
    let failures = Suite::new(fails).run().unwrap_err();
    assert!(failures.to_string().contains("honest peers"), "{failures}");
}
