//! Fingerprints of many dimensions: packets carry them compact, and nodes are found by the exact ones.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use qis::memory::{ManualClock, MemoryDirectory, MemoryStore, Network};
use qis::{
    Address, Descriptor, Directory, Domain, Embedder, Fingerprint, FullMesh, HostError, Identity, Lifetime,
    Node, NodeBuilder, Peer, RouterConfig, SpaceId, Timestamp, async_trait, embedder_fn,
};

const DOMAIN: &str = "cardiology/heart";
const DIMS: usize = 384;
/// As many as a group of nodes, and one and a half times as many as are looked for.
const GROUP: usize = 30;

fn space() -> SpaceId {
    SpaceId::new("groups", 384)
}

/// Numbers from -1 to 1, always the same ones for a seed.
fn noise(seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f32::from(u16::try_from(state >> 48).unwrap()) / 32_768.0 - 1.0
    })
}

/// A member of a group of similar ones.
fn vector(member: usize) -> Vec<f32> {
    let centre = noise(1_000_000 + (member / GROUP) as u64);
    centre.zip(noise(member as u64)).map(|(centre, own)| centre + 0.7 * own).take(DIMS).collect()
}

fn fingerprint(member: usize) -> Fingerprint {
    Fingerprint::from_vector(space(), &vector(member)).unwrap()
}

fn compact(member: usize) -> Fingerprint {
    fingerprint(member).compact(64).unwrap()
}

/// Of texts that are numbers of members.
fn embedder() -> impl Embedder {
    embedder_fn(space(), |text: &str| text.parse().map(vector))
}

fn address(member: usize) -> Address {
    format!("node-{member}").parse().unwrap()
}

fn identity(member: usize) -> Identity {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&(member as u64).to_le_bytes());
    Identity::from_seed(seed)
}

fn builder(net: &Network, member: usize) -> NodeBuilder {
    Node::builder()
        .identity(identity(member))
        .transport(net.transport(address(member).as_str()).unwrap())
        // The only look-ups are those that a test asks for.
        .config(RouterConfig { sync: None, ..RouterConfig::default() })
        .embedder(embedder())
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// The 20 others whose real vectors are most similar.
fn truth(of: usize, vectors: &[Vec<f32>]) -> BTreeSet<String> {
    let near = |other: usize| (cosine(&vectors[of], &vectors[other]), other);
    let mut others: Vec<(f64, usize)> = (0..vectors.len()).filter(|&other| other != of).map(near).collect();
    others.sort_by(|a, b| b.0.total_cmp(&a.0));
    others.iter().take(20).map(|&(_, other)| address(other).to_string()).collect()
}

fn addresses(peers: impl IntoIterator<Item = Address>) -> BTreeSet<String> {
    peers.into_iter().map(|address| address.to_string()).collect()
}

#[tokio::test]
async fn more_of_the_nearest_are_reached_by_exact_fingerprints_than_by_compact_ones() {
    const MEMBERS: usize = 300;
    let net = Network::new();
    let (mesh, by_compact) = (Arc::new(FullMesh::default()), FullMesh::default());
    let config =
        || RouterConfig { attempts: 1, retry_after: Duration::from_millis(1), ..RouterConfig::default() };
    let mut nodes = Vec::new();
    for member in 0..MEMBERS {
        let domain = Domain::delta(DOMAIN, 1).unwrap().situation(member.to_string());
        let builder = builder(&net, member).directory(Arc::clone(&mesh)).config(config());
        let node = builder.domain(domain).build().await.unwrap();
        let (author, domain) = (node.author(), DOMAIN.parse().unwrap());
        by_compact.insert(Descriptor::new(author, address(member), domain, compact(member))).unwrap();
        nodes.push(node);
    }
    let vectors: Vec<Vec<f32>> = (0..MEMBERS).map(vector).collect();
    let (mut exact_hits, mut compact_hits, mut wanted) = (0, 0, 0);
    for member in (0..MEMBERS).step_by(15) {
        tokio::spawn(nodes[member].run());
        let receipt = nodes[member].emit(DOMAIN, [1.0]).await.unwrap();
        assert!(nodes[member].standing(DOMAIN)[0].fingerprint() == &compact(member), "it travels compact");
        let truth = truth(member, &vectors);
        let found = addresses(receipt.recipients.into_iter().map(|one| one.address));
        let nearest = by_compact.nearest(&compact(member), 21).await.unwrap();
        let mut others = addresses(nearest.into_iter().map(|peer| peer.address));
        others.remove(address(member).as_str());
        wanted += truth.len();
        exact_hits += truth.intersection(&found).count();
        compact_hits += truth.intersection(&others).count();
    }
    let (exact, compact) = (exact_hits as f64 / wanted as f64, compact_hits as f64 / wanted as f64);
    println!(
        "of the 20 nearest, {exact:.3} are reached by exact fingerprints and {compact:.3} by compact ones"
    );
    assert!(exact > 0.97, "{exact}");
    assert!((0.5..0.9).contains(&compact), "{compact}");
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Call {
    Announce(Fingerprint),
    Nearest(Fingerprint),
}

/// A directory that writes down what it is told and asked.
#[derive(Clone, Debug)]
struct Log {
    inner: MemoryDirectory,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Log {
    fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

#[async_trait]
impl Directory for Log {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.calls.lock().unwrap().push(Call::Announce(descriptor.fingerprint.clone()));
        self.inner.announce(descriptor).await
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        self.calls.lock().unwrap().push(Call::Nearest(fingerprint.clone()));
        self.inner.nearest(fingerprint, k).await
    }
}

/// A node whose process may end and start again.
struct Site {
    net: Network,
    log: Log,
    store: Arc<MemoryStore>,
    clock: ManualClock,
    situation: &'static str,
}

impl Site {
    fn new(situation: &'static str) -> Self {
        let net = Network::new();
        let log = Log { inner: net.directory(), calls: Arc::default() };
        let clock = ManualClock::at(Timestamp::from_unix_seconds(1_795_000_000));
        Self { net, log, store: Arc::default(), clock, situation }
    }

    async fn start(&self) -> Node {
        let lifetime = Lifetime::from_hours(3).unwrap();
        let domain = Domain::delta(DOMAIN, 1).unwrap().situation(self.situation).lifetime(lifetime);
        let builder = builder(&self.net, 1).directory(self.log.clone()).store(Arc::clone(&self.store));
        let node = builder.clock(self.clock.clone()).domain(domain).build().await.unwrap();
        tokio::spawn(node.run());
        node
    }

    async fn pass(&self, minutes: u64) {
        for _ in 0..minutes {
            self.clock.advance(Duration::from_secs(60));
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn a_node_looks_and_is_found_by_the_exact_fingerprint_and_sends_the_compact_one() {
    let site = Site::new("1");
    let node = site.start().await;
    let (announce, nearest) = (|| Call::Announce(fingerprint(1)), || Call::Nearest(fingerprint(1)));
    assert_eq!(site.log.take(), [announce()]);
    node.emit(DOMAIN, [1.0]).await.unwrap();
    assert_eq!(site.log.take(), [announce(), nearest()]);
    assert_eq!(node.standing(DOMAIN)[0].fingerprint(), &compact(1));
    node.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!(site.log.take(), [nearest()]);
    // What the clock states again was read from the packet.
    site.pass(125).await;
    assert_eq!(node.stats().emissions, 2);
    assert_eq!(site.log.take(), [announce(), nearest()]);
    node.retract(DOMAIN).await.unwrap();
    assert_eq!(site.log.take(), [nearest()]);
}

#[tokio::test]
async fn a_node_that_restarts_has_its_situation_s_exact_fingerprint_again() {
    let site = Site::new("1");
    let node = site.start().await;
    node.emit(DOMAIN, [1.0]).await.unwrap();
    node.shutdown().await;
    site.log.take();
    let (announce, nearest) = (|| Call::Announce(fingerprint(1)), || Call::Nearest(fingerprint(1)));
    let node = site.start().await;
    site.pass(1).await;
    assert_eq!(site.log.take(), [announce()]);
    node.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!(site.log.take(), [nearest()]);
    site.pass(125).await;
    assert_eq!(site.log.take(), [announce(), nearest()]);
    node.retract(DOMAIN).await.unwrap();
    assert_eq!(site.log.take(), [nearest()]);
}

#[tokio::test]
async fn what_was_not_delivered_before_a_restart_is_delivered_by_the_exact_fingerprint() {
    let site = Site::new("1");
    // It is not there, so the emission is not over.
    let gone = Descriptor::new(identity(3).author(), address(3), DOMAIN.parse().unwrap(), fingerprint(3));
    site.log.inner.announce(&gone).await.unwrap();
    let node = site.start().await;
    node.emit(DOMAIN, [1.0]).queue().await.unwrap();
    node.shutdown().await;
    site.log.take();
    let _node = site.start().await;
    site.pass(1).await;
    assert!(site.log.take().contains(&Call::Nearest(fingerprint(1))));
}

#[tokio::test]
async fn what_only_the_packet_tells_after_a_restart_is_used_until_the_host_says_more() {
    let site = Site::new("1");
    let node = site.start().await;
    // Not the situation of the domain.
    node.emit(DOMAIN, [1.0]).situation("2").await.unwrap();
    node.shutdown().await;
    site.log.take();
    let node = site.start().await;
    site.pass(1).await;
    assert_eq!(site.log.take(), [Call::Announce(compact(2))]);
    node.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!(site.log.take(), [Call::Nearest(compact(2))]);
    node.emit(DOMAIN, [1.0]).fingerprint(fingerprint(2)).await.unwrap();
    assert_eq!(site.log.take(), [Call::Announce(fingerprint(2)), Call::Nearest(fingerprint(2))]);
}
