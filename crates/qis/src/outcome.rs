//! What a host learned.

use std::sync::Arc;

use qis_synth::evidence::Evidence;

/// What a site learned in a domain: a plain vector, or its data as evidence on a model.
///
/// Anything that is one converts into it: `&[f32]`, `Vec<f32>`, `[f32; N]`, [`Evidence`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A change of so many coordinates that was found to be of use.
    Delta(Vec<f32>),
    /// The site's own data under the domain's schema. The records stay here; what is sent is a summary.
    Evidence(Arc<Evidence>),
}

impl From<Vec<f32>> for Outcome {
    fn from(values: Vec<f32>) -> Self {
        Self::Delta(values)
    }
}

impl From<&[f32]> for Outcome {
    fn from(values: &[f32]) -> Self {
        Self::Delta(values.to_vec())
    }
}

impl From<&Vec<f32>> for Outcome {
    fn from(values: &Vec<f32>) -> Self {
        Self::Delta(values.clone())
    }
}

impl<const N: usize> From<[f32; N]> for Outcome {
    fn from(values: [f32; N]) -> Self {
        Self::Delta(values.to_vec())
    }
}

impl<const N: usize> From<&[f32; N]> for Outcome {
    fn from(values: &[f32; N]) -> Self {
        Self::Delta(values.to_vec())
    }
}

impl From<Evidence> for Outcome {
    fn from(evidence: Evidence) -> Self {
        Self::Evidence(Arc::new(evidence))
    }
}

impl From<Arc<Evidence>> for Outcome {
    fn from(evidence: Arc<Evidence>) -> Self {
        Self::Evidence(evidence)
    }
}
