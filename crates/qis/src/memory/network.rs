//! A network inside a process.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use qis_packet::Frame;
use qis_route::{Address, AddressError, HostError, HostErrorKind, Transport};

use super::MemoryDirectory;
use crate::Node;
use crate::node::Inner;

/// Connects the nodes of a process, and holds the directory they find each other by; clones are the same network.
///
/// It loses nothing and carries every frame unless told otherwise. What it loses follows from its seed.
#[derive(Clone, Default)]
pub struct Network {
    shared: Arc<Mutex<Shared>>,
    directory: MemoryDirectory,
}

struct Shared {
    receivers: BTreeMap<Address, Receiver>,
    /// Of 1,000 frames, so many are lost.
    loss: u32,
    /// And so many of those from and to an address.
    losses: BTreeMap<Address, u32>,
    random: u64,
    max_frame: usize,
}

impl Default for Shared {
    fn default() -> Self {
        let (receivers, losses) = (BTreeMap::new(), BTreeMap::new());
        Self { receivers, loss: 0, losses, random: 0, max_frame: Frame::MAX_BYTES }
    }
}

type Receive = dyn Fn(&Address, &[u8]) + Send + Sync;

/// Who is at an address, as long as anybody is.
enum Receiver {
    Node(Weak<Inner>),
    Listener(Weak<Receive>),
}

/// Who is at an address now.
enum Present {
    Node(Node),
    Listener(Arc<Receive>),
}

impl Receiver {
    fn present(&self) -> Option<Present> {
        match self {
            Self::Node(inner) => inner.upgrade().map(|inner| Present::Node(Node { inner })),
            Self::Listener(receive) => receive.upgrade().map(Present::Listener),
        }
    }
}

impl Present {
    fn receive(&self, from: &Address, frame: &[u8]) {
        match self {
            Self::Node(node) => {
                node.receive(from, frame);
            }
            Self::Listener(receive) => receive(from, frame),
        }
    }
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

    /// Loses so many of 1,000 frames from this address, and of those to it, besides: a site at the end of a bad link.
    ///
    /// # Errors
    ///
    /// [`AddressError`] when the text is no address.
    pub fn with_loss_at(self, address: &str, permille: u32) -> Result<Self, AddressError> {
        self.lock().losses.insert(address.parse()?, permille);
        Ok(self)
    }

    /// Carries frames of at most so many bytes, like a radio; larger ones are refused. Nodes learn of it when they are built.
    #[must_use]
    pub fn with_max_frame(self, bytes: usize) -> Self {
        self.lock().max_frame = bytes;
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
        self.lock().receivers.insert(node.address(), Receiver::Node(Arc::downgrade(&node.inner)));
    }

    /// Hands what is sent to this address to a function, with the address it comes from, until the listener is dropped or a node takes the
    /// address: for who is no node, such as a test that looks at frames.
    ///
    /// # Errors
    ///
    /// [`AddressError`] when the text is no address.
    pub fn listen(
        &self,
        address: &str,
        receive: impl Fn(&Address, &[u8]) + Send + Sync + 'static,
    ) -> Result<MemoryListener, AddressError> {
        let receive: Arc<Receive> = Arc::new(receive);
        self.lock().receivers.insert(address.parse()?, Receiver::Listener(Arc::downgrade(&receive)));
        Ok(MemoryListener { _receive: receive })
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is at an address, unless the frame is lost; `Err` when nobody is, or when the frame is too large.
    fn route(&self, from: &Address, to: &Address, frame: &[u8]) -> Result<Option<Present>, HostError> {
        let mut shared = self.lock();
        if frame.len() > shared.max_frame {
            return Err(HostError::new(
                HostErrorKind::Refused,
                "the frame is larger than the network carries",
            ));
        }
        let present = shared.receivers.get(to).and_then(Receiver::present);
        let Some(present) = present else {
            return Err(HostError::new(HostErrorKind::Unavailable, "no node is attached there"));
        };
        let at = |address| shared.losses.get(address).copied().unwrap_or(0);
        let losses = [shared.loss, at(from), at(to)];
        // Each has its chance, so that what is lost does not depend on what was lost before.
        let lost = losses.into_iter().filter(|&loss| loss > 0 && shared.happens(loss)).count();
        Ok((lost == 0).then_some(present))
    }
}

impl Shared {
    fn happens(&mut self, permille: u32) -> bool {
        // SplitMix64.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ self.random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % 1000 < u64::from(permille)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network").field("addresses", &self.lock().receivers.keys()).finish_non_exhaustive()
    }
}

/// What [`Network::listen`] gives: frames are received as long as it is kept.
#[must_use = "nothing is received once it is dropped"]
pub struct MemoryListener {
    _receive: Arc<Receive>,
}

impl fmt::Debug for MemoryListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryListener").finish_non_exhaustive()
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

    fn max_frame(&self) -> usize {
        self.network.lock().max_frame
    }

    async fn send(&self, to: &Address, frame: &[u8], _allowed: Duration) -> Result<(), HostError> {
        if let Some(present) = self.network.route(&self.local, to, frame)? {
            present.receive(&self.local, frame);
        }
        Ok(())
    }
}
