//! What a node keeps besides its packets: the site's secret, and where others are.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use qis::memory::{ManualClock, MemoryStore, Network};
use qis::{
    AuditError, Batch, BuildError, Domain, EraseError, HostError, HostErrorKind, Identity, Node, NodeBuilder,
    Operation, OutcomePacket, OverlayConfig, ProvenanceError, Row, Store, Table, Timestamp, async_trait,
};
use tokio::task::JoinHandle;

const DOMAIN: &str = "cardiology/heart";
const WEEK: u64 = 7 * 24 * 3600;
const START: u64 = 1_795_000_000;

fn builder(net: &Network, name: &str, seed: u8) -> NodeBuilder {
    Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(net.transport(name).unwrap())
        .domain(Domain::delta(DOMAIN, 1).unwrap())
}

async fn start(net: &Network, builder: NodeBuilder) -> Node {
    start_mortal(net, builder).await.0
}

/// A node and its driver, to be killed.
async fn start_mortal(net: &Network, builder: NodeBuilder) -> (Node, JoinHandle<()>) {
    let node = builder.build().await.unwrap();
    net.attach(&node);
    let driver = tokio::spawn(node.run());
    (node, driver)
}

async fn kill((node, driver): (Node, JoinHandle<()>)) {
    driver.abort();
    assert!(driver.await.unwrap_err().is_cancelled());
    drop(node);
}

/// A site that keeps its secret, on a store, at a time.
async fn site(net: &Network, store: impl Store, clock: &ManualClock) -> Node {
    start(net, site_builder(net, store, clock)).await
}

fn site_builder(net: &Network, store: impl Store, clock: &ManualClock) -> NodeBuilder {
    let builder = builder(net, "site", 1).directory(net.directory()).clock(clock.clone());
    builder.store(store).keep_site_secret()
}

async fn emit(node: &Node) -> OutcomePacket {
    node.emit(DOMAIN, [1.0]).source("ward-3").queue().await.unwrap();
    node.standing(DOMAIN).pop().unwrap()
}

fn erased(result: &Result<qis::Opening, AuditError>) -> bool {
    matches!(result, Err(AuditError::Secret(ProvenanceError::Erased { .. })))
}

#[tokio::test]
async fn a_kept_secret_opens_after_a_restart_and_what_was_erased_stays_erased() {
    let (net, store) = (Network::new(), MemoryStore::default());
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    let node = site(&net, store.clone(), &clock).await;
    let old = emit(&node).await;
    clock.advance(Duration::from_secs(2 * WEEK));
    let new = emit(&node).await;
    node.shutdown().await;

    let mortal = start_mortal(&net, site_builder(&net, store.clone(), &clock)).await;
    for packet in [&old, &new] {
        mortal.0.open_provenance(packet, "ward-3").unwrap();
    }
    mortal.0.erase_provenance_before(new.time()).await.unwrap();
    assert!(erased(&mortal.0.open_provenance(&old, "ward-3")));
    // It was durable when the call returned.
    kill(mortal).await;

    let node = site(&net, store.clone(), &clock).await;
    assert!(erased(&node.open_provenance(&old, "ward-3")));
    node.open_provenance(&new, "ward-3").unwrap();
    node.erase_provenance_before(old.time()).await.unwrap();
    node.open_provenance(&new, "ward-3").unwrap();
    let far = node.erase_provenance_before(Timestamp::from_unix_seconds(u64::MAX)).await;
    assert!(matches!(far, Err(EraseError::Time(_))), "{far:?}");
    let rows = store.range(Table::Secrets, &[], 10).await.unwrap();
    assert_eq!((rows.len(), rows[0].value.len()), (1, 41));
}

#[tokio::test]
async fn two_sites_have_two_secrets_and_one_without_store_or_wish_has_the_derived_one() {
    let net = Network::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    let stores = [MemoryStore::default(), MemoryStore::default()];
    let mut values = Vec::new();
    for store in &stores {
        site(&net, store.clone(), &clock).await.shutdown().await;
        values.push(store.range(Table::Secrets, &[], 1).await.unwrap()[0].value.clone());
    }
    assert_ne!(values[0], values[1]);

    let store = MemoryStore::default();
    let plain = builder(&net, "plain", 1).directory(net.directory()).clock(clock.clone());
    let node = start(&net, plain.store(store.clone())).await;
    let packet = emit(&node).await;
    node.erase_provenance_before(packet.time().saturating_add(WEEK)).await.unwrap();
    node.shutdown().await;
    assert!(store.range(Table::Secrets, &[], 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_damaged_secret_stops_the_build_and_two_secrets_are_too_many() {
    let net = Network::new();
    let store = MemoryStore::default();
    let rows = |value: Vec<u8>| Batch {
        operations: vec![Operation::Put { table: Table::Secrets, key: b"site".to_vec(), value }],
    };
    for value in [vec![], vec![1; 40], vec![2; 41]] {
        store.commit(rows(value)).await.unwrap();
        let node = builder(&net, "site", 1).directory(net.directory()).store(store.clone());
        let error = node.keep_site_secret().build().await.unwrap_err();
        assert!(matches!(error, BuildError::Secret), "{error}");
    }
    let epoch = qis::Epoch::of(Timestamp::from_unix_seconds(START));
    let own = builder(&net, "site", 1).directory(net.directory());
    let own = own.site_secret(qis::SiteSecret::new(epoch, [1; 32])).keep_site_secret();
    assert!(matches!(own.build().await, Err(BuildError::Config(error)) if error.field == "keep_site_secret"));
}

/// A store that fails when told to: with nothing, `Full` or `Corrupt`.
#[derive(Clone, Debug, Default)]
struct Failing {
    inner: MemoryStore,
    with: Arc<AtomicU8>,
}

#[async_trait]
impl Store for Failing {
    async fn commit(&self, batch: Batch) -> Result<(), HostError> {
        match self.with.load(Ordering::SeqCst) {
            0 => self.inner.commit(batch).await,
            1 => Err(HostError::new(HostErrorKind::Full, "as the test says")),
            _ => Err(HostError::new(HostErrorKind::Corrupt, "as the test says")),
        }
    }

    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
        self.inner.range(table, from, limit).await
    }
}

#[tokio::test]
async fn erasing_waits_for_the_store_and_says_when_it_never_will() {
    let (net, store) = (Network::new(), Failing::default());
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    let node = site(&net, store.clone(), &clock).await;
    let weeks = |weeks| Timestamp::from_unix_seconds(START + weeks * WEEK);
    let erase = |time| {
        let node = node.clone();
        tokio::spawn(async move { node.erase_provenance_before(time).await })
    };
    store.with.store(1, Ordering::SeqCst);
    let (first, second) = (erase(weeks(1)), erase(weeks(2)));
    rest().await;
    assert!(!first.is_finished() && !second.is_finished(), "nothing is durable");
    store.with.store(0, Ordering::SeqCst);
    while !first.is_finished() || !second.is_finished() {
        clock.advance(Duration::from_secs(1));
        rest().await;
    }
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (Ok(()), Ok(())));

    store.with.store(2, Ordering::SeqCst);
    assert_eq!(erase(weeks(3)).await.unwrap(), Err(EraseError::StorePoisoned));
    assert_eq!(erase(weeks(4)).await.unwrap(), Err(EraseError::StorePoisoned));
    node.shutdown().await;
    let idle = builder(&net, "site", 1).directory(net.directory()).store(MemoryStore::default());
    let idle = idle.keep_site_secret().build().await.unwrap();
    assert_eq!(idle.erase_provenance_before(weeks(0)).await, Err(EraseError::NotRunning));
}

async fn rest() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn pass(clock: &ManualClock, seconds: u64) {
    for _ in 0..seconds {
        clock.advance(Duration::from_secs(1));
        rest().await;
    }
}

/// A member of an overlay that joins by the first one.
async fn member(net: &Network, clock: &ManualClock, name: &str, seed: u8, store: &MemoryStore) -> Node {
    mortal_member(net, clock, name, seed, store).await.0
}

async fn mortal_member(
    net: &Network,
    clock: &ManualClock,
    name: &str,
    seed: u8,
    store: &MemoryStore,
) -> (Node, JoinHandle<()>) {
    let builder = builder(net, name, seed).overlay(OverlayConfig::default()).seed([seed; 32]);
    let builder = builder.bootstrap(["first".parse().unwrap()]).clock(clock.clone());
    start_mortal(net, builder.store(store.clone())).await
}

async fn reaches(node: &Node, clock: &ManualClock) -> Vec<String> {
    let emission = tokio::spawn({
        let node = node.clone();
        async move { node.emit(DOMAIN, [1.0]).await }
    });
    while !emission.is_finished() {
        pass(clock, 1).await;
    }
    let receipt = emission.await.unwrap().unwrap();
    let delivered = receipt.recipients.iter().filter(|one| one.delivery == qis::Delivery::Acknowledged);
    delivered.map(|one| one.address.to_string()).collect()
}

async fn peers(store: &MemoryStore) -> Vec<String> {
    let rows = store.range(Table::Peers, &[], 100).await.unwrap();
    let mut peers: Vec<String> = rows.into_iter().map(|row| String::from_utf8(row.value).unwrap()).collect();
    peers.sort();
    peers
}

#[tokio::test]
async fn a_restarted_member_finds_the_others_when_the_one_it_joined_by_is_gone() {
    let net = Network::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    let stores = [MemoryStore::default(), MemoryStore::default(), MemoryStore::default()];
    let mut nodes = Vec::new();
    for (seed, (name, store)) in (1..).zip(["first", "second", "third"].into_iter().zip(&stores)) {
        nodes.push(mortal_member(&net, &clock, name, seed, store).await);
        pass(&clock, 5).await;
    }
    assert!(peers(&stores[1]).await.is_empty(), "nothing is kept in the first minute");
    pass(&clock, 120).await;
    assert_eq!(peers(&stores[1]).await, ["first", "third"], "without a shutdown");
    for node in nodes.drain(..2) {
        kill(node).await;
    }
    pass(&clock, 2).await;

    let forgetful = MemoryStore::default();
    let lost = member(&net, &clock, "fourth", 4, &forgetful).await;
    assert!(reaches(&lost, &clock).await.is_empty(), "the only address it has is gone");
    let again = member(&net, &clock, "second", 2, &stores[1]).await;
    assert_eq!(reaches(&again, &clock).await, ["third"]);
    assert_eq!(again.stats().rows_damaged, 0);
}

#[tokio::test]
async fn a_member_that_is_shut_down_keeps_whom_it_knows_and_ignores_rows_that_are_none() {
    let net = Network::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
    let (first, second) = (MemoryStore::default(), MemoryStore::default());
    let _first = member(&net, &clock, "first", 1, &first).await;
    let node = member(&net, &clock, "second", 2, &second).await;
    pass(&clock, 5).await;
    node.shutdown().await;
    assert_eq!(peers(&second).await, ["first"]);
    let operations = [(vec![200], b"nobody".to_vec()), (vec![3], vec![0xff])];
    let put = |(key, value)| Operation::Put { table: Table::Peers, key, value };
    second.commit(Batch { operations: operations.map(put).to_vec() }).await.unwrap();
    let again = member(&net, &clock, "second", 2, &second).await;
    assert_eq!(again.stats().rows_damaged, 2);
    assert_eq!(reaches(&again, &clock).await, ["first"]);
}
