//! A small store on a disk: a log of batches with checksums.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::Mutex;

use async_trait::async_trait;
use qis_conformance::store::Disk;
use qis_route::{Batch, HostError, HostErrorKind, Operation, Row, Store, Table};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Acknowledges before it is synced.
    AcknowledgesEarly,
    /// Writes each operation by itself.
    HasNoTransactions,
    /// Goes on after a failed sync.
    GoesOn,
    /// Says of a full disk that it is broken.
    FullIsTheEnd,
    /// Leaves what a full disk took of a batch in memory.
    KeepsWhatDidNotFit,
}

#[derive(Debug)]
pub(crate) struct Log {
    bug: Option<Bug>,
    disk: Disk,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    rows: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    end: u64,
    is_poisoned: bool,
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

fn write_part(out: &mut Vec<u8>, part: &[u8]) {
    out.extend((part.len() as u32).to_le_bytes());
    out.extend(part);
}

fn read_part(bytes: &mut &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
    *bytes = rest;
    Some(part.to_vec())
}

fn position(of: Table) -> usize {
    Table::ALL.iter().position(|table| *table == of).unwrap()
}

impl State {
    fn apply(&mut self, operation: Operation) {
        match operation {
            Operation::Put { table, key, value } => self.rows.insert((position(table), key), value),
            Operation::Delete { table, key } => self.rows.remove(&(position(table), key)),
        };
    }
}

fn encode(operations: &[Operation]) -> Vec<u8> {
    let mut body = Vec::new();
    for operation in operations {
        let (kind, table, key, value) = match operation {
            Operation::Put { table, key, value } => (1, table, key, &value[..]),
            Operation::Delete { table, key } => (0, table, key, &[][..]),
        };
        body.extend([kind, position(*table) as u8]);
        write_part(&mut body, key);
        write_part(&mut body, value);
    }
    let mut record = Vec::new();
    record.extend(sum(&body).to_le_bytes());
    write_part(&mut record, &body);
    record
}

fn decode(record: &mut &[u8]) -> Option<Vec<Operation>> {
    let (expected, mut rest) = record.split_first_chunk::<4>()?;
    let body = read_part(&mut rest)?;
    if sum(&body) != u32::from_le_bytes(*expected) {
        return None;
    }
    *record = rest;
    let mut body = &body[..];
    let mut operations = Vec::new();
    while let [kind, table, left @ ..] = body {
        let (is_put, table) = (*kind == 1, *Table::ALL.get(usize::from(*table))?);
        body = left;
        let (key, value) = (read_part(&mut body)?, read_part(&mut body)?);
        operations.push(if is_put {
            Operation::Put { table, key, value }
        } else {
            Operation::Delete { table, key }
        });
    }
    Some(operations)
}

impl Log {
    pub(crate) fn open(disk: Disk, bug: Option<Bug>) -> io::Result<Self> {
        let mut bytes = vec![0; disk.len() as usize];
        disk.read(0, &mut bytes)?;
        let mut state = State::default();
        let mut left = &bytes[..];
        // An empty body has a sum, which zeros have not.
        while let Some(operations) = decode(&mut left) {
            operations.into_iter().for_each(|operation| state.apply(operation));
        }
        state.end = (bytes.len() - left.len()) as u64;
        Ok(Self { bug, disk, state: Mutex::new(state) })
    }

    fn append(&self, state: &mut State, operations: &[Operation]) -> Result<(), HostError> {
        let record = encode(operations);
        self.disk.write(state.end, &record).map_err(|error| self.failed(state, error))?;
        if self.bug != Some(Bug::AcknowledgesEarly) {
            self.disk.sync().map_err(|error| self.failed(state, error))?;
        }
        state.end += record.len() as u64;
        operations.iter().cloned().for_each(|operation| state.apply(operation));
        Ok(())
    }

    fn failed(&self, state: &mut State, error: io::Error) -> HostError {
        if error.kind() == ErrorKind::StorageFull && self.bug != Some(Bug::FullIsTheEnd) {
            return HostError::new(HostErrorKind::Full, error);
        }
        state.is_poisoned = self.bug != Some(Bug::GoesOn);
        HostError::new(HostErrorKind::Corrupt, error)
    }
}

#[async_trait]
impl Store for Log {
    async fn commit(&self, batch: Batch) -> Result<(), HostError> {
        let mut state = self.state.lock().unwrap();
        if state.is_poisoned {
            return Err(HostError::new(HostErrorKind::Corrupt, "a write failed"));
        }
        match self.bug {
            Some(Bug::HasNoTransactions) => {
                batch.operations.chunks(1).try_for_each(|operation| self.append(&mut state, operation))
            }
            Some(Bug::KeepsWhatDidNotFit) => {
                let result = self.append(&mut state, &batch.operations);
                if result.is_err() {
                    batch.operations.into_iter().for_each(|operation| state.apply(operation));
                }
                result
            }
            _ => self.append(&mut state, &batch.operations),
        }
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        let state = self.state.lock().unwrap();
        let found = state.rows.range((position(table), from.to_vec())..);
        let found = found.take_while(|((of, _), _)| *of == position(table)).take(limit);
        Ok(found.map(|((_, key), value)| Row { key: key.clone(), value: value.clone() }).collect())
    }
}
