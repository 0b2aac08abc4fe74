use super::deltas::{self, Blend};
use super::{Intake, ShareError, share};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// The anchored mean: `a * own + (1 - a) * mean`, where the mean of the deltas is weighted by
/// their authors' confidence and `a`, the anchor, is 0.7.
///
/// `own` is always what the site observed itself, never an earlier synthesis, so any number of
/// rounds leaves the anchor in place. A site that observed nothing takes the mean alone.
/// Contributions are shares of the mean.
///
/// For plain vectors among peers that do not lie: a single one that claims full confidence moves
/// the mean without bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AnchoredMean {
    alpha: f64,
    intake: Intake,
}

impl AnchoredMean {
    /// Gives the site's own delta the share `alpha`, from 0 to 1.
    ///
    /// # Errors
    ///
    /// [`ShareError`] when it is outside that range or not a number.
    pub fn new(alpha: f64) -> Result<Self, ShareError> {
        let alpha = share("alpha", alpha)?;
        Ok(Self { alpha, intake: Intake::DEFAULT })
    }

    /// Takes in what this lets pass.
    #[must_use]
    pub const fn with_intake(self, intake: Intake) -> Self {
        Self { intake, ..self }
    }

    /// The share of the site's own delta.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha
    }
}

/// Gives the site's own delta 0.7.
impl Default for AnchoredMean {
    fn default() -> Self {
        Self { alpha: 0.7, intake: Intake::DEFAULT }
    }
}

impl Synthesizer for AnchoredMean {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        let blend = Blend { own: deltas::own_delta(own)?, own_share: self.alpha, from_zero: false };
        blend.with_mean(&self.intake, own, samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::delta;
    use alloc::vec;

    #[test]
    fn the_anchor_is_the_own_delta_and_never_the_state() {
        let samples = Samples::new(vec![delta(1, 0.4, &[1.0]), delta(2, 0.4, &[3.0])]).unwrap();
        let rule = AnchoredMean::new(0.5).unwrap();
        let own = Own::delta(&[10.0]).with_state(&[1000.0]);
        assert_eq!(rule.synthesize(&own, &samples).unwrap().estimate, [6.0]);
        let listener = Own::nothing().with_state(&[1000.0]);
        let mean = rule.synthesize(&listener, &samples).unwrap();
        assert_eq!((mean.estimate, mean.peer_weight), (vec![2.0], Some(1.0)));
    }

    #[test]
    fn without_samples_it_abstains_or_has_nothing() {
        let rule = AnchoredMean::default();
        let none = Samples::default();
        let alone = rule.synthesize(&Own::delta(&[2.0]), &none).unwrap();
        assert_eq!(alone.estimate, [2.0]);
        assert!(alone.abstained.is_some());
        let error = rule.synthesize(&Own::nothing().with_state(&[1.0]), &none);
        assert!(matches!(error, Err(SynthesisError::Nothing)));
    }

    #[test]
    fn the_anchor_is_a_share() {
        assert_eq!(AnchoredMean::new(2.0).unwrap_err().field, "alpha");
        assert_eq!(AnchoredMean::default().alpha(), 0.7);
    }
}
