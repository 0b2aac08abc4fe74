//! Whole nodes over the network.

use crate::support::{PATIENCE, builder, identity};
use qis::{Domain, Embedder, HashEmbedder, Node, OverlayConfig};
use qis_libp2p::Libp2p;

const DOMAIN: &str = "cardiology/heart";

/// A node that knows the first one's address, or is the first.
async fn clinic(seed: u8, first: Option<&Libp2p>) -> (Node, Libp2p) {
    let libp2p = builder(seed).peers(first.map(Libp2p::local_address)).build().await.unwrap();
    let space = HashEmbedder::default().space();
    libp2p.announce(space).await.unwrap();
    let members = libp2p.members(space, 3).await.unwrap();
    assert_eq!(members.is_empty(), first.is_none());
    let domain = Domain::delta(DOMAIN, 2).unwrap().situation("adults with chest pain");
    let node = Node::builder()
        .identity(identity(seed))
        .transport(libp2p.transport())
        .overlay(OverlayConfig::default())
        .bootstrap(members)
        .domain(domain)
        .start()
        .await
        .unwrap();
    let receiver = node.clone();
    libp2p.serve(move |from, frame| {
        receiver.receive(from, frame);
    });
    (node, libp2p)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_find_each_other_learn_from_each_other() {
    let first = clinic(1, None).await;
    let second = clinic(2, Some(&first.1)).await;
    let third = clinic(3, Some(&first.1)).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    // Until the overlay has settled.
    loop {
        let receipt = third.0.emit(DOMAIN, [0.5, 0.1]).confidence(0.6).await.unwrap();
        if receipt.delivered() == 2 {
            break;
        }
        assert!(tokio::time::Instant::now() < end, "{receipt:?}");
    }
    for (node, _) in [&first, &second] {
        let synthesis = node.synthesize(DOMAIN).await.unwrap();
        assert_eq!(synthesis.estimate.len(), 2);
        assert!(node.standing(DOMAIN).iter().any(|packet| packet.author() == identity(3).author()));
    }
    for (node, libp2p) in [first, second, third] {
        node.shutdown().await;
        libp2p.shutdown().await;
    }
}
