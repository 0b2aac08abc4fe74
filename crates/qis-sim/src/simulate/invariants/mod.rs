//! What must hold at each step of every run, a file each, and the facts that they are judged by.
//!
//! An invariant sees what passes a site's ports, which are its transport, its store and its host, and asks the node only what any host may ask.
//! It never looks into a node, so that it holds for the promise and not for the way in which it is kept.

mod agreement;
mod applied_once;
mod authors_rate;
mod durability;
mod emissions;
mod facts;
mod heard;
pub(super) mod influence;
pub(super) mod memory;
mod numbers;
mod origin;
mod own_time;
mod provenance;
mod rates;
mod recipients;
mod restored;
mod sends;
mod unasked;

use std::fmt;
use std::time::Duration;

use qis::{OutcomePacket, PacketId};

pub(super) use agreement::{Holdings, disagreement};
pub(super) use facts::{Facts, Who};
pub(super) use restored::lost_rows;
pub(super) use unasked::check as check_unasked;

use super::plan::Plan;

/// An invariant that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub invariant: &'static str,
    /// What was seen instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// `Ok` if it holds, else the violation with its words.
pub(super) fn holds(
    invariant: &'static str,
    holds: bool,
    what: impl FnOnce() -> String,
) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation { invariant, what: what() }) }
}

/// A packet that became durable at a site.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stored<'a> {
    pub(super) site: usize,
    pub(super) life: u64,
    /// Of the site's disk.
    pub(super) generation: u32,
    pub(super) now: Duration,
    /// What the site's clock on the wall shows.
    pub(super) wall: u64,
    /// Whether that clock was not set lately, so that the site judged the packet by the same time.
    pub(super) steady: bool,
    /// Whether the site's clock was ever wrong.
    pub(super) wrong_clock: bool,
    /// Whether the site may have forgotten what it applied, since its clock was long ahead.
    pub(super) may_forget: bool,
    pub(super) who: Who,
    /// Whether the author has changed its key, so that what stands under one may be put under the other.
    pub(super) rotated: bool,
    pub(super) packet: &'a OutcomePacket,
    pub(super) id: PacketId,
}

/// All invariants that remember something, and the facts.
#[derive(Debug)]
pub(super) struct Invariants {
    pub(super) facts: Facts,
    applied_once: applied_once::AppliedOnce,
    authors_rate: authors_rate::AuthorsRate,
    pub(super) durability: durability::Durability,
    pub(super) emissions: emissions::Emissions,
    pub(super) heard: heard::Heard,
    numbers: numbers::Numbers,
    own_time: own_time::OwnTime,
    pub(super) provenance: provenance::Provenance,
    pub(super) rates: rates::Rates,
    pub(super) sends: sends::Sends,
}

impl Invariants {
    pub(super) fn new(plan: &Plan) -> Self {
        let config = super::site::config(plan.small);
        Self {
            facts: Facts::default(),
            applied_once: applied_once::AppliedOnce::default(),
            authors_rate: authors_rate::AuthorsRate::new(config.author_rate),
            durability: durability::Durability::default(),
            emissions: emissions::Emissions::default(),
            heard: heard::Heard::default(),
            numbers: numbers::Numbers::default(),
            own_time: own_time::OwnTime::default(),
            provenance: provenance::Provenance::default(),
            rates: rates::Rates::new(&config),
            sends: sends::Sends::new(config.attempts),
        }
    }

    /// A packet of the site's own is durable for the first time.
    pub(super) fn own(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        self.facts.emitted(stored);
        self.numbers.check(stored)?;
        self.own_time.check(stored)?;
        self.provenance.check(stored)?;
        self.emissions.check(stored)
    }

    /// A packet of somebody else is durable.
    pub(super) fn applied(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        origin::check(&self.facts, stored)?;
        self.authors_rate.check(stored)?;
        self.applied_once.check(stored)
    }
}
