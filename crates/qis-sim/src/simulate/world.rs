//! What all sites share: virtual time, what is going to happen, and what is known of everybody.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use qis::{Address, AuthorId};

use super::fault::{FaultCounts, FaultKind};
use super::invariants::{Invariants, Violation};
use super::liars::Liars;
use super::plan::{Act, Plan, stream};
use super::site::Site;
use super::trace::Trace;
use crate::Rng;

/// The right time at the start of a run, in seconds since 1970: some day of 2026.
pub(super) const START: u64 = 1_795_000_000;
const STREAM_OF_NETWORK: u64 = 3;
/// Frames that somebody wrote down on their way, for replays and lies.
const MOST_CAPTURED: usize = 128;

/// When something happens, and which of those that happen then it is.
pub(super) type Due = (Duration, u64);

/// A frame on its way.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) from: Address,
    pub(super) to: usize,
    pub(super) bytes: Arc<[u8]>,
    /// Whether a liar made it, and how.
    pub(super) lie: Option<FaultKind>,
}

/// What is going to happen.
#[derive(Debug)]
pub(super) enum Event {
    Wake(Waker),
    Frame(Frame),
    Act(Act),
}

/// What all sites share.
pub(super) struct World(Mutex<State>);

/// What its lock protects. Nobody calls a node while holding it.
pub(super) struct State {
    pub(super) now: Duration,
    queue: BTreeMap<Due, Event>,
    count: u64,
    pub(super) plan: Plan,
    /// Whether faults are injected: until the network is left to heal.
    pub(super) faulty: bool,
    pub(super) liars: Liars,
    /// What befalls frames and disks.
    pub(super) random: Rng,
    pub(super) sites: Vec<Site>,
    pub(super) places: BTreeMap<Address, usize>,
    pub(super) authors: BTreeMap<AuthorId, usize>,
    pub(super) cuts: Vec<(Vec<bool>, Vec<bool>)>,
    pub(super) captured: VecDeque<Frame>,
    pub(super) trace: Trace,
    pub(super) faults: FaultCounts,
    pub(super) invariants: Invariants,
    /// The first invariant that did not hold.
    pub(super) violation: Option<Violation>,
}

impl World {
    pub(super) fn new(plan: Plan, trace: Trace) -> Arc<Self> {
        let sites: Vec<Site> = (0..plan.sites).map(|index| Site::new(&plan, index)).collect();
        let places = sites.iter().enumerate().map(|(at, site)| (site.address.clone(), at)).collect();
        let authors = sites.iter().enumerate().map(|(at, site)| (site.identity().author(), at)).collect();
        let mut state = State {
            now: Duration::ZERO,
            queue: BTreeMap::new(),
            count: 0,
            faulty: true,
            liars: Liars::new(&plan),
            random: stream(plan.seed, STREAM_OF_NETWORK),
            invariants: Invariants::new(&plan),
            plan,
            sites,
            places,
            authors,
            cuts: Vec::new(),
            captured: VecDeque::new(),
            trace,
            faults: FaultCounts::new(),
            violation: None,
        };
        for (at, act) in std::mem::take(&mut state.plan.acts) {
            state.schedule(at, Event::Act(act));
        }
        Arc::new(Self(Mutex::new(state)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn schedule(&mut self, at: Duration, event: Event) -> Due {
        self.count += 1;
        let due = (at.max(self.now), self.count);
        self.queue.insert(due, event);
        due
    }

    pub(super) fn after(&mut self, wait: Duration, act: Act) {
        self.schedule(self.now + wait, Event::Act(act));
    }

    /// Has another waker woken at a time that is set already.
    pub(super) fn set_waker(&mut self, due: Due, waker: Waker) {
        self.queue.insert(due, Event::Wake(waker));
    }

    pub(super) fn cancel(&mut self, due: Due) {
        self.queue.remove(&due);
    }

    /// Goes on to what happens next, unless that is after `end`.
    pub(super) fn next(&mut self, end: Duration) -> Option<Event> {
        let first = self.queue.first_entry().filter(|first| first.key().0 <= end)?;
        self.now = first.key().0;
        Some(first.remove())
    }

    pub(super) fn note(&mut self, what: fmt::Arguments<'_>) {
        self.trace.note(self.now, what);
    }

    pub(super) fn inject(&mut self, kind: FaultKind) {
        *self.faults.entry(kind).or_default() += 1;
    }

    /// Takes note of an invariant that does not hold; the first one counts.
    pub(super) fn check(&mut self, held: Result<(), Violation>) {
        if let Err(violation) = held {
            self.trace.note(self.now, format_args!("VIOLATION {violation}"));
            self.violation.get_or_insert(violation);
        }
    }

    /// Whether a draw of the network's says so, while faults last.
    pub(super) fn befalls(&mut self, kind: FaultKind, share: f64) -> bool {
        // Nothing is drawn for what never happens.
        let befalls = self.faulty && share > 0.0 && self.random.chance(share);
        if befalls {
            self.inject(kind);
        }
        befalls
    }

    /// What a clock on the wall shows that is so many seconds ahead.
    pub(super) fn wall(&self, ahead: i64) -> u64 {
        (START + self.now.as_secs()).saturating_add_signed(ahead)
    }

    /// Remembers a frame that was seen on its way.
    pub(super) fn capture(&mut self, frame: &Frame) {
        if self.captured.len() >= MOST_CAPTURED {
            self.captured.pop_front();
        }
        self.captured.push_back(frame.clone());
    }

    pub(super) fn is_cut(&self, from: &Address, to: usize) -> bool {
        if self.cuts.is_empty() {
            return false;
        }
        let Some(&from) = self.places.get(from) else { return false };
        self.cuts.iter().any(|(a, b)| a[from] && b[to])
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").finish_non_exhaustive()
    }
}
