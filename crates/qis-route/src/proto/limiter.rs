//! Token buckets, one for each key, for a bounded number of keys.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use super::Rate;

/// What sums of shares may be short of by rounding.
const ROUNDING: f64 = 1e-9;

#[derive(Debug)]
pub(super) struct Limiter<K> {
    rate: Rate,
    capacity: NonZeroUsize,
    buckets: BTreeMap<K, Bucket>,
    /// Keys by when they last asked, the longest silent first.
    by_age: BTreeMap<(Duration, u64), K>,
    counter: u64,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    age: (Duration, u64),
}

impl<K: Ord + Clone> Limiter<K> {
    pub(super) const fn new(rate: Rate, capacity: NonZeroUsize) -> Self {
        Self { rate, capacity, buckets: BTreeMap::new(), by_age: BTreeMap::new(), counter: 0 }
    }

    /// Takes a token of `key`; `false` when it has none left. A new key starts with a full bucket.
    pub(super) fn allow(&mut self, now: Duration, key: &K) -> bool {
        self.allow_share(now, key, 1.0)
    }

    /// Takes this share of a token, at most one.
    pub(super) fn allow_share(&mut self, now: Duration, key: &K, share: f64) -> bool {
        self.counter += 1;
        let age = (now, self.counter);
        let burst = f64::from(self.rate.burst);
        if let Some(bucket) = self.buckets.get_mut(key) {
            let passed = now.saturating_sub(bucket.age.0).as_secs_f64();
            bucket.tokens = (bucket.tokens + passed * self.rate.per_second).min(burst);
            if let Some(key) = self.by_age.remove(&bucket.age) {
                self.by_age.insert(age, key);
            }
            bucket.age = age;
            return bucket.take(share);
        }
        if self.buckets.len() >= self.capacity.get()
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.buckets.remove(&oldest);
        }
        let mut bucket = Bucket { tokens: burst, age };
        let taken = bucket.take(share);
        self.buckets.insert(key.clone(), bucket);
        self.by_age.insert(age, key.clone());
        taken
    }
}

impl Bucket {
    fn take(&mut self, share: f64) -> bool {
        let enough = self.tokens + ROUNDING >= share;
        if enough {
            self.tokens -= share;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter() -> Limiter<u8> {
        let capacity = NonZeroUsize::new(2).unwrap();
        Limiter::new(Rate { per_second: 1.0, burst: 2 }, capacity)
    }

    #[test]
    fn burst_then_rate() {
        let mut limiter = limiter();
        let at = Duration::from_secs;
        let allowed: Vec<bool> = [0, 0, 0, 1, 1, 100, 100, 100].map(|s| limiter.allow(at(s), &1)).into();
        assert_eq!(allowed, [true, true, false, true, false, true, true, false]);
    }

    #[test]
    fn shares_add_up_to_tokens() {
        let mut limiter = limiter();
        let allowed = (0..20).filter(|_| limiter.allow_share(Duration::ZERO, &1, 1.0 / 7.0)).count();
        assert_eq!(allowed, 14);
    }

    #[test]
    fn forgets_the_longest_silent_key_only() {
        let mut limiter = limiter();
        let at = Duration::from_secs;
        assert!(limiter.allow(at(0), &1) && limiter.allow(at(0), &1) && !limiter.allow(at(0), &1));
        assert!(limiter.allow(at(0), &2));
        assert!(!limiter.allow(at(0), &1), "1 is remembered");
        assert!(limiter.allow(at(0), &3), "takes the place of 2");
        assert!(!limiter.allow(at(0), &1), "1 is still remembered");
        assert_eq!((limiter.buckets.len(), limiter.by_age.len()), (2, 2));
    }
}
