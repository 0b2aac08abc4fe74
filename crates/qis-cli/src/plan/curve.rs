//! How the gain grows with the number of sites.

use serde::Serializer;
use serde::ser::SerializeStruct;

use super::measure::BySize;

/// `gain(N) = G (N - 1) / (N - 1 + h)`: nothing alone, half of `G` at `h` peers, and never more than `G`.
///
/// It is what a hierarchical normal model leads to when the peers' common mean is learned from `N - 1` noisy ones. There is no jump in it, and
/// no pairs: `N (N - 1) / 2` of them do not make the gain quadratic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    /// Percent.
    pub(super) g: f64,
    /// Peers.
    pub(super) h: f64,
}

/// Peers at which half is reached, from a hundredth on.
const LEAST_HALF: f64 = 0.01;
/// Up to so many times the peers there are: beyond, the gain is a straight line as far as anyone can see, and its limit is anyone's guess.
const MOST_HALF: f64 = 10.0;
const STEPS: u32 = 500;
/// The curve itself is not more exact than this, in percent of gain.
const INEXACT: f64 = 0.5;

impl Curve {
    /// By least squares, each gain weighted by how exactly it is known; none of fewer than two sizes, and none when the gain does not level off.
    pub(super) fn fit(by_n: &[BySize]) -> Option<Self> {
        let weight = |size: &BySize| {
            let half = size.gain_ci.map_or(0.0, |[low, high]| (high - low) / 2.0);
            1.0 / (half * half + INEXACT * INEXACT)
        };
        let points: Vec<_> = by_n.iter().map(|size| (size.n as f64, size.gain_pct, weight(size))).collect();
        Self::through(&points)
    }

    /// Through sizes, gains and weights.
    fn through(points: &[(f64, f64, f64)]) -> Option<Self> {
        if points.len() < 2 {
            return None;
        }
        let peers = points.iter().map(|(n, ..)| n - 1.0).fold(1.0, f64::max);
        let span = MOST_HALF * peers / LEAST_HALF;
        let mut best: Option<(f64, u32, Self)> = None;
        for step in 0..=STEPS {
            let h = LEAST_HALF * libm::pow(span, f64::from(step) / f64::from(STEPS));
            let unit = Self { g: 1.0, h };
            // For a given h the best G has a closed form.
            let (mut products, mut squares) = (0.0, 0.0);
            for &(n, gain, weight) in points {
                products += weight * unit.at(n) * gain;
                squares += weight * unit.at(n) * unit.at(n);
            }
            let curve = Self { g: products / squares, h };
            let error = points.iter().map(|(n, gain, weight)| weight * libm::pow(gain - curve.at(*n), 2.0));
            let error: f64 = error.sum();
            if error.is_finite() && best.is_none_or(|(least, ..)| error < least) {
                best = Some((error, step, curve));
            }
        }
        best.filter(|(_, step, _)| *step < STEPS).map(|(.., curve)| curve)
    }

    /// As JSON that has both figures also where there are none.
    pub(super) fn serialize<S: Serializer>(curve: &Option<Self>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("curve", 2)?;
        fields.serialize_field("g", &curve.map(|curve| curve.g))?;
        fields.serialize_field("h", &curve.map(|curve| curve.h))?;
        fields.end()
    }

    /// The gain with so many sites, in percent.
    pub(super) fn at(self, sites: f64) -> f64 {
        self.g * (sites - 1.0) / (sites - 1.0 + self.h)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_is_found_again() {
        let truth = Curve { g: 14.0, h: 1.6 };
        let mut points = [2.0, 4.0, 8.0, 10.0, 20.0, 50.0].map(|n| (n, truth.at(n), 1.0));
        let found = Curve::through(&points).unwrap();
        assert!((found.g - 14.0).abs() < 0.1 && (found.h - 1.6).abs() < 0.05, "{found:?}");
        assert!((found.at(1.0 + found.h) - found.g / 2.0).abs() < 1e-9);
        // What nobody knows exactly does not bend it.
        points[0] = (2.0, -90.0, 1e-6);
        assert!((Curve::through(&points).unwrap().g - 14.0).abs() < 0.1);
    }

    #[test]
    fn losses_have_a_curve_and_one_size_has_none() {
        assert!(Curve::through(&[(2.0, -5.0, 1.0), (10.0, -9.0, 1.0)]).unwrap().g < 0.0);
        assert_eq!(Curve::through(&[(2.0, 0.0, 1.0), (10.0, 0.0, 1.0)]).unwrap().g, 0.0);
        assert_eq!(Curve::through(&[(2.0, 5.0, 1.0)]), None);
        assert_eq!(Curve::through(&[(2.0, 1.0, 1.0), (11.0, 10.0, 1.0)]), None);
    }
}
