//! What the suites say that a trait asks for is what its documentation asks for, word for word, and all of it.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::path::Path;

use qis_conformance::{Requirement, directory, embedder, store, synthesizer, transport};

/// The list "To be correct" of the trait in a source file: one text, as its page shows it.
fn list(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (_, list) = source.split_once("/// # To be correct\n").unwrap();
    // The list ends with a sentence about the suite.
    let (list, _) = list.split_once("\n/// `").unwrap();
    let lines = list.lines().map(|line| line.trim_start_matches("///").trim());
    let items = lines.map(|line| line.strip_prefix("- ").unwrap_or(line));
    without_links(&items.collect::<Vec<_>>().join(" "))
}

/// Text without the brackets and the targets of links, and with single spaces.
fn without_links(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        let (name, after) = link.split_once(']').unwrap();
        shown.push_str(before);
        shown.push_str(name);
        rest = after.strip_prefix('(').map_or(after, |target| target.split_once(')').unwrap().1);
    }
    shown.push_str(rest);
    shown.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn assert_is_all_of(file: &str, requirements: &[Requirement]) {
    let mut left = list(file);
    for requirement in requirements {
        let found = left.matches(requirement.sentence).count();
        assert_eq!(found, 1, "{file} does not say once: {:?}\nof what is left: {left}", requirement.sentence);
        left = left.replacen(requirement.sentence, "", 1);
        if let Some(why) = requirement.unchecked {
            assert!(!why.is_empty(), "{requirement:?}");
        }
    }
    let words: Vec<&str> = left.split_whitespace().collect();
    assert!(words.is_empty(), "{file} says what no suite knows: {words:?}");
    assert!(requirements.iter().any(|requirement| requirement.unchecked.is_none()));
}

#[test]
fn every_sentence_of_a_transport_is_checked_or_said_to_be_uncheckable() {
    assert_is_all_of("qis-route/src/transport.rs", &transport::Suite::requirements());
}

#[test]
fn every_sentence_of_a_directory_is_checked_or_said_to_be_uncheckable() {
    assert_is_all_of("qis-route/src/directory.rs", &directory::Suite::requirements());
}

#[test]
fn every_sentence_of_a_store_is_checked_or_said_to_be_uncheckable() {
    assert_is_all_of("qis-route/src/store.rs", &store::Suite::requirements());
}

#[test]
fn every_sentence_of_an_embedder_is_checked_or_said_to_be_uncheckable() {
    assert_is_all_of("qis-fingerprint/src/embedder.rs", &embedder::Suite::requirements());
}

#[test]
fn every_sentence_of_a_synthesizer_is_checked_or_said_to_be_uncheckable() {
    assert_is_all_of("qis-synth/src/synthesizer.rs", &synthesizer::Suite::requirements());
}

#[test]
fn a_sentence_that_is_not_there_and_one_too_many_are_noticed() {
    let requirement = |sentence| Requirement { sentence, unchecked: None };
    let fails = |requirements: &[Requirement]| {
        std::panic::catch_unwind(|| assert_is_all_of("qis-route/src/store.rs", requirements)).is_err()
    };
    let mut all = store::Suite::requirements();
    assert!(!fails(&all));
    all.push(requirement("It is fast."));
    assert!(fails(&all));
    all.truncate(all.len() - 2);
    assert!(fails(&all));
}
