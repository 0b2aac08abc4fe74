use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

use super::encoding::{Codes, DecodingError, EncodingError, Format};
use super::schema::Family;

/// What a site's records say about the coefficients, as a quadratic form.
///
/// Up to a constant, the log-likelihood of the records at coefficients `θ` is
/// `h'θ - θ'Lθ/2`: exactly for the Gaussian family in units of its noise variance
/// (`L = X'X`, `h = X'y`, and `y'y` beside them), and for the logistic and the Cox family by a
/// second-order expansion at the maximum of a weakly regularised likelihood (`L` the observed
/// information there, `h = Lθ + gradient`; the Laplace approximation).
///
/// A summary is either exact, from [`Evidence::summary`](super::Evidence::summary), or
/// [decoded](Self::decode), in which case it remembers the bytes it came from and
/// [encodes](Self::encode) to exactly them again.
#[derive(Debug, Clone, PartialEq)]
pub struct EvidenceSummary {
    family: Family,
    records: u32,
    precision: DMatrix<f64>,
    information: DVector<f64>,
    outcome_squares: f64,
    codes: Option<Codes>,
}

impl EvidenceSummary {
    /// A summary from exact figures; `precision` is symmetric positive semi-definite by the way
    /// the caller made it.
    pub(super) fn exact(
        family: Family,
        records: u32,
        precision: DMatrix<f64>,
        information: DVector<f64>,
        outcome_squares: f64,
    ) -> Self {
        Self { family, records, precision, information, outcome_squares, codes: None }
    }

    /// A summary that remembers how it was encoded.
    pub(super) fn decoded(exact: Self, codes: Codes) -> Self {
        Self { codes: Some(codes), ..exact }
    }

    /// Reads a payload of the given family and dimension, as a [schema](super::Schema) has them.
    ///
    /// Any bytes give a value or an error, and what is accepted encodes to the same bytes again.
    ///
    /// # Errors
    ///
    /// [`DecodingError`], naming the part that is not as the [format](super::encoding) has it.
    pub fn decode(family: Family, dims: usize, bytes: &[u8]) -> Result<Self, DecodingError> {
        let codes = Codes::read(family, dims, bytes)?;
        Ok(codes.restore())
    }

    /// The payload of this summary, in the [format](super::encoding) documented with the module.
    ///
    /// An exact summary is quantised: all of its precision where that fits into `budget` bytes, else
    /// as many of its principal axes as fit. A decoded one comes out as it came in.
    ///
    /// # Errors
    ///
    /// [`EncodingError::BudgetTooSmall`] when the payload would exceed `budget` bytes,
    /// [`EncodingError::OutOfRange`] when a figure is beyond what the format can hold.
    pub fn encode(&self, budget: usize) -> Result<Vec<u8>, EncodingError> {
        let (family, dims) = (self.family, self.dims());
        let format = match &self.codes {
            Some(codes) => Some(codes.format()).filter(|format| format.payload_len(family, dims) <= budget),
            None => Format::within(family, dims, budget),
        };
        let Some(format) = format else {
            let smallest = self.codes.as_ref().map_or(Format::smallest(family, dims), Codes::format);
            return Err(EncodingError::BudgetTooSmall { needed: smallest.payload_len(family, dims), budget });
        };
        match &self.codes {
            Some(codes) => Ok(codes.write()),
            None => Ok(Codes::quantise(self, format)?.write()),
        }
    }

    /// The length in bytes of a payload of this family and dimension that has all of the precision.
    ///
    /// ```
    /// use qis_synth::evidence::{EvidenceSummary, Family};
    ///
    /// assert!(EvidenceSummary::encoded_len(Family::Logistic, 29) <= 356);
    /// ```
    #[must_use]
    pub fn encoded_len(family: Family, dims: usize) -> usize {
        Format::Full.payload_len(family, dims)
    }

    /// The length in bytes of the smallest payload of this family and dimension: below
    /// [`encoded_len`](Self::encoded_len) from some five coefficients on, with one principal axis of
    /// the precision.
    #[must_use]
    pub fn smallest_len(family: Family, dims: usize) -> usize {
        Format::smallest(family, dims).payload_len(family, dims)
    }

    /// The likelihood family.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The number of coefficients, intercept included.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.information.len()
    }

    /// How many records the site says it summarises.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The precision `L`: symmetric, positive semi-definite, `dims * dims` values by column.
    #[must_use]
    pub fn precision(&self) -> &[f64] {
        self.precision.as_slice()
    }

    /// The information vector `h`, `dims` values.
    #[must_use]
    pub fn information(&self) -> &[f64] {
        self.information.as_slice()
    }

    /// The sum of squared outcomes `y'y` (Gaussian family; 0 otherwise).
    #[must_use]
    pub fn outcome_squares(&self) -> f64 {
        self.outcome_squares
    }

    pub(crate) fn precision_matrix(&self) -> &DMatrix<f64> {
        &self.precision
    }

    pub(crate) fn information_vector(&self) -> &DVector<f64> {
        &self.information
    }
}
