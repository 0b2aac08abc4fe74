//! An exact directory.

use std::num::NonZeroUsize;
use std::sync::Arc;

use async_trait::async_trait;
use qis_fingerprint::Fingerprint;
use qis_packet::AuthorId;
use qis_route::{Descriptor, Directory, FullMesh, FullMeshError, HostError, Organisation, Peer};

const CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(65_535);

/// The descriptors of a process, at most 65,536, in one [`FullMesh`]; clones are the same directory.
#[derive(Clone, Debug)]
pub struct MemoryDirectory(Arc<FullMesh>);

impl MemoryDirectory {
    /// Says on whose behalf a node takes part.
    ///
    /// # Errors
    ///
    /// As [`FullMesh::set_organisation`].
    pub fn set_organisation(
        &self,
        author: AuthorId,
        organisation: Organisation,
    ) -> Result<(), FullMeshError> {
        self.0.set_organisation(author, organisation)
    }
}

impl Default for MemoryDirectory {
    fn default() -> Self {
        Self(Arc::new(FullMesh::new(CAPACITY)))
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.0.announce(descriptor).await
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        self.0.nearest(fingerprint, k).await
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        self.0.sample(k).await
    }
}
