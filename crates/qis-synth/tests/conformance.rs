//! Every rule keeps to the trait.

use std::time::Duration;

use qis_conformance::synthesizer::Suite;
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::evidence::Family;
use qis_synth::rules::{self, Intake, Median, Robust};

#[test]
fn every_rule_for_plain_vectors_keeps_to_the_trait() {
    for name in rules::NAMES {
        let run = Suite::new(rules::by_name(name).unwrap()).run();
        run.unwrap_or_else(|failures| panic!("{name}: {failures}"));
    }
}

#[test]
fn rules_that_take_in_less_keep_to_the_trait() {
    let intake = Intake::DEFAULT
        .half_life(Duration::from_secs(30))
        .min_similarity(-0.5)
        .max_norm(4.0)
        .max_abs(1e20)
        .min_origins(2);
    Suite::new(Robust::default().with_intake(intake)).run().unwrap();
    Suite::new(Median::default().with_intake(intake)).run().unwrap();
}

#[test]
fn empirical_bayes_keeps_to_the_trait_for_every_family() {
    for family in [Family::Gaussian, Family::Logistic, Family::Cox] {
        let run = Suite::of_evidence(EmpiricalBayes::default(), family).run();
        run.unwrap_or_else(|failures| panic!("{family:?}: {failures}"));
    }
}
