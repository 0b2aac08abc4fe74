use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};
use qis_codec::bits::{BitReader, BitWriter};

use super::codes::{offset, read_code, round_code};
use super::{DecodingError, Part};
use crate::linalg::{self, Factor};

const BITS: u32 = 4;
const DIAGONAL_BITS: u32 = 3;
pub(super) const MAX: i8 = 7;

/// The upper triangular factor of a precision, its columns divided by their lengths.
///
/// Column `k` has `k + 1` codes, the diagonal last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FullFactor(pub(super) Vec<Vec<i8>>);

impl FullFactor {
    /// How many bits it takes.
    pub(super) fn bits(dims: usize) -> usize {
        let above = dims.saturating_mul(dims.saturating_sub(1)) / 2;
        above
            .saturating_mul(BITS as usize)
            .saturating_add(dims.saturating_sub(1).saturating_mul(DIAGONAL_BITS as usize))
    }

    /// The nearest codes to the factor of a precision with this diagonal.
    pub(super) fn quantise(factor: &Factor, diagonal: &DVector<f64>) -> Self {
        // Column k of the upper factor is row k of the lower one.
        let lower = factor.lower();
        let columns = lower.row_iter().zip(diagonal.iter()).enumerate();
        let columns = columns.map(|(k, (row, &a))| {
            let size = libm::sqrt(a);
            row.iter().take(k + 1).map(|c| round_code(c / size, MAX)).collect()
        });
        Self(columns.collect())
    }

    pub(super) fn write(&self, bits: &mut BitWriter) {
        for column in self.0.iter().skip(1) {
            if let Some((&diagonal, above)) = column.split_last() {
                for &code in above {
                    bits.write(offset(code, MAX), BITS);
                }
                bits.write(offset(diagonal, 0), DIAGONAL_BITS);
            }
        }
    }

    pub(super) fn read(dims: usize, bits: &mut BitReader<'_>) -> Result<Self, DecodingError> {
        let invalid = DecodingError::Invalid(Part::Factor);
        let mut columns = Vec::with_capacity(dims);
        for k in 0..dims {
            let mut column = Vec::with_capacity(k + 1);
            for _ in 0..k {
                column.push(read_code(bits, BITS, MAX, MAX).ok_or(invalid)?);
            }
            let diagonal = match k {
                0 => Some(MAX),
                _ => read_code(bits, DIAGONAL_BITS, 0, MAX),
            };
            column.push(diagonal.ok_or(invalid)?);
            columns.push(column);
        }
        Ok(Self(columns))
    }

    /// The precision whose diagonal is the square of `sizes`, or nearly.
    pub(super) fn restore(&self, sizes: &[f64]) -> DMatrix<f64> {
        let dims = sizes.len();
        let mut lower = DMatrix::zeros(dims, dims);
        for ((mut row, codes), &size) in lower.row_iter_mut().zip(&self.0).zip(sizes) {
            let unit = size / f64::from(MAX);
            for (entry, &code) in row.iter_mut().zip(codes) {
                *entry = f64::from(code) * unit;
            }
        }
        // The rows of the lower factor are the columns of C, and L = C'C their products. The
        // columns of `lower`, which is stored by column, are the rows of C.
        linalg::weighted_gram(lower.as_slice(), dims, (0..dims).map(|_| 1.0))
    }
}
