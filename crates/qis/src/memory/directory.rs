//! An exact directory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use qis_fingerprint::Fingerprint;
use qis_packet::{AuthorId, DomainTag};
use qis_route::{Descriptor, Directory, HostError, Peer};

/// All descriptors of a process, searched one by one; clones are the same directory.
#[derive(Clone, Debug, Default)]
pub struct MemoryDirectory(Arc<Mutex<BTreeMap<(AuthorId, DomainTag), Descriptor>>>);

impl MemoryDirectory {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(AuthorId, DomainTag), Descriptor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Directory for MemoryDirectory {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.lock().insert((descriptor.author, descriptor.domain), descriptor.clone());
        Ok(())
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        let mut best: BTreeMap<AuthorId, (f32, Peer)> = BTreeMap::new();
        for descriptor in self.lock().values() {
            let Ok(cosine) = descriptor.fingerprint.cosine(fingerprint) else { continue };
            let peer = Peer {
                author: descriptor.author,
                address: descriptor.address.clone(),
                fingerprint: descriptor.fingerprint.clone(),
                organisation: None,
            };
            let better = best.get(&peer.author).is_none_or(|(known, _)| cosine > *known);
            if better {
                best.insert(peer.author, (cosine, peer));
            }
        }
        let mut found: Vec<(f32, Peer)> = best.into_values().collect();
        // Stable, so equals stay in the order of their authors.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(k);
        Ok(found.into_iter().map(|(_, peer)| peer).collect())
    }
}
