//! What time it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qis_packet::Timestamp;

/// A point in time by two clocks: one that only goes forward, and the one on the wall.
///
/// Timers run by the first, packets are judged by the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Moment {
    /// Time since some fixed start; never goes back.
    pub elapsed: Duration,
    /// The wall clock; may be wrong, may jump.
    pub wall: Timestamp,
}

/// Tells the time to a node and lets it wait.
///
/// # To be correct
///
/// - [`Moment::elapsed`] never goes back, not even when the wall clock does.
/// - `sleep` ends not before the duration has passed by the clock of `elapsed`, and soon after it has. The future may be dropped.
/// - Both may be called from any thread.
#[async_trait]
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> Moment;

    /// Waits.
    async fn sleep(&self, duration: Duration);
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<C: Clock + ?Sized> Clock for $pointer {
            fn now(&self) -> Moment {
                (**self).now()
            }

            async fn sleep(&self, duration: Duration) {
                (**self).sleep(duration).await
            }
        }
    };
}
forward!(Box<C>);
forward!(Arc<C>);
forward!(&'static C);
