//! What is to happen later.

use std::collections::BTreeMap;
use std::time::Duration;

/// Names a timer that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TimerKey(Duration, u64);

/// Timers in the order they are due, first set first among equals.
#[derive(Debug)]
pub(super) struct Timers<T> {
    queue: BTreeMap<(Duration, u64), T>,
    counter: u64,
}

impl<T> Timers<T> {
    pub(super) const fn new() -> Self {
        Self { queue: BTreeMap::new(), counter: 0 }
    }

    pub(super) fn set(&mut self, at: Duration, timer: T) -> TimerKey {
        self.counter += 1;
        self.queue.insert((at, self.counter), timer);
        TimerKey(at, self.counter)
    }

    /// Forgets a timer; one that has fired is forgotten already.
    pub(super) fn cancel(&mut self, TimerKey(at, counter): TimerKey) {
        self.queue.remove(&(at, counter));
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.queue.first_key_value().map(|(&(at, _), _)| at)
    }

    pub(super) fn pop(&mut self, now: Duration) -> Option<T> {
        let entry = self.queue.first_entry()?;
        if entry.key().0 > now { None } else { Some(entry.remove()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_first_then_set_first() {
        let mut timers = Timers::new();
        let second = Duration::from_secs;
        timers.set(second(2), "b");
        timers.set(second(1), "a");
        timers.set(second(2), "c");
        let never = timers.set(second(2), "never");
        timers.cancel(never);
        assert_eq!(timers.next(), Some(second(1)));
        assert_eq!(timers.pop(Duration::ZERO), None);
        assert_eq!(timers.pop(second(5)), Some("a"));
        assert_eq!(timers.pop(second(5)), Some("b"));
        assert_eq!(timers.pop(second(5)), Some("c"));
        assert_eq!(timers.next(), None);
    }
}
