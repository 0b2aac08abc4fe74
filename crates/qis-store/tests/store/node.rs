//! A whole node on the store.

use std::path::Path;
use std::time::Duration;

use qis::memory::Network;
use qis::{Delivery, Domain, Identity, Node, NodeBuilder, NodeEvent, RouterConfig};
use qis_store::RedbStore;
use tokio::task::JoinHandle;

const DOMAIN: &str = "cardiology/heart";

fn builder(net: &Network, name: &str, seed: u8) -> NodeBuilder {
    Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(net.transport(name).unwrap())
        .directory(net.directory())
        .domain(Domain::article(DOMAIN, 1).unwrap())
        .config(RouterConfig {
            retry_after: Duration::from_millis(20),
            attempts: 3,
            ..RouterConfig::default()
        })
}

async fn start(net: &Network, builder: NodeBuilder) -> (Node, JoinHandle<()>) {
    let node = builder.build().await.unwrap();
    net.attach(&node);
    let driver = tokio::spawn(node.run());
    (node, driver)
}

async fn on_file(net: &Network, path: &Path) -> (Node, JoinHandle<()>) {
    start(net, builder(net, "site", 1).store(RedbStore::open(path).unwrap()).keep_site_secret()).await
}

/// What is left of a process that died: nothing but the file.
async fn kill((node, driver): (Node, JoinHandle<()>)) {
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    drop(node);
}

#[tokio::test]
async fn a_node_that_is_dropped_goes_on_from_its_file() {
    let net = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("site.redb");
    let (peer, peers_driver) = start(&net, builder(&net, "peer", 2)).await;
    peer.emit(DOMAIN, [0.0]).await.unwrap();

    let site = on_file(&net, &path).await;
    let first = site.0.emit(DOMAIN, [1.0]).source("ward-3").await.unwrap();
    assert_eq!(first.recipients[0].delivery, Delivery::Acknowledged);
    peer.emit(DOMAIN, [0.0]).await.unwrap();
    site.0.synthesize(DOMAIN).await.unwrap();
    let synthesis = site.0.synthesize(DOMAIN).await.unwrap().estimate;

    // It stands and is durable; nobody is there to take it.
    kill((peer, peers_driver)).await;
    let mut standing = site.0.standing(DOMAIN);
    site.0.emit(DOMAIN, [1.0]).source("ward-4").queue().await.unwrap();
    assert_ne!(standing, site.0.standing(DOMAIN));
    standing = site.0.standing(DOMAIN);
    let before = standing.iter().find(|packet| packet.author() == site.0.author()).unwrap().clone();
    kill(site).await;

    let (peer, _driver) = start(&net, builder(&net, "other-peer", 3)).await;
    let node = builder(&net, "site", 1).store(RedbStore::open(&path).unwrap()).keep_site_secret();
    let node = node.build().await.unwrap();
    net.attach(&node);
    let mut events = node.subscribe();
    tokio::spawn(node.run());
    assert_eq!(node.standing(DOMAIN), standing, "own and the other's");
    assert_eq!(node.stats().rows_damaged, 0);
    node.open_provenance(&before, "ward-4").unwrap();
    loop {
        match events.next().await.unwrap() {
            NodeEvent::Emitted { packet, delivered, .. } => {
                assert_eq!((packet, delivered), (before.id(), 1), "the outbox goes on");
                break;
            }
            other => println!("{other:?}"),
        }
    }
    assert!(peer.standing(DOMAIN).iter().any(|packet| packet.id() == before.id()));
    let next = node.emit(DOMAIN, [1.0]).await.unwrap();
    assert_eq!(next.order.incarnation, before.order().incarnation);
    assert!(next.order.sequence > before.order().sequence, "{:?} after {:?}", next.order, before.order());
    let again = node.synthesize(DOMAIN).await.unwrap().estimate;
    assert!((again[0] - 0.7 * synthesis[0]).abs() < 1e-6, "{again:?} goes on from {synthesis:?}");
}

#[tokio::test]
async fn a_node_restored_from_a_backup_notices_and_opens_a_new_incarnation() {
    let net = Network::new();
    let directory = tempfile::tempdir().unwrap();
    let (path, copy) = (directory.path().join("site.redb"), directory.path().join("copy.redb"));
    let (peer, _driver) = start(&net, builder(&net, "peer", 2)).await;
    let store = RedbStore::open(&path).unwrap();
    let site = start(&net, builder(&net, "site", 1).store(store.clone()).keep_site_secret()).await;
    site.0.emit(DOMAIN, [1.0]).await.unwrap();
    store.backup(&copy).await.unwrap();
    drop(store);
    let forgotten = site.0.emit(DOMAIN, [2.0]).await.unwrap();
    kill(site).await;

    let (node, _driver) = on_file(&net, &copy).await;
    let mut events = node.subscribe();
    node.emit(DOMAIN, [3.0]).await.unwrap();
    while events.next().await.unwrap() != NodeEvent::IncarnationRaised {}
    let stated = node.emit(DOMAIN, [4.0]).await.unwrap();
    assert!(stated.order > forgotten.order && stated.order.incarnation > forgotten.order.incarnation);
    assert_eq!(stated.delivered(), 1);
    let own = peer.standing(DOMAIN).into_iter().find(|packet| packet.author() == node.author()).unwrap();
    assert_eq!(own.id(), stated.packet);
}
