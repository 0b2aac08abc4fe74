//! The overlay of some dozens of nodes: joining, crashing, healing, and lying about nothing.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use qis_route::Selection;
use qis_route::overlay::{Event, LookupOptions, OverlayConfig, Refusal};
use qis_sim::{Capture, Experiment, Network, NodeId, Report, Sybils, Vectors};

const DIMS: usize = 32;

fn config() -> OverlayConfig {
    OverlayConfig { gossip_every: Duration::from_secs(10), ..OverlayConfig::default() }
}

fn experiment(nodes: usize, seed: u64) -> Experiment {
    let vectors = Vectors::clustered(nodes + 20, DIMS, seed);
    let mut experiment = Experiment::new(vectors, nodes, 20, config(), seed).unwrap();
    experiment.join_all(|_| {});
    experiment
}

fn recall(experiment: &mut Experiment) -> Report {
    let truth = experiment.truth();
    experiment.measure(LookupOptions::nearest(20), &truth).unwrap()
}

#[test]
fn fifty_nodes_find_each_other() {
    let mut experiment = experiment(50, 1);
    let report = recall(&mut experiment);
    assert!(experiment.state_bytes_most() <= 64 * 1024);
    assert_eq!(report.queries, 20);
    assert!(report.recall > 0.995, "{report:?}");
    assert!(report.rounds_p99 <= 5, "{report:?}");
}

#[test]
fn one_two_and_three_nodes_find_all_the_others() {
    for nodes in 1..=3 {
        let report = recall(&mut experiment(nodes, 2));
        assert_eq!(report.queries, 20, "a look-up ends even where nobody is");
        let expected = if nodes == 1 { 0.0 } else { 1.0 };
        assert!((report.recall - expected).abs() < 1e-9, "{nodes}: {report:?}");
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut experiment = experiment(30, seed);
        let report = format!("{:?}", recall(&mut experiment));
        let network = experiment.network();
        (report, network.frames, network.bytes, network.now())
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn the_number_of_threads_does_not_show() {
    let run = |threads| {
        let vectors = Vectors::clustered(200, DIMS, 8);
        let mut network = Network::new(8).with_threads(threads);
        let ids: Vec<NodeId> = (0..200).map(|row| network.add(&vectors, row, &config()).unwrap()).collect();
        // All at once, so that there is enough to share out.
        for &id in &ids {
            network.start(id, &ids[..1]);
        }
        network.run_until(Duration::from_secs(40));
        let contacts: Vec<_> = ids.iter().map(|&id| network.overlay(id).contacts()).collect();
        let stats: Vec<_> = ids.iter().map(|&id| network.overlay(id).stats().clone()).collect();
        (network.frames, network.bytes, contacts, stats)
    };
    let once = run(1);
    assert!(once.0 > 10_000, "{}", once.0);
    assert_eq!(once, run(3));
}

#[test]
fn half_of_the_nodes_crash_and_the_others_heal() {
    let mut experiment = experiment(60, 5);
    experiment.crash(0.5);
    let before = recall(&mut experiment);
    assert!(before.recall > 0.9, "{before:?}");
    let until = experiment.network().now() + Duration::from_secs(300);
    experiment.network().run_until(until);
    let healed = recall(&mut experiment);
    assert!(healed.recall > 0.995, "{healed:?}");
    assert!(healed.rounds < before.rounds + 1.0, "dead contacts were dropped: {before:?} {healed:?}");
}

#[test]
fn networks_that_never_met_merge_by_an_address_of_the_other() {
    let every = Duration::from_secs(600);
    let config = OverlayConfig { lookup_every: every, ..config() };
    let mut experiment = Experiment::new(Vectors::clustered(36, DIMS, 8), 16, 20, config, 8).unwrap();
    let network = experiment.network();
    network.faults.split = Some(NodeId(8));
    for id in 0..16 {
        network.start(NodeId(id), if id < 8 { &[NodeId(0)] } else { &[NodeId(8), NodeId(0)] });
    }
    let until = network.now() + Duration::from_secs(120);
    network.run_until(until);
    network.faults.split = None;
    let apart = recall(&mut experiment).recall;
    assert!((0.45..0.55).contains(&apart), "each side knows all of itself: {apart}");
    let until = experiment.network().now() + 3 * every;
    experiment.network().run_until(until);
    let merged = recall(&mut experiment).recall;
    assert!(merged > 0.995, "{merged}");
}

#[test]
fn loss_repetition_and_reordering_are_borne() {
    let vectors = Vectors::clustered(60, DIMS, 6);
    let mut experiment = Experiment::new(vectors, 40, 20, config(), 6).unwrap();
    experiment.network().faults.loss = 0.1;
    experiment.network().faults.duplication = 0.2;
    experiment.join_all(|_| {});
    let report = recall(&mut experiment);
    assert!(report.recall > 0.95, "{report:?}");
    assert!(experiment.refused(Refusal::Unasked) > 0, "second answers are refused");
}

#[test]
fn a_packet_reaches_exactly_the_nearest_or_also_those_on_the_way() {
    let vectors = Vectors::clustered(41, DIMS, 7);
    for exactly in [false, true] {
        let mut network = Network::new(7);
        let ids: Vec<NodeId> = (0..40).map(|row| network.add(&vectors, row, &config()).unwrap()).collect();
        for (at, &id) in ids.iter().enumerate() {
            network.start(id, &ids[..at.min(1)]);
            let until = network.now() + Duration::from_secs(5);
            network.run_until(until);
        }
        let target = vectors.fingerprint(40).unwrap();
        let options = LookupOptions::nearest(5);
        let packet = b"packet".to_vec();
        let deliver = |overlay: &mut qis_route::overlay::Overlay, now| {
            overlay.deliver(now, &target, packet.clone(), options, exactly).unwrap()
        };
        network.with(ids[3], deliver);
        let (mut got, mut found) = (Vec::new(), None);
        let until = network.now() + Duration::from_secs(5);
        while let Some((id, event)) = network.next_event(until) {
            match event {
                Event::Packet { packet, .. } => {
                    assert_eq!(packet, b"packet");
                    got.push(id);
                }
                Event::Found { found: what, .. } => found = Some(what),
                _ => {}
            }
        }
        let found = found.unwrap();
        assert_eq!(found.nearest.len(), 5);
        let mut reached: Vec<NodeId> =
            found.reached.iter().map(|contact| network.node_at(contact.address()).unwrap()).collect();
        got.sort_unstable();
        reached.sort_unstable();
        assert_eq!(got, reached, "who has it is who is said to");
        for (_, contact) in &found.nearest {
            assert!(reached.contains(&network.node_at(contact.address()).unwrap()));
        }
        assert_eq!(reached.len() == 5, exactly);
    }
}

/// 20 nodes of an attacker at the situation that 40 packets are sent to, among 80 honest ones.
fn besieged(organisations: Option<usize>, selections: &[Selection]) -> Vec<Capture> {
    let sybils = Sybils { nodes: 20, situations: 1, organisations };
    let vectors = Vectors::clustered(90, DIMS, 5);
    let mut experiment = Experiment::with_sybils(vectors, 80, 10, sybils, config(), 5).unwrap();
    experiment.join_all(|_| {});
    experiment.deceive();
    let truth = experiment.truth();
    let mut emit = |selection| experiment.emit_to(selection, &sybils, 40, &truth).unwrap();
    selections.iter().map(&mut emit).collect()
}

#[test]
fn an_organisation_has_its_places_however_many_nodes_it_runs() {
    for (organisations, most) in [(1, 0.05), (3, 0.15)] {
        let capture = besieged(Some(organisations), &[Selection::hostile()])[0];
        assert!(capture.emissions == 40 && capture.places > 39.0, "{capture:?}");
        assert!((most - 0.01..most + 0.001).contains(&capture.captured), "2 of 40 each: {capture:?}");
        assert!(capture.delivered > 0.99, "{capture:?}");
    }
}

#[test]
fn where_nobody_vouches_clones_own_what_goes_to_the_most_similar() {
    let captures = besieged(None, &[Selection::article(), Selection::hostile()]);
    let [article, hostile] = captures[..] else { panic!("{captures:?}") };
    assert!(article.captured > 0.95 && article.delivered < 0.05, "{article:?}");
    assert!(hostile.captured < 0.6, "{hostile:?}");
}
