//! Stores on a disk that fails when it is told to.

use std::io;
use std::path::PathBuf;

use qis_conformance::store::Disk;
use redb::StorageBackend;

use crate::cipher::Cipher;
use crate::engine::{Engine, Settings};
use crate::file::Opener;
use crate::schema::{self, Migration};
use crate::worker::Worker;
use crate::{OpenError, RedbStore};

#[derive(Debug)]
struct OnDisk(Disk);

impl StorageBackend for OnDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

pub(crate) fn engine(disk: &Disk) -> Result<Engine, OpenError> {
    engine_with(disk, schema::MIGRATIONS)
}

pub(crate) fn engine_with(disk: &Disk, migrations: &'static [Migration]) -> Result<Engine, OpenError> {
    let disk = disk.clone();
    Engine::open(settings(migrations), Opener::new(move || Ok(Box::new(OnDisk(disk.clone())))))
}

pub(crate) fn settings(migrations: &'static [Migration]) -> Settings {
    Settings { path: PathBuf::from("disk"), cache_bytes: 1 << 20, cipher: Cipher::default(), migrations }
}

pub(crate) fn store(disk: &Disk) -> Result<RedbStore, OpenError> {
    let path = PathBuf::from("disk");
    let worker = Worker::start(engine(disk)?);
    worker.map(RedbStore::new).map_err(|source| OpenError::Io { path, source })
}
