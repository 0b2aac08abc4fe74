//! Whole nodes: the loop as a host sees it, and what a host can do wrong.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use qis::memory::{ManualClock, MemoryDirectory, MemoryStore, Network};
use qis::synth::Exclusion;
use qis::{
    Address, AnchoredMean, BuildError, CatchUpError, Delivery, Descriptor, Directory, Domain, Embedder,
    EmitError, Evidence, Family, Fingerprint, HostError, HostErrorKind, Identity, Lifetime, NetworkId, Node,
    NodeBuilder, NodeEvent, Organisation, Peer, Receipt, RouterConfig, Scaling, Schema, Selection, SpaceId,
    SynthesizeError, Timestamp, Transport, async_trait, embedder_fn,
};

const DOMAIN: &str = "cardiology/heart";

fn builder(net: &Network, seed: u8) -> NodeBuilder {
    Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(net.transport(&format!("clinic-{seed}")).unwrap())
        .directory(net.directory())
        .name(format!("clinic-{seed}"))
}

async fn clinic(net: &Network, seed: u8) -> Node {
    start(net, builder(net, seed).domain(Domain::delta(DOMAIN, 2).unwrap())).await
}

async fn start(net: &Network, builder: NodeBuilder) -> Node {
    let node = builder.start().await.unwrap();
    net.attach(&node);
    node
}

fn assert_close(actual: &[f64], expected: &[f64]) {
    assert_eq!(actual.len(), expected.len());
    for (a, b) in actual.iter().zip(expected) {
        assert!((a - b).abs() < 1e-6, "{actual:?} is not {expected:?}");
    }
}

#[tokio::test]
async fn two_sites_learn_from_each_other() {
    let net = Network::new();
    let (a, b) = (clinic(&net, 1).await, clinic(&net, 2).await);
    let receipt = a.emit(DOMAIN, [1.0, 0.0]).confidence(1.0).await.unwrap();
    assert_eq!((receipt.delivered(), receipt.recipients.len()), (1, 1));
    assert!(receipt.bytes <= 512);
    b.emit(DOMAIN, [0.0, 1.0]).await.unwrap();
    // One peer is no crowd: half of one's own, and half of the mean of both.
    assert_close(&a.synthesize(DOMAIN).await.unwrap().estimate, &[0.75, 0.25]);
    assert_close(&b.synthesize(DOMAIN).await.unwrap().estimate, &[0.25, 0.75]);
    // Synthesis is no new evidence: doing it again changes nothing, and nothing was sent.
    assert_close(&a.synthesize(DOMAIN).await.unwrap().estimate, &[0.75, 0.25]);
    assert_eq!(a.stats().emissions + b.stats().emissions, 2);
}

#[tokio::test]
async fn the_article_s_rule_iterates_on_its_state_and_remembers_it() {
    let net = Network::new();
    let store = MemoryStore::default();
    let article = || Domain::article(DOMAIN, 1).unwrap();
    let a = start(&net, builder(&net, 1).domain(article()).store(store.clone())).await;
    let b = start(&net, builder(&net, 2).domain(article())).await;
    a.emit(DOMAIN, [1.0]).await.unwrap();
    b.emit(DOMAIN, [0.0]).await.unwrap();
    assert_close(&a.synthesize(DOMAIN).await.unwrap().estimate, &[0.7]);
    assert_close(&a.synthesize(DOMAIN).await.unwrap().estimate, &[0.49]);
    a.emit(DOMAIN, [1.0]).await.unwrap();
    a.shutdown().await;
    let again = start(&net, builder(&net, 1).domain(article()).store(store)).await;
    assert_close(&again.synthesize(DOMAIN).await.unwrap().estimate, &[0.343]);
}

fn schema() -> Schema {
    Schema::new(Family::Gaussian, ["dose"], Scaling::Public { mean: vec![0.0], scale: vec![1.0] }).unwrap()
}

fn evidence(records: u8, slope: f64) -> Evidence {
    let x: Vec<f64> = (0..records).map(|i| f64::from(i % 7) / 3.5 - 1.0).collect();
    let y: Vec<f64> =
        x.iter().enumerate().map(|(i, x)| slope * x + if i % 2 == 0 { 0.1 } else { -0.1 }).collect();
    Evidence::gaussian(&schema(), &x, &y).unwrap()
}

#[tokio::test]
async fn evidence_travels_and_a_small_site_listens() {
    let net = Network::new();
    let domain = || Domain::evidence(DOMAIN, schema()).unwrap();
    let a = start(&net, builder(&net, 1).domain(domain())).await;
    let b = start(&net, builder(&net, 2).domain(domain())).await;
    let receipt = a.emit(DOMAIN, evidence(60, 0.8)).await.unwrap();
    assert!(receipt.domain.as_str().starts_with("cardiology/heart@"));

    let few = b.emit(DOMAIN, evidence(19, 0.8)).await.unwrap_err();
    assert!(matches!(few, EmitError::TooFewRecords { records: 19, minimum: 20 }), "{few}");
    assert!(matches!(b.synthesize(DOMAIN).pull().await, Err(SynthesizeError::NoSituation)));
    b.observe(DOMAIN, evidence(2, 0.8)).unwrap();
    let heard = b.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!((heard.origins, b.stats().packets_sent), (1, 0), "it listens and says nothing");
    assert!((heard.estimate[1] - 0.8).abs() < 0.2, "{heard}");
    assert!(b.observe(DOMAIN, [1.0]).is_err() && b.observe("x", [1.0]).is_err());

    b.emit(DOMAIN, evidence(20, 0.8)).await.unwrap();
    let synthesis = b.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!(synthesis.origins, 1);
    assert!((synthesis.estimate[1] - 0.8).abs() < 0.1, "{synthesis}");
    assert_eq!(a.synthesize(DOMAIN).await.unwrap().origins, 1);

    let other = Schema::new(Family::Logistic, ["dose"], Scaling::SiteLocal).unwrap();
    let x: Vec<f64> = (0..30).map(f64::from).collect();
    let y: Vec<f64> = (0..30).map(|i| f64::from(i % 2)).collect();
    let logistic = Evidence::logistic(&other, &x, &y).unwrap();
    let error = b.emit(DOMAIN, logistic).await.unwrap_err();
    assert!(matches!(error, EmitError::Route(_)), "{error}");
}

#[tokio::test]
async fn each_misuse_is_an_error_and_changes_nothing() {
    let net = Network::new();
    let (a, b) = (clinic(&net, 1).await, clinic(&net, 2).await);
    a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    let refuse = async |emit: qis::Emit| emit.await.unwrap_err().to_string();
    assert!(refuse(a.emit("cardiology/lungs", [1.0, 2.0])).await.contains("none of this node's domains"));
    assert!(refuse(a.emit("not a tag", [1.0, 2.0])).await.contains("none of this node's domains"));
    assert!(refuse(a.emit(DOMAIN, [1.0])).await.contains("not what the domain takes"));
    assert!(refuse(a.emit(DOMAIN, [f32::NAN, 0.0])).await.contains("makes no packet"));
    assert!(refuse(a.emit(DOMAIN, evidence(30, 1.0))).await.contains("not what the domain takes"));
    assert!(refuse(a.emit(DOMAIN, [1.0, 2.0]).confidence(1.5)).await.contains("0..=1"));
    assert!(refuse(a.emit(DOMAIN, [1.0, 2.0]).confidence(f64::NAN)).await.contains("0..=1"));
    assert!(refuse(a.emit(DOMAIN, [1.0, 2.0]).situation("...")).await.contains("cannot be embedded"));
    assert!(matches!(b.retract(DOMAIN).await, Err(EmitError::Route(_))), "nothing to withdraw");
    assert!(matches!(a.synthesize("x").await, Err(SynthesizeError::UnknownDomain { .. })));
    assert_eq!(a.stats().emissions, 1);
    assert_eq!(a.standing(DOMAIN).len(), 1);
}

#[tokio::test]
async fn no_confidence_at_all_is_an_error_not_a_division() {
    let net = Network::new();
    let mean = || Domain::delta(DOMAIN, 2).unwrap().synthesizer(AnchoredMean::default());
    let a = start(&net, builder(&net, 1).domain(mean())).await;
    let b = clinic(&net, 2).await;
    a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    b.emit(DOMAIN, [9.0, 9.0]).confidence(0.0).await.unwrap();
    let error = a.synthesize(DOMAIN).await.unwrap_err();
    assert!(
        matches!(error, SynthesizeError::Synthesis(qis::synth::SynthesisError::ZeroConfidence)),
        "{error}"
    );
}

#[tokio::test]
async fn alone_a_site_keeps_its_own_and_says_so() {
    let net = Network::new();
    let a = clinic(&net, 1).await;
    a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    let synthesis = a.synthesize(DOMAIN).pull().await.unwrap();
    assert_close(&synthesis.estimate, &[1.0, 2.0]);
    assert!(synthesis.abstained.is_some());
}

#[tokio::test]
async fn one_who_joins_late_pulls_what_waits_for_it() {
    let net = Network::new();
    let a = clinic(&net, 1).await;
    a.emit(DOMAIN, [1.0, 1.0]).await.unwrap();
    let late = clinic(&net, 2).await;
    late.emit(DOMAIN, [0.0, 0.0]).await.unwrap();
    assert!(late.synthesize(DOMAIN).await.unwrap().abstained.is_some());
    let synthesis = late.synthesize(DOMAIN).pull().await.unwrap();
    assert_close(&synthesis.estimate, &[0.25, 0.25]);
}

#[tokio::test]
async fn one_who_was_away_catches_up_with_all_that_waits() {
    let net = Network::new();
    for seed in 1..=15 {
        clinic(&net, seed).await.emit(DOMAIN, [1.0, 1.0]).await.unwrap();
    }
    let late = clinic(&net, 99).await;
    late.emit(DOMAIN, [0.0, 0.0]).await.unwrap();
    let caught_up = late.catch_up().await.unwrap();
    assert_eq!((caught_up.applied, late.standing(DOMAIN).len()), (15, 16));
    assert!(caught_up.answered > 0 && caught_up.rounds > 1, "{caught_up:?}");
    let again = late.catch_up().domain(DOMAIN).await.unwrap();
    assert_eq!((again.applied, again.rounds), (0, 1));
    assert!(matches!(late.catch_up().domain("x").await, Err(CatchUpError::UnknownDomain { .. })));
    late.shutdown().await;
    assert!(matches!(late.catch_up().await, Err(CatchUpError::Stopped)));
}

#[tokio::test]
async fn what_is_withdrawn_is_gone_and_derived_packets_do_not_count() {
    let net = Network::new();
    let (a, b) = (clinic(&net, 1).await, clinic(&net, 2).await);
    let receipt = a.emit(DOMAIN, [1.0, 1.0]).await.unwrap();
    b.emit(DOMAIN, [0.0, 0.0]).await.unwrap();
    a.retract(DOMAIN).await.unwrap();
    assert!(b.synthesize(DOMAIN).await.unwrap().abstained.is_some());
    let lineage = qis::Lineage::of(1, &[receipt.packet]).unwrap();
    a.emit(DOMAIN, [5.0, 5.0]).derived_from(lineage).await.unwrap();
    assert_eq!(b.standing(DOMAIN).len(), 2);
    assert!(b.synthesize(DOMAIN).await.unwrap().abstained.is_some(), "observed or nothing");
}

#[tokio::test]
async fn a_node_that_nobody_drives_says_so() {
    let net = Network::new();
    let node = builder(&net, 1).domain(Domain::delta(DOMAIN, 2).unwrap()).build().await.unwrap();
    assert!(matches!(node.emit(DOMAIN, [1.0, 1.0]).await, Err(EmitError::NotRunning)));
    assert!(matches!(node.synthesize(DOMAIN).pull().await, Err(SynthesizeError::NotRunning)));
    let driver = tokio::spawn(node.run());
    node.run().await; // A second driver ends at once.
    node.emit(DOMAIN, [1.0, 1.0]).await.unwrap();
    driver.abort();
    assert!(driver.await.is_err());
    assert!(matches!(node.emit(DOMAIN, [1.0, 1.0]).await, Err(EmitError::NotRunning)));
}

#[tokio::test]
async fn a_shut_down_node_goes_on_from_its_store() {
    let net = Network::new();
    let store = MemoryStore::default();
    let domain = || Domain::delta(DOMAIN, 2).unwrap();
    let a = start(&net, builder(&net, 1).domain(domain()).store(store.clone())).await;
    let b = clinic(&net, 2).await;
    // It is attached still, and takes nothing to its end: nobody drives it.
    b.shutdown().await;
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.emit(DOMAIN, [3.0, 3.0]).await }
    });
    let queued = a.emit(DOMAIN, [1.0, 2.0]).queue().await.unwrap();
    let own = a.standing(DOMAIN).into_iter().find(|one| one.author() == a.author()).unwrap();
    // The other one may have come later.
    assert!(own.id() == queued.packet && own.order() == queued.order || own.order() > queued.order);
    a.shutdown().await;
    assert!(matches!(waiting.await.unwrap(), Err(EmitError::Stopped)));
    assert!(matches!(a.emit(DOMAIN, [1.0, 2.0]).await, Err(EmitError::Stopped)));

    let b = clinic(&net, 3).await;
    let config = RouterConfig { retry_after: Duration::from_millis(5), ..RouterConfig::default() };
    let again = builder(&net, 1).domain(domain()).store(store).config(config).build().await.unwrap();
    net.attach(&again);
    let mut events = again.subscribe();
    tokio::spawn(again.run());
    let mut delivered = 0;
    while delivered == 0 {
        if let Some(NodeEvent::Emitted { recipients, .. }) = events.next().await {
            delivered += recipients;
        }
    }
    assert_eq!(b.standing(DOMAIN).len(), 1, "{queued:?} reached a node that was not there before");
    assert_close(&again.synthesize(DOMAIN).await.unwrap().estimate, &[3.0, 3.0]);
}

#[tokio::test]
async fn listeners_hear_what_arrives() {
    let net = Network::new();
    let (a, b) = (clinic(&net, 1).await, clinic(&net, 2).await);
    let mut events = b.subscribe();
    let receipt = a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    let event = events.next().await.unwrap();
    let (author, packet) = (a.author(), receipt.packet);
    assert_eq!(event, NodeEvent::Applied { domain: receipt.domain, author, packet, retraction: false });
}

#[tokio::test]
async fn provenance_opens_to_an_auditor_and_to_nobody_else() {
    let net = Network::new();
    let (a, b) = (clinic(&net, 1).await, clinic(&net, 2).await);
    a.emit(DOMAIN, [1.0, 2.0]).source("ward-3").await.unwrap();
    let packet = b.standing(DOMAIN).pop().unwrap();
    let network = NetworkId::new("default");
    let opening = a.open_provenance(&packet, "ward-3").unwrap();
    assert_eq!((opening.node(), opening.source()), ("clinic-1", "ward-3"));
    opening.verify(&packet, network).unwrap();
    a.open_provenance(&packet, "ward-4").unwrap_err();
    b.open_provenance(&packet, "ward-3").unwrap_err();
    a.erase_provenance_before(packet.time().saturating_add(30 * 24 * 3600)).await.unwrap();
    a.open_provenance(&packet, "ward-3").unwrap_err();
}

#[tokio::test]
async fn packets_of_another_network_are_forgeries() {
    let net = Network::new();
    let a = clinic(&net, 1).await;
    let domain = Domain::delta(DOMAIN, 2).unwrap();
    let b = start(&net, builder(&net, 2).domain(domain).network(NetworkId::new("other"))).await;
    let receipt = b.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    assert_eq!(receipt.recipients[0].delivery, Delivery::Refused);
    assert_eq!(a.stats().refused(qis::Refusal::Forged), 1);
}

#[derive(Debug)]
struct Panicking(Address);

#[async_trait]
impl Transport for Panicking {
    fn local_address(&self) -> Address {
        self.0.clone()
    }

    async fn send(&self, _: &Address, _: &[u8], _: Duration) -> Result<(), HostError> {
        panic!("a bug of the host's")
    }
}

#[tokio::test]
async fn a_panic_in_a_host_s_code_is_contained() {
    let net = Network::new();
    let b = clinic(&net, 2).await;
    let a = start(
        &net,
        builder(&net, 1)
            .transport(Panicking("clinic-1".parse().unwrap()))
            .domain(Domain::delta(DOMAIN, 2).unwrap()),
    )
    .await;
    let receipt = a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    assert_eq!(receipt.recipients[0].delivery, Delivery::Failed(HostErrorKind::Panicked));
    assert!(b.standing(DOMAIN).is_empty());
    a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
}

/// A directory that answers when told to.
#[derive(Debug)]
struct Stalling {
    inner: MemoryDirectory,
    stalls: Arc<AtomicBool>,
}

#[async_trait]
impl Directory for Stalling {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.inner.announce(descriptor).await
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        if self.stalls.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        self.inner.nearest(fingerprint, k).await
    }
}

#[tokio::test]
async fn a_directory_that_never_answers_is_asked_again_by_the_clock() {
    let net = Network::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_795_000_000));
    let stalls = Arc::new(AtomicBool::new(true));
    let directory = Stalling { inner: net.directory(), stalls: Arc::clone(&stalls) };
    let domain = || Domain::delta(DOMAIN, 2).unwrap();
    let b = start(&net, builder(&net, 2).domain(domain()).clock(clock.clone())).await;
    let a = start(&net, builder(&net, 1).domain(domain()).clock(clock.clone()).directory(directory)).await;
    let emission = tokio::spawn(async move { a.emit(DOMAIN, [1.0, 2.0]).await });
    for step in 0..40 {
        tokio::task::yield_now().await;
        if step == 20 {
            stalls.store(false, Ordering::SeqCst);
        }
        clock.advance(Duration::from_secs(1));
    }
    let receipt: Receipt = emission.await.unwrap().unwrap();
    assert_eq!(receipt.delivered(), 1);
    assert_eq!(b.standing(DOMAIN).len(), 1);
}

#[tokio::test]
async fn a_lossy_network_delivers_all_the_same() {
    let net = Network::new().with_loss(300, 7);
    let config =
        RouterConfig { retry_after: Duration::from_millis(5), attempts: 12, ..RouterConfig::default() };
    let mut nodes = Vec::new();
    for seed in 1..6 {
        let domain = Domain::delta(DOMAIN, 2).unwrap();
        nodes.push(
            start(&net, builder(&net, seed).domain(domain).config(config.clone()).seed([seed; 32])).await,
        );
    }
    for node in &nodes {
        let receipt = node.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
        assert_eq!(receipt.delivered(), 4, "{:?}", receipt.recipients);
    }
    assert!(nodes.iter().all(|node| node.standing(DOMAIN).len() == 5 && node.authors(DOMAIN) == 5));
    assert_eq!(nodes[0].authors("cardiology/lungs"), 0, "none of its domains");
}

#[tokio::test]
async fn small_and_lossy_links_are_learned_over_like_any_other() {
    for (max_frame, loss) in [(51, 0), (51, 100), (51, 300), (222, 0), (222, 100), (222, 300)] {
        let net =
            Network::new().with_max_frame(max_frame).with_loss(0, 3).with_loss_at("clinic-1", loss).unwrap();
        let config =
            RouterConfig { retry_after: Duration::from_millis(5), attempts: 12, ..RouterConfig::default() };
        let mut nodes = Vec::new();
        for seed in 1..4 {
            let builder = builder(&net, seed).domain(Domain::delta(DOMAIN, 64).unwrap());
            nodes.push(start(&net, builder.config(config.clone()).seed([seed; 32])).await);
        }
        for (value, node) in (0_u8..).zip(&nodes) {
            let receipt = node.emit(DOMAIN, [f32::from(value); 64]).await.unwrap();
            assert_eq!(receipt.delivered(), 2, "{max_frame} {loss} {:?}", receipt.recipients);
        }
        for node in &nodes {
            let stats = node.stats();
            assert_eq!(node.standing(DOMAIN).len(), 3);
            assert!(stats.reassembly.frames >= 2 && stats.fragments_sent > 0, "{stats:?}");
        }
    }
}

#[tokio::test]
async fn the_memory_network_refuses_what_it_does_not_carry() {
    let net = Network::new().with_max_frame(51);
    let node = clinic(&net, 1).await;
    let transport = net.transport("b").unwrap();
    assert_eq!(transport.max_frame(), 51);
    let send = async |len| transport.send(&node.address(), &vec![0; len], Duration::ZERO).await;
    assert!(send(51).await.is_ok());
    assert_eq!(send(52).await.unwrap_err().kind(), HostErrorKind::Refused);
}

#[tokio::test]
async fn the_builder_names_what_is_wrong() {
    let net = Network::new();
    let domain = || Domain::delta(DOMAIN, 2).unwrap();
    let refuse = async |builder: NodeBuilder| builder.build().await.unwrap_err();
    let missing =
        |error, part: &str| matches!(error, BuildError::Missing { part: missing } if missing == part);
    let identity = || Identity::from_seed([1; 32]);
    let transport = || net.transport("a").unwrap();
    assert!(missing(refuse(Node::builder()).await, "identity"));
    assert!(missing(refuse(Node::builder().identity(identity())).await, "transport"));
    let located = Node::builder().identity(identity()).transport(transport());
    assert!(missing(refuse(located).await, "directory or overlay"));
    assert!(missing(refuse(builder(&net, 1)).await, "domain"));
    let twice = builder(&net, 1).domain(domain()).domain(domain());
    assert!(matches!(refuse(twice).await, BuildError::DuplicateDomain { .. }));
    let config = RouterConfig { attempts: 0, ..RouterConfig::default() };
    let error = refuse(builder(&net, 1).domain(domain()).config(config)).await;
    assert!(matches!(error, BuildError::Config(error) if error.field == "attempts"));
    let unembeddable = embedder_fn(SpaceId::new("broken", 2), |_: &str| Ok::<_, String>(vec![f32::NAN]));
    let error = refuse(builder(&net, 1).domain(domain()).embedder(unembeddable)).await;
    assert!(matches!(error, BuildError::Embed { .. }));
    assert!(Domain::delta("no tag", 2).is_err() && Domain::delta(DOMAIN, 0).is_err());
    assert!(Domain::evidence(&"a".repeat(24), schema()).is_err());
}

#[derive(Debug)]
struct Narrow(Address);

#[async_trait]
impl Transport for Narrow {
    fn local_address(&self) -> Address {
        self.0.clone()
    }

    fn max_frame(&self) -> usize {
        23
    }

    async fn send(&self, _: &Address, _: &[u8], _: Duration) -> Result<(), HostError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_link_too_narrow_for_parts_is_refused_when_building() {
    let net = Network::new();
    let narrow =
        builder(&net, 1).transport(Narrow("a".parse().unwrap())).domain(Domain::delta(DOMAIN, 2).unwrap());
    let error = narrow.build().await.unwrap_err();
    assert!(matches!(error, BuildError::FrameTooSmall { max_frame: 23, needed: 24 }), "{error}");
}

#[tokio::test]
async fn a_host_s_model_routes_by_its_own_space() {
    #[derive(Debug)]
    struct Lazy;

    #[async_trait]
    impl Embedder for Lazy {
        fn space(&self) -> SpaceId {
            SpaceId::new("lazy", 2)
        }

        async fn embed(&self, _: &[&str]) -> Result<Vec<Fingerprint>, qis::EmbedError> {
            Ok(Vec::new())
        }
    }
    let net = Network::new();
    let domain = Domain::delta(DOMAIN, 2).unwrap();
    assert!(matches!(
        builder(&net, 1).domain(domain).embedder(Lazy).build().await,
        Err(BuildError::Embed { .. })
    ));

    let lengths = || {
        embedder_fn(SpaceId::new("lengths", 2), |text: &str| {
            let words = u8::try_from(text.split(' ').count()).unwrap_or(u8::MAX);
            Ok::<_, String>(vec![f32::from(words), 1.0])
        })
    };
    let domain = |text: &str| Domain::delta(DOMAIN, 2).unwrap().situation(text);
    let a = start(&net, builder(&net, 1).domain(domain("one two three")).embedder(lengths())).await;
    let _b = start(&net, builder(&net, 2).domain(domain("one two three four")).embedder(lengths())).await;
    let _c = start(&net, builder(&net, 3).domain(domain("one")).embedder(lengths())).await;
    let receipt = a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    let near: Vec<&str> = receipt.recipients.iter().map(|one| one.address.as_str()).collect();
    assert_eq!(near, ["clinic-2", "clinic-3"], "the most similar first");
    assert!(receipt.recipients[0].similarity > receipt.recipients[1].similarity);
}

fn small_packets() -> RouterConfig {
    RouterConfig { max_packet_bytes: 340, fingerprint_bytes: 16, ..RouterConfig::default() }
}

#[tokio::test]
async fn a_node_on_a_small_link_keeps_its_packets_small() {
    let net = Network::new();
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_795_000_000));
    let part = |seed| {
        let domain = Domain::delta(DOMAIN, 512).unwrap().lifetime(Lifetime::from_hours(3).unwrap());
        let embedder = qis::HashEmbedder::new(384).unwrap();
        builder(&net, seed).domain(domain).config(small_packets()).embedder(embedder).clock(clock.clone())
    };
    let (a, b) = (start(&net, part(1)).await, start(&net, part(2)).await);
    let values: Vec<f32> = (0..512_u16).map(|i| f32::from(i * 37 % 101) - 50.0).collect();
    let receipt = a.emit(DOMAIN, &values).await.unwrap();
    // There is no room for the key beside so small a delta: the first time it is sent again with the key.
    assert_eq!((receipt.delivered(), receipt.recipients[0].attempts), (1, 2));
    assert!((300..=340).contains(&receipt.bytes), "{}", receipt.bytes);
    assert!(receipt.recipients[0].similarity > 0.99, "one tag, one compact fingerprint");

    let before = b.standing(DOMAIN).remove(0);
    assert_eq!(before.fingerprint().dims(), 384);
    assert!(before.fingerprint().byte_len() <= 16);
    // The clock states it again, in as few bytes and with the same fingerprint.
    for _ in 0..30 {
        clock.advance(Duration::from_secs(300));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let renewed = b.standing(DOMAIN).remove(0);
    assert!(renewed.order() > before.order() && renewed.as_bytes().len() <= 340);
    assert_eq!(renewed.fingerprint(), before.fingerprint());
    assert_eq!(a.standing(DOMAIN), b.standing(DOMAIN), "the author sees what its receivers see");
    assert_eq!(b.synthesize(DOMAIN).pull().await.unwrap().origins, 1);
    a.retract(DOMAIN).await.unwrap();
    assert!(b.standing(DOMAIN).is_empty());
}

#[tokio::test]
async fn a_node_whose_packets_are_too_small_for_its_domain_is_not_built() {
    let net = Network::new();
    let names: Vec<String> = (0..64).map(|i| format!("f{i}")).collect();
    let schema = Schema::new(Family::Logistic, &names, Scaling::SiteLocal).unwrap();
    let domain = Domain::evidence(DOMAIN, schema).unwrap();
    let smaller = RouterConfig { max_packet_bytes: 222, ..small_packets() };
    let error = builder(&net, 1).domain(domain.clone()).config(smaller).build().await.unwrap_err();
    assert!(matches!(error, BuildError::Domain { .. }), "{error}");
    builder(&net, 1).domain(domain).build().await.unwrap();
    let config = RouterConfig { max_packet_bytes: 100, ..RouterConfig::default() };
    let error = builder(&net, 1).domain(Domain::delta(DOMAIN, 2).unwrap()).config(config).build().await;
    assert!(matches!(error, Err(BuildError::Config(_))));
}

#[tokio::test]
async fn a_large_delta_is_fitted_beside_its_key() {
    let net = Network::new();
    let domain = || Domain::delta(DOMAIN, 70).unwrap().lifetime(Lifetime::MAX);
    let a = start(&net, builder(&net, 1).domain(domain())).await;
    let b = start(&net, builder(&net, 2).domain(domain())).await;
    let receipt = a.emit(DOMAIN, vec![0.5; 70]).await.unwrap();
    assert_eq!((receipt.recipients[0].attempts, receipt.delivered()), (1, 1));
    assert!(receipt.bytes <= 512);
    let second = a.emit(DOMAIN, vec![0.25; 70]).await.unwrap();
    assert_eq!(second.recipients[0].attempts, 1);
    assert_eq!(b.stats().max_packet_bytes, 0, "it has sent none");

    let domain = Domain::delta("very/large", 2000).unwrap();
    let c = start(&net, builder(&net, 3).domain(domain)).await;
    let receipt = c.emit("very/large", (0..2000_u16).map(|i| f32::from(i % 7)).collect::<Vec<_>>()).await;
    assert!((500..=512).contains(&receipt.unwrap().bytes), "it takes what there is");
}

/// A store that fails when told to, and hangs when told to.
#[derive(Debug)]
struct Fickle {
    inner: MemoryStore,
    fails: Arc<AtomicBool>,
    hangs: Arc<AtomicBool>,
}

#[async_trait]
impl qis::Store for Fickle {
    async fn commit(&self, batch: qis::Batch) -> Result<(), HostError> {
        if self.hangs.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.fails.load(Ordering::SeqCst) {
            return Err(HostError::new(HostErrorKind::Full, "no space left"));
        }
        self.inner.commit(batch).await
    }

    async fn range(&self, table: qis::Table, from: &[u8], limit: usize) -> Result<Vec<qis::Row>, HostError> {
        self.inner.range(table, from, limit).await
    }
}

#[tokio::test]
async fn an_outcome_the_store_did_not_keep_is_not_this_site_s_own() {
    let net = Network::new();
    let flag = || Arc::new(AtomicBool::new(false));
    let (fails, hangs) = (flag(), flag());
    let store =
        Fickle { inner: MemoryStore::default(), fails: Arc::clone(&fails), hangs: Arc::clone(&hangs) };
    let domain = Domain::delta(DOMAIN, 1).unwrap();
    let a = builder(&net, 1).domain(domain).store(store).build().await.unwrap();
    let driver = tokio::spawn(a.run());
    a.emit(DOMAIN, [1.0]).await.unwrap();
    fails.store(true, Ordering::SeqCst);
    let error = a.emit(DOMAIN, [100.0]).await.unwrap_err();
    assert!(matches!(error, EmitError::Route(_)), "{error}");
    assert_close(&a.synthesize(DOMAIN).await.unwrap().estimate, &[1.0]);
    fails.store(false, Ordering::SeqCst);

    // A driver that is dropped while the store hangs leaves nothing behind that hangs the next one.
    hangs.store(true, Ordering::SeqCst);
    let waiting = tokio::spawn({
        let a = a.clone();
        async move { a.emit(DOMAIN, [2.0]).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    driver.abort();
    assert!(waiting.await.unwrap().is_err());
    hangs.store(false, Ordering::SeqCst);
    tokio::spawn(a.run());
    let again = async {
        loop {
            if a.emit(DOMAIN, [3.0]).await.is_ok() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), again).await.unwrap();
    assert_close(&a.synthesize(DOMAIN).await.unwrap().estimate, &[3.0]);
}

#[tokio::test]
async fn a_site_that_changes_its_key_stays_one_site() {
    let net = Network::new();
    let store = MemoryStore::default();
    let domain = || Domain::delta(DOMAIN, 1).unwrap();
    let b = start(&net, builder(&net, 2).domain(domain())).await;
    let a = start(&net, builder(&net, 1).domain(domain()).store(store.clone())).await;
    a.emit(DOMAIN, [1.0]).await.unwrap();
    a.shutdown().await;
    let (old, new) = (Identity::from_seed([1; 32]), Identity::from_seed([9; 32]));
    let network = NetworkId::new("default");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let time = Timestamp::from_unix_seconds(now);
    let statement = qis::RotationStatement::new(&old, &new, network, time);
    let wrong = builder(&net, 1).domain(domain()).rotation(statement).build().await.unwrap_err();
    assert!(matches!(wrong, BuildError::Config(error) if error.field == "rotation"));
    let again = builder(&net, 1).identity(new).rotation(statement).domain(domain()).store(store);
    let again = start(&net, again).await;
    assert!(again.synthesize(DOMAIN).await.unwrap().abstained.is_some(), "its old packet is no peer's");
    let receipt = again.emit(DOMAIN, [3.0]).await.unwrap();
    assert_eq!((receipt.delivered(), receipt.recipients.len()), (1, 1), "and it does not send to itself");
    assert_eq!(b.standing(DOMAIN).len(), 1, "one author");
    b.emit(DOMAIN, [0.0]).await.unwrap();
    assert_close(&b.synthesize(DOMAIN).await.unwrap().estimate, &[0.75]);
}

#[tokio::test]
async fn a_site_that_lost_its_store_knows_all_its_former_keys_by_the_statements() {
    let net = Network::new();
    let domain = || Domain::delta(DOMAIN, 1).unwrap().situation("adults with chest pain");
    let b = start(&net, builder(&net, 2).domain(domain())).await;
    let a = start(&net, builder(&net, 1).domain(domain())).await;
    a.emit(DOMAIN, [1.0]).await.unwrap();
    a.shutdown().await;
    let [first, second, third] = [1, 8, 9].map(|seed| Identity::from_seed([seed; 32]));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let time = Timestamp::from_unix_seconds(now);
    let follows = |old, new| qis::RotationStatement::new(old, new, NetworkId::new("default"), time);
    let statements = [follows(&first, &second), follows(&second, &third)];
    let after = || builder(&net, 1).identity(Identity::from_seed([9; 32])).domain(domain());
    let fork = follows(&first, &Identity::from_seed([10; 32]));
    let wrong = after().rotation(statements[1]).rotation(fork).build().await.unwrap_err();
    assert!(matches!(wrong, BuildError::Config(error) if error.field == "rotation"));
    // In any order; and what it said under the first key comes back to it, of which it knows nothing any more.
    let again = start(&net, after().rotation(statements[0]).rotation(statements[1])).await;
    assert_eq!(again.catch_up().await.unwrap().applied, 0);
    assert!(again.synthesize(DOMAIN).await.is_err(), "its old packet is no peer's, and there is no other");
    again.emit(DOMAIN, [3.0]).await.unwrap();
    assert_eq!(b.standing(DOMAIN).len(), 1, "one author");
}

#[tokio::test]
async fn a_site_restored_from_a_backup_after_changing_its_key_still_counts() {
    let net = Network::new();
    let store = MemoryStore::default();
    let domain = || Domain::delta(DOMAIN, 1).unwrap();
    let b = start(&net, builder(&net, 2).domain(domain())).await;
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_795_000_000));
    let old = || builder(&net, 1).domain(domain());
    // The backup is from before the second outcome, and the node's clock stands, so its numbers repeat.
    let a = start(&net, old().clock(clock.clone()).store(store.clone())).await;
    a.emit(DOMAIN, [1.0]).await.unwrap();
    a.shutdown().await;
    let a = start(&net, old().clock(clock.clone())).await;
    a.emit(DOMAIN, [1.0]).await.unwrap();
    a.emit(DOMAIN, [2.0]).await.unwrap();
    a.shutdown().await;
    let (before, after) = (Identity::from_seed([1; 32]), Identity::from_seed([9; 32]));
    let time = Timestamp::from_unix_seconds(1_795_000_000);
    let statement = qis::RotationStatement::new(&before, &after, NetworkId::new("default"), time);
    let again = builder(&net, 1).domain(domain()).identity(after).rotation(statement).store(store);
    let again = start(&net, again.clock(clock.clone())).await;
    let mut events = again.subscribe();
    again.emit(DOMAIN, [3.0]).await.unwrap();
    while events.next().await != Some(NodeEvent::IncarnationRaised) {}
    for _ in 0..200 {
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
    }
    assert_eq!(b.standing(DOMAIN)[0].delta().unwrap().unwrap().to_vec(), [3.0]);
}

#[tokio::test]
async fn a_store_written_for_other_dimensions_or_damaged_still_loads() {
    let net = Network::new();
    let store = MemoryStore::default();
    let domain = |dims| Domain::article(DOMAIN, dims).unwrap();
    let a = start(&net, builder(&net, 1).domain(domain(2)).store(store.clone())).await;
    a.emit(DOMAIN, [1.0, 2.0]).await.unwrap();
    a.synthesize(DOMAIN).await.unwrap();
    a.shutdown().await;
    let damaged = qis::Operation::Put { table: qis::Table::Packets, key: vec![1; 30], value: vec![2] };
    qis::Store::commit(&store, qis::Batch { operations: vec![damaged] }).await.unwrap();
    let again = start(&net, builder(&net, 1).domain(domain(3)).store(store.clone())).await;
    assert!(again.synthesize(DOMAIN).await.is_err(), "there is nothing of three dimensions yet");
    assert_eq!((again.stats().rows_damaged, again.standing(DOMAIN).len()), (1, 0));
    again.emit(DOMAIN, [1.0, 2.0, 3.0]).await.unwrap();
    again.shutdown().await;
    let order = qis::Operation::Put { table: qis::Table::Order, key: vec![], value: vec![2] };
    qis::Store::commit(&store, qis::Batch { operations: vec![order] }).await.unwrap();
    let error = builder(&net, 1).domain(domain(3)).store(store).build().await.unwrap_err();
    assert!(matches!(error, BuildError::Restore(_)), "{error}");
}

#[tokio::test]
async fn the_widest_schema_makes_a_packet_under_the_longest_tag() {
    let net = Network::new();
    let prefix = "a".repeat(23);
    let schema = |features| {
        let names = (0..features).map(|i: usize| format!("f{i}"));
        Schema::new(Family::Gaussian, names, Scaling::SiteLocal).unwrap()
    };
    let features = Schema::MAX_FEATURES;
    let domain = Domain::evidence(&prefix, schema(features)).unwrap();
    let a = start(&net, builder(&net, 1).domain(domain)).await;
    let x: Vec<f64> = (0..100 * features).map(|i| f64::from(u16::try_from(i * i % 997).unwrap())).collect();
    let y: Vec<f64> = (0..100).map(|i| f64::from(i % 13) / 6.0 - 1.0).collect();
    let receipt = a.emit(&prefix, Evidence::gaussian(&schema(features), &x, &y).unwrap()).await.unwrap();
    assert!((460..=512).contains(&receipt.bytes), "{} bytes", receipt.bytes);
}

#[test]
fn handles_are_send_and_sync() {
    fn check<T: Send + Sync + 'static>() {}
    check::<Node>();
    check::<Network>();
    check::<EmitError>();
    check::<SynthesizeError>();
    fn send<T: Send>(_: T) {}
    fn futures(node: &Node) {
        send(node.emit(DOMAIN, [1.0]).into_future());
        send(node.synthesize(DOMAIN).into_future());
        send(node.run());
    }
    let _ = futures;
}

/// A directory that writes down what it is asked for: how many similar ones, or how many members.
#[derive(Debug)]
struct Asked {
    inner: MemoryDirectory,
    log: Arc<std::sync::Mutex<Vec<(&'static str, usize)>>>,
    samples: bool,
}

#[async_trait]
impl Directory for Asked {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.inner.announce(descriptor).await
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        self.log.lock().unwrap().push(("similar", k));
        self.inner.nearest(fingerprint, k).await
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        self.log.lock().unwrap().push(("any", k));
        if self.samples {
            self.inner.sample(k).await
        } else {
            Err(HostError::new(HostErrorKind::Unavailable, "as the test says"))
        }
    }
}

#[tokio::test]
async fn a_domain_says_who_gets_its_outcomes() {
    let net = Network::new();
    let asked = |net: &Network, seed: u8, samples: bool| {
        let log = Arc::new(std::sync::Mutex::new(Vec::new()));
        let directory = Asked { inner: net.directory(), log: Arc::clone(&log), samples };
        (builder(net, seed).directory(directory), move || std::mem::take(&mut *log.lock().unwrap()))
    };
    let delta = || Domain::delta("plain", 1).unwrap();
    let other = Domain::delta("other", 1).unwrap().selection(Selection::most_similar(1));
    let (builder, log) = asked(&net, 1, true);
    let domain = Domain::evidence(DOMAIN, schema()).unwrap();
    let a = start(&net, builder.domain(domain).domain(delta()).domain(other)).await;
    for seed in 2..6 {
        let domain = Domain::evidence(DOMAIN, schema()).unwrap();
        let node = start(&net, self::builder(&net, seed).domain(domain).domain(delta())).await;
        node.emit(DOMAIN, evidence(60, 0.8)).await.unwrap();
    }

    let receipt = a.emit(DOMAIN, evidence(60, 0.8)).await.unwrap();
    assert_eq!((receipt.delivered(), log()), (4, vec![("any", 41), ("similar", 36)]), "5 members are no 20");
    a.synthesize(DOMAIN).pull().await.unwrap();
    assert_eq!(log(), [("any", 41), ("similar", 36)]);
    a.emit("plain", [1.0]).await.unwrap();
    assert_eq!(log(), [("similar", 21)]);
    let receipt = a.emit("other", [1.0]).await.unwrap();
    assert_eq!((receipt.recipients.len(), log()), (1, vec![("similar", 2)]));
    a.emit("plain", [1.0]).selection(Selection { random: 2, ..Selection::most_similar(1) }).await.unwrap();
    assert_eq!(log(), [("any", 4), ("similar", 2)], "all are there");
    let nobody = a.emit("plain", [1.0]).selection(Selection::most_similar(0)).await.unwrap_err();
    assert!(matches!(nobody, EmitError::Route(_)));

    let (builder, log) = asked(&net, 7, false);
    let radio = RouterConfig { retry_after: Duration::from_millis(5), ..RouterConfig::radio() };
    let domain = || Domain::evidence(DOMAIN, schema()).unwrap();
    let b = start(&net, builder.domain(domain()).config(radio)).await;
    b.emit(DOMAIN, evidence(60, 0.8)).await.unwrap();
    assert_eq!(log(), [("similar", 6)], "a configuration's selection counts for evidence too");
    let (builder, log) = asked(&net, 8, false);
    let c = start(&net, builder.domain(domain())).await;
    c.emit(DOMAIN, evidence(60, 0.8)).await.unwrap();
    assert_eq!(log(), [("any", 41), ("similar", 41)], "similar ones take the places");
    let refused = self::builder(&net, 9).domain(domain().selection(Selection::most_similar(1001))).build();
    assert!(matches!(refused.await, Err(BuildError::Domain { .. })));
}

#[tokio::test]
async fn an_organisation_has_two_votes_by_the_directory_s_word_or_the_host_s() {
    let net = Network::new();
    let mut nodes = Vec::new();
    for seed in 1..=8 {
        nodes.push(clinic(&net, seed).await);
    }
    let [one, other] = ["one", "other"].map(Organisation::new);
    for node in &nodes[1..4] {
        net.directory().set_organisation(node.author(), one).unwrap();
    }
    for (i, node) in nodes.iter().enumerate() {
        node.emit(DOMAIN, [i as f32, 1.0]).await.unwrap();
    }
    let capped = async || {
        let excluded = nodes[0].synthesize(DOMAIN).pull().await.unwrap().excluded();
        excluded.get(&Exclusion::Organisation).copied().unwrap_or(0)
    };
    assert_eq!(capped().await, 1);
    for node in &nodes[4..] {
        nodes[0].set_organisation(node.author(), other);
    }
    assert_eq!(capped().await, 3);
}
