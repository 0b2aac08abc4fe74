//! A clock that goes when it is told to.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_channel::oneshot;
use qis_packet::Timestamp;
use qis_route::{Clock, Moment};

/// A clock that stands until [`advance`](Self::advance) is called; clones are the same clock.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<State>>);

struct State {
    now: Moment,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl ManualClock {
    /// A clock that stands at this wall time.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        let now = Moment { elapsed: Duration::ZERO, wall };
        Self(Arc::new(Mutex::new(State { now, sleepers: Vec::new() })))
    }

    /// Lets time pass by both clocks, and wakes those whose sleep is over.
    pub fn advance(&self, by: Duration) {
        let mut state = self.lock();
        state.now.elapsed += by;
        state.now.wall = state.now.wall.saturating_add(by.as_secs());
        let now = state.now.elapsed;
        let (over, asleep) = state.sleepers.drain(..).partition(|(until, _)| *until <= now);
        state.sleepers = asleep;
        drop(state);
        for (_, sleeper) in over {
            // Its future may be gone.
            let _ = sleeper.send(());
        }
    }

    /// Sets the clock on the wall, forward or back.
    pub fn set_wall(&self, wall: Timestamp) {
        self.lock().now.wall = wall;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Moment {
        self.lock().now
    }

    async fn sleep(&self, duration: Duration) {
        let over = {
            let mut state = self.lock();
            let until = state.now.elapsed.saturating_add(duration);
            if until <= state.now.elapsed {
                return;
            }
            state.sleepers.retain(|(_, sleeper)| !sleeper.is_canceled());
            let (wake, over) = oneshot::channel();
            state.sleepers.push((until, wake));
            over
        };
        // The clock may be gone, and time with it.
        let _ = over.await;
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManualClock").field("now", &self.lock().now).finish_non_exhaustive()
    }
}
