//! Drawing from numbers that come as arguments.

/// `SplitMix64`: the same numbers for the same seed, for nothing that must not be guessed.
#[derive(Clone, Debug)]
pub(crate) struct SplitMix(u64);

impl SplitMix {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Goes on from another place, which depends on the one it is at and on `salt`.
    pub(crate) const fn stir(&mut self, salt: u64) {
        self.0 ^= salt;
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Takes one of the items out, each as likely as another; none when there is none. The others change their order.
pub(crate) fn take_any<T>(items: &mut Vec<T>, draw: impl FnOnce() -> u64) -> Option<T> {
    if items.is_empty() {
        return None;
    }
    let product = u128::from(draw()) * items.len() as u128;
    let at = usize::try_from(product >> 64).unwrap_or_default();
    Some(items.swap_remove(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_as_likely_as_another() {
        let mut numbers = SplitMix::new(1);
        let mut drawn = [0_u32; 5];
        for _ in 0..5000 {
            drawn[take_any(&mut vec![0, 1, 2, 3, 4], || numbers.next()).unwrap()] += 1;
        }
        assert!(drawn.iter().all(|count| (900..1100).contains(count)), "{drawn:?}");
        assert_eq!(take_any(&mut Vec::<u8>::new(), || 1), None);
        assert_eq!(take_any(&mut vec![0, 1], || u64::MAX), Some(1));
    }
}
