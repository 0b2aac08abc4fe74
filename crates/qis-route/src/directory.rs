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
    /// Its situation in that domain, exact: one byte a dimension, up to 4,096 of them, while its packets carry a compact form. After a restart
    /// it may be that form for a while. [`Fingerprint::to_bytes`] has the bytes to pass it on in.
    pub fingerprint: Fingerprint,
}

/// What a look-up found: whom a [`Selection`](crate::Selection) is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Candidates {
    /// The most similar ones, the most similar first.
    pub similar: Vec<Peer>,
    /// Any members.
    pub random: Vec<Peer>,
}

/// Finds the nodes whose situation is most similar: a host's DHT, index or list.
///
/// # To be correct
///
/// - `announce` replaces the descriptor of the same author and domain. A descriptor may be forgotten after a day; the
///   node announces again with each outcome.
/// - Who has announced is found, if not at once, by a look-up for the very fingerprint. A peer comes with the address and the
///   fingerprint of its latest descriptor of that situation.
/// - `nearest` returns at most `k` peers. No author is among them twice. The most similar come first, by [`Fingerprint::cosine`].
///   All are from the space of the query.
/// - Missing some of the best is allowed and costs quality. An empty answer from an empty network is not an error.
/// - Fingerprints come exact, of announcements and of look-ups alike, and not in the compact form in which packets carry them. After a
///   restart a node may know no more than that form; it then comes expanded, of as many dimensions, and is compared with exact ones like any
///   other. A directory that sends or stores them does so by [`Fingerprint::to_bytes`] and [`Fingerprint::from_bytes`]; one that
///   [compacts](Fingerprint::compact) them to fewer bytes finds fewer of the nearest.
/// - [`Peer::organisation`] is given when somebody else than the node vouches for it, and left out otherwise.
/// - The answers may name the asking node; the router leaves it out.
/// - `sample` returns at most `k` members of the network, no author twice. Each is as likely as another as far as the directory can, and
///   others come each time. Those of other spaces may be among them. A directory that knows only who it was asked for has none to give,
///   which is what it does by default: the most similar ones then take the places of the random ones.
/// - All are called from the node's driver, several at a time. They may wait for a network, as futures that do not block the thread. The
///   router gives up a look-up that takes longer than its time-out; the future may be dropped then, which must leave nothing broken.
/// - It does not panic: a panic is contained, and counts as an answer that failed.
/// - What a directory says is taken as a hint: packets are signed, and a wrong address costs a failed delivery.
///
/// `directory::Suite` of `qis-conformance` checks an implementation against this list.
#[async_trait]
pub trait Directory: fmt::Debug + Send + Sync + 'static {
    /// Makes a node findable.
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError>;

    /// The `k` known nodes most similar to `fingerprint`.
    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError>;

    /// Up to `k` members, whoever they are; none unless the directory implements it.
    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        let _ = k;
        Ok(Vec::new())
    }
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

            async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
                (**self).sample(k).await
            }
        }
    };
}
forward!(Box<D>);
forward!(Arc<D>);
forward!(&'static D);
