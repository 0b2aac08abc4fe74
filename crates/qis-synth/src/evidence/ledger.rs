use super::noise::PrivacyError;

/// How much of a privacy budget the noisy publications of a data set have spent, and the refusal to
/// spend more.
///
/// Every noisy publication of the same records adds to what is known of each of them. The ledger adds
/// the publications up by their Rényi divergence, which for the Gaussian mechanism is `ρα` at order
/// `α` with `ρ = 1/(2 multiplier^2)` (Mironov, 2017), and turns the sum into an epsilon at the
/// ledger's delta by
/// `min over α of ρα + ln(1/(αδ))/(α - 1) + ln(1 - 1/α)` (Canonne, Kamath and Steinke, 2020).
///
/// Keep [`spent`](Self::spent) as durably as the records, and [resume](Self::resume) from it: a
/// ledger that forgets is none. One ledger belongs to one data set, whatever domains it is published
/// in.
///
/// ```
/// use qis_synth::evidence::Ledger;
///
/// let ledger = Ledger::new(3.0, 1e-6)?;
/// assert_eq!(ledger.epsilon(), 0.0);
/// // After a restart:
/// let ledger = Ledger::resume(3.0, 1e-6, ledger.spent())?;
/// # Ok::<(), qis_synth::evidence::PrivacyError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Ledger {
    budget: f64,
    delta: f64,
    /// The sum of `ρ`.
    spent: f64,
}

/// The orders over which an epsilon is minimised: `1 + 2^(k/4)`, from 1.001 to about a million.
const ORDERS: core::ops::Range<i32> = -40..80;

impl Ledger {
    /// An empty ledger that allows at most `epsilon` at `delta`.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::Setting`] unless `epsilon` is positive and finite, and `delta` above 0 and
    /// below 1. Choose `delta` well below one over the number of records.
    pub fn new(epsilon: f64, delta: f64) -> Result<Self, PrivacyError> {
        Self::resume(epsilon, delta, 0.0)
    }

    /// A ledger with `spent` in it, as [`spent`](Self::spent) told.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new), and [`PrivacyError::Setting`] unless `spent` is finite and not
    /// negative.
    pub fn resume(epsilon: f64, delta: f64, spent: f64) -> Result<Self, PrivacyError> {
        let check = |field, value, expected, valid: bool| {
            valid.then_some(()).ok_or(PrivacyError::Setting { field, value, expected })
        };
        check("epsilon", epsilon, "positive and finite", epsilon > 0.0 && epsilon.is_finite())?;
        check("delta", delta, "above 0 and below 1", delta > 0.0 && delta < 1.0)?;
        check("spent", spent, "finite and not negative", (0.0..f64::INFINITY).contains(&spent))?;
        Ok(Self { budget: epsilon, delta, spent })
    }

    /// What has been spent, in Rényi divergence per order.
    #[must_use]
    pub fn spent(&self) -> f64 {
        self.spent
    }

    /// What has been spent, as an epsilon at [`delta`](Self::delta).
    #[must_use]
    pub fn epsilon(&self) -> f64 {
        epsilon(self.spent, self.delta)
    }

    /// The epsilon beyond which nothing is published.
    #[must_use]
    pub fn budget(&self) -> f64 {
        self.budget
    }

    /// The delta all epsilons are at.
    #[must_use]
    pub fn delta(&self) -> f64 {
        self.delta
    }

    /// Adds a publication, or refuses it and stays as it was.
    pub(super) fn charge(&mut self, divergence: f64) -> Result<(), PrivacyError> {
        let spent = self.spent + divergence;
        let after = epsilon(spent, self.delta);
        if after.is_nan() || after > self.budget {
            return Err(PrivacyError::Budget { spent: self.epsilon(), after, budget: self.budget });
        }
        self.spent = spent;
        Ok(())
    }
}

fn epsilon(divergence: f64, delta: f64) -> f64 {
    if divergence == 0.0 {
        return 0.0;
    }
    let at = |k: i32| {
        let above = libm::exp2(f64::from(k) / 4.0);
        let order = 1.0 + above;
        divergence * order - libm::log(order * delta) / above + libm::log(above / order)
    };
    ORDERS.map(at).fold(f64::INFINITY, f64::min).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epsilon_is_near_the_exact_one_of_a_gaussian() {
        // Balle and Wang (2018): one Gaussian of multiplier 1 is (4.377, 1e-5); of 3.730632, (1, 1e-5).
        for (multiplier, exact) in [(1.0, 4.377), (3.730_632, 1.0)] {
            let found = epsilon(0.5 / (multiplier * multiplier), 1e-5);
            assert!(found >= exact && found < 1.12 * exact, "{found} {exact}");
        }
        assert_eq!(epsilon(0.0, 1e-6), 0.0);
    }

    #[test]
    fn a_charge_beyond_the_budget_changes_nothing() {
        let mut ledger = Ledger::new(2.0, 1e-6).unwrap();
        let mut publications = 0;
        while ledger.charge(0.005).is_ok() {
            publications += 1;
            assert!(ledger.epsilon() <= 2.0);
        }
        let spent = ledger.spent();
        assert!(publications > 5, "{publications}");
        assert!(matches!(ledger.charge(0.005), Err(PrivacyError::Budget { after, .. }) if after > 2.0));
        assert!(ledger.charge(f64::NAN).is_err());
        assert_eq!(ledger.spent(), spent);
        let mut resumed = Ledger::resume(2.0, 1e-6, spent).unwrap();
        assert!(resumed.charge(0.005).is_err(), "a restart gives no new budget");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let field = |ledger: Result<Ledger, PrivacyError>| match ledger {
            Err(PrivacyError::Setting { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        for bad in [0.0, f64::NAN, f64::INFINITY] {
            assert_eq!(field(Ledger::new(bad, 1e-6)), "epsilon");
        }
        for bad in [0.0, 1.0, f64::NAN] {
            assert_eq!(field(Ledger::new(1.0, bad)), "delta");
        }
        assert_eq!(field(Ledger::resume(1.0, 0.5, -1.0)), "spent");
        assert_eq!(field(Ledger::resume(1.0, 0.5, f64::NAN)), "spent");
    }
}
