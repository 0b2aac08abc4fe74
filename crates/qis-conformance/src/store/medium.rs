use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use qis_route::Store;

use super::Disk;
use crate::runner::{BoxError, Local};

/// How a medium fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A write or a resize does nothing and says so.
    Write,
    /// A write does half of it and says that it failed.
    TornWrite,
    /// A sync says that it failed, and what it should have synced is not synced by a later one either.
    Sync,
    /// From here on there is no room for what was never written before.
    Full,
    /// From here on nothing can be written for want of room.
    FullForAll,
    /// The code that writes panics. The suite orders no such fault; it is for tests of one's own.
    Panic,
}

/// What a store is kept on, where the suite says when it fails.
///
/// Calls that change something are counted: writes, resizes and syncs of a file, statements of a database. One fault is ordered at a time.
/// A [`Disk`] is one for stores that keep bytes.
#[async_trait(?Send)]
pub trait Medium: 'static {
    /// Opens the store that is there. None of it is open.
    async fn open(&self) -> Result<Box<dyn Store>, Box<dyn Error + Send + Sync>>;

    /// Fails at the call of this number from now on, 0 for the next, or at the first one after it that can fail so.
    fn fail_at(&self, call: u64, fault: Fault);

    /// Whether the fault that was ordered has happened.
    fn has_failed(&self) -> bool;

    /// Orders no fault any more: it works, and there is room.
    fn heal(&self);

    /// A medium with what a new process finds after this one was killed: all that was written.
    fn after_kill(&self) -> Box<dyn Medium>;

    /// A medium with what is there after the power was lost: all that was synced, and of what was not, some, as the seed has it.
    fn after_power_loss(&self, seed: u64) -> Box<dyn Medium>;
}

pub(super) type Open = Arc<dyn Fn(Disk) -> Local<Result<Box<dyn Store>, BoxError>> + Send + Sync>;

/// A store on a disk of the suite.
pub(super) struct OnDisk {
    open: Open,
    disk: Disk,
}

impl OnDisk {
    pub(super) fn new(open: Open) -> Self {
        Self { open, disk: Disk::default() }
    }

    fn with(&self, disk: Disk) -> Box<dyn Medium> {
        Box::new(Self { open: Arc::clone(&self.open), disk })
    }
}

#[async_trait(?Send)]
impl Medium for OnDisk {
    async fn open(&self) -> Result<Box<dyn Store>, BoxError> {
        (self.open)(self.disk.clone()).await
    }

    fn fail_at(&self, call: u64, fault: Fault) {
        self.disk.fail_at(call, fault);
    }

    fn has_failed(&self) -> bool {
        self.disk.has_failed()
    }

    fn heal(&self) {
        self.disk.heal();
    }

    fn after_kill(&self) -> Box<dyn Medium> {
        self.with(self.disk.copy())
    }

    fn after_power_loss(&self, seed: u64) -> Box<dyn Medium> {
        let disk = self.disk.copy();
        disk.lose_power(seed);
        self.with(disk)
    }
}
