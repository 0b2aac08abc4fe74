//! Anti-entropy: what did not get here is asked for, by the clock.

use std::collections::BTreeMap;
use std::time::Duration;

use qis_fingerprint::Fingerprint;
use qis_packet::{DomainTag, MAX_PACKET_BYTES, Timestamp, planted};

use super::message::{EVERY_SIMILARITY, Query};
use super::pull::{Pull, Purpose};
use super::router::{Asker, Timer};
use super::{ConfigError, FRAME_OVERHEAD, PayloadDecoder, Router};
use crate::draw::take_any;
use crate::{Address, HostError, Moment, Peer};

/// How many neighbours that a later look-up did not find are remembered: the other side of a partition is among them.
const MOST_FORMER: usize = 32;
/// And how many of those that asked this node in a period.
const MOST_ASKERS: usize = 32;
/// A domain's neighbours are looked up anew after this.
const LOOK_EVERY: Duration = Duration::from_secs(30 * 60);
/// And after this, when there are none, or none of them answers.
const LOOK_AGAIN: Duration = Duration::from_secs(5 * 60);

/// How a node repairs what it missed: now and then it asks some of its neighbours what they hold that it does not.
///
/// Each pair of nodes that find each other similar agrees after some periods, however much was lost between them: after a partition, a
/// time off the network, or a push to nodes that were not running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// How often, a second to a day; a minute by default, each time a fifth more or less.
    pub every: Duration,
    /// How many nodes are asked in each domain, 1 to 16; 3 by default. One of two is a former neighbour, if there are any, which is how the sides of a
    /// partition find each other again; one of three has asked this node, so that what a node that nobody is similar to holds gets about
    /// too.
    pub peers: u8,
    /// The bytes of queries and answers in a period at most, over all domains and without the parity of parts: at least those of one query and its
    /// [answers](super::RouterConfig::answer_packets), 4,991 by default; 64 KiB by default. A node that missed much goes on asking within them, and in the next
    /// period.
    pub bytes: usize,
    /// How many packets of a domain to ask for: once a node holds as many, only ones more similar to it than all but so many; 256 by
    /// default. More than [`authors_per_domain`](super::RouterConfig::authors_per_domain) do not fit.
    pub packets: usize,
}

impl SyncConfig {
    pub(super) fn validate(&self, answer_packets: u8) -> Result<(), ConfigError> {
        let refuse = |field, problem| Err(ConfigError { field, problem });
        if !(Duration::from_secs(1)..=Duration::from_secs(24 * 3600)).contains(&self.every) {
            refuse("sync.every", "must be a second to a day")
        } else if !(1..=16).contains(&self.peers) {
            refuse("sync.peers", "must be 1 to 16")
        } else if self.bytes < cost_of_asking(answer_packets) {
            refuse("sync.bytes", "must have room for a query and its answers")
        } else if self.packets == 0 {
            refuse("sync.packets", "must be at least 1")
        } else {
            Ok(())
        }
    }
}

/// The bytes of a query and of as many answers as it asks for, at the most.
fn cost_of_asking(answer_packets: u8) -> usize {
    Query::MAX_BYTES + usize::from(answer_packets) * (FRAME_OVERHEAD + MAX_PACKET_BYTES)
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self { every: Duration::from_secs(60), peers: 3, bytes: 64 * 1024, packets: 256 }
    }
}

/// Whom a node asks, and what it may spend.
#[derive(Debug, Default)]
pub(super) struct Sync {
    neighbours: BTreeMap<DomainTag, Neighbours>,
    /// The bytes that are left of this period.
    left: usize,
    /// Domains for which there were none left: the first to have what others do not use, and to be asked for in the next period.
    waiting: Vec<DomainTag>,
}

#[derive(Debug, Default)]
struct Neighbours {
    /// As the last look-up found them.
    current: Vec<Address>,
    /// Those that it did not find any more, the latest first.
    former: Vec<Address>,
    /// Who asked this node since the last period.
    askers: Vec<Address>,
    looked_up: Option<Duration>,
    looking: bool,
    /// Whether none of those asked last answered.
    silent: bool,
}

impl Sync {
    /// Takes note of whom a look-up found.
    pub(super) fn learn(&mut self, now: Moment, domain: DomainTag, found: &[Peer]) {
        let neighbours = self.neighbours.entry(domain).or_default();
        let current: Vec<Address> = found.iter().map(|peer| peer.address.clone()).collect();
        if current.is_empty() {
            return;
        }
        neighbours.looked_up = Some(now.elapsed);
        let before = std::mem::replace(&mut neighbours.current, current);
        let former = std::mem::take(&mut neighbours.former);
        let gone = before.into_iter().chain(former).filter(|one| !neighbours.current.contains(one));
        neighbours.former = gone.take(MOST_FORMER).collect();
    }

    /// Takes note of who asked for packets of a domain, and is no neighbour.
    pub(super) fn asked_by(&mut self, domain: DomainTag, from: &Address) {
        let Some(neighbours) = self.neighbours.get_mut(&domain) else { return };
        let Neighbours { current, former, askers, .. } = neighbours;
        let is_known = [&*current, &*former, &*askers].iter().any(|known| known.contains(from));
        if !is_known && askers.len() < MOST_ASKERS {
            askers.push(from.clone());
        }
    }
}

impl Neighbours {
    fn is_stale(&self, now: Moment) -> bool {
        // Somebody who asked may answer where no neighbour was found.
        let wait = if self.silent || self.current.is_empty() { LOOK_AGAIN } else { LOOK_EVERY };
        self.looked_up.is_none_or(|at| now.elapsed >= at.saturating_add(wait))
    }

    /// Some of them.
    fn choose(&mut self, count: usize, mut random: impl FnMut() -> u64) -> Vec<Address> {
        let mut draw = |from: &[Address], count: usize| {
            let mut rest: Vec<&Address> = from.iter().collect();
            (0..count).map_while(|_| take_any(&mut rest, &mut random).cloned()).collect::<Vec<_>>()
        };
        let mut chosen = draw(&self.former, usize::from(count > 1));
        let askers = std::mem::take(&mut self.askers);
        chosen.extend(draw(&askers, usize::from(chosen.len() + 1 < count || self.current.is_empty())));
        chosen.extend(draw(&self.current, count.saturating_sub(chosen.len())));
        chosen
    }
}

impl<D: PayloadDecoder> Router<D> {
    /// Sets the timer of the next period; the first one comes any time in it, so that nodes that start together do not ask together.
    pub(super) fn set_sync(&mut self, now: Moment, first: bool) {
        let Some(every) = self.config.sync.as_ref().map(|sync| sync.every) else { return };
        let share = u32::try_from(self.nonces.next() % 401).unwrap_or(200);
        let permille = if first { share * 5 / 2 } else { 800 + share };
        self.timers.set(now.elapsed.saturating_add(every / 1000 * permille), Timer::Sync);
    }

    /// A period begins.
    pub(super) fn sync_due(&mut self, now: Moment) {
        let Some(bytes) = self.config.sync.as_ref().map(|sync| sync.bytes) else { return };
        self.sync.left = bytes;
        if !planted!(SyncOnce) {
            self.set_sync(now, false);
        }
        let mut domains: Vec<DomainTag> = self.announced_domains().collect();
        self.sync.neighbours.retain(|domain, _| domains.contains(domain));
        let waiting = std::mem::take(&mut self.sync.waiting);
        domains.sort_by_key(|domain| !waiting.contains(domain));
        for domain in domains {
            let neighbours = self.sync.neighbours.entry(domain).or_default();
            if neighbours.is_stale(now) && !neighbours.looking {
                neighbours.looking = true;
                neighbours.looked_up = Some(now.elapsed);
                if let Some(fingerprint) = self.announced(domain).cloned() {
                    self.look_up(now, Asker::Sync(domain), fingerprint, self.selection(domain));
                }
            } else {
                self.sync_domain(now, domain);
            }
        }
    }

    pub(super) fn found_neighbours(
        &mut self,
        now: Moment,
        domain: DomainTag,
        result: &Result<Vec<Peer>, HostError>,
    ) {
        if let Some(neighbours) = self.sync.neighbours.get_mut(&domain) {
            neighbours.looking = false;
            // Those of earlier look-ups are asked on; this one found nobody, so the next one comes sooner.
            neighbours.silent |= result.as_ref().map_or(true, Vec::is_empty);
        }
        self.sync_domain(now, domain);
    }

    /// Asks some of a domain's neighbours.
    fn sync_domain(&mut self, now: Moment, domain: DomainTag) {
        let room = self.room_to_sync(domain);
        let neighbours = self.sync.neighbours.get_mut(&domain);
        let (Some(config), Some(neighbours)) = (&self.config.sync, neighbours) else { return };
        // Who has asked is forgotten once it is drawn, so nobody is drawn who can't be asked.
        if room > 0 {
            let nonces = &mut self.nonces;
            let chosen = neighbours.choose(room.min(config.peers.into()), || nonces.next());
            self.sync_with(now, domain, chosen);
        }
    }

    /// How many nodes may be asked in a domain now: as many as the period has bytes for, and none while others are being asked there. Where there are no
    /// bytes, the domain waits for its turn.
    fn room_to_sync(&mut self, domain: DomainTag) -> usize {
        if self.pulls.values().any(|pull| pull.purpose == Purpose::Sync && pull.domain == domain) {
            return 0;
        }
        let room = self.sync.left / cost_of_asking(self.config.answer_packets);
        if room == 0 && !self.sync.waiting.contains(&domain) && !planted!(FirstDomainOnly) {
            self.sync.waiting.push(domain);
        }
        room
    }

    /// Asks these, for whom there is room, for what they hold.
    fn sync_with(&mut self, now: Moment, domain: DomainTag, peers: Vec<Address>) {
        let Some(fingerprint) = self.announced(domain).cloned() else { return };
        if peers.is_empty() {
            return;
        }
        self.sync.left =
            self.sync.left.saturating_sub(peers.len() * cost_of_asking(self.config.answer_packets));
        let fingerprint = self.compact(fingerprint);
        let above = self.least_similarity(domain, &fingerprint, now.wall);
        self.pull_from(now, Pull::new(domain, fingerprint, Purpose::Sync).above(above), peers);
    }

    /// Only packets above this similarity are wanted, when as many as are to be asked for are here.
    fn least_similarity(&self, domain: DomainTag, fingerprint: &Fingerprint, now: Timestamp) -> i8 {
        let wanted = self.config.sync.as_ref().map_or(usize::MAX, |sync| sync.packets);
        let mut held: Vec<i8> = self
            .inbox
            .in_force(domain, now)
            .map(|(_, standing)| Query::similarity(fingerprint, standing.packet().fingerprint()))
            .collect();
        if held.len() < wanted {
            return EVERY_SIMILARITY;
        }
        held.sort_unstable_by(|a, b| b.cmp(a));
        wanted.checked_sub(1).and_then(|last| held.get(last)).copied().unwrap_or(EVERY_SIMILARITY)
    }

    /// The answers are here, or there is no more time: goes on with those that had some, if any of it was new.
    pub(super) fn synced(&mut self, now: Moment, pull: &Pull) {
        let spent: usize = pull.asked.iter().map(|asked| asked.bytes).sum();
        let reserved = pull.asked.len() * cost_of_asking(self.config.answer_packets);
        self.sync.left = self.sync.left.saturating_add(reserved.saturating_sub(spent));
        self.stats.synced = self.stats.synced.saturating_add(pull.result.applied as u64);
        if let Some(neighbours) = self.sync.neighbours.get_mut(&pull.domain) {
            neighbours.silent = !pull.asked.iter().any(|asked| asked.total.is_some());
        }
        // Those that had no turn yet come before one that would have another.
        for domain in std::mem::take(&mut self.sync.waiting) {
            self.sync_domain(now, domain);
        }
        if pull.result.applied == 0 {
            return;
        }
        let had_some = pull.asked.iter().filter(|asked| asked.total.is_some_and(|total| total > 0));
        let mut peers: Vec<Address> = had_some.map(|asked| asked.address.clone()).collect();
        if !peers.is_empty() {
            peers.truncate(self.room_to_sync(pull.domain));
            self.sync_with(now, pull.domain, peers);
        }
    }
}
