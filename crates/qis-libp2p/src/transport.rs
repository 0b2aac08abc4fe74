//! Frames for the router.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qis_route::{Address, HostError, Transport};

use crate::links::Links;

/// A node's way into the network, for [`NodeBuilder::transport`](https://docs.rs/qis); clones are the same.
///
/// It carries frames of up to 16,384 bytes. A frame for a peer that is connected is handed over at once. One for another peer waits, within
/// the time allowed, until the peer is reached. When too many wait, when a peer could not be reached a moment ago, and after
/// [`shutdown`](crate::Libp2p::shutdown), it is refused as unavailable at once.
#[derive(Clone, Debug)]
pub struct Libp2pTransport {
    links: Arc<Links>,
    local: Address,
}

impl Libp2pTransport {
    pub(crate) const fn new(links: Arc<Links>, local: Address) -> Self {
        Self { links, local }
    }
}

#[async_trait]
impl Transport for Libp2pTransport {
    fn local_address(&self) -> Address {
        self.local.clone()
    }

    async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
        self.links.send(to, frame, allowed).await
    }
}
