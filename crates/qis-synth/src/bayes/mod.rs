//! Empirical Bayes over evidence: the default rule for statistical models.

mod config;
pub(crate) mod cox;
mod empirical;
mod gaussian;
mod guard;
mod hypothesis;
mod kindred;
pub(crate) mod laplace;
pub(crate) mod logistic;
mod population;
mod sites;
mod trust;

pub use config::{ConfigError, EmpiricalBayesBuilder};
pub use empirical::EmpiricalBayes;
pub(crate) use hypothesis::Priors;
pub use logistic::{FitError, logistic_map};
