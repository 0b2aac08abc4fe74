//! Why a store was not opened.

use std::io;
use std::path::PathBuf;

/// Why a store was not opened. Nothing was changed; each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The directory of the file is not there.
    #[error("there is no directory for the store {}: create it, or correct the path", path.display())]
    NoDirectory {
        /// The store.
        path: PathBuf,
    },
    /// The file, its directory or the file system may not be written.
    #[error("the store {} is read-only: let the user of this process write to the file and its directory", path.display())]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// Another process, or another handle of this one, has it open. One node uses a store.
    #[error("the store {} is in use: stop the other process that has it open, and do not start this one twice", path.display())]
    InUse {
        /// The store.
        path: PathBuf,
    },
    /// There is no room to open it.
    #[error("there is no room to open the store {}: make room on its file system", path.display())]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// The file is something else, or empty.
    #[error("{} is no store of a node: correct the path, or move the file away to begin a new store", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this crate wrote it. An older one must not guess what is in it.
    #[error(
        "the store {} has version {found}, and this program knows versions up to {supported}: run the newer program, or restore a backup from before the upgrade",
        path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u64,
        /// The latest this crate knows.
        supported: u64,
    },
    /// Checksums or structure are wrong.
    #[error(
        "the store {} is damaged ({detail}): check the disk, then restore a backup or move the file away; the node opens a new incarnation by itself, and peers have its packets",
        path.display()
    )]
    Damaged {
        /// The store.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The secrets in it are encrypted, and no key was given.
    #[error("the secrets in the store {} are encrypted: give the key with secret_key", path.display())]
    KeyMissing {
        /// The store.
        path: PathBuf,
    },
    /// The secrets in it are encrypted with another key, or were changed.
    #[error("the key given does not open the secrets in the store {}: give the one it was made with", path.display())]
    KeyWrong {
        /// The store.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("the store {} cannot be opened", path.display())]
    Io {
        /// The store.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
