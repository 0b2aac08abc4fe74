//! From text to fingerprint.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use async_trait::async_trait;

use crate::{EmbedError, EmbedErrorKind, Fingerprint, SpaceId};

/// Turns texts into fingerprints of one space.
///
/// # To be correct
///
/// - One fingerprint a text, in the order of the texts. Each is in [`space`](Self::space), and all have the same number of dimensions.
/// - The same text gives the same fingerprint, on this node and on every peer of the space: a packet is
///   routed by it. Put the model's version into the space's name.
/// - Texts of like meaning give a high cosine. Nothing else in the library knows what a text means.
/// - `embed` is called from the node's `emit`, one call at a time for each emission and concurrently between emissions. It may wait
///   for a device or a service. The caller owns the time-out and may drop the future, which must leave nothing broken.
/// - A text that can't be embedded is an error of kind [`EmbedErrorKind::Text`], never a made-up fingerprint.
/// - It does not panic, whatever the text.
///
/// `embedder::Suite` of `qis-conformance` checks an implementation against this list.
#[async_trait]
pub trait Embedder: fmt::Debug + Send + Sync + 'static {
    /// The space of all fingerprints this embedder makes.
    fn space(&self) -> SpaceId;

    /// The fingerprints of a batch of texts.
    async fn embed(&self, texts: &[&str]) -> Result<Vec<Fingerprint>, EmbedError>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<E: Embedder + ?Sized> Embedder for $pointer {
            fn space(&self) -> SpaceId {
                (**self).space()
            }

            async fn embed(&self, texts: &[&str]) -> Result<Vec<Fingerprint>, EmbedError> {
                (**self).embed(texts).await
            }
        }
    };
}
forward!(Box<E>);
forward!(Arc<E>);
forward!(&'static E);

/// An [`Embedder`] made of a function from a text to a vector; see [`embedder_fn`].
#[derive(Clone)]
pub struct FnEmbedder<F> {
    space: SpaceId,
    embed: F,
}

/// Makes an [`Embedder`] of a function that computes one vector and does not wait.
///
/// For a model that is called over a network, or gains by batches, implement the trait. An error of the function counts as
/// [`EmbedErrorKind::Unavailable`], unless it is an [`EmbedError`] itself, which is taken as it is.
///
/// ```
/// use qis_fingerprint::{SpaceId, embedder_fn};
///
/// let lengths = embedder_fn(SpaceId::new("word-lengths", 2), |text: &str| {
///     let words = text.split_whitespace().count() as f32;
///     Ok::<_, std::io::Error>(vec![text.len() as f32, words])
/// });
/// ```
pub const fn embedder_fn<F, E>(space: SpaceId, embed: F) -> FnEmbedder<F>
where
    F: Fn(&str) -> Result<Vec<f32>, E> + Send + Sync + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    FnEmbedder { space, embed }
}

impl<F> fmt::Debug for FnEmbedder<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnEmbedder").field("space", &self.space).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F, E> Embedder for FnEmbedder<F>
where
    F: Fn(&str) -> Result<Vec<f32>, E> + Send + Sync + 'static,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    fn space(&self) -> SpaceId {
        self.space
    }

    async fn embed(&self, texts: &[&str]) -> Result<Vec<Fingerprint>, EmbedError> {
        let one = |text: &&str| {
            let vector = (self.embed)(text).map_err(|error| as_embed_error(error.into()))?;
            Ok(Fingerprint::from_vector(self.space, &vector)?)
        };
        texts.iter().map(one).collect()
    }
}

fn as_embed_error(error: Box<dyn Error + Send + Sync>) -> EmbedError {
    error.downcast().map_or_else(|other| EmbedError::new(EmbedErrorKind::Unavailable, other), |own| *own)
}
