//! Empirical Bayes over evidence: the default rule for statistical models.

mod config;
mod empirical;
mod gaussian;
mod guard;
mod hypothesis;
mod kindred;
mod laplace;
pub(crate) mod logistic;
mod population;
mod sites;
mod trust;

pub use config::{ConfigError, EmpiricalBayesBuilder};
pub use empirical::EmpiricalBayes;
pub(crate) use hypothesis::Priors;
pub(crate) use laplace::LogLikelihood;
pub use logistic::{FitError, logistic_map};
