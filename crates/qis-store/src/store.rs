//! A store in a file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use qis_route::{Batch, HostError, Row, Store, Table};

use crate::worker::{Job, Worker};
use crate::{BackupError, Check, OpenError, StoreOptions};

/// A [`Store`] in one file, on [redb](https://docs.rs/redb); clones are the same store.
///
/// It reads and writes on a thread of its own, so it needs no runtime and holds none up. When the last clone is dropped, what was begun is
/// ended and the file is closed, which takes as long as a sync of the disk; then it can be opened again.
///
/// # What each outcome means
///
/// - `Ok`: all of the batch is in the file, and the file is synced.
/// - [`Full`](qis_route::HostErrorKind::Full): there was no room, and nothing of the batch is in the file: that was verified. A later commit may
///   succeed.
/// - [`Unavailable`](qis_route::HostErrorKind::Unavailable): nothing was begun. Too many calls wait, or the system gives no entropy for a secret.
/// - [`Corrupt`](qis_route::HostErrorKind::Corrupt): a write or a sync failed, and all or nothing of the batch is there. Every later call fails the same way. See to
///   the disk, then open the store again.
#[derive(Clone)]
pub struct RedbStore {
    worker: Arc<Worker>,
}

impl RedbStore {
    pub(crate) fn new(worker: Worker) -> Self {
        Self { worker: Arc::new(worker) }
    }

    /// Opens the store in a file with the default [options](StoreOptions), and makes a new one where there is none. It blocks while it reads
    /// and verifies all of the file.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose messages say what to do.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::options().open(path)
    }

    /// Options to open a store with.
    pub fn options() -> StoreOptions {
        StoreOptions::default()
    }

    /// Reads all of the file and verifies it: every checksum, the list of free pages, and that the key opens every secret. It is what opening the
    /// store does too. Commits wait until it is over.
    ///
    /// # Errors
    ///
    /// [`Corrupt`](qis_route::HostErrorKind::Corrupt) when the file is damaged beyond repair: nothing is written to it any more.
    /// [`Unavailable`](qis_route::HostErrorKind::Unavailable) while a backup is made.
    pub async fn check(&self) -> Result<Check, HostError> {
        self.worker.call(|tell| Job::Check { tell }).await
    }

    /// Writes a copy of the store as it is now to a new file, and syncs it. Commits go on meanwhile. Secrets are copied as they are: the
    /// copy of an encrypted store opens with the same key.
    ///
    /// To restore it, stop the node, put the copy in the place of the store, and build the node on it. **A node that goes on from a copy has
    /// forgotten numbers it has used.** It notices when somebody shows it a packet of its own that it does not remember: it
    /// opens a new incarnation then, says so in an event, and states its outcomes again. Until then peers take
    /// what it emits for repetitions. Never let two nodes go on from one copy.
    ///
    /// # Errors
    ///
    /// [`BackupError`]; there is no copy then.
    pub async fn backup(&self, to: impl Into<PathBuf>) -> Result<(), BackupError> {
        let to = to.into();
        self.worker.call(|tell| Job::Backup { to, tell }).await
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn commit(&self, batch: Batch) -> Result<(), HostError> {
        self.worker.call(|tell| Job::Commit { batch, tell }).await
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        let from = from.to_vec();
        self.worker.call(|tell| Job::Range { table, from, limit, tell }).await
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}
