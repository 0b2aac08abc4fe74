//! A copy of a store, made while it is in use.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::Builder;

use futures_channel::oneshot;
use qis_route::{HostError, HostErrorKind};
use redb::ReadTransaction;

use crate::faults::is_full;
use crate::file::{Draft, backend, directory};
use crate::schema;

/// Memory for pages of the copy.
const CACHE_BYTES: usize = 4 << 20;

/// Why there is no copy. The store is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is a file of that name, which may be the last good copy.
    #[error("there is a file at {} already: give each backup a name of its own", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The directory of the copy is not there.
    #[error("there is no directory for the backup {}: create it, or correct the path", path.display())]
    NoDirectory {
        /// The copy.
        path: PathBuf,
    },
    /// There is no room for the copy.
    #[error("there is no room for the backup {}: make room on its file system", path.display())]
    Full {
        /// The copy.
        path: PathBuf,
    },
    /// The copy can't be written.
    #[error("the backup {} cannot be written", path.display())]
    Io {
        /// The copy.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The store can't be read.
    #[error("the store cannot be read")]
    Store(#[from] HostError),
}

/// Copies a snapshot on a thread of its own, so that commits go on meanwhile.
pub(crate) fn start(snapshot: ReadTransaction, to: PathBuf, tell: oneshot::Sender<Result<(), BackupError>>) {
    let run = move || drop(tell.send(copy(&snapshot, &to)));
    // Should there be no thread, or a panic in it, who asked sees that nobody will answer.
    let _ = Builder::new().name("qis-backup".to_owned()).spawn(run);
}

fn copy(snapshot: &ReadTransaction, to: &Path) -> Result<(), BackupError> {
    let path = to.to_owned();
    if !directory(to).is_dir() {
        return Err(BackupError::NoDirectory { path });
    }
    let failed = |error: redb::Error| match error {
        redb::Error::Io(source) if is_full(&source) => BackupError::Full { path: path.clone() },
        redb::Error::Io(source) if source.kind() == ErrorKind::AlreadyExists => {
            BackupError::Exists { path: path.clone() }
        }
        redb::Error::Io(source) => BackupError::Io { path: path.clone(), source },
        error => HostError::new(HostErrorKind::Corrupt, error).into(),
    };
    write_copy(snapshot, to).map_err(failed)
}

fn write_copy(snapshot: &ReadTransaction, to: &Path) -> Result<(), redb::Error> {
    if to.exists() {
        return Err(io::Error::from(ErrorKind::AlreadyExists).into());
    }
    let draft = Draft::new(to)?;
    let backend = OpenOptions::new().read(true).write(true).open(draft.path()).and_then(backend)?;
    let database = redb::Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
    let write = database.begin_write()?;
    schema::copy(snapshot, &write)?;
    write.commit()?;
    database.close()?;
    Ok(draft.publish()?)
}
