//! Embedders keep to the trait.

use std::convert::Infallible;

use qis_conformance::block_on;
use qis_conformance::embedder::Suite;
use qis_fingerprint::{EmbedError, EmbedErrorKind, Embedder, HashEmbedder, SpaceId, embedder_fn};

fn suite<E: Embedder>(new: impl Fn() -> E + Send + Sync + 'static) -> Suite {
    Suite::new(async move || Ok::<_, Infallible>(new())).refuses("").refuses("-- !")
}

#[test]
fn the_hashed_embedder_keeps_to_the_trait_with_any_number_of_dimensions() {
    for dims in [8, 64, 4096] {
        suite(move || HashEmbedder::new(dims).unwrap()).run(block_on).unwrap();
    }
    let suite = suite(HashEmbedder::default);
    let suite = suite.alike("adults with chest pain", "chest pain in adults", "wheat rust in dry soil");
    let report = suite.alike("cardiology", "cardiological", "geography").run(block_on).unwrap();
    assert!(report.left_out.is_empty());
}

#[test]
fn an_embedder_of_a_function_that_says_what_it_cannot_embed_keeps_to_the_trait() {
    let vowels = |text: &str| {
        let count = |vowel| text.matches(vowel).count() as f32;
        let counts = ['a', 'e', 'i', 'o', 'u'].map(count);
        if counts == [0.0; 5] {
            return Err(EmbedError::new(EmbedErrorKind::Text, "it has no vowels"));
        }
        Ok(counts.to_vec())
    };
    suite(move || embedder_fn(SpaceId::new("vowels", 5), vowels)).run(block_on).unwrap();
}
