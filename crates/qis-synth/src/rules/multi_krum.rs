use alloc::vec;

use super::krum::ranked;
use super::tolerance::{self, tolerance};
use super::vectors::add_scaled;
use super::votes::{self, Combined, Settings, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// Multi-Krum (Blanchard, El Mhamdi, Guerraoui and Stainer, 2017): the mean of the n - F deltas with the best
/// [Krum](super::Krum) scores, beside the site's own.
///
/// One vote an author, whatever confidence it claims. It keeps more of what the sites know than Krum, and more of a lie that stays near
/// the honest votes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MultiKrum {
    settings: Settings,
    liars: Option<usize>,
}

settings!(MultiKrum);
tolerance!(MultiKrum);

impl Default for MultiKrum {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT, liars: None }
    }
}

impl Synthesizer for MultiKrum {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, |votes, _| {
            let liars = tolerance::liars(self.liars, votes.len());
            let mut chosen = ranked(votes, liars);
            chosen.truncate(votes.len() - liars);
            // Added up in the order of the authors, as everywhere.
            chosen.sort_unstable();
            let total: f64 = chosen.iter().map(|&at| votes.weights[at]).sum();
            let mut shares = vec![0.0; votes.len()];
            let mut values = vec![0.0; votes.dims()];
            for at in chosen {
                shares[at] = votes.weights[at] / total;
                add_scaled(shares[at], &votes.vectors[at], &mut values);
            }
            Combined { values, shares, own_share: None }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesis::Exclusion;
    use crate::testing::delta;

    #[test]
    fn the_mean_of_the_crowd_is_taken() {
        let values = [0.5, 1.0, 1.5, 1.0, 50.0, 60.0];
        let samples = (1..).zip(values).map(|(author, value)| delta(author, 1.0, &[value])).collect();
        let samples = Samples::new(samples).unwrap();
        let synthesis = MultiKrum::default().with_liars(2).synthesize(&Own::nothing(), &samples).unwrap();
        assert!((synthesis.estimate[0] - 1.0).abs() < 1e-6, "{synthesis}");
        assert_eq!(synthesis.excluded().get(&Exclusion::NotChosen), Some(&2));
    }
}
