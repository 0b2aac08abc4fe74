use super::columns;
use super::tolerance::{self, tolerance};
use super::votes::{self, Settings, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// The coordinate-wise trimmed mean of the peers' deltas (Yin, Chen, Ramchandran and Bartlett, 2018), beside the site's own delta.
///
/// At each coordinate the F lowest and F highest values are left out, and the mean of the others is taken. One vote an author, whatever
/// confidence it claims. Each coordinate lies between honest values while at most F authors lie; a lie that stays within the honest
/// spread is averaged in. A contribution's weight is its share of what was kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrimmedMean {
    settings: Settings,
    liars: Option<usize>,
}

settings!(TrimmedMean);
tolerance!(TrimmedMean);

impl Default for TrimmedMean {
    fn default() -> Self {
        Self { settings: Settings::DEFAULT, liars: None }
    }
}

impl Synthesizer for TrimmedMean {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, |votes, _| {
            let trim = tolerance::liars(self.liars, votes.len());
            columns::trimmed_mean(&votes.vectors, &votes.weights, votes.dims(), trim)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthesis::{Exclusion, Standing};
    use crate::testing::delta;

    #[test]
    fn the_ends_are_left_out_and_named() {
        let values = [1.0, 2.0, 3.0, -1e6, 1e6];
        let samples = (1..).zip(values).map(|(author, value)| delta(author, 1.0, &[value])).collect();
        let samples = Samples::new(samples).unwrap();
        let synthesis = TrimmedMean::default().synthesize(&Own::nothing(), &samples).unwrap();
        assert!((synthesis.estimate[0] - 2.0).abs() < 1e-12);
        assert_eq!(synthesis.excluded().get(&Exclusion::NotChosen), Some(&2));
        assert_eq!(synthesis.contributions[4].standing, Standing::Excluded(Exclusion::NotChosen));
        let plain = TrimmedMean::default().with_liars(0).synthesize(&Own::nothing(), &samples).unwrap();
        assert_eq!(plain.origins, 5);
    }
}
