//! What every [`Synthesizer`] has to do, for plain vectors ([`Suite::new`]) and for evidence ([`Suite::of_evidence`]).
//!
//! The suite gives a rule the same samples again, in other orders and on other threads, samples that claim anything, and none at all. Whether
//! the rule is any good it does not ask: for that there is the attack suite.
//!
//! ```
//! use qis_conformance::synthesizer;
//! use qis_synth::rules::Robust;
//!
//! synthesizer::Suite::new(Robust::default()).run()?;
//! # Ok::<(), qis_conformance::Failures>(())
//! ```

mod cases;
mod checks;
mod evidence;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use qis_synth::evidence::Family;
use qis_synth::{Samples, Synthesis, SynthesisError, Synthesizer};

use crate::requirement::Requirement;
use crate::runner::{self, Context, PATIENCE, Watch};
use crate::{Failures, Report, block_on};
use cases::Site;

/// The suite for a [`Synthesizer`].
pub struct Suite {
    rule: Arc<dyn Synthesizer>,
    works_on: WorksOn,
    patience: Duration,
}

/// What a rule works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorksOn {
    Vectors,
    Evidence(Family),
}

impl Suite {
    /// A suite for a rule for plain vectors.
    pub fn new(rule: impl Synthesizer) -> Self {
        Self { rule: Arc::new(rule), works_on: WorksOn::Vectors, patience: PATIENCE }
    }

    /// A suite for a rule for evidence of this family.
    pub fn of_evidence(rule: impl Synthesizer, family: Family) -> Self {
        Self { works_on: WorksOn::Evidence(family), ..Self::new(rule) }
    }

    /// How long a synthesis may take: 10 s by default. One that does not end is waited for four times as long.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Runs all checks. Each is on a thread of its own; a rule needs no runtime.
    ///
    /// # Errors
    ///
    /// [`Failures`], which names each broken sentence of the trait's list.
    pub fn run(self) -> Result<Report, Failures> {
        let setup = || Setup {
            rule: Arc::clone(&self.rule),
            works_on: self.works_on,
            patience: self.patience,
            watch: Watch::default(),
        };
        runner::run(checks::CHECKS, checks::ALWAYS, setup, block_on)
    }

    /// The sentences of the trait's list, and which of them are checked.
    #[must_use]
    pub fn requirements() -> Vec<Requirement> {
        runner::requirements(checks::CHECKS, checks::ALWAYS, checks::UNCHECKED)
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("synthesizer::Suite");
        debug.field("rule", &self.rule).field("works_on", &self.works_on).finish_non_exhaustive()
    }
}

/// What the checks have to work with.
struct Setup {
    rule: Arc<dyn Synthesizer>,
    works_on: WorksOn,
    patience: Duration,
    watch: Watch,
}

impl Setup {
    fn synthesize(&self, site: &Site, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        self.watch.compute(|| self.rule.synthesize(&site.own(), samples))
    }
}

impl Context for Setup {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
