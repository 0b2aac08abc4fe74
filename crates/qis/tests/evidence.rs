//! Evidence at a node: what is published of it and what is not, and the situation that follows from it.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use qis::memory::{MemoryDirectory, MemoryStore, Network};
use qis::{
    Descriptor, Directory, Domain, EmitError, Evidence, Family, Fingerprint, HostError, Identity, Ledger,
    Node, NodeBuilder, Noise, Peer, Scaling, Schema, async_trait,
};

const DOMAIN: &str = "cardiology/heart";

fn schema() -> Schema {
    let scaling = Scaling::Public { mean: vec![0.0; 2], scale: vec![1.0; 2] };
    Schema::new(Family::Gaussian, ["dose", "age"], scaling).unwrap()
}

/// Records that never end, of which a site has the first so many.
fn evidence(records: u32, slopes: [f64; 2]) -> Evidence {
    let noise = |k: u32| f64::from(k.wrapping_mul(2_654_435_761) >> 16) / 32_768.0 - 1.0;
    let x: Vec<f64> = (0..2 * records).map(noise).collect();
    let y: Vec<f64> = x.chunks(2).map(|row| slopes[0] * row[0] + slopes[1] * row[1]).collect();
    let y: Vec<f64> = y.iter().zip(0..).map(|(y, k)| y + noise(k + 1_000_000)).collect();
    Evidence::gaussian(&schema(), &x, &y).unwrap()
}

fn builder(net: &Network, seed: u8) -> NodeBuilder {
    Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(net.transport(&format!("clinic-{seed}")).unwrap())
        .domain(Domain::evidence(DOMAIN, schema()).unwrap())
}

async fn start(net: &Network, builder: NodeBuilder) -> Node {
    let node = builder.start().await.unwrap();
    net.attach(&node);
    node
}

#[tokio::test]
async fn evidence_is_published_again_once_there_are_as_many_new_records() {
    let net = Network::new();
    let store = MemoryStore::default();
    let builder = || builder(&net, 1).directory(net.directory()).store(store.clone());
    let node = start(&net, builder()).await;
    node.emit(DOMAIN, evidence(30, [1.0, 0.0])).await.unwrap();
    let refused = node.emit(DOMAIN, evidence(49, [1.0, 0.0])).await.unwrap_err();
    assert!(
        matches!(refused, EmitError::TooFewNewRecords { records: 49, published: 30, minimum: 20 }),
        "{refused}"
    );
    // As many records, but not the same: some were replaced.
    assert!(node.emit(DOMAIN, evidence(30, [0.9, 0.0])).await.is_err());
    assert!(
        node.standing(DOMAIN)[0].support().records().is_some_and(|n| n < 35.0),
        "what stood before still stands"
    );
    // The same once more tells nothing new.
    node.emit(DOMAIN, evidence(30, [1.0, 0.0])).await.unwrap();
    // It still learns from all it has.
    node.observe(DOMAIN, evidence(49, [1.0, 0.0])).unwrap();
    let more = node.synthesize(DOMAIN).await.unwrap();
    assert!((more.estimate[1] - 1.0).abs() < 0.3, "{more}");

    node.emit(DOMAIN, evidence(50, [1.0, 0.0])).await.unwrap();
    node.shutdown().await;
    let node = start(&net, builder()).await;
    assert!(matches!(
        node.emit(DOMAIN, evidence(69, [1.0, 0.0])).await,
        Err(EmitError::TooFewNewRecords { published: 50, .. })
    ));
    // What was withdrawn was seen nevertheless.
    node.retract(DOMAIN).await.unwrap();
    assert!(node.emit(DOMAIN, evidence(69, [1.0, 0.0])).await.is_err());
    node.shutdown().await;
    let node = start(&net, builder()).await;
    assert!(node.emit(DOMAIN, evidence(69, [1.0, 0.0])).await.is_err());
    node.emit(DOMAIN, evidence(70, [1.0, 0.0])).await.unwrap();
}

#[tokio::test]
async fn evidence_with_noise_is_published_whatever_its_records() {
    let net = Network::new();
    let node = start(&net, builder(&net, 1).directory(net.directory())).await;
    let peer = start(&net, builder(&net, 2).directory(net.directory())).await;
    let mut ledger = Ledger::new(1.2, 1e-6).unwrap();
    let noise = Noise::new(5.0, 2.0).unwrap();
    let exact = evidence(5, [1.0, 0.0]);
    assert!(matches!(node.emit(DOMAIN, exact.clone()).await, Err(EmitError::TooFewRecords { .. })));
    let noisy = exact.with_noise(&noise, &mut ledger, [1; 32]).unwrap();
    assert!(exact.with_noise(&noise, &mut ledger, [2; 32]).is_err(), "the budget is for one");
    node.emit(DOMAIN, noisy.clone()).await.unwrap();
    node.emit(DOMAIN, noisy).await.unwrap();
    assert!(peer.synthesize(DOMAIN).pull().await.is_err(), "it has no situation yet");
    assert_eq!(peer.catch_up().await.unwrap().without_situation.len(), 1);
    peer.observe(DOMAIN, evidence(10, [1.0, 0.0])).unwrap();
    let heard = peer.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!(heard.contributions.len(), 1);
    assert!(heard.estimate.iter().all(|value| value.is_finite()));
}

#[tokio::test]
async fn survival_data_on_many_features_fits_a_packet() {
    let net = Network::new();
    let names: Vec<String> = (0..40).map(|k| format!("feature {k}")).collect();
    let schema = Schema::new(Family::Cox, names, Scaling::SiteLocal).unwrap();
    let x: Vec<f64> = (0..40 * 50).map(|k: u32| f64::from(k.wrapping_mul(2_654_435_761) >> 20)).collect();
    let time: Vec<f64> = (0..50).map(|k| f64::from(k * 7 % 50)).collect();
    let event: Vec<bool> = (0..50).map(|k| k % 3 == 0).collect();
    let domain = || Domain::evidence("survival", schema.clone()).unwrap();
    let clinic = async |seed: u8| {
        let node = Node::builder()
            .identity(Identity::from_seed([seed; 32]))
            .transport(net.transport(&format!("clinic-{seed}")).unwrap())
            .directory(net.directory())
            .domain(domain());
        start(&net, node).await
    };
    let (a, b) = (clinic(1).await, clinic(2).await);
    let receipt = a.emit("survival", Evidence::cox(&schema, &x, &time, &event).unwrap()).await.unwrap();
    assert!(receipt.bytes <= 512, "{}", receipt.bytes);
    b.emit("survival", Evidence::cox(&schema, &x, &time, &event).unwrap()).await.unwrap();
    let synthesis = b.synthesize("survival").pull().await.unwrap();
    assert_eq!((synthesis.origins, synthesis.estimate.len()), (1, 40));
}

/// A directory that writes down what is announced at it.
#[derive(Debug)]
struct Heard {
    inner: MemoryDirectory,
    announced: Arc<Mutex<Vec<Fingerprint>>>,
}

#[async_trait]
impl Directory for Heard {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.announced.lock().unwrap().push(descriptor.fingerprint.clone());
        self.inner.announce(descriptor).await
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        self.inner.nearest(fingerprint, k).await
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        self.inner.sample(k).await
    }
}

#[tokio::test]
async fn a_site_is_found_by_its_gradient_and_then_by_what_peers_make_of_it() {
    let net = Network::new();
    let truth = [1.0, -0.8];
    for seed in 2..8 {
        let node = start(&net, builder(&net, seed).directory(net.directory())).await;
        node.emit(DOMAIN, evidence(200, truth)).await.unwrap();
    }
    let announced = Arc::new(Mutex::new(Vec::new()));
    let directory = Heard { inner: net.directory(), announced: Arc::clone(&announced) };
    let node = start(&net, builder(&net, 1).directory(directory)).await;
    let heard = async || {
        // Announcements are the driver's work.
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::mem::take(&mut *announced.lock().unwrap())
    };

    // A site that only listens says nothing of its records, whatever it has found.
    node.observe(DOMAIN, evidence(12, truth)).unwrap();
    let neutral = heard().await;
    node.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!((neutral.len(), heard().await.len()), (1, 0));

    let own = evidence(20, truth);
    node.emit(DOMAIN, own.clone()).await.unwrap();
    let gradient = heard().await.pop().unwrap();
    assert_ne!(gradient, neutral[0]);
    let synthesis = node.synthesize(DOMAIN).pull().await.unwrap();
    let refreshed = heard().await;
    let [refreshed] = refreshed.as_slice() else { panic!("{} announcements", refreshed.len()) };
    let expected = own.expected_fingerprint(&synthesis.estimate).unwrap();
    let expected = Fingerprint::from_vector(gradient.space(), &expected).unwrap();
    assert_eq!(refreshed, &expected);
    // Its own kind has the gradient of many records, which the refreshed one is nearer to.
    let many =
        Fingerprint::from_vector(gradient.space(), &evidence(200, truth).gradient_fingerprint()).unwrap();
    assert!(refreshed.cosine(&many).unwrap() > gradient.cosine(&many).unwrap());

    // Once for what was published: not for each synthesis, and not for records that are only observed.
    node.synthesize(DOMAIN).await.unwrap();
    node.observe(DOMAIN, evidence(30, truth)).unwrap();
    node.synthesize(DOMAIN).await.unwrap();
    assert!(heard().await.is_empty());
}
