//! Jitter and draws. What attackers must not guess is never made of them.

/// `SplitMix64` from the system's entropy.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new() -> Self {
        let mut seed = [0; 8];
        // Without entropy the draws are the same at each start, which spoils only their spread.
        let _ = getrandom::fill(&mut seed);
        Self(u64::from_le_bytes(seed))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `bound`, 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.next() % bound).unwrap_or_default()
    }

    /// A factor of 0.8 to 1.2.
    pub(crate) fn jitter(&mut self) -> f64 {
        0.8 + f64::from(u32::try_from(self.next() >> 32).unwrap_or_default()) / f64::from(u32::MAX) * 0.4
    }

    /// In an order that is any.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_stay_in_their_range() {
        let mut random = Random::new();
        let mut items: Vec<usize> = (0..50).collect();
        random.shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
        assert!((0..100).all(|_| (0.8..=1.2).contains(&random.jitter()) && random.below(3) < 3));
        assert_eq!(random.below(0), 0);
    }
}
