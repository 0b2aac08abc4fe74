//! The reassembler beside a model of it: a list of groups of parts, in which everything is looked up and added up anew.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use proptest::prelude::*;
use qis_packet::{Fragment, Parity, Reassembler, ReassemblyConfig, ReassemblyError, fragment};

const SENDERS: u8 = 5;
const LIFETIME: Duration = Duration::from_secs(80);
/// Of a group and of a part, besides its bytes.
const COSTS: (usize, usize) = (256, 64);

/// A frame that is on its way, and the bodies of its parts.
struct Cut {
    frame: Vec<u8>,
    bodies: Vec<Vec<u8>>,
}

/// Of all kinds: two parts to a hundred, none as parity to as many as there are of data.
fn cuts() -> Vec<Cut> {
    let shapes = [
        (30, 24, Parity::Auto),
        (60, 24, Parity::None),
        (118, 24, Parity::Parts(3)),
        (400, 51, Parity::Auto),
        (900, 115, Parity::Parts(8)),
        (1000, 24, Parity::None),
        (1000, 500, Parity::Auto),
        (1024, 40, Parity::Parts(20)),
    ];
    let cut = |(number, (len, max_frame, parity)): (usize, (usize, usize, Parity))| {
        let frame: Vec<u8> =
            (0..len).map(|at| if at == 0 { 0 } else { (at * 7 + number * 13) as u8 }).collect();
        let parts = fragment(&frame, max_frame, parity).unwrap();
        Cut { bodies: parts.iter().map(|part| part[1..].to_vec()).collect(), frame }
    };
    shapes.into_iter().enumerate().map(cut).collect()
}

/// What the reassembler knows of one frame of one sender.
#[derive(Clone, Debug)]
struct Group {
    sender: u8,
    /// Hash, number of data parts, length of a part.
    name: (u16, u8, usize),
    /// None once the frame was whole.
    parts: Option<BTreeMap<u8, Vec<u8>>>,
    /// Every index that came since the frame began, or began again.
    seen: Vec<u8>,
    last: Duration,
}

impl Group {
    fn bytes(&self) -> usize {
        let parts = self.parts.as_ref().map_or(0, BTreeMap::len);
        COSTS.0 + parts * (COSTS.1 + self.name.2)
    }
}

/// The groups, the one that got a part last at the end.
struct Model {
    config: ReassemblyConfig,
    groups: Vec<Group>,
    expired: u64,
    evicted: u64,
}

/// What the model says of a part.
#[derive(Debug, PartialEq)]
enum Outcome {
    Waits,
    Conflict(u8),
    /// That was the last part that was needed; these are all.
    Complete(BTreeMap<u8, Vec<u8>>),
}

impl Model {
    fn bytes(&self) -> usize {
        self.groups.iter().map(Group::bytes).sum()
    }

    fn of_sender(&self, sender: u8) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| group.sender == sender)
    }

    fn expire(&mut self, now: Duration) {
        let (kept, over): (Vec<_>, Vec<_>) =
            self.groups.drain(..).partition(|group| group.last + self.config.lifetime > now);
        self.groups = kept;
        self.expired += over.iter().filter(|group| group.parts.is_some()).count() as u64;
    }

    /// The documented policy, in its words: frames that were whole go first, the oldest of them first; then the sender that takes most loses one, which is the
    /// one that has waited longest if that is an eighth of the lifetime, and else the one with the fewest parts, of several the latest.
    fn give_up_one(&mut self, now: Duration, name: (u8, (u16, u8, usize)), of_sender: bool) {
        let may_go: Vec<usize> = (0..self.groups.len())
            .filter(|&at| (self.groups[at].sender, self.groups[at].name) != name)
            .filter(|&at| !of_sender || self.groups[at].sender == name.0)
            .collect();
        let whole = may_go.iter().copied().find(|&at| self.groups[at].parts.is_none());
        let victim = whole.unwrap_or_else(|| {
            let taken = |sender| self.of_sender(sender).map(Group::bytes).sum::<usize>();
            let most = may_go.iter().map(|&at| taken(self.groups[at].sender)).max().unwrap();
            let of_most: Vec<usize> =
                may_go.into_iter().filter(|&at| taken(self.groups[at].sender) == most).collect();
            let patient = |at: &usize| self.groups[*at].last + self.config.lifetime / 8 <= now;
            of_most.iter().copied().find(patient).unwrap_or_else(|| {
                let parts = |at: usize| self.groups[at].parts.as_ref().unwrap().len();
                let fewest = of_most.iter().map(|&at| parts(at)).min().unwrap();
                of_most.into_iter().rfind(|&at| parts(at) == fewest).unwrap()
            })
        });
        self.evicted += u64::from(self.groups.remove(victim).parts.is_some());
    }

    fn accept(&mut self, now: Duration, sender: u8, body: &[u8]) -> Outcome {
        self.expire(now);
        let part = Fragment::parse(body).unwrap();
        let name = (part.hash(), part.count(), part.part().len());
        let is_it = |group: &Group| (group.sender, group.name) == (sender, name);
        let known = self.groups.iter_mut().find(|group| is_it(group));
        if let Some(group) = known {
            let was_there = group.seen.contains(&part.index());
            match &group.parts {
                Some(parts) if was_there => {
                    let same = parts[&part.index()] == part.part();
                    return if same { Outcome::Waits } else { Outcome::Conflict(part.index()) };
                }
                // A late part of a frame that was whole.
                None if !was_there => {
                    group.seen.push(part.index());
                    return Outcome::Waits;
                }
                // The frame is sent again.
                None => group.seen.clear(),
                Some(_) => {}
            }
        }
        loop {
            let is_new = !self.groups.iter().any(is_it);
            let needed = if is_new { COSTS.0 } else { 0 } + COSTS.1 + name.2;
            let crowded = is_new && self.of_sender(sender).count() >= self.config.frames_per_sender;
            if !crowded && self.bytes() + needed <= self.config.bytes {
                break;
            }
            self.give_up_one(now, (sender, name), crowded);
        }
        let at = self.groups.iter().position(is_it);
        let mut group = at.map_or_else(
            || Group { sender, name, parts: None, seen: Vec::new(), last: now },
            |at| self.groups.remove(at),
        );
        group.last = now;
        group.seen.push(part.index());
        let mut parts = group.parts.take().unwrap_or_default();
        parts.insert(part.index(), part.part().to_vec());
        let is_complete = parts.len() == usize::from(part.count());
        let outcome = if is_complete { Outcome::Complete(parts.clone()) } else { Outcome::Waits };
        group.parts = (!is_complete).then_some(parts);
        self.groups.push(group);
        outcome
    }

    fn forget(&mut self, sender: u8, body: &[u8]) {
        let part = Fragment::parse(body).unwrap();
        let name = (part.hash(), part.count(), part.part().len());
        self.groups.retain(|group| (group.sender, group.name) != (sender, name));
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Parts of a frame from a sender, beginning with one and going round.
    Parts {
        frame: usize,
        sender: u8,
        from: usize,
        count: usize,
    },
    /// A part with a byte that is not what its author sent.
    Wrong {
        frame: usize,
        sender: u8,
        index: usize,
    },
    Wait(u64),
}

/// Of these frames, and so many parts at a time.
fn step(frames: Range<usize>, counts: Range<usize>) -> impl Strategy<Value = Step> {
    let part = (frames, 0..SENDERS, 0..64_usize);
    prop_oneof![
        6 => (part.clone(), counts)
            .prop_map(|((frame, sender, from), count)| Step::Parts { frame, sender, from, count }),
        1 => part.prop_map(|(frame, sender, index)| Step::Wrong { frame, sender, index }),
        2 => prop_oneof![0..12_u64, 60..100_u64].prop_map(Step::Wait),
    ]
}

/// Hands a part to both, and compares them in all that can be seen.
fn compare(
    real: &mut Reassembler<u8>,
    model: &mut Model,
    now: Duration,
    sender: u8,
    cut: &Cut,
    body: &[u8],
) -> Result<(), TestCaseError> {
    let found = real.accept(now, &sender, body);
    match model.accept(now, sender, body) {
        Outcome::Waits => prop_assert_eq!(found, Ok(None)),
        Outcome::Conflict(index) => prop_assert_eq!(found, Err(ReassemblyError::Conflict { index })),
        Outcome::Complete(parts) => {
            let is_right = parts.iter().all(|(&index, part)| cut.bodies[usize::from(index)][3..] == part[..]);
            match found {
                Ok(Some(frame)) if is_right => prop_assert_eq!(&frame, &cut.frame),
                // One in a thousand wrong frames has the hash of the right one; which they are is the same in every run.
                Ok(Some(frame)) => prop_assert_ne!(&frame, &cut.frame),
                Err(_) => {
                    prop_assert!(!is_right, "the parts of a frame did not make it");
                    model.forget(sender, body);
                }
                Ok(None) => prop_assert!(false, "there were parts enough"),
            }
        }
    }
    prop_assert_eq!(real.bytes(), model.bytes());
    let stats = real.stats();
    prop_assert_eq!((stats.expired, stats.evicted), (model.expired, model.evicted));
    Ok(())
}

fn run(config: ReassemblyConfig, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let cuts = cuts();
    let mut real = Reassembler::new(config);
    let mut model = Model { config, groups: Vec::new(), expired: 0, evicted: 0 };
    let mut now = Duration::ZERO;
    for step in steps {
        match step {
            Step::Wait(seconds) => now += Duration::from_secs(seconds),
            Step::Parts { frame, sender, from, count } => {
                let cut = &cuts[frame % cuts.len()];
                for at in from..from + count.min(cut.bodies.len()) {
                    let body = &cut.bodies[at % cut.bodies.len()];
                    compare(&mut real, &mut model, now, sender, cut, body)?;
                }
            }
            Step::Wrong { frame, sender, index } => {
                let cut = &cuts[frame % cuts.len()];
                let mut body = cut.bodies[index % cut.bodies.len()].clone();
                *body.last_mut().unwrap() ^= 0x55;
                compare(&mut real, &mut model, now, sender, cut, &body)?;
            }
        }
    }
    real.expire(now);
    model.expire(now);
    prop_assert_eq!(real.bytes(), model.bytes());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn with_room_for_all_every_frame_comes_from_enough_parts(steps in proptest::collection::vec(step(0..8, 1..60), 1..40)) {
        let config = ReassemblyConfig { lifetime: LIFETIME, ..ReassemblyConfig::default() };
        run(config, steps)?;
    }

    #[test]
    fn with_few_frames_a_sender_those_go_that_are_said_to(steps in proptest::collection::vec(step(0..8, 1..60), 1..60)) {
        let config = ReassemblyConfig { lifetime: LIFETIME, frames_per_sender: 3, ..ReassemblyConfig::default() };
        run(config, steps)?;
    }

    #[test]
    fn with_few_bytes_the_sender_that_takes_most_loses(steps in proptest::collection::vec(step(4..8, 5..28), 40..90)) {
        let config = ReassemblyConfig { lifetime: LIFETIME * 20, bytes: ReassemblyConfig::MIN_BYTES, ..ReassemblyConfig::default() };
        run(config, steps)?;
    }
}
