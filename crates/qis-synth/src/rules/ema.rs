use super::deltas::{self, Blend};
use super::{Intake, ShareError, share};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;
use crate::synthesizer::Synthesizer;

/// The exponential moving average: `state' = r * state + (1 - r) * mean`, where the mean of the
/// deltas is weighted by their authors' confidence and `r`, the share retained, is 0.7.
///
/// The state is the site's earlier synthesis; before the first, its own delta; without either,
/// zero. Contributions are shares of the mean.
///
/// This rule is here for compatibility. One round of it among friendly peers is mild. Iterated, it
/// forgets the site's own data, since the state it retains is already mixed, and a single peer
/// that claims full confidence moves it without bound. Prefer [`AnchoredMean`](super::AnchoredMean)
/// for plain vectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ema {
    retain: f64,
    intake: Intake,
}

impl Ema {
    /// Retains 0.7.
    pub const DEFAULT: Self = Self { retain: 0.7, intake: Intake::DEFAULT };

    /// Retains the share `retain` of the state, from 0 to 1.
    ///
    /// # Errors
    ///
    /// [`ShareError`] when it is outside that range or not a number.
    pub fn new(retain: f64) -> Result<Self, ShareError> {
        let retain = share("retain", retain)?;
        Ok(Self { retain, intake: Intake::DEFAULT })
    }

    /// Takes in what this lets pass.
    #[must_use]
    pub const fn with_intake(self, intake: Intake) -> Self {
        Self { intake, ..self }
    }

    /// The share of the state that is retained.
    #[must_use]
    pub fn retain(&self) -> f64 {
        self.retain
    }
}

impl Default for Ema {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Synthesizer for Ema {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        let delta = deltas::own_delta(own)?;
        let state = deltas::own_state(own)?.or(delta);
        let blend = Blend { own: state, own_share: self.retain, from_zero: true };
        blend.with_mean(&self.intake, own, samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Mismatch;
    use crate::samples::OwnOutcome;
    use crate::synthesis::{Abstention, Exclusion, Standing};
    use crate::testing::{delta, site};
    use alloc::vec;

    fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn the_state_keeps_seven_tenths() {
        let samples = [delta(1, 1.0, &[1.0, 0.0]), delta(2, 0.2, &[-5.0, 6.0])];
        let samples = Samples::new(samples.to_vec()).unwrap();
        let own = Own::delta(&[9.0, 9.0]).with_state(&[10.0, 20.0]);
        let synthesis = Ema::default().synthesize(&own, &samples).unwrap();
        // The mean is (1 * (1, 0) + 0.2 * (-5, 6)) / 1.2 = (0, 1).
        assert!(near(&synthesis.estimate, &[7.0, 14.3]), "{synthesis:?}");
        assert!((synthesis.contributions[0].weight - 1.0 / 1.2).abs() < 1e-12);
        assert_eq!((synthesis.origins, synthesis.abstained), (2, None));
    }

    #[test]
    fn without_state_the_own_delta_or_zero_is_retained() {
        let samples = Samples::new(vec![delta(1, 1.0, &[1.0])]).unwrap();
        let run = |own| Ema::default().synthesize(&own, &samples).unwrap().estimate;
        assert!(near(&run(Own::delta(&[2.0])), &[1.7]));
        assert!(near(&run(Own::nothing()), &[0.3]));
    }

    #[test]
    fn without_samples_it_abstains() {
        let own = Own::delta(&[2.0]);
        let alone = Ema::default().synthesize(&own, &Samples::default()).unwrap();
        assert_eq!(alone.estimate, [2.0]);
        assert_eq!(alone.abstained, Some(Abstention::NoPeers));
    }

    #[test]
    fn zero_confidence_is_an_error_and_no_division() {
        let all = Samples::new(vec![delta(1, 0.0, &[1.0])]).unwrap();
        let error = Ema::default().synthesize(&Own::nothing(), &all).unwrap_err();
        assert!(matches!(error, SynthesisError::ZeroConfidence));
        let some = Samples::new(vec![delta(1, 0.0, &[1.0]), delta(2, 1.0, &[5.0])]).unwrap();
        let synthesis = Ema::default().synthesize(&Own::nothing(), &some).unwrap();
        let standing = synthesis.contributions[0].standing;
        assert_eq!(standing, Standing::Excluded(Exclusion::NoConfidence));
        assert_eq!(synthesis.origins, 1);
    }

    #[test]
    fn own_data_that_does_not_fit_is_refused() {
        let evidence =
            site(&mut crate::testing::Random(1), crate::evidence::Family::Logistic, &[0.0, 1.0], 5);
        let run = |own: Own<'_>, samples| {
            Ema::default().synthesize(&own, &Samples::new(samples).unwrap()).unwrap_err()
        };
        let outcome = Some(OwnOutcome::Evidence(&evidence));
        let kind = run(Own { outcome, ..Own::default() }, vec![]);
        assert!(matches!(kind, SynthesisError::Own(Mismatch::Kind { .. })));
        let nan = run(Own::nothing().with_state(&[0.0, f64::NAN]), vec![]);
        assert!(matches!(nan, SynthesisError::Own(Mismatch::NotFinite { index: 1 })));
    }

    #[test]
    fn the_retained_share_is_a_share() {
        for value in [-0.1, 1.1, f64::NAN] {
            assert_eq!(Ema::new(value).unwrap_err().field, "retain");
        }
        let keep = Ema::new(1.0).unwrap();
        let samples = Samples::new(vec![delta(1, 1.0, &[1.0])]).unwrap();
        assert_eq!(keep.synthesize(&Own::delta(&[4.0]), &samples).unwrap().estimate, [4.0]);
    }
}
