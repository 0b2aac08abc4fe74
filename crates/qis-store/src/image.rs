//! A store in a vector of bytes.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qis_route::{Batch, HostError, Row, Table};
use redb::StorageBackend;

use crate::engine::Engine;
use crate::file::Opener;
use crate::{Check, OpenError, StoreOptions};

/// The content of a store's file, opened in memory: to look at a copy of a file that should not be touched, and to see what damage does. It blocks.
///
/// Everything but the file is that of a [`RedbStore`](crate::RedbStore): what is verified, what is refused, what a failure means.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use qis_route::{Batch, Operation, Table};
/// use qis_store::Image;
///
/// let mut image = Image::open(Vec::new())?;
/// let row = Operation::Put { table: Table::Packets, key: b"k".to_vec(), value: b"v".to_vec() };
/// image.commit(Batch { operations: vec![row] })?;
///
/// let mut bytes = image.into_bytes();
/// assert_eq!(Image::open(bytes.clone())?.rows(Table::Packets)?.len(), 1);
/// bytes.truncate(100);
/// assert!(Image::open(bytes).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Image {
    engine: Engine,
    bytes: Bytes,
}

impl Image {
    /// The most bytes an image may have; beyond, there is no room for more.
    pub const MAX_BYTES: u64 = 64 << 20;

    /// Opens the content of a file and verifies all of it; a new store where there is none.
    ///
    /// # Errors
    ///
    /// [`OpenError`], with `image` for a path.
    pub fn open(bytes: Vec<u8>) -> Result<Self, OpenError> {
        let bytes = Bytes(Arc::new(Mutex::new(bytes)));
        let below = bytes.clone();
        let opener = Opener::new(move || Ok(Box::new(below.clone())));
        let settings = StoreOptions::default().settings(Path::new("image"));
        Ok(Self { engine: Engine::open(settings, opener)?, bytes })
    }

    /// Makes all changes of a batch, or none.
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore`](crate::RedbStore).
    pub fn commit(&mut self, batch: Batch) -> Result<(), HostError> {
        self.engine.commit(batch)
    }

    /// All rows of a table, in the order of their keys.
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore`](crate::RedbStore).
    pub fn rows(&mut self, table: Table) -> Result<Vec<Row>, HostError> {
        self.engine.range(table, &[], usize::MAX)
    }

    /// Verifies everything once more.
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore::check`](crate::RedbStore::check).
    pub fn check(&mut self) -> Result<Check, HostError> {
        self.engine.check()
    }

    /// What a file has at this moment, as a process that is killed leaves it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }

    /// Closes it, and returns what is in the file then.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        let Self { mut engine, bytes } = self;
        engine.close();
        std::mem::take(&mut *bytes.lock())
    }
}

/// A file in memory; clones are the same.
#[derive(Clone, Debug)]
struct Bytes(Arc<Mutex<Vec<u8>>>);

impl Bytes {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in memory, for a place in a file.
fn index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| ErrorKind::InvalidInput.into())
}

impl StorageBackend for Bytes {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.lock();
        let found = index(offset)?.checked_add(out.len()).and_then(|end| bytes.get(index(offset).ok()?..end));
        out.copy_from_slice(found.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > Image::MAX_BYTES {
            return Err(ErrorKind::StorageFull.into());
        }
        self.lock().resize(index(len)?, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.lock();
        let from = index(offset)?;
        let place = from.checked_add(data.len()).and_then(|end| bytes.get_mut(from..end));
        place.ok_or(ErrorKind::UnexpectedEof)?.copy_from_slice(data);
        Ok(())
    }
}
