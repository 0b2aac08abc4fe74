//! A run: faults while everything must stay safe, then none, and everything must come to agree and to serve.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use qis::memory::MemoryDirectory;
use qis::{Node, OutcomePacket, Table, Timestamp};
use qis_packet::SignatureMemo;

use super::clock::sleep;
use super::executor::Executor;
use super::fault::{FaultCounts, FaultKind};
use super::host;
use super::invariants::{Holdings, Violation, disagreement, lost_rows, memory};
use super::plan::{Act, Errand, Plan};
use super::settings::Settings;
use super::site::{self, EVIDENCE, FORGETS, VECTORS};
use super::trace::Trace;
use super::world::{Event, Frame, State, World};

const SECOND: Duration = Duration::from_secs(1);
/// A period of anti-entropy, with the fifth that it may be longer.
const PERIOD: Duration = Duration::from_secs(72);
/// So many periods after faults are over all sites agree.
const MOST_PERIODS: u32 = 10;
/// An emission is over after so long, whoever does not answer.
const DELIVERY: Duration = Duration::from_secs(180);
/// No run has as many happenings, unless something goes round in circles.
const MOST_HAPPENINGS: u64 = 20_000_000;
/// What came of a run.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// What was asked for.
    pub settings: Settings,
    /// How many sites there were.
    pub nodes: usize,
    /// The first invariant that did not hold.
    pub violation: Option<Violation>,
    /// Of all happenings: the same for the same settings.
    pub digest: u64,
    /// How many happenings there were.
    pub happenings: u64,
    /// Virtual time.
    pub simulated: Duration,
    /// How many faults were injected.
    pub faults: FaultCounts,
    /// Packets that became durable at somebody else than their author.
    pub applied: u64,
    /// Periods of anti-entropy after which all sites agreed.
    pub periods: u32,
}

/// Runs a seed.
#[must_use]
pub fn simulate(settings: &Settings) -> Report {
    run(settings, Trace::default()).0
}

/// Runs a seed and keeps all happenings, a line each.
#[must_use]
pub fn simulate_traced(settings: &Settings) -> (Report, String) {
    let (report, lines) = run(settings, Trace::kept());
    (report, lines.unwrap_or_default())
}

fn run(settings: &Settings, trace: Trace) -> (Report, Option<String>) {
    // All sites are told of the same packets.
    let _memo = SignatureMemo::new();
    let plan = Plan::new(settings);
    let mut trace = trace;
    trace.note(Duration::ZERO, format_args!("{plan:?}"));
    let world = World::new(plan, trace);
    let mut run = Run {
        world: Arc::clone(&world),
        executor: Executor::default(),
        directory: MemoryDirectory::default(),
        phase: Phase::Safety,
        periods: 0,
    };
    let ended = catch_unwind(AssertUnwindSafe(|| run.go()));
    run.end();
    let mut state = world.lock();
    if let Err(panic) = ended {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        state.check(Err(Violation { invariant: "nothing panics", what: words }));
    }
    let trace = std::mem::take(&mut state.trace);
    let report = Report {
        settings: settings.clone(),
        nodes: state.sites.len(),
        violation: state.violation.clone(),
        digest: trace.digest(),
        happenings: trace.count(),
        simulated: state.now,
        faults: state.faults.clone(),
        applied: state.invariants.facts.applied,
        periods: run.periods,
    };
    (report, trace.into_lines())
}

/// What a run is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Faults are injected.
    Safety,
    /// They are over since then, and sites come to agree.
    Healing {
        since: Duration,
    },
    /// A site has said something new since then.
    Serving {
        since: Duration,
    },
    Done,
}

struct Run {
    world: Arc<World>,
    executor: Executor,
    directory: MemoryDirectory,
    phase: Phase,
    periods: u32,
}

impl Run {
    fn go(&mut self) {
        while self.phase != Phase::Done {
            let world = &self.world;
            self.executor.run(|owner| world.lock().sites[owner].paused.is_some());
            let event = {
                let mut state = self.world.lock();
                if state.trace.count() > MOST_HAPPENINGS {
                    let what = format!("{MOST_HAPPENINGS} happenings, and no end");
                    state.check(Err(Violation { invariant: "everything ends", what }));
                }
                if state.violation.is_some() {
                    return;
                }
                state.next(Duration::MAX)
            };
            match event {
                None => return,
                Some(Event::Wake(waker)) => waker.wake(),
                Some(Event::Frame(frame)) => self.deliver(frame),
                Some(Event::Act(act)) => self.act(act),
            }
        }
    }

    /// Drops all nodes, which hold the world.
    fn end(&mut self) {
        let sites = self.world.lock().sites.len();
        for site in 0..sites {
            self.executor.kill(site);
            let node = self.world.lock().sites[site].node.take();
            drop(node);
        }
    }

    fn deliver(&self, frame: Frame) {
        let node = {
            let mut state = self.world.lock();
            let site = &state.sites[frame.to];
            if let Some(until) = site.paused {
                // The operating system keeps it.
                let wait = until.saturating_sub(state.now);
                return state.arrive(wait, frame);
            }
            let node = site.node.clone();
            if node.is_none() {
                state.note(format_args!("nobody takes {} of {}", frame.bytes.len(), frame.from));
            }
            node
        };
        if let Some(node) = node {
            let verdict = node.receive(&frame.from, &frame.bytes);
            self.world.lock().judged(&frame, verdict);
        }
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Start { site, rotate } => self.start(site, rotate),
            Act::Crash { site, down, reformat, rotate } => self.crash(site, down, reformat, rotate),
            Act::Pause { site, pause } => {
                let mut state = self.world.lock();
                if state.faulty {
                    state.inject(FaultKind::Pause);
                    let until = state.now + pause;
                    state.sites[site].paused = Some(until);
                    state.note(format_args!("site {site} stands still"));
                    state.after(pause, Act::Resume { site });
                }
            }
            Act::Resume { site } => self.resume(site),
            Act::Host { site, errand } => self.errand(site, errand),
            Act::Look => self.look(),
            Act::Heal => self.heal(),
            Act::Compare => self.compare(),
            Act::Lie { kind } => self.world.lock().lie(kind),
            other => self.world.lock().change(other),
        }
    }

    fn resume(&mut self, site: usize) {
        let mut state = self.world.lock();
        if state.sites[site].paused.take().is_some() {
            state.note(format_args!("site {site} goes on"));
            drop(state);
            self.executor.release(site);
        }
    }

    fn start(&mut self, site: usize, rotate: bool) {
        {
            let mut state = self.world.lock();
            if state.sites[site].alive {
                return;
            }
            if rotate {
                state.inject(FaultKind::Rotation);
                let right = Timestamp::from_unix_seconds(state.wall(0));
                let new = state.sites[site].rotate(right);
                state.authors.insert(new.author(), site);
                state.note(format_args!("site {site} has the new key of {}", new.author()));
            }
            let one = &mut state.sites[site];
            one.alive = true;
            one.life += 1;
            let life = one.life;
            let now = state.now;
            state.invariants.emissions.begin(site, life, now);
            state.note(format_args!("site {site} starts life {life}"));
            let held = state.kept_own(site);
            state.check(held);
        }
        let (world, directory) = (Arc::clone(&self.world), self.directory.clone());
        self.executor.spawn(site, live(world, site, directory));
    }

    fn crash(&mut self, site: usize, down: Duration, reformat: bool, rotate: bool) {
        {
            let mut state = self.world.lock();
            if !state.sites[site].alive {
                return;
            }
            let writing = state.sites[site].disk.is_dirty();
            if state.faulty && state.plan.is_on(FaultKind::TornWrite) && !writing && state.random.chance(0.8)
            {
                // Crashes that leave something to find out come while something is written.
                state.sites[site].dies_writing = Some((down, reformat, rotate));
                return;
            }
            state.sites[site].dies_writing = None;
        }
        self.executor.kill(site);
        let node = {
            let mut guard = self.world.lock();
            let state = &mut *guard;
            let one = &mut state.sites[site];
            one.alive = false;
            one.paused = None;
            let dirty = one.disk.is_dirty();
            let torn = qis_packet::planted!(TornBatchTaken) && state.plan.is_on(FaultKind::TornWrite);
            let survived = one.disk.crash(&mut state.random, torn);
            state.inject(FaultKind::Crash);
            if dirty && state.plan.is_on(FaultKind::TornWrite) {
                state.inject(FaultKind::TornWrite);
            }
            state.note(format_args!("site {site} dies"));
            state.committed(site, &survived);
            if reformat {
                state.inject(FaultKind::Reformat);
                let now = state.now;
                let one = &mut state.sites[site];
                one.disk.reformat();
                // A withdrawal that nobody heard of is forgotten with it: the host says something new.
                one.withdrawn = false;
                one.reformatted = Some(now);
            }
            let down = if state.faulty { down } else { SECOND };
            state.after(down, Act::Start { site, rotate });
            state.sites[site].node.take()
        };
        // It may wake somebody, so not under the lock.
        drop(node);
    }

    fn errand(&mut self, site: usize, errand: Errand) {
        let (node, life) = {
            let state = self.world.lock();
            (state.sites[site].node.clone(), state.sites[site].life)
        };
        if let Some(node) = node {
            self.executor.spawn(site, host::run(Arc::clone(&self.world), site, life, node, errand));
        }
    }

    /// Looks at what waits in each node.
    fn look(&self) {
        let (nodes, config) = {
            let state = self.world.lock();
            let nodes: Vec<Option<Node>> = state.sites.iter().map(|site| site.node.clone()).collect();
            (nodes, site::config(state.plan.small))
        };
        for (site, node) in nodes.iter().enumerate() {
            let Some(node) = node else { continue };
            let (queues, overlay) = (node.queues(), node.overlay_stats());
            let standing = node.authors(VECTORS);
            let held = memory::check(site, &config, &queues, standing, overlay.as_ref());
            self.world.lock().check(held);
        }
    }

    /// Faults are over: links, disks and clocks are right, and everybody is up.
    fn heal(&mut self) {
        let (sites, since) = {
            let mut state = self.world.lock();
            state.faulty = false;
            state.cuts.clear();
            state.note(format_args!("faults are over"));
            (state.sites.len(), state.now)
        };
        for site in 0..sites {
            self.resume(site);
            let corrected = {
                let mut state = self.world.lock();
                let corrected = state.sites[site].clock_was_wrong;
                if state.sites[site].was_far_ahead {
                    // What hides provenance begins with the time of the start, so the node has to start anew; deploying.md says so.
                    let (down, reformat, rotate) = (SECOND, false, false);
                    state.after(SECOND, Act::Crash { site, down, reformat, rotate });
                }
                if state.sites[site].ahead != 0 {
                    state.change(Act::Clock { site, ahead: 0 });
                }
                let one = &mut state.sites[site];
                (one.delay, one.disk.full, one.dies_writing) = (Duration::ZERO, false, None);
                corrected
            };
            self.start(site, false);
            // Whoever put the clock right says again what was said by a wrong one; what a store refused is said again everywhere.
            let errands = if corrected {
                &[Errand::Vector { wait: true }, Errand::Evidence][..]
            } else {
                &[Errand::Begin]
            };
            let mut state = self.world.lock();
            for &errand in errands {
                state.after(15 * SECOND, Act::Host { site, errand });
            }
        }
        self.phase = Phase::Healing { since };
        self.world.lock().after(PERIOD, Act::Compare);
    }

    /// Looks whether all sites hold the same of each other.
    fn compare(&mut self) {
        let nodes: Vec<Option<Node>> = self.world.lock().sites.iter().map(|site| site.node.clone()).collect();
        let standing: Vec<[Vec<OutcomePacket>; 2]> = nodes
            .iter()
            .map(|node| {
                [VECTORS, EVIDENCE]
                    .map(|domain| node.as_ref().map(|node| node.standing(domain)).unwrap_or_default())
            })
            .collect();
        let mut state = self.world.lock();
        let all: Vec<Holdings> = standing.iter().map(|of| state.holdings(of)).collect();
        let missing = nodes.iter().position(Option::is_none);
        let difference = match missing {
            Some(site) => Some((format!("site {site} does not start"), 1)),
            None => disagreement(&all).or_else(|| state.undelivered()),
        };
        let (since, serving) = match self.phase {
            Phase::Healing { since } => (since, false),
            Phase::Serving { since } => (since, true),
            Phase::Safety | Phase::Done => return,
        };
        let idle = state.sites.iter().position(|site| !site.serves).filter(|_| serving);
        let difference =
            difference.or_else(|| idle.map(|site| (format!("site {site} does not emit and synthesise"), 1)));
        let passed = state.now.saturating_sub(since);
        let Some((what, count)) = difference else {
            let periods = u32::try_from(passed.as_secs() / PERIOD.as_secs()).unwrap_or(u32::MAX);
            state.note(format_args!("all agree after {periods} periods"));
            if serving {
                self.phase = Phase::Done;
                return;
            }
            self.periods = periods;
            self.phase = Phase::Serving { since: state.now };
            for site in 0..nodes.len() {
                let wait = SECOND.mul_f64(1.0 + 9.0 * state.random.unit());
                state.after(wait, Act::Host { site, errand: Errand::Serve });
            }
            state.after(PERIOD, Act::Compare);
            return;
        };
        state.note(format_args!("{count} differences: {what}"));
        if passed >= PERIOD * MOST_PERIODS {
            let invariant = if serving { "the network serves" } else { "all agree" };
            let what = format!("{MOST_PERIODS} periods on, {what}; {count} such differences");
            state.check(Err(Violation { invariant, what }));
        }
        state.after(PERIOD, Act::Compare);
    }
}

/// A life of a site: builds its node, and drives it until it is dropped.
async fn live(world: Arc<World>, site: usize, directory: MemoryDirectory) {
    let node = loop {
        let (rows, clock) = {
            let state = world.lock();
            (state.rows_in_force(site), state.sites[site].clock())
        };
        match site::build(&world, site, &directory).await {
            Ok(node) => {
                let standing = [VECTORS, EVIDENCE].map(|domain| node.standing(domain)).concat();
                let mut state = world.lock();
                // By a clock that was set meanwhile other rows are in force.
                if state.sites[site].clock() == clock {
                    state.check(lost_rows(site, &rows, &standing));
                }
                drop(state);
                break node;
            }
            Err(error) => {
                world.lock().note(format_args!("site {site} is not built: {error:?}"));
                sleep(&world, 5 * SECOND).await;
            }
        }
    };
    let driver = node.run();
    {
        let mut state = world.lock();
        state.note(format_args!("site {site} runs"));
        state.after(SECOND, Act::Host { site, errand: Errand::Begin });
        state.sites[site].node = Some(node);
    }
    driver.await;
}

impl State {
    /// Changes what is around the sites.
    fn change(&mut self, act: Act) {
        match act {
            Act::Slow { site, delay } => {
                self.sites[site].delay = if self.faulty { delay } else { Duration::ZERO };
                if !delay.is_zero() {
                    self.inject(FaultKind::Slowness);
                }
                self.note(format_args!("site {site} takes {delay:?}"));
            }
            Act::Clock { site, ahead } => {
                let now = self.now;
                let one = &mut self.sites[site];
                one.may_forget |= one.ahead.max(ahead) > FORGETS;
                one.was_far_ahead |= one.ahead.max(ahead) > FORGETS;
                (one.ahead, one.clock_set) = (ahead, now);
                one.clock_was_wrong = true;
                self.inject(FaultKind::Clock);
                self.note(format_args!("the clock of site {site} is {ahead} s ahead"));
            }
            Act::Cut { from, to } => {
                self.cuts.push((from, to));
                self.note(format_args!("the network is cut"));
            }
            Act::Join => {
                self.cuts.clear();
                self.note(format_args!("the network is whole"));
            }
            Act::Full { site, full } => {
                self.sites[site].disk.full = full && self.faulty;
                self.note(format_args!("the disk of site {site} is full: {full}"));
            }
            _ => {}
        }
    }

    /// What a node holds of each site, by domain.
    fn holdings(&self, standing: &[Vec<OutcomePacket>; 2]) -> Holdings {
        let mut holdings = Holdings::new();
        for (domain, packets) in standing.iter().enumerate() {
            for packet in packets {
                if let Some(&of) = self.authors.get(&packet.author()) {
                    holdings.entry((domain, of)).or_default().push(packet.id());
                }
            }
        }
        holdings
    }

    /// The first emission that is in an outbox for longer than any delivery takes.
    fn undelivered(&self) -> Option<(String, usize)> {
        let now = self.wall(0);
        let late = |site: usize| {
            let rows = self.sites[site].disk.rows(Table::Outbox);
            let packets = rows.filter_map(|(_, row)| OutcomePacket::decode(row).ok());
            packets.filter(|packet| packet.time().unix_seconds() + DELIVERY.as_secs() < now).count()
        };
        let (site, count) =
            (0..self.sites.len()).map(|site| (site, late(site))).find(|(_, count)| *count > 0)?;
        Some((format!("site {site} has not delivered what is in its outbox"), count))
    }
}
