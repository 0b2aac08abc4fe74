use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::Synthesis;

/// A rule that makes one estimate of a site's own data and what its peers sent.
///
/// A node calls it whenever its host asks for a synthesis, from any thread and possibly from
/// several at once. It may take as long as arithmetic takes and must not block on anything else;
/// it cannot be cancelled half-way.
///
/// # To be correct
///
/// - It is a pure function: the same own data and the same set of samples give the same result,
///   bit for bit, on every call and every machine. It reads no clock, random numbers or state.
///   Transcendental functions come from a software library such as `libm`.
/// - It does not depend on the order samples arrived in. [`Samples`] are ordered by author; run
///   over them in that order.
/// - It never panics and always ends, whatever the samples claim: peers choose every number in
///   them. What it gives is finite.
/// - [`Synthesis::contributions`] accounts for every sample, in the samples' order. The weights are
///   from 0 to 1, and add up to 1 unless the rule abstained or nothing of the peers' carried weight.
/// - Without usable samples it either gives the site's own estimate and says so in
///   [`Synthesis::abstained`], or an error. It never hides a failure behind an estimate.
///
/// `synthesizer::Suite` of `qis-conformance` checks a rule against this list.
pub trait Synthesizer: fmt::Debug + Send + Sync + 'static {
    /// Synthesises.
    ///
    /// # Errors
    ///
    /// [`SynthesisError`] when there is nothing to synthesise, when own data or a sample is not
    /// of the kind and dimension the rule works on, or when the result would not be finite.
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError>;
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<S: Synthesizer + ?Sized> Synthesizer for $pointer {
            fn synthesize(
                &self,
                own: &Own<'_>,
                samples: &Samples,
            ) -> Result<Synthesis, SynthesisError> {
                (**self).synthesize(own, samples)
            }
        }
    )*};
}

forward!(&'static S, Box<S>, Arc<S>);

/// A rule that is a closure or a function.
///
/// ```
/// use qis_synth::{Own, Samples, Synthesis, Synthesizer, SynthesisError, synthesizer_fn};
///
/// /// Keeps the earlier state, whatever peers say.
/// let stubborn = synthesizer_fn(|own: &Own<'_>, _: &Samples| {
///     let state = own.state.ok_or(SynthesisError::Nothing)?;
///     Ok(Synthesis::new(state.to_vec()))
/// });
/// let own = Own::nothing().with_state(&[1.0, 2.0]);
/// assert_eq!(stubborn.synthesize(&own, &Samples::default())?.estimate, [1.0, 2.0]);
/// # Ok::<(), SynthesisError>(())
/// ```
#[must_use]
pub fn synthesizer_fn<F>(rule: F) -> SynthesizerFn<F>
where
    F: Fn(&Own<'_>, &Samples) -> Result<Synthesis, SynthesisError> + Send + Sync + 'static,
{
    SynthesizerFn(rule)
}

/// The rule [`synthesizer_fn`] makes.
#[derive(Clone, Copy)]
pub struct SynthesizerFn<F>(F);

impl<F> Synthesizer for SynthesizerFn<F>
where
    F: Fn(&Own<'_>, &Samples) -> Result<Synthesis, SynthesisError> + Send + Sync + 'static,
{
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        (self.0)(own, samples)
    }
}

impl<F> fmt::Debug for SynthesizerFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SynthesizerFn")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{AnchoredMean, Ema};
    use alloc::vec::Vec;

    #[test]
    fn rules_are_stored_behind_any_pointer() {
        static EMA: Ema = Ema::DEFAULT;
        let rules: Vec<Arc<dyn Synthesizer>> = alloc::vec![
            Arc::new(&EMA),
            Arc::new(Box::new(AnchoredMean::default())),
            Arc::new(Box::new(AnchoredMean::default()) as Box<dyn Synthesizer>),
            Arc::new(synthesizer_fn(|_: &Own<'_>, _: &Samples| Err(SynthesisError::Nothing))),
        ];
        for rule in rules {
            let nothing = rule.synthesize(&Own::nothing(), &Samples::default());
            assert!(matches!(nothing, Err(SynthesisError::Nothing)), "{rule:?}");
        }
    }

    #[test]
    fn everything_public_is_send_and_sync() {
        fn check<T: Send + Sync>() {}
        check::<Own<'_>>();
        check::<Samples>();
        check::<Synthesis>();
        check::<SynthesisError>();
        check::<crate::bayes::EmpiricalBayes>();
        check::<crate::evidence::Evidence>();
    }
}
