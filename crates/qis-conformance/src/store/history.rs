//! Batches, and what should be there after them.

use std::collections::BTreeMap;

use qis_route::{Batch, Operation, Store, Table};

use crate::runner::Stop;

/// Rows by table and key.
pub(super) type Model = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

pub(super) fn put(table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Operation {
    Operation::Put { table, key: key.as_ref().to_vec(), value: value.as_ref().to_vec() }
}

pub(super) fn delete(table: Table, key: impl AsRef<[u8]>) -> Operation {
    Operation::Delete { table, key: key.as_ref().to_vec() }
}

/// A short history: rows that come, change and go, in several tables, some larger than a page.
pub(super) fn history() -> Vec<Batch> {
    (0..4_u8)
        .map(|number| {
            let mut operations = vec![put(Table::Order, b"", [number; 16])];
            for row in 0..4 + 3 * number {
                let value = vec![number; 40 * usize::from(row) + usize::from(number) * 700];
                operations.push(put(Table::Packets, [row], &value));
                operations.push(put(Table::Outbox, [number, row], &value));
            }
            if let Some(before) = number.checked_sub(1) {
                operations.push(delete(Table::Outbox, [before, 1]));
            }
            operations.push(put(Table::Secrets, b"site", [number; 40]));
            Batch { operations }
        })
        .collect()
}

/// What there should be after these batches.
pub(super) fn model(batches: &[Batch]) -> Model {
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
pub(super) async fn content(store: &dyn Store) -> Result<Model, Stop> {
    let mut found = Model::new();
    for table in Table::ALL {
        let rows = store.range(table, &[], usize::MAX).await;
        for row in rows.map_err(|error| Stop::failed("a range", error))? {
            found.insert((table, row.key), row.value);
        }
    }
    Ok(found)
}
