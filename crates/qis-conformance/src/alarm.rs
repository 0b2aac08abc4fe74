//! Time for futures, without a runtime: the suites run on the host's, which they do not know.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread::Builder;
use std::time::{Duration, Instant};

/// Rings once, after a while, on a thread of its own that ends when it is dropped.
struct Alarm {
    end: Instant,
    shared: Option<Arc<Shared>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waker: Option<Waker>,
    is_over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring_at(&self, end: Instant) {
        let mut state = self.lock();
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if state.is_over || left.is_zero() {
                break;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.is_over = true;
        if let Some(waker) = state.waker.take() {
            drop(state);
            waker.wake();
        }
    }
}

impl Alarm {
    fn after(time: Duration) -> Self {
        Self { end: Instant::now() + time, shared: None }
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<()> {
        if Instant::now() >= self.end {
            return Poll::Ready(());
        }
        let end = self.end;
        let shared = self.shared.get_or_insert_with(|| {
            let shared = Arc::new(Shared::default());
            let theirs = Arc::clone(&shared);
            if Builder::new().spawn(move || theirs.ring_at(end)).is_err() {
                // A machine without threads to give: better too early than never.
                shared.lock().is_over = true;
            }
            shared
        });
        let mut state = shared.lock();
        if state.is_over {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            let mut state = shared.lock();
            (state.waker, state.is_over) = (None, true);
            shared.changed.notify_one();
        }
    }
}

/// Ends after this time.
pub(crate) async fn sleep(time: Duration) {
    let mut alarm = Alarm::after(time);
    poll_fn(|context| alarm.poll(context)).await;
}

/// The result of a future, or none when it takes longer than this.
pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut alarm) = (pin!(future), Alarm::after(limit));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => alarm.poll(context).map(|()| None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block_on;

    #[test]
    fn what_takes_too_long_is_given_up_and_what_does_not_is_not() {
        let begin = Instant::now();
        assert_eq!(block_on(within(Duration::from_millis(30), std::future::pending::<()>())), None);
        assert!(begin.elapsed() >= Duration::from_millis(30));
        let soon = async {
            sleep(Duration::from_millis(5)).await;
            7
        };
        assert_eq!(block_on(within(Duration::from_secs(60), soon)), Some(7));
        assert!(begin.elapsed() < Duration::from_secs(30));
    }
}
