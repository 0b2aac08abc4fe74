use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use qis_packet::Frame;
use qis_route::Address;

use crate::alarm::within;

/// Frames that are kept; what comes beyond is dropped, as a node would.
const MOST_FRAMES: usize = 4096;

/// What an endpoint hands the frames to that arrive: it takes the place of a node. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Inbox(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    frames: Vec<Arrived>,
    waker: Option<Waker>,
}

/// A frame, and where it is said to come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) from: Address,
    pub(super) frame: Vec<u8>,
}

impl Inbox {
    /// Takes a frame, as `Node::receive` does: from the sender's local address, and without waiting.
    pub fn receive(&self, from: &Address, frame: &[u8]) {
        let mut state = self.lock();
        if state.frames.len() < MOST_FRAMES {
            // Of what is no frame so much that it is seen to be none.
            let kept = frame.get(..=Frame::MAX_BYTES).unwrap_or(frame);
            state.frames.push(Arrived { from: from.clone(), frame: kept.to_vec() });
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn frames(&self) -> Vec<Arrived> {
        self.lock().frames.clone()
    }

    /// Waits for the first frame that is as wanted, those that are there included; none when it takes too long.
    pub(super) async fn wait(&self, limit: Duration, wanted: impl Fn(&Arrived) -> bool) -> Option<Arrived> {
        let found = poll_fn(|context| {
            let mut state = self.lock();
            if let Some(found) = state.frames.iter().find(|arrived| wanted(arrived)) {
                return Poll::Ready(found.clone());
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        });
        within(limit, found).await
    }
}
