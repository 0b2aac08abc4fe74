//! Empirical Bayes over evidence: the default rule for statistical models.

mod config;
mod empirical;
mod gaussian;
mod guard;
mod kindred;
pub(crate) mod logistic;
mod population;
pub(crate) mod prior_density;
mod trust;

pub use config::{ConfigError, EmpiricalBayesBuilder};
pub use empirical::EmpiricalBayes;
pub use logistic::{FitError, logistic_map};
