//! What averaging over packets is worth.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::thread;

use qis_codec::{MAX_DIMS, decode, encode};

use crate::error::Error;
use crate::rng::Rng;

/// About how many coordinates are encoded, when that is enough vectors: some seconds of work.
const WORK: usize = 1 << 23;
/// The error of one mean over `n` packets has `dims` independent parts. This many in all have a spread of 2 %.
const LEAST_PARTS: usize = MAX_DIMS;
const MOST_VECTORS: usize = 128;

/// How many vectors are averaged for: what the work allows of `vectors`, and at least enough for a stable figure.
pub(crate) fn vectors_for(dims: usize, most: usize, vectors: usize) -> usize {
    let least = LEAST_PARTS.div_ceil(dims).min(MOST_VECTORS);
    (WORK / (dims * most)).min(vectors).max(least)
}

/// `n` times the relative squared error of the mean over `n` packets of one vector, each with a seed of its own, for each `n` of
/// `counts`: the mean of that over the vectors.
///
/// Each vector is encoded as often as the largest `n` says. For a smaller `n`, those packets are taken in groups of `n`, one after another,
/// so that all figures are of the same packets.
pub(crate) fn scaled_errors(
    vectors: &[Vec<f32>],
    budget: usize,
    counts: &[u32],
    seed: u64,
) -> Result<BTreeMap<u32, f64>, Error> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let share = vectors.len().div_ceil(threads).max(1);
    let numbered: Vec<(usize, &Vec<f32>)> = vectors.iter().enumerate().collect();
    // In the order of the vectors, whoever was done first: the sums are the same on any number of cores.
    let of_vectors: Result<Vec<Vec<f64>>, Error> = thread::scope(|scope| {
        let work = |part: &[(usize, &Vec<f32>)]| -> Result<Vec<Vec<f64>>, Error> {
            part.iter().map(|&(index, vector)| of_one(index, vector, budget, counts, seed)).collect()
        };
        let running: Vec<_> = numbered.chunks(share).map(|part| scope.spawn(move || work(part))).collect();
        let mut all = Vec::new();
        for thread in running {
            // A panic of a thread is one of this program.
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    });
    let mut sums = vec![0.0; counts.len()];
    for errors in of_vectors? {
        sums.iter_mut().zip(errors).for_each(|(sum, error)| *sum += error);
    }
    Ok(counts.iter().copied().zip(sums.iter().map(|sum| sum / vectors.len() as f64)).collect())
}

/// A mean that is being taken over a group of packets, and what came of the groups before.
struct Group {
    size: u32,
    members: u32,
    sum: Vec<f64>,
    groups: u32,
    errors: f64,
}

/// The figures of one vector.
fn of_one(index: usize, vector: &[f32], budget: usize, counts: &[u32], seed: u64) -> Result<Vec<f64>, Error> {
    let dims = vector.len();
    let group = |&size| Group { size, members: 0, sum: vec![0.0; dims], groups: 0, errors: 0.0 };
    let mut groups: Vec<Group> = counts.iter().map(group).collect();
    // The seeds of the other measurements come from the same seed and are others.
    let mut seeds = Rng::new(!seed, index as u64);
    for _ in 0..counts.iter().copied().max().unwrap_or(0) {
        let seed = seeds.bits();
        let encoded = encode(vector, budget, seed).map_err(|source| Error::Encode { index, source })?;
        let decoded = decode(encoded.mode(), dims, encoded.bytes(), seed)
            .map_err(|source| Error::Decode { index, source })?
            .to_vec();
        for group in &mut groups {
            group.sum.iter_mut().zip(&decoded).for_each(|(sum, value)| *sum += value);
            group.members += 1;
            if group.members == group.size {
                let size = f64::from(group.size);
                group.sum.iter_mut().for_each(|sum| *sum /= size);
                group.errors += size * relative_error(vector, &group.sum);
                group.groups += 1;
                group.members = 0;
                group.sum.fill(0.0);
            }
        }
    }
    Ok(groups.iter().map(|group| group.errors / f64::from(group.groups)).collect())
}

/// Squared error over squared norm. The zero vector, which is always exact, has none.
pub(crate) fn relative_error(values: &[f32], decoded: &[f64]) -> f64 {
    let square = |value: f64| value * value;
    let error: f64 = values.iter().zip(decoded).map(|(&x, y)| square(y - f64::from(x))).sum();
    let norm: f64 = values.iter().map(|&x| square(f64::from(x))).sum();
    if error == 0.0 { 0.0 } else { error / norm }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn enough_vectors_for_a_stable_figure_and_no_more_than_asked_beyond() {
        assert_eq!(vectors_for(512, 100, 100), 100);
        assert_eq!(vectors_for(512, 10_000, 100), 8);
        assert_eq!(vectors_for(512, 100, 1), 8);
        assert_eq!(vectors_for(4096, 10_000, 100), 1);
        assert_eq!(vectors_for(1, 1, 1), 128);
    }

    #[test]
    fn figures_are_of_groups_and_stay_flat() {
        let vectors = Source::Gaussian.vectors(64, 4, 1).unwrap();
        let errors = scaled_errors(&vectors, 32, &[1, 7, 30], 5).unwrap();
        assert_eq!(errors.keys().copied().collect::<Vec<_>>(), [1, 7, 30]);
        for (n, error) in &errors {
            assert!((error / errors[&1] - 1.0).abs() < 0.3, "{n} {error}");
        }
        assert_eq!(errors, scaled_errors(&vectors, 32, &[1, 7, 30], 5).unwrap());
    }

    #[test]
    fn the_zero_vector_is_exact() {
        assert_eq!(relative_error(&[0.0, 0.0], &[0.0, 0.0]), 0.0);
        assert_eq!(relative_error(&[3.0, 4.0], &[3.0, 3.0]), 0.04);
    }
}
