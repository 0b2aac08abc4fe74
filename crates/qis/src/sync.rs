//! What the driver and other threads share: a lock, a flag, and what wakes the driver.
//!
//! With `--cfg shuttle` they are those of a scheduler that tries many orders of their steps; `tests/threads.rs` runs nodes under it.

#[cfg(not(shuttle))]
pub(crate) use {
    futures_util::task::AtomicWaker,
    std::sync::atomic::{AtomicBool, Ordering},
    std::sync::{Mutex, MutexGuard},
};
#[cfg(shuttle)]
pub(crate) use {
    shuttle::sync::atomic::{AtomicBool, Ordering},
    shuttle::sync::{Mutex, MutexGuard},
    waker::AtomicWaker,
};

/// Whether a test wants to see that it finds a driver which looks for work first, and says who is to be woken only then.
#[cfg(not(shuttle))]
pub(crate) const fn registers_late() -> bool {
    false
}

#[cfg(shuttle)]
pub(crate) fn registers_late() -> bool {
    LATE.load(Ordering::Relaxed)
}

#[cfg(shuttle)]
static LATE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Plants that bug, or takes it out again.
#[cfg(shuttle)]
#[doc(hidden)]
pub fn plant_late_waker(planted: bool) {
    LATE.store(planted, Ordering::Relaxed);
}

#[cfg(shuttle)]
mod waker {
    use std::sync::PoisonError;
    use std::task::Waker;

    use super::Mutex;

    /// What `futures_util::task::AtomicWaker` promises, in steps that the scheduler sees: a `wake` after a `register` wakes, one
    /// before it does not.
    #[derive(Debug)]
    pub(crate) struct AtomicWaker(Mutex<Option<Waker>>);

    impl AtomicWaker {
        pub(crate) const fn new() -> Self {
            Self(Mutex::new(None))
        }

        pub(crate) fn register(&self, waker: &Waker) {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(waker.clone());
        }

        pub(crate) fn wake(&self) {
            let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}
