//! What is passed round in a ring weighs no more than what it was made of.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use qis::memory::Network;
use qis::synth::{Exclusion, Standing, Synthesis};
use qis::{AuthorId, Domain, Identity, Lineage, Node, PacketId, RouterConfig};

const DOMAIN: &str = "cardiology/heart";
const HONEST: u8 = 10;
const LIAR: u8 = 100;
const FALSE: [f32; 3] = [9.0, -9.0, 9.0];

async fn site(net: &Network, seed: u8) -> Node {
    let node = Node::builder()
        .identity(Identity::from_seed([seed; 32]))
        .transport(net.transport(&format!("site-{seed}")).unwrap())
        .directory(net.directory())
        .domain(Domain::delta(DOMAIN, 3).unwrap())
        .config(RouterConfig { sync: None, ..RouterConfig::default() })
        .start()
        .await
        .unwrap();
    net.attach(&node);
    node
}

fn author(seed: u8) -> AuthorId {
    Identity::from_seed([seed; 32]).author()
}

fn f32s(values: &[f64]) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "values of a packet")]
    values.iter().map(|&value| value as f32).collect()
}

/// Honest sites who each observed something, and one who states what is false. Returns its packet too.
async fn honest_and_liar(net: &Network) -> (Vec<Node>, PacketId) {
    let mut honest = Vec::new();
    for seed in 1..=HONEST {
        honest.push(site(net, seed).await);
    }
    let liar = site(net, LIAR).await;
    for (node, seed) in honest.iter().zip(1..=HONEST) {
        let angle = f32::from(seed);
        node.emit(DOMAIN, [1.0 + 0.2 * angle.sin(), 1.0 + 0.2 * angle.cos(), 1.0]).await.unwrap();
    }
    let packet = liar.emit(DOMAIN, FALSE).confidence(1.0).await.unwrap().packet;
    (honest, packet)
}

async fn syntheses(nodes: &[Node]) -> Vec<Synthesis> {
    let mut all = Vec::new();
    for node in nodes {
        all.push(node.synthesize(DOMAIN).await.unwrap());
    }
    all
}

/// Each tells the next what it made of the last one's, three times round, and says that it did.
#[tokio::test]
async fn a_ring_of_relays_that_say_so_changes_nothing() {
    let net = Network::new();
    let mut ring = Vec::new();
    for seed in 0..6 {
        ring.push(site(&net, 200 + seed).await);
    }
    let (honest, packet) = honest_and_liar(&net).await;
    let before = syntheses(&honest).await;
    let (mut generation, mut inputs) = (1, vec![packet]);
    let mut passed = FALSE.to_vec();
    for relay in ring.iter().cycle().take(3 * ring.len()) {
        let lineage = Lineage::of(generation, &inputs).unwrap();
        inputs = vec![
            relay.emit(DOMAIN, passed.clone()).derived_from(lineage).confidence(1.0).await.unwrap().packet,
        ];
        // A relay that believes what it hears makes it no smaller; and beyond two steps nothing can be derived.
        generation = 2;
        assert!(Lineage::of(3, &inputs).is_none());
        let heard = relay.synthesize(DOMAIN).await.unwrap();
        passed = FALSE.iter().zip(f32s(&heard.estimate)).map(|(a, b)| a.max(b)).collect();
    }
    let standing = honest[0].standing(DOMAIN);
    assert_eq!(standing.iter().filter(|one| one.lineage().is_some()).count(), ring.len(), "they are there");
    for (with, without) in syntheses(&honest).await.iter().zip(&before) {
        assert_eq!(with.estimate, without.estimate);
        assert_eq!(with.contributions, without.contributions);
        let liar = with.contributions.iter().find(|one| one.author == author(LIAR)).unwrap();
        assert!(liar.weight <= 1.0 / f64::from(HONEST), "{with}");
    }
}

/// Each states what it heard as if it had observed it.
#[tokio::test]
async fn a_ring_of_echoes_weighs_no_more_than_one_packet() {
    let net = Network::new();
    let (honest, _) = honest_and_liar(&net).await;
    let mut ring: Vec<AuthorId> = vec![author(LIAR)];
    for seed in 0..6 {
        let echo = site(&net, 200 + seed).await;
        echo.emit(DOMAIN, FALSE).confidence(1.0).await.unwrap();
        ring.push(echo.author());
    }
    for synthesis in syntheses(&honest).await {
        let of_ring = synthesis.contributions.iter().filter(|one| ring.contains(&one.author));
        let weight: f64 = of_ring.clone().map(|one| one.weight).sum();
        let counted = synthesis.contributions.iter().filter(|one| one.weight > 0.0).count().max(1);
        #[expect(clippy::cast_precision_loss, reason = "a few")]
        let one = 1.0 / counted as f64;
        assert!(weight <= one + 1e-9, "{weight} of {counted} votes: {synthesis}");
        let copies = of_ring.filter(|one| one.standing == Standing::Excluded(Exclusion::Duplicate)).count();
        assert!(copies >= ring.len() - 1, "{synthesis}");
    }
}
