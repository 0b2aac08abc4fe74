//! Sums over vectors, each in one order on every machine.

use alloc::vec;
use alloc::vec::Vec;

/// Partial sums, so that a processor can add several at a time; which elements share one is part of the result.
const LANES: usize = 8;

/// The squared Euclidean distance of two vectors of one length.
pub(super) fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            lanes[lane] += difference * difference;
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    lanes.iter().sum::<f64>() + rest
}

/// The Euclidean distance of two vectors of one length.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    libm::sqrt(squared_distance(a, b))
}

/// The Euclidean norm.
pub(super) fn norm(vector: &[f64]) -> f64 {
    libm::sqrt(vector.iter().map(|value| value * value).sum())
}

/// Adds `weight` times `vector` to `sum`.
pub(super) fn add_scaled(weight: f64, vector: &[f64], sum: &mut [f64]) {
    for (total, value) in sum.iter_mut().zip(vector) {
        *total += weight * value;
    }
}

/// Multiplies a vector in place.
pub(super) fn scale(factor: f64, vector: &mut [f64]) {
    for value in vector {
        *value *= factor;
    }
}

/// Whether no element is NaN or infinite. All are looked at, several at a time.
pub(super) fn all_finite(vector: &[f64]) -> bool {
    // Zero times what is finite is zero, and of nothing else.
    let (chunks, rest) = vector.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += 0.0 * value;
        }
    }
    lanes.iter().all(|&lane| lane == 0.0) && rest.iter().all(|value| value.is_finite())
}

/// The median of some numbers, the mean of the middle two if their count is even; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let half = sorted.len() / 2;
    match (sorted.get(half.wrapping_sub(1)), sorted.get(half)) {
        (_, None) => 0.0,
        (Some(below), Some(above)) if sorted.len().is_multiple_of(2) => 0.5 * (below + above),
        (_, Some(middle)) => *middle,
    }
}

/// The squared distances of all pairs, row by row.
#[derive(Debug)]
pub(super) struct Distances {
    count: usize,
    squared: Vec<f64>,
}

impl Distances {
    pub(super) fn of(vectors: &[Vec<f64>]) -> Self {
        let count = vectors.len();
        let mut squared = vec![0.0; count * count];
        for (i, a) in vectors.iter().enumerate() {
            for (j, b) in vectors.iter().enumerate().skip(i + 1) {
                let distance = squared_distance(a, b);
                squared[i * count + j] = distance;
                squared[j * count + i] = distance;
            }
        }
        Self { count, squared }
    }

    /// The squared distance of two vectors, by their places.
    pub(super) fn squared(&self, i: usize, j: usize) -> f64 {
        self.squared[i * self.count + j]
    }

    /// The places of the vectors, those nearest to that at `i` first; it is the first itself, and of equals the first is nearer.
    pub(super) fn nearest(&self, i: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.count).collect();
        order.sort_unstable_by(|&a, &b| {
            let by_distance = self.squared(i, a).total_cmp(&self.squared(i, b));
            (a != i).cmp(&(b != i)).then(by_distance).then(a.cmp(&b))
        });
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_euclidean_beyond_whole_lanes() {
        for dims in [1_u8, 7, 8, 9, 24] {
            let a: Vec<f64> = (0..dims).map(f64::from).collect();
            let b = vec![0.0; usize::from(dims)];
            let expected: f64 = (0..dims).map(|i| f64::from(i) * f64::from(i)).sum();
            assert_eq!(squared_distance(&a, &b), expected);
            assert_eq!(norm(&a), distance(&a, &b));
        }
    }

    #[test]
    fn the_median_of_an_even_number_is_between_two() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0]), 2.5);
        assert_eq!(median(&[9.0, 1.0, 4.0]), 4.0);
    }

    #[test]
    fn a_vector_is_its_own_nearest_even_among_equals() {
        let distances = Distances::of(&[vec![1.0], vec![1.0], vec![0.0]]);
        assert_eq!(distances.nearest(1), [1, 0, 2]);
        assert_eq!(distances.nearest(2), [2, 0, 1]);
        assert_eq!(distances.squared(0, 2), 1.0);
    }
}
