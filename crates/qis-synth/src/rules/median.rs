use super::columns;
use super::votes::{self, Settings, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// The coordinate-wise median of the peers' deltas (Yin, Chen, Ramchandran and Bartlett, 2018), beside the site's own delta.
///
/// One vote an author, whatever confidence it claims. Each coordinate lies between honest values as long as more than half of the weight
/// is honest. Where sites differ much among themselves it throws away most of what they say, and coordinates come from different sites;
/// prefer [`Robust`](super::Robust) there. A contribution's weight is the share of the coordinates that are its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Median {
    settings: Settings,
}

settings!(Median);

impl Default for Median {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT }
    }
}

impl Synthesizer for Median {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, |votes, _| {
            columns::median(&votes.vectors, &votes.weights, votes.dims())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::delta;
    use alloc::vec;

    #[test]
    fn a_minority_does_not_move_it_out_of_the_honest_values() {
        let samples = vec![delta(1, 0.5, &[1.0]), delta(2, 0.5, &[2.0]), delta(3, 1.0, &[1e9])];
        let samples = Samples::new(samples).unwrap();
        let rule = Median::default().with_own_share(0.5).unwrap();
        let synthesis = rule.synthesize(&Own::delta(&[4.0]), &samples).unwrap();
        assert_eq!(synthesis.estimate, [3.0]);
        assert_eq!((synthesis.peer_weight, synthesis.origins), (Some(0.5), 1));
        let alone = rule.synthesize(&Own::nothing(), &samples).unwrap();
        assert_eq!((alone.estimate, alone.peer_weight), (vec![2.0], Some(1.0)));
        assert_eq!(rule.with_own_share(f64::NAN).unwrap_err().field, "own_share");
    }
}
