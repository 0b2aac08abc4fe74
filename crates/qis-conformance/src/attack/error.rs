use qis_synth::SynthesisError;

/// Why the suite could not be run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttackError {
    /// A setting out of its range.
    #[error("`{field}` {problem}")]
    Setting {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The rule gave an error.
    #[error("the rule failed: {0}")]
    Rule(#[from] SynthesisError),
    /// The rule gave an estimate of another dimension, or one that is not finite.
    #[error("the rule's estimate is no vector of {dims} finite numbers")]
    Estimate {
        /// How many it should be.
        dims: usize,
    },
    /// A delta makes no packet, as that of a model that the rule let grow without bound.
    #[error("a delta makes no packet: {0}")]
    Packet(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl AttackError {
    pub(super) fn packet(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Packet(Box::new(error))
    }
}
