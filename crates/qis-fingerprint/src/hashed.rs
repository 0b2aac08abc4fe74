//! The embedder that needs no model.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use async_trait::async_trait;

use crate::fingerprint::scale;
use crate::{EmbedError, EmbedErrorKind, Embedder, Fingerprint, SpaceId};

/// The longest text [`HashEmbedder`] takes, in bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// Character n-grams of these lengths count, over each word with its boundaries marked.
const GRAM_LENGTHS: core::ops::RangeInclusive<usize> = 3..=5;
/// A whole word says more than a piece of it, two words in a row something in between.
const WORD_WEIGHT: i64 = 4;
const PAIR_WEIGHT: i64 = 2;
const GRAM_WEIGHT: i64 = 1;

/// An [`Embedder`] by signed feature hashing: words, pairs of words and character n-grams are
/// hashed to a dimension and a sign, and counted.
///
/// It knows spelling, not meaning: "heart attack" and "myocardial infarction" are strangers to it. It is there to start without a
/// model, for tests, and for domains whose descriptions share their vocabulary. Feature hashing with signs keeps inner
/// products unbiased (Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, ICML 2009).
///
/// Deterministic on every platform and Rust version: integers only, ASCII letters folded to lower case, ASCII white space
/// and punctuation separate words, all else is taken as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashEmbedder {
    space: SpaceId,
    dims: u16,
}

impl HashEmbedder {
    /// An embedder of `dims` dimensions; more of them mean fewer collisions.
    ///
    /// Returns `None` unless `dims` is 8 to 4,096. By default up to 64 travel in
    /// a packet as they are, and more are [compacted](Fingerprint::compact).
    #[must_use]
    pub fn new(dims: u16) -> Option<Self> {
        (8..=4096).contains(&dims).then(|| Self { space: SpaceId::new("qis/hashed-ngrams/1", dims), dims })
    }

    /// The fingerprint of one text, without the async trait.
    ///
    /// # Errors
    ///
    /// Of kind [`EmbedErrorKind::Text`] when the text has no word or more than [`MAX_TEXT_BYTES`].
    pub fn fingerprint(&self, text: &str) -> Result<Fingerprint, EmbedError> {
        let refuse = |why: &'static str| EmbedError::new(EmbedErrorKind::Text, why);
        if text.len() > MAX_TEXT_BYTES {
            return Err(refuse("it is longer than 65536 bytes"));
        }
        let text = text.to_ascii_lowercase();
        let words: Vec<&str> = text
            .split(|c: char| c.is_ascii_whitespace() || c.is_ascii_punctuation())
            .filter(|word| !word.is_empty())
            .collect();
        if words.is_empty() {
            return Err(refuse("it has no words"));
        }
        let mut counts = vec![0_i64; usize::from(self.dims)];
        for word in &words {
            add(&mut counts, b'w', &[word.as_bytes()], WORD_WEIGHT);
            let marked: Vec<char> = core::iter::once('^').chain(word.chars()).chain(['$']).collect();
            for length in GRAM_LENGTHS {
                for gram in marked.windows(length) {
                    let gram: String = gram.iter().collect();
                    add(&mut counts, b'g', &[gram.as_bytes()], GRAM_WEIGHT);
                }
            }
        }
        for pair in words.windows(2) {
            if let [first, second] = pair {
                add(&mut counts, b'p', &[first.as_bytes(), b" ", second.as_bytes()], PAIR_WEIGHT);
            }
        }
        // All features cancel with a handful of them and bad luck: any fixed direction will do then.
        let first = || (0..self.dims).map(|index| if index == 0 { 127 } else { 0 }).collect();
        let codes = scale(counts.iter().copied()).unwrap_or_else(first);
        Ok(Fingerprint::from_codes(self.space, codes)?)
    }
}

impl Default for HashEmbedder {
    /// 64 dimensions, which travel in a packet as they are by default.
    fn default() -> Self {
        Self { space: SpaceId::new("qis/hashed-ngrams/1", 64), dims: 64 }
    }
}

#[async_trait]
impl Embedder for HashEmbedder {
    fn space(&self) -> SpaceId {
        self.space
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Fingerprint>, EmbedError> {
        texts.iter().map(|text| self.fingerprint(text)).collect()
    }
}

/// Counts one feature: the low bits of its hash choose the dimension, the top bit the sign.
fn add(counts: &mut [i64], kind: u8, parts: &[&[u8]], weight: i64) {
    let hash = hash(kind, parts);
    let slot = (hash & u64::from(u32::MAX)) % counts.len() as u64;
    if let Some(count) = usize::try_from(slot).ok().and_then(|slot| counts.get_mut(slot)) {
        *count += if hash >> 63 == 0 { weight } else { -weight };
    }
}

/// FNV-1a over the bytes, then the finaliser of `MurmurHash3`, since FNV alone mixes its high bits poorly.
fn hash(kind: u8, parts: &[&[u8]]) -> u64 {
    let bytes = core::iter::once(&kind).chain(parts.iter().copied().flatten());
    let fnv = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ fnv >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ mixed >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ mixed >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        let embedder = HashEmbedder::new(512).unwrap();
        embedder.fingerprint(a).unwrap().cosine(&embedder.fingerprint(b).unwrap()).unwrap()
    }

    #[test]
    fn shared_words_bring_texts_closer() {
        assert!(cosine("chest pain in adults", "chest pain, adults over 60") > 0.5);
        assert!(cosine("chest pain in adults", "reading scores of third graders") < 0.3);
        assert!(cosine("cardiology", "cardiological") > cosine("cardiology", "geography"));
    }

    #[test]
    fn case_and_punctuation_do_not_matter() {
        assert_eq!(cosine("Chest-pain; ADULTS", "chest pain adults"), 1.0);
    }

    #[test]
    fn golden_vector() {
        let print = HashEmbedder::new(8).unwrap().fingerprint("chest pain").unwrap();
        assert_eq!(print.codes(), [127, 64, 127, -32, 32, 0, -64, 32]);
        assert_eq!(HashEmbedder::default().fingerprint("é").unwrap().dims(), 64);
    }

    #[test]
    fn refuses_texts_without_words() {
        for text in ["", " \n", "--, !"] {
            let error = HashEmbedder::default().fingerprint(text).unwrap_err();
            assert_eq!(error.kind(), EmbedErrorKind::Text);
            assert!(!error.is_retryable());
        }
        let long = "a".repeat(MAX_TEXT_BYTES + 1);
        assert_eq!(HashEmbedder::default().fingerprint(&long).unwrap_err().kind(), EmbedErrorKind::Text);
        assert!(HashEmbedder::new(7).is_none());
    }
}
