use alloc::string::{String, ToString};
use alloc::vec::Vec;

use qis_packet::{DomainTag, DomainTagError};
use sha2::{Digest, Sha256};

/// What the numbers of an evidence packet mean: the likelihood, the features in order, and how
/// each is scaled.
///
/// Two sites can add up evidence only when every one of these agrees, so the schema's
/// [hash](Schema::hash) goes into the [domain tag](Schema::domain) and packets of another schema
/// never meet. An intercept is prepended to the features, except in the Cox family, which has none.
///
/// ```
/// use qis_synth::evidence::{Family, Scaling, Schema};
///
/// let schema = Schema::new(Family::Logistic, ["age", "cholesterol"], Scaling::SiteLocal)?;
/// assert_eq!(schema.dims(), 3);
/// let tag = schema.domain("cardiology/heart")?;
/// assert_eq!(tag.schema_hash(), Some(schema.hash()));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    family: Family,
    features: Vec<String>,
    scaling: Scaling,
    outcome: (f64, f64),
}

/// The likelihood of one record's outcome given its features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Family {
    /// A real outcome with Gaussian noise: linear regression.
    Gaussian,
    /// An outcome of 0 or 1, the log-odds linear in the features: logistic regression.
    Logistic,
    /// A time until an event or until it was last known not to have happened, the log-hazard
    /// linear in the features: proportional hazards (Cox, 1972).
    Cox,
}

/// How raw features become the standardised numbers a model is fitted on.
///
/// Standardised values are clipped to ±5 in both cases, so that one record's leverage is bounded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Scaling {
    /// Each site subtracts its own mean and divides by its own sample standard deviation.
    ///
    /// For sites whose instruments or populations differ in level and range. A coefficient then
    /// means "per local standard deviation".
    SiteLocal,
    /// Every site uses these published figures, one per feature, in the features' order.
    Public {
        /// What is subtracted from each feature.
        mean: Vec<f64>,
        /// What each difference is divided by; positive.
        scale: Vec<f64>,
    },
}

/// A schema that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// The number of features is outside `1..=64`.
    #[error("a schema has 1 to {} features, not {found}", Schema::MAX_FEATURES)]
    FeatureCount {
        /// How many were given.
        found: usize,
    },
    /// A feature's name is empty or longer than 64 bytes.
    #[error("the name of feature {index} has {len} bytes, not 1 to {}", Schema::MAX_NAME_LEN)]
    NameLength {
        /// The feature's position, from 0.
        index: usize,
        /// The length of its name in bytes.
        len: usize,
    },
    /// Two features share a name.
    #[error("two features are named `{name}`")]
    DuplicateFeature {
        /// The name.
        name: String,
    },
    /// Public scaling gives a different number of figures than there are features.
    #[error("public scaling has {means} means and {scales} scales for {features} features")]
    ScalingLength {
        /// How many features the schema has.
        features: usize,
        /// How many means were given.
        means: usize,
        /// How many scales were given.
        scales: usize,
    },
    /// A public mean is not finite, or a public scale is not finite and positive.
    #[error("feature `{feature}` cannot be scaled by mean {mean} and scale {scale}")]
    FeatureScaling {
        /// The feature's name.
        feature: String,
        /// The mean that was given.
        mean: f64,
        /// The scale that was given.
        scale: f64,
    },
    /// The outcome's mean is not finite, or its scale is not finite and positive.
    #[error("the outcome cannot be scaled by mean {mean} and scale {scale}")]
    OutcomeScaling {
        /// The mean that was given.
        mean: f64,
        /// The scale that was given.
        scale: f64,
    },
    /// Outcome scaling was asked for in a family whose outcomes are labels or times.
    #[error("outcomes of the {0:?} family are not scaled")]
    OutcomeNotScalable(Family),
}

impl Schema {
    /// The most features a schema may have.
    pub const MAX_FEATURES: usize = 64;
    /// The longest name of a feature, in bytes.
    pub const MAX_NAME_LEN: usize = 64;

    /// A schema over `features`, in this order.
    ///
    /// # Errors
    ///
    /// [`SchemaError`] when there are no or too many features, a name is empty, too long or given
    /// twice, or the scaling does not fit the features.
    pub fn new<S: Into<String>>(
        family: Family,
        features: impl IntoIterator<Item = S>,
        scaling: Scaling,
    ) -> Result<Self, SchemaError> {
        // One more than the limit is enough to know that there are too many.
        let features: Vec<String> =
            features.into_iter().take(Self::MAX_FEATURES + 1).map(Into::into).collect();
        if !(1..=Self::MAX_FEATURES).contains(&features.len()) {
            let found = features.len();
            return Err(SchemaError::FeatureCount { found });
        }
        for (index, name) in features.iter().enumerate() {
            let len = name.len();
            if !(1..=Self::MAX_NAME_LEN).contains(&len) {
                return Err(SchemaError::NameLength { index, len });
            }
            if features.iter().take(index).any(|other| other == name) {
                let name = name.clone();
                return Err(SchemaError::DuplicateFeature { name });
            }
        }
        let scaling = normalised(scaling, &features)?;
        Ok(Self { family, features, scaling, outcome: (0.0, 1.0) })
    }

    /// Publishes how a Gaussian outcome is scaled: `(y - mean) / scale`.
    ///
    /// The priors of [`EmpiricalBayes`](crate::bayes::EmpiricalBayes) expect outcomes of variance
    /// near 1, so give a typical mean and standard deviation here rather than scaling by hand.
    /// Without this call outcomes are taken as they are.
    ///
    /// # Errors
    ///
    /// [`SchemaError::OutcomeNotScalable`] for a family of labels or times,
    /// [`SchemaError::OutcomeScaling`] unless `mean` is finite and `scale` finite and positive.
    pub fn with_outcome_scaling(mut self, mean: f64, scale: f64) -> Result<Self, SchemaError> {
        if self.family != Family::Gaussian {
            return Err(SchemaError::OutcomeNotScalable(self.family));
        }
        if !usable(mean, scale) {
            return Err(SchemaError::OutcomeScaling { mean, scale });
        }
        self.outcome = (mean + 0.0, scale);
        Ok(self)
    }

    /// The likelihood family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The names of the features, in order, without the intercept.
    #[must_use]
    pub fn features(&self) -> &[String] {
        &self.features
    }

    /// How the features are scaled.
    #[must_use]
    pub fn scaling(&self) -> &Scaling {
        &self.scaling
    }

    /// The mean and scale of the outcome; `(0, 1)` unless set.
    #[must_use]
    pub fn outcome_scaling(&self) -> (f64, f64) {
        self.outcome
    }

    /// The number of coefficients: one per feature and, in families that have an intercept, one for
    /// it, which comes first.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.features.len() + usize::from(self.family.has_intercept())
    }

    /// The first four bytes of SHA-256 over the schema's canonical encoding.
    ///
    /// The encoding is the string `qis-evidence-schema-1`, one byte for the family (0 Gaussian,
    /// 1 logistic, 2 Cox), the outcome's mean and scale, the number of features as `u32`, each name as a
    /// `u32` length and its UTF-8 bytes, one byte for the scaling (0 site-local, 1 public), and
    /// for public scaling each feature's mean and scale. Integers and `f64` are little-endian.
    #[must_use]
    pub fn hash(&self) -> [u8; 4] {
        let Self { family, features, scaling, outcome } = self;
        let mut sha = Sha256::new();
        sha.update(b"qis-evidence-schema-1");
        sha.update([family.code()]);
        sha.update(outcome.0.to_le_bytes());
        sha.update(outcome.1.to_le_bytes());
        sha.update(len_prefix(features.len()));
        for name in features {
            sha.update(len_prefix(name.len()));
            sha.update(name.as_bytes());
        }
        match scaling {
            Scaling::SiteLocal => sha.update([0]),
            Scaling::Public { mean, scale } => {
                sha.update([1]);
                for (mean, scale) in mean.iter().zip(scale) {
                    sha.update(mean.to_le_bytes());
                    sha.update(scale.to_le_bytes());
                }
            }
        }
        let [a, b, c, d, ..]: [u8; 32] = sha.finalize().into();
        [a, b, c, d]
    }

    /// The domain tag of packets of this schema: `prefix@` and the [hash](Self::hash) in hex.
    ///
    /// # Errors
    ///
    /// [`DomainTagError`] when the prefix has characters a tag cannot have, or is too long.
    pub fn domain(&self, prefix: &str) -> Result<DomainTag, DomainTagError> {
        DomainTag::with_schema(prefix, self.hash())
    }
}

impl Family {
    /// Whether the first coefficient is an intercept. In the Cox family the baseline hazard, which
    /// the partial likelihood does not look at, takes its place.
    #[must_use]
    pub const fn has_intercept(self) -> bool {
        match self {
            Self::Gaussian | Self::Logistic => true,
            Self::Cox => false,
        }
    }

    /// How many coefficients a schema of this family can have.
    pub(super) fn possible_dims(self) -> core::ops::RangeInclusive<usize> {
        let intercept = usize::from(self.has_intercept());
        1 + intercept..=Schema::MAX_FEATURES + intercept
    }

    fn code(self) -> u8 {
        match self {
            Self::Gaussian => 0,
            Self::Logistic => 1,
            Self::Cox => 2,
        }
    }
}

/// Checks public scaling and gives zero one sign, since -0 and 0 subtract alike but hash apart.
fn normalised(scaling: Scaling, features: &[String]) -> Result<Scaling, SchemaError> {
    let Scaling::Public { mut mean, scale } = scaling else {
        return Ok(scaling);
    };
    if mean.len() != features.len() || scale.len() != features.len() {
        return Err(SchemaError::ScalingLength {
            features: features.len(),
            means: mean.len(),
            scales: scale.len(),
        });
    }
    for ((mean, &scale), name) in mean.iter_mut().zip(&scale).zip(features) {
        if !usable(*mean, scale) {
            return Err(SchemaError::FeatureScaling { feature: name.to_string(), mean: *mean, scale });
        }
        *mean += 0.0;
    }
    Ok(Scaling::Public { mean, scale })
}

fn usable(mean: f64, scale: f64) -> bool {
    mean.is_finite() && scale.is_finite() && scale > 0.0
}

fn len_prefix(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn public(mean: [f64; 2], scale: [f64; 2]) -> Result<Schema, SchemaError> {
        let scaling = Scaling::Public { mean: mean.to_vec(), scale: scale.to_vec() };
        Schema::new(Family::Gaussian, ["a", "b"], scaling)
    }

    #[test]
    fn every_part_of_a_schema_is_in_its_hash() {
        let local = |family, names: [&str; 2]| Schema::new(family, names, Scaling::SiteLocal);
        let schemas = [
            local(Family::Logistic, ["a", "b"]).unwrap(),
            local(Family::Gaussian, ["a", "b"]).unwrap(),
            local(Family::Cox, ["a", "b"]).unwrap(),
            local(Family::Logistic, ["b", "a"]).unwrap(),
            local(Family::Logistic, ["ab", "c"]).unwrap(),
            local(Family::Logistic, ["a", "bc"]).unwrap(),
            public([0.0, 0.0], [1.0, 1.0]).unwrap(),
            public([0.0, 0.5], [1.0, 1.0]).unwrap(),
            public([0.0, 0.0], [1.0, 2.0]).unwrap(),
            public([0.0, 0.0], [1.0, 1.0]).unwrap().with_outcome_scaling(3.0, 1.0).unwrap(),
        ];
        for (i, a) in schemas.iter().enumerate() {
            for b in schemas.iter().skip(i + 1) {
                assert_ne!(a.hash(), b.hash(), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn the_hash_is_fixed_and_does_not_see_the_sign_of_zero() {
        let schema = Schema::new(Family::Logistic, ["age"], Scaling::SiteLocal).unwrap();
        assert_eq!(schema.hash(), [250, 189, 78, 219]);
        let plus = public([0.0, 1.0], [1.0, 1.0]).unwrap();
        let minus = public([-0.0, 1.0], [1.0, 1.0]).unwrap();
        assert_eq!(plus.hash(), minus.hash());
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        let names = |names: Vec<String>| Schema::new(Family::Logistic, names, Scaling::SiteLocal);
        assert_eq!(names(vec![]), Err(SchemaError::FeatureCount { found: 0 }));
        let many = (0..65).map(|i| i.to_string()).collect();
        assert_eq!(names(many), Err(SchemaError::FeatureCount { found: 65 }));
        let full = (0..64).map(|i| i.to_string()).collect();
        assert_eq!(names(full).unwrap().dims(), 65);
        assert_eq!(Schema::new(Family::Cox, ["a", "b"], Scaling::SiteLocal).unwrap().dims(), 2);
        assert_eq!(names(vec!["a".into(), String::new()]), Err(SchemaError::NameLength { index: 1, len: 0 }));
        assert_eq!(names(vec!["x".repeat(65)]), Err(SchemaError::NameLength { index: 0, len: 65 }));
        assert_eq!(
            names(vec!["a".into(), "a".into()]),
            Err(SchemaError::DuplicateFeature { name: "a".into() })
        );
        for bad in [0.0, -1.0, f64::INFINITY] {
            assert_eq!(
                public([0.0, 0.0], [1.0, bad]),
                Err(SchemaError::FeatureScaling { feature: "b".into(), mean: 0.0, scale: bad })
            );
        }
        assert!(public([f64::NAN, 0.0], [1.0, 1.0]).is_err());
        let short = Scaling::Public { mean: vec![0.0], scale: vec![1.0, 1.0] };
        assert!(matches!(
            Schema::new(Family::Gaussian, ["a", "b"], short),
            Err(SchemaError::ScalingLength { means: 1, .. })
        ));
    }

    #[test]
    fn labels_are_not_scaled() {
        let schema = Schema::new(Family::Logistic, ["a"], Scaling::SiteLocal).unwrap();
        assert_eq!(
            schema.with_outcome_scaling(1.0, 2.0),
            Err(SchemaError::OutcomeNotScalable(Family::Logistic))
        );
        let schema = public([0.0, 0.0], [1.0, 1.0]).unwrap();
        assert!(schema.clone().with_outcome_scaling(0.0, 0.0).is_err());
        assert!(schema.with_outcome_scaling(f64::NAN, 1.0).is_err());
    }
}
