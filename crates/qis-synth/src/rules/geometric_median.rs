use alloc::vec;
use alloc::vec::Vec;

use super::columns;
use super::vectors::{add_scaled, distance, median};
use super::votes::{self, Combined, Settings, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// Steps of Weiszfeld's iteration. From the median it is within a thousandth of the spread after a few.
const STEPS: usize = 16;
/// Distances count as at least this share of the median distance, so that no vote gets all the weight.
const SMOOTHING: f64 = 1e-6;

/// The geometric median of the peers' deltas (Pillutla, Kakade and Harchaoui, 2022), beside the site's own delta.
///
/// The vector whose distances to the votes add up to the least, by 16 steps of the smoothed Weiszfeld iteration from the coordinate-wise
/// median. One vote an author, whatever confidence it claims. It stays near the honest votes while they have more than half of the
/// weight; a lie is discounted by how far away it is. A contribution's weight is its weight in the last step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeometricMedian {
    settings: Settings,
}

settings!(GeometricMedian);

impl Default for GeometricMedian {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT }
    }
}

impl Synthesizer for GeometricMedian {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, |votes, _| {
            geometric_median(&votes.vectors, &votes.weights, votes.dims())
        })
    }
}

fn geometric_median(vectors: &[Vec<f64>], weights: &[f64], dims: usize) -> Combined {
    let mut combined = columns::median(vectors, weights, dims);
    for _ in 0..STEPS {
        let distances: Vec<f64> = vectors.iter().map(|vector| distance(vector, &combined.values)).collect();
        let least = SMOOTHING * median(&distances);
        if least <= 0.0 {
            // At least half of the votes are here.
            break;
        }
        let pulls = weights.iter().zip(&distances).map(|(weight, distance)| weight / distance.max(least));
        let mut shares: Vec<f64> = pulls.collect();
        let total: f64 = shares.iter().sum();
        let mut values = vec![0.0; dims];
        for (share, vector) in shares.iter_mut().zip(vectors) {
            *share /= total;
            add_scaled(*share, vector, &mut values);
        }
        combined = Combined { values, shares, own_share: None };
    }
    combined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::delta;

    #[test]
    fn the_point_of_least_distance_is_found() {
        // Fermat's point of an equilateral triangle is its centre; one lie in four moves it little.
        let triangle = [[0.0, 1.0], [0.866_025_4, -0.5], [-0.866_025_4, -0.5]];
        let mut samples: Vec<_> = (1..).zip(triangle).map(|(i, corner)| delta(i, 0.3, &corner)).collect();
        let rule = GeometricMedian::default();
        let run = |samples: &[_]| rule.synthesize(&Own::nothing(), &Samples::new(samples.to_vec()).unwrap());
        let centre = run(&samples).unwrap().estimate;
        assert!(centre.iter().all(|value| value.abs() < 1e-3), "{centre:?}");
        samples.push(delta(9, 1.0, &[1e6, 0.0]));
        let moved = run(&samples).unwrap();
        assert!(moved.estimate.iter().all(|value| value.abs() < 1.0), "{moved}");
        assert!(moved.contributions[3].weight < 1e-3);
    }

    #[test]
    fn votes_in_one_place_are_that_place() {
        let samples = (1..4).map(|author| delta(author, 1.0, &[2.0, -1.0])).collect();
        let samples = Samples::new(samples).unwrap();
        let synthesis = GeometricMedian::default().synthesize(&Own::nothing(), &samples).unwrap();
        assert_eq!(synthesis.estimate, [2.0, -1.0]);
    }
}
