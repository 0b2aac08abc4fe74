//! The few dense operations the rules need, over `nalgebra`, with failure as a value.
//!
//! Nothing here multiplies two matrices: `nalgebra` may hand such a product to kernels chosen by
//! the processor at run time when another crate of the build turns its `std` feature on, and the
//! last bits of a synthesis would then depend on the machine. Rank-one updates, matrix-vector
//! products and the Cholesky factorisation add in a fixed order everywhere.

use nalgebra::{Cholesky, DMatrix, DVector, DVectorView, Dyn};

/// A matrix that should be symmetric positive definite is not, or is not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a matrix that must be positive definite is singular or not finite")]
pub(crate) struct Singular;

/// The Cholesky factor of a symmetric positive definite matrix.
#[derive(Debug, Clone)]
pub(crate) struct Factor(Cholesky<f64, Dyn>);

impl Factor {
    /// Factors `matrix`, of which only the lower triangle is read.
    pub(crate) fn new(matrix: DMatrix<f64>) -> Result<Self, Singular> {
        let cholesky = Cholesky::new(matrix).ok_or(Singular)?;
        let finite = cholesky.l_dirty().diagonal().iter().all(|p| p.is_finite());
        finite.then_some(Self(cholesky)).ok_or(Singular)
    }

    /// `A^-1 b`.
    pub(crate) fn solve(&self, b: &DVector<f64>) -> DVector<f64> {
        self.0.solve(b)
    }

    /// `A^-1`.
    pub(crate) fn inverse(&self) -> DMatrix<f64> {
        self.0.inverse()
    }

    /// `ln det A`.
    #[cfg(test)]
    pub(crate) fn log_det(&self) -> f64 {
        let diagonal = self.0.l_dirty().diagonal();
        2.0 * diagonal.iter().map(|&p| libm::log(p)).sum::<f64>()
    }

    /// The lower triangular `F` with `A = F F'`.
    pub(crate) fn lower(&self) -> DMatrix<f64> {
        self.0.l()
    }
}

/// `sum_i w_i x_i x_i'` over the rows `x_i` of a row-major matrix of `dims` columns.
pub(crate) fn weighted_gram(rows: &[f64], dims: usize, weights: impl Iterator<Item = f64>) -> DMatrix<f64> {
    let mut gram = DMatrix::zeros(dims, dims);
    for (row, weight) in rows.chunks_exact(dims).zip(weights) {
        let row = DVectorView::from_slice(row, dims);
        gram.syger(weight, &row, &row, 1.0);
    }
    gram.fill_upper_triangle_with_lower_triangle();
    gram
}

/// `sum_i w_i x_i` over the rows `x_i` of a row-major matrix of `dims` columns.
pub(crate) fn weighted_row_sum(
    rows: &[f64],
    dims: usize,
    weights: impl Iterator<Item = f64>,
) -> DVector<f64> {
    let mut sum = DVector::zeros(dims);
    for (row, weight) in rows.chunks_exact(dims).zip(weights) {
        sum.axpy(weight, &DVectorView::from_slice(row, dims), 1.0);
    }
    sum
}

/// Adds `diagonal` to the diagonal of `matrix`.
pub(crate) fn add_diagonal(matrix: &mut DMatrix<f64>, diagonal: impl Iterator<Item = f64>) {
    for (k, value) in diagonal.enumerate() {
        matrix[(k, k)] += value;
    }
}

/// The dot product, summed from the first element on.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_factor_solves_inverts_and_knows_its_determinant() {
        let a = DMatrix::from_row_slice(2, 2, &[4.0, 2.0, 2.0, 3.0]);
        let factor = Factor::new(a).unwrap();
        let x = factor.solve(&DVector::from_vec(alloc::vec![8.0, 7.0]));
        assert!((x[0] - 1.25).abs() < 1e-12 && (x[1] - 1.5).abs() < 1e-12);
        assert!((factor.log_det() - libm::log(8.0)).abs() < 1e-12);
        assert!((factor.inverse()[(0, 1)] + 0.25).abs() < 1e-12);
    }

    #[test]
    fn singular_indefinite_and_not_finite_matrices_are_refused() {
        for entries in [
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 2.0, 2.0, 1.0],
            [f64::NAN, 0.0, 0.0, 1.0],
            [f64::INFINITY, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],
        ] {
            let matrix = DMatrix::from_row_slice(2, 2, &entries);
            assert_eq!(Factor::new(matrix).unwrap_err(), Singular, "{entries:?}");
        }
    }

    #[test]
    fn the_gram_matrix_is_the_weighted_sum_of_outer_products() {
        let rows = [1.0, 2.0, 3.0, 4.0];
        let gram = weighted_gram(&rows, 2, [1.0, 0.5].into_iter());
        assert_eq!(gram, DMatrix::from_row_slice(2, 2, &[5.5, 8.0, 8.0, 12.0]));
        let sum = weighted_row_sum(&rows, 2, [1.0, 0.5].into_iter());
        assert_eq!(sum.as_slice(), [2.5, 4.0]);
    }
}
