//! The attack that the article's provenance falls to, and ours has to withstand.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use qis_conformance::provenance::{Dictionary, article_hash};
use qis_fingerprint::HashEmbedder;
use qis_packet::{
    Draft, Epoch, Identity, NetworkId, Opening, Order, OutcomePacket, Seal, SiteSecret, Timestamp, Trailer,
};

const NODE: &str = "clinic-171";
const SOURCE: &str = "ward-38/2026-09";
const TIME: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);
/// The article's hash has to fall within so many hashes: 200 nodes with 1,200 sources each.
const HASHES: usize = 240_000;

fn dictionary(nodes: u32) -> Dictionary {
    let sources =
        (1..=100).flat_map(|ward| (1..=12).map(move |month| format!("ward-{ward}/2026-{month:02}")));
    Dictionary::new((1..=nodes).map(|node| format!("clinic-{node}")), sources)
}

fn network() -> NetworkId {
    NetworkId::new("hospitals")
}

/// A packet of the node and source, and its opening.
fn packet(secret: &SiteSecret, sequence: u32) -> (OutcomePacket, Opening) {
    let order = Order { incarnation: 217_000_000, sequence };
    let identity = Identity::from_seed([9; 32]);
    let seal = Seal {
        identity: &identity,
        network: network(),
        secret,
        node: NODE,
        source: SOURCE,
        order,
        time: TIME,
        trailer: Trailer::SignatureAndKey,
    };
    let fingerprint = HashEmbedder::default().fingerprint("adults with chest pain").unwrap();
    let draft = Draft::delta("cardiology/heart".parse().unwrap(), fingerprint, &[0.1, -0.2]);
    (draft.seal(&seal).unwrap(), secret.opening(order, TIME, NODE, SOURCE).unwrap())
}

#[test]
fn the_article_s_hash_of_the_same_inputs_falls_within_the_stated_number_of_hashes() {
    let dictionary = dictionary(200);
    assert_eq!(dictionary.len(), HASHES);
    let broken = dictionary.break_article(&article_hash(NODE, SOURCE, TIME), TIME).unwrap();
    assert_eq!((&*broken.node, &*broken.source), (NODE, SOURCE));
    assert!(broken.guesses <= HASHES, "{}", broken.guesses);
    println!("{} hashes", broken.guesses);
}

#[test]
fn a_packet_s_commitment_does_not_fall_to_the_same_dictionary() {
    let secret = SiteSecret::new(Epoch::of(TIME), [0x5c; 32]);
    let (packet, opening) = packet(&secret, 1);
    assert_eq!(dictionary(200).break_article(packet.commitment().as_bytes(), packet.time()), None);
    // The costlier guesses with the node's own pairs and those of a few others.
    let near = Dictionary::new(
        ["clinic-1", NODE],
        (1..=100).flat_map(|ward| (1..=12).map(move |month| format!("ward-{ward}/2026-{month:02}"))),
    );
    let others: Vec<Opening> = (2..6).map(|sequence| self::packet(&secret, sequence).1).collect();
    assert_eq!(near.break_packet(&packet, network(), &others), None, "openings of other packets open it");
    // The attack would find it, had it what only the site has.
    let broken = near.break_packet(&packet, network(), &[opening]).unwrap();
    assert_eq!((&*broken.node, &*broken.source), (NODE, SOURCE));
}

#[test]
fn a_site_with_a_secret_that_can_be_guessed_falls() {
    let near = Dictionary::new([NODE], ["ward-1/2026-01", SOURCE]);
    for guessable in [[0; 32], [0xff; 32]] {
        let (packet, _) = packet(&SiteSecret::new(Epoch::of(TIME), guessable), 1);
        let broken = near.break_packet(&packet, network(), &[]).unwrap();
        assert_eq!(broken.source, SOURCE);
    }
}
