use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};
use qis_codec::bits::{BitReader, BitWriter};

use super::codes::{offset, read_code, round_code};
use super::{DecodingError, Part};
use crate::eigen;

const BITS: u32 = 4;
pub(super) const MAX: i8 = 7;
const SCALE_BITS: u32 = 8;
const SCALE_STEPS: f64 = 8.0;
/// More axes make little difference to what a synthesis finds, and larger packets.
pub(super) const MAX_RANK: usize = 6;
/// The least of a coefficient's precision that the axes leave to itself. It keeps the matrix positive
/// definite, and bounds how sure a rounded axis can make anyone.
const FLOOR: f64 = 0.02;

/// The principal axes of a precision scaled to a unit diagonal; what they leave of the diagonal
/// belongs to the coefficients one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LowRank(pub(super) Vec<Axis>);

/// One axis: an eigenvector times the root of its eigenvalue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Axis {
    /// The largest entry is `2^(-scale/8)`.
    pub(super) scale: u8,
    /// The largest magnitude is [`MAX`].
    pub(super) codes: Vec<i8>,
}

impl LowRank {
    /// How many bits it takes.
    pub(super) fn bits(dims: usize, rank: usize) -> usize {
        rank.saturating_mul(dims.saturating_mul(BITS as usize).saturating_add(SCALE_BITS as usize))
    }

    /// The nearest codes to the first axes of a positive definite precision.
    pub(super) fn quantise(precision: &DMatrix<f64>, diagonal: &DVector<f64>, rank: usize) -> Self {
        let sizes = diagonal.map(libm::sqrt);
        let mut scaled = precision.clone();
        for (mut column, size) in scaled.column_iter_mut().zip(sizes.iter()) {
            for (entry, other) in column.iter_mut().zip(sizes.iter()) {
                *entry /= size * other;
            }
        }
        let pairs = eigen::symmetric_eigen(&scaled).into_iter().take(rank);
        Self(pairs.map(|(value, vector)| Axis::quantise(&(vector * libm::sqrt(value.max(0.0))))).collect())
    }

    pub(super) fn write(&self, bits: &mut BitWriter) {
        for axis in &self.0 {
            bits.write(axis.scale.into(), SCALE_BITS);
            for &code in &axis.codes {
                bits.write(offset(code, MAX), BITS);
            }
        }
    }

    pub(super) fn read(dims: usize, rank: usize, bits: &mut BitReader<'_>) -> Result<Self, DecodingError> {
        let invalid = DecodingError::Invalid(Part::Axes);
        let mut axes = Vec::with_capacity(rank);
        for _ in 0..rank {
            let scale = bits.read(SCALE_BITS).and_then(|code| u8::try_from(code).ok()).ok_or(invalid)?;
            let mut codes = Vec::with_capacity(dims);
            for _ in 0..dims {
                codes.push(read_code(bits, BITS, MAX, MAX).ok_or(invalid)?);
            }
            if codes.iter().map(|c| c.unsigned_abs()).max() != Some(MAX.unsigned_abs()) {
                return Err(invalid);
            }
            axes.push(Axis { scale, codes });
        }
        Ok(Self(axes))
    }

    /// The precision whose diagonal is the square of `sizes`, or nearly.
    pub(super) fn restore(&self, sizes: &[f64]) -> DMatrix<f64> {
        let dims = sizes.len();
        let mut precision = DMatrix::zeros(dims, dims);
        for axis in &self.0 {
            let values = axis.values();
            precision.syger(1.0, &values, &values, 1.0);
        }
        precision.fill_upper_triangle_with_lower_triangle();
        for (k, &size) in sizes.iter().enumerate() {
            if let Some(entry) = precision.get_mut((k, k)) {
                *entry += (1.0 - *entry).max(FLOOR);
            }
            precision.row_mut(k).scale_mut(size);
            precision.column_mut(k).scale_mut(size);
        }
        precision
    }
}

impl Axis {
    fn quantise(axis: &DVector<f64>) -> Self {
        let largest = axis.amax();
        let scale = libm::round(-SCALE_STEPS * libm::log2(largest)).clamp(0.0, 255.0) as u8;
        let unit = libm::exp2(-f64::from(scale) / SCALE_STEPS);
        let mut codes: Vec<i8> = axis.iter().map(|value| round_code(value / unit, MAX)).collect();
        // Rounding the scale up by half a step leaves the largest entry at 6.7 of 7 at least; an axis
        // too small for the scale has no entry of note, and one is put there to keep to the format.
        if codes.iter().all(|code| code.abs() < MAX)
            && let Some(code) = codes.get_mut(axis.iamax())
        {
            *code = MAX;
        }
        Self { scale, codes }
    }

    fn values(&self) -> DVector<f64> {
        let unit = libm::exp2(-f64::from(self.scale) / SCALE_STEPS) / f64::from(MAX);
        DVector::from_iterator(self.codes.len(), self.codes.iter().map(|&code| f64::from(code) * unit))
    }
}
