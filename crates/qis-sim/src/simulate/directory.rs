//! A directory of all sites that takes its time and fails.

use std::sync::Arc;
use std::time::Duration;

use qis::memory::MemoryDirectory;
use qis::{Descriptor, Directory, Fingerprint, HostError, HostErrorKind, Peer, async_trait};

use super::clock::sleep;
use super::fault::FaultKind;
use super::world::World;

/// A site's way to the directory.
#[derive(Debug)]
pub(super) struct SiteDirectory {
    pub(super) world: Arc<World>,
    pub(super) directory: MemoryDirectory,
}

impl SiteDirectory {
    /// How long an answer takes; or no answer comes.
    async fn ask(&self) -> Result<(), HostError> {
        let (fails, wait) = {
            let mut state = self.world.lock();
            let share = state.plan.rates.directory;
            let fails = state.befalls(FaultKind::Directory, share);
            // Longer than anybody waits, one time in four.
            let late = fails && state.random.chance(0.25);
            let wait = if late { 60_000 } else { 2 + state.random.below(50) as u64 };
            (fails, Duration::from_millis(wait))
        };
        sleep(&self.world, wait).await;
        if fails { Err(HostError::new(HostErrorKind::Unavailable, "the directory is away")) } else { Ok(()) }
    }
}

#[async_trait]
impl Directory for SiteDirectory {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.ask().await?;
        self.directory.announce(descriptor).await
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        self.ask().await?;
        self.directory.nearest(fingerprint, k).await
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        self.ask().await?;
        self.directory.sample(k).await
    }
}
