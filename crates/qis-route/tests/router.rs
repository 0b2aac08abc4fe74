//! The router against a wire, a store and a clock that do what they like.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod support;

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use qis_packet::{Draft, Frame, Identity, Order, Parity, Timestamp, Trailer, fragment};
use qis_route::proto::{
    Delivery, EmitError, Event, Input, Origin, Output, PullError, Rate, Refusal, Router, RouterConfig,
    Verdict,
};
use qis_route::{Address, Candidates, HostError, HostErrorKind, Moment, Peer, Row, Selection, Table};
use support::{DIMS, Fate, Host, Maker, START, World, config, domain, draft, fingerprint, push, rotation};

const HOUR: u64 = 3600;

fn refused(refusal: Refusal) -> Verdict {
    Verdict::Refused(refusal)
}

#[test]
fn an_outcome_reaches_the_others_and_the_receipt_says_so() {
    let mut world = World::new(4);
    world.emit(0, 1.5);
    world.settle();
    let receipt = world.hosts[0].receipt();
    assert_eq!(receipt.recipients.len(), 3, "all but itself");
    assert!(receipt.recipients.iter().all(|one| one.delivery == Delivery::Acknowledged && one.attempts == 1));
    assert_eq!(receipt.delivered(), 3);
    assert!(receipt.bytes <= 512);
    let me = world.author(0);
    for host in 0..4 {
        assert_eq!(world.standing(host)[&me], 1.5, "host {host}");
    }
    assert_eq!(world.hosts[0].rows.keys().filter(|(table, _)| *table == Table::Outbox).count(), 0);
}

#[test]
fn receiving_never_emits() {
    let mut world = World::new(3);
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(3600));
    let emitted: Vec<u64> = world.hosts.iter().map(|host| host.router.stats().emissions).collect();
    assert_eq!(emitted, [1, 0, 0]);
    assert_eq!(world.pushes(), 2);
}

#[test]
fn nothing_is_sent_or_acknowledged_before_it_is_durable() {
    let mut world = World::new(2);
    world.hosts[0].hanging = true;
    world.emit(0, 1.0);
    world.settle();
    assert!(world.wire.is_empty(), "the packet waits for the store");
    let batch = world.hosts[0].held.remove(0);
    world.hosts[0].hanging = false;
    world.hosts[0].apply(batch);
    world.hosts[1].hanging = true;
    let now = world.now;
    world.hosts[0].router.handle(now, Input::Committed(Ok(())));
    world.settle();
    assert_eq!(world.wire.len(), 1, "the packet is on its way, and not acknowledged");
    // A repetition is not acknowledged either, as long as the first one is not durable.
    world.pass(Duration::from_secs(3));
    assert_eq!((world.pushes(), world.wire.len()), (2, 2));
    assert_eq!(world.verdicts, [Verdict::Applied, Verdict::Known]);
    let batch = world.hosts[1].held.remove(0);
    world.hosts[1].apply(batch);
    let now = world.now;
    world.hosts[1].router.handle(now, Input::Committed(Ok(())));
    world.settle();
    assert_eq!(world.hosts[0].receipt().delivered(), 1);
}

#[test]
fn lost_packets_are_sent_again_and_no_more_often_than_allowed() {
    let mut world = World::new(2);
    let mut sent = 0;
    world.fate = Box::new(move |from, _| {
        sent += usize::from(from == 0);
        if sent < 3 { Fate::Lost } else { Fate::Arrives }
    });
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(30));
    let report = &world.hosts[0].receipt().recipients[0];
    assert_eq!((report.delivery, report.attempts), (Delivery::Acknowledged, 3));

    let mut world = World::new(2);
    world.fate = Box::new(|_, _| Fate::Lost);
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(600));
    let report = &world.hosts[0].receipt().recipients[0];
    assert_eq!((report.delivery, report.attempts), (Delivery::Unacknowledged, 5));
    assert_eq!(world.hosts[0].router.stats().packets_sent, 5);
}

#[test]
fn a_lost_acknowledgement_costs_a_repetition_and_nothing_else() {
    let mut world = World::new(2);
    let mut acknowledgements = 0;
    world.fate = Box::new(move |from, _| {
        acknowledgements += usize::from(from == 1);
        if from == 1 && acknowledgements == 1 { Fate::Lost } else { Fate::Arrives }
    });
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.hosts[0].receipt().recipients[0].attempts, 2);
    assert_eq!(world.hosts[1].router.stats().applied, 1);
}

#[test]
fn a_transport_that_fails_is_reported_or_tried_again() {
    let mut world = World::new(2);
    world.fate = Box::new(|_, _| Fate::Fails(HostErrorKind::Refused));
    world.emit(0, 1.0);
    world.settle();
    let report = &world.hosts[0].receipt().recipients[0];
    assert_eq!((report.delivery, report.attempts), (Delivery::Failed(HostErrorKind::Refused), 1));

    let mut world = World::new(2);
    let mut sends = 0;
    world.fate = Box::new(move |_, _| {
        sends += 1;
        if sends == 1 { Fate::Fails(HostErrorKind::Unavailable) } else { Fate::Arrives }
    });
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(10));
    assert_eq!(world.hosts[0].receipt().recipients[0].delivery, Delivery::Acknowledged);
    assert_eq!(world.hosts[0].router.stats().sends_failed, 1);
}

#[test]
fn a_directory_that_fails_is_asked_again_and_then_reported() {
    let mut world = World::new(2);
    world.hosts[0].directory = Some(HostErrorKind::Unavailable);
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(2));
    world.hosts[0].directory = None;
    world.pass(Duration::from_secs(10));
    assert_eq!(world.hosts[0].receipt().delivered(), 1);

    world.hosts[0].directory = Some(HostErrorKind::Unavailable);
    world.emit(0, 2.0);
    world.pass(Duration::from_secs(600));
    let receipt = world.hosts[0].receipt();
    assert!(receipt.recipients.is_empty());
    assert_eq!(receipt.lookup_error.as_ref().unwrap().kind(), HostErrorKind::Unavailable);
    let me = world.author(0);
    assert_eq!(world.standing(0)[&me], 2.0, "it stands all the same, and answers queries");
}

#[test]
fn a_refused_announcement_waits_for_its_turn_and_one_that_failed_does_not() {
    for (kind, again) in [(HostErrorKind::Refused, 0), (HostErrorKind::Unavailable, 59)] {
        let mut world = World::new(1);
        world.emit(0, 1.0);
        world.settle();
        let router = &mut world.hosts[0].router;
        let start = world.now;
        let mut elapsed = start.elapsed;
        let mut announced = 0;
        let fail = |router: &mut Router<_>, elapsed| {
            let result = Err(HostError::new(kind, "as the test says"));
            router.handle(Moment { elapsed, ..start }, Input::Announced { domain: domain(), result });
        };
        fail(router, elapsed);
        while elapsed < Duration::from_secs(HOUR) {
            while let Some(output) = router.poll_output() {
                if let Output::Announce { .. } = output {
                    announced += 1;
                    fail(router, elapsed);
                }
            }
            elapsed = elapsed.max(router.next_timeout().unwrap());
            router.handle(Moment { elapsed, ..start }, Input::Timeout);
        }
        assert_eq!(announced, again, "{kind}");
    }
}

#[test]
fn a_look_up_that_never_ends_is_given_up() {
    let mut world = World::with(1, &RouterConfig::default());
    let now = world.now;
    let router = &mut world.hosts[0].router;
    router.emit(now, draft(1.0), Origin("")).unwrap();
    let mut finished = false;
    let mut elapsed = Duration::ZERO;
    while elapsed < Duration::from_secs(300) {
        while let Some(output) = router.poll_output() {
            match output {
                Output::Commit(_) => router.handle(now, Input::Committed(Ok(()))),
                Output::Event(Event::Emitted(receipt)) => finished = receipt.lookup_error.is_some(),
                _ => {}
            }
        }
        elapsed = elapsed.max(router.next_timeout().unwrap());
        router.handle(Moment { elapsed, ..now }, Input::Timeout);
    }
    assert!(finished);
}

#[test]
fn only_what_is_newer_by_order_is_applied() {
    let mut world = World::new(1);
    let maker = |sequence, time| Maker { order: Order { incarnation: 1, sequence }, time, ..Maker::new(9) };
    assert_eq!(world.inject(0, &maker(5, START).frame(draft(5.0))), Verdict::Applied);
    assert_eq!(world.inject(0, &maker(5, START).frame(draft(5.0))), Verdict::Known);
    // A later time does not make it newer.
    assert_eq!(world.inject(0, &maker(4, START + 100).frame(draft(4.0))), Verdict::Known);
    assert_eq!(world.inject(0, &maker(6, START - 100).frame(draft(6.0))), Verdict::Applied);
    assert_eq!(world.standing(0).values().collect::<Vec<_>>(), [&6.0]);
    let newer = Maker { order: Order { incarnation: 2, sequence: 0 }, ..Maker::new(9) };
    assert_eq!(world.inject(0, &newer.frame(draft(7.0))), Verdict::Applied);
}

#[test]
fn each_bad_packet_is_refused_for_its_reason_and_changes_nothing() {
    let mut world = World::new(1);
    let good = Maker::new(9);
    let mut forged = good.frame(draft(1.0));
    *forged.last_mut().unwrap() ^= 1;
    let mut bad_signature = good.frame(draft(1.0));
    let at = bad_signature.len() - 96;
    bad_signature[at] ^= 1;
    let expired = Maker { time: START - HOUR - 301, lifetime: 1, ..Maker::new(9) };
    let too_early = Maker { time: START + 24 * HOUR + 301, ..Maker::new(9) };
    let end_of_time = Maker { time: u64::from(u32::MAX), ..Maker::new(9) };
    let unsigned = Maker { trailer: Trailer::None, ..Maker::new(9) };
    let keyless = Maker { trailer: Trailer::Signature, ..Maker::new(9) };
    let other_network = Maker { network: "other", ..Maker::new(9) };
    let elsewhere = Draft::delta("other/domain".parse().unwrap(), fingerprint(), &[1.0; DIMS]);
    let too_wide = Draft::delta(domain(), fingerprint(), &[1.0; DIMS + 1]);
    let mut version = good.frame(draft(1.0));
    version[10] = 2;
    let own = Maker { order: Order::default(), ..Maker::new(0) };
    let cases: Vec<(Vec<u8>, Refusal)> = vec![
        (forged, Refusal::Forged),
        (bad_signature, Refusal::Forged),
        (expired.frame(draft(1.0)), Refusal::Expired),
        (too_early.frame(draft(1.0)), Refusal::TooEarly),
        (end_of_time.frame(draft(1.0)), Refusal::TooEarly),
        (unsigned.frame(draft(1.0)), Refusal::Unsigned),
        (keyless.frame(draft(1.0)), Refusal::UnknownKey),
        (other_network.frame(draft(1.0)), Refusal::Forged),
        (good.frame(elsewhere), Refusal::UnknownDomain),
        (good.frame(too_wide), Refusal::Payload),
        (own.frame(draft(1.0)), Refusal::Own),
        (version, Refusal::Unknown),
        (push(&[0; 513]), Refusal::Malformed),
        (push(&[]), Refusal::Malformed),
        (vec![0; Frame::MAX_BYTES + 1], Refusal::TooLarge),
        (vec![], Refusal::Malformed),
        (vec![99, 1, 2], Refusal::Unknown),
        (vec![5, 1, 2], Refusal::Unknown),
        (vec![2, 1, 2], Refusal::Malformed),
        (vec![2, 0, 0, 1, 9], Refusal::Malformed),
        (vec![1, 1, 2], Refusal::Malformed),
        (vec![7; 201], Refusal::UnknownKey),
    ];
    for (frame, refusal) in cases {
        let before = world.hosts[0].router.stats().refused(refusal);
        assert_eq!(world.inject(0, &frame), refused(refusal));
        assert_eq!(world.hosts[0].router.stats().refused(refusal), before + 1, "{refusal} is counted");
        assert!(
            world.standing(0).is_empty() && world.hosts[0].rows.is_empty(),
            "{refusal} changed something"
        );
    }
    assert_eq!(
        world.inject(0, &good.frame(draft(1.0))),
        Verdict::Applied,
        "and a good one still comes through"
    );
}

#[test]
fn frames_of_the_overlay_go_to_it_whole_or_put_together() {
    let mut world = World::with(1, &narrow(100));
    let Host { router, address, .. } = &mut world.hosts[0];
    let now = Moment { elapsed: Duration::ZERO, wall: Timestamp::from_unix_seconds(START) };
    let frame: Vec<u8> = std::iter::once(5).chain(0..=255).collect();
    let (parts, _) = router.cut_overlay_frame(&frame).unwrap();
    assert!(parts.len() > 2 && parts.iter().all(|part| part.len() <= 100));
    assert_eq!(router.stats().frames_sent, parts.len() as u64);
    let mut taken = Vec::new();
    for frame in parts.iter().chain([&frame]) {
        let verdict = router.receive_beside(now, address, frame, |body| {
            taken.push(body.to_vec());
            Verdict::Handled
        });
        assert!(matches!(verdict, Verdict::Handled | Verdict::Part), "{verdict:?}");
    }
    assert_eq!(taken, [&frame[1..], &frame[1..]]);
    let no_overlay = router.receive(now, address, &frame);
    assert_eq!(no_overlay, refused(Refusal::Unknown));
}

#[test]
fn a_packet_that_came_with_the_overlay_is_judged_and_not_acknowledged() {
    let mut world = World::new(1);
    let now = Moment { elapsed: Duration::ZERO, wall: Timestamp::from_unix_seconds(START) };
    let packet = Maker::new(9).make(draft(1.0));
    let mut forged = packet.as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let router = &mut world.hosts[0].router;
    assert_eq!(router.receive_packet(now, &forged), refused(Refusal::Forged));
    assert_eq!(router.receive_packet(now, &[1]), refused(Refusal::Malformed));
    assert_eq!(router.receive_packet(now, packet.as_bytes()), Verdict::Applied);
    assert_eq!(router.receive_packet(now, packet.as_bytes()), Verdict::Known);
    assert_eq!((router.stats().applied, router.stats().known), (1, 1));
    world.settle();
    assert_eq!((world.standing(0).len(), world.hosts[0].router.stats().frames_sent), (1, 0));
}

fn narrow(max_frame: usize) -> RouterConfig {
    RouterConfig { max_frame, ..config() }
}

/// Loses frames by `SplitMix64`, so many of 1,000.
fn lossy(permille: u64, seed: u64) -> impl FnMut(usize, &[u8]) -> Fate {
    let mut state = seed;
    move |_, _| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        if (mixed ^ mixed >> 31) % 1000 < permille { Fate::Lost } else { Fate::Arrives }
    }
}

#[test]
fn a_small_link_carries_everything_in_parts() {
    for (max_frame, fragments) in [(24, true), (51, true), (100, true), (556, false)] {
        let mut world = World::with(3, &narrow(max_frame));
        world.emit(0, 1.5);
        world.settle();
        let receipt = world.hosts[0].receipt();
        assert!(receipt.recipients.iter().all(|one| one.attempts == 1), "{receipt:?}");
        assert_eq!(receipt.delivered(), 2);
        assert!(world.wire.iter().all(|(_, _, frame)| frame.len() <= max_frame));
        let (sent, received) = (world.hosts[0].router.stats(), world.hosts[1].router.stats());
        assert_eq!((sent.packets_sent, sent.fragments_sent > 0), (2, fragments));
        assert_eq!(received.reassembly.frames, u64::from(fragments));
        assert_eq!(received.reassembly.parts * 2, sent.fragments_sent);
        let refused: u64 = received.refusals().map(|(_, count)| count).sum();
        assert_eq!(refused, 0);
    }
}

#[test]
fn nodes_of_different_links_understand_each_other() {
    let mut world = World::with(1, &narrow(51));
    for (seed, max_frame) in [(1, Frame::MAX_BYTES), (2, 222)] {
        let author = support::author(seed.into());
        let router = Router::new(narrow(max_frame), author, support::Vectors, [seed; 32], world.now).unwrap();
        world.add(router, std::collections::BTreeMap::new());
    }
    for (host, value) in [(0, 1.0), (1, 2.0), (2, 3.0)] {
        world.emit(host, value);
        world.settle();
        assert_eq!(world.hosts[host].receipt().delivered(), 2);
    }
    assert!((0..3).all(|host| world.standing(host).len() == 3));
}

#[test]
fn small_and_lossy_links_deliver_with_repetitions() {
    for (max_frame, loss) in [(30, 100), (51, 100), (51, 300), (100, 100), (100, 300)] {
        let mut world = World::with(4, &RouterConfig { attempts: 12, ..narrow(max_frame) });
        world.fate = Box::new(lossy(loss, 5));
        for host in 0..4 {
            world.emit(host, host as f32);
        }
        world.pass(Duration::from_secs(8 * HOUR));
        for host in 0..4 {
            let receipt = world.hosts[host].receipt();
            assert_eq!(receipt.delivered(), 3, "{max_frame} {loss} {receipt:?}");
            assert_eq!(world.standing(host).len(), 4);
        }
    }
}

#[test]
fn a_query_and_its_answers_travel_in_parts() {
    let mut world = World::with(2, &narrow(51));
    world.emit(0, 1.0);
    world.settle();
    let author = support::author(7);
    let router = Router::new(narrow(51), author, support::Vectors, [7; 32], world.now).unwrap();
    world.add(router, std::collections::BTreeMap::new());
    let now = world.now;
    world.hosts[2].router.pull(now, domain(), fingerprint()).unwrap();
    world.settle();
    assert_eq!(world.standing(2).len(), 1);
}

#[test]
fn the_parts_of_a_frame_count_as_one_towards_the_rate() {
    let peer_rate = Rate { per_second: 0.001, burst: 3 };
    let mut world = World::with(1, &RouterConfig { peer_rate, ..config() });
    let frame = |sequence| {
        let order = Order { incarnation: 1, sequence };
        Maker { order, ..Maker::new(9) }.frame(draft(1.0))
    };
    let parts = |sequence| fragment(&frame(sequence), 51, Parity::None).unwrap();
    for sequence in 1..=2 {
        let verdicts: Vec<Verdict> = parts(sequence).iter().map(|part| world.inject(0, part)).collect();
        let (last, others) = verdicts.split_last().unwrap();
        assert_eq!((*last, others.len()), (Verdict::Applied, 4));
        assert!(others.iter().all(|verdict| *verdict == Verdict::Part));
    }
    assert_eq!(world.inject(0, &frame(3)), Verdict::Applied);
    assert_eq!(world.inject(0, &parts(4)[0]), refused(Refusal::PeerRate));
    // However many parts there are said to be, they count for something.
    let mut world = World::with(1, &RouterConfig { peer_rate, ..config() });
    let taken = (0..=127).filter(|index| {
        let bits = u32::from(*index as u8) << 7 | 127;
        let part = [&[2][..], &bits.to_be_bytes()[1..], &[1]].concat();
        world.inject(0, &part) == Verdict::Part
    });
    assert_eq!(taken.count(), 96);
}

#[test]
fn parts_that_do_not_belong_together_are_refused_as_such() {
    let mut world = World::new(1);
    let parts = fragment(&Maker::new(9).frame(draft(1.0)), 51, Parity::None).unwrap();
    let mut forged = parts[0].clone();
    forged[20] ^= 1;
    assert_eq!(world.inject(0, &forged), Verdict::Part);
    assert_eq!(world.inject(0, &parts[0]), refused(Refusal::Parts), "the first stands");
    let last = parts[1..].iter().map(|part| world.inject(0, part)).last().unwrap();
    assert_eq!(last, refused(Refusal::Parts), "what they make is not the frame");
    let last = parts.iter().map(|part| world.inject(0, part)).last().unwrap();
    assert_eq!(last, Verdict::Applied, "and the next attempt starts clean");
    let stats = world.hosts[0].router.stats().reassembly;
    assert_eq!((stats.conflicts, stats.failed, stats.frames), (1, 1, 1));
}

#[test]
fn the_wait_for_an_acknowledgement_begins_with_the_last_part() {
    let mut world = World::with(1, &narrow(51));
    world.emit(0, 1.0);
    world.settle();
    // A recipient that is no host, so that the test reports on the send itself.
    world.hosts[0].events.clear();
    let now = world.now;
    let router = &mut world.hosts[0].router;
    router.emit(now, draft(2.0), Origin("test")).unwrap();
    let mut sending = None;
    while let Some(output) = router.poll_output() {
        match output {
            Output::Commit(_) => router.handle(now, Input::Committed(Ok(()))),
            Output::Lookup { id, .. } => {
                let author = support::author(9).identity.author();
                let peer = Peer {
                    author,
                    address: "far".parse().unwrap(),
                    fingerprint: fingerprint(),
                    organisation: None,
                };
                router.handle(
                    now,
                    Input::Found { id, result: Ok(Candidates { similar: vec![peer], random: Vec::new() }) },
                );
            }
            Output::Send { id, frames, .. } => sending = Some((id, frames.len())),
            _ => {}
        }
    }
    let (id, parts) = sending.unwrap();
    assert_eq!(parts, 6, "data and parity");
    let wait = config().retry_after;
    let sent = wait * u32::try_from(parts).unwrap();
    let due = router.next_timeout().unwrap() - now.elapsed;
    assert!(due >= sent + wait * 3 / 4 && due <= sent + wait * 5 / 4, "{due:?}");
    let later = Moment { elapsed: now.elapsed + Duration::from_secs(3), ..now };
    router.handle(later, Input::Sent { id, result: Ok(()) });
    let due = router.next_timeout().unwrap() - later.elapsed;
    assert!(due >= wait * 3 / 4 && due <= wait * 5 / 4, "{due:?}");
}

#[test]
fn acknowledgements_and_answers_that_nobody_waits_for_are_refused() {
    let mut world = World::new(2);
    let acknowledgement = [&[1][..], &7_u64.to_le_bytes(), &[0]].concat();
    assert_eq!(world.inject(0, &acknowledgement), refused(Refusal::Unsolicited));
    let packet = Maker::new(9).make(draft(1.0));
    let answer = [&[4][..], &7_u64.to_le_bytes(), &[0, 1, 0], packet.as_bytes()].concat();
    assert_eq!(world.inject(0, &answer), refused(Refusal::Unsolicited));
    // The right nonce from the wrong address is nobody's either.
    world.fate = Box::new(|from, _| if from == 1 { Fate::Lost } else { Fate::Arrives });
    world.emit(0, 1.0);
    world.settle();
    let nonce = &world.wire[0].2[1..9];
    let stolen = [&[1][..], nonce, &[0]].concat();
    assert_eq!(world.inject(0, &stolen), refused(Refusal::Unsolicited));
}

#[test]
fn a_packet_from_the_future_waits_for_its_time() {
    let mut world = World::new(1);
    let early = Maker { time: START + 2 * HOUR, ..Maker::new(9) };
    assert_eq!(world.inject(0, &early.frame(draft(1.0))), Verdict::Parked);
    assert_eq!(world.inject(0, &early.frame(draft(1.0))), Verdict::Parked);
    world.pass(Duration::from_secs(2 * HOUR - 301));
    assert!(world.standing(0).is_empty());
    world.pass(Duration::from_secs(2));
    assert_eq!(world.standing(0).len(), 1);
}

#[test]
fn packets_parked_for_the_same_second_do_not_replace_each_other() {
    let mut world = World::new(1);
    for (seed, early) in [(7, 10_000), (8, 5_000), (9, 5_000)] {
        let maker = Maker { time: START + early, ..Maker::new(seed) };
        assert_eq!(world.inject(0, &maker.frame(draft(1.0))), Verdict::Parked);
    }
    world.pass(Duration::from_secs(20_000));
    assert_eq!(world.standing(0).len(), 3);
}

#[test]
fn parking_has_bounds() {
    let config = RouterConfig { author_rate: Rate { per_second: 1.0, burst: 1000 }, ..config() };
    let mut world = World::with(1, &config);
    let early = |seed, sequence| {
        let order = Order { incarnation: 1, sequence };
        Maker { time: START + HOUR, order, ..Maker::new(seed) }.frame(draft(1.0))
    };
    let parked = (0..70).filter(|&n| world.inject(0, &early(9, n)) == Verdict::Parked).count();
    assert_eq!(parked, 64, "an author");
    for seed in 10..13 {
        for n in 0..64 {
            assert_eq!(world.inject(0, &early(seed, n)), Verdict::Parked);
        }
    }
    assert_eq!(world.inject(0, &early(13, 0)), refused(Refusal::Full), "in all");
}

#[test]
fn floods_are_dropped_by_address_and_by_author() {
    let config = RouterConfig {
        peer_rate: Rate { per_second: 1.0, burst: 10 },
        author_rate: Rate { per_second: 1.0, burst: 3 },
        ..config()
    };
    let mut world = World::with(1, &config);
    let frame = |seed, sequence| {
        Maker { order: Order { incarnation: 1, sequence }, ..Maker::new(seed) }.frame(draft(1.0))
    };
    let verdicts: Vec<Verdict> = (0..5).map(|n| world.inject(0, &frame(9, n))).collect();
    assert_eq!(verdicts[..3], [Verdict::Applied; 3]);
    assert_eq!(verdicts[3..], [refused(Refusal::AuthorRate); 2]);
    assert_eq!(world.inject(0, &frame(10, 0)), Verdict::Applied, "another author is not affected");
    for _ in 0..4 {
        world.inject(0, &frame(10, 0));
    }
    assert_eq!(world.inject(0, &frame(11, 0)), refused(Refusal::PeerRate));
    world.pass(Duration::from_secs(5));
    assert_eq!(world.inject(0, &frame(11, 0)), Verdict::Applied);
}

#[test]
fn a_full_table_refuses_strangers_and_keeps_what_stands() {
    let config = RouterConfig { authors_per_domain: NonZeroUsize::new(2).unwrap(), ..config() };
    let mut world = World::with(1, &config);
    let frame = |seed, sequence| {
        let order = Order { incarnation: 1, sequence };
        Maker { order, lifetime: 1, ..Maker::new(seed) }.frame(draft(f32::from(seed)))
    };
    assert_eq!(world.inject(0, &frame(7, 0)), Verdict::Applied);
    assert_eq!(world.inject(0, &frame(8, 0)), Verdict::Applied);
    assert_eq!(world.inject(0, &frame(9, 0)), refused(Refusal::Full));
    assert_eq!(world.inject(0, &frame(8, 1)), Verdict::Applied, "a known author is not a stranger");
    world.pass(Duration::from_secs(2 * HOUR));
    let later = Maker { time: START + 2 * HOUR, ..Maker::new(9) };
    assert_eq!(world.inject(0, &later.frame(draft(9.0))), Verdict::Applied, "places are freed by expiry");
}

#[test]
fn emissions_and_pulls_have_bounds() {
    let one = NonZeroUsize::MIN;
    let mut world = World::with(1, &RouterConfig { emissions: one, pulls: one, ..config() });
    let now = world.now;
    let router = &mut world.hosts[0].router;
    router.emit(now, draft(1.0), Origin("")).unwrap();
    let full = router.emit(now, draft(2.0), Origin("")).unwrap_err();
    assert!(matches!(full, EmitError::QueueFull { limit: 1 }));
    router.pull(now, domain(), fingerprint()).unwrap();
    assert_eq!(router.pull(now, domain(), fingerprint()), Err(PullError::QueueFull { limit: 1 }));
    let elsewhere = "other".parse().unwrap();
    assert_eq!(
        router.pull(now, elsewhere, fingerprint()),
        Err(PullError::UnknownDomain { domain: elsewhere })
    );
}

#[test]
fn a_refused_outcome_uses_no_number() {
    let mut world = World::new(1);
    let now = world.now;
    let router = &mut world.hosts[0].router;
    let wide = Draft::delta(domain(), fingerprint(), &[1.0; DIMS + 1]);
    assert!(matches!(router.emit(now, wide, Origin("")), Err(EmitError::Payload(_))));
    let broken = Draft::delta(domain(), fingerprint(), &[f32::NAN; DIMS]);
    assert!(matches!(router.emit(now, broken, Origin("")), Err(EmitError::Packet(_))));
    let elsewhere = Draft::delta("other".parse().unwrap(), fingerprint(), &[1.0; DIMS]);
    assert!(matches!(router.emit(now, elsewhere, Origin("")), Err(EmitError::UnknownDomain { .. })));
    assert!(matches!(router.retract(now, domain(), Origin("")), Err(EmitError::NothingToRetract { .. })));
    world.emit(0, 1.0);
    world.settle();
    assert_eq!(world.hosts[0].receipt().order.sequence, 0);
}

#[test]
fn a_receiver_without_the_key_asks_for_it() {
    // Nothing of this test's packets is large, so the key is left out by hand.
    let mut world = World::new(2);
    let keyless = Maker { trailer: Trailer::Signature, ..Maker::new(0) }.make(draft(1.0));
    let order = keyless.order();
    let row = [&order.incarnation.to_be_bytes()[..], &order.sequence.to_be_bytes()].concat();
    world.hosts[0].rows.insert((Table::Outbox, row), keyless.as_bytes().to_vec());
    world.restart(0, 0);
    world.settle();
    assert_eq!(world.verdicts[0], refused(Refusal::UnknownKey));
    let report = &world.hosts[0].receipt().recipients[0];
    assert_eq!((report.delivery, report.attempts), (Delivery::Acknowledged, 2));
    let key = Identity::from_seed([0; 32]).public_key().to_bytes();
    assert!(world.wire.iter().any(|(_, _, frame)| frame.windows(32).any(|part| part == key)));
    // Now it is known, and need not be said again.
    let next =
        Maker { trailer: Trailer::Signature, order: Order { incarnation: 1, sequence: 2 }, ..Maker::new(0) };
    assert_eq!(world.inject(1, &next.frame(draft(2.0))), Verdict::Applied);
}

#[test]
fn a_node_that_joins_late_pulls_what_it_missed_and_no_more() {
    let mut world = World::new(3);
    world.hosts[2].directory = None;
    world.fate = Box::new(|_, frame| if frame[0] == 0 { Fate::Lost } else { Fate::Arrives });
    world.emit(0, 1.0);
    world.emit(1, 2.0);
    world.pass(Duration::from_secs(120));
    assert!(world.standing(2).is_empty());
    world.fate = Box::new(|_, _| Fate::Arrives);
    let pulled = |world: &mut World| {
        let now = world.now;
        world.hosts[2].router.pull(now, domain(), fingerprint()).unwrap();
        world.settle();
        let last = world.hosts[2].events.drain(..).rev().find_map(|event| match event {
            Event::Pulled { result, .. } => Some(result),
            _ => None,
        });
        last.unwrap()
    };
    let first = pulled(&mut world);
    assert_eq!((first.asked, first.answered, first.applied, first.received), (2, 2, 2, 2));
    assert_eq!(world.standing(2).values().copied().collect::<Vec<_>>().len(), 2);
    let second = pulled(&mut world);
    assert_eq!((second.asked, second.answered, second.received), (2, 2, 0), "they know what it has");
}

#[test]
fn a_pull_ends_when_nobody_answers() {
    let mut world = World::new(2);
    world.fate = Box::new(|_, _| Fate::Lost);
    let now = world.now;
    world.hosts[0].router.pull(now, domain(), fingerprint()).unwrap();
    world.pass(Duration::from_secs(5));
    let pulled = world.hosts[0].events.iter().find_map(|event| match event {
        Event::Pulled { result, .. } => Some((result.asked, result.answered)),
        _ => None,
    });
    assert_eq!(pulled, Some((1, 0)));
    assert_eq!(world.hosts[0].router.stats().frames_sent, 2, "asked once and once more");
}

#[test]
fn a_retraction_withdraws_everywhere_and_what_it_withdrew_stays_away() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    let old = world.wire[0].2.clone();
    let now = world.now;
    world.hosts[0].router.retract(now, domain(), Origin("ward error")).unwrap();
    world.settle();
    assert!(world.standing(0).is_empty() && world.standing(1).is_empty());
    assert!(
        world.hosts[1].events.iter().any(|event| matches!(event, Event::Applied { retraction: true, .. }))
    );
    assert_eq!(world.inject(1, &old), Verdict::Known);
    assert!(world.standing(1).is_empty());
    let again = world.hosts[0].router.retract(now, domain(), Origin(""));
    assert!(matches!(again, Err(EmitError::NothingToRetract { .. })));
    world.restart(1, 1);
    assert_eq!(world.inject(1, &old), Verdict::Known, "also after a restart");
}

#[test]
fn what_was_durable_survives_a_restart_and_no_number_is_used_twice() {
    let mut world = World::new(2);
    world.fate = Box::new(|_, _| Fate::Lost);
    world.emit(0, 1.0);
    world.settle();
    world.restart(0, 0);
    world.fate = Box::new(|_, _| Fate::Arrives);
    world.settle();
    let first = world.hosts[0].receipt().order;
    assert_eq!(world.hosts[0].receipt().delivered(), 1, "the outbox went on");
    world.emit(0, 2.0);
    world.settle();
    let second = world.hosts[0].receipt().order;
    assert!(second > first, "{second} after {first}");
    world.restart(1, 1);
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 2.0);
}

#[test]
fn an_emission_the_store_did_not_keep_never_was() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    world.hosts[0].store = Some(HostErrorKind::Full);
    world.emit(0, 2.0);
    world.emit(0, 3.0);
    world.settle();
    let failures = world.hosts[0]
        .events
        .iter()
        .filter(|event| matches!(event, Event::EmissionFailed { error: EmitError::Store(error), .. } if error.kind() == HostErrorKind::Full));
    assert_eq!(failures.count(), 2);
    world.pass(Duration::from_secs(5));
    let me = world.author(0);
    assert_eq!(world.standing(0)[&me], 1.0, "what stood before stands");
    assert_eq!(world.pushes(), 1);
    world.hosts[0].store = None;
    world.pass(Duration::from_secs(120));
    world.emit(0, 4.0);
    world.settle();
    assert_eq!(world.standing(1)[&me], 4.0);
}

#[test]
fn a_receiver_whose_store_fails_does_not_acknowledge_until_it_works() {
    let mut world = World::new(2);
    world.hosts[1].store = Some(HostErrorKind::Full);
    world.emit(0, 1.0);
    world.pass(Duration::from_secs(3));
    assert!(!world.wire.iter().any(|(from, _, _)| *from == 1));
    world.hosts[1].store = None;
    world.pass(Duration::from_secs(60));
    assert_eq!(world.hosts[0].receipt().delivered(), 1);
    assert!(world.hosts[1].rows.keys().any(|(table, _)| *table == Table::Packets));
}

#[test]
fn what_waits_for_a_store_that_hangs_is_bounded() {
    let outputs = NonZeroUsize::new(16).unwrap();
    let generous = Rate { per_second: 1e6, burst: 1_000_000 };
    let mut world = World::with(1, &RouterConfig { outputs, peer_rate: generous, ..config() });
    world.hosts[0].hanging = true;
    let good = Maker::new(9).frame(draft(1.0));
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    world.inject(0, &good);
    let verdicts: Vec<Verdict> = (0..500).map(|_| world.inject(0, &good)).collect();
    assert!(verdicts.contains(&refused(Refusal::Busy)));
    for _ in 0..500 {
        world.inject(0, &forged);
    }
    let sent = world.hosts[0].router.stats().frames_sent;
    world.hosts[0].hanging = false;
    let batch = world.hosts[0].held.remove(0);
    world.hosts[0].apply(batch);
    let now = world.now;
    world.hosts[0].router.handle(now, Input::Committed(Ok(())));
    world.settle();
    assert!(world.hosts[0].router.stats().frames_sent - sent <= 16, "no more was held back than a queue has");
}

#[test]
fn an_outcome_answers_queries_only_once_it_is_durable() {
    let mut world = World::new(2);
    world.hosts[0].hanging = true;
    world.emit(0, 1.0);
    world.settle();
    assert!(world.standing(0).is_empty());
    let now = world.now;
    world.hosts[1].router.pull(now, domain(), fingerprint()).unwrap();
    world.settle();
    assert!(world.standing(1).is_empty());
}

#[test]
fn own_packets_sent_back_a_hundred_times_make_a_node_speak_once() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    // A packet of this node, of the same order and another content: a life it does not remember.
    let order = world.hosts[0].receipt().order;
    let doubled = Maker { order, ..Maker::new(0) }.frame(draft(9.0));
    for _ in 0..100 {
        assert_eq!(world.inject(0, &doubled), refused(Refusal::Own));
        world.pass(Duration::from_millis(20));
    }
    world.pass(Duration::from_secs(200));
    assert_eq!(world.hosts[0].router.stats().emissions, 2, "its outcome and that once more");
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 1.0);
}

#[test]
fn a_wall_clock_that_jumps_ahead_and_back_breaks_nothing_for_good() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    world.now.wall = Timestamp::from_unix_seconds(START + 365 * 24 * HOUR);
    world.pass(Duration::from_secs(900));
    world.now.wall = Timestamp::from_unix_seconds(START + 900);
    world.pass(Duration::from_secs(1200));
    world.emit(0, 2.0);
    world.settle();
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 2.0);
}

#[test]
fn a_pull_that_asks_again_counts_afresh() {
    let mut world = World::new(2);
    for seed in 10..16 {
        world.inject(0, &Maker::new(seed).frame(draft(f32::from(seed))));
    }
    let mut answers = 0;
    world.fate = Box::new(move |_, frame| {
        answers += usize::from(frame[0] == 4);
        if frame[0] == 4 && answers <= 6 && answers % 2 == 0 { Fate::Lost } else { Fate::Arrives }
    });
    let now = world.now;
    world.hosts[1].router.pull(now, domain(), fingerprint()).unwrap();
    world.pass(Duration::from_secs(5));
    assert_eq!(world.standing(1).len(), 6, "three of six were lost the first time");
    let done = |event: &Event| matches!(event, Event::Pulled { result, .. } if result.answered == 1 && result.applied == 6);
    assert!(world.hosts[1].events.iter().any(done));
}

/// A world in which host 0's outcome of value 1 is due for renewal, and its store hangs.
fn due_for_renewal() -> World {
    let mut world = World::new(2);
    let now = world.now;
    let lifetime = qis_packet::Lifetime::from_hours(3).unwrap();
    world.hosts[0].router.emit(now, draft(1.0).lifetime(lifetime), Origin("")).unwrap();
    world.pass(Duration::from_secs(2 * HOUR - 100));
    world.hosts[0].hanging = true;
    world
}

fn let_go(world: &mut World) {
    world.pass(Duration::from_secs(300));
    world.hosts[0].hanging = false;
    while let Some(batch) = world.hosts[0].held.pop() {
        world.hosts[0].apply(batch);
        let now = world.now;
        world.hosts[0].router.handle(now, Input::Committed(Ok(())));
        world.settle();
    }
    world.pass(Duration::from_secs(HOUR));
}

#[test]
fn a_renewal_does_not_override_what_the_host_said_since() {
    let mut world = due_for_renewal();
    world.emit(0, 2.0);
    let_go(&mut world);
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 2.0);

    let mut world = due_for_renewal();
    let now = world.now;
    world.hosts[0].router.retract(now, domain(), Origin("")).unwrap();
    let_go(&mut world);
    assert!(world.standing(0).is_empty() && world.standing(1).is_empty());
}

#[test]
fn a_retraction_after_a_backup_is_stated_again_until_it_counts() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    let backup = world.hosts[0].rows.clone();
    world.emit(0, 2.0);
    world.emit(0, 3.0);
    world.settle();
    world.hosts[0].rows = backup;
    world.restart(0, 0);
    let now = world.now;
    world.hosts[0].router.retract(now, domain(), Origin("")).unwrap();
    world.settle();
    // The first try at stating it again fails.
    world.hosts[0].store = Some(HostErrorKind::Full);
    world.pass(Duration::from_secs(5));
    world.hosts[0].store = None;
    world.pass(Duration::from_secs(300));
    assert!(world.standing(1).is_empty());
}

#[test]
fn a_purge_spares_the_place_of_what_is_on_its_way() {
    let mut world = World::new(1);
    let now = world.now;
    let hour = qis_packet::Lifetime::from_hours(1).unwrap();
    world.hosts[0].router.emit(now, draft(1.0).lifetime(hour), Origin("")).unwrap();
    world.settle();
    world.hosts[0].router.retract(now, domain(), Origin("")).unwrap();
    world.pass(Duration::from_secs(HOUR + 200));
    world.hosts[0].hanging = true;
    world.emit(0, 2.0);
    let_go(&mut world);
    world.restart(0, 0);
    let me = world.author(0);
    assert_eq!(world.standing(0)[&me], 2.0);
}

#[test]
fn timers_do_not_pile_up() {
    let mut world = World::new(1);
    let lifetime = qis_packet::Lifetime::from_hours(1).unwrap();
    let now = world.now;
    world.hosts[0].router.emit(now, draft(1.0).lifetime(lifetime), Origin("")).unwrap();
    let early = Maker { time: START + 23 * HOUR, ..Maker::new(9) };
    world.inject(0, &early.frame(draft(1.0)));
    let mut woken = 0;
    for _ in 0..22 {
        let end = world.now.elapsed + Duration::from_secs(HOUR);
        while world.hosts[0].router.next_timeout().is_some_and(|due| due <= end) {
            let due = world.hosts[0].router.next_timeout().unwrap();
            world.pass(due.saturating_sub(world.now.elapsed));
            woken += 1;
        }
        world.pass(end - world.now.elapsed);
    }
    assert!(woken < 22 * 12, "{woken} wakings in 22 hours: six an hour to purge, and a few for the rest");
}

#[test]
fn a_corrupt_store_is_not_used_any_more() {
    let mut world = World::new(2);
    world.hosts[0].store = Some(HostErrorKind::Corrupt);
    world.emit(0, 1.0);
    world.settle();
    assert!(
        world.hosts[0].events.iter().any(|event| matches!(event, Event::StoreFailed { poisoned: true, .. }))
    );
    let now = world.now;
    let error = world.hosts[0].router.emit(now, draft(1.0), Origin("")).unwrap_err();
    assert!(matches!(error, EmitError::StorePoisoned));
    assert_eq!(world.inject(0, &Maker::new(9).frame(draft(1.0))), refused(Refusal::Busy));
}

#[test]
fn damaged_rows_are_refused_by_their_table() {
    let now = Moment { elapsed: Duration::ZERO, wall: Timestamp::from_unix_seconds(START) };
    let mut router = Router::new(config(), support::author(0), support::Vectors, [0; 32], now).unwrap();
    for table in [Table::Order, Table::Outbox, Table::Packets, Table::Rotations, Table::Peers] {
        let row = Row { key: b"cardiology/heart0123456789abcdef".to_vec(), value: vec![1, 2, 3] };
        assert_eq!(router.restore(now, table, &row).unwrap_err().table, table);
    }
}

#[test]
fn a_node_restored_from_a_backup_goes_on_in_a_new_incarnation() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    let backup = world.hosts[0].rows.clone();
    world.emit(0, 2.0);
    world.settle();
    world.hosts[0].rows = backup;
    world.restart(0, 0);
    world.emit(0, 3.0);
    world.pass(Duration::from_secs(10));
    assert!(world.hosts[0].events.iter().any(|event| matches!(event, Event::IncarnationRaised)));
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 3.0, "the new outcome counts, though its first number was used");
}

#[test]
fn a_clock_put_back_opens_a_new_incarnation() {
    let mut world = World::new(2);
    world.emit(0, 1.0);
    world.settle();
    let before = world.hosts[0].receipt().order;
    world.now.wall = world.now.wall.saturating_sub(400);
    world.emit(0, 2.0);
    world.pass(Duration::from_secs(1));
    let after = world.hosts[0].receipt().order;
    assert!(after.incarnation > before.incarnation && after.sequence == 0);
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 2.0);
}

#[test]
fn years_of_skew_and_the_end_of_time_break_nothing() {
    let mut world = World::new(2);
    for wall in [0, START + 31_536_000, u64::MAX, u64::MAX - 1, 1, START] {
        world.now.wall = Timestamp::from_unix_seconds(wall);
        let now = world.now;
        // A site's secret does not reach everywhere; a refusal is fine, a panic is not.
        let _ = world.hosts[0].router.emit(now, draft(1.0), Origin(""));
        world.inject(1, &Maker::new(9).frame(draft(1.0)));
        world.pass(Duration::from_secs(700));
    }
}

#[test]
fn a_standing_outcome_is_stated_again_before_it_expires() {
    let mut world = World::new(2);
    let now = world.now;
    let lifetime = qis_packet::Lifetime::from_hours(3).unwrap();
    world.hosts[0].router.emit(now, draft(1.0).lifetime(lifetime), Origin("")).unwrap();
    world.pass(Duration::from_secs(2 * HOUR - 60));
    assert_eq!(world.hosts[0].router.stats().emissions, 1);
    world.pass(Duration::from_secs(120));
    assert_eq!(world.hosts[0].router.stats().emissions, 2);
    world.pass(Duration::from_secs(10 * HOUR));
    assert_eq!(world.hosts[0].router.stats().emissions, 7, "every two hours");
    let me = world.author(0);
    assert_eq!(world.standing(1)[&me], 1.0, "it still stands after four lifetimes");
    let now = world.now;
    world.hosts[0].router.retract(now, domain(), Origin("")).unwrap();
    world.pass(Duration::from_secs(10 * HOUR));
    assert_eq!(world.hosts[0].router.stats().emissions, 8, "and what was withdrawn is not stated again");
}

#[test]
fn an_author_that_changes_its_key_stays_one_author() {
    let mut world = World::new(1);
    let old = Identity::from_seed([8; 32]).author();
    let frame = rotation(8, 9);
    assert_eq!(world.inject(0, &frame), refused(Refusal::UnknownKey), "nobody here knows either key");

    assert_eq!(world.inject(0, &Maker::new(8).frame(draft(1.0))), Verdict::Applied);
    let later = Maker { order: Order { incarnation: 2, sequence: 0 }, ..Maker::new(9) };
    assert_eq!(world.inject(0, &later.frame(draft(2.0))), Verdict::Applied);
    assert_eq!(world.standing(0).len(), 2, "two strangers");
    assert_eq!(world.inject(0, &frame), Verdict::Handled);
    assert_eq!(world.standing(0), [(old, 2.0)].into(), "one author, the newer outcome");
    assert_eq!(world.inject(0, &Maker::new(8).frame(draft(1.0))), Verdict::Known);

    world.restart(0, 0);
    let newest = Maker { order: Order { incarnation: 2, sequence: 1 }, ..Maker::new(9) };
    assert_eq!(world.inject(0, &newest.frame(draft(3.0))), Verdict::Applied);
    assert_eq!(world.standing(0), [(old, 3.0)].into(), "also after a restart");
    // A second successor is a fork, and refused.
    assert_eq!(world.inject(0, &rotation(8, 10)), refused(Refusal::RetiredKey));
}

#[test]
fn a_damaged_packet_is_not_taken_for_an_old_one() {
    let mut world = World::new(1);
    let newer = Maker { order: Order { incarnation: 1, sequence: 5 }, ..Maker::new(8) };
    assert_eq!(world.inject(0, &newer.frame(draft(1.0))), Verdict::Applied);
    let mut older = Maker::new(8).frame(draft(2.0));
    assert_eq!(world.inject(0, &older), Verdict::Known);
    // Its order may be what was damaged: nobody here has that packet, and nobody says so.
    *older.last_mut().unwrap() ^= 1;
    assert_eq!(world.inject(0, &older), refused(Refusal::Forged));
}

#[test]
fn the_same_inputs_give_the_same_frames() {
    let run = || {
        let mut world = World::new(4);
        let mut count = 0;
        world.fate = Box::new(move |_, _| {
            count += 1;
            if count % 3 == 0 { Fate::Lost } else { Fate::Arrives }
        });
        for round in 0..5_u8 {
            for host in 0..4 {
                world.emit(host, f32::from(round));
            }
            world.pass(Duration::from_secs(30));
        }
        (world.wire, world.hosts.into_iter().map(|host| host.rows).collect::<Vec<_>>())
    };
    assert_eq!(run(), run());
}

proptest! {
    #[test]
    fn any_bytes_leave_a_router_as_it_was_or_are_judged(
        frames in proptest::collection::vec((0_u8..9, proptest::collection::vec(any::<u8>(), 0..700)), 1..20),
    ) {
        let mut world = World::new(1);
        for (kind, mut bytes) in frames {
            bytes.insert(0, kind);
            let before = world.hosts[0].rows.clone();
            let verdict = world.inject(0, &bytes);
            if let Verdict::Refused(_) = verdict {
                prop_assert_eq!(&before, &world.hosts[0].rows);
            }
        }
        prop_assert!(world.standing(0).is_empty());
    }

    #[test]
    fn damaged_frames_of_a_real_exchange_are_never_applied(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), 1_u8..), 1..4),
    ) {
        let mut world = World::new(1);
        let frame = Maker::new(9).frame(draft(1.0));
        let mut damaged = frame.clone();
        for (index, flip) in damage {
            // The first bytes are the kind and the nonce, which nobody signs.
            let index = 9 + index.index(damaged.len() - 9);
            damaged[index] ^= flip;
        }
        prop_assume!(damaged != frame);
        prop_assert!(matches!(world.inject(0, &damaged), Verdict::Refused(_)));
        prop_assert!(world.standing(0).is_empty());
    }
}

#[test]
fn an_address_is_bounded() {
    assert!("".parse::<Address>().is_err());
    assert!("a".repeat(256).parse::<Address>().is_err());
    assert_eq!("a".repeat(255).parse::<Address>().unwrap().as_str().len(), 255);
}

#[test]
fn a_selection_says_who_gets_an_outcome_and_who_is_asked() {
    let mut world =
        World::with(12, &RouterConfig { selection: Some(Selection::most_similar(3)), ..config() });
    // Of host 0's recipients: how many, and how many of the last five, which the directory names as members at random only.
    let recipients = |world: &mut World, selection: Option<Selection>| {
        let now = world.now;
        let router = &mut world.hosts[0].router;
        match selection {
            Some(selection) => router.emit_to(now, draft(1.0), Origin(""), selection).unwrap(),
            None => router.emit(now, draft(1.0), Origin("")).unwrap(),
        };
        world.settle();
        let receipt = world.hosts[0].receipt();
        let last: Vec<_> = world.hosts[7..].iter().map(|host| host.address.clone()).collect();
        let random = receipt.recipients.iter().filter(|one| last.contains(&one.address)).count();
        (receipt.delivered(), random)
    };
    assert_eq!(recipients(&mut world, None), (3, 0), "the configuration's");
    let mixed = Selection { random: 3, ..Selection::most_similar(2) };
    world.hosts[0].router.set_selection(domain(), mixed).unwrap();
    let (delivered, random) = recipients(&mut world, None);
    assert_eq!(delivered, 5, "the domain's");
    assert!(random > 0);
    assert_eq!(recipients(&mut world, Some(Selection::most_similar(1))), (1, 0), "the emission's");
    assert_eq!(recipients(&mut world, None).0, 5, "for once");

    let now = world.now;
    let router = &mut world.hosts[0].router;
    router.pull(now, domain(), fingerprint()).unwrap();
    world.settle();
    let pulled = world.hosts[0].events.iter().rev().find_map(|event| match event {
        Event::Pulled { result, .. } => Some(result.asked),
        _ => None,
    });
    assert_eq!(pulled, Some(5));

    let router = &mut world.hosts[0].router;
    let nobody = Selection::most_similar(0);
    assert!(router.set_selection("other".parse().unwrap(), mixed).is_err());
    assert!(router.set_selection(domain(), nobody).is_err());
    let refused = router.emit_to(now, draft(1.0), Origin(""), nobody);
    assert!(matches!(refused, Err(EmitError::Selection(_))));
}
