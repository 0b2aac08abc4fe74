use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use qis_conformance::block_on;
use qis_conformance::embedder::Suite;
use qis_fingerprint::{EmbedError, EmbedErrorKind, Embedder, Fingerprint, SpaceId};

use crate::assert_each_is_caught;
use crate::slow::pause;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    LeavesOneOut,
    Reverses,
    IsOfAnotherSpace,
    HasAnyDims,
    Drifts,
    DiffersByNode,
    MakesOppositesOfLikes,
    SharesABuffer,
    StaysLockedWhenDropped,
    MakesUpFingerprints,
    BlamesTheModel,
    Panics,
}

const BUGS: [(Bug, &str); 12] = [
    (Bug::LeavesOneOut, "One fingerprint a text"),
    (Bug::Reverses, "One fingerprint a text"),
    (Bug::IsOfAnotherSpace, "Each is in `space`"),
    (Bug::HasAnyDims, "Each is in `space`"),
    (Bug::Drifts, "The same text gives the same fingerprint"),
    (Bug::DiffersByNode, "The same text gives the same fingerprint"),
    (Bug::MakesOppositesOfLikes, "Texts of like meaning"),
    (Bug::SharesABuffer, "`embed` is called from the node's `emit`"),
    (Bug::StaysLockedWhenDropped, "The caller owns the time-out"),
    (Bug::MakesUpFingerprints, "A text that can't be embedded"),
    (Bug::BlamesTheModel, "A text that can't be embedded"),
    (Bug::Panics, "It does not panic"),
];

/// Counts letters.
#[derive(Debug)]
struct Letters {
    bug: Option<Bug>,
    node: usize,
    calls: AtomicUsize,
    is_locked: AtomicBool,
    buffer: Mutex<Vec<String>>,
}

impl Letters {
    fn one(&self, text: &str) -> Result<Fingerprint, EmbedError> {
        if self.bug == Some(Bug::Panics) {
            // The first letter.
            let _ = text.bytes().next().unwrap();
        }
        let mut counts = [0_f32; 26];
        for letter in text.bytes().filter(u8::is_ascii_alphabetic) {
            counts[usize::from(letter.to_ascii_lowercase() - b'a')] += 1.0;
        }
        if counts == [0.0; 26] {
            match self.bug {
                Some(Bug::MakesUpFingerprints) => counts[0] = 1.0,
                Some(Bug::BlamesTheModel) => {
                    return Err(EmbedError::new(EmbedErrorKind::Model, "no letters"));
                }
                _ => return Err(EmbedError::new(EmbedErrorKind::Text, "it has no letters")),
            }
        }
        match self.bug {
            Some(Bug::Drifts) => counts[0] += self.calls.fetch_add(1, Ordering::SeqCst) as f32,
            Some(Bug::DiffersByNode) => counts[1] += self.node as f32,
            Some(Bug::MakesOppositesOfLikes) if text.starts_with("chest") => {
                counts.iter_mut().for_each(|count| *count = -*count);
            }
            _ => {}
        }
        let space = match self.bug {
            Some(Bug::IsOfAnotherSpace) => SpaceId::new("others", 26),
            _ => self.space(),
        };
        let dims = if self.bug == Some(Bug::HasAnyDims) { 26 - text.len() % 3 } else { 26 };
        Ok(Fingerprint::from_vector(space, &counts[..dims])?)
    }
}

#[async_trait]
impl Embedder for Letters {
    fn space(&self) -> SpaceId {
        SpaceId::new("letters", 26)
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Fingerprint>, EmbedError> {
        if self.bug == Some(Bug::StaysLockedWhenDropped) && self.is_locked.swap(true, Ordering::SeqCst) {
            return Err(EmbedError::new(EmbedErrorKind::Unavailable, "the device is locked"));
        }
        let mut owned: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        self.buffer.lock().unwrap().clone_from(&owned);
        pause().await;
        self.is_locked.store(false, Ordering::SeqCst);
        match self.bug {
            Some(Bug::SharesABuffer) => owned.clone_from(&self.buffer.lock().unwrap()),
            Some(Bug::LeavesOneOut) => drop(owned.pop()),
            Some(Bug::Reverses) => owned.reverse(),
            _ => {}
        }
        owned.iter().map(|text| self.one(text)).collect()
    }
}

#[test]
fn each_broken_embedder_is_caught_by_the_sentence_it_breaks() {
    assert_each_is_caught(&Suite::requirements(), &BUGS, |bug| {
        let nodes = Arc::new(AtomicUsize::new(0));
        let open = async move || {
            let node = nodes.fetch_add(1, Ordering::SeqCst);
            let (calls, is_locked, buffer) = Default::default();
            Ok::<_, Infallible>(Letters { bug, node, calls, is_locked, buffer })
        };
        let suite = Suite::new(open).alike("adults with chest pain", "chest pain in adults", "zebra quiz");
        suite.refuses("123").run(block_on)
    });
}

#[test]
fn without_examples_meaning_is_left_out_and_the_report_says_so() {
    let open = async || Ok::<_, Infallible>(qis_fingerprint::HashEmbedder::default());
    let report = Suite::new(open).run(block_on).unwrap();
    let left_out: Vec<&str> = report.left_out.iter().map(|left| left.check).collect();
    assert_eq!(left_out, ["texts_of_like_meaning_are_closer"]);
}
