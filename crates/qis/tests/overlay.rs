//! Nodes without a directory: they find each other by the overlay.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeSet;
use std::num::NonZeroU16;
use std::time::Duration;

use qis::memory::{ManualClock, Network};
use qis::{
    Address, BuildError, Credential, Domain, Embedder, Fingerprint, Identity, Issuers, NetworkId, Node,
    NodeBuilder, Organisation, OverlayConfig, OverlayRefusal, Receipt, RouterConfig, Selection, SpaceId,
    Timestamp, embedder_fn,
};

const DOMAIN: &str = "cardiology/heart";
const OTHER: &str = "oncology/lung";
const START: u64 = 1_795_000_000;

/// Nodes on a ring, each in a situation of its own.
struct Ring {
    net: Network,
    clock: ManualClock,
    nodes: Vec<Node>,
}

fn space() -> SpaceId {
    SpaceId::new("ring", 2)
}

/// The direction at an angle in degrees.
fn direction(degrees: f32) -> Vec<f32> {
    let (y, x) = degrees.to_radians().sin_cos();
    vec![x, y]
}

fn situation(degrees: f32) -> Fingerprint {
    Fingerprint::from_vector(space(), &direction(degrees)).unwrap()
}

/// Of texts that are angles.
fn ring_embedder() -> impl Embedder {
    embedder_fn(space(), |text: &str| Ok::<_, std::io::Error>(direction(text.parse().unwrap_or(0.0))))
}

fn address(at: usize) -> Address {
    format!("node-{at}").parse().unwrap()
}

impl Ring {
    fn new(net: Network) -> Self {
        let clock = ManualClock::at(Timestamp::from_unix_seconds(START));
        Self { net, clock, nodes: Vec::new() }
    }

    fn builder(&self, at: usize) -> NodeBuilder {
        let seed = u8::try_from(at).unwrap();
        Node::builder()
            .identity(Identity::from_seed([seed; 32]))
            .transport(self.net.transport(&format!("node-{at}")).unwrap())
            .clock(self.clock.clone())
            .embedder(ring_embedder())
            .seed([seed; 32])
            .overlay(OverlayConfig::default())
    }

    async fn start(&self, builder: NodeBuilder) -> Node {
        let node = builder.build().await.unwrap();
        self.net.attach(&node);
        tokio::spawn(node.run());
        node
    }

    /// A node at its place of `of` on the ring, which joins by the first one.
    async fn add(&mut self, of: usize, config: RouterConfig) {
        let at = self.nodes.len();
        let degrees = 360.0 * at as f32 / of as f32;
        let domain = Domain::delta(DOMAIN, 1).unwrap().situation(degrees.to_string());
        let builder = self.builder(at).bootstrap([address(0)]).config(config).domain(domain);
        let node = self.start(builder).await;
        self.nodes.push(node);
        self.rest().await;
    }

    async fn of(nodes: usize, net: Network) -> Self {
        let mut ring = Self::new(net);
        for _ in 0..nodes {
            ring.add(nodes, config()).await;
        }
        ring
    }

    /// Lets the nodes do all that takes no time.
    async fn rest(&self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.rest().await;
        }
    }

    /// Emits while time passes.
    async fn emit(&self, at: usize, value: f32) -> Receipt {
        let node = self.nodes[at].clone();
        let emission = tokio::spawn(async move { node.emit(DOMAIN, [value]).await });
        while !emission.is_finished() {
            self.pass(1).await;
        }
        emission.await.unwrap().unwrap()
    }
}

fn config() -> RouterConfig {
    RouterConfig { selection: Some(Selection::most_similar(5)), ..RouterConfig::default() }
}

fn to(receipt: &Receipt) -> BTreeSet<String> {
    receipt.recipients.iter().map(|one| one.address.to_string()).collect()
}

#[tokio::test]
async fn one_node_is_alone_two_and_three_find_each_other() {
    let mut ring = Ring::new(Network::new());
    ring.add(3, config()).await;
    let receipt = ring.emit(0, 1.0).await;
    assert!(receipt.recipients.is_empty() && receipt.lookup_error.is_none());
    for others in 1..3 {
        ring.add(3, config()).await;
        let receipt = ring.emit(others, 1.0).await;
        assert_eq!((receipt.delivered(), receipt.recipients.len()), (others, others));
        let back = ring.emit(0, 2.0).await;
        assert_eq!((back.delivered(), back.recipients.len()), (others, others), "k is more than there are");
    }
    let report = ring.nodes[2].overlay_stats().unwrap();
    let [space_report] = &report.spaces[..] else { panic!("{report:?}") };
    assert_eq!((space_report.space, space_report.domain), (space(), Some(DOMAIN.parse().unwrap())));
    assert_eq!((space_report.near, space_report.joining, report.sends_failed), (2, false, 0));
    assert_eq!(report.stats.lookups, 1);
}

#[tokio::test]
async fn outcomes_reach_the_most_similar_of_thirty() {
    let ring = Ring::of(30, Network::new()).await;
    let receipt = ring.emit(7, 1.0).await;
    assert_eq!(receipt.delivered(), 5);
    let nearest = ["node-5", "node-6", "node-8", "node-9"];
    assert!(nearest.iter().all(|near| to(&receipt).contains(*near)), "{:?}", to(&receipt));
    // Pulling asks them as well.
    let synthesis = ring.nodes[8].synthesize(DOMAIN).pull();
    let pulled = tokio::spawn(async move { synthesis.await });
    while !pulled.is_finished() {
        ring.pass(1).await;
    }
    assert_eq!(pulled.await.unwrap().unwrap().origins, 1);
    let report = ring.nodes[7].overlay_stats().unwrap();
    assert!(report.stats.lookup_requests <= 40 && report.state_bytes <= 64 * 1024, "{report:?}");
}

#[tokio::test]
async fn nothing_waits_for_the_clock_where_nothing_is_lost() {
    let ring = Ring::of(10, Network::new()).await;
    let node = ring.nodes[3].clone();
    let emission = tokio::spawn(async move { node.emit(DOMAIN, [1.0]).await });
    ring.rest().await;
    assert!(emission.is_finished());
    assert_eq!(emission.await.unwrap().unwrap().delivered(), 5);
}

#[tokio::test]
async fn some_of_any_kind_are_drawn_where_a_selection_wants_them() {
    let ring = Ring::of(30, Network::new()).await;
    ring.pass(300).await;
    let node = ring.nodes[7].clone();
    let selection = Selection { random: 6, ..Selection::most_similar(4) };
    let emission = tokio::spawn(async move { node.emit(DOMAIN, [1.0]).selection(selection).await });
    ring.rest().await;
    let receipt = emission.await.unwrap().unwrap();
    assert_eq!((receipt.delivered(), receipt.recipients.len()), (10, 10));
    assert!(["node-6", "node-8"].iter().all(|near| to(&receipt).contains(*near)), "{:?}", to(&receipt));
    let far = receipt.recipients.iter().filter(|one| one.similarity < 0.0).count();
    assert!(far > 0, "{receipt:?}");
}

#[tokio::test]
async fn the_same_seeds_give_the_same_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let ring = Ring::of(12, Network::new().with_loss(100, 3)).await;
        let receipt = ring.emit(4, 1.0).await;
        let reports: Vec<_> = ring.nodes.iter().map(|node| node.overlay_stats().unwrap()).collect();
        runs.push((to(&receipt), reports));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn a_node_that_restarts_is_the_same_one_and_is_found_where_it_is_now() {
    let mut ring = Ring::of(8, Network::new()).await;
    ring.nodes[3].shutdown().await;
    ring.pass(2).await;
    // The same key in another situation, at another address: opposite to where it was.
    let domain = Domain::delta(DOMAIN, 1).unwrap().situation("315");
    let builder = ring.builder(3).transport(ring.net.transport("node-9").unwrap()).bootstrap([address(1)]);
    ring.nodes[3] = ring.start(builder.config(config()).domain(domain)).await;
    ring.pass(20).await;
    let receipt = ring.emit(7, 1.0).await;
    assert!(to(&receipt).contains("node-9"), "{:?}", to(&receipt));
    assert_eq!(receipt.delivered(), 5, "{receipt:?}");
}

#[tokio::test]
async fn a_node_whose_clock_was_ahead_is_found_where_it_is_once_the_clock_is_right() {
    let mut ring = Ring::of(8, Network::new()).await;
    ring.nodes[3].shutdown().await;
    let month_ahead = ManualClock::at(Timestamp::from_unix_seconds(START + 30 * 24 * 3600));
    let situated = |degrees: &str| Domain::delta(DOMAIN, 1).unwrap().situation(degrees);
    let builder = ring.builder(3).clock(month_ahead.clone()).bootstrap([address(1)]);
    ring.nodes[3] = ring.start(builder.config(config()).domain(situated("135"))).await;
    for _ in 0..20 {
        month_ahead.advance(Duration::from_secs(1));
        ring.pass(1).await;
    }
    ring.nodes[3].shutdown().await;
    ring.pass(2).await;
    // What it says of itself now is a month older than what the others hold.
    let builder = ring.builder(3).transport(ring.net.transport("node-9").unwrap()).bootstrap([address(1)]);
    ring.nodes[3] = ring.start(builder.config(config()).domain(situated("315"))).await;
    ring.pass(20).await;
    let receipt = ring.emit(7, 1.0).await;
    assert!(to(&receipt).contains("node-9"), "{:?}", to(&receipt));
    assert_eq!(receipt.delivered(), 5, "{receipt:?}");
    let stale = |node: &Node| node.overlay_stats().unwrap().stats.refused(OverlayRefusal::Stale);
    assert!(ring.nodes.iter().map(stale).sum::<u64>() > 0, "nobody held what was newer");
}

#[tokio::test]
async fn a_situation_that_changes_is_where_the_node_is_found_from_then_on() {
    let ring = Ring::of(20, Network::new()).await;
    let node = ring.nodes[0].clone();
    let moved = tokio::spawn(async move { node.emit(DOMAIN, [1.0]).situation("180").await });
    while !moved.is_finished() {
        ring.pass(1).await;
    }
    let near: BTreeSet<String> = to(&moved.await.unwrap().unwrap());
    assert!(near.contains("node-10") && !near.contains("node-1"), "{near:?}");
    let receipt = ring.emit(10, 1.0).await;
    assert!(to(&receipt).contains("node-0"), "{:?}", to(&receipt));
    let receipt = ring.emit(1, 1.0).await;
    assert!(!to(&receipt).contains("node-0"), "{:?}", to(&receipt));
}

#[tokio::test]
async fn who_joins_where_nobody_is_says_so_and_joins_once_somebody_is_there() {
    let mut ring = Ring::new(Network::new());
    let domain = || Domain::delta(DOMAIN, 1).unwrap();
    let lost = ring.start(ring.builder(1).bootstrap([address(0)]).domain(domain())).await;
    let emission = tokio::spawn({
        let lost = lost.clone();
        async move { lost.emit(DOMAIN, [1.0]).await }
    });
    ring.nodes.push(lost);
    while !emission.is_finished() {
        ring.pass(1).await;
    }
    let receipt = emission.await.unwrap().unwrap();
    assert!(receipt.recipients.is_empty());
    assert!(receipt.lookup_error.unwrap().to_string().contains("addresses to join by"));
    // Nobody told the first one of it, but its address is known.
    let first = ring.start(ring.builder(0).domain(domain())).await;
    ring.nodes.push(first);
    ring.pass(1).await;
    let receipt = ring.emit(0, 2.0).await;
    assert_eq!((receipt.delivered(), receipt.recipients.len()), (1, 1));
}

#[tokio::test]
async fn frames_of_strangers_are_borne_and_counted() {
    let ring = Ring::of(3, Network::new()).await;
    let (node, stranger) = (&ring.nodes[0], "stranger".parse().unwrap());
    let verdict = |frame: &[u8]| format!("{:?}", node.receive(&stranger, frame));
    let [a, b, c, d] = space().to_bytes();
    assert_eq!(verdict(&[5]), "Refused(Malformed)");
    assert_eq!(verdict(&[5, 9, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0]), "Refused(UnknownSpace)");
    assert_eq!(verdict(&[5, 99, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]), "Refused(Malformed)");
    assert_eq!(verdict(&[5, 9, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0]), "Handled");
    // A packet in a COMMIT that is none.
    assert_eq!(verdict(&[5, 11, a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1]), "Handled");
    for length in 0..200_u8 {
        node.receive(&stranger, &vec![length.wrapping_mul(7); usize::from(length)]);
        node.receive(&stranger, &[&[5, length % 16, a, b, c, d][..], &[length; 30]].concat());
    }
    ring.pass(1).await;
    let stats = node.overlay_stats().unwrap().stats;
    assert!(stats.refused(OverlayRefusal::Malformed) > 0);
    assert!(stats.refused(OverlayRefusal::WrongSpace) > 0);
    assert!(node.stats().refused(qis::Refusal::Malformed) > 1, "the packet that was none");
    assert_eq!(ring.emit(0, 1.0).await.delivered(), 2);
}

#[tokio::test]
async fn a_packet_that_travels_with_the_overlay_is_applied() {
    let ring = Ring::of(2, Network::new()).await;
    let elsewhere = Ring::of(1, Network::new()).await;
    let author = elsewhere.start(elsewhere.builder(9).domain(Domain::delta(DOMAIN, 1).unwrap())).await;
    let emission = tokio::spawn({
        let author = author.clone();
        async move { author.emit(DOMAIN, [1.0]).await }
    });
    elsewhere.rest().await;
    emission.await.unwrap().unwrap();
    let packet = author.standing(DOMAIN)[0].as_bytes().to_vec();
    let len = u8::try_from(packet.len() & 0x7f).unwrap() | 0x80;
    let high = u8::try_from(packet.len() >> 7).unwrap();
    let commit = [&[5, 11][..], &space().to_bytes(), &[7; 8], &[len, high], &packet].concat();
    ring.nodes[1].receive(&address(0), &commit);
    ring.rest().await;
    let (stats, standing) = (ring.nodes[1].stats(), ring.nodes[1].standing(DOMAIN));
    assert_eq!((stats.applied, standing.len()), (1, 1));
    assert_eq!(standing[0].as_bytes(), packet);
}

#[tokio::test]
async fn lost_frames_are_sent_again() {
    let ring = Ring::of(20, Network::new().with_loss(200, 7)).await;
    ring.pass(30).await;
    let receipt = ring.emit(7, 1.0).await;
    assert_eq!((receipt.delivered(), receipt.recipients.len()), (5, 5), "{receipt:?}");
    // Of three requests and their answers one in twenty times none gets through.
    let near = (4..=10).filter(|at| to(&receipt).contains(&format!("node-{at}"))).count();
    assert!(near >= 4, "{:?}", to(&receipt));
    assert!(ring.nodes.iter().any(|node| node.overlay_stats().unwrap().stats.repeated > 0));
}

#[tokio::test]
async fn half_of_the_nodes_may_go() {
    let mut ring = Ring::of(24, Network::new()).await;
    ring.pass(10).await;
    // The even ones go without a word, all at once.
    for at in (0..24).step_by(2) {
        ring.nodes[at].shutdown().await;
    }
    let stopped = ring.nodes[0].clone();
    ring.nodes.iter_mut().step_by(2).for_each(|node| *node = stopped.clone());
    let receipt = ring.emit(7, 1.0).await;
    assert!(receipt.lookup_error.is_none(), "{receipt:?}");
    assert_eq!((receipt.delivered(), receipt.recipients.len()), (5, 5), "{receipt:?}");
    assert!(["node-5", "node-9"].iter().all(|near| to(&receipt).contains(*near)), "{:?}", to(&receipt));
}

#[tokio::test]
async fn a_link_that_carries_little_carries_the_overlay_in_parts() {
    for max_frame in [24, 200] {
        let ring = Ring::of(12, Network::new().with_max_frame(max_frame)).await;
        ring.pass(90).await;
        let receipt = ring.emit(7, 1.0).await;
        assert_eq!(receipt.delivered(), 5, "{receipt:?}");
        assert!(to(&receipt).contains("node-6") && to(&receipt).contains("node-8"), "{:?}", to(&receipt));
        let (stats, report) = (ring.nodes[7].stats(), ring.nodes[7].overlay_stats().unwrap());
        assert!(stats.fragments_sent > 0 && stats.reassembly.frames > 0);
        assert_eq!((report.sends_failed, stats.refused(qis::Refusal::TooLarge)), (0, 0));
    }
}

#[tokio::test]
async fn a_space_has_one_situation_and_another_space_another_overlay() {
    let mut ring = Ring::new(Network::new());
    let domains = |builder: NodeBuilder, at: f32| {
        let described = |tag, degrees: f32| Domain::delta(tag, 1).unwrap().situation(degrees.to_string());
        builder.domain(described(DOMAIN, at)).domain(described(OTHER, at + 90.0))
    };
    for at in 0..3 {
        let builder = ring.builder(at).bootstrap([address(0)]);
        let node = ring.start(domains(builder, 10.0 * at as f32)).await;
        ring.nodes.push(node);
        ring.rest().await;
    }
    let node = ring.nodes[2].clone();
    let report = node.overlay_stats().unwrap();
    assert_eq!(report.spaces.len(), 1);
    assert_eq!(report.spaces[0].domain, Some(DOMAIN.parse().unwrap()), "the first in the order of tags");
    // It sends in both, and in a space of its own with a fingerprint of its own.
    let other = Fingerprint::from_codes(SpaceId::new("other", 3), vec![1, 2, 3]).unwrap();
    for (fingerprint, found) in [(situation(110.0), 2), (other, 0)] {
        let emit = node.emit(OTHER, [1.0]).fingerprint(fingerprint);
        let emission = tokio::spawn(emit.into_future());
        while !emission.is_finished() {
            ring.pass(1).await;
        }
        assert_eq!(emission.await.unwrap().unwrap().recipients.len(), found);
    }
    let spaces: Vec<_> = node.overlay_stats().unwrap().spaces.iter().map(|one| one.domain).collect();
    assert_eq!(spaces, [Some(DOMAIN.parse().unwrap()), Some(OTHER.parse().unwrap())]);
}

#[tokio::test]
async fn a_builder_takes_one_way_to_find_others() {
    let ring = Ring::new(Network::new());
    let domain = || Domain::delta(DOMAIN, 1).unwrap();
    let refuse = async |builder: NodeBuilder| builder.build().await.unwrap_err();
    let both = ring.builder(0).domain(domain()).directory(ring.net.directory());
    assert!(matches!(refuse(both).await, BuildError::DirectoryAndOverlay));
    let field = |error| match error {
        BuildError::Config(error) => error.field,
        error => panic!("{error}"),
    };
    let many = ring.builder(0).domain(domain()).bootstrap((0..17).map(address));
    assert_eq!(field(refuse(many).await), "bootstrap");
    let wrong = OverlayConfig { near: 0, ..OverlayConfig::default() };
    assert_eq!(field(refuse(ring.builder(0).domain(domain()).overlay(wrong)).await), "near");
    let wide = embedder_fn(SpaceId::new("wide", 1025), |_: &str| Ok::<_, std::io::Error>(vec![1.0; 1025]));
    let error = refuse(ring.builder(0).domain(domain()).embedder(wide)).await;
    assert!(matches!(error, BuildError::Overlay { .. }), "{error}");
    let with_directory = Node::builder()
        .identity(Identity::from_seed([1; 32]))
        .transport(ring.net.transport("a").unwrap())
        .directory(ring.net.directory())
        .domain(domain());
    assert!(with_directory.build().await.unwrap().overlay_stats().is_none());
}

fn network() -> NetworkId {
    NetworkId::new("default")
}

/// Of the one who may issue.
fn ministry() -> Identity {
    Identity::from_seed([200; 32])
}

fn issuers() -> Issuers {
    // What time it is, the node tells.
    Issuers::new(network(), [ministry().public_key()], Timestamp::from_unix_seconds(0))
}

/// Of the node at a place, until so many seconds after the start.
fn credential(at: usize, of: &str, seconds: u64) -> Vec<u8> {
    let author = Identity::from_seed([u8::try_from(at).unwrap(); 32]).author();
    let expires = Timestamp::from_unix_seconds(START + seconds);
    Credential::issue(&ministry(), network(), author, Organisation::new(of), expires)
}

impl Ring {
    /// A node that only takes members as contacts, with a credential of its own.
    async fn add_member(&mut self, of: &str, seconds: u64) {
        let at = self.nodes.len();
        let domain = Domain::delta(DOMAIN, 1).unwrap().situation((10 * at).to_string());
        let builder = self.builder(at).admission(issuers()).credential(credential(at, of, seconds));
        let node = self.start(builder.bootstrap([address(0)]).domain(domain)).await;
        self.nodes.push(node);
        self.rest().await;
    }

    async fn emit_to(&self, at: usize, selection: Selection) -> Receipt {
        let emit = self.nodes[at].emit(DOMAIN, [1.0]).selection(selection);
        let emission = tokio::spawn(emit.into_future());
        while !emission.is_finished() {
            self.pass(1).await;
        }
        emission.await.unwrap().unwrap()
    }

    fn near(&self, at: usize) -> usize {
        self.nodes[at].overlay_stats().unwrap().spaces[0].near
    }
}

fn names<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(String::from).into()
}

#[tokio::test]
async fn who_has_no_credential_is_nobody_s_contact() {
    let mut ring = Ring::new(Network::new());
    for of in ["a", "b", "c"] {
        ring.add_member(of, 86_400).await;
    }
    // It takes anybody, and nobody takes it.
    let domain = Domain::delta(DOMAIN, 1).unwrap().situation("5");
    let stranger = ring.start(ring.builder(3).bootstrap([address(0), address(1)]).domain(domain)).await;
    ring.nodes.push(stranger);
    ring.pass(130).await;
    let receipt = ring.emit(0, 1.0).await;
    assert_eq!((to(&receipt), receipt.delivered()), (names(["node-1", "node-2"]), 2));
    let receipt = ring.emit(3, 1.0).await;
    assert!(receipt.recipients.is_empty() && receipt.lookup_error.is_some(), "{receipt:?}");
    assert_eq!([0, 1, 2, 3].map(|at| ring.near(at)), [2, 2, 2, 0]);
    let refused = ring.nodes[0].overlay_stats().unwrap().stats.refused(OverlayRefusal::NotAdmitted);
    assert!(refused > 0);
}

#[tokio::test]
async fn who_is_admitted_for_a_time_drops_out_when_it_is_over() {
    let mut ring = Ring::new(Network::new());
    for seconds in [86_400, 86_400, 3600] {
        ring.add_member("a", seconds).await;
    }
    let receipt = ring.emit(0, 1.0).await;
    assert_eq!(to(&receipt), names(["node-1", "node-2"]));
    // It counts for the skew of clocks longer.
    for _ in 0..63 {
        ring.clock.advance(Duration::from_secs(60));
        ring.rest().await;
    }
    assert_eq!(ring.near(0), 2);
    for _ in 0..3 {
        ring.clock.advance(Duration::from_secs(60));
        ring.rest().await;
    }
    let receipt = ring.emit(0, 2.0).await;
    assert_eq!(to(&receipt), names(["node-1"]));
    ring.pass(130).await;
    assert_eq!([0, 1].map(|at| ring.near(at)), [1, 1], "nobody has passed it on");
    assert!(ring.nodes[0].overlay_stats().unwrap().stats.expired > 0);
}

#[tokio::test]
async fn an_organisation_that_is_vouched_for_gets_no_more_than_its_cap() {
    let mut ring = Ring::new(Network::new());
    for of in ["a", "a", "a", "a", "b", "b"] {
        ring.add_member(of, 86_400).await;
    }
    let cap = Selection { per_organisation: NonZeroU16::new(1), ..Selection::most_similar(4) };
    let receipt = ring.emit_to(0, cap).await;
    assert_eq!(to(&receipt), names(["node-1", "node-4"]), "the most similar of each");
    assert_eq!(ring.emit_to(0, Selection::most_similar(4)).await.recipients.len(), 4);
}

#[tokio::test]
async fn a_builder_takes_a_credential_that_its_own_admission_takes() {
    let ring = Ring::new(Network::new());
    let refuse = async |builder: NodeBuilder| {
        let domain = Domain::delta(DOMAIN, 1).unwrap();
        match builder.domain(domain).build().await {
            Err(BuildError::Config(error)) => error.field,
            other => panic!("{other:?}"),
        }
    };
    let admitted = || ring.builder(0).admission(issuers());
    assert_eq!(refuse(admitted()).await, "credential");
    assert_eq!(refuse(admitted().credential(credential(1, "a", 3600))).await, "credential");
    ring.clock.advance(Duration::from_secs(4000));
    assert_eq!(refuse(admitted().credential(credential(0, "a", 3600))).await, "credential");
    assert_eq!(refuse(ring.builder(0).credential(vec![0; 257])).await, "credential");
    let with_directory = || {
        Node::builder()
            .identity(Identity::from_seed([1; 32]))
            .transport(ring.net.transport("a").unwrap())
            .directory(ring.net.directory())
    };
    assert_eq!(refuse(with_directory().admission(issuers())).await, "admission");
    assert_eq!(refuse(with_directory().credential(vec![1])).await, "credential");
}
