//! What is in the file, and how a file of an earlier version becomes one of this.

use qis_route::Table;
use redb::{ReadTransaction, ReadableTable, TableDefinition, TableHandle, WriteTransaction};

/// A table of rows.
pub(crate) type Rows = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Numbers about the file itself.
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("qis");
const VERSION: &str = "schema";
const COMMITS: &str = "commits";

/// Takes a file from one version to the next, in the transaction of all of them.
pub(crate) type Migration = fn(&WriteTransaction) -> Result<(), redb::Error>;

/// From version 1 to 2, from 2 to 3, and so on. There is one version yet.
pub(crate) const MIGRATIONS: &[Migration] = &[];

/// The only table with values that are not as a node gave them.
pub(crate) const SECRETS: Rows = TableDefinition::new("secrets");

/// Every table of the store and its place in the file. Names and types must stay as they are: another one is another version.
pub(crate) const TABLES: [(Table, Rows); 7] = [
    (Table::Order, TableDefinition::new("order")),
    (Table::Rotations, TableDefinition::new("rotations")),
    (Table::Packets, TableDefinition::new("packets")),
    (Table::Outbox, TableDefinition::new("outbox")),
    (Table::Synthesis, TableDefinition::new("synthesis")),
    (Table::Secrets, SECRETS),
    (Table::Peers, TableDefinition::new("peers")),
];

/// The version that files have after these migrations.
pub(crate) const fn version(migrations: &[Migration]) -> u64 {
    1 + migrations.len() as u64
}

/// Where the rows of a table are.
pub(crate) fn rows(table: Table) -> Option<Rows> {
    TABLES.iter().find(|(of, _)| *of == table).map(|(_, rows)| *rows)
}

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing was ever written to it.
    Empty,
    /// A database of somebody else's.
    Foreign,
    /// A store.
    Store {
        /// Its version.
        version: u64,
        /// How many batches were committed to it.
        commits: u64,
        /// Whether it has all tables.
        complete: bool,
    },
}

/// Looks at a file.
pub(crate) fn look(read: &ReadTransaction) -> Result<Found, redb::Error> {
    let names: Vec<String> = read.list_tables()?.map(|table| table.name().to_owned()).collect();
    if names.is_empty() && read.list_multimap_tables()?.next().is_none() {
        return Ok(Found::Empty);
    }
    if !names.iter().any(|name| name == META.name()) {
        return Ok(Found::Foreign);
    }
    let meta = match read.open_table(META) {
        Ok(meta) => meta,
        Err(redb::TableError::TableTypeMismatch { .. }) => return Ok(Found::Foreign),
        Err(error) => return Err(error.into()),
    };
    let Some(version) = meta.get(VERSION)?.map(|value| value.value()) else { return Ok(Found::Foreign) };
    let commits = meta.get(COMMITS)?.map_or(0, |value| value.value());
    let complete = TABLES.iter().all(|(_, rows)| names.iter().any(|name| name == rows.name()));
    Ok(Found::Store { version, commits, complete })
}

/// Makes a store of an empty file, or brings one of an earlier version to this one, all in one transaction.
pub(crate) fn prepare(
    write: &WriteTransaction,
    from: Option<u64>,
    migrations: &[Migration],
) -> Result<(), redb::Error> {
    if let Some(from) = from {
        let steps = (1..).zip(migrations).filter(|(step, _)| *step >= from);
        for (_, migration) in steps {
            migration(write)?;
        }
    }
    for (_, rows) in TABLES {
        write.open_table(rows)?;
    }
    write.open_table(META)?.insert(VERSION, version(migrations))?;
    Ok(())
}

/// Counts a batch, in its own transaction: so it is known later whether it is there.
pub(crate) fn count_commit(write: &WriteTransaction, commits: u64) -> Result<(), redb::Error> {
    write.open_table(META)?.insert(COMMITS, commits)?;
    Ok(())
}

/// Writes all that one transaction reads to another file.
pub(crate) fn copy(read: &ReadTransaction, write: &WriteTransaction) -> Result<(), redb::Error> {
    let mut meta = write.open_table(META)?;
    for entry in read.open_table(META)?.iter()? {
        let (key, value) = entry?;
        meta.insert(key.value(), value.value())?;
    }
    for (_, rows) in TABLES {
        let mut to = write.open_table(rows)?;
        for entry in read.open_table(rows)?.iter()? {
            let (key, value) = entry?;
            to.insert(key.value(), value.value())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_a_store_has_its_place() {
        for table in Table::ALL {
            assert!(rows(table).is_some(), "{table:?}");
        }
        assert_eq!(Table::ALL.len(), TABLES.len());
    }
}
