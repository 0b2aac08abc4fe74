//! What the node answers: the other end of its transport.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use qis::{Address, Frame, HostError, Transport, async_trait};
use qis_packet::FrameKind;
use tokio::sync::Notify;

use super::histogram::Histogram;

/// The nonce of everything in the flood.
pub(super) const FLOOD: u64 = u64::MAX;
/// The nonce of the packets before the measurement, one of each author.
pub(super) const FIRST: u64 = u64::MAX - 1;

/// The status of an acknowledgement that says that a packet is its author's newest, durably.
const APPLIED: u8 = 0;

/// Takes acknowledgements and counts them; clones are the same. A packet's nonce is when it was due, in microseconds since the start.
#[derive(Clone)]
pub(super) struct Replies(Arc<Shared>);

struct Shared {
    address: Address,
    tally: Mutex<Tally>,
    came: Notify,
}

/// What was answered so far.
#[derive(Debug)]
pub(super) struct Tally {
    /// Since when nonces count.
    start: Instant,
    /// Packets that are kept.
    pub(super) kept: u64,
    /// Those before the measurement.
    pub(super) first: u64,
    /// Packets that were answered otherwise.
    pub(super) not_kept: u64,
    /// Answers to the flood.
    pub(super) flood: u64,
    /// Microseconds from when a packet was due until it was kept.
    pub(super) latency: Histogram,
    /// The same, since it was last cleared.
    pub(super) lately: Histogram,
}

impl Replies {
    pub(super) fn new(address: Address) -> Self {
        let (latency, lately) = (Histogram::new(), Histogram::new());
        let start = Instant::now();
        let tally = Mutex::new(Tally { start, kept: 0, first: 0, not_kept: 0, flood: 0, latency, lately });
        Self(Arc::new(Shared { address, tally, came: Notify::new() }))
    }

    /// Counts time from now on.
    pub(super) fn start(&self) -> Instant {
        let mut tally = self.tally();
        tally.start = Instant::now();
        tally.start
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an answer, this long at most.
    pub(super) async fn wait(&self, most: Duration) {
        // Whichever comes first; who waited looks for itself.
        let _ = tokio::time::timeout(most, self.0.came.notified()).await;
    }
}

impl Tally {
    fn take(&mut self, frame: &[u8]) {
        let Ok(Frame { kind: FrameKind::Acknowledgement, body, .. }) = Frame::parse(frame) else { return };
        let Some((nonce, [status, ..])) = body.split_first_chunk() else { return };
        match (u64::from_le_bytes(*nonce), *status) {
            (FLOOD, _) => self.flood += 1,
            (FIRST, APPLIED) => self.first += 1,
            (due, APPLIED) => {
                self.kept += 1;
                let now = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.latency.add(now.saturating_sub(due));
                self.lately.add(now.saturating_sub(due));
            }
            _ => self.not_kept += 1,
        }
    }
}

#[async_trait]
impl Transport for Replies {
    fn local_address(&self) -> Address {
        self.0.address.clone()
    }

    async fn send(&self, _to: &Address, frame: &[u8], _allowed: Duration) -> Result<(), HostError> {
        self.tally().take(frame);
        self.0.came.notify_one();
        Ok(())
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies").field("address", &self.0.address).finish_non_exhaustive()
    }
}
