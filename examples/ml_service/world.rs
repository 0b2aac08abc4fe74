//! What the services predict: how many minutes a delivery takes, in cities that are much alike.

use examples::Rng;

/// What is known of a delivery beforehand.
pub(crate) const FEATURES: [&str; 5] = ["distance_km", "weight_kg", "floor", "rain", "rush_hour"];
/// What the features are about, and by how much: agreed on by all services, so that coefficients mean the same everywhere.
pub(crate) const MEAN: [f64; 5] = [6.0, 10.0, 2.0, 0.3, 0.4];
pub(crate) const SCALE: [f64; 5] = [3.0, 6.0, 1.5, 0.5, 0.5];
/// Minutes: the outcome's mean and scale.
pub(crate) const MINUTES: (f64, f64) = (30.0, 10.0);

/// Minutes that a standard deviation of each feature takes, in an average city.
const EFFECTS: [f64; 5] = [8.0, 1.5, 2.0, 2.5, 4.0];
/// How much cities differ in that, and in the minutes of an average delivery.
const CITIES_DIFFER: f64 = 0.5;
/// Minutes that nobody can foresee.
pub(crate) const CHANCE: f64 = 4.0;

/// A delivery, before and after.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    pub(crate) features: [f64; 5],
    pub(crate) minutes: f64,
}

/// A city, and its deliveries to come.
#[derive(Clone, Debug)]
pub(crate) struct City {
    effects: [f64; 5],
    average: f64,
    rng: Rng,
}

impl City {
    pub(crate) fn new(number: u64, seed: u64) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let effects = EFFECTS.map(|effect| effect + CITIES_DIFFER * normal(&mut rng));
        let average = MINUTES.0 + CITIES_DIFFER * normal(&mut rng);
        Self { effects, average, rng }
    }

    pub(crate) fn deliver(&mut self) -> Delivery {
        let standard: [f64; 5] = std::array::from_fn(|_| normal(&mut self.rng));
        let effects: f64 = standard.iter().zip(self.effects).map(|(z, effect)| z * effect).sum();
        let minutes = self.average + effects + CHANCE * normal(&mut self.rng);
        Delivery { features: std::array::from_fn(|at| MEAN[at] + SCALE[at] * standard[at]), minutes }
    }
}

/// The sum of twelve uniform numbers, which is nearly normal.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| 0.5 * rng.symmetric()).sum()
}
