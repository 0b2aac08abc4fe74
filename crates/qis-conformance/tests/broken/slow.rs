//! Waiting, for implementations that do.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

/// Lets others go on once.
pub(crate) async fn pause() {
    let mut is_over = false;
    poll_fn(|context| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Waits so long, a little at a time.
pub(crate) async fn wait(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
        pause().await;
    }
}

/// Counts who is there, until each has gone.
#[derive(Debug, Default)]
pub(crate) struct Busy(AtomicUsize);

pub(crate) struct There<'a>(&'a Busy);

impl Busy {
    /// None when somebody is there.
    pub(crate) fn enter(&self) -> Option<There<'_>> {
        let there = There(self);
        (self.0.fetch_add(1, Ordering::SeqCst) == 0).then_some(there)
    }
}

impl Drop for There<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
