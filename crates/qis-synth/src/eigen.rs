//! Eigenvalues of small symmetric matrices.

use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

/// Sweeps over all pairs; convergence is quadratic and takes six to ten.
const SWEEPS: usize = 30;

/// The eigenvalues of a symmetric matrix, the largest first, with unit eigenvectors.
///
/// Jacobi's cyclic method (Golub and Van Loan, Matrix Computations, 8.5): slower than others on
/// large matrices, accurate on all, and made of additions, multiplications and square roots in a
/// fixed order, so that every machine finds the same bits.
pub(crate) fn symmetric_eigen(matrix: &DMatrix<f64>) -> Vec<(f64, DVector<f64>)> {
    let dims = matrix.nrows();
    let mut a = matrix.clone();
    let mut vectors = DMatrix::identity(dims, dims);
    let negligible = f64::EPSILON * matrix.amax();
    for _ in 0..SWEEPS {
        let mut rotated = false;
        for p in 0..dims {
            for q in p + 1..dims {
                // What is not a number is left as it is, so the sweeps end.
                if a[(p, q)].abs() > negligible {
                    rotate(&mut a, &mut vectors, p, q);
                    rotated = true;
                }
            }
        }
        if !rotated {
            break;
        }
    }
    let mut pairs: Vec<(f64, DVector<f64>)> =
        (0..dims).map(|k| (a[(k, k)], vectors.column(k).into_owned())).collect();
    pairs.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    pairs
}

/// Turns the plane of `p` and `q` so that their element vanishes.
fn rotate(a: &mut DMatrix<f64>, vectors: &mut DMatrix<f64>, p: usize, q: usize) {
    let theta = (a[(q, q)] - a[(p, p)]) / (2.0 * a[(p, q)]);
    let t = 1.0_f64.copysign(theta) / (theta.abs() + libm::sqrt(theta * theta + 1.0));
    let c = 1.0 / libm::sqrt(t * t + 1.0);
    let s = t * c;
    for k in 0..a.nrows() {
        let (x, y) = (a[(k, p)], a[(k, q)]);
        a[(k, p)] = c * x - s * y;
        a[(k, q)] = s * x + c * y;
    }
    for k in 0..a.nrows() {
        let (x, y) = (a[(p, k)], a[(q, k)]);
        a[(p, k)] = c * x - s * y;
        a[(q, k)] = s * x + c * y;
        let (x, y) = (vectors[(k, p)], vectors[(k, q)]);
        vectors[(k, p)] = c * x - s * y;
        vectors[(k, q)] = s * x + c * y;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Random;

    #[test]
    fn the_matrix_is_the_sum_of_its_parts() {
        let mut random = Random(5);
        for dims in [1, 2, 9] {
            let root = DMatrix::from_fn(dims, dims, |_, _| random.normal());
            let matrix = &root + root.transpose();
            let pairs = symmetric_eigen(&matrix);
            let mut sum = DMatrix::zeros(dims, dims);
            for (value, vector) in &pairs {
                sum += vector * vector.transpose() * *value;
                assert!((vector.norm() - 1.0).abs() < 1e-12);
            }
            assert!((sum - matrix).amax() < 1e-12);
            assert!(pairs.windows(2).all(|pair| pair[0].0 >= pair[1].0));
        }
    }

    #[test]
    fn odd_matrices_end() {
        assert_eq!(symmetric_eigen(&DMatrix::zeros(3, 3))[0].0, 0.0);
        assert_eq!(symmetric_eigen(&DMatrix::from_element(2, 2, f64::NAN)).len(), 2);
    }
}
