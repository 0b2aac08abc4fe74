//! A node, and the load on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use qis::memory::Network;
use qis::{Domain, Identity, Node, NodeBuilder, Rate, RouterConfig, Stats, Verdict};

use super::authors::{Ahead, Authors, DIMS, DOMAIN, MAKER, Maker, network};
use super::error::LoadError;
use super::flood::Flood;
use super::histogram::Histogram;
use super::kept::Kept;
use super::replies::{FIRST, FLOOD, Replies};
use super::schedule::Schedule;
use super::{Sample, process, set_nonce};
use crate::progress::Progress;

/// Frames that are handed in before the node's other work has its turn, as many as a socket's buffer might give at once.
const AT_ONCE: u32 = 64;
/// How long to sleep when nothing is due: what the timer can do.
const TICK: Duration = Duration::from_millis(1);
/// How long the last acknowledgements may take.
const LAST: Duration = Duration::from_secs(30);
/// Of what each author is expected to send, so much more is let through.
const MARGIN: f64 = 2.0;

/// What is to be done to the node.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Packets a second; `None` for as many as it takes.
    pub(super) rate: Option<u32>,
    pub(super) length: Duration,
    pub(super) authors: usize,
    pub(super) strangers: usize,
    /// Frames of strangers a second.
    pub(super) flood: u64,
    pub(super) burst: u32,
    /// Packets that are not kept yet, when there is no rate.
    pub(super) in_flight: u64,
    pub(super) kept: Kept,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) window: Duration,
    /// Packets that were due.
    pub(super) due: u64,
    /// Packets that were handed in.
    pub(super) packets: u64,
    /// Frames of strangers that were.
    pub(super) flood: u64,
    pub(super) kept: u64,
    pub(super) kept_in_window: u64,
    /// Of the node and its store, in the window.
    pub(super) processor_seconds: Option<f64>,
    pub(super) latency: Histogram,
    pub(super) samples: Vec<Sample>,
    pub(super) stats: Stats,
    /// How long there was no packet ready although one was due.
    pub(super) starved: Duration,
    /// Authors whose newest packet a node that is built on the store has.
    pub(super) recovered: u64,
}

pub(super) fn run(plan: &Plan) -> Result<Measured, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(LoadError::Runtime)?.block_on(measure(plan))
}

async fn measure(plan: &Plan) -> Result<Measured, LoadError> {
    let authors = Arc::new(Authors::new("author", plan.authors)?);
    let flood = Flood::new(&authors, Authors::new("stranger", plan.strangers)?, FLOOD)?;
    let replies = Replies::new("node".parse().map_err(|_| LoadError::Authors)?);
    let node = builder(plan, &replies)?.store(plan.kept.open()?).start().await?;
    let newest = vec![0; authors.len()];
    let mut drive = Drive { plan, node, authors, replies, flood, newest, counts: Counts::default() };
    drive.introduce().await?;

    let mut maker = Maker::start(Arc::clone(&drive.authors))?;
    maker.fill().await;
    let used = process::processor_seconds(MAKER);
    let start = drive.replies.start();
    let mut samples = Samples::new(plan.length);
    drive.load(start, &mut maker, &mut samples).await?;
    let window = start.elapsed();
    let processor_seconds =
        process::processor_seconds(MAKER).zip(used).map(|(after, before)| (after - before).max(0.0));
    let kept_in_window = drive.replies.tally().kept;
    drop(maker);

    drive.drain().await?;
    let Drive { node, authors, replies, newest, counts, .. } = drive;
    let stats = node.stats();
    node.shutdown().await;
    // The last handle, so that a file is closed and can be opened again.
    drop(node);
    let recovered = plan.kept.recovered(builder(plan, &replies)?, &authors, &newest).await?;
    let (kept, latency) = {
        let tally = replies.tally();
        (tally.kept, tally.latency.clone())
    };
    let due = match plan.rate {
        Some(rate) => Schedule::new(rate.into(), plan.burst.into()).before(plan.length),
        None => counts.packets,
    };
    let measured = Measured {
        window,
        due,
        packets: counts.packets,
        flood: counts.flood,
        kept,
        kept_in_window,
        processor_seconds,
        latency,
        samples: samples.finish(),
        stats,
        starved: counts.starved,
        recovered,
    };
    measured.check(plan.authors as u64, counts.applied)?;
    Ok(measured)
}

/// A node with room and rates for this load, and otherwise as it is by default.
fn builder(plan: &Plan, replies: &Replies) -> Result<NodeBuilder, LoadError> {
    let default = RouterConfig::default();
    let rate = |known: Rate| match plan.rate {
        None => Rate { per_second: 1e9, burst: u32::MAX },
        Some(rate) => {
            let each = f64::from(rate) / plan.authors.max(1) as f64;
            let at_once = plan.burst.div_ceil(u32::try_from(plan.authors).unwrap_or(u32::MAX).max(1));
            Rate {
                per_second: known.per_second.max(MARGIN * each),
                burst: known.burst.max(at_once.saturating_mul(2)),
            }
        }
    };
    let places = plan.authors.try_into().unwrap_or(default.authors_per_domain);
    let senders = (plan.authors + plan.strangers).try_into().unwrap_or(default.rates);
    let config = RouterConfig {
        authors_per_domain: places,
        rates: default.rates.max(senders),
        peer_rate: rate(default.peer_rate),
        author_rate: rate(default.author_rate),
        ..default
    };
    let domain = Domain::delta(DOMAIN, DIMS).map_err(|_| LoadError::Authors)?;
    Ok(Node::builder()
        .identity(Identity::from_seed([255; 32]))
        .network(network())
        .domain(domain)
        .transport(replies.clone())
        .directory(Network::new().directory())
        .config(config))
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    packets: u64,
    flood: u64,
    /// Packets that the node said it applied.
    applied: u64,
    starved: Duration,
}

/// What comes next, and when it was due.
enum Next {
    Packet(Duration),
    Flood,
}

struct Drive<'a> {
    plan: &'a Plan,
    node: Node,
    authors: Arc<Authors>,
    replies: Replies,
    flood: Flood,
    /// Of each author, the number of its last packet that was applied.
    newest: Vec<u32>,
    counts: Counts,
}

impl Drive<'_> {
    /// Lets every author send one packet, so that all tables have their size.
    async fn introduce(&self) -> Result<(), LoadError> {
        for author in 0..self.authors.len() {
            let mut frame = self.authors.frame(author, 0)?;
            set_nonce(&mut frame, FIRST);
            if let Some(address) = self.authors.address(author) {
                self.node.receive(address, &frame);
            }
            let sent = author as u64 + 1;
            if sent.is_multiple_of(AT_ONCE.into()) || sent == self.authors.len() as u64 {
                let first = |replies: &Replies| replies.tally().first;
                self.wait_until("packets before the measurement", sent, first).await?;
            }
        }
        Ok(())
    }

    async fn load(
        &mut self,
        start: Instant,
        maker: &mut Maker,
        samples: &mut Samples,
    ) -> Result<(), LoadError> {
        let packets = self.plan.rate.map(|rate| Schedule::new(rate.into(), self.plan.burst.into()));
        let flood = Schedule::new(self.plan.flood, 1);
        loop {
            let elapsed = start.elapsed();
            samples.take(elapsed, &self.replies, self.counts.packets);
            if elapsed >= self.plan.length {
                return Ok(());
            }
            let mut idle = true;
            for _ in 0..AT_ONCE {
                match self.next(elapsed, packets.as_ref(), &flood) {
                    None => break,
                    Some(Next::Flood) => self.send_flood(),
                    Some(Next::Packet(due)) => match maker.next()? {
                        Some(ahead) => self.send(ahead, due),
                        None => {
                            self.counts.starved += TICK;
                            break;
                        }
                    },
                }
                idle = false;
            }
            if !idle {
                tokio::task::yield_now().await;
            } else if packets.is_none() {
                self.replies.wait(TICK).await;
            } else {
                tokio::time::sleep(TICK).await;
            }
        }
    }

    /// The first thing that is due.
    fn next(&self, elapsed: Duration, packets: Option<&Schedule>, flood: &Schedule) -> Option<Next> {
        let is_due = |due: &Duration| *due <= elapsed;
        let packet = match packets {
            Some(schedule) => schedule.time(self.counts.packets).filter(is_due),
            None => {
                let in_flight = self.counts.applied.saturating_sub(self.replies.tally().kept);
                (in_flight < self.plan.in_flight).then_some(elapsed)
            }
        };
        let flood = flood.time(self.counts.flood).filter(is_due);
        match (packet, flood) {
            (Some(packet), Some(flood)) if flood < packet => Some(Next::Flood),
            (Some(packet), _) => Some(Next::Packet(packet)),
            (None, Some(_)) => Some(Next::Flood),
            (None, None) => None,
        }
    }

    fn send(&mut self, ahead: Ahead, due: Duration) {
        let Ahead { author, sequence, mut frame } = ahead;
        set_nonce(&mut frame, u64::try_from(due.as_micros()).unwrap_or(0));
        let Some(address) = self.authors.address(author) else { return };
        self.counts.packets += 1;
        if self.node.receive(address, &frame) == Verdict::Applied {
            self.counts.applied += 1;
            if let Some(newest) = self.newest.get_mut(author) {
                *newest = sequence;
            }
        }
    }

    fn send_flood(&mut self) {
        if let Some((address, frame)) = self.flood.next() {
            self.node.receive(address, frame);
        }
        self.counts.flood += 1;
    }

    /// Waits for what is on its way to the store.
    async fn drain(&self) -> Result<(), LoadError> {
        self.wait_until("packets", self.counts.applied, |replies| replies.tally().kept).await
    }

    async fn wait_until(
        &self,
        what: &'static str,
        wanted: u64,
        count: impl Fn(&Replies) -> u64,
    ) -> Result<(), LoadError> {
        let began = Instant::now();
        loop {
            let found = count(&self.replies);
            if found == wanted {
                return Ok(());
            }
            if began.elapsed() > LAST {
                let seconds = LAST.as_secs();
                return Err(LoadError::Unacknowledged { what, wanted, found, seconds });
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

impl Measured {
    /// Everything that was handed in was counted once, and what was acknowledged is in the store.
    fn check(&self, authors: u64, applied: u64) -> Result<(), LoadError> {
        let stats = &self.stats;
        let refused: u64 = stats.refusals().map(|(_, count)| count).sum();
        let frames = authors + self.packets + self.flood;
        let sums = [
            ("frames that came in", frames, stats.frames_received),
            ("frames by verdict", frames, stats.applied + stats.known + stats.parked + refused),
            ("packets that were applied", authors + applied, stats.applied),
            ("acknowledgements", applied, self.kept),
        ];
        for (what, expected, found) in sums {
            if expected != found {
                return Err(LoadError::Sums { what, expected, found });
            }
        }
        match authors - self.recovered {
            0 => Ok(()),
            lost => Err(LoadError::Lost { authors: lost }),
        }
    }
}

/// A look at everything each second.
struct Samples {
    /// Seconds.
    length: u64,
    taken: Vec<Sample>,
    packets: u64,
    kept: u64,
    progress: Progress,
}

impl Samples {
    fn new(length: Duration) -> Self {
        let seconds = usize::try_from(length.as_secs()).unwrap_or(usize::MAX);
        let progress = Progress::new("under load", seconds);
        // All of it now, so that it is no growth later.
        let taken = Vec::with_capacity(seconds.saturating_add(1));
        Self { length: length.as_secs(), taken, packets: 0, kept: 0, progress }
    }

    fn take(&mut self, elapsed: Duration, replies: &Replies, packets: u64) {
        let second = self.taken.len() as u64 + 1;
        // After a pause several are due, of which the first has all.
        if elapsed.as_secs() < second || second > self.length {
            return;
        }
        let mut tally = replies.tally();
        let kept = tally.kept;
        self.taken.push(Sample {
            second,
            packets: packets - self.packets,
            kept: kept - self.kept,
            p50_us: tally.lately.quantile(0.5),
            p99_us: tally.lately.quantile(0.99),
            resident_bytes: process::resident_bytes(),
        });
        tally.lately.clear();
        drop(tally);
        (self.packets, self.kept) = (packets, kept);
        self.progress.set(self.taken.len());
        self.take(elapsed, replies, packets);
    }

    fn finish(self) -> Vec<Sample> {
        self.progress.end();
        self.taken
    }
}
