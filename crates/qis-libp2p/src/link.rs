//! What waits to be sent to one peer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::{Duration, Instant};

use libp2p::futures::task::AtomicWaker;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::oneshot;

use crate::Libp2pConfig;
use crate::frames::wire;

/// How long a peer that could not be reached is left alone, at first and at most.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(5);
/// Connections that ended before anything was written, after which the peer is left alone.
const MOST_REDIALS: u32 = 3;

/// Why a peer is not reached.
pub(crate) type Reason = Arc<str>;

/// The frames for one peer: those who send put them in, the handler of one connection takes them out.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) peer: PeerId,
    state: Mutex<State>,
    /// Of the handler that has claimed the link.
    waker: AtomicWaker,
    /// Bytes that wait in all links.
    total: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Frames with their lengths, one after the other, as they go into the stream.
    pending: Vec<u8>,
    frames: usize,
    /// Frames that a handler has taken and not written yet.
    in_flight: usize,
    /// Those who wait until the peer is reached.
    waiters: Vec<oneshot::Sender<Result<(), Reason>>>,
    address: Option<Multiaddr>,
    /// Attempts and connections in a row that came to nothing.
    failures: u32,
}

#[derive(Debug)]
enum Phase {
    /// Nobody has sent anything yet, or the connection is over.
    Idle,
    /// It could not be reached, and is left alone for a while.
    Resting {
        until: Instant,
        why: Reason,
    },
    Dialing,
    /// The handler of this connection carries the frames.
    Claimed {
        by: ConnectionId,
        relayed: bool,
        up: bool,
        was_up: bool,
    },
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Pushed {
    /// It waits for a connection that is there.
    Queued,
    /// It waits for one that is being made, whose result is told. Whoever gets an address is to dial it.
    Waiting(oneshot::Receiver<Result<(), Reason>>, Option<Multiaddr>),
    /// Too many are waiting.
    Full,
    /// The peer could not be reached a moment ago.
    Resting(Reason),
}

impl Link {
    pub(crate) fn new(peer: PeerId, total: Arc<AtomicUsize>) -> Self {
        let state = State {
            phase: Phase::Idle,
            pending: Vec::new(),
            frames: 0,
            in_flight: 0,
            waiters: Vec::new(),
            address: None,
            failures: 0,
        };
        Self { peer, state: Mutex::new(state), waker: AtomicWaker::new(), total }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a frame for the peer at this address; without a frame it only sees to it that there is a connection.
    pub(crate) fn push(
        &self,
        frame: Option<&[u8]>,
        address: &Multiaddr,
        config: &Libp2pConfig,
        now: Instant,
    ) -> Pushed {
        let mut state = self.lock();
        if let Phase::Resting { until, why } = &state.phase
            && now < *until
        {
            return Pushed::Resting(Arc::clone(why));
        }
        if state.address.as_ref() != Some(address) {
            state.address = Some(address.clone());
        }
        if let Some(frame) = frame {
            let bytes = wire::frame_len(frame);
            let total = self.total.load(Ordering::Relaxed).saturating_add(bytes);
            if state.frames >= config.queue_frames
                || state.pending.len() + bytes > config.queue_bytes
                || total > config.queue_total_bytes
            {
                return Pushed::Full;
            }
            wire::write_frame(&mut state.pending, frame);
            state.frames += 1;
            self.total.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Phase::Claimed { up, .. } = state.phase {
            if frame.is_some() {
                drop(state);
                self.waker.wake();
                return Pushed::Queued;
            }
            if up {
                return Pushed::Queued;
            }
        } else if state.waiters.len() >= config.queue_frames {
            return Pushed::Full;
        }
        let (tell, told) = oneshot::channel();
        state.waiters.push(tell);
        let dial = match state.phase {
            Phase::Idle | Phase::Resting { .. } => {
                state.phase = Phase::Dialing;
                Some(address.clone())
            }
            Phase::Dialing | Phase::Claimed { .. } => None,
        };
        drop(state);
        // A connection that is there opens its stream for those who wait as well.
        self.waker.wake();
        Pushed::Waiting(told, dial)
    }

    /// Whether there is something to open a stream for.
    pub(crate) fn is_wanted(&self) -> bool {
        let state = self.lock();
        state.frames > 0 || !state.waiters.is_empty()
    }

    /// Whether nothing waits and its stream is closed.
    pub(crate) fn is_closed(&self) -> bool {
        let state = self.lock();
        let is_up = matches!(state.phase, Phase::Claimed { up: true, .. });
        state.frames == 0 && state.in_flight == 0 && !is_up
    }

    /// Lets the handler look again.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Whether it can be forgotten.
    pub(crate) fn is_idle(&self, now: Instant) -> bool {
        let state = self.lock();
        match &state.phase {
            Phase::Idle => state.frames == 0,
            Phase::Resting { until, .. } => now >= *until,
            Phase::Dialing | Phase::Claimed { .. } => false,
        }
    }

    pub(crate) fn is_claimed(&self) -> bool {
        matches!(self.lock().phase, Phase::Claimed { .. })
    }

    pub(crate) fn is_dialing(&self) -> bool {
        matches!(self.lock().phase, Phase::Dialing)
    }

    /// Where it was last to be dialed.
    pub(crate) fn address(&self) -> Option<Multiaddr> {
        self.lock().address.clone()
    }

    /// Whom to wake when there is something to send.
    pub(crate) fn register(&self, waker: &Waker) {
        self.waker.register(waker);
    }

    /// Swaps an empty buffer for all that waits. Returns how many frames that is.
    pub(crate) fn take(&self, buffer: &mut Vec<u8>) -> usize {
        let mut state = self.lock();
        if state.frames == 0 {
            return 0;
        }
        std::mem::swap(&mut state.pending, buffer);
        state.pending.clear();
        let frames = std::mem::take(&mut state.frames);
        state.in_flight = frames;
        self.total.fetch_sub(buffer.len(), Ordering::Relaxed);
        frames
    }

    /// What was taken has been written.
    pub(crate) fn set_written(&self) {
        let mut state = self.lock();
        state.in_flight = 0;
        state.failures = 0;
    }

    /// Gives the link to the handler of a connection, unless a relayed one is to take it from a direct one. Returns whether it was given.
    pub(crate) fn claim(&self, by: ConnectionId, relayed: bool) -> bool {
        let mut state = self.lock();
        if let Phase::Claimed { relayed: false, .. } = state.phase
            && relayed
        {
            return false;
        }
        // The newest one is the one that lives: an older one may be left of a peer that has restarted.
        state.phase = Phase::Claimed { by, relayed, up: false, was_up: false };
        true
    }

    /// The stream is open: those who wait are told.
    pub(crate) fn set_up(&self, connection: ConnectionId) {
        let mut state = self.lock();
        if let Phase::Claimed { by, up, was_up, .. } = &mut state.phase
            && *by == connection
        {
            (*up, *was_up) = (true, true);
            tell(&mut state, &Ok(()));
        }
    }

    /// The stream is closed; another one is opened when there is something to send.
    pub(crate) fn set_down(&self, connection: ConnectionId) {
        let mut state = self.lock();
        if let Phase::Claimed { by, up, .. } = &mut state.phase
            && *by == connection
        {
            *up = false;
        }
    }

    /// The connection is over. If it carried the link, returns how many frames were lost with it, and whether it ever carried any.
    pub(crate) fn release(&self, connection: ConnectionId) -> Option<(usize, bool)> {
        let mut state = self.lock();
        match state.phase {
            Phase::Claimed { by, was_up, .. } if by == connection => {
                state.phase = Phase::Idle;
                Some((std::mem::take(&mut state.in_flight), was_up))
            }
            _ => None,
        }
    }

    /// Goes from idle to dialing, if something waits and it makes sense. Returns where to.
    pub(crate) fn redial(&self) -> Option<Multiaddr> {
        let mut state = self.lock();
        let wanted = state.frames > 0 || !state.waiters.is_empty();
        let address = state.address.clone();
        if !matches!(state.phase, Phase::Idle)
            || !wanted
            || address.is_none()
            || state.failures >= MOST_REDIALS
        {
            return None;
        }
        state.failures += 1;
        state.phase = Phase::Dialing;
        address
    }

    /// Gives up what waits, and leaves the peer alone for a while. Returns how many frames were lost.
    pub(crate) fn fail(&self, why: &str, now: Instant, jitter: f64) -> usize {
        let mut state = self.lock();
        let why: Reason = why.into();
        let wanted = state.frames > 0 || !state.waiters.is_empty();
        if wanted || !matches!(state.phase, Phase::Idle | Phase::Resting { .. }) {
            let rest =
                FIRST_REST.saturating_mul(1 << state.failures.min(10)).min(LONGEST_REST).mul_f64(jitter);
            state.failures = state.failures.saturating_add(1);
            state.phase = Phase::Resting { until: now + rest, why: Arc::clone(&why) };
        }
        tell(&mut state, &Err(why));
        self.total.fetch_sub(state.pending.len(), Ordering::Relaxed);
        state.pending = Vec::new();
        std::mem::take(&mut state.frames) + std::mem::take(&mut state.in_flight)
    }
}

fn tell(state: &mut State, result: &Result<(), Reason>) {
    for waiter in state.waiters.drain(..) {
        // Who waited may have stopped.
        let _ = waiter.send(result.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> (Link, Multiaddr, Libp2pConfig) {
        let config = Libp2pConfig { queue_frames: 3, ..Libp2pConfig::default() };
        let address = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        (Link::new(PeerId::random(), Arc::default()), address, config)
    }

    fn connection() -> ConnectionId {
        ConnectionId::new_unchecked(1)
    }

    #[test]
    fn the_first_frame_dials_and_the_others_wait_with_it() {
        let (link, address, config) = link();
        let now = Instant::now();
        let Pushed::Waiting(mut told, Some(_)) = link.push(Some(b"a"), &address, &config, now) else {
            panic!("dials")
        };
        assert!(matches!(link.push(Some(b"b"), &address, &config, now), Pushed::Waiting(_, None)));
        assert!(link.claim(connection(), false) && link.is_wanted());
        assert!(told.try_recv().is_err());
        link.set_up(connection());
        assert_eq!(told.try_recv(), Ok(Ok(())));
        assert!(matches!(link.push(Some(b"c"), &address, &config, now), Pushed::Queued));
        let mut buffer = Vec::new();
        assert_eq!((link.take(&mut buffer), buffer.as_slice()), (3, &b"\0\x01a\0\x01b\0\x01c"[..]));
        link.set_down(connection());
        assert!(!link.is_closed());
        link.set_written();
        assert!(link.is_closed() && link.take(&mut buffer) == 0);
    }

    #[test]
    fn at_its_bound_it_takes_no_more() {
        let (link, address, config) = link();
        let now = Instant::now();
        assert!(link.claim(connection(), false));
        for _ in 0..3 {
            assert!(matches!(link.push(Some(b"a"), &address, &config, now), Pushed::Queued));
        }
        assert!(matches!(link.push(Some(b"a"), &address, &config, now), Pushed::Full));
        let narrow = Libp2pConfig { queue_frames: 9, queue_bytes: 10, ..config };
        assert!(matches!(link.push(Some(b"a"), &address, &narrow, now), Pushed::Full));
        let shared = Libp2pConfig { queue_frames: 9, queue_total_bytes: 10, ..config };
        assert!(matches!(link.push(Some(b"a"), &address, &shared, now), Pushed::Full));
        link.take(&mut Vec::new());
        assert!(matches!(link.push(Some(b"a"), &address, &config, now), Pushed::Queued));
        assert_eq!(link.total.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_peer_that_is_not_reached_rests_longer_each_time() {
        let (link, address, config) = link();
        let mut now = Instant::now();
        for rest in [100, 200, 400] {
            let Pushed::Waiting(mut told, Some(_)) = link.push(Some(b"a"), &address, &config, now) else {
                panic!("dials")
            };
            assert_eq!(link.fail("down", now, 1.0), 1);
            assert_eq!(told.try_recv(), Ok(Err("down".into())));
            let almost = now + Duration::from_millis(rest - 1);
            assert!(matches!(link.push(Some(b"a"), &address, &config, almost), Pushed::Resting(_)));
            assert!(!link.is_idle(almost));
            now += Duration::from_millis(rest);
            assert!(link.is_idle(now));
        }
        assert_eq!(link.total.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_waits_survives_the_connection_and_what_was_on_its_way_does_not() {
        let (link, address, config) = link();
        let now = Instant::now();
        let _ = link.push(Some(b"a"), &address, &config, now);
        assert!(link.claim(connection(), false));
        link.take(&mut Vec::new());
        let _ = link.push(Some(b"b"), &address, &config, now);
        assert_eq!(link.release(ConnectionId::new_unchecked(2)), None);
        assert_eq!(link.release(connection()), Some((1, false)));
        assert_eq!(link.redial(), Some(address));
        assert_eq!(link.redial(), None);
    }

    #[test]
    fn a_peer_that_is_given_up_gets_nothing_more_by_the_same_connection() {
        let (link, address, config) = link();
        let now = Instant::now();
        assert!(link.claim(connection(), false));
        let _ = link.push(Some(b"a"), &address, &config, now);
        link.take(&mut Vec::new());
        let _ = link.push(Some(b"b"), &address, &config, now);
        assert_eq!(link.fail("stalled", now, 1.0), 2);
        assert!(matches!(link.push(Some(b"c"), &address, &config, now), Pushed::Resting(_)));
        assert!(link.release(connection()).is_none() && !link.is_claimed());
        assert!(link.claim(ConnectionId::new_unchecked(2), false) && link.is_claimed());
    }

    #[test]
    fn a_peer_that_closes_each_connection_is_left_alone() {
        let (link, address, config) = link();
        let now = Instant::now();
        let _ = link.push(Some(b"a"), &address, &config, now);
        for _ in 0..MOST_REDIALS {
            assert!(link.claim(connection(), false));
            link.set_up(connection());
            assert_eq!(link.release(connection()), Some((0, true)));
            assert!(link.redial().is_some());
        }
        assert!(link.claim(connection(), false));
        link.release(connection());
        assert_eq!(link.redial(), None);
        assert_eq!(link.fail("closed", now, 1.0), 1);
        assert!(matches!(link.push(Some(b"a"), &address, &config, now), Pushed::Resting(_)));
    }

    #[test]
    fn a_direct_connection_is_not_given_up_for_a_relayed_one() {
        let (link, ..) = link();
        assert!(link.claim(connection(), true) && link.claim(ConnectionId::new_unchecked(2), false));
        assert!(!link.claim(connection(), true));
        assert!(link.claim(ConnectionId::new_unchecked(3), false));
    }
}
