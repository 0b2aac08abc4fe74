//! A store's file with any damage is refused with a typed error, or is a store that passes its own check, holds what was committed up to some batch, and goes on.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use qis_route::{Batch, Operation, Table};
use qis_store::Image;

use crate::Reader;

const BATCHES: u8 = 4;
/// Places that are damaged at most.
const DAMAGES: usize = 32;

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

/// A file as it was at some time, and the rows that are in it.
struct Base {
    bytes: Vec<u8>,
    rows: Rows,
}

/// Files before the first and after each batch, closed and as a killed process leaves them: the latter at odd places.
static BASES: LazyLock<Vec<Base>> = LazyLock::new(|| {
    let mut image = Image::open(Vec::new()).expect("a new store");
    let mut bases = Vec::new();
    for number in 0..=BATCHES {
        let rows = rows(&mut image);
        let killed = image.bytes();
        let closed = image.into_bytes();
        bases.push(Base { bytes: closed.clone(), rows: rows.clone() });
        bases.push(Base { bytes: killed, rows });
        image = Image::open(closed).expect("the store that was closed");
        image.commit(batch(number)).expect("there is room");
    }
    bases
});

/// Rows that come, change and go, some larger than a page.
fn batch(number: u8) -> Batch {
    let put = |table, key: &[u8], length: usize| Operation::Put {
        table,
        key: key.to_vec(),
        value: vec![number.wrapping_mul(37); length],
    };
    let mut operations = vec![put(Table::Order, b"", 16), put(Table::Secrets, b"site", 40)];
    for row in 0..6 + number {
        operations.push(put(Table::Packets, &[row], 90 * usize::from(row) + 700 * usize::from(number)));
        operations.push(put(Table::Outbox, &[number, row], 500));
    }
    if let Some(before) = number.checked_sub(1) {
        operations.push(Operation::Delete { table: Table::Outbox, key: vec![before, 1] });
    }
    Batch { operations }
}

fn rows(image: &mut Image) -> Rows {
    let mut found = Rows::new();
    for table in Table::ALL {
        let rows = image.rows(table).expect("a store that was opened is read");
        found.extend(rows.into_iter().map(|row| ((table, row.key), row.value)));
    }
    found
}

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let mut input = Reader(data);
    let how = input.byte();
    let base = &BASES[usize::from(how >> 2) % BASES.len()];
    let mut bytes = base.bytes.clone();
    match how & 3 {
        0 => bytes = input.0.to_vec(),
        1 => {
            // Something else in front.
            let length = input.0.len().min(bytes.len());
            bytes[..length].copy_from_slice(&input.0[..length]);
        }
        _ => damage(&mut bytes, &mut input),
    }
    let is_whole = bytes == base.bytes;
    let Ok(mut image) = Image::open(bytes) else {
        assert!(!is_whole, "a store that nobody damaged is refused");
        return;
    };
    image.check().expect("what was opened passes its own check");
    let found = rows(&mut image);
    let is_known = |base: &Base| base.rows == found;
    assert!(
        if is_whole { is_known(base) } else { BASES.iter().any(is_known) },
        "rows that never were together"
    );
    let again = batch(BATCHES + 1);
    image.commit(again.clone()).expect("there is room");
    let mut expected = found;
    for operation in again.operations {
        match operation {
            Operation::Put { table, key, value } => expected.insert((table, key), value),
            Operation::Delete { table, key } => expected.remove(&(table, key)),
        };
    }
    let mut image = Image::open(image.into_bytes()).expect("it was just written");
    assert_eq!(rows(&mut image), expected);
}

/// Changes bits, moves blocks, cuts and lengthens, as the input has it.
fn damage(bytes: &mut Vec<u8>, input: &mut Reader<'_>) {
    for _ in 0..DAMAGES {
        if input.is_empty() || bytes.is_empty() {
            return;
        }
        let (how, at, what) = (input.byte(), input.u32() as usize % bytes.len(), input.u16());
        let length = usize::from(what);
        let end = (at + length).min(bytes.len());
        match how % 8 {
            // Mostly in the head of the file, which is small and says where everything else is.
            0 | 1 => {
                let at = at % bytes.len().min(320);
                bytes[at] ^= what as u8;
            }
            2 | 3 => bytes[at] ^= what as u8,
            4 => bytes[at..end].fill(0),
            5 => {
                // A block that was written to another place, whole pages of it as disks have them.
                let page = |place: usize| place / 4096 * 4096;
                let (from, to) = (page(at), page(usize::from(what) * 4096 % bytes.len()));
                let end = (from + 4096).min(bytes.len());
                let length = (end - from).min(bytes.len() - to);
                bytes.copy_within(from..from + length, to);
            }
            6 => bytes.truncate(at),
            _ => bytes.resize(bytes.len() + length, 0),
        }
    }
}
