//! One copy of each descriptor for all nodes.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use qis_packet::{AuthorId, NetworkId};
use qis_route::overlay::{Admission, Contact, Open, Refusal, Registry};

/// Verifies each descriptor once a process, and shares it among all nodes.
///
/// It keeps the newest of each author and compares what comes to it byte by byte, so that what is not the same is verified as in any node.
#[derive(Debug)]
pub struct SharedRegistry {
    network: NetworkId,
    admission: Box<dyn Admission>,
    shelves: Vec<Mutex<Shelf>>,
}

/// Looked up, never iterated.
#[derive(Debug, Default)]
struct Shelf {
    /// By the key, which a descriptor begins with.
    known: HashMap<[u8; 32], Contact>,
    /// The same without proof, by author.
    bare: HashMap<AuthorId, Contact>,
}

/// So many parts that threads seldom wait for the same one.
const SHELVES: usize = 256;

impl SharedRegistry {
    /// An empty one of a network that admits everybody.
    #[must_use]
    pub fn new(network: NetworkId) -> Self {
        Self::admitting(network, Open)
    }

    /// An empty one of a network that admits those whom this admits.
    #[must_use]
    pub fn admitting(network: NetworkId, admission: impl Admission) -> Self {
        let shelves = std::iter::repeat_with(Mutex::default).take(SHELVES).collect();
        Self { network, admission: Box::new(admission), shelves }
    }

    fn shelf(&self, byte: u8) -> MutexGuard<'_, Shelf> {
        self.shelves[usize::from(byte) % SHELVES].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Registry for SharedRegistry {
    fn admit(&self, bytes: &[u8]) -> Result<Contact, Refusal> {
        let key = *bytes.first_chunk::<32>().ok_or(Refusal::Malformed)?;
        let known = self.shelf(key[0]).known.get(&key).cloned();
        if let Some(contact) = known.filter(|contact| contact.proof() == Some(bytes)) {
            return Ok(contact);
        }
        let contact = Contact::verify(bytes, self.network, &*self.admission)?;
        let known = &mut self.shelf(key[0]).known;
        if known.get(&key).is_none_or(|old| old.order() < contact.order()) {
            known.insert(key, contact.clone());
        }
        Ok(contact)
    }

    fn without_proof(&self, contact: &Contact) -> Contact {
        if contact.proof().is_none() {
            return contact.clone();
        }
        let bare = &mut self.shelf(contact.author().as_bytes()[0]).bare;
        let known = bare.get(&contact.author()).filter(|known| known.order() == contact.order());
        if let Some(known) = known {
            return known.clone();
        }
        let new = contact.without_proof();
        bare.insert(contact.author(), new.clone());
        new
    }
}
