//! What a [`Store`] has to do, in the words of the trait's list. For any store: the tests of each implementation call these.

use qis_route::{Row, Store, Table};

use crate::rows::{all, commit, delete, put};

fn keys(rows: &[Row]) -> Vec<&[u8]> {
    rows.iter().map(|row| row.key.as_slice()).collect()
}

/// `commit` makes all changes, in order, in every table; what was written comes back as it was.
pub(crate) async fn all_operations_of_a_commit_are_there(store: &impl Store) {
    let longest = vec![9; 255];
    let mut operations = Vec::new();
    for table in Table::ALL {
        operations.push(put(table, b"", b"an empty key"));
        operations.push(put(table, &longest, []));
        operations.push(put(table, b"key", format!("{table:?}")));
        operations.push(put(table, b"gone", b"1"));
        operations.push(delete(table, b"gone"));
        operations.push(delete(table, b"back"));
        operations.push(put(table, b"back", b"1"));
        operations.push(put(table, b"back", b"2"));
        operations.push(delete(table, b"never there"));
        operations.push(put(table, b"large", vec![3; 100_000]));
    }
    commit(store, operations).await;
    for table in Table::ALL {
        let rows = all(store, table).await;
        assert_eq!(keys(&rows), [&b""[..], &longest, b"back", b"key", b"large"], "{table:?}");
        assert_eq!(rows[0].value, b"an empty key");
        assert!(rows[1].value.is_empty());
        assert_eq!((&rows[2].value[..], &rows[3].value[..]), (&b"2"[..], format!("{table:?}").as_bytes()));
        assert_eq!(rows[4].value, vec![3; 100_000]);
    }
    commit(store, []).await;
    assert_eq!(all(store, Table::Order).await.len(), 5, "a commit of nothing changes nothing");
}

/// `range` sees every commit that has ended.
pub(crate) async fn a_range_sees_every_commit_that_has_ended(store: &impl Store) {
    for number in 0..20_u8 {
        commit(store, [put(Table::Packets, [number], [number]), delete(Table::Packets, [number / 2])]).await;
        let rows = all(store, Table::Packets).await;
        let expected: Vec<[u8; 1]> = (number / 2 + 1..=number).map(|key| [key]).collect();
        assert_eq!(keys(&rows), expected.iter().map(<[u8; 1]>::as_slice).collect::<Vec<_>>());
    }
}

/// Rows come in ascending byte order, from the first that is not below, exactly as many as asked for unless there are no more.
pub(crate) async fn a_range_is_in_order_and_as_long_as_was_asked_for(store: &impl Store) {
    let written: Vec<Vec<u8>> = vec![
        vec![],
        vec![0],
        vec![0, 0],
        vec![0, 255],
        vec![1],
        vec![127],
        vec![128, 1],
        vec![255],
        vec![255; 3],
    ];
    let puts = written.iter().rev().map(|key| put(Table::Outbox, key, b"x"));
    commit(store, puts.chain([put(Table::Order, b"\x01", b"other"), put(Table::Synthesis, b"", b"other")]))
        .await;
    for from in [&[][..], &[0], &[0, 1], &[1], &[1, 0], &[128], &[255, 255, 255], &[255, 255, 255, 0]] {
        let left: Vec<&[u8]> = written.iter().map(Vec::as_slice).filter(|key| *key >= from).collect();
        for limit in [0, 1, 2, left.len(), left.len() + 1, usize::MAX] {
            let rows = store.range(Table::Outbox, from, limit).await.unwrap();
            assert_eq!(keys(&rows), left[..limit.min(left.len())], "from {from:?}, {limit}");
        }
    }
    assert!(all(store, Table::Rotations).await.is_empty());
}

/// Pages of a table with thousands of rows, as a node reads them when it is built.
pub(crate) async fn pages_of_many_rows_miss_none_and_repeat_none(store: &impl Store) {
    const ROWS: u32 = 3_000;
    let value = |number: u32| number.to_le_bytes().repeat(1 + number as usize % 40);
    commit(store, (0..ROWS).map(|number| put(Table::Packets, number.to_be_bytes(), value(number)))).await;
    let mut rows: Vec<Row> = Vec::new();
    loop {
        let from = rows.last().map_or_else(Vec::new, |row| [&row.key[..], &[0]].concat());
        let page = store.range(Table::Packets, &from, 256).await.unwrap();
        let last = page.len() < 256;
        rows.extend(page);
        if last {
            break;
        }
    }
    assert_eq!(rows.len(), ROWS as usize);
    for (number, row) in (0_u32..).zip(&rows) {
        assert_eq!((&row.key[..], &row.value), (&number.to_be_bytes()[..], &value(number)));
    }
}

/// What is read by another handle, later, is what was committed.
pub(crate) async fn what_was_committed_outlives_the_handle<S: Store>(
    first: S,
    again: impl AsyncFnOnce() -> S,
) {
    commit(&first, Table::ALL.map(|table| put(table, b"key", format!("{table:?}")))).await;
    drop(first);
    let again = again().await;
    for table in Table::ALL {
        let rows = all(&again, table).await;
        assert_eq!(rows, [Row { key: b"key".to_vec(), value: format!("{table:?}").into_bytes() }]);
    }
}
