//! A directory for networks that one list holds.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use qis_fingerprint::Fingerprint;
use qis_packet::{AuthorId, DomainTag};

use crate::draw::{SplitMix, take_any};
use crate::{Descriptor, Directory, HostError, HostErrorKind, Organisation, Peer};

/// A list of members, searched one by one: exact, and enough for a network of some hundred or thousand nodes whose members the
/// host knows, be it from a file.
///
/// The host hands in each member's descriptor with [`insert`](Self::insert), and again when it changes. What the node announces is kept
/// as well, and tells nobody: spreading it is the host's part. For a network that nobody knows in full, use the
/// [`overlay`](crate::overlay), or bring an index, or a DHT for a [`DhtDirectory`](crate::DhtDirectory).
#[derive(Debug)]
pub struct FullMesh {
    capacity: NonZeroUsize,
    members: Mutex<Members>,
}

#[derive(Debug)]
struct Members {
    descriptors: BTreeMap<(AuthorId, DomainTag), Descriptor>,
    organisations: BTreeMap<AuthorId, Organisation>,
    draws: SplitMix,
}

/// A list that is full: it keeps what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the list has {capacity} descriptors already")]
pub struct FullMeshError {
    /// How many it may have.
    pub capacity: usize,
}

impl FullMesh {
    /// The bound of [`default`](Self::default): 1,024 descriptors.
    pub const DEFAULT_CAPACITY: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1023);

    /// An empty list of at most `capacity` descriptors, of which a member has one for each of its domains.
    ///
    /// A search compares with each of them: some microseconds for a hundred.
    #[must_use]
    pub const fn new(capacity: NonZeroUsize) -> Self {
        let members = Members {
            descriptors: BTreeMap::new(),
            organisations: BTreeMap::new(),
            draws: SplitMix::new(0x0071_6973_6d65_7368),
        };
        Self { capacity, members: Mutex::new(members) }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a member, or replaces its descriptor of the same domain.
    ///
    /// # Errors
    ///
    /// [`FullMeshError`] when the list is full and has none of this author and domain; nothing has changed then.
    pub fn insert(&self, descriptor: Descriptor) -> Result<(), FullMeshError> {
        let capacity = self.capacity.get();
        let mut members = self.lock();
        let key = (descriptor.author, descriptor.domain);
        if members.descriptors.len() >= capacity && !members.descriptors.contains_key(&key) {
            return Err(FullMeshError { capacity });
        }
        members.descriptors.insert(key, descriptor);
        Ok(())
    }

    /// Says on whose behalf a member takes part, which the host has from whom it trusts. It stays when the member's descriptor is replaced.
    ///
    /// # Errors
    ///
    /// [`FullMeshError`] when as many organisations are known as descriptors may be; nothing has changed then.
    pub fn set_organisation(
        &self,
        author: AuthorId,
        organisation: Organisation,
    ) -> Result<(), FullMeshError> {
        let capacity = self.capacity.get();
        let mut members = self.lock();
        if members.organisations.len() >= capacity && !members.organisations.contains_key(&author) {
            return Err(FullMeshError { capacity });
        }
        members.organisations.insert(author, organisation);
        Ok(())
    }

    /// Removes a member, all its domains and its organisation. Returns whether it was there.
    pub fn remove(&self, author: AuthorId) -> bool {
        let mut members = self.lock();
        let before = members.descriptors.len();
        members.descriptors.retain(|(one, _), _| *one != author);
        members.organisations.remove(&author);
        members.descriptors.len() < before
    }

    /// How many descriptors it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().descriptors.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Members {
    fn peer(&self, descriptor: &Descriptor) -> Peer {
        Peer {
            author: descriptor.author,
            address: descriptor.address.clone(),
            fingerprint: descriptor.fingerprint.clone(),
            organisation: self.organisations.get(&descriptor.author).copied(),
        }
    }
}

impl Default for FullMesh {
    fn default() -> Self {
        Self::new(Self::DEFAULT_CAPACITY)
    }
}

#[async_trait]
impl Directory for FullMesh {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        let inserted = self.insert(descriptor.clone());
        // So that nodes which know the same members do not all draw the same ones.
        let author = descriptor.author.as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes);
        self.lock().draws.stir(author);
        inserted.map_err(|error| HostError::new(HostErrorKind::Full, error))
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        let members = self.lock();
        let mut best: BTreeMap<AuthorId, (f32, &Descriptor)> = BTreeMap::new();
        for descriptor in members.descriptors.values() {
            let Ok(cosine) = descriptor.fingerprint.cosine(fingerprint) else { continue };
            if best.get(&descriptor.author).is_none_or(|(known, _)| cosine > *known) {
                best.insert(descriptor.author, (cosine, descriptor));
            }
        }
        let mut found: Vec<(f32, &Descriptor)> = best.into_values().collect();
        // Stable, so equals stay in the order of their authors.
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        found.truncate(k);
        Ok(found.into_iter().map(|(_, descriptor)| members.peer(descriptor)).collect())
    }

    /// Draws without entropy: the same calls on the same list give the same members, and each further call others.
    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        let mut members = self.lock();
        let mut draws = members.draws.clone();
        let mut all: Vec<&Descriptor> = members.descriptors.values().collect();
        // A member's descriptors are next to each other, and one of them is enough.
        all.dedup_by_key(|descriptor| descriptor.author);
        let drawn = (0..k.min(all.len())).filter_map(|_| take_any(&mut all, || draws.next()));
        let drawn = drawn.map(|descriptor| members.peer(descriptor)).collect();
        members.draws = draws;
        Ok(drawn)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::Future;
    use std::task::{Context, Poll, Waker};

    use qis_fingerprint::SpaceId;

    use super::*;

    /// What a list says it says at once.
    fn now<T>(future: impl Future<Output = Result<T, HostError>>) -> T {
        let mut future = std::pin::pin!(future);
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result.unwrap(),
            Poll::Pending => panic!("a list waits for nothing"),
        }
    }

    fn descriptor(author: u8, domain: &str, codes: [i8; 2]) -> Descriptor {
        let fingerprint = Fingerprint::from_codes(SpaceId::new("t", 2), codes.to_vec()).unwrap();
        let address = format!("a:{author}").parse().unwrap();
        Descriptor::new(AuthorId::from_bytes([author; 16]), address, domain.parse().unwrap(), fingerprint)
    }

    fn authors(peers: &[Peer]) -> Vec<u8> {
        peers.iter().map(|peer| peer.author.as_bytes()[0]).collect()
    }

    #[test]
    fn the_most_similar_come_first_and_no_author_twice() {
        let mesh = FullMesh::default();
        for (author, domain, codes) in
            [(1, "a", [0, 127]), (1, "b", [127, 0]), (2, "a", [127, 60]), (3, "a", [-127, 0])]
        {
            mesh.insert(descriptor(author, domain, codes)).unwrap();
        }
        let query = descriptor(9, "a", [127, 0]).fingerprint;
        assert_eq!(authors(&now(mesh.nearest(&query, 9))), [1, 2, 3]);
        assert_eq!(authors(&now(mesh.nearest(&query, 2))), [1, 2]);
        let elsewhere = Fingerprint::from_codes(SpaceId::new("u", 2), vec![1, 1]).unwrap();
        assert!(now(mesh.nearest(&elsewhere, 9)).is_empty());
        now(mesh.announce(&descriptor(3, "a", [127, 0])));
        assert_eq!(authors(&now(mesh.nearest(&query, 9))), [1, 3, 2]);
    }

    #[test]
    fn at_its_bound_it_keeps_what_it_has() {
        let mesh = FullMesh::new(NonZeroUsize::MIN);
        mesh.insert(descriptor(1, "a", [1, 0])).unwrap();
        assert_eq!(mesh.insert(descriptor(2, "a", [1, 0])), Err(FullMeshError { capacity: 1 }));
        mesh.insert(descriptor(1, "a", [0, 1])).unwrap();
        let of = Organisation::new("x");
        mesh.set_organisation(AuthorId::from_bytes([1; 16]), of).unwrap();
        assert!(mesh.set_organisation(AuthorId::from_bytes([2; 16]), of).is_err());
        assert_eq!(now(mesh.sample(3))[0].organisation, Some(of));
        assert!(mesh.remove(AuthorId::from_bytes([1; 16])));
        assert!(mesh.is_empty() && !mesh.remove(AuthorId::from_bytes([1; 16])));
        mesh.insert(descriptor(2, "a", [1, 0])).unwrap();
        assert_eq!(now(mesh.sample(1))[0].organisation, None);
    }

    #[test]
    fn samples_are_any_members_and_other_ones_each_time() {
        let mesh = || {
            let mesh = FullMesh::default();
            for author in 0..100 {
                mesh.insert(descriptor(author, "a", [1, 0])).unwrap();
                mesh.insert(descriptor(author, "b", [1, 0])).unwrap();
            }
            mesh
        };
        let (one, same, other) = (mesh(), mesh(), mesh());
        now(other.announce(&descriptor(7, "a", [1, 0])));
        let first = authors(&now(one.sample(20)));
        assert_eq!(first.iter().collect::<BTreeSet<_>>().len(), 20);
        assert_eq!(first, authors(&now(same.sample(20))));
        assert_ne!(first, authors(&now(other.sample(20))));
        assert_ne!(first, authors(&now(one.sample(20))));
        assert_eq!(now(one.sample(1000)).len(), 100);
        let mut seen: BTreeSet<u8> = BTreeSet::new();
        for _ in 0..40 {
            seen.extend(authors(&now(one.sample(20))));
        }
        assert!(seen.len() > 95, "{} of 100 were drawn", seen.len());
    }
}
