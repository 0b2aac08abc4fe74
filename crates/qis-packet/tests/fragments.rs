//! Frames cut and put together: in any order, with loss, repetition and strangers' parts.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use qis_packet::{
    FRAGMENT_OVERHEAD, Fragment, FragmentPlan, Frame, FrameKind, Parity, Reassembler, ReassemblyConfig,
    ReassemblyError, fragment,
};

const NOW: Duration = Duration::from_secs(7);

fn reassembler() -> Reassembler<u8> {
    Reassembler::new(ReassemblyConfig { frame_bytes: Frame::MAX_BYTES, ..ReassemblyConfig::default() })
}

/// A frame that says nothing, of so many bytes.
fn frame(len: usize) -> Vec<u8> {
    (0..len).map(|at| if at == 0 { 0 } else { (at * 7 % 251) as u8 }).collect()
}

fn accept(to: &mut Reassembler<u8>, fragment: &[u8]) -> Result<Option<Vec<u8>>, ReassemblyError> {
    assert_eq!(fragment[0], FrameKind::Fragment.code());
    to.accept(NOW, &1, &fragment[1..])
}

/// The generator `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn happens(&mut self, permille: u64) -> bool {
        self.next() % 1000 < permille
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The vectors of docs/wire-format.md. The parities are also those of `rusty_erasure-core` 0.4.3, which makes the
/// bytes of Intel's ISA-L, over data parts that were multiplied with `k ^ j` first.
#[test]
fn golden_vectors() {
    let cut = |len, max_frame, parity| -> Vec<String> {
        fragment(&frame(len), max_frame, parity).unwrap().iter().map(|part| hex(part)).collect()
    };
    assert_eq!(cut(30, 24, Parity::Auto), XOR);
    assert_eq!(cut(118, 24, Parity::Auto), REED_SOLOMON);
}

const XOR: [&str; 3] = [
    "0206000200070e151c232a31383f464d545b6269",
    "0206008270777e858c939aa1a8afb6bdc4cb8000",
    "020601027070709090b0b0909090f0f09090e269",
];

const REED_SOLOMON: [&str; 9] = [
    "02d4000600070e151c232a31383f464d545b626970777e85",
    "02d400868c939aa1a8afb6bdc4cbd2d9e0e7eef501080f16",
    "02d401061d242b323940474e555c636a71787f868d949ba2",
    "02d40186a9b0b7bec5ccd3dae1e8eff6020910171e252c33",
    "02d402063a41484f565d646b727980878e959ca3aab1b8bf",
    "02d40286c6cdd4dbe2e9f0f7030a11181f262d343b428000",
    "02d40306c48c94acfcb49c8439338997567e529a733dfebd",
    "02d40386e73fe7c507bee2bd2b6754920a47cb7a4ca63d50",
    "02d40406dbb3ba837b2f95594cb07ecebf7bddcb31e0b378",
];

#[test]
fn a_frame_sent_again_is_given_again_and_late_parts_are_not() {
    let frame = frame(522);
    let parts = fragment(&frame, 51, Parity::Auto).unwrap();
    let mut to = reassembler();
    // The first and the third are lost.
    let given: Vec<bool> = parts.iter().enumerate().filter(|(index, _)| ![0, 2].contains(index)).fold(
        vec![],
        |mut given, part| {
            given.push(accept(&mut to, part.1).unwrap().is_some());
            given
        },
    );
    assert_eq!(given.iter().filter(|&&given| given).count(), 1);
    assert_eq!((to.stats().frames, to.stats().duplicates), (1, 2), "two parities came late");
    // The acknowledgement was lost, so everything comes again, with other losses.
    let given = parts.iter().skip(2).filter(|part| accept(&mut to, part).unwrap().as_ref() == Some(&frame));
    assert_eq!(given.count(), 1);
}

#[test]
fn parts_of_two_tries_add_up() {
    let frame = frame(522);
    let parts = fragment(&frame, 51, Parity::None).unwrap();
    let mut to = reassembler();
    for part in &parts[..8] {
        assert_eq!(accept(&mut to, part), Ok(None));
    }
    for part in &parts[4..11] {
        assert_eq!(accept(&mut to, part), Ok(None));
    }
    assert_eq!(accept(&mut to, &parts[11]), Ok(Some(frame)));
    assert_eq!(to.stats().duplicates, 4);
}

#[test]
fn the_first_of_two_parts_stands_and_a_wrong_one_costs_one_try() {
    let frame = frame(100);
    let parts = fragment(&frame, 51, Parity::None).unwrap();
    assert_eq!(parts.len(), 3);
    let mut forged = parts[1].clone();
    *forged.last_mut().unwrap() ^= 1;

    let mut to = reassembler();
    assert_eq!(accept(&mut to, &parts[1]), Ok(None));
    assert_eq!(accept(&mut to, &forged), Err(ReassemblyError::Conflict { index: 1 }));
    assert_eq!(accept(&mut to, &parts[0]), Ok(None));
    assert_eq!(accept(&mut to, &parts[2]), Ok(Some(frame.clone())));

    let mut to = reassembler();
    assert_eq!(accept(&mut to, &forged), Ok(None));
    assert_eq!(accept(&mut to, &parts[0]), Ok(None));
    assert_eq!(accept(&mut to, &parts[1]), Err(ReassemblyError::Conflict { index: 1 }));
    assert_eq!(accept(&mut to, &parts[2]), Err(ReassemblyError::Hash));
    assert_eq!(to.bytes(), 0, "nothing of it is kept");
    let again: Vec<_> = parts.iter().filter_map(|part| accept(&mut to, part).unwrap()).collect();
    assert_eq!(again, [frame]);
}

#[test]
fn a_frame_has_one_padding_and_is_no_fragment() {
    let make = |parts: &[&[u8]]| {
        let body = |index: usize, part: &[u8]| {
            let bits = 0x1234_u32 << 14 | (index as u32) << 7 | parts.len() as u32;
            [&bits.to_be_bytes()[1..], part].concat()
        };
        let mut to = reassembler();
        let bodies = parts.iter().enumerate().map(|(index, part)| body(index, part));
        bodies.map(|body| to.accept(NOW, &1, &body)).last().unwrap()
    };
    assert_eq!(make(&[&[0, 1, 2], &[3, 4, 5]]), Err(ReassemblyError::Padding), "none");
    assert_eq!(make(&[&[0, 1, 2], &[3, 0x80, 1]]), Err(ReassemblyError::Padding), "not at the end");
    assert_eq!(make(&[&[0, 1, 2], &[0x80, 0, 0]]), Err(ReassemblyError::Padding), "more than a byte a part");
    assert_eq!(make(&[&[0, 0, 0], &[0, 0, 0]]), Err(ReassemblyError::Padding));
    assert_eq!(make(&[&[0x80], &[0]]), Err(ReassemblyError::Padding), "of nothing");
    assert_eq!(make(&[&[0, 1, 2], &[3, 4, 0x80]]), Err(ReassemblyError::Hash));

    // A frame of the kind fragment, with its right hash.
    let nested = (0..=u8::MAX).find_map(|byte| {
        let mut result = (0..1024_u32).map(|hash| {
            let mut to = reassembler();
            let body =
                |index: u32, part: &[u8]| [&(hash << 14 | index << 7 | 2).to_be_bytes()[1..], part].concat();
            to.accept(NOW, &1, &body(0, &[FrameKind::Fragment.code(), byte])).unwrap();
            to.accept(NOW, &1, &body(1, &[1, 0x80]))
        });
        result.find(|result| *result != Err(ReassemblyError::Hash))
    });
    assert_eq!(nested, Some(Err(ReassemblyError::Nested)));
}

#[test]
fn fragments_are_read_strictly() {
    let parse = |body: &[u8]| Fragment::parse(body).map(|fragment| (fragment.index(), fragment.count()));
    assert_eq!(parse(&[0, 0, 2]), Err(ReassemblyError::Malformed), "no part");
    assert_eq!(parse(&[0, 0]), Err(ReassemblyError::Malformed));
    assert_eq!(parse(&[0, 0, 1, 9]), Err(ReassemblyError::Malformed), "one part is a whole frame");
    assert_eq!(parse(&[0xff, 0xff, 0xff, 9]), Ok((127, 127)));
    assert_eq!(parse(&[[0, 0, 2].as_slice(), &[0; 8193]].concat()), Ok((0, 2)));
    assert_eq!(parse(&[[0, 0, 2].as_slice(), &[0; 8194]].concat()), Err(ReassemblyError::TooLarge));
}

#[test]
fn bounds_hold_and_a_crowd_takes_its_own_places_first() {
    let config = ReassemblyConfig {
        frames_per_sender: 2,
        frame_bytes: Frame::MAX_BYTES,
        ..ReassemblyConfig::default()
    };
    let mut to = Reassembler::new(config);
    let mut begin = |sender: u8, len: usize| {
        let parts = fragment(&frame(len), 51, Parity::Auto).unwrap();
        to.accept(NOW, &sender, &parts[0][1..]).unwrap();
        to.stats().evicted
    };
    assert_eq!((begin(1, 100), begin(1, 200), begin(2, 100)), (0, 0, 0));
    assert_eq!(begin(1, 300), 1, "the first of the same sender goes");
    for sender in 3..=255 {
        for len in [16_000, 15_000] {
            let parts = fragment(&frame(len), 1000, Parity::Auto).unwrap();
            for part in parts.iter().take(7) {
                to.accept(NOW, &sender, &part[1..]).unwrap();
                assert!(to.bytes() <= config.bytes);
            }
        }
    }
    assert!(to.stats().evicted > 400);
    to.expire(NOW + config.lifetime);
    assert_eq!((to.bytes(), to.stats().frames), (0, 0));
    assert!(to.stats().expired > 0);
}

#[test]
fn what_was_whole_is_forgotten_before_what_still_waits() {
    let config = ReassemblyConfig {
        frames_per_sender: 2,
        frame_bytes: Frame::MAX_BYTES,
        ..ReassemblyConfig::default()
    };
    let mut to = Reassembler::new(config);
    let cut = |len| fragment(&frame(len), 51, Parity::None).unwrap();
    let mut give = |parts: &[Vec<u8>]| -> Vec<Vec<u8>> {
        parts.iter().filter_map(|part| accept(&mut to, part).unwrap()).collect()
    };
    let waiting = cut(100);
    assert!(give(&waiting[..2]).is_empty());
    for len in [200, 300, 400] {
        assert_eq!(give(&cut(len)), [frame(len)]);
    }
    assert_eq!(give(&waiting[2..]), [frame(100)]);
    assert_eq!(to.stats().evicted, 0);
}

/// Frames of 522 bytes that differ, cut for 51.
fn many(count: u8) -> Vec<Vec<Vec<u8>>> {
    (0..count)
        .map(|number| {
            let mut frame = frame(522);
            frame[100] = number;
            fragment(&frame, 51, Parity::Auto).unwrap()
        })
        .collect()
}

/// Hands the parts over in turn, the first of each frame and so on, and counts the frames.
fn give_in_turn(to: &mut Reassembler<u8>, from: u8, frames: &[Vec<Vec<u8>>]) -> usize {
    let in_turn = (0..frames[0].len()).flat_map(|index| frames.iter().map(move |parts| &parts[index]));
    in_turn.filter(|part| matches!(to.accept(NOW, &from, &part[1..]), Ok(Some(_)))).count()
}

#[test]
fn of_too_many_frames_at_once_as_many_get_whole_as_there_is_room_for() {
    // Two frames at a time whose hashes have the same 10 bits lose one, which is sent again.
    for (limit, at_once, least) in [(32, 32, 30), (32, 60, 29), (8, 9, 7), (8, 40, 7)] {
        let config = ReassemblyConfig { frames_per_sender: limit, ..ReassemblyConfig::default() };
        let mut to = Reassembler::new(config);
        let whole = give_in_turn(&mut to, 1, &many(at_once));
        assert!(whole >= least, "{whole} of {at_once}");
    }
}

#[test]
fn a_sender_that_takes_most_of_the_room_gives_it_up_for_others() {
    let mut to = Reassembler::new(ReassemblyConfig::default());
    for hash in 0..=u16::MAX {
        let [high, low] = (hash << 6).to_be_bytes();
        // Of a frame of two parts, one of which never comes.
        let body = [&[high, low, 2][..], &[1; 500]].concat();
        let _ = to.accept(NOW, &0, &body);
    }
    assert_eq!(give_in_turn(&mut to, 1, &many(5)), 5);
}

#[test]
fn what_was_whole_of_others_is_forgotten_before_what_still_waits() {
    let config = ReassemblyConfig { bytes: ReassemblyConfig::MIN_BYTES, ..ReassemblyConfig::default() };
    let mut to = Reassembler::new(config);
    let slow = fragment(&frame(522), 51, Parity::None).unwrap();
    for part in &slow[..11] {
        assert_eq!(to.accept(NOW, &0, &part[1..]), Ok(None));
    }
    let quick = fragment(&frame(60), 51, Parity::None).unwrap();
    for sender in 1..=255 {
        assert_eq!(give_in_turn(&mut to, sender, std::slice::from_ref(&quick)), 1);
    }
    assert_eq!(to.accept(NOW, &0, &slow[11][1..]), Ok(Some(frame(522))));
}

#[test]
fn parts_out_of_order_give_an_attempt_once() {
    let parts = fragment(&frame(522), 51, Parity::Auto).unwrap();
    let mut to = reassembler();
    for swapped in [(11, 12), (0, 15), (3, 4)] {
        let mut parts = parts.clone();
        parts.swap(swapped.0, swapped.1);
        assert_eq!(give_in_turn(&mut to, 1, &[parts]), 1, "{swapped:?}");
    }
}

#[test]
fn frames_larger_than_allowed_are_refused() {
    let mut to = Reassembler::new(ReassemblyConfig::default());
    let parts = fragment(&frame(1100), 51, Parity::None).unwrap();
    assert_eq!(to.accept(NOW, &1, &parts[0][1..]), Err(ReassemblyError::TooLarge));
    assert_eq!(
        (to.bytes(), give_in_turn(&mut to, 1, &[fragment(&frame(1024), 51, Parity::None).unwrap()])),
        (0, 1)
    );
}

#[test]
fn what_waits_for_long_is_forgotten_and_a_part_renews_it() {
    let parts = fragment(&frame(100), 51, Parity::None).unwrap();
    let mut to = reassembler();
    let lifetime = ReassemblyConfig::default().lifetime;
    assert_eq!(to.accept(NOW, &1, &parts[0][1..]), Ok(None));
    assert_eq!(to.accept(NOW + lifetime / 2, &1, &parts[1][1..]), Ok(None));
    to.expire(NOW + lifetime);
    assert_eq!(to.accept(NOW + lifetime * 3 / 2, &1, &parts[2][1..]), Ok(None), "too late");
    assert_eq!(to.stats().expired, 1);
}

/// Independent losses, the same ones at each run; the example `clinic_over_lora` does it with 100,000 frames.
#[test]
fn a_packet_arrives_as_often_as_the_code_promises() {
    let frame = frame(522);
    let rate = |max_frame: usize, parity, permille| {
        let parts = fragment(&frame, max_frame, parity).unwrap();
        let mut random = Random(1);
        let arrives = |_: &u32| {
            let mut to = reassembler();
            let whole = parts.iter().filter(|_| !random.happens(permille));
            whole.filter_map(|part| accept(&mut to, part).unwrap()).any(|whole| whole == frame)
        };
        f64::from(u32::try_from((0..4000).filter(arrives).count()).unwrap()) / 4000.0
    };
    let close = |rate: f64, expected: f64| assert!((rate - expected).abs() < 0.02, "{rate} {expected}");
    close(rate(51, Parity::Auto, 100), 0.983);
    close(rate(51, Parity::Parts(3), 100), 0.944);
    close(rate(51, Parity::None, 100), 0.282);
    close(rate(51, Parity::Auto, 300), 0.450);
    close(rate(222, Parity::Auto, 100), 0.948);
    close(rate(222, Parity::Auto, 300), 0.652);
    assert!(rate(51, Parity::Auto, 100) >= 0.95);
}

#[derive(Clone, Debug)]
struct Arrival {
    which: prop::sample::Index,
    part: prop::sample::Index,
    sender: u8,
    seconds: u64,
}

fn arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    let arrival = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..3_u8, 0..20_u64)
        .prop_map(|(which, part, sender, seconds)| Arrival { which, part, sender, seconds });
    prop::collection::vec(arrival, 0..200)
}

fn parity() -> impl Strategy<Value = Parity> {
    prop_oneof![Just(Parity::Auto), Just(Parity::None), (0..6_u8).prop_map(Parity::Parts)]
}

/// What a frame's parts amount to, without any bytes: which indices are here, and whether the frame was whole.
#[derive(Default)]
struct Model {
    seen: BTreeSet<usize>,
    whole: bool,
}

impl Model {
    fn accept(&mut self, index: usize, count: usize) -> bool {
        if self.whole {
            if self.seen.insert(index) {
                return false;
            }
            *self = Self::default();
        }
        self.seen.insert(index);
        self.whole = self.seen.len() >= count;
        self.whole
    }
}

proptest! {
    #[test]
    fn cut_parts_fit_the_link_and_any_of_them_make_the_frame(
        bytes in prop::collection::vec(any::<u8>(), 1..2000),
        max_frame in 24_usize..600,
        parity in parity(),
        keys in prop::collection::vec(any::<u32>(), 128),
    ) {
        prop_assume!(bytes[0] != FrameKind::Fragment.code());
        let Ok(plan) = FragmentPlan::new(bytes.len(), max_frame, parity) else { return Ok(()) };
        let parts = fragment(&bytes, max_frame, parity).unwrap();
        prop_assert_eq!(parts.len(), usize::from(plan.frames()));
        prop_assert!(parts.iter().all(|part| part.len() == plan.frame_len() && part.len() <= max_frame));
        if plan.data() == 1 {
            prop_assert_eq!(&parts, &[bytes]);
            return Ok(());
        }
        prop_assert!(plan.frame_len() > FRAGMENT_OVERHEAD);
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|&index| keys[index]);
        let mut to = reassembler();
        for (came, &index) in order.iter().take(usize::from(plan.data())).enumerate() {
            let whole = accept(&mut to, &parts[index]).unwrap();
            let expected = (came + 1 == usize::from(plan.data())).then_some(&bytes);
            prop_assert_eq!(whole.as_ref(), expected);
        }
    }

    #[test]
    fn it_does_what_the_model_does(
        lens in prop::collection::btree_set(60_usize..700, 1..4),
        max_frame in 40_usize..120,
        parity in parity(),
        arrivals in arrivals(),
    ) {
        let frames: Vec<Vec<u8>> = lens.into_iter().map(frame).collect();
        let cut: Vec<Vec<Vec<u8>>> =
            frames.iter().map(|frame| fragment(frame, max_frame, parity).unwrap()).collect();
        let mut to = reassembler();
        let mut models: BTreeMap<(u8, usize), Model> = BTreeMap::new();
        let mut now = Duration::ZERO;
        for arrival in arrivals {
            now += Duration::from_secs(arrival.seconds);
            let which = arrival.which.index(frames.len());
            let parts = &cut[which];
            let index = arrival.part.index(parts.len());
            if parts.len() == 1 {
                continue;
            }
            let count = usize::from(FragmentPlan::new(frames[which].len(), max_frame, parity).unwrap().data());
            let whole = to.accept(now, &arrival.sender, &parts[index][1..]).unwrap();
            let expected = models.entry((arrival.sender, which)).or_default().accept(index, count);
            prop_assert_eq!(whole.as_ref(), expected.then_some(&frames[which]));
        }
        let expected = models.values().filter(|model| !model.whole && !model.seen.is_empty()).count();
        to.expire(now + ReassemblyConfig::default().lifetime);
        prop_assert_eq!(to.stats().expired, expected as u64);
        prop_assert_eq!((to.bytes(), to.stats().evicted), (0, 0));
    }

    #[test]
    fn any_bytes_are_taken_or_refused(
        bodies in prop::collection::vec((0..2_u8, prop::collection::vec(any::<u8>(), 0..12)), 0..300),
    ) {
        let mut to = reassembler();
        for (sender, body) in bodies {
            if let Ok(Some(frame)) = to.accept(NOW, &sender, &body) {
                prop_assert!(!frame.is_empty() && frame[0] != FrameKind::Fragment.code());
            }
            prop_assert!(to.bytes() <= ReassemblyConfig::default().bytes);
        }
    }
}
