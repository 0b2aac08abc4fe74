use super::empirical::EmpiricalBayes;

/// Settings of [`EmpiricalBayes`], checked by [`build`](Self::build).
///
/// The defaults were chosen on studies of several to some hundred sites; change them one at a
/// time and measure.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct EmpiricalBayesBuilder {
    pub(super) local_prior: f64,
    pub(super) small_local_prior: f64,
    pub(super) small_network: usize,
    pub(super) iterations: usize,
    pub(super) information_cap: f64,
    pub(super) trust_from: usize,
    pub(super) kindred_from: usize,
}

/// A setting that is out of range.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("`{field}` is {value}, not {expected}")]
pub struct ConfigError {
    /// The setting.
    pub field: &'static str,
    /// The value that was given.
    pub value: f64,
    /// What it should be.
    pub expected: &'static str,
}

impl Default for EmpiricalBayesBuilder {
    fn default() -> Self {
        Self {
            local_prior: 0.3,
            small_local_prior: 0.5,
            small_network: 5,
            iterations: 40,
            information_cap: 3.0,
            trust_from: 3,
            kindred_from: 5,
        }
    }
}

impl EmpiricalBayesBuilder {
    /// The prior probability that the site is better off alone, above 0 and below 1. Default 0.3.
    pub fn local_prior(mut self, probability: f64) -> Self {
        self.local_prior = probability;
        self
    }

    /// The same in a small network, where the peers' common prior is itself a guess. Default 0.5.
    pub fn small_local_prior(mut self, probability: f64) -> Self {
        self.small_local_prior = probability;
        self
    }

    /// Up to how many sites, this one included, a network is small. Default 5.
    pub fn small_network(mut self, sites: usize) -> Self {
        self.small_network = sites;
        self
    }

    /// Iterations of the estimate of the peers' population, from 1 to 1000. Default 40; the time
    /// a synthesis takes is proportional to it.
    pub fn iterations(mut self, iterations: usize) -> Self {
        self.iterations = iterations;
        self
    }

    /// How many times the median number of records a peer may claim, at least 1. Default 3.
    ///
    /// A peer that claims more counts as if it had that many. Lower values bound what a liar can
    /// do; higher ones use large sites better.
    pub fn information_cap(mut self, factor: f64) -> Self {
        self.information_cap = factor;
        self
    }

    /// From how many peers on implausible ones are discounted, at least 3. Default 3.
    ///
    /// Fewer than three have no majority to measure a peer by. In simulated populations of 3 to 20
    /// honest peers discounting changed the squared error by 3 % at most, and one liar among
    /// three was recognised; raise it where a few peers are known to be honest and unlike.
    pub fn trust_from(mut self, peers: usize) -> Self {
        self.trust_from = peers;
        self
    }

    /// From how many peers on those like this site are also looked for among all, at least 2;
    /// `usize::MAX` for never. Default 5.
    ///
    /// It lets a site of a minority learn from its own kind, and makes a synthesis take several
    /// times as long.
    pub fn kindred_from(mut self, peers: usize) -> Self {
        self.kindred_from = peers;
        self
    }

    /// The rule with these settings.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], naming the first setting that is out of range.
    pub fn build(self) -> Result<EmpiricalBayes, ConfigError> {
        let Self {
            local_prior,
            small_local_prior,
            small_network: _,
            iterations,
            information_cap,
            trust_from,
            kindred_from,
        } = self;
        let probability = |value: f64| value > 0.0 && value < 1.0;
        check("local_prior", local_prior, "above 0 and below 1", probability(local_prior))?;
        check("small_local_prior", small_local_prior, "above 0 and below 1", probability(small_local_prior))?;
        check("iterations", iterations as f64, "from 1 to 1000", (1..=1000).contains(&iterations))?;
        check(
            "information_cap",
            information_cap,
            "finite and at least 1",
            information_cap >= 1.0 && information_cap.is_finite(),
        )?;
        check("trust_from", trust_from as f64, "at least 3", trust_from >= 3)?;
        check("kindred_from", kindred_from as f64, "at least 2", kindred_from >= 2)?;
        Ok(EmpiricalBayes::with(self))
    }
}

fn check(field: &'static str, value: f64, expected: &'static str, valid: bool) -> Result<(), ConfigError> {
    valid.then_some(()).ok_or(ConfigError { field, value, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_out_of_range_is_named() {
        let builder = EmpiricalBayes::builder;
        assert!(builder().build().is_ok());
        let field = |builder: EmpiricalBayesBuilder| builder.build().unwrap_err().field;
        for value in [0.0, 1.0, f64::NAN] {
            assert_eq!(field(builder().local_prior(value)), "local_prior");
            assert_eq!(field(builder().small_local_prior(value)), "small_local_prior");
        }
        assert_eq!(field(builder().iterations(0)), "iterations");
        assert_eq!(field(builder().iterations(1001)), "iterations");
        assert_eq!(field(builder().information_cap(0.9)), "information_cap");
        assert_eq!(field(builder().information_cap(f64::NAN)), "information_cap");
        assert_eq!(field(builder().trust_from(2)), "trust_from");
        assert_eq!(field(builder().kindred_from(1)), "kindred_from");
    }
}
