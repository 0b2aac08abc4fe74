//! When an outcome was stated, and how long it stands.

use core::fmt;

/// How far the clocks of two honest nodes may be apart, in seconds.
pub const SKEW_SECONDS: u64 = 300;

const SECONDS_PER_HOUR: u64 = 3600;

/// A time in whole seconds since 1970-01-01T00:00:00Z.
///
/// Any number is a time, so that no clock and no packet can break anything; arithmetic saturates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The time this many seconds after 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0
    }

    /// The time `seconds` later, or the last one there is.
    #[must_use]
    pub const fn saturating_add(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// The time `seconds` earlier, or the first one there is.
    #[must_use]
    pub const fn saturating_sub(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Seconds from `earlier` to this time; 0 when that is not earlier.
    #[must_use]
    pub const fn seconds_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0)
    }
}

/// How long a packet stands after its time: 1 to 2,160 whole hours, 30 days by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lifetime(u16);

impl Lifetime {
    /// The longest lifetime, 90 days.
    pub const MAX: Self = Self(2160);

    /// A lifetime of this many hours; `None` unless 1 to 2,160.
    #[must_use]
    pub const fn from_hours(hours: u16) -> Option<Self> {
        if hours == 0 || hours > Self::MAX.0 { None } else { Some(Self(hours)) }
    }

    /// The hours.
    #[must_use]
    pub const fn hours(self) -> u16 {
        self.0
    }

    /// The same in seconds.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 as u64 * SECONDS_PER_HOUR
    }
}

impl Default for Lifetime {
    /// 720 hours, 30 days.
    fn default() -> Self {
        Self(720)
    }
}

/// What a receiver's clock says of a packet's time and lifetime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Within [now - lifetime - skew, now + skew]: it may be applied.
    Fresh,
    /// Its lifetime and the skew are over.
    Expired,
    /// It is this many seconds too early, the skew allowed for.
    Future {
        /// Seconds until it may be applied.
        early_by: u64,
    },
}

impl Freshness {
    /// Judges a packet of this time and lifetime at `now`.
    #[must_use]
    pub fn of(time: Timestamp, lifetime: Lifetime, now: Timestamp) -> Self {
        let early_by = time.seconds_since(now.saturating_add(SKEW_SECONDS));
        if early_by > 0 {
            Self::Future { early_by }
        } else if now > time.saturating_add(lifetime.seconds()).saturating_add(SKEW_SECONDS) {
            Self::Expired
        } else {
            Self::Fresh
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn edges_of_the_window() {
        let hour = Lifetime::from_hours(1).unwrap();
        let judge = |time, now| Freshness::of(at(time), hour, at(now));
        assert_eq!(judge(1000, 700), Freshness::Fresh);
        assert_eq!(judge(1000, 699), Freshness::Future { early_by: 1 });
        assert_eq!(judge(1000, 1000 + 3600 + 300), Freshness::Fresh);
        assert_eq!(judge(1000, 1000 + 3600 + 301), Freshness::Expired);
    }

    #[test]
    fn extremes_saturate() {
        let long = Lifetime::MAX;
        assert_eq!(Freshness::of(at(u64::MAX), long, at(u64::MAX)), Freshness::Fresh);
        assert_eq!(
            Freshness::of(at(u64::MAX), long, at(0)),
            Freshness::Future { early_by: u64::MAX - SKEW_SECONDS }
        );
        assert_eq!(Freshness::of(at(0), long, at(u64::MAX)), Freshness::Expired);
    }

    #[test]
    fn lifetime_is_bounded() {
        assert_eq!(Lifetime::from_hours(0), None);
        assert_eq!(Lifetime::from_hours(2161), None);
        assert_eq!(Lifetime::from_hours(2160), Some(Lifetime::MAX));
    }
}
