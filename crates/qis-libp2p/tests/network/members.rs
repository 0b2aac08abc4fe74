//! Members that find each other.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::support::{Inbox, PATIENCE, builder, counted, identity, received, send, start, until};
use qis_fingerprint::{Embedder, Fingerprint, HashEmbedder, SpaceId};
use qis_libp2p::{Libp2p, StartError};
use qis_packet::{AuthorId, DomainTag, NetworkId};
use qis_route::{Address, Descriptor, Dht, DhtDirectory, Directory, HostErrorKind};

fn space() -> SpaceId {
    SpaceId::new("words", 4)
}

/// Nodes of which each knows the first one's address only.
async fn nodes(count: u8) -> Vec<(Libp2p, Inbox)> {
    let mut nodes: Vec<(Libp2p, Inbox)> = Vec::new();
    for seed in 1..=count {
        let first = nodes.first().map(|(node, _)| node.local_address());
        nodes.push(start(builder(seed).peers(first)).await);
    }
    nodes
}

fn addresses(nodes: &[(Libp2p, Inbox)]) -> BTreeSet<Address> {
    nodes.iter().map(|(node, _)| node.local_address()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_members_are_found_from_one_address() {
    let nodes = nodes(5).await;
    for (node, _) in &nodes {
        node.announce(space()).await.unwrap();
    }
    let all = addresses(&nodes);
    for (node, _) in &nodes {
        let mut others = all.clone();
        others.remove(&node.local_address());
        let mut found = BTreeSet::new();
        let end = tokio::time::Instant::now() + PATIENCE;
        while found != others {
            let members = node.members(space(), 10).await.unwrap();
            let distinct: BTreeSet<Address> = members.iter().cloned().collect();
            assert_eq!(distinct.len(), members.len(), "a member was found twice");
            found = distinct;
            assert!(tokio::time::Instant::now() < end, "found {found:?} of {others:?}");
        }
        assert_eq!(node.members(space(), 2).await.unwrap().len(), 2);
        assert!(node.members(SpaceId::new("other", 4), 10).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_that_are_gone_are_not_named() {
    let mut nodes = nodes(3).await;
    for (node, _) in &nodes {
        node.announce(space()).await.unwrap();
    }
    let first = &nodes[0].0;
    let end = tokio::time::Instant::now() + PATIENCE;
    while first.members(space(), 10).await.unwrap().len() < 2 {
        assert!(tokio::time::Instant::now() < end);
    }
    let (gone, _) = nodes.pop().unwrap();
    gone.shutdown().await;
    assert_eq!(nodes[0].0.members(space(), 10).await.unwrap(), [nodes[1].0.local_address()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_tells_where_its_node_is() {
    let nodes = nodes(3).await;
    let (asker, _) = &nodes[2];
    let key = identity(2).public_key();
    let mut found = None;
    let end = tokio::time::Instant::now() + PATIENCE;
    while found.is_none() {
        found = asker.address_of(&key).await.unwrap();
        assert!(tokio::time::Instant::now() < end);
    }
    assert_eq!(found, Some(nodes[1].0.local_address()));
    assert_eq!(asker.address_of(&identity(99).public_key()).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_moved_is_reached_where_it_says_it_is() {
    let nodes = nodes(3).await;
    let (a, b) = (&nodes[1].0, &nodes[2].0);
    counted(a, "all know each other", |stats| stats.routing_peers == 2).await;
    let end = tokio::time::Instant::now() + PATIENCE;
    while a.address_of(&identity(3).public_key()).await.unwrap().is_none() {
        assert!(tokio::time::Instant::now() < end);
    }
    let (_, id) =
        b.local_address().as_str().rsplit_once("/p2p/").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let old: Address = format!("/ip4/127.0.0.1/tcp/1/p2p/{id}").parse().unwrap();
    qis_route::Transport::send(&a.transport(), &old, b"x", PATIENCE).await.unwrap();
    until("the frame is there", || received(&nodes[2].1).len() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_alone_reaches_the_addresses_it_was_given_again() {
    let (a, _) = start(builder(1)).await;
    let address = a.local_address();
    let (b, _) = start(builder(2).peers([&address])).await;
    counted(&b, "they are connected", |stats| stats.connections == 1).await;
    a.shutdown().await;
    counted(&b, "the connection is closed", |stats| stats.connections == 0).await;
    let (listen, _) = address.as_str().rsplit_once("/p2p/").unwrap();
    let again = async || Libp2p::builder(&identity(1)).listen(listen).build().await;
    let a = loop {
        match again().await {
            Err(StartError::Listen { .. }) => tokio::task::yield_now().await,
            result => break result.unwrap(),
        }
    };
    // Nobody sends anything.
    counted(&b, "they are connected again", |stats| stats.connections == 1).await;
    counted(&a, "they know each other", |stats| stats.routing_peers == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn networks_do_not_mix() {
    let (a, _) = start(builder(1)).await;
    let other = builder(2).network(NetworkId::new("other")).peers([a.local_address()]);
    let (b, to_b) = start(other).await;
    let error = send(&a, &b, b"x").await.unwrap_err();
    assert_eq!(error.kind(), HostErrorKind::Unavailable);
    // Whoever sees it first closes the connection.
    until("it is counted", || a.stats().foreign_network + b.stats().foreign_network > 0).await;
    assert_eq!((a.stats().routing_peers, b.stats().routing_peers), (0, 0));
    assert!(received(&to_b).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dht_directory_finds_the_most_similar() {
    let nodes = nodes(4).await;
    for (node, _) in &nodes {
        counted(node, "all know each other", |stats| stats.routing_peers == 3).await;
    }
    let embedder = HashEmbedder::default();
    let fingerprint = |text: &str| embedder.fingerprint(text).unwrap();
    let texts = [
        "adults with chest pain",
        "adults with chest pains",
        "wheat rust in dry soil",
        "late trains in winter",
    ];
    let tag: DomainTag = "cardiology/heart".parse().unwrap();
    let mut directories = Vec::new();
    for ((node, _), (seed, text)) in nodes.iter().zip((1..).zip(texts)) {
        let directory = DhtDirectory::new(node.dht(), identity(seed), NetworkId::new("default"), 1);
        let author = identity(seed).author();
        let descriptor = Descriptor::new(author, node.local_address(), tag, fingerprint(text));
        directory.announce(&descriptor).await.unwrap();
        directories.push(directory);
    }
    let authors = async |fingerprint: &Fingerprint, k| -> Vec<AuthorId> {
        let found = directories[3].nearest(fingerprint, k).await.unwrap();
        found.into_iter().map(|peer| peer.author).collect()
    };
    assert_eq!(authors(&fingerprint(texts[0]), 2).await, [identity(1).author(), identity(2).author()]);
    assert_eq!(embedder.space(), fingerprint(texts[0]).space());
    let dht = nodes[0].0.dht();
    let many = (0..30_u8).map(|i| dht.put([7; 32], vec![i; 100]));
    for result in libp2p::futures::future::join_all(many).await {
        result.unwrap();
    }
    // Each node keeps the last 20 it has seen. That a value is put says that one node has it; the others have it soon.
    let end = tokio::time::Instant::now() + PATIENCE;
    while nodes[2].0.dht().get([7; 32]).await.unwrap().len() < 20 {
        assert!(tokio::time::Instant::now() < end, "values are missing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(nodes[2].0.dht().get([8; 32]).await.unwrap().is_empty());
    assert_eq!(dht.put([7; 32], vec![0; 1652]).await.unwrap_err().kind(), HostErrorKind::Refused);
}
