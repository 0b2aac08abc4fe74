use alloc::sync::Arc;
use alloc::vec::Vec;

use qis_codec::Decoded;
use qis_packet::{AuthorId, Confidence, Organisation, Support, Timestamp};

use crate::evidence::{Evidence, EvidenceSummary};

/// What the synthesising site brings itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Own<'a> {
    /// The estimate of this site's previous synthesis, for rules that iterate.
    ///
    /// It contains what peers sent before; rules that must not count a peer twice ignore it.
    pub state: Option<&'a [f64]>,
    /// What this site observed itself, untouched by any synthesis.
    pub outcome: Option<OwnOutcome<'a>>,
    /// What time it is, for rules that let old samples count for less. A rule has no clock; without this, age plays no part.
    pub now: Option<Timestamp>,
}

/// What a site observed itself.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum OwnOutcome<'a> {
    /// A plain vector.
    Delta(&'a [f32]),
    /// Records under a statistical model.
    Evidence(&'a Evidence),
}

impl<'a> Own<'a> {
    /// A site without state or outcome, which only listens.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// A site with its own delta and no earlier state.
    #[must_use]
    pub fn delta(delta: &'a [f32]) -> Self {
        Self { outcome: Some(OwnOutcome::Delta(delta)), ..Self::default() }
    }

    /// A site with its own evidence and no earlier state.
    #[must_use]
    pub fn evidence(evidence: &'a Evidence) -> Self {
        Self { outcome: Some(OwnOutcome::Evidence(evidence)), ..Self::default() }
    }

    /// The same with the state of an earlier synthesis.
    #[must_use]
    pub fn with_state(self, state: &'a [f64]) -> Self {
        Self { state: Some(state), ..self }
    }

    /// The same at this time.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }
}

/// What one author sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Who observed it: the origin, not who forwarded it.
    pub author: AuthorId,
    /// Cosine similarity of the packet's fingerprint to this site's, from -1 to 1.
    pub similarity: f32,
    /// How sure the author says it is; a claim.
    pub confidence: Confidence,
    /// How many records the author says stand behind it; a claim.
    pub support: Support,
    /// What it sent.
    pub content: Content,
    /// When the author says it observed this; a claim.
    pub time: Option<Timestamp>,
    /// On whose behalf the author takes part, as somebody other than the author vouches. An author that nobody vouches for counts as
    /// an organisation of its own.
    pub organisation: Option<Organisation>,
}

impl Sample {
    /// What `author` sent, with full confidence and nothing else known of it. Fill in the rest:
    /// `Sample { similarity, ..Sample::new(author, content) }`.
    #[must_use]
    pub fn new(author: AuthorId, content: Content) -> Self {
        Self {
            author,
            similarity: 0.0,
            confidence: Confidence::FULL,
            support: Support::UNKNOWN,
            content,
            time: None,
            organisation: None,
        }
    }
}

/// The content of a packet, decoded once and shared.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Content {
    /// A plain vector.
    Delta(Arc<Decoded>),
    /// Evidence for a statistical model.
    Evidence(Arc<EvidenceSummary>),
}

/// A set of samples, at most one an author.
///
/// Samples are kept in the order of their authors, so a rule that runs over them in order adds
/// the same numbers in the same order whatever order they arrived in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples(Vec<Sample>);

/// Two samples of one author, of which only the newest may count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("author {author} has more than one sample")]
pub struct DuplicateAuthor {
    /// The author.
    pub author: AuthorId,
}

impl Samples {
    /// The set of these samples.
    ///
    /// # Errors
    ///
    /// [`DuplicateAuthor`] when an author has more than one: each has one vote.
    pub fn new(mut samples: Vec<Sample>) -> Result<Self, DuplicateAuthor> {
        samples.sort_unstable_by_key(|sample| sample.author);
        let pairs = samples.iter().zip(samples.iter().skip(1));
        if let Some((sample, _)) = pairs.into_iter().find(|(a, b)| a.author == b.author) {
            let author = sample.author;
            return Err(DuplicateAuthor { author });
        }
        Ok(Self(samples))
    }

    /// The samples in the order of their authors.
    pub fn iter(&self) -> core::slice::Iter<'_, Sample> {
        self.0.iter()
    }

    /// The samples in the order of their authors.
    #[must_use]
    pub fn as_slice(&self) -> &[Sample] {
        &self.0
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Samples {
    type Item = &'a Sample;
    type IntoIter = core::slice::Iter<'a, Sample>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::delta;
    use alloc::vec;

    #[test]
    fn samples_are_in_the_order_of_their_authors() {
        let samples = Samples::new(vec![delta(3, 1.0, &[3.0]), delta(1, 1.0, &[1.0])]).unwrap();
        let authors: Vec<u8> = samples.iter().map(|s| s.author.as_bytes()[0]).collect();
        assert_eq!(authors, [1, 3]);
        assert_eq!(samples.len(), 2);
        assert!(!samples.is_empty());
    }

    #[test]
    fn an_author_has_one_sample() {
        let twice = vec![delta(3, 1.0, &[3.0]), delta(1, 1.0, &[1.0]), delta(3, 0.5, &[4.0])];
        let author = AuthorId::from_bytes([3; 16]);
        assert_eq!(Samples::new(twice), Err(DuplicateAuthor { author }));
    }
}
