//! What a directory over a DHT finds.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use qis_fingerprint::FingerprintError;
use qis_packet::{Identity, NetworkId};
use qis_route::proto::ConfigError;
use qis_route::{Address, Descriptor, Dht, DhtConfig, DhtDirectory, Directory, HostError, HostErrorKind};

use crate::Vectors;
use crate::experiment::share;

/// A DHT that answers at once and loses nothing. Of each key it keeps the newest values, as many as it was made for, as stock DHTs do
/// with providers.
#[derive(Debug)]
pub struct Providers {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    values: BTreeMap<[u8; 32], Vec<Vec<u8>>>,
    gets: usize,
}

/// What look-ups in a DHT found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DhtReport {
    /// The share of the true `k` most similar members that was among the `k` found.
    pub recall: f64,
    /// Gets of a look-up.
    pub gets: f64,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DhtError {
    /// A configuration that makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A row that is no fingerprint.
    #[error(transparent)]
    Fingerprint(#[from] FingerprintError),
    /// The directory failed.
    #[error(transparent)]
    Directory(#[from] HostError),
}

impl Providers {
    /// An empty one, of `most` values a key.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Dht for Providers {
    async fn put(&self, key: [u8; 32], value: Vec<u8>) -> Result<(), HostError> {
        let mut state = self.lock();
        let values = state.values.entry(key).or_default();
        values.push(value);
        if values.len() > self.most {
            values.remove(0);
        }
        Ok(())
    }

    async fn get(&self, key: [u8; 32]) -> Result<Vec<Vec<u8>>, HostError> {
        let mut state = self.lock();
        state.gets += 1;
        Ok(state.values.get(&key).cloned().unwrap_or_default())
    }
}

/// The first `members` rows of `vectors` announce themselves; the others are looked for, `k` members each.
///
/// # Errors
///
/// [`DhtError`] when the configuration or a row is none.
pub fn measure_dht(
    vectors: &Vectors,
    members: usize,
    k: usize,
    config: DhtConfig,
) -> Result<DhtReport, DhtError> {
    let dht = Arc::new(Providers::new(config.providers.into()));
    let directory = |at: usize| {
        let mut seed = [7; 32];
        for (to, from) in seed.iter_mut().zip(at.to_le_bytes()) {
            *to = from;
        }
        let identity = Identity::from_seed(seed);
        let author = identity.author();
        let directory = DhtDirectory::new(Arc::clone(&dht), identity, NetworkId::new("simulated"), 1);
        directory.with_config(config).map(|directory| (author, directory))
    };
    let failed = |_| HostError::new(HostErrorKind::Refused, "not an address");
    let addresses = (0..members).map(|at| format!("node-{at}").parse::<Address>().map_err(failed));
    let addresses: Vec<Address> = addresses.collect::<Result<_, _>>()?;
    for (at, address) in addresses.iter().enumerate() {
        let (author, directory) = directory(at)?;
        let domain = "simulated".parse();
        let domain = domain.map_err(|_| HostError::new(HostErrorKind::Refused, "not a domain"))?;
        let descriptor = Descriptor::new(author, address.clone(), domain, vectors.fingerprint(at)?);
        at_once(directory.announce(&descriptor))?;
    }
    let (_, directory) = directory(members)?;
    let (nodes, norms) = ((0..members).collect::<Vec<_>>(), vectors.norms());
    let (mut hits, mut truths) = (0, 0);
    for query in members..vectors.len() {
        let found = at_once(directory.nearest(&vectors.fingerprint(query)?, k))?;
        let truth = vectors.nearest(query, &nodes, k, &norms);
        truths += truth.len();
        let is_found =
            |at: usize| addresses.get(at).is_some_and(|one| found.iter().any(|peer| peer.address == *one));
        hits += truth.iter().filter(|(_, at)| is_found(*at)).count();
    }
    let gets = dht.lock().gets;
    let queries = vectors.len().saturating_sub(members);
    Ok(DhtReport { recall: share(hits as u64, truths as u64), gets: share(gets as u64, queries as u64) })
}

fn at_once<T>(future: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    let mut future = std::pin::pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(HostError::new(HostErrorKind::Timeout, "this DHT keeps nobody waiting")),
    }
}
