use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Fault;
use crate::random::Random;

const BLOCK: u64 = 4096;
const SECTOR: usize = 512;
/// The largest disk, in bytes: far beyond what a test writes.
const MOST_BYTES: usize = 1 << 28;

/// One file on a disk in memory that fails when it is told to; clones are the same one.
///
/// What is not synced may be lost, sector by sector of 512 bytes, when the power is. A full one has no room for blocks of 4,096 bytes that
/// were never written.
#[derive(Clone, Debug, Default)]
pub struct Disk(Arc<Mutex<State>>);

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
    plan: Option<(u64, Fault)>,
    /// Whether the plan was carried out.
    has_failed: bool,
    /// Since it was full.
    full: Option<Fault>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { from: usize, data: Vec<u8> },
    Resize { len: usize },
}

/// What kind of call it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Write,
    Resize,
    Sync,
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write { from, data } => {
                let to = from + data.len();
                if bytes.len() < to {
                    bytes.resize(to, 0);
                }
                if let Some(place) = bytes.get_mut(*from..to) {
                    place.copy_from_slice(data);
                }
            }
            Self::Resize { len } => bytes.resize(*len, 0),
        }
    }
}

impl Disk {
    /// The length of the file, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.lock().shown.len() as u64
    }

    /// Whether there is nothing in the file.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `out` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::UnexpectedEof`] when the file ends before.
    pub fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.lock();
        let range = range(offset, out.len())?;
        let found = state.shown.get(range).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    /// Writes `data` from `offset` on, and makes the file as long as that needs.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that was ordered; [`ErrorKind::StorageFull`] when there is no room.
    ///
    /// # Panics
    ///
    /// When [`Fault::Panic`] was ordered.
    pub fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let range = range(offset, data.len())?;
        let touched = offset / BLOCK..(offset + data.len() as u64).div_ceil(BLOCK);
        if let Some(fault) = state.call(Call::Write) {
            if fault == Fault::TornWrite {
                let data = data.get(..data.len() / 2).unwrap_or_default().to_vec();
                state.change(Change::Write { from: range.start, data });
            }
            return Err(failed(state, fault));
        }
        let has_room = match state.full {
            None => true,
            Some(Fault::Full) => touched.clone().all(|block| state.blocks.contains(&block)),
            Some(_) => false,
        };
        if !has_room {
            return Err(ErrorKind::StorageFull.into());
        }
        state.blocks.extend(touched);
        state.change(Change::Write { from: range.start, data: data.to_vec() });
        Ok(())
    }

    /// Cuts the file to this length, or fills it up with zeros.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that was ordered.
    ///
    /// # Panics
    ///
    /// When [`Fault::Panic`] was ordered.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.lock();
        let len = range(0, usize::try_from(len).unwrap_or(usize::MAX))?.end;
        if let Some(fault) = state.call(Call::Resize) {
            return Err(failed(state, fault));
        }
        state.change(Change::Resize { len });
        Ok(())
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    ///
    /// The [`Fault`] that was ordered. What was written is not durable then, and never will be.
    ///
    /// # Panics
    ///
    /// When [`Fault::Panic`] was ordered.
    pub fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        if let Some(fault) = state.call(Call::Sync) {
            state.unsynced.clear();
            return Err(failed(state, fault));
        }
        state.syncs += 1;
        let State { durable, unsynced, .. } = &mut *state;
        for change in unsynced.drain(..) {
            change.apply(durable);
        }
        Ok(())
    }

    /// How often it was synced.
    #[must_use]
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Fails at the call of this number from now on: writes, resizes and syncs count.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        let mut state = self.lock();
        (state.calls, state.has_failed) = (0, false);
        state.plan = Some((call, fault));
    }

    /// Whether the fault that was ordered has happened.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.lock().has_failed
    }

    /// Has room again, and works.
    pub fn heal(&self) {
        let mut state = self.lock();
        (state.plan, state.full) = (None, None);
    }

    /// Another disk with the same on it.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.lock().clone())))
    }

    /// Loses some of what was not synced, as the seed has it.
    pub fn lose_power(&self, seed: u64) {
        let mut state = self.lock();
        let mut random = Random::new(seed);
        let mut is_kept = || random.below(2) == 1;
        let unsynced = std::mem::take(&mut state.unsynced);
        let mut bytes = std::mem::take(&mut state.durable);
        for change in unsynced {
            match change {
                Change::Write { from, data } => {
                    for (at, sector) in data.chunks(SECTOR).enumerate() {
                        if is_kept() {
                            let from = from + at * SECTOR;
                            Change::Write { from, data: sector.to_vec() }.apply(&mut bytes);
                        }
                    }
                }
                resize if is_kept() => resize.apply(&mut bytes),
                Change::Resize { .. } => {}
            }
        }
        state.shown.clone_from(&bytes);
        state.durable = bytes;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a call, and says how it fails if that was planned.
    fn call(&mut self, call: Call) -> Option<Fault> {
        let at = self.calls;
        self.calls += 1;
        let (_, fault) = self.plan.filter(|(planned, _)| *planned == at)?;
        match (fault, call) {
            (Fault::Full | Fault::FullForAll, _) => {
                (self.full, self.has_failed) = (Some(fault), true);
                None
            }
            (Fault::Sync, Call::Write | Call::Resize) | (Fault::Write | Fault::TornWrite, Call::Sync) => {
                // The next one of its kind, then.
                self.plan = Some((at + 1, fault));
                None
            }
            _ => {
                self.has_failed = true;
                Some(fault)
            }
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.shown);
        self.unsynced.push(change);
    }
}

/// The error of a fault, once nobody else is kept waiting.
fn failed(state: MutexGuard<'_, State>, fault: Fault) -> io::Error {
    drop(state);
    if fault == Fault::Panic {
        panic!("as the suite ordered");
    }
    io::Error::other("as the suite ordered")
}

fn range(offset: u64, len: usize) -> io::Result<std::ops::Range<usize>> {
    let from = usize::try_from(offset).ok();
    let to = from.and_then(|from| from.checked_add(len)).filter(|to| *to <= MOST_BYTES);
    from.zip(to).map(|(from, to)| from..to).ok_or_else(|| ErrorKind::FileTooLarge.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_synced_survives_a_power_loss_and_what_was_not_may_be_gone() {
        let disk = Disk::default();
        disk.write(0, &[1; 4096]).unwrap();
        disk.sync().unwrap();
        disk.write(0, &[2; 4096]).unwrap();
        let mut found = BTreeSet::new();
        for seed in 0..20 {
            let after = disk.copy();
            after.lose_power(seed);
            let mut bytes = [0; 4096];
            after.read(0, &mut bytes).unwrap();
            assert!(bytes.chunks(SECTOR).all(|sector| sector == [1; SECTOR] || sector == [2; SECTOR]));
            found.insert(bytes.to_vec());
        }
        assert!(found.len() > 10, "{} of 20", found.len());
        assert_eq!((disk.len(), disk.syncs()), (4096, 1));
    }

    #[test]
    fn it_fails_at_the_call_it_was_told_to_and_at_no_other() {
        let disk = Disk::default();
        disk.fail_at(1, Fault::TornWrite);
        disk.write(0, &[1; 8]).unwrap();
        assert!(!disk.has_failed());
        disk.sync().unwrap();
        disk.write(0, &[2; 8]).unwrap_err();
        assert!(disk.has_failed());
        let mut bytes = [0; 8];
        disk.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [2, 2, 2, 2, 1, 1, 1, 1]);
        disk.fail_at(0, Fault::Full);
        disk.write(0, &[3; 8]).unwrap();
        assert_eq!(disk.write(BLOCK, &[3; 8]).unwrap_err().kind(), ErrorKind::StorageFull);
        disk.heal();
        disk.write(BLOCK, &[3; 8]).unwrap();
        assert_eq!(disk.read(2 * BLOCK, &mut bytes).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert_eq!(disk.set_len(u64::MAX).unwrap_err().kind(), ErrorKind::FileTooLarge);
        disk.write(u64::MAX, &[1]).unwrap_err();
    }
}
