//! One copy of each descriptor for all nodes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use qis_packet::{AuthorId, NetworkId};
use qis_route::overlay::{Contact, Open, Refusal, Registry};

/// Verifies each descriptor once a process, and shares it among all nodes.
///
/// It keeps the newest of each author and compares what comes to it byte by byte, so that what is not the same is verified as in any node.
#[derive(Debug)]
pub struct SharedRegistry {
    network: NetworkId,
    /// By the key, which a descriptor begins with. Looked up, never iterated.
    known: Mutex<HashMap<[u8; 32], Arc<Contact>>>,
    /// The same without proof, by author.
    bare: Mutex<HashMap<AuthorId, Arc<Contact>>>,
}

impl SharedRegistry {
    /// An empty one.
    #[must_use]
    pub fn new(network: NetworkId) -> Self {
        Self { network, known: Mutex::default(), bare: Mutex::default() }
    }
}

impl Registry for SharedRegistry {
    fn admit(&self, bytes: &[u8]) -> Result<Arc<Contact>, Refusal> {
        let key = *bytes.first_chunk::<32>().ok_or(Refusal::Malformed)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(contact) = known.get(&key)
            && contact.proof() == Some(bytes)
        {
            return Ok(Arc::clone(contact));
        }
        let contact = Arc::new(Contact::verify(bytes, self.network, &Open)?);
        if known.get(&key).is_none_or(|old| old.order() < contact.order()) {
            known.insert(key, Arc::clone(&contact));
        }
        Ok(contact)
    }

    fn without_proof(&self, contact: &Arc<Contact>) -> Arc<Contact> {
        if contact.proof().is_none() {
            return Arc::clone(contact);
        }
        let mut bare = self.bare.lock().unwrap_or_else(PoisonError::into_inner);
        let known = bare.get(&contact.author()).filter(|known| known.order() == contact.order());
        if let Some(known) = known {
            return Arc::clone(known);
        }
        let new = Arc::new(contact.without_proof());
        bare.insert(contact.author(), Arc::clone(&new));
        new
    }
}
