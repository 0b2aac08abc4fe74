//! Rows of tests.

use qis_route::{Batch, Operation, Row, Store, Table};

pub(crate) fn put(table: Table, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Operation {
    Operation::Put { table, key: key.as_ref().to_vec(), value: value.as_ref().to_vec() }
}

pub(crate) fn delete(table: Table, key: impl AsRef<[u8]>) -> Operation {
    Operation::Delete { table, key: key.as_ref().to_vec() }
}

pub(crate) async fn commit(store: &impl Store, operations: impl IntoIterator<Item = Operation>) {
    store.commit(Batch { operations: operations.into_iter().collect() }).await.unwrap();
}

pub(crate) async fn all(store: &impl Store, table: Table) -> Vec<Row> {
    store.range(table, &[], usize::MAX).await.unwrap()
}
