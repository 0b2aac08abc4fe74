//! A site's store: a log of batches on a simulated disk.

use std::sync::Arc;
use std::time::Duration;

use qis::{Batch, HostError, HostErrorKind, Row, Store, Table, async_trait};

use super::clock::sleep;
use super::fault::FaultKind;
use super::plan::Act;
use super::world::World;
use qis_packet::planted;

/// How soon an operator starts a node anew whose store says it cannot be trusted.
const OPERATOR: Duration = Duration::from_secs(10);

/// The store of one life of a site.
#[derive(Debug)]
pub(super) struct SiteStore {
    pub(super) world: Arc<World>,
    pub(super) site: usize,
}

#[async_trait]
impl Store for SiteStore {
    async fn commit(&self, batch: Batch) -> Result<(), HostError> {
        let fail = |kind, what: &str| Err(HostError::new(kind, what.to_owned()));
        let (site, wait) = {
            let mut state = self.world.lock();
            let disk = &mut state.sites[self.site].disk;
            if disk.poisoned {
                return fail(HostErrorKind::Corrupt, "a sync failed before");
            }
            if disk.full {
                state.inject(FaultKind::DiskFull);
                return fail(HostErrorKind::Full, "no room");
            }
            disk.write(batch);
            let jitter = state.random.below(8_000) as u64;
            let wait = Duration::from_micros(500 + jitter) + state.sites[self.site].delay;
            if let Some((down, reformat, rotate)) = state.sites[self.site].dies_writing.take() {
                state.after(wait / 2, Act::Crash { site: self.site, down, reformat, rotate });
            }
            (self.site, wait)
        };
        sleep(&self.world, wait).await;
        let mut state = self.world.lock();
        let rates = state.plan.rates.clone();
        if state.befalls(FaultKind::FailedWrite, rates.failed_write) {
            state.sites[site].disk.unwrite();
            state.note(format_args!("site {site} fails to write"));
            return fail(HostErrorKind::Unavailable, "the disk did not answer");
        }
        if state.befalls(FaultKind::FailedSync, rates.failed_sync) {
            state.sites[site].disk.poisoned = true;
            state.note(format_args!("site {site} fails to sync"));
            let (down, reformat, rotate) = (Duration::from_secs(1), false, false);
            state.after(OPERATOR, Act::Crash { site, down, reformat, rotate });
            return fail(HostErrorKind::Corrupt, "the sync failed");
        }
        if planted!(AcknowledgedBeforeSync) {
            return Ok(());
        }
        let synced = state.sites[site].disk.sync();
        state.committed(site, &synced);
        Ok(())
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        Ok(self.world.lock().sites[self.site].disk.range(table, from, limit))
    }
}
