//! Nodes on loopback, and waiting for what they do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use qis_libp2p::{Libp2p, Libp2pBuilder, Libp2pStats};
use qis_packet::Identity;
use qis_route::{Address, HostError, Transport};

/// Long enough for a machine that has much else to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Inbox = Arc<Mutex<Vec<(Address, Vec<u8>)>>>;

pub(crate) fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

/// A builder of a node that listens on loopback.
pub(crate) fn builder(seed: u8) -> Libp2pBuilder {
    Libp2p::builder(&identity(seed)).listen("/ip4/127.0.0.1/tcp/0")
}

/// A node that keeps what arrives.
pub(crate) async fn start(builder: Libp2pBuilder) -> (Libp2p, Inbox) {
    let node = builder.build().await.unwrap();
    let inbox = Inbox::default();
    let frames = Arc::clone(&inbox);
    node.serve(move |from, frame| frames.lock().unwrap().push((from.clone(), frame.to_vec())));
    (node, inbox)
}

pub(crate) async fn send(from: &Libp2p, to: &Libp2p, frame: &[u8]) -> Result<(), HostError> {
    from.transport().send(&to.local_address(), frame, PATIENCE).await
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, holds: impl FnMut() -> bool) {
    assert!(is_so(holds).await, "waited in vain until {what}");
}

/// Waits until the counts of a node are so.
pub(crate) async fn counted(node: &Libp2p, what: &str, mut holds: impl FnMut(&Libp2pStats) -> bool) {
    let is_so = is_so(|| holds(&node.stats())).await;
    assert!(is_so, "waited in vain until {what}: {:?}", node.stats());
}

async fn is_so(mut holds: impl FnMut() -> bool) -> bool {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        if tokio::time::Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}

pub(crate) fn received(inbox: &Inbox) -> Vec<(Address, Vec<u8>)> {
    inbox.lock().unwrap().clone()
}
