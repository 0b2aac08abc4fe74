//! What the node does not forget, and how long that takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use qis::memory::MemoryStore;
use qis::{Batch, HostError, HostErrorKind, Row, Store, Table, async_trait};
use qis_store::RedbStore;

use super::config::Config;
use super::error::NodeError;
use super::keys::read_secret;
use super::watch::Watch;

/// A store as the program opened it.
#[derive(Clone, Debug)]
pub(super) struct Opened {
    store: Arc<dyn Store>,
    /// The same, when it is a file.
    file: Option<RedbStore>,
    times: Arc<Times>,
    watch: Arc<Watch>,
}

/// How commits went.
#[derive(Debug)]
pub(super) struct Times {
    /// Seconds a commit took, failed ones too.
    pub(super) commits: Histogram,
    /// Commits that failed since there was no room.
    pub(super) full: AtomicU64,
    /// Commits that failed otherwise.
    pub(super) failed: AtomicU64,
}

impl Default for Times {
    fn default() -> Self {
        // A tenth of a millisecond to some three seconds.
        let commits = Histogram::new(exponential_buckets(0.0001, 2.0, 16));
        Self { commits, full: AtomicU64::new(0), failed: AtomicU64::new(0) }
    }
}

impl Opened {
    /// Opens the store of a configuration.
    pub(super) fn open(config: &Config, watch: &Arc<Watch>) -> Result<Self, NodeError> {
        let file = match &config.store.path {
            None => None,
            Some(path) => {
                let mut options = RedbStore::options();
                if let Some(key) = &config.store.secret_key {
                    options = options.secret_key(*read_secret(key)?);
                }
                Some(options.open(path)?)
            }
        };
        let store: Arc<dyn Store> = match &file {
            None => Arc::new(MemoryStore::default()),
            Some(file) => Arc::new(file.clone()),
        };
        Ok(Self { store, file, times: Arc::default(), watch: Arc::clone(watch) })
    }

    /// The store's file, unless it is in memory.
    pub(super) const fn file(&self) -> Option<&RedbStore> {
        self.file.as_ref()
    }

    pub(super) fn times(&self) -> &Times {
        &self.times
    }
}

#[async_trait]
impl Store for Opened {
    async fn commit(&self, batch: Batch) -> Result<(), HostError> {
        let began = Instant::now();
        let result = self.store.commit(batch).await;
        self.times.commits.observe(began.elapsed().as_secs_f64());
        match &result {
            Ok(()) => self.watch.store_works(),
            Err(error) => {
                let full = error.kind() == HostErrorKind::Full;
                let counter = if full { &self.times.full } else { &self.times.failed };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        result
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        self.store.range(table, from, limit).await
    }
}
