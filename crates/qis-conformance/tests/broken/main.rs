//! Implementations that are wrong on purpose: each suite has to catch each, and to name the sentence that it breaks. And for every sentence
//! that a suite says it checks, there is one that breaks it.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod directory;
mod embedder;
mod log;
mod slow;
mod store;
mod synthesizer;
mod transport;

use std::fmt::Debug;

use qis_conformance::{Failures, Report, Requirement};

/// Runs a suite on each bug, all at a time, and checks that it is caught by the sentence that begins so, and that each sentence that is
/// checked is broken by one of them. Without a bug the suite has to pass.
fn assert_each_is_caught<B: Copy + Debug + Send + Sync>(
    requirements: &[Requirement],
    bugs: &[(B, &str)],
    run: impl Fn(Option<B>) -> Result<Report, Failures> + Sync,
) {
    let passed = run(None).unwrap();
    assert!(!passed.passed.is_empty());
    let run = &run;
    std::thread::scope(|scope| {
        for &(bug, sentence) in bugs {
            scope.spawn(move || {
                let Err(failures) = run(Some(bug)) else { panic!("{bug:?} was not caught") };
                let is_named = failures.sentences().any(|broken| broken.starts_with(sentence));
                assert!(is_named, "{bug:?} should break {sentence:?}, and is reported as: {failures}");
            });
        }
    });
    for requirement in requirements.iter().filter(|requirement| requirement.unchecked.is_none()) {
        let is_broken = bugs.iter().any(|(_, sentence)| requirement.sentence.starts_with(sentence));
        assert!(is_broken, "nothing shows that this is checked: {:?}", requirement.sentence);
    }
}
