//! The clock of a tokio runtime.

#[cfg(feature = "tokio")]
pub use with_tokio::TokioClock;

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use async_trait::async_trait;
    use qis_packet::Timestamp;
    use qis_route::{Clock, Moment};
    use tokio::time::Instant;

    /// The system's clocks, and sleep by tokio's timer.
    #[derive(Clone, Copy, Debug)]
    pub struct TokioClock {
        start: Instant,
    }

    impl TokioClock {
        /// A clock that starts now.
        #[must_use]
        pub fn new() -> Self {
            Self { start: Instant::now() }
        }
    }

    impl Default for TokioClock {
        fn default() -> Self {
            Self::new()
        }
    }

    #[async_trait]
    impl Clock for TokioClock {
        fn now(&self) -> Moment {
            // A clock before 1970 shows 1970; packets are then from the future, and wait.
            let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            Moment { elapsed: self.start.elapsed(), wall: Timestamp::from_unix_seconds(wall.as_secs()) }
        }

        async fn sleep(&self, duration: Duration) {
            tokio::time::sleep(duration).await;
        }
    }
}
