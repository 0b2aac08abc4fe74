//! A store that forgets everything at the end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qis_route::{Batch, HostError, Operation, Row, Store, Table};

/// A store in memory; clones are the same store, so that a test can build a second node on what the first one left.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Arc<Mutex<Rows>>);

#[derive(Debug, Default)]
struct Rows(BTreeMap<(Table, Vec<u8>), Vec<u8>>);

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), HostError> {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for operation in batch.operations {
            match operation {
                Operation::Put { table, key, value } => rows.0.insert((table, key), value),
                Operation::Delete { table, key } => rows.0.remove(&(table, key)),
            };
        }
        Ok(())
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = rows.0.range((table, from.to_vec())..).take_while(|((of, _), _)| *of == table);
        let row =
            |((_, key), value): (&(Table, Vec<u8>), &Vec<u8>)| Row { key: key.clone(), value: value.clone() };
        Ok(found.take(limit).map(row).collect())
    }
}
