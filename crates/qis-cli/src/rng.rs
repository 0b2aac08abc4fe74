//! A small seeded generator, so that every run can be repeated on every machine.

/// `SplitMix64` (Steele, Lea and Flood, 2014), and what is drawn from it.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The stream that belongs to `seed` and, within it, to `stream`.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut rng = Self(seed);
        let base = rng.bits();
        let mut rng = Self(base ^ stream.wrapping_mul(0xD134_2543_DE82_EF95));
        rng.bits();
        rng
    }

    /// 64 uniform bits.
    pub(crate) const fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in (0, 1).
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
    }

    /// Standard Gaussian (Box and Muller, 1958).
    pub(crate) fn gaussian(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(self.uniform()));
        radius * libm::cos(core::f64::consts::TAU * self.uniform())
    }

    /// Two-sided exponential.
    pub(crate) fn laplace(&mut self) -> f64 {
        let size = -libm::log(self.uniform());
        if self.bits() & 1 == 0 { size } else { -size }
    }

    /// Student's t with three degrees of freedom.
    pub(crate) fn student(&mut self) -> f64 {
        let squares: f64 = (0..3).map(|_| libm::pow(self.gaussian(), 2.0)).sum();
        self.gaussian() / libm::sqrt(squares / 3.0)
    }

    /// Gaussian one time in five, else exactly zero.
    pub(crate) fn sparse(&mut self) -> f64 {
        if self.uniform() < 0.2 { self.gaussian() } else { 0.0 }
    }

    /// One of `items`.
    pub(crate) fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len());
        items.get(index)
    }

    /// Uniform in `0..count`; 0 when that is empty.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        // The high half of a 128-bit product is uniform below the count.
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    /// Puts items into any order, each as likely as another (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for left in (2..=items.len()).rev() {
            items.swap(self.below(left), left - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distributions_have_their_moments() {
        let mut rng = Rng::new(1, 2);
        let mut second = |draw: fn(&mut Rng) -> f64| {
            let squares = (0..100_000).map(|_| draw(&mut rng).powi(2));
            squares.sum::<f64>() / 100_000.0
        };
        assert!((second(Rng::gaussian) - 1.0).abs() < 0.02);
        assert!((second(Rng::laplace) - 2.0).abs() < 0.08);
        assert!((second(Rng::sparse) - 0.2).abs() < 0.01);
        let mut zeros = (0..10_000).map(|_| rng.sparse()).filter(|&value| value == 0.0);
        assert!((7_800..8_200).contains(&zeros.by_ref().count()));
        // The second moment of t(3) is 3 but the fourth does not exist: take the quartiles, at 0.765.
        let inside = (0..100_000).filter(|_| rng.student().abs() < 0.764_892_3).count();
        assert!((49_000..51_000).contains(&inside), "{inside}");
    }

    #[test]
    fn every_order_is_as_likely_as_another() {
        let mut rng = Rng::new(3, 4);
        let mut counts = std::collections::BTreeMap::<[u8; 3], u32>::new();
        for _ in 0..6000 {
            let mut items = [0, 1, 2];
            rng.shuffle(&mut items);
            *counts.entry(items).or_default() += 1;
        }
        assert!(counts.len() == 6 && counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn seeds_and_streams_differ() {
        let first = |seed, stream| Rng::new(seed, stream).bits();
        assert_ne!(first(0, 0), first(0, 1));
        assert_ne!(first(0, 0), first(1, 0));
        assert_eq!(first(5, 6), first(5, 6));
    }
}
