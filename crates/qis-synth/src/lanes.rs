//! Several small symmetric systems solved side by side.
//!
//! A synthesis factors thousands of matrices of a few dozen rows, too small each for a vector unit
//! to be of use. Here one instruction works on the same element of `W` matrices. Every matrix gets
//! the additions and multiplications it would get alone, in the same order, so neither its
//! neighbours nor the width of the machine's registers show in the last bit.

use alloc::vec;
use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};

/// How many matrices the rules take at a time: four registers of two numbers, which is what hides
/// the latency of an addition on processors without wider ones.
pub(crate) const LANES: usize = 8;

/// `W` symmetric matrices of one dimension, of which the lower triangles are kept, row after row.
#[derive(Debug, Clone)]
pub(crate) struct Symmetric<const W: usize> {
    dims: usize,
    elements: Vec<[f64; W]>,
}

impl<const W: usize> Symmetric<W> {
    pub(crate) fn zeros(dims: usize) -> Self {
        Self { dims, elements: vec![[0.0; W]; start(dims)] }
    }

    /// Up to `W` matrices, with identities in the lanes left over.
    pub(crate) fn of<'a>(dims: usize, matrices: impl Iterator<Item = &'a DMatrix<f64>>) -> Self {
        let mut all = Self::zeros(dims);
        all.add_diagonal(|_| [1.0; W]);
        for (lane, matrix) in matrices.enumerate().take(W) {
            all.set_lane(lane, matrix);
        }
        all
    }

    pub(crate) fn set_lane(&mut self, lane: usize, matrix: &DMatrix<f64>) {
        for i in 0..self.dims {
            for (j, element) in self.row_mut(i).iter_mut().enumerate() {
                element[lane] = matrix[(i, j)];
            }
        }
    }

    /// Elements 0 to `i` of row `i`, the diagonal last.
    pub(crate) fn row(&self, i: usize) -> &[[f64; W]] {
        &self.elements[start(i)..start(i + 1)]
    }

    pub(crate) fn row_mut(&mut self, i: usize) -> &mut [[f64; W]] {
        &mut self.elements[start(i)..start(i + 1)]
    }

    pub(crate) fn fill_zero(&mut self) {
        self.elements.fill([0.0; W]);
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        for element in &mut self.elements {
            *element = element.map(|x| factor * x);
        }
    }

    /// Adds the sum of `weight x x'` over `N` vectors `x`, each with a weight a lane, in their order.
    /// Several at a time are loaded and stored once.
    pub(crate) fn add_outer<const N: usize>(&mut self, weights: [[f64; W]; N], vectors: [&[f64]; N]) {
        let mut rest = self.elements.as_mut_slice();
        for i in 0..self.dims {
            let (row, below) = rest.split_at_mut(i + 1);
            let factors = core::array::from_fn(|n| weights[n].map(|w| w * vectors[n][i]));
            add_multiples(row, factors, vectors);
            rest = below;
        }
    }

    /// Adds the elements of `other`, scaled by a factor a lane.
    pub(crate) fn add_scaled(&mut self, factor: [f64; W], other: &Self) {
        add_scaled(&mut self.elements, factor, &other.elements);
    }

    /// Adds `weight x x'` for a vector `x` and a weight a lane.
    pub(crate) fn add_square(&mut self, weight: [f64; W], x: &[[f64; W]]) {
        for (i, xi) in x.iter().enumerate() {
            add_scaled(self.row_mut(i), multiply(weight, *xi), &x[..=i]);
        }
    }

    pub(crate) fn add_diagonal(&mut self, mut value: impl FnMut(usize) -> [f64; W]) {
        for k in 0..self.dims {
            let at = start(k + 1) - 1;
            add(&mut self.elements[at], value(k));
        }
    }

    /// The diagonal, an element a row.
    pub(crate) fn diagonal(&self) -> Vec<[f64; W]> {
        (0..self.dims).map(|k| self.elements[start(k + 1) - 1]).collect()
    }

    /// One of the matrices.
    pub(crate) fn lane(&self, lane: usize) -> DMatrix<f64> {
        DMatrix::from_fn(self.dims, self.dims, |i, j| self.row(i.max(j))[i.min(j)][lane])
    }

    /// The products `A x`.
    pub(crate) fn times(&self, x: &[[f64; W]]) -> Vec<[f64; W]> {
        let mut product = vec![[0.0; W]; self.dims];
        for i in 0..self.dims {
            let (below, own) = product.split_at_mut(i);
            for ((element, xj), yj) in self.row(i).iter().zip(x).zip(below) {
                add_product(&mut own[0], element, xj);
                add_product(yj, element, &x[i]);
            }
            add_product(&mut own[0], &self.elements[start(i + 1) - 1], &x[i]);
        }
        product
    }
}

/// `A = U D U'` of `W` positive definite matrices, with `U` unit lower triangular and `D` diagonal.
///
/// Cholesky's factorisation without its square roots.
#[derive(Debug, Clone)]
pub(crate) struct Factors<const W: usize> {
    /// `U` below the diagonal and `1/D` on it.
    unit: Symmetric<W>,
    pivots: Vec<[f64; W]>,
    sound: [bool; W],
}

impl<const W: usize> Factors<W> {
    pub(crate) fn new(mut matrix: Symmetric<W>) -> Self {
        let dims = matrix.dims;
        let mut pivots = Vec::with_capacity(dims);
        let mut sound = [true; W];
        // Row i of U D.
        let mut scaled = vec![[0.0; W]; dims];
        for i in 0..dims {
            let (before, rest) = matrix.elements.split_at_mut(start(i));
            let row = &mut rest[..=i];
            for j in 0..i {
                let mut sum = row[j];
                for (a, b) in scaled[..j].iter().zip(&before[start(j)..]) {
                    subtract_product(&mut sum, a, b);
                }
                scaled[j] = sum;
            }
            let mut pivot = row[i];
            for j in 0..i {
                row[j] = multiply(scaled[j], before[start(j + 1) - 1]);
                subtract_product(&mut pivot, &scaled[j], &row[j]);
            }
            row[i] = pivot.map(|p| 1.0 / p);
            for ((sound, pivot), inverse) in sound.iter_mut().zip(pivot).zip(row[i]) {
                *sound &= pivot > 0.0 && pivot.is_finite() && inverse.is_finite();
            }
            pivots.push(pivot);
        }
        Self { unit: matrix, pivots, sound }
    }

    /// Which matrices are positive definite and finite; what follows from the others is not defined.
    pub(crate) fn sound(&self) -> [bool; W] {
        self.sound
    }

    /// `ln det A`.
    pub(crate) fn log_det(&self) -> [f64; W] {
        let mut sum = [0.0; W];
        for pivot in &self.pivots {
            add(&mut sum, pivot.map(libm::log));
        }
        sum
    }

    /// Puts `A^-1 b` in the place of `b`.
    pub(crate) fn solve(&self, b: &mut [[f64; W]]) {
        let dims = self.unit.dims;
        for i in 0..dims {
            let (before, rest) = b.split_at_mut(i);
            let mut sum = rest[0];
            for (unit, value) in self.unit.row(i).iter().zip(before) {
                subtract_product(&mut sum, unit, value);
            }
            rest[0] = sum;
        }
        for (i, value) in b.iter_mut().enumerate() {
            *value = multiply(*value, self.inverse_pivot(i));
        }
        for i in (0..dims).rev() {
            let (before, rest) = b.split_at_mut(i);
            let found = rest[0];
            for (unit, value) in self.unit.row(i).iter().zip(before) {
                subtract_product(value, unit, &found);
            }
        }
    }

    /// The diagonal of `A^-1`.
    pub(crate) fn inverse_diagonal(&self) -> Vec<[f64; W]> {
        let dims = self.unit.dims;
        let mut column = vec![[0.0; W]; dims];
        let diagonal = (0..dims).map(|j| {
            let column = &mut column[j..];
            self.inverse_column(j, column);
            let mut sum = [0.0; W];
            for (i, element) in column.iter().enumerate() {
                add_product(&mut sum, &multiply(*element, *element), &self.inverse_pivot(i + j));
            }
            sum
        });
        diagonal.collect()
    }

    /// `A^-1`, which is `N' D^-1 N` with `N = U^-1`.
    pub(crate) fn inverse(&self) -> Symmetric<W> {
        let dims = self.unit.dims;
        // All columns of N, each from its diagonal on.
        let columns: Vec<Vec<[f64; W]>> = (0..dims)
            .map(|j| {
                let mut column = vec![[0.0; W]; dims - j];
                self.inverse_column(j, &mut column);
                column
            })
            .collect();
        let mut inverse: Symmetric<W> = Symmetric::zeros(dims);
        for (i, below) in columns.iter().enumerate() {
            let scaled: Vec<[f64; W]> =
                below.iter().enumerate().map(|(k, n)| multiply(*n, self.inverse_pivot(i + k))).collect();
            for (j, (element, column)) in inverse.row_mut(i).iter_mut().zip(&columns).enumerate() {
                *element = dot(&scaled, &column[i - j..]);
            }
        }
        inverse
    }

    /// Column `j` of `N = U^-1`, from the diagonal on.
    fn inverse_column(&self, j: usize, column: &mut [[f64; W]]) {
        for i in 0..column.len() {
            let (before, rest) = column.split_at_mut(i);
            let mut sum = [f64::from(u8::from(i == 0)); W];
            for (unit, element) in self.unit.row(i + j)[j..].iter().zip(before) {
                subtract_product(&mut sum, unit, element);
            }
            rest[0] = sum;
        }
    }

    fn inverse_pivot(&self, i: usize) -> [f64; W] {
        self.unit.elements[start(i + 1) - 1]
    }
}

/// The elements of up to `W` vectors beside each other, with zeros in the lanes left over.
pub(crate) fn beside<'a, const W: usize>(
    dims: usize,
    vectors: impl Iterator<Item = &'a DVector<f64>>,
) -> Vec<[f64; W]> {
    let mut all = vec![[0.0; W]; dims];
    for (lane, vector) in vectors.enumerate().take(W) {
        for (elements, value) in all.iter_mut().zip(vector.iter()) {
            elements[lane] = *value;
        }
    }
    all
}

/// One of several vectors that are beside each other.
pub(crate) fn one<const W: usize>(all: &[[f64; W]], lane: usize) -> DVector<f64> {
    DVector::from_iterator(all.len(), all.iter().map(|elements| elements[lane]))
}

/// The dot products, summed from the first element on.
pub(crate) fn dot<const W: usize>(a: &[[f64; W]], b: &[[f64; W]]) -> [f64; W] {
    let mut sum = [0.0; W];
    for (a, b) in a.iter().zip(b) {
        add_product(&mut sum, a, b);
    }
    sum
}

pub(crate) fn add<const W: usize>(sum: &mut [f64; W], term: [f64; W]) {
    for (sum, term) in sum.iter_mut().zip(term) {
        *sum += term;
    }
}

/// `sum += factor * terms`.
pub(crate) fn add_scaled<const W: usize>(sum: &mut [[f64; W]], factor: [f64; W], terms: &[[f64; W]]) {
    for (sum, term) in sum.iter_mut().zip(terms) {
        add_product(sum, &factor, term);
    }
}

/// `sum_j += factor * x_j` for each of `N` factors and vectors of numbers `x_j`, in their order.
// In a function of its own the compiler keeps to whole registers.
#[inline(never)]
pub(crate) fn add_multiples<const W: usize, const N: usize>(
    sums: &mut [[f64; W]],
    factors: [[f64; W]; N],
    x: [&[f64]; N],
) {
    let x = x.map(|x| &x[..sums.len()]);
    for (j, sum) in sums.iter_mut().enumerate() {
        for (factor, x) in factors.iter().zip(x) {
            for (sum, factor) in sum.iter_mut().zip(factor) {
                *sum += factor * x[j];
            }
        }
    }
}

/// `sum += a * b`.
pub(crate) fn add_product<const W: usize>(sum: &mut [f64; W], a: &[f64; W], b: &[f64; W]) {
    for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
        *sum += a * b;
    }
}

fn subtract_product<const W: usize>(sum: &mut [f64; W], a: &[f64; W], b: &[f64; W]) {
    for ((sum, a), b) in sum.iter_mut().zip(a).zip(b) {
        *sum -= a * b;
    }
}

pub(crate) fn multiply<const W: usize>(a: [f64; W], b: [f64; W]) -> [f64; W] {
    core::array::from_fn(|lane| a[lane] * b[lane])
}

/// Where row `i` of a lower triangle begins.
fn start(i: usize) -> usize {
    i * (i + 1) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::Factor;
    use crate::testing::Random;

    fn matrices(dims: usize, count: usize) -> Vec<DMatrix<f64>> {
        let mut random = Random(4);
        let matrix = |_| {
            let root = DMatrix::from_fn(dims, dims, |_, _| random.normal());
            &root * root.transpose() + DMatrix::identity(dims, dims) * 0.1
        };
        (0..count).map(matrix).collect()
    }

    #[test]
    fn lanes_solve_and_invert_as_one_matrix_does() {
        for dims in [1, 2, 7] {
            let all = matrices(dims, 3);
            let b = DVector::from_fn(dims, |k, _| k as f64 - 1.5);
            let factors = Factors::<4>::new(Symmetric::of(dims, all.iter()));
            assert_eq!(factors.sound(), [true; 4]);
            let mut solved = beside(dims, core::iter::repeat_n(&b, 4));
            factors.solve(&mut solved);
            let (inverse, diagonal) = (factors.inverse(), factors.inverse_diagonal());
            for (lane, matrix) in all.iter().enumerate() {
                let alone = Factor::new(matrix.clone()).unwrap();
                assert!((one(&solved, lane) - alone.solve(&b)).amax() < 1e-9);
                assert!((inverse.lane(lane) - alone.inverse()).amax() < 1e-9);
                assert!((one(&diagonal, lane) - alone.inverse().diagonal()).amax() < 1e-9);
                assert!((factors.log_det()[lane] - alone.log_det()).abs() < 1e-9);
                let product = Symmetric::<4>::of(dims, all.iter()).times(&solved);
                assert!((one(&product, lane) - &b).amax() < 1e-9);
            }
            // The lane left over is the identity.
            assert_eq!(one(&solved, 3), b);
        }
    }

    #[test]
    fn a_lane_does_not_show_in_another() {
        let all = matrices(5, 8);
        let inverse = |all: &[DMatrix<f64>]| {
            let factors = Factors::<8>::new(Symmetric::of(5, all.iter()));
            factors.inverse().lane(0)
        };
        assert_eq!(inverse(&all), inverse(&all[..1]));
        let narrow = Factors::<1>::new(Symmetric::of(5, all.iter()));
        assert_eq!(inverse(&all), narrow.inverse().lane(0));
    }

    #[test]
    fn singular_indefinite_and_not_finite_lanes_are_told() {
        let entries = [
            [4.0, 2.0, 2.0, 3.0],
            [1.0, 1.0, 1.0, 1.0],
            [1.0, 2.0, 2.0, 1.0],
            [f64::NAN, 0.0, 0.0, 1.0],
            [f64::INFINITY, 0.0, 0.0, 1.0],
            [0.0, 0.0, 0.0, 0.0],
        ];
        let all: Vec<_> = entries.iter().map(|e| DMatrix::from_row_slice(2, 2, e)).collect();
        let factors = Factors::<8>::new(Symmetric::of(2, all.iter()));
        assert_eq!(factors.sound(), [true, false, false, false, false, false, true, true]);
    }
}
