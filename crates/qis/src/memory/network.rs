//! A network inside a process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use qis_route::{Address, AddressError, HostError, HostErrorKind, Transport};

use super::MemoryDirectory;
use crate::Node;
use crate::node::Inner;

/// Connects the nodes of a process, and holds the directory they find each other by; clones are the same network.
///
/// It loses nothing unless told to, and what it loses follows from its seed.
#[derive(Clone, Default)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
    directory: MemoryDirectory,
}

#[derive(Default)]
struct Shared {
    nodes: BTreeMap<Address, Weak<Inner>>,
    /// Of 1,000 frames, so many are lost.
    loss: u32,
    random: u64,
}

impl Network {
    /// A network that loses nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses so many of 1,000 frames, chosen by the seed.
    #[must_use]
    pub fn with_loss(self, permille: u32, seed: u64) -> Self {
        {
            let mut shared = self.lock();
            shared.loss = permille;
            shared.random = seed;
        }
        self
    }

    /// The transport of a node that is to be reached under this address.
    ///
    /// # Errors
    ///
    /// [`AddressError`] when the text is no address.
    pub fn transport(&self, address: &str) -> Result<MemoryTransport, AddressError> {
        Ok(MemoryTransport { network: self.clone(), local: address.parse()? })
    }

    /// The directory of this network.
    #[must_use]
    pub fn directory(&self) -> MemoryDirectory {
        self.directory.clone()
    }

    /// Delivers to this node what is sent to its address, until it is dropped or another node takes the address.
    pub fn attach(&self, node: &Node) {
        self.lock().nodes.insert(node.address(), Arc::downgrade(&node.inner));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The node at an address, unless the frame is lost; `Err` when there is none.
    fn route(&self, to: &Address) -> Result<Option<Node>, HostError> {
        let mut shared = self.lock();
        let inner = shared.nodes.get(to).and_then(Weak::upgrade);
        let Some(inner) = inner else {
            return Err(HostError::new(HostErrorKind::Unavailable, "no node is attached there"));
        };
        if shared.loss > 0 {
            // SplitMix64.
            shared.random = shared.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (shared.random ^ shared.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            if (mixed ^ mixed >> 31) % 1000 < u64::from(shared.loss) {
                return Ok(None);
            }
        }
        Ok(Some(Node { inner }))
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("nodes", &self.lock().nodes.keys()).finish_non_exhaustive()
    }
}

/// A node's way into a [`Network`].
#[derive(Clone, Debug)]
pub struct MemoryTransport {
    network: Network,
    local: Address,
}

#[async_trait]
impl Transport for MemoryTransport {
    fn local_address(&self) -> Address {
        self.local.clone()
    }

    async fn send(&self, to: &Address, frame: &[u8], _allowed: Duration) -> Result<(), HostError> {
        if let Some(node) = self.network.route(to)? {
            node.receive(&self.local, frame);
        }
        Ok(())
    }
}
