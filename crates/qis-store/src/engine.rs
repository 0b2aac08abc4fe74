//! The database, and what is known of it after each call. It blocks; the worker's thread has it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use qis_route::{Batch, HostError, HostErrorKind, Operation, Row, Table};
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableHandle, WriteTransaction};

use crate::OpenError;
use crate::cipher::{Cipher, CipherError};
use crate::faults::{Fault, FaultLog, Watched, is_full, is_read_only};
use crate::file::Opener;
use crate::schema::{self, Found, Migration};

/// How a store is opened.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// For messages.
    pub(crate) path: PathBuf,
    pub(crate) cache_bytes: usize,
    pub(crate) cipher: Cipher,
    pub(crate) migrations: &'static [Migration],
}

/// What [`RedbStore::check`](crate::RedbStore::check) found in a store that is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// Whether something had to be put right: the list of free pages, or a last commit of which a part was damaged, so that the one
    /// before counts again.
    pub repaired: bool,
    /// Rows in all tables.
    pub rows: u64,
    /// Bytes of their keys and values. The file is larger.
    pub bytes: u64,
}

#[derive(Debug)]
pub(crate) struct Engine {
    settings: Settings,
    opener: Opener,
    log: FaultLog,
    state: State,
    /// Batches that are in the file.
    commits: u64,
}

#[derive(Debug)]
enum State {
    Open(Database),
    /// Nothing will be read or written any more, and why.
    Poisoned(String),
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Database(#[from] redb::Error),
    #[error(transparent)]
    Cipher(#[from] CipherError),
    #[error("the file is no store")]
    Foreign,
    #[error("the file has version {found}")]
    Newer { found: u64 },
    #[error("a table that this store does not have")]
    UnknownTable,
    #[error("the database panicked: {0}")]
    Panicked(String),
}

/// A change as it goes into the file.
struct Change {
    rows: schema::Rows,
    key: Vec<u8>,
    /// None removes it.
    value: Option<Vec<u8>>,
}

impl Engine {
    pub(crate) fn open(settings: Settings, opener: Opener) -> Result<Self, OpenError> {
        let log = FaultLog::default();
        let loaded = contained(|| load(&settings, &opener, &log));
        let (database, commits) = loaded.map_err(|failure| failure.on_open(&settings))?;
        Ok(Self { settings, opener, log, state: State::Open(database), commits })
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> Result<(), HostError> {
        let changes = match self.changes(batch) {
            Ok(changes) => changes,
            Err(failure @ Failure::UnknownTable) => {
                return Err(HostError::new(HostErrorKind::Refused, failure));
            }
            Err(failure) => return Err(HostError::new(HostErrorKind::Unavailable, failure)),
        };
        let database = self.database()?;
        self.log.clear();
        let next = self.commits + 1;
        match contained(|| write(database, &changes, next)) {
            Ok(()) => {
                self.commits = next;
                Ok(())
            }
            Err(failure) => self.recover(next, &failure),
        }
    }

    fn changes(&self, batch: Batch) -> Result<Vec<Change>, Failure> {
        let cipher = &self.settings.cipher;
        let change = |operation| {
            let (table, key, value) = match operation {
                Operation::Put { table, key, value } => (table, key, Some(value)),
                Operation::Delete { table, key } => (table, key, None),
            };
            let rows = schema::rows(table).ok_or(Failure::UnknownTable)?;
            let value = match value {
                Some(value) if table == Table::Secrets => Some(cipher.seal(&key, &value)?),
                other => other,
            };
            Ok(Change { rows, key, value })
        };
        batch.operations.into_iter().map(change).collect()
    }

    /// Finds out what became of a batch that failed.
    ///
    /// After any fault the database does nothing more until it is opened again. Where there was only no room, opening it rolls back what
    /// was half written and syncs, and then the count of batches tells. After anything else, a failed sync above all, what a read
    /// shows may not be what the disk has, so nothing is known.
    fn recover(&mut self, next: u64, failure: &Failure) -> Result<(), HostError> {
        let Some((Fault::Full, reason)) = self.log.worst() else { return Err(self.poison(failure)) };
        self.close();
        self.log.clear();
        match contained(|| load(&self.settings, &self.opener, &self.log)) {
            Ok((database, commits)) if commits == next || commits == self.commits => {
                self.state = State::Open(database);
                let happened = commits == next;
                self.commits = commits;
                if happened { Ok(()) } else { Err(HostError::new(HostErrorKind::Full, reason)) }
            }
            Ok(_) => Err(self.poison(&"another batch was the last one")),
            Err(failure) => Err(self.poison(&failure)),
        }
    }

    pub(crate) fn range(&mut self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        let cipher = self.settings.cipher.clone();
        let database = self.database()?;
        match contained(|| read(database, &cipher, table, from, limit)) {
            Err(failure @ Failure::UnknownTable) => Err(HostError::new(HostErrorKind::Refused, failure)),
            Err(Failure::Cipher(error)) => Err(HostError::new(HostErrorKind::Corrupt, error)),
            Err(failure) => Err(self.poison(&failure)),
            Ok(rows) => Ok(rows),
        }
    }

    pub(crate) fn check(&mut self) -> Result<Check, HostError> {
        let cipher = self.settings.cipher.clone();
        let checked = match &mut self.state {
            State::Open(database) => contained(|| check(database, &cipher)),
            State::Poisoned(reason) => return Err(poisoned(reason)),
        };
        match checked {
            Err(Failure::Database(redb::Error::TransactionInProgress)) => Err(HostError::new(
                HostErrorKind::Unavailable,
                "a backup is being made: check again after it",
            )),
            Err(failure) => Err(self.poison(&failure)),
            Ok(check) => Ok(check),
        }
    }

    /// All that is in the store now, whatever is written while it is read.
    pub(crate) fn snapshot(&mut self) -> Result<ReadTransaction, HostError> {
        let database = self.database()?;
        let begun = contained(|| Ok(database.begin_read().map_err(redb::Error::from)?));
        begun.map_err(|failure| self.poison(&failure))
    }

    /// Closes the file, so that it need not be repaired when it is opened.
    pub(crate) fn close(&mut self) {
        let closed = State::Poisoned("the store is closed".to_owned());
        if let State::Open(database) = std::mem::replace(&mut self.state, closed) {
            // What it fails at is done when the file is opened next.
            let _ = contained(|| {
                drop(database);
                Ok(())
            });
        }
    }

    fn database(&self) -> Result<&Database, HostError> {
        match &self.state {
            State::Open(database) => Ok(database),
            State::Poisoned(reason) => Err(poisoned(reason)),
        }
    }

    fn poison(&mut self, failure: &dyn std::fmt::Display) -> HostError {
        let reason = match self.log.worst() {
            Some((_, fault)) => format!("{failure} ({fault})"),
            None => failure.to_string(),
        };
        self.close();
        let error = poisoned(&reason);
        self.state = State::Poisoned(reason);
        error
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

fn poisoned(reason: &str) -> HostError {
    let advice = "nothing is written any more: see to the disk, then build the node again";
    HostError::new(HostErrorKind::Corrupt, format!("{reason}; {advice}"))
}

/// Runs what a database may panic in: it trusts what it has verified, and may be wrong.
fn contained<T>(run: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&words| words.to_owned()));
        Err(Failure::Panicked(words.unwrap_or_default()))
    })
}

/// Opens the file, verifies all of it, and makes it a store of this version.
fn load(settings: &Settings, opener: &Opener, log: &FaultLog) -> Result<(Database, u64), Failure> {
    let database = open_database(settings, opener, log)?;
    let current = schema::version(settings.migrations);
    let (from, commits) = match look(&database)? {
        Found::Foreign => return Err(Failure::Foreign),
        Found::Store { version, .. } if version > current => return Err(Failure::Newer { found: version }),
        Found::Store { version, commits, complete } => {
            ((version < current || !complete).then_some(Some(version)), commits)
        }
        Found::Empty => (Some(None), 0),
    };
    if let Some(from) = from {
        prepare(&database, from, settings.migrations)?;
    }
    seal_all(&database, &settings.cipher)?;
    Ok((database, commits))
}

fn open_database(settings: &Settings, opener: &Opener, log: &FaultLog) -> Result<Database, redb::Error> {
    let backend = Watched::new(opener.open()?, log.clone());
    let mut builder = redb::Builder::new();
    builder.set_cache_size(settings.cache_bytes).set_check_integrity_on_open(true);
    Ok(builder.create_with_backend(backend)?)
}

fn look(database: &Database) -> Result<Found, redb::Error> {
    schema::look(&database.begin_read()?)
}

fn prepare(database: &Database, from: Option<u64>, migrations: &[Migration]) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    schema::prepare(&write, from, migrations)?;
    Ok(write.commit()?)
}

/// Opens all secrets, and seals those in clear if there is a key now.
fn seal_all(database: &Database, cipher: &Cipher) -> Result<(), Failure> {
    let mut changes = Vec::new();
    for Row { key, value } in secrets(database)? {
        let opened = cipher.open(&key, &value)?;
        if cipher.would_change(&value) {
            let value = Some(cipher.seal(&key, &opened)?);
            changes.push(Change { rows: schema::SECRETS, key, value });
        }
    }
    if !changes.is_empty() {
        rewrite(database, &changes)?;
    }
    Ok(())
}

/// The secrets as they are in the file.
fn secrets(database: &Database) -> Result<Vec<Row>, redb::Error> {
    rows(database, schema::SECRETS, &[], usize::MAX)
}

fn rewrite(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let write = database.begin_write()?;
    apply(&write, changes)?;
    Ok(write.commit()?)
}

/// One transaction, and one sync, for all changes of a batch.
fn write(database: &Database, changes: &[Change], commits: u64) -> Result<(), Failure> {
    let commit = || -> Result<(), redb::Error> {
        let write = database.begin_write()?;
        apply(&write, changes)?;
        schema::count_commit(&write, commits)?;
        Ok(write.commit()?)
    };
    Ok(commit()?)
}

fn apply(write: &WriteTransaction, changes: &[Change]) -> Result<(), redb::Error> {
    let mut tables = BTreeMap::new();
    for Change { rows, key, value } in changes {
        let table = match tables.entry(rows.name()) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(closed) => closed.insert(write.open_table(*rows)?),
        };
        match value {
            Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
            None => drop(table.remove(key.as_slice())?),
        }
    }
    Ok(())
}

fn read(
    database: &Database,
    cipher: &Cipher,
    table: Table,
    from: &[u8],
    limit: usize,
) -> Result<Vec<Row>, Failure> {
    let mut found = rows(database, schema::rows(table).ok_or(Failure::UnknownTable)?, from, limit)?;
    if table == Table::Secrets {
        for row in &mut found {
            row.value = cipher.open(&row.key, &row.value)?;
        }
    }
    Ok(found)
}

/// Rows as they are in the file.
fn rows(database: &Database, rows: schema::Rows, from: &[u8], limit: usize) -> Result<Vec<Row>, redb::Error> {
    let table = database.begin_read()?.open_table(rows)?;
    let mut found = Vec::new();
    for entry in table.range::<&[u8]>(from..)?.take(limit) {
        let (key, value) = entry?;
        found.push(Row { key: key.value().to_vec(), value: value.value().to_vec() });
    }
    Ok(found)
}

fn check(database: &mut Database, cipher: &Cipher) -> Result<Check, Failure> {
    let clean = database.check_integrity().map_err(redb::Error::from)?;
    for Row { key, value } in secrets(database)? {
        cipher.open(&key, &value)?;
    }
    let count = || -> Result<(u64, u64), redb::Error> {
        let read = database.begin_read()?;
        let (mut rows, mut bytes) = (0, 0);
        for (_, definition) in schema::TABLES {
            for entry in read.open_table(definition)?.iter()? {
                let (key, value) = entry?;
                rows += 1;
                bytes += (key.value().len() + value.value().len()) as u64;
            }
        }
        Ok((rows, bytes))
    };
    let (rows, bytes) = count()?;
    Ok(Check { repaired: !clean, rows, bytes })
}

impl Failure {
    fn on_open(self, settings: &Settings) -> OpenError {
        let path = settings.path.clone();
        match self {
            Self::Foreign => OpenError::NotAStore { path },
            Self::Newer { found } => {
                OpenError::Newer { path, found, supported: schema::version(settings.migrations) }
            }
            Self::Cipher(CipherError::NoKey) => OpenError::KeyMissing { path },
            Self::Cipher(CipherError::WrongKey) => OpenError::KeyWrong { path },
            Self::Database(redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch) => {
                OpenError::InUse { path }
            }
            Self::Database(redb::Error::UpgradeRequired(_)) => OpenError::NotAStore { path },
            Self::Database(redb::Error::Io(source)) => open_error(path, source),
            damaged => OpenError::Damaged { path, detail: damaged.to_string() },
        }
    }
}

/// What an error of the operating system means for a store.
pub(crate) fn open_error(path: PathBuf, source: std::io::Error) -> OpenError {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    match source.kind() {
        // The magic number is not redb's.
        InvalidData => OpenError::NotAStore { path },
        UnexpectedEof => OpenError::Damaged { path, detail: "the file is cut short".to_owned() },
        _ if is_full(&source) => OpenError::Full { path },
        _ if is_read_only(&source) => OpenError::ReadOnly { path },
        _ => OpenError::Io { path, source },
    }
}
