//! What went wrong below the database, which its own errors do not tell apart.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::{BackendError, StorageBackend};

/// What a failed call leaves known, from the least bad to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// There was no room. What was to be written was not, and is known not to be.
    Full,
    /// Something else about a read or a write.
    Io,
    /// Data was handed over and may or may not get to the disk, whatever a later call says.
    Sync,
}

/// The worst fault since it was last cleared, and its words.
#[derive(Clone, Debug, Default)]
pub(crate) struct FaultLog(Arc<Mutex<Option<(Fault, String)>>>);

impl FaultLog {
    pub(crate) fn clear(&self) {
        *self.lock() = None;
    }

    pub(crate) fn worst(&self) -> Option<(Fault, String)> {
        self.lock().clone()
    }

    fn note(&self, fault: Fault, error: &io::Error) {
        let mut worst = self.lock();
        if worst.as_ref().is_none_or(|(known, _)| *known < fault) {
            *worst = Some((fault, error.to_string()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Fault, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// Whether an error says that nothing may be written here.
pub(crate) fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// A file, or what stands for one, whose faults are noted.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Box<dyn StorageBackend>,
    log: FaultLog,
}

impl Watched {
    pub(crate) fn new(inner: Box<dyn StorageBackend>, log: FaultLog) -> Self {
        Self { inner, log }
    }

    fn noted<T>(&self, result: io::Result<T>, fault: impl Fn(&io::Error) -> Fault) -> io::Result<T> {
        result.inspect_err(|error| self.log.note(fault(error), error))
    }
}

fn of_write(error: &io::Error) -> Fault {
    if is_full(error) { Fault::Full } else { Fault::Io }
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.noted(self.inner.len(), |_| Fault::Io)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.noted(self.inner.read(offset, out), |_| Fault::Io)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.noted(self.inner.set_len(len), of_write)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.noted(self.inner.sync_data(), |_| Fault::Sync)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.noted(self.inner.write(offset, data), of_write)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
