//! One packet into a thousand quiet nodes: what it causes is bounded, and over.

#[expect(dead_code, reason = "what the tests of the router need of it")]
mod support;

use std::time::Duration;

use qis_route::proto::{RouterConfig, Stats, SyncConfig};
use support::{Fate, World, config, domain, fingerprint};

const NODES: u16 = 1000;
/// Recipients of a vector.
const MOST_RECIPIENTS: u64 = 20;
const ACKNOWLEDGEMENT: u8 = 1;

fn sum(world: &World, count: fn(&Stats) -> u64) -> u64 {
    world.hosts.iter().map(|host| count(host.router.stats())).sum()
}

/// Emits one packet. Returns the packets that were sent, and all frames, until nothing moved any more.
fn sends(fate: impl FnMut(usize, &[u8]) -> Fate + 'static) -> (u64, u64) {
    let config = config();
    let mut world = World::with(NODES, &config);
    world.fate = Box::new(fate);
    world.emit(500, 1.0);
    // So long an emission may take, whoever does not answer: each wait is twice the one before.
    let longest = config.retry_after * 2_u32.pow(config.attempts.into());
    world.pass(longest);
    let counts = |world: &World| (sum(world, |of| of.packets_sent), sum(world, |of| of.frames_sent));
    let (packets, frames) = counts(&world);
    assert_eq!(sum(&world, |of| of.emissions), 1);
    assert!(packets <= MOST_RECIPIENTS * u64::from(config.attempts), "{packets} packets");
    assert!(frames <= 2 * packets, "{frames} frames: a packet, and what acknowledges it");
    world.pass(Duration::from_secs(24 * 3600));
    assert_eq!(counts(&world), (packets, frames), "it is quiet for a day");
    (packets, frames)
}

#[test]
fn one_packet_into_a_thousand_quiet_nodes_ends() {
    assert_eq!(sends(|_, _| Fate::Arrives), (20, 40));
}

#[test]
fn it_ends_when_nothing_arrives() {
    let attempts = u64::from(config().attempts);
    assert_eq!(sends(|_, _| Fate::Lost), (20 * attempts, 20 * attempts));
}

#[test]
fn it_ends_when_no_acknowledgement_arrives() {
    let attempts = u64::from(config().attempts);
    let fate = |_, frame: &[u8]| if frame[0] == ACKNOWLEDGEMENT { Fate::Lost } else { Fate::Arrives };
    assert_eq!(sends(fate), (20 * attempts, 40 * attempts));
}

#[test]
fn neighbours_that_ask_for_it_pass_it_on_once_to_each() {
    let config = RouterConfig { sync: Some(SyncConfig::default()), ..config() };
    let mut world = World::with(NODES, &config);
    for host in &mut world.hosts {
        // Who is nowhere has no neighbours.
        host.router.announce(world.now, domain(), fingerprint());
    }
    world.emit(500, 1.0);
    world.pass(Duration::from_secs(10 * 60));
    let holders = (0..world.hosts.len()).filter(|&host| !world.standing(host).is_empty()).count();
    // All ask the same few here, who have it.
    assert_eq!(holders, usize::from(NODES));
    assert_eq!(sum(&world, |of| of.emissions), 1);
    assert_eq!(world.pushes(), 20, "who receives a packet pushes it to nobody");
    let applied = sum(&world, |of| of.applied);
    assert_eq!(applied, u64::from(NODES) - 1, "each applied it once");
    let (synced, frames) = (sum(&world, |of| of.synced), sum(&world, |of| of.frames_sent));
    assert_eq!(synced, u64::from(NODES) - 1 - 20);
    // Every node asks its neighbours each minute whether anything is there or not, and no more for that there is.
    let asks = frames - 40;
    world.pass(Duration::from_secs(10 * 60));
    let quiet = sum(&world, |of| of.frames_sent) - frames;
    assert!(quiet.abs_diff(asks) * 10 < asks, "{asks} frames of ten minutes, then {quiet}");
}
