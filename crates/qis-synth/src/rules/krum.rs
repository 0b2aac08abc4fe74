use alloc::vec;
use alloc::vec::Vec;

use super::tolerance::{self, tolerance};
use super::vectors::Distances;
use super::votes::{self, Combined, Settings, Votes, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// Krum (Blanchard, El Mhamdi, Guerraoui and Stainer, 2017): the one delta that is nearest to its neighbours, beside the site's own.
///
/// Of n votes, F of which may lie, the one is chosen whose squared distances to the n - F - 2 nearest others add up to the least. One
/// vote an author, whatever confidence it claims. What is chosen is what some author sent; liars who copy an author get
/// it chosen. Where sites differ much, what all others know is lost: prefer [`Robust`](super::Robust).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Krum {
    settings: Settings,
    liars: Option<usize>,
}

settings!(Krum);
tolerance!(Krum);

impl Default for Krum {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT, liars: None }
    }
}

impl Synthesizer for Krum {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, |votes, _| {
            let mut shares = vec![0.0; votes.len()];
            let ranked = ranked(votes, tolerance::liars(self.liars, votes.len()));
            let best = ranked.first().copied().unwrap_or_default();
            shares[best] = 1.0;
            Combined { values: votes.vectors[best].clone(), shares, own_share: None }
        })
    }
}

/// The places of the votes, the one with the lowest score first.
pub(super) fn ranked(votes: &Votes<'_>, liars: usize) -> Vec<usize> {
    let distances = Distances::of(&votes.vectors);
    // With few votes the score is the distance to the one nearest neighbour.
    let neighbours = votes.len().saturating_sub(liars + 2).max(1);
    let score = |at: usize| -> f64 {
        let nearest = distances.nearest(at);
        nearest.iter().skip(1).take(neighbours).map(|&other| distances.squared(at, other)).sum()
    };
    let scores: Vec<f64> = (0..votes.len()).map(score).collect();
    let mut order: Vec<usize> = (0..votes.len()).collect();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]).then(a.cmp(&b)));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::delta;

    #[test]
    fn the_vote_in_the_middle_of_the_crowd_is_chosen() {
        let values = [0.9, 1.0, 1.1, 1.3, 50.0, 60.0];
        let samples = (1..).zip(values).map(|(author, value)| delta(author, 1.0, &[value])).collect();
        let samples = Samples::new(samples).unwrap();
        let synthesis = Krum::default().with_liars(2).synthesize(&Own::nothing(), &samples).unwrap();
        assert_eq!((synthesis.contributions[1].weight, synthesis.origins), (1.0, 1));
        assert!((synthesis.estimate[0] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn one_vote_is_chosen_and_two_too() {
        for count in [1, 2] {
            let samples = (1..=count).map(|author| delta(author, 1.0, &[f32::from(author)])).collect();
            let synthesis =
                Krum::default().synthesize(&Own::nothing(), &Samples::new(samples).unwrap()).unwrap();
            assert_eq!(synthesis.estimate, [1.0]);
        }
    }
}
