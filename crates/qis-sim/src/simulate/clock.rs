//! A site's clocks: virtual time, and what its wall says it is.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use qis::{Clock, Moment, Timestamp, async_trait};

use super::world::{Due, Event, World};

/// The clock of one life of a site.
#[derive(Debug)]
pub(super) struct SiteClock {
    pub(super) world: Arc<World>,
    pub(super) site: usize,
    /// When this life began.
    pub(super) since: Duration,
}

#[async_trait]
impl Clock for SiteClock {
    fn now(&self) -> Moment {
        let state = self.world.lock();
        let wall = state.wall(state.sites[self.site].ahead);
        let elapsed = state.now.saturating_sub(self.since);
        Moment { elapsed, wall: Timestamp::from_unix_seconds(wall) }
    }

    async fn sleep(&self, duration: Duration) {
        sleep(&self.world, duration).await;
    }
}

/// Ends when so much virtual time has passed.
pub(super) fn sleep(world: &Arc<World>, duration: Duration) -> Sleep {
    let until = world.lock().now.saturating_add(duration);
    Sleep { world: Arc::clone(world), until, due: None }
}

/// See [`sleep`]. Dropped, it leaves nothing behind.
#[derive(Debug)]
pub(super) struct Sleep {
    world: Arc<World>,
    until: Duration,
    due: Option<Due>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = Arc::clone(&self.world);
        let mut state = world.lock();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        let waker = context.waker().clone();
        match self.due {
            Some(due) => state.set_waker(due, waker),
            None => self.due = Some(state.schedule(self.until, Event::Wake(waker))),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(due) = self.due {
            // What is taken out is dropped after the lock: it may wake somebody.
            self.world.lock().cancel(due);
        }
    }
}
