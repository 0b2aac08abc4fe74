//! Evidence with noise: the Gaussian mechanism on the sums that evidence is made of.

use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};
use sha2::{Digest, Sha256};

use super::ledger::Ledger;
use super::own::{Evidence, NOISE_GUESS};
use super::schema::Family;
use super::summary::EvidenceSummary;
use crate::eigen;

/// How much noise is added, and how much of it one record can ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    multiplier: f64,
    norm: f64,
}

/// Evidence that is not made noisy. Nothing was spent.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyError {
    /// A setting is out of range.
    #[error("`{field}` is {value}, not {expected}")]
    Setting {
        /// The setting.
        field: &'static str,
        /// The value that was given.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
    /// The publication would spend more than there is.
    #[error("the publication would bring epsilon from {spent:.3} to {after:.3}; the budget is {budget:.3}")]
    Budget {
        /// The epsilon spent so far.
        spent: f64,
        /// The epsilon there would be.
        after: f64,
        /// The epsilon there may be.
        budget: f64,
    },
    /// Each site scales features by its own records, which noise would have to cover as well.
    #[error("features are scaled by the site's own records; noise needs public scaling")]
    LocalScaling,
    /// The likelihood is no sum over records, so that one of them may change all of it.
    #[error("the {0:?} family has no bound on what one record changes")]
    Unbounded(Family),
}

impl Noise {
    /// Noise whose standard deviation is `multiplier` times the most that one record can change.
    ///
    /// A record counts as the vector of its standardised features, intercept and outcome (Gaussian
    /// family), or of half its features and ±1/2 (logistic). One longer than `norm` counts for as
    /// much less. A `norm` near the length of most records, such as the root of the number of
    /// coefficients, keeps the noise small; a smaller one gives long records less weight.
    ///
    /// One publication at multiplier 5 is an epsilon of about 1 at a delta of 1e-6.
    ///
    /// # Errors
    ///
    /// [`PrivacyError::Setting`] unless both are positive and finite.
    pub fn new(multiplier: f64, norm: f64) -> Result<Self, PrivacyError> {
        for (field, value) in [("multiplier", multiplier), ("norm", norm)] {
            if !(value > 0.0 && value.is_finite()) {
                return Err(PrivacyError::Setting { field, value, expected: "positive and finite" });
            }
        }
        Ok(Self { multiplier, norm })
    }

    /// What a publication adds to a ledger.
    fn divergence(self) -> f64 {
        0.5 / (self.multiplier * self.multiplier)
    }
}

impl Evidence {
    /// The same records, of which only figures with noise are published from now on.
    ///
    /// What is [published](Self::published), and the fingerprint and confidence with it, follows from
    /// the sum of the outer products of all records (each shortened to the norm of `noise`) and
    /// Gaussian noise on every element. Replacing one record by another changes that sum by at most
    /// `sqrt(2) norm^2` (Frobenius), so with respect to such a replacement a publication is
    /// differentially private to the degree the `ledger` adds up; the number of records is public. The
    /// exact figures stay with the site for its own synthesis: what follows from that synthesis is not
    /// covered and must not be published.
    ///
    /// In the logistic family the noisy figures are those of the expansion at zero, a point that says
    /// nothing of the records. The published precision is lowered by as much as the noise makes the
    /// coefficients uncertain.
    ///
    /// `entropy` is 32 bytes that nobody else knows and that are used once, from the operating
    /// system's generator; the same bytes give the same noise. Publishing the result any number of
    /// times costs nothing more.
    ///
    /// ```
    /// use qis_synth::evidence::{Evidence, Family, Ledger, Noise, Scaling, Schema};
    ///
    /// let scaling = Scaling::Public { mean: vec![50.0], scale: vec![10.0] };
    /// let schema = Schema::new(Family::Logistic, ["age"], scaling)?;
    /// let x: Vec<f64> = (0..200).map(|i| 30.0 + f64::from(i % 40)).collect();
    /// let y: Vec<f64> = x.iter().map(|age| f64::from(u8::from(*age > 50.0))).collect();
    /// let exact = Evidence::logistic(&schema, &x, &y)?;
    ///
    /// let mut ledger = Ledger::new(1.2, 1e-6)?;
    /// let entropy = [7; 32]; // From the operating system, in earnest.
    /// let noisy = exact.with_noise(&Noise::new(5.0, 1.5)?, &mut ledger, entropy)?;
    /// assert!(noisy.is_noisy() && ledger.epsilon() > 0.5);
    /// assert!(exact.with_noise(&Noise::new(5.0, 1.5)?, &mut ledger, [8; 32]).is_err());
    /// # Ok::<(), Box<dyn core::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PrivacyError`] when the ledger would be overdrawn, when features are scaled by the site's own
    /// records, and in the Cox family, whose likelihood is no sum over records.
    pub fn with_noise(
        &self,
        noise: &Noise,
        ledger: &mut Ledger,
        entropy: [u8; 32],
    ) -> Result<Self, PrivacyError> {
        if !self.standardizer().is_public() {
            return Err(PrivacyError::LocalScaling);
        }
        let family = self.family();
        let (slope, shift) = match family {
            Family::Gaussian => (1.0, 0.0),
            Family::Logistic => (0.5, 0.5),
            Family::Cox => return Err(PrivacyError::Unbounded(family)),
        };
        ledger.charge(noise.divergence())?;
        let mut sum = moments(self, slope, shift, noise.norm);
        let deviation = noise.multiplier * core::f64::consts::SQRT_2 * noise.norm * noise.norm;
        add_noise(&mut sum, deviation, &entropy);
        Ok(self.clone().publishing(summary(self, &sum, slope, deviation)))
    }
}

/// The sum of the outer products of the records' vectors, the outcome last.
fn moments(evidence: &Evidence, slope: f64, shift: f64, norm: f64) -> DMatrix<f64> {
    let dims = evidence.dims();
    let mut sum = DMatrix::zeros(dims + 1, dims + 1);
    for (row, outcome) in evidence.design().chunks_exact(dims).zip(evidence.outcomes()) {
        let vector = row.iter().map(|x| slope * x).chain([outcome - shift]);
        let mut vector = DVector::from_iterator(dims + 1, vector);
        let length = libm::sqrt(vector.dot(&vector));
        if length > norm {
            vector *= norm / length;
        }
        sum.syger(1.0, &vector, &vector, 1.0);
    }
    sum.fill_upper_triangle_with_lower_triangle();
    sum
}

/// Adds symmetric noise, as strong in every direction of the space of symmetric matrices: an element
/// off the diagonal is there twice, and needs less.
fn add_noise(sum: &mut DMatrix<f64>, deviation: f64, entropy: &[u8; 32]) {
    let mut normals = Normals::new(entropy);
    for i in 0..sum.nrows() {
        sum[(i, i)] += deviation * normals.next();
        for j in 0..i {
            let noise = deviation * core::f64::consts::FRAC_1_SQRT_2 * normals.next();
            sum[(i, j)] += noise;
            sum[(j, i)] += noise;
        }
    }
}

/// A summary from noisy sums.
///
/// In the direction of each eigenvector of the noisy precision, with eigenvalue `λ`, the noise of the
/// information vector makes the coefficient less certain: its precision is `λ^2/(λ + q)`, with `q` the
/// variance of that noise beside that of an outcome. What noise made negative is nothing.
fn summary(evidence: &Evidence, sum: &DMatrix<f64>, slope: f64, deviation: f64) -> EvidenceSummary {
    let (dims, family) = (evidence.dims(), evidence.family());
    let outcome_noise = match family {
        Family::Gaussian => NOISE_GUESS,
        Family::Logistic | Family::Cox => 1.0,
    };
    let cross = deviation * core::f64::consts::FRAC_1_SQRT_2 / slope;
    let uncertainty = cross * cross / outcome_noise;
    let noisy = sum.view((0, 0), (dims, dims)).into_owned();
    let pull = sum.view((0, dims), (dims, 1)).column(0) / slope;
    let mut precision = DMatrix::zeros(dims, dims);
    let mut information = DVector::zeros(dims);
    for (value, vector) in eigen::symmetric_eigen(&noisy) {
        if value > 0.0 {
            let share = value / (value + uncertainty);
            precision.syger(share * value, &vector, &vector, 1.0);
            information.axpy(share * vector.dot(&pull), &vector, 1.0);
        }
    }
    precision.fill_upper_triangle_with_lower_triangle();
    let squares = match family {
        Family::Gaussian => sum[(dims, dims)].max(0.0),
        Family::Logistic | Family::Cox => 0.0,
    };
    EvidenceSummary::exact(family, evidence.summary().records(), precision, information, squares)
}

/// Standard normal numbers from SHA-256 in counter mode, by the method of Box and Muller.
#[derive(Debug)]
struct Normals<'a> {
    entropy: &'a [u8; 32],
    block: u64,
    ready: Vec<f64>,
}

impl<'a> Normals<'a> {
    fn new(entropy: &'a [u8; 32]) -> Self {
        Self { entropy, block: 0, ready: Vec::new() }
    }

    fn next(&mut self) -> f64 {
        loop {
            if let Some(normal) = self.ready.pop() {
                return normal;
            }
            let hash = Sha256::new()
                .chain_update(b"qis/noise/1")
                .chain_update(self.entropy)
                .chain_update(self.block.to_le_bytes());
            self.block += 1;
            let bytes: [u8; 32] = hash.finalize().into();
            let (words, _) = bytes.as_chunks::<8>();
            let (pairs, _) = words.as_chunks::<2>();
            for [a, b] in pairs {
                // Above 0, so that the logarithm is finite.
                let u = ((u64::from_le_bytes(*a) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
                let v = (u64::from_le_bytes(*b) >> 11) as f64 / (1_u64 << 53) as f64;
                let radius = libm::sqrt(-2.0 * libm::log(u));
                let angle = core::f64::consts::TAU * v;
                self.ready.extend([radius * libm::cos(angle), radius * libm::sin(angle)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Scaling, Schema};
    use crate::linalg::Factor;
    use crate::testing::{Random, site};

    const THETA: [f64; 3] = [0.2, 0.8, -0.5];

    fn noisy(evidence: &Evidence, multiplier: f64, entropy: u8) -> Evidence {
        let mut ledger = Ledger::new(1e9, 1e-6).unwrap();
        evidence.with_noise(&Noise::new(multiplier, 2.0).unwrap(), &mut ledger, [entropy; 32]).unwrap()
    }

    #[test]
    fn little_noise_is_near_the_exact_figures() {
        for family in [Family::Gaussian, Family::Logistic] {
            let exact = site(&mut Random(1), family, &THETA, 2000);
            let noisy = noisy(&exact, 1e-3, 1);
            assert!(noisy.is_noisy() && !exact.is_noisy());
            assert_eq!(noisy.summary(), exact.summary(), "the site keeps its own");
            let solve = |summary: &EvidenceSummary| {
                let factor = Factor::new(summary.precision_matrix().clone()).unwrap();
                factor.solve(summary.information_vector())
            };
            let distance = (solve(noisy.published()) - solve(exact.summary())).amax();
            // Shortening long records and expanding at zero have their price.
            let tolerance = if family == Family::Gaussian { 0.1 } else { 0.2 };
            assert!(distance < tolerance, "{family:?} {distance}");
            let (a, b) = (noisy.gradient_fingerprint(), exact.gradient_fingerprint());
            let cosine: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
            let lengths: f32 = [&a, &b].iter().map(|v| v.iter().map(|x| x * x).sum::<f32>()).product();
            assert!(cosine * cosine > 0.98 * lengths, "{a:?} {b:?}");
        }
    }

    #[test]
    fn noise_has_the_deviation_it_says_and_lowers_the_precision() {
        let mut normals = Normals::new(&[3; 32]);
        let draws: Vec<f64> = (0..20_000).map(|_| normals.next()).collect();
        let mean = draws.iter().sum::<f64>() / 2e4;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 2e4;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");

        let mut sum = DMatrix::zeros(60, 60);
        add_noise(&mut sum, 2.0, &[4; 32]);
        let squares = sum.dot(&sum) / (60.0 * 61.0 / 2.0);
        assert!((squares - 4.0).abs() < 0.4, "each direction has variance 4, not {squares}");
        assert_eq!(sum, sum.transpose());

        let exact = site(&mut Random(1), Family::Gaussian, &THETA, 100);
        let trace = |multiplier| noisy(&exact, multiplier, 5).published().precision_matrix().trace();
        assert!(trace(5.0) < 0.5 * trace(1e-3), "{} {}", trace(5.0), trace(1e-3));
    }

    #[test]
    fn one_record_changes_the_sum_by_no_more_than_promised() {
        let schema = crate::testing::schema(Family::Gaussian, 2);
        let bound = core::f64::consts::SQRT_2 * 4.0;
        for record in [[5.0, 5.0, 900.0], [-5.0, 5.0, -900.0], [0.0, 0.1, 0.0]] {
            let sums = [[1.0, -1.0, 0.5], record].map(|r| {
                let evidence = Evidence::gaussian(&schema, &[0.3, 0.2, r[0], r[1]], &[1.0, r[2]]).unwrap();
                moments(&evidence, 1.0, 0.0, 2.0)
            });
            assert!((&sums[0] - &sums[1]).norm() <= bound + 1e-12);
        }
    }

    #[test]
    fn the_same_entropy_is_the_same_noise_and_every_result_is_usable() {
        for family in [Family::Gaussian, Family::Logistic] {
            let exact = site(&mut Random(2), family, &THETA, 4);
            assert_eq!(noisy(&exact, 3.0, 1), noisy(&exact, 3.0, 1));
            assert_ne!(noisy(&exact, 3.0, 1).published(), noisy(&exact, 3.0, 2).published());
            for (entropy, multiplier) in [(1, 0.1), (2, 10.0), (3, 1e6)] {
                let noisy = noisy(&exact, multiplier, entropy);
                assert!(noisy.published().encode(64).is_ok(), "{multiplier}");
                assert!((0.0..=1.0).contains(&noisy.confidence()));
                assert!(noisy.gradient_fingerprint().iter().all(|x| x.is_finite()));
            }
        }
    }

    #[test]
    fn what_cannot_be_bounded_is_refused_and_spends_nothing() {
        let mut ledger = Ledger::new(1.0, 1e-6).unwrap();
        let noise = Noise::new(10.0, 2.0).unwrap();
        let cox = site(&mut Random(1), Family::Cox, &[0.5], 20);
        let refused = cox.with_noise(&noise, &mut ledger, [0; 32]);
        assert_eq!(refused, Err(PrivacyError::Unbounded(Family::Cox)));
        let local = Schema::new(Family::Logistic, ["a"], Scaling::SiteLocal).unwrap();
        let local = Evidence::logistic(&local, &[1.0, 2.0], &[0.0, 1.0]).unwrap();
        assert_eq!(local.with_noise(&noise, &mut ledger, [0; 32]), Err(PrivacyError::LocalScaling));
        assert_eq!(ledger.spent(), 0.0);
        let public = site(&mut Random(1), Family::Logistic, &THETA, 20);
        assert!(public.with_noise(&noise, &mut ledger, [0; 32]).is_ok());
        let strong = Noise::new(0.5, 2.0).unwrap();
        let refused = public.with_noise(&strong, &mut ledger, [1; 32]);
        assert!(matches!(refused, Err(PrivacyError::Budget { .. })));
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(Noise::new(bad, 1.0).is_err() && Noise::new(1.0, bad).is_err());
        }
    }
}
