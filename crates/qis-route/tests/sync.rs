//! What was missed, and how the clock repairs it.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

#[expect(dead_code, reason = "what the tests of the router need of it")]
mod support;

use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{Draft, Identity, Order};
use qis_route::HostErrorKind;
use qis_route::proto::{Event, Origin, Refusal, Router, RouterConfig, SyncConfig, Verdict};
use support::{
    DIMS, Fate, Maker, ROTATION, START, World, config, domain, draft, fingerprint, other_domain, push,
    rotation,
};

const MINUTE: Duration = Duration::from_secs(60);
const QUERY: u8 = 3;
const ANSWER: u8 = 4;

fn syncing(sync: SyncConfig) -> RouterConfig {
    RouterConfig { sync: Some(sync), ..config() }
}

/// A world in which every node has emitted, and no push arrived.
fn apart(hosts: u16, sync: SyncConfig) -> World {
    let mut world = World::with(hosts, &syncing(sync));
    world.fate = Box::new(|_, _| Fate::Lost);
    for index in 0..usize::from(hosts) {
        world.emit(index, index as f32);
    }
    // Until nobody tries any more.
    world.pass(5 * MINUTE);
    world.wire.clear();
    world
}

/// A world in which every node has emitted, and all hold it.
fn agreeing(hosts: u16) -> World {
    let mut world = World::with(hosts, &syncing(SyncConfig::default()));
    for index in 0..usize::from(hosts) {
        world.emit(index, 1.0);
    }
    world.settle();
    world
}

fn held(world: &World) -> Vec<usize> {
    (0..world.hosts.len()).map(|index| world.standing(index).len()).collect()
}

#[test]
fn what_was_kept_apart_agrees_within_three_periods() {
    let mut world = apart(20, SyncConfig::default());
    assert!(held(&world).iter().all(|&held| held == 1));
    world.fate = Box::new(|_, _| Fate::Arrives);
    // A period is a fifth longer at most.
    world.pass(3 * MINUTE + 36 * Duration::from_secs(1));
    assert_eq!(held(&world), [20; 20]);
    let synced: u64 = world.hosts.iter().map(|host| host.router.stats().synced).sum();
    assert_eq!(synced, 20 * 19);
    assert_eq!(world.pushes(), 0, "asking makes nobody emit");
}

#[test]
fn a_retraction_that_was_missed_comes_too() {
    let mut world = agreeing(3);
    assert_eq!(held(&world), [3, 3, 3]);
    world.fate = Box::new(|_, _| Fate::Lost);
    let now = world.now;
    world.hosts[0].router.retract(now, domain(), Origin("")).unwrap();
    world.pass(5 * MINUTE);
    assert_eq!(held(&world), [2, 3, 3]);
    world.fate = Box::new(|_, _| Fate::Arrives);
    world.pass(3 * MINUTE);
    assert_eq!(held(&world), [2, 2, 2]);
}

#[test]
fn a_period_keeps_to_its_bytes_and_the_next_one_goes_on() {
    let bytes = 12 * 1024;
    let mut world = apart(40, SyncConfig { bytes, ..SyncConfig::default() });
    world.fate = Box::new(|_, _| Fate::Arrives);
    let first = held(&world)[0];
    world.pass(MINUTE / 2 * 3);
    assert!(held(&world)[0] > first, "it has begun");
    let mut most = 0;
    for _ in 0..30 {
        world.wire.clear();
        // No period is shorter, so two begin in this time at most.
        world.pass(Duration::from_secs(48));
        let of_first = world.wire.iter().filter(|(from, to, frame)| {
            (*from == 0 && frame[0] == QUERY) || (*to == 0 && frame[0] == ANSWER)
        });
        most = most.max(of_first.map(|(_, _, frame)| frame.len()).sum::<usize>());
    }
    assert!(most <= 2 * bytes, "{most}");
    // Also of those 20 who are nobody's neighbours.
    assert_eq!(held(&world), [40; 40]);
}

#[test]
fn a_statement_of_a_new_key_that_was_lost_comes_when_the_clock_asks() {
    let mut world = agreeing(2);
    let later = Maker { order: Order { incarnation: 2, sequence: 0 }, ..Maker::new(9) };
    for index in 0..2 {
        assert_eq!(world.inject(index, &Maker::new(8).frame(draft(1.0))), Verdict::Applied);
        assert_eq!(world.inject(index, &later.frame(draft(2.0))), Verdict::Applied);
    }
    assert_eq!(world.inject(0, &rotation(8, 9)), Verdict::Handled);
    assert_eq!(held(&world), [3, 4], "two keys, two authors");
    world.pass(3 * MINUTE);
    assert_eq!(held(&world), [3, 3]);
}

/// An author whose clock was ahead, and who has lost its store: what it said then is parked by most and stands with some.
#[test]
fn an_author_hears_of_a_life_whose_packets_are_parked() {
    let mut world = agreeing(3);
    let opening = Order::opening(world.now.wall);
    let order = Order { incarnation: opening.incarnation + 3600, sequence: 4 };
    let ahead = Maker { order, time: START + 3600, ..Maker::new(0) };
    assert_eq!(world.inject(2, &ahead.frame(draft(9.0))), Verdict::Parked);
    let parked = |world: &World| -> Vec<usize> {
        world.hosts.iter().map(|host| host.router.queues().parked).collect()
    };
    // Before the author can ask anybody it gets about, and to nobody twice.
    world.wire.clear();
    world.fate = Box::new(|from, _| if from == 0 { Fate::Lost } else { Fate::Arrives });
    world.pass(5 * MINUTE);
    assert_eq!(parked(&world), [0, 1, 1]);
    let bytes = ahead.make(draft(9.0));
    let carry = |frame: &[u8]| frame[0] == ANSWER && frame.ends_with(bytes.as_bytes());
    assert_eq!(world.wire.iter().filter(|(_, to, frame)| *to == 1 && carry(frame)).count(), 1);
    // So it hears of it from one who was never given it, and goes on after it.
    world.fate = Box::new(|from, _| if from == 2 { Fate::Lost } else { Fate::Arrives });
    world.pass(5 * MINUTE);
    assert!(world.hosts[0].events.iter().any(|event| matches!(event, Event::IncarnationRaised)));
    world.fate = Box::new(|_, _| Fate::Arrives);
    world.pass(60 * MINUTE);
    assert_eq!(parked(&world), [0, 0, 0]);
    let author = world.author(0);
    for index in 0..3 {
        assert_eq!(world.standing(index)[&author].to_bits(), 1_f64.to_bits(), "what it says now");
    }
}

#[test]
fn what_was_parked_by_a_clock_that_was_behind_is_applied_once_it_is_right() {
    let mut world = agreeing(2);
    let early = Maker { time: START + 4 * 3600, ..Maker::new(9) };
    assert_eq!(world.inject(0, &early.frame(draft(1.0))), Verdict::Parked);
    world.pass(3 * MINUTE);
    assert_eq!(held(&world), [2, 2]);
    world.now.wall = world.now.wall.saturating_add(4 * 3600);
    world.pass(3 * MINUTE);
    assert_eq!(held(&world), [3, 3]);
}

#[test]
fn of_many_statements_those_that_were_lost_come_and_no_others() {
    let mut world = agreeing(2);
    // Ten authors have had a second key, and a third one.
    for author in 0..10 {
        let keys = [10 + author, 20 + author, 30 + author];
        let (first, third) = (Maker::new(keys[0]), Maker::new(keys[2]));
        let third = Maker { order: Order { incarnation: 2, sequence: 0 }, ..third };
        for index in 0..2 {
            assert_eq!(world.inject(index, &first.frame(draft(1.0))), Verdict::Applied);
            assert_eq!(world.inject(index, &third.frame(draft(2.0))), Verdict::Applied);
            // The later statement comes first, so that its author is known by its key.
            for (old, new) in [(keys[1], keys[2]), (keys[0], keys[1])] {
                // Two are lost, one at each end of a chain.
                let lost = index == 1 && ((author, old) == (3, keys[0]) || (author, old) == (7, keys[1]));
                if !lost {
                    world.inject(index, &rotation(old, new));
                }
            }
        }
    }
    assert_eq!(held(&world), [12, 14], "two authors count twice");
    world.wire.clear();
    world.pass(3 * MINUTE);
    assert_eq!(held(&world), [12, 12]);
    let statements = |world: &World| world.wire.iter().filter(|(_, _, frame)| frame[0] == ROTATION).count();
    // With the other one of the chain; and perhaps again, where a query overtook the answer.
    assert!((4..=8).contains(&statements(&world)), "{}", statements(&world));
    world.wire.clear();
    world.pass(10 * MINUTE);
    assert_eq!(statements(&world), 0, "there is nothing left to say");
}

#[test]
fn every_domain_has_its_turn_when_bytes_are_few() {
    // For the neighbours of one domain at a time.
    let bytes = 3 * 4991;
    let mut world = World::with(6, &syncing(SyncConfig { bytes, ..SyncConfig::default() }));
    world.fate = Box::new(|_, _| Fate::Lost);
    for index in 0..6 {
        world.emit(index, 1.0);
        let more = Draft::delta(other_domain(), fingerprint(), &[1.0; DIMS]);
        let now = world.now;
        world.hosts[index].router.emit(now, more, Origin("")).unwrap();
    }
    world.pass(5 * MINUTE);
    world.fate = Box::new(|_, _| Fate::Arrives);
    world.pass(6 * MINUTE);
    assert_eq!(held(&world), [6; 6]);
    let wall = world.now.wall;
    let more = |host: &support::Host| host.router.standing(other_domain(), wall).count();
    assert!(world.hosts.iter().all(|host| more(host) == 6), "the other domain too");
}

#[test]
fn silence_costs_a_few_queries() {
    let mut world = World::with(10, &syncing(SyncConfig::default()));
    world.emit(0, 1.0);
    world.pass(5 * MINUTE);
    world.wire.clear();
    world.pass(10 * MINUTE);
    let frames = |kind: u8| world.wire.iter().filter(|(_, _, frame)| frame[0] == kind).count();
    // Only the one that emitted has anything to look for others by.
    assert!((8 * 3..=13 * 3).contains(&frames(QUERY)), "{}", frames(QUERY));
    assert_eq!(frames(ANSWER), frames(QUERY));
    assert!(world.wire.iter().all(|(_, _, frame)| [QUERY, ANSWER].contains(&frame[0]) && frame.len() < 100));
}

#[test]
fn without_it_nothing_is_asked() {
    let mut world = World::with(3, &config());
    world.emit(0, 1.0);
    world.settle();
    world.wire.clear();
    world.pass(60 * MINUTE);
    assert!(world.wire.is_empty());
}

/// A vote of a site whose situation is so many degrees from the others'.
fn situated(degrees: f64) -> Draft {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let codes = [cos, sin].map(|value| (value * 127.0) as i8).to_vec();
    Draft::delta(domain(), Fingerprint::from_codes(SpaceId::new("test", 2), codes).unwrap(), &[1.0; DIMS])
}

#[test]
fn a_node_that_holds_enough_wants_only_what_is_more_similar() {
    let sync = SyncConfig { packets: 3, ..SyncConfig::default() };
    let mut world = World::with(2, &syncing(sync));
    let now = world.now;
    world.hosts[0].router.emit(now, situated(0.0), Origin("")).unwrap();
    world.settle();
    for (seed, degrees) in [(11, 20.0), (12, 60.0)] {
        assert_eq!(world.inject(0, &Maker::new(seed).frame(situated(degrees))), Verdict::Applied);
    }
    for (seed, degrees) in [(13, 90.0), (14, 70.0), (15, 40.0), (16, 50.0)] {
        assert_eq!(world.inject(1, &Maker::new(seed).frame(situated(degrees))), Verdict::Applied);
    }
    world.pass(5 * MINUTE);
    let has = |seed: u8| world.standing(0).contains_key(&Identity::from_seed([seed; 32]).author());
    // At first it holds three, of which that at 60 degrees is the least similar.
    assert!(has(15) && !has(13) && !has(14));
}

#[test]
fn an_answer_with_what_was_not_asked_for_is_refused() {
    let sync = SyncConfig { packets: 1, ..SyncConfig::default() };
    let mut world = World::with(2, &syncing(sync));
    let now = world.now;
    world.hosts[0].router.emit(now, situated(0.0), Origin("")).unwrap();
    world.settle();
    world.wire.clear();
    world.fate = Box::new(|_, frame| if frame[0] == ANSWER { Fate::Lost } else { Fate::Arrives });
    while !world.wire.iter().any(|(_, _, frame)| frame[0] == QUERY) {
        world.pass(Duration::from_secs(1));
    }
    let nonce = world.wire.iter().find(|(_, _, frame)| frame[0] == QUERY).unwrap().2[1..9].to_vec();
    let packet = Maker::new(13).make(situated(45.0));
    let answer = [&[ANSWER][..], &nonce, &[0, 1, 0], packet.as_bytes()].concat();
    let (from, now) = (world.hosts[1].address.clone(), world.now);
    let verdict = world.hosts[0].router.receive(now, &from, &answer);
    assert_eq!(verdict, Verdict::Refused(Refusal::Unsolicited));
    assert_eq!(world.inject(0, &push(packet.as_bytes())), Verdict::Applied, "who is sent it takes it");
}

#[test]
fn neighbours_that_nobody_finds_any_more_are_asked_all_the_same() {
    let mut world = apart(4, SyncConfig { peers: 2, ..SyncConfig::default() });
    world.fate = Box::new(|_, _| Fate::Arrives);
    let alone = world.hosts.split_off(1);
    world.pass(60 * MINUTE);
    assert_eq!(held(&world), [1], "nobody is there");
    world.hosts.extend(alone);
    world.pass(10 * MINUTE);
    assert_eq!(held(&world)[0], 4);
}

#[test]
fn who_asked_is_asked_in_every_domain_when_bytes_are_few() {
    // For one node at a time; and host 0 finds nobody by itself, but is asked by host 1 in both domains each minute.
    let sync = SyncConfig { bytes: 4991, peers: 2, ..SyncConfig::default() };
    let mut world = World::with(1, &syncing(sync));
    let other = syncing(SyncConfig::default());
    let other = Router::new(other, support::author(1), support::Vectors, [1; 32], world.now).unwrap();
    world.add(other, std::collections::BTreeMap::new());
    world.hosts[0].directory = Some(HostErrorKind::Unavailable);
    world.fate = Box::new(|_, _| Fate::Lost);
    for index in 0..2 {
        let now = world.now;
        for domain in [domain(), other_domain()] {
            let draft = Draft::delta(domain, fingerprint(), &[1.0; DIMS]);
            world.hosts[index].router.emit(now, draft, Origin("")).unwrap();
        }
    }
    world.pass(5 * MINUTE);
    world.fate = Box::new(|_, _| Fate::Arrives);
    world.pass(10 * MINUTE);
    let wall = world.now.wall;
    for domain in [domain(), other_domain()] {
        assert_eq!(world.hosts[0].router.standing(domain, wall).count(), 2, "{domain}");
    }
}

#[test]
fn a_node_that_found_nobody_looks_again_though_somebody_who_asked_answers() {
    let config = syncing(SyncConfig::default());
    let mut world = World::with(2, &config);
    world.hosts[0].directory = Some(HostErrorKind::Unavailable);
    for index in 0..2 {
        world.emit(index, 1.0);
    }
    world.pass(5 * MINUTE);
    assert_eq!(held(&world), [2, 2], "host 1 asks host 0, which asks back");
    // Of a third one host 1 does not hear for half an hour, and it asks nobody.
    let third = Router::new(config, support::author(2), support::Vectors, [2; 32], world.now).unwrap();
    world.add(third, std::collections::BTreeMap::new());
    world.hosts[2].directory = Some(HostErrorKind::Unavailable);
    world.fate = Box::new(|from, _| if from == 2 { Fate::Lost } else { Fate::Arrives });
    world.emit(2, 1.0);
    world.pass(2 * MINUTE);
    world.fate = Box::new(|_, _| Fate::Arrives);
    world.hosts[0].directory = None;
    world.pass(8 * MINUTE);
    assert_eq!(held(&world)[0], 3);
}
