//! What a seed asks for: the sites, how they are set up, and what befalls them when.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::fault::FaultKind;
use super::settings::Settings;
use crate::Rng;

/// What is done at a time of its own.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A site starts; with a new key if it has to.
    Start {
        site: usize,
        rotate: bool,
    },
    /// A site dies, and what was not synced with it. It comes back after a while.
    Crash {
        site: usize,
        down: Duration,
        reformat: bool,
        rotate: bool,
    },
    /// A site stands still.
    Pause {
        site: usize,
        pause: Duration,
    },
    Resume {
        site: usize,
    },
    /// A site's transport and disk take so long.
    Slow {
        site: usize,
        delay: Duration,
    },
    /// The wall clock of a site is so many seconds ahead of the right time.
    Clock {
        site: usize,
        ahead: i64,
    },
    /// No frame passes from some to others.
    Cut {
        from: Vec<bool>,
        to: Vec<bool>,
    },
    /// All cuts are over.
    Join,
    /// There is no room on a site's disk, or there is again.
    Full {
        site: usize,
        full: bool,
    },
    /// A site's host does something.
    Host {
        site: usize,
        errand: Errand,
    },
    /// A liar does something.
    Lie {
        kind: FaultKind,
    },
    /// Looks at the queues and tables of all sites.
    Look,
    /// Faults are over.
    Heal,
    /// Looks whether all sites agree.
    Compare,
}

/// What a host does with its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Errand {
    /// States again what has no standing packet, after a start.
    Begin,
    /// Emits what it makes of its last synthesis of vectors, and waits for the receipt or for durability only.
    Vector { wait: bool },
    /// Emits what is no observation.
    Derived,
    /// Emits evidence of more records.
    Evidence,
    /// Synthesises vectors or evidence.
    Synthesize { evidence: bool },
    /// Withdraws its vector.
    Retract,
    /// Asks for what it missed.
    CatchUp,
    /// Emits what it observes, and has a synthesis: what every site must be able to do once faults are over.
    Serve,
}

/// The shares and sizes of a seed's faults.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    pub(super) loss: f64,
    pub(super) duplication: f64,
    pub(super) replay: f64,
    pub(super) reordering: f64,
    pub(super) bit_flip: f64,
    pub(super) refused_send: f64,
    pub(super) failed_write: f64,
    pub(super) failed_sync: f64,
    pub(super) directory: f64,
}

/// All that a seed asks for.
pub(super) struct Plan {
    pub(super) seed: u64,
    pub(super) sites: usize,
    /// Whether sites find each other by the overlay; else by a directory of all.
    pub(super) overlay: bool,
    /// Whether nodes have the bounds of a small memory.
    pub(super) small: bool,
    /// Dimensions of the fingerprints of texts.
    pub(super) dims: usize,
    /// The largest frame that the network carries.
    pub(super) max_frame: usize,
    /// How long faults last.
    pub(super) safety: Duration,
    /// The clocks at the start, in seconds ahead of the right time.
    pub(super) ahead: Vec<i64>,
    pub(super) rates: Rates,
    pub(super) enabled: BTreeSet<FaultKind>,
    pub(super) acts: Vec<(Duration, Act)>,
}

/// The numbers of a seed for one purpose, whatever is drawn for others.
pub(super) fn stream(seed: u64, purpose: u64) -> Rng {
    let base = Rng::new(seed).next();
    let mut rng = Rng::new(base ^ purpose.wrapping_mul(0xd134_2543_de82_ef95));
    rng.next();
    rng
}

const STREAM_OF_SETUP: u64 = 1;
const STREAM_OF_HOSTS: u64 = 2;
const STREAM_OF_FAULTS: u64 = 100;

const SECOND: Duration = Duration::from_secs(1);
/// Before this nothing befalls anybody: sites start and find each other.
const CALM: u64 = 30;
/// A node of little memory asks for so many packets of a domain, those of two liars among them, and for no more.
const MOST_SMALL: usize = 28;
/// Seconds between two looks at queues and tables.
const LOOK_EVERY: usize = 15;
const YEAR: i64 = 365 * 24 * 3600;

impl Plan {
    pub(super) fn new(settings: &Settings) -> Self {
        let seed = settings.seed;
        let mut setup = stream(seed, STREAM_OF_SETUP);
        let (least, most) = (*settings.nodes.start(), *settings.nodes.end());
        let sites = usize::from(least) + setup.below(usize::from(most.saturating_sub(least)) + 1);
        let safety = SECOND * u32::try_from(240 + setup.below(240)).unwrap_or(240);
        let overlay = setup.chance(0.4);
        let enabled = FaultKind::ALL.iter().copied();
        let enabled: BTreeSet<FaultKind> =
            enabled.filter(|kind| setup.chance(0.6) && !settings.without.contains(kind)).collect();
        let mut plan = Self {
            seed,
            sites,
            overlay,
            // Nodes of little memory do not want all packets of more.
            small: setup.chance(0.4) && sites <= MOST_SMALL,
            dims: if setup.chance(0.5) { 16 } else { 96 },
            // What an overlay says does not fit into few parts.
            max_frame: if setup.chance(0.8) || overlay { 16_384 } else { 256 },
            safety,
            ahead: vec![0; sites],
            rates: Rates::default(),
            enabled,
            acts: Vec::new(),
        };
        plan.draw_rates();
        plan.draw_clocks();
        plan.draw_hosts();
        plan.draw_episodes();
        plan.draw_lies();
        let looks = (0..plan.safety.as_secs()).step_by(LOOK_EVERY).map(Duration::from_secs);
        plan.acts.extend(looks.map(|at| (at, Act::Look)));
        plan.acts.push((plan.safety, Act::Heal));
        plan
    }

    pub(super) fn is_on(&self, kind: FaultKind) -> bool {
        self.enabled.contains(&kind)
    }

    fn faults(&self, kind: FaultKind) -> Option<Rng> {
        self.is_on(kind).then(|| stream(self.seed, STREAM_OF_FAULTS + kind as u64))
    }

    fn share(&self, kind: FaultKind, most: f64) -> f64 {
        self.faults(kind).map_or(0.0, |mut rng| rng.unit() * most)
    }

    fn draw_rates(&mut self) {
        self.rates = Rates {
            loss: self.share(FaultKind::Loss, 0.3),
            duplication: self.share(FaultKind::Duplication, 0.3),
            replay: self.share(FaultKind::Replay, 0.2),
            reordering: self.share(FaultKind::Reordering, 0.2),
            bit_flip: self.share(FaultKind::BitFlip, 0.02),
            refused_send: self.share(FaultKind::RefusedSend, 0.1),
            failed_write: self.share(FaultKind::FailedWrite, 0.1),
            failed_sync: self.share(FaultKind::FailedSync, 0.004),
            directory: self.share(FaultKind::Directory, 0.3),
        };
    }

    /// A time while faults last.
    fn time(&self, rng: &mut Rng) -> Duration {
        let span = usize::try_from(self.safety.as_secs() - CALM).unwrap_or_default();
        SECOND * u32::try_from(CALM as usize + rng.below(span)).unwrap_or_default()
            + Duration::from_millis(rng.below(1000) as u64)
    }

    fn add(&mut self, at: Duration, act: Act) {
        if at < self.safety {
            self.acts.push((at, act));
        }
    }

    fn draw_clocks(&mut self) {
        let Some(mut rng) = self.faults(FaultKind::Clock) else { return };
        for site in 0..self.sites {
            if rng.chance(0.2) {
                self.ahead[site] = Self::wrong_clock(&mut rng);
            }
            if rng.chance(0.15) {
                let at = self.time(&mut rng);
                let ahead = Self::wrong_clock(&mut rng);
                self.add(at, Act::Clock { site, ahead });
                if rng.chance(0.5) {
                    let right = at + seconds(&mut rng, 20, 200);
                    self.add(right, Act::Clock { site, ahead: 0 });
                }
            }
        }
    }

    /// Some minutes, an hour, days or a year, ahead or behind.
    fn wrong_clock(rng: &mut Rng) -> i64 {
        let most = [300, 3600, 3 * 24 * 3600, YEAR][rng.below(4)];
        let size = i64::try_from(rng.below(usize::try_from(most).unwrap_or_default())).unwrap_or_default();
        if rng.chance(0.5) { size } else { -size }
    }

    fn draw_hosts(&mut self) {
        let mut rng = stream(self.seed, STREAM_OF_HOSTS);
        for site in 0..self.sites {
            let start = Duration::from_millis(rng.below(15_000) as u64);
            self.acts.push((start, Act::Start { site, rotate: false }));
            let mut at = start + seconds(&mut rng, 20, 120);
            while at < self.safety {
                let errand = match rng.below(20) {
                    0..7 => Errand::Vector { wait: rng.chance(0.7) },
                    7 => Errand::Derived,
                    8..10 => Errand::Evidence,
                    10..15 => Errand::Synthesize { evidence: false },
                    15..17 => Errand::Synthesize { evidence: true },
                    17 => Errand::Retract,
                    _ => Errand::CatchUp,
                };
                self.acts.push((at, Act::Host { site, errand }));
                at += seconds(&mut rng, 15, 60);
            }
        }
    }

    fn draw_episodes(&mut self) {
        if let Some(mut rng) = self.faults(FaultKind::Partition) {
            for _ in 0..=rng.below(3) {
                let sides: Vec<bool> = (0..self.sites).map(|_| rng.chance(0.4)).collect();
                let others: Vec<bool> = sides.iter().map(|side| !side).collect();
                let at = self.time(&mut rng);
                if rng.chance(0.5) {
                    self.add(at, Act::Cut { from: others.clone(), to: sides.clone() });
                }
                self.add(at, Act::Cut { from: sides, to: others });
                self.add(at + seconds(&mut rng, 30, 180), Act::Join);
            }
        }
        if let Some(mut rng) = self.faults(FaultKind::Pause) {
            for site in 0..self.sites {
                if rng.chance(0.3) {
                    let (at, pause) = (self.time(&mut rng), seconds(&mut rng, 2, 60));
                    self.add(at, Act::Pause { site, pause });
                }
            }
        }
        if let Some(mut rng) = self.faults(FaultKind::Slowness) {
            for site in 0..self.sites {
                if rng.chance(0.15) {
                    let at = self.time(&mut rng);
                    let delay = Duration::from_millis(200 + rng.below(3000) as u64);
                    self.add(at, Act::Slow { site, delay });
                    self.add(at + seconds(&mut rng, 30, 120), Act::Slow { site, delay: Duration::ZERO });
                }
            }
        }
        if let Some(mut rng) = self.faults(FaultKind::DiskFull) {
            for site in 0..self.sites {
                if rng.chance(0.15) {
                    let at = self.time(&mut rng);
                    self.add(at, Act::Full { site, full: true });
                    self.add(at + seconds(&mut rng, 10, 120), Act::Full { site, full: false });
                }
            }
        }
        self.draw_crashes();
    }

    fn draw_crashes(&mut self) {
        let Some(mut rng) = self.faults(FaultKind::Crash) else { return };
        let mut reformats = self.faults(FaultKind::Reformat);
        let mut rotations = self.faults(FaultKind::Rotation);
        for site in 0..self.sites {
            for _ in 0..rng.below(3) {
                let (at, down) = (self.time(&mut rng), seconds(&mut rng, 1, 60));
                let happens = |of: &mut Option<Rng>, share| of.as_mut().is_some_and(|rng| rng.chance(share));
                let (reformat, rotate) = (happens(&mut reformats, 0.3), happens(&mut rotations, 0.15));
                self.add(at, Act::Crash { site, down, reformat, rotate });
            }
        }
    }

    fn draw_lies(&mut self) {
        use FaultKind::{Flood, Forgery, Garbage, Inflation, OtherNetwork, Spoofing, WrongTime};
        for (kind, most) in [
            (Forgery, 10),
            (OtherNetwork, 6),
            (Spoofing, 12),
            (Garbage, 10),
            (Flood, 2),
            (Inflation, 6),
            (WrongTime, 4),
        ] {
            let Some(mut rng) = self.faults(kind) else { continue };
            for _ in 0..=rng.below(most) {
                let at = self.time(&mut rng);
                self.add(at, Act::Lie { kind });
            }
        }
    }
}

/// The set-up, on one line; what happens when is told when it does.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, sites, overlay, small, dims, max_frame, safety, ahead, rates, enabled, acts: _ } =
            self;
        write!(f, "seed {seed}, {sites} sites, overlay {overlay}, small {small}, {dims} dimensions, ")?;
        write!(f, "frames of {max_frame}, faults for {safety:?}: {enabled:?}, {rates:?}, clocks {ahead:?}")
    }
}

fn seconds(rng: &mut Rng, least: usize, most: usize) -> Duration {
    Duration::from_millis((least * 1000 + rng.below((most - least) * 1000)) as u64)
}
