//! How a store is opened.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::cipher::Cipher;
use crate::engine::{Engine, Settings, open_error};
use crate::file::{Draft, Opener, directory};
use crate::worker::Worker;
use crate::{OpenError, RedbStore, schema};

/// Four MiB hold what a node writes at a time; it reads its rows once, when it is built.
const CACHE_BYTES: usize = 4 << 20;

/// How a [`RedbStore`] is opened.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("clinic.redb");
/// use qis_store::RedbStore;
///
/// let key = [7; 32]; // from the host's key store
/// let store = RedbStore::options().secret_key(key).open(path)?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until a store is opened"]
pub struct StoreOptions {
    cache_bytes: usize,
    cipher: Cipher,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { cache_bytes: CACHE_BYTES, cipher: Cipher::default() }
    }
}

impl StoreOptions {
    /// Memory for pages of the file, in bytes: 4 MiB by default. Half of it holds what a commit writes; larger commits are written in
    /// parts, and are as atomic.
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Encrypts the values of [`Table::Secrets`](qis_route::Table::Secrets) in the file, with ChaCha20-Poly1305 and a key that the host keeps elsewhere.
    /// Those that are there in clear are encrypted when the store is opened.
    ///
    /// Without a key they are in clear, and whoever reads the file can open the provenance of the site's packets. The other tables
    /// hold what is sent to others anyway, and are never encrypted.
    ///
    /// What was in clear before, or was [erased](crate#erasing), stays in free pages of the file until they are written again.
    pub fn secret_key(mut self, key: [u8; 32]) -> Self {
        self.cipher = Cipher::new(&key);
        self
    }

    /// Opens the store in a file, and makes a new one where there is none. It blocks while it reads and verifies all of the file.
    ///
    /// # Errors
    ///
    /// [`OpenError`], whose messages say what to do.
    pub fn open(self, path: impl AsRef<Path>) -> Result<RedbStore, OpenError> {
        let path = path.as_ref();
        let settings = self.settings(path);
        match fs::metadata(path) {
            Ok(found) if !found.is_file() || found.len() == 0 => {
                return Err(OpenError::NotAStore { path: path.to_owned() });
            }
            Ok(found) if found.permissions().readonly() => {
                return Err(OpenError::ReadOnly { path: path.to_owned() });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => create(&settings, path)?,
            Err(error) => return Err(open_error(path.to_owned(), error)),
        }
        let engine = Engine::open(settings, Opener::file(path))?;
        let worker = Worker::start(engine);
        worker.map(RedbStore::new).map_err(|source| OpenError::Io { path: path.to_owned(), source })
    }

    pub(crate) fn settings(self, path: &Path) -> Settings {
        let Self { cache_bytes, cipher } = self;
        Settings { path: path.to_owned(), cache_bytes, cipher, migrations: schema::MIGRATIONS }
    }
}

/// Makes an empty store beside its name first, so that a crash leaves a whole one or none.
fn create(settings: &Settings, path: &Path) -> Result<(), OpenError> {
    if !directory(path).is_dir() {
        return Err(OpenError::NoDirectory { path: path.to_owned() });
    }
    let failed = |error| open_error(path.to_owned(), error);
    let draft = Draft::new(path).map_err(failed)?;
    drop(Engine::open(settings.clone(), Opener::file(draft.path()))?);
    match draft.publish() {
        // Somebody else was faster: that one is opened, or found to be in use.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        published => published.map_err(failed),
    }
}
