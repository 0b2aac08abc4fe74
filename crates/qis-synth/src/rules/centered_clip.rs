use alloc::vec::Vec;

use super::columns;
use super::vectors::{add_scaled, distance, median};
use super::votes::{self, Combined, Settings, Votes, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// Self-centred clipping of the peers' deltas (Karimireddy, He and Jaggi, 2021; He, Karimireddy and Jaggi, 2022).
///
/// `c + mean of (x - c) min(1, r / |x - c|)`, where the centre `c` is the site's own delta, or the coordinate-wise median of the
/// votes if it observed nothing, and the radius `r` is the median of the distances `|x - c|`. So a vote moves the estimate by at most `r`
/// divided by the number of votes, in whichever direction it likes. One vote an author, whatever confidence it claims. A vote farther than
/// the radius is discounted to `r / |x - c|`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CenteredClip {
    settings: Settings,
}

settings!(CenteredClip);

impl Default for CenteredClip {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT }
    }
}

impl Synthesizer for CenteredClip {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, clip)
    }
}

fn clip(votes: &mut Votes<'_>, own: Option<&[f64]>) -> Combined {
    let by_column = columns::median(&votes.vectors, &votes.weights, votes.dims());
    let centre = own.unwrap_or(&by_column.values);
    let distances: Vec<f64> = votes.vectors.iter().map(|vector| distance(vector, centre)).collect();
    let radius = median(&distances);
    let total: f64 = votes.weights.iter().sum();
    let factor = |&distance: &f64| if distance > radius { radius / distance } else { 1.0 };
    let factors: Vec<f64> = distances.iter().map(factor).collect();
    let weights = votes.weights.iter().zip(&factors);
    let shares: Vec<f64> = weights.map(|(weight, factor)| weight / total * factor).collect();

    let mut values = centre.to_vec();
    let centre_share = 1.0 - shares.iter().sum::<f64>();
    values.iter_mut().for_each(|value| *value *= centre_share);
    for (share, vector) in shares.iter().zip(&votes.vectors) {
        add_scaled(*share, vector, &mut values);
    }
    for (at, factor) in factors.into_iter().enumerate() {
        votes.discount(at, factor);
    }
    Combined { values, shares, own_share: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesis::Standing;
    use crate::testing::delta;
    use alloc::vec;

    #[test]
    fn a_vote_moves_the_estimate_by_no_more_than_its_part_of_the_radius() {
        let samples = vec![delta(1, 0.5, &[1.0]), delta(2, 0.5, &[-1.0]), delta(3, 1.0, &[1e6])];
        let samples = Samples::new(samples).unwrap();
        let rule = CenteredClip::default().with_own_share(0.0).unwrap();
        let synthesis = rule.synthesize(&Own::delta(&[0.0]), &samples).unwrap();
        // The radius is 1, a third of which is the liar's.
        assert!((synthesis.estimate[0] - 1.0 / 3.0).abs() < 1e-6, "{synthesis}");
        assert!(
            matches!(synthesis.contributions[2].standing, Standing::Discounted { trust } if trust < 1e-5)
        );
    }
}
