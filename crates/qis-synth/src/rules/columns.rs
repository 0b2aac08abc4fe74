//! Rules that look at one coordinate at a time.

use alloc::vec;
use alloc::vec::Vec;

use super::votes::Combined;

/// The weighted median of each coordinate: half the weight is below it and half above; between two values, their mean.
pub(super) fn median(vectors: &[Vec<f64>], weights: &[f64], dims: usize) -> Combined {
    let half = weights.iter().sum::<f64>() / 2.0;
    by_column(vectors, dims, |column, shares| {
        let mut below = 0.0;
        let mut chosen: Option<(f64, usize)> = None;
        for &(value, at) in column {
            if let Some((first, first_at)) = chosen {
                // The weight was even on both sides of the gap before this value.
                shares[first_at] += 0.5;
                shares[at] += 0.5;
                return first + 0.5 * (value - first);
            }
            below += weights[at];
            if below > half {
                shares[at] += 1.0;
                return value;
            }
            if below == half {
                chosen = Some((value, at));
            }
        }
        // Rounding can leave the last sum at half or below only for want of any weight.
        column.last().map_or(0.0, |&(value, at)| {
            shares[at] += 1.0;
            value
        })
    })
}

/// The weighted mean of each coordinate without the `trim` lowest and the `trim` highest values; twice `trim` is below the count.
pub(super) fn trimmed_mean(vectors: &[Vec<f64>], weights: &[f64], dims: usize, trim: usize) -> Combined {
    by_column(vectors, dims, |column, shares| {
        let kept = &column[trim..column.len() - trim];
        let total: f64 = kept.iter().map(|&(_, at)| weights[at]).sum();
        let mut sum = 0.0;
        for &(value, at) in kept {
            let share = weights[at] / total;
            sum += share * value;
            shares[at] += share;
        }
        sum
    })
}

/// Makes one value of the sorted values of each coordinate and the places they come from, and adds up the shares of each place.
fn by_column(
    vectors: &[Vec<f64>],
    dims: usize,
    mut combine: impl FnMut(&[(f64, usize)], &mut [f64]) -> f64,
) -> Combined {
    let mut shares = vec![0.0; vectors.len()];
    let mut column = Vec::with_capacity(vectors.len());
    let mut values = Vec::with_capacity(dims);
    for k in 0..dims {
        column.clear();
        column.extend(vectors.iter().enumerate().map(|(at, vector)| (vector[k], at)));
        column.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        values.push(combine(&column, &mut shares));
    }
    for share in &mut shares {
        *share /= dims.max(1) as f64;
    }
    Combined { values, shares, own_share: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(values: &[f64]) -> Vec<Vec<f64>> {
        values.iter().map(|&value| vec![value]).collect()
    }

    #[test]
    fn half_the_weight_is_on_either_side_of_the_median() {
        let run = |values: &[f64], weights: &[f64]| {
            let Combined { values, shares, .. } = median(&columns(values), weights, 1);
            (values[0], shares)
        };
        assert_eq!(run(&[5.0, 1.0, 9.0], &[1.0; 3]), (5.0, vec![1.0, 0.0, 0.0]));
        assert_eq!(run(&[5.0, 1.0, 9.0, 7.0], &[1.0; 4]), (6.0, vec![0.5, 0.0, 0.0, 0.5]));
        assert_eq!(run(&[5.0, 1.0, 9.0], &[0.25, 0.25, 1.0]), (9.0, vec![0.0, 0.0, 1.0]));
    }

    #[test]
    fn the_ends_are_trimmed_and_the_rest_weighed() {
        let vectors = columns(&[-100.0, 1.0, 4.0, 100.0]);
        let Combined { values, shares, .. } = trimmed_mean(&vectors, &[1.0, 0.5, 1.0, 1.0], 1, 1);
        assert!((values[0] - 3.0).abs() < 1e-12);
        assert_eq!((shares[0], shares[3]), (0.0, 0.0));
        assert!((shares[2] - 2.0 / 3.0).abs() < 1e-12);
    }
}
