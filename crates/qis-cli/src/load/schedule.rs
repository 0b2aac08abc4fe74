//! When something is due.

use std::time::Duration;

/// Things that are due so many a second, a few at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    per_second: u64,
    /// How many are due at once, at the same mean rate.
    burst: u64,
}

impl Schedule {
    /// A burst of 0 counts as one; a rate of 0 is never.
    pub(super) fn new(per_second: u64, burst: u64) -> Self {
        Self { per_second, burst: burst.max(1) }
    }

    /// When the thing of this number, counted from 0, is due; `None` for never.
    pub(super) fn time(&self, number: u64) -> Option<Duration> {
        let before = u128::from(number / self.burst * self.burst);
        let nanoseconds = (before * 1_000_000_000).checked_div(u128::from(self.per_second))?;
        Some(Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)))
    }

    /// How many are due before a time.
    pub(super) fn before(&self, time: Duration) -> u64 {
        let bursts =
            (time.as_nanos() * u128::from(self.per_second)).div_ceil(u128::from(self.burst) * 1_000_000_000);
        u64::try_from(bursts).unwrap_or(u64::MAX).saturating_mul(self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_due_before_a_time_as_have_an_earlier_one() {
        for (per_second, burst) in [(1, 1), (3, 1), (1000, 7), (10_000, 256), (999, 1000)] {
            let schedule = Schedule::new(per_second, burst);
            for milliseconds in [1, 10, 333, 1000, 2001] {
                let time = Duration::from_millis(milliseconds);
                let counted = (0..).take_while(|&number| schedule.time(number).unwrap() < time).count();
                assert_eq!(schedule.before(time), counted as u64, "{per_second}, {burst}, {milliseconds} ms");
            }
        }
    }

    #[test]
    fn a_rate_of_nothing_is_never_due() {
        assert_eq!(Schedule::new(0, 5).time(0), None);
        assert_eq!(Schedule::new(0, 5).before(Duration::from_secs(9)), 0);
    }
}
