//! What is applied, beside a list of everything that ever was: nothing twice, nothing older after something newer, not over restarts either.

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use qis_packet::{AuthorId, Draft, Identity, Order, OutcomePacket, Payload};
use qis_route::Table;
use qis_route::proto::{Input, Refusal, RouterConfig, Verdict};

use crate::support::{Maker, World, config, domain, draft, fingerprint, push};

/// Their seeds begin with 1; that of the node is 0.
const AUTHORS: u8 = 5;
const PLACES: usize = 2;
const HOUR: u64 = 3600;
const SKEW: u64 = 300;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// An author's packet, made so many hours ago, for so many.
    New { author: u8, sequence: u32, age: u64, lifetime: u16, retraction: bool },
    /// One that came before, again.
    Again { which: usize },
    /// Time passes, and the router purges.
    Wait { minutes: u64 },
    /// From here on commits are begun and do not end.
    Hang,
    /// The commit under way ends, and the next begins.
    Commit,
    /// The process is killed and starts again; the commit under way had got there, or not.
    Crash { committed: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..AUTHORS, 0..5_u32, 0..4_u64, 1..6_u16, prop::bool::weighted(0.2)).prop_map(
            |(author, sequence, age, lifetime, retraction)| Step::New { author, sequence, age, lifetime, retraction }
        ),
        4 => (0..99_usize).prop_map(|which| Step::Again { which }),
        2 => (1..150_u64).prop_map(|minutes| Step::Wait { minutes }),
        1 => Just(Step::Hang),
        2 => Just(Step::Commit),
        2 => prop::bool::ANY.prop_map(|committed| Step::Crash { committed }),
    ]
}

/// A packet that was applied.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Applied {
    author: u8,
    sequence: u32,
    /// After it nobody applies it any more, in seconds.
    over: u64,
    retraction: bool,
    /// Its place was freed in this life of the node, and taken anew.
    forgotten: bool,
}

impl Applied {
    fn of(author: u8, packet: &OutcomePacket) -> Self {
        let over = packet.time().unix_seconds() + packet.lifetime().seconds() + SKEW;
        let retraction = matches!(packet.payload(), Payload::Retraction);
        Self { author, sequence: packet.order().sequence, over, retraction, forgotten: false }
    }
}

/// Everything that was applied, by how sure it is.
#[derive(Debug, Default)]
struct Model {
    durable: Vec<Applied>,
    under_way: Vec<Applied>,
    staged: Vec<Applied>,
    /// All that was ever durable.
    ever: Vec<Applied>,
}

impl Model {
    /// What this life of the node has applied or read from its store, of an author.
    fn of(&self, author: u8) -> impl Iterator<Item = &Applied> {
        self.durable
            .iter()
            .chain(&self.under_way)
            .chain(&self.staged)
            .filter(move |one| one.author == author && !one.forgotten)
    }

    fn newest(&self, author: u8) -> Option<&Applied> {
        self.of(author).max_by_key(|one| one.sequence)
    }

    /// Whether nothing that was applied could be applied again, so that the place may be free.
    fn is_over(&self, author: u8, now: u64) -> bool {
        self.of(author).all(|one| one.over < now)
    }

    /// The verdicts that are right.
    fn verdicts(&self, packet: &Applied, now: u64) -> Vec<Verdict> {
        let applied = if packet.retraction { Verdict::Retracted } else { Verdict::Applied };
        let known = self.newest(packet.author);
        let is_newer = known.is_none_or(|known| known.sequence < packet.sequence);
        let may_be_free = self.is_over(packet.author, now);
        if !is_newer && !may_be_free {
            return vec![Verdict::Known];
        }
        let mut right = Vec::new();
        if !is_newer {
            right.push(Verdict::Known);
        }
        if packet.over < now {
            right.push(Verdict::Refused(Refusal::Expired));
            return right;
        }
        let others: Vec<u8> =
            (1..AUTHORS).filter(|&author| author != packet.author && self.newest(author).is_some()).collect();
        let surely_taken = others.iter().filter(|&&author| !self.is_over(author, now)).count();
        let has_place = known.is_some() && !may_be_free;
        if !has_place && others.len() >= PLACES {
            right.push(Verdict::Refused(Refusal::Full));
        }
        if known.is_some() || surely_taken < PLACES {
            right.push(applied);
        }
        right
    }

    /// The packets that stand, by author: the newest of each, unless its time is over or it withdraws.
    fn standing(&self, now: u64) -> Vec<(u8, u32)> {
        let newest = (1..AUTHORS).filter_map(|author| self.newest(author));
        newest
            .filter(|one| one.over >= now && !one.retraction)
            .map(|one| (one.author, one.sequence))
            .collect()
    }

    /// A place may have been freed and taken anew: what was there is over, and does not count any more.
    fn apply(&mut self, packet: Applied, now: u64, into_commit: bool) {
        if self.is_over(packet.author, now) {
            let all = self.durable.iter_mut().chain(&mut self.under_way).chain(&mut self.staged);
            all.filter(|one| one.author == packet.author).for_each(|one| one.forgotten = true);
        }
        if into_commit { &mut self.under_way } else { &mut self.staged }.push(packet);
    }

    /// The commit under way has ended, and what waited for it begins.
    fn committed(&mut self) {
        self.ever.extend(self.under_way.iter().map(|&one| Applied { forgotten: false, ..one }));
        self.durable.append(&mut self.under_way);
        self.under_way = std::mem::take(&mut self.staged);
    }

    /// A new life knows what is in the store: the packet in the row of each author, and by that row what was applied before it and is not over.
    fn restart(&mut self, rows: &[(u8, u32)], now: u64) {
        self.under_way.clear();
        self.staged.clear();
        let is_known = |one: &&Applied| one.over >= now || rows.contains(&(one.author, one.sequence));
        self.durable = self.ever.iter().filter(is_known).copied().collect();
    }
}

struct Run {
    world: World,
    model: Model,
    packets: Vec<(u8, OutcomePacket)>,
}

impl Run {
    fn new() -> Self {
        let places = NonZeroUsize::new(PLACES).unwrap();
        let config = RouterConfig { authors_per_domain: places, ..config() };
        Self { world: World::with(1, &config), model: Model::default(), packets: Vec::new() }
    }

    fn now(&self) -> u64 {
        self.world.now.wall.unix_seconds()
    }

    fn take(&mut self, author: u8, packet: &OutcomePacket) -> Result<(), TestCaseError> {
        let (now, one) = (self.now(), Applied::of(author, packet));
        let right = self.model.verdicts(&one, now);
        let begins = self.world.hosts[0].held.is_empty();
        let found = self.world.inject(0, &push(packet.as_bytes()));
        prop_assert!(
            right.contains(&found),
            "{found:?} of {one:?} is none of {right:?} at {now}: {:?}",
            self.model
        );
        if matches!(found, Verdict::Applied | Verdict::Retracted) {
            prop_assert!(!self.model.ever.contains(&one), "{one:?} was applied before");
            self.model.apply(one, now, begins);
            if !self.world.hosts[0].hanging {
                self.model.committed();
            }
        }
        Ok(())
    }

    /// Ends the commit under way; what waits for it begins, and is held too.
    fn commit(&mut self) {
        if self.world.hosts[0].held.is_empty() {
            return;
        }
        let batch = self.world.hosts[0].held.remove(0);
        self.world.hosts[0].apply(batch);
        let now = self.world.now;
        self.world.hosts[0].router.handle(now, Input::Committed(Ok(())));
        self.world.settle();
        self.model.committed();
    }

    fn crash(&mut self, committed: bool) {
        let host = &mut self.world.hosts[0];
        if committed && let Some(batch) = host.held.first().cloned() {
            host.apply(batch);
            self.model.committed();
        }
        host.hanging = false;
        let packets = host.rows.iter().filter(|((table, _), _)| *table == Table::Packets);
        let rows: Vec<(u8, u32)> = packets
            .map(|(_, value)| OutcomePacket::decode(&value[8 + 32..]).unwrap())
            .map(|packet| (number(packet.author()), packet.order().sequence))
            .collect();
        self.model.restart(&rows, self.world.now.wall.unix_seconds());
        self.world.restart(0, 0);
        self.world.settle();
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::New { author, sequence, age, lifetime, retraction } => {
                let time = self.now() - age * HOUR;
                let order = Order { incarnation: 1, sequence };
                let what = if retraction {
                    Draft::retraction(domain(), fingerprint())
                } else {
                    draft(sequence as f32)
                };
                let packet = Maker { order, time, lifetime, ..Maker::new(author) }.make(what);
                self.packets.push((author, packet.clone()));
                self.take(author, &packet)?;
            }
            Step::Again { which } => {
                if let Some((author, packet)) = self.packets.get(which % self.packets.len().max(1)).cloned() {
                    self.take(author, &packet)?;
                }
            }
            Step::Wait { minutes } => self.world.pass(Duration::from_secs(60 * minutes)),
            Step::Hang => self.world.hosts[0].hanging = true,
            Step::Commit => self.commit(),
            Step::Crash { committed } => self.crash(committed),
        }
        let router = &self.world.hosts[0].router;
        let mut standing: Vec<(u8, u32)> = router
            .standing(domain(), self.world.now.wall)
            .map(|(id, one)| (number(id), one.packet().order().sequence))
            .collect();
        standing.sort_unstable();
        prop_assert_eq!(standing, self.model.standing(self.now()));
        Ok(())
    }
}

/// Which of the authors has this id.
fn number(id: AuthorId) -> u8 {
    (1..AUTHORS).find(|&author| Identity::from_seed([author; 32]).author() == id).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_applied_twice_and_nothing_older_after_something_newer(steps in prop::collection::vec(step(), 1..40)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step)?;
        }
    }
}
