//! Who is in a similar situation.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use qis_fingerprint::Fingerprint;
use qis_packet::{AuthorId, DomainTag};

use crate::{Address, HostError, Peer};

/// What a node announces of itself: one descriptor for each of its domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its pseudonym.
    pub author: AuthorId,
    /// Where it is.
    pub address: Address,
    /// One of its domains.
    pub domain: DomainTag,
    /// Its situation in that domain, as its packets carry it. [`Fingerprint::to_bytes`] has the bytes to pass it on in.
    pub fingerprint: Fingerprint,
}

/// Finds the nodes whose situation is most similar: a host's DHT, index or list.
///
/// # To be correct
///
/// - `announce` replaces the descriptor of the same author and domain. A descriptor may be forgotten after a day; the
///   node announces again with each outcome.
/// - `nearest` returns at most `k` peers, no author twice, most similar first by
///   [`Fingerprint::cosine`], from the space of the query only. Missing some of the best is allowed and costs quality; an empty answer
///   from an empty network is not an error.
/// - Fingerprints come as packets carry them, compact ones expanded. A directory that sends or stores them does so by
///   [`Fingerprint::to_bytes`] and [`Fingerprint::from_bytes`]: compacted once more to fewer bytes, they find each other less well.
/// - The answer may name the asking node; the router leaves it out.
/// - Both are called from the node's driver, several at a time; they may wait for a network. The router gives up
///   a look-up that takes longer than its time-out, and the future may be dropped then.
/// - What a directory says is taken as a hint: packets are signed, and a wrong address costs a failed delivery.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// Makes a node findable.
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError>;

    /// The `k` known nodes most similar to `fingerprint`.
    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<D: Directory + ?Sized> Directory for $pointer {
            async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
                (**self).announce(descriptor).await
            }

            async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
                (**self).nearest(fingerprint, k).await
            }
        }
    };
}
forward!(Box<D>);
forward!(Arc<D>);
forward!(&'static D);
