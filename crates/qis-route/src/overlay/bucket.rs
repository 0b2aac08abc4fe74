//! How much may come, in little memory.

use std::time::Duration;

use crate::proto::Rate;

/// One token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: f32,
    since: Duration,
}

/// Buckets of addresses, some of which share one: fewer than there are addresses, so that memory is bounded.
///
/// Who shares one depends on a secret, so nobody can choose whose requests to crowd out.
#[derive(Debug)]
pub(super) struct Buckets {
    rate: Rate,
    secret: u64,
    /// Made with the first request.
    buckets: Vec<Bucket>,
}

const SHARED: usize = 64;

impl Bucket {
    pub(super) fn new(rate: &Rate) -> Self {
        Self { tokens: full(rate), since: Duration::ZERO }
    }

    /// Takes a token; `false` when there is none.
    pub(super) fn allow(&mut self, now: Duration, rate: &Rate) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "a share of a burst needs no more")]
        let gained = (now.saturating_sub(self.since).as_secs_f64() * rate.per_second) as f32;
        self.tokens = (self.tokens + gained).min(full(rate));
        self.since = now;
        let allowed = self.tokens >= 1.0;
        if allowed {
            self.tokens -= 1.0;
        }
        allowed
    }
}

#[expect(clippy::cast_precision_loss, reason = "bursts are small")]
fn full(rate: &Rate) -> f32 {
    rate.burst as f32
}

impl Buckets {
    /// What it takes once it is used.
    pub(super) const MOST_BYTES: usize = SHARED * size_of::<Bucket>();

    pub(super) const fn new(rate: Rate, secret: u64) -> Self {
        Self { rate, secret, buckets: Vec::new() }
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    pub(super) fn allow(&mut self, now: Duration, address: &str) -> bool {
        if self.buckets.is_empty() {
            self.buckets = vec![Bucket::new(&self.rate); SHARED];
        }
        // FNV-1a from a secret start, then mixed.
        let hash = address
            .bytes()
            .fold(self.secret, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        let hash = (hash ^ self.secret.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let at = usize::try_from(hash).unwrap_or_default();
        self.buckets.get_mut(at).is_some_and(|bucket| bucket.allow(now, &self.rate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_then_rate_for_each() {
        let mut buckets = Buckets::new(Rate { per_second: 1.0, burst: 2 }, 7);
        let at = Duration::from_secs;
        let allowed: Vec<bool> = [0, 0, 0, 1, 1, 100, 100, 100].map(|s| buckets.allow(at(s), "a")).into();
        assert_eq!(allowed, [true, true, false, true, false, true, true, false]);
        let others = (0..200).filter(|other| buckets.allow(at(100), &other.to_string())).count();
        assert!((100..200).contains(&others), "64 buckets of two: {others}");
    }
}
