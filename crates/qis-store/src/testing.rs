//! A disk for tests, and what a store on it should hold.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use qis_route::{Batch, Operation, Table};
use redb::StorageBackend;

use crate::OpenError;
use crate::cipher::Cipher;
use crate::engine::{Engine, Settings};
use crate::file::Opener;
use crate::schema::{self, Migration};

const BLOCK: u64 = 4096;
const SECTOR: usize = 512;

/// How a disk fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// A write does nothing and says so.
    Write,
    /// A write does half of it.
    Torn,
    /// A sync says that it failed, and what it should have synced is never synced by a later one.
    Sync,
    /// There is no room for blocks that were never written, from here on.
    Full,
    /// There is no room for anything, from here on.
    FullForAll,
    /// The code below the database panics.
    Panic,
}

/// A disk in memory; clones are the same one. It loses what was not synced when the power fails.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    /// What a read shows.
    shown: Vec<u8>,
    /// What is there when the power comes back.
    durable: Vec<u8>,
    /// What may or may not be there then.
    unsynced: Vec<Change>,
    blocks: BTreeSet<u64>,
    calls: u64,
    syncs: u64,
    plan: Option<(u64, Failing)>,
    /// Whether the plan was carried out.
    failed: bool,
    /// Since it was full.
    full: Option<Failing>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Vec<u8> },
    Resize { len: u64 },
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { offset, data } => {
                let from = usize::try_from(*offset).unwrap();
                let to = from + data.len();
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                bytes[from..to].copy_from_slice(data);
            }
            Self::Resize { len } => bytes.resize(usize::try_from(*len).unwrap(), 0),
        }
    }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails at the call of this number from now on: writes, resizes and syncs count.
    pub(crate) fn fail_at(&self, call: u64, failing: Failing) {
        let mut state = self.lock();
        (state.calls, state.failed) = (0, false);
        state.plan = Some((call, failing));
    }

    /// Has room again, and works.
    pub(crate) fn heal(&self) {
        let mut state = self.lock();
        (state.plan, state.full) = (None, None);
    }

    /// Whether the planned failure has happened.
    pub(crate) fn has_failed(&self) -> bool {
        self.lock().failed
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Another disk with the same on it.
    pub(crate) fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Loses some of what was not synced, sector by sector, as the seed has it.
    pub(crate) fn lose_power(&self, seed: u64) {
        let mut state = self.lock();
        let mut random = seed.wrapping_mul(2).wrapping_add(1);
        let mut coin = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            random >> 63 == 1
        };
        let unsynced = std::mem::take(&mut state.unsynced);
        let mut bytes = std::mem::take(&mut state.durable);
        for change in unsynced {
            match change {
                Change::Write { offset, data } => {
                    for (at, sector) in data.chunks(SECTOR).enumerate() {
                        if coin() {
                            let offset = offset + (at * SECTOR) as u64;
                            Change::Write { offset, data: sector.to_vec() }.apply(&mut bytes);
                        }
                    }
                }
                resize if coin() => resize.apply(&mut bytes),
                Change::Resize { .. } => {}
            }
        }
        state.shown.clone_from(&bytes);
        state.durable = bytes;
    }

    pub(crate) fn opener(&self) -> Opener {
        let disk = self.clone();
        Opener::new(move || Ok(Box::new(disk.clone())))
    }

    pub(crate) fn open(&self) -> Result<Engine, OpenError> {
        self.open_with(Cipher::default(), schema::MIGRATIONS)
    }

    pub(crate) fn open_with(
        &self,
        cipher: Cipher,
        migrations: &'static [Migration],
    ) -> Result<Engine, OpenError> {
        Engine::open(settings(cipher, migrations), self.opener())
    }
}

pub(crate) fn settings(cipher: Cipher, migrations: &'static [Migration]) -> Settings {
    Settings { path: PathBuf::from("disk"), cache_bytes: 1 << 20, cipher, migrations }
}

impl State {
    /// Counts a call, and fails as was planned.
    fn call(&mut self, is_sync: bool) -> Option<Failing> {
        let at = self.calls;
        self.calls += 1;
        let planned = self.plan.filter(|(call, _)| *call == at).map(|(_, failing)| failing);
        match planned {
            Some(Failing::Full | Failing::FullForAll) => {
                (self.full, self.failed) = (planned, true);
                None
            }
            Some(Failing::Sync) if !is_sync => {
                // The next sync, then.
                self.plan = Some((at + 1, Failing::Sync));
                None
            }
            Some(Failing::Torn | Failing::Write) if is_sync => {
                self.plan = Some((at + 1, planned?));
                None
            }
            planned => {
                self.failed |= planned.is_some();
                planned
            }
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.shown);
        self.unsynced.push(change);
    }
}

fn broken() -> io::Error {
    io::Error::other("as the test says")
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().shown.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let from = usize::try_from(offset).unwrap();
        let found = state.shown.get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        match state.call(false) {
            Some(Failing::Panic) => panic!("as the test says"),
            Some(_) => return Err(broken()),
            None => {}
        }
        state.change(Change::Resize { len });
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock();
        match state.call(true) {
            Some(Failing::Panic) => panic!("as the test says"),
            Some(_) => {
                state.unsynced.clear();
                return Err(broken());
            }
            None => {}
        }
        state.syncs += 1;
        let State { durable, unsynced, .. } = &mut *state;
        for change in unsynced.drain(..) {
            change.apply(durable);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let failing = state.call(false);
        let touched = offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK);
        match failing {
            Some(Failing::Panic) => panic!("as the test says"),
            Some(Failing::Torn) => {
                let half = data.len() / 2;
                state.change(Change::Write { offset, data: data[..half].to_vec() });
                return Err(broken());
            }
            Some(_) => return Err(broken()),
            None => {}
        }
        let has_room = match state.full {
            None => true,
            Some(Failing::Full) => touched.clone().all(|block| state.blocks.contains(&block)),
            Some(_) => false,
        };
        if !has_room {
            return Err(ErrorKind::StorageFull.into());
        }
        state.blocks.extend(touched);
        state.change(Change::Write { offset, data: data.to_vec() });
        Ok(())
    }
}

pub(crate) type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

pub(crate) fn put(table: Table, key: &[u8], value: &[u8]) -> Operation {
    Operation::Put { table, key: key.to_vec(), value: value.to_vec() }
}

/// A short history: rows that come, change and go, in several tables, some larger than a page.
pub(crate) fn history() -> Vec<Batch> {
    (0..4_u8)
        .map(|number| {
            let mut operations = vec![put(Table::Order, b"", &[number; 16])];
            for row in 0..4 + 3 * number {
                let value = vec![number; 40 * usize::from(row) + usize::from(number) * 700];
                operations.push(put(Table::Packets, &[row], &value));
                operations.push(put(Table::Outbox, &[number, row], &value));
            }
            if let Some(before) = number.checked_sub(1) {
                let key = vec![before, 1];
                operations.push(Operation::Delete { table: Table::Outbox, key });
            }
            operations.push(put(Table::Secrets, b"site", &[number; 40]));
            Batch { operations }
        })
        .collect()
}

/// What there should be after these batches.
pub(crate) fn model(batches: &[Batch]) -> Model {
    let mut model = Model::new();
    for operation in batches.iter().flat_map(|batch| batch.operations.clone()) {
        match operation {
            Operation::Put { table, key, value } => drop(model.insert((table, key), value)),
            Operation::Delete { table, key } => drop(model.remove(&(table, key))),
        }
    }
    model
}

/// What there is.
pub(crate) fn content(engine: &mut Engine) -> Model {
    let mut found = Model::new();
    for table in Table::ALL {
        for row in engine.range(table, &[], usize::MAX).unwrap() {
            found.insert((table, row.key), row.value);
        }
    }
    found
}
