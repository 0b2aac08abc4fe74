//! How often something took how long, in memory that does not grow.

/// Buckets in each doubling: a quantile is at most a 64th too large.
const PARTS: u32 = 64;
const BITS: u32 = PARTS.ilog2();
const BUCKETS: usize = ((64 - BITS + 1) * PARTS) as usize;

/// Counts of whole numbers, microseconds say, with a relative error of at most 1/64. Up to 64 they are exact.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    counts: Vec<u64>,
    total: u64,
    most: u64,
}

impl Histogram {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0, most: 0 }
    }

    pub(super) fn add(&mut self, value: u64) {
        if let Some(count) = self.counts.get_mut(bucket(value)) {
            *count += 1;
        }
        self.total += 1;
        self.most = self.most.max(value);
    }

    /// The least value that this share of all, 0 to 1, does not exceed; `None` when there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<u64> {
        let rank = ((self.total as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let found = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        Some(last(found).min(self.most))
    }

    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    /// Forgets all, and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        (self.total, self.most) = (0, 0);
    }
}

/// Where a value is counted: its leading bits, of which there are as many for each doubling.
const fn bucket(value: u64) -> usize {
    if value < PARTS as u64 {
        return value as usize;
    }
    let doubling = value.ilog2() - BITS;
    (doubling * PARTS) as usize + (value >> doubling) as usize
}

/// The largest value that is counted in a bucket.
const fn last(bucket: usize) -> u64 {
    let (bucket, parts) = (bucket as u64, PARTS as u64);
    if bucket < 2 * parts {
        return bucket;
    }
    let doubling = bucket / parts - 1;
    let first = (bucket - doubling * parts) << doubling;
    first + ((1 << doubling) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn every_value_is_in_the_bucket_that_ends_just_above_it() {
        for value in (0..100_000).chain([u64::MAX / 3, u64::MAX - 1, u64::MAX]) {
            let end = last(bucket(value));
            assert!(end >= value && end - value <= value / 64, "{value} is counted as {end}");
            assert!(bucket(value) < BUCKETS);
            if bucket(value) > 0 {
                assert!(last(bucket(value) - 1) < value, "{value} belongs further down");
            }
        }
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let mut rng = Rng::new(1, 0);
        let mut values: Vec<u64> = (0..5_000).map(|_| rng.bits() >> (rng.bits() % 50 + 10)).collect();
        let mut histogram = Histogram::new();
        for &value in &values {
            histogram.add(value);
        }
        values.sort_unstable();
        for share in [0.0, 0.5, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((5_000.0 * share) as usize).clamp(1, 5_000);
            let (exact, found) = (values[rank - 1], histogram.quantile(share).unwrap());
            assert!(found >= exact && found - exact <= exact / 64, "{share}: {found}, not {exact}");
        }
        assert_eq!(histogram.quantile(1.0), values.last().copied());
        histogram.clear();
        assert_eq!((histogram.quantile(0.5), histogram.most()), (None, 0));
    }
}
