//! What averaging over packets is worth.

use std::collections::BTreeMap;
use std::mem;

use qis_codec::{MAX_DIMS, decode, encode};

use crate::error::Error;
use crate::parallel;
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

/// What averaging `n` packets came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scaled {
    /// `n` times the relative squared error of the mean.
    pub(crate) error: f64,
    /// How far chance alone takes this error over that of the smallest `n` from one: the standard deviation of an unbiased code.
    pub(crate) spread: f64,
    /// How many independent squares the error is the mean of, about: coordinates of all groups of all vectors, as far as they have errors
    /// alike; 0 when nothing is lost.
    pub(crate) parts: f64,
}

/// `n` times the relative squared error of the mean over `n` packets of one vector, each with a seed of its own, for each `n` of
/// `counts`: the mean of that over the vectors, which have their indices beside them. None is zero.
///
/// Each vector is encoded as often as the largest `n` says. For a smaller `n`, those packets are taken in groups of `n`, one after another,
/// so that all figures are of the same packets.
pub(crate) fn scaled_errors(
    vectors: &[(usize, &[f32])],
    budget: usize,
    counts: &[u32],
    seed: u64,
) -> Result<BTreeMap<u32, Scaled>, Error> {
    let measure = |&(index, vector): &(usize, &[f32])| of_one(index, vector, budget, counts, seed);
    let of_vectors: Vec<(Vec<f64>, Noise)> = parallel::run(vectors, parallel::threads(), measure, |_| ())?;
    let coordinates = alike(of_vectors.iter().map(|&(_, noise)| noise));
    let least = counts.iter().copied().min().unwrap_or_default();
    let most = counts.iter().copied().max().unwrap_or_default();
    let scaled = counts.iter().enumerate().map(|(at, &n)| {
        let parts = coordinates * f64::from(most / n);
        let spread = spread(parts, f64::from(least) / f64::from(n));
        let errors = of_vectors.iter().filter_map(|(errors, _)| errors.get(at));
        (n, Scaled { error: errors.sum::<f64>() / vectors.len() as f64, spread, parts })
    });
    Ok(scaled.collect())
}

/// How the errors of single packets are spread out over coordinates: relative to the squared norm, of one vector.
#[derive(Clone, Copy, Debug, Default)]
struct Noise {
    /// The sum over coordinates of the mean squared error.
    sum: f64,
    /// The sum of its squares.
    squares: f64,
}

/// As how many coordinates with errors alike those of `noise` count; of the same, all of them.
fn alike(noise: impl Iterator<Item = Noise>) -> f64 {
    let add = |a: Noise, b: Noise| Noise { sum: a.sum + b.sum, squares: a.squares + b.squares };
    let Noise { sum, squares } = noise.fold(Noise::default(), add);
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The standard deviation of the error of means of `n` packets over that of means of fewer, `share` of `n`, when there is no bias.
///
/// Let `e` be the errors of the packets at one coordinate, independent, of mean 0 and variance `s`. `n` times the squared error of a mean
/// is `(e_1 + … + e_n)² / n`: the squares, which the smaller means of the same packets have too, and the products of two. Those of two
/// within one smaller mean are also in both; the rest has mean 0 and variance `2 (1 - share) s²`, whatever the distribution. It is averaged
/// over `parts` coordinates and groups, of which those with unlike `s` count for `(sum s)² / sum s²` of like ones.
fn spread(parts: f64, share: f64) -> f64 {
    if parts == 0.0 { 0.0 } else { libm::sqrt(2.0 * (1.0 - share) / parts) }
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
fn of_one(
    index: usize,
    vector: &[f32],
    budget: usize,
    counts: &[u32],
    seed: u64,
) -> Result<(Vec<f64>, Noise), Error> {
    let dims = vector.len();
    let group = |&size| Group { size, members: 0, sum: vec![0.0; dims], groups: 0, errors: 0.0 };
    let mut groups: Vec<Group> = counts.iter().map(group).collect();
    // The seeds of the other measurements come from the same seed and are others.
    let mut seeds = Rng::new(!seed, index as u64);
    let most = counts.iter().copied().max().unwrap_or(0);
    // Of every other packet: the product of two independent means is the square of what they are means of, but for chance.
    let (mut these, mut those) = (vec![0.0; dims], vec![0.0; dims]);
    for _ in 0..most {
        let seed = seeds.bits();
        let encoded = encode(vector, budget, seed).map_err(|source| Error::Encode { index, source })?;
        let decoded = decode(encoded.mode(), dims, encoded.bytes(), seed)
            .map_err(|source| Error::Decode { index, source })?
            .to_vec();
        for ((total, y), &x) in these.iter_mut().zip(&decoded).zip(vector) {
            *total += square(y - f64::from(x));
        }
        mem::swap(&mut these, &mut those);
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
    let norm = norm(vector);
    let packets = f64::from(most);
    let pairs = f64::from(most / 2) * f64::from(most.div_ceil(2));
    let noise = Noise {
        sum: these.iter().chain(&those).sum::<f64>() / (packets * norm),
        // Of a single packet there is no mean to compare.
        squares: these.iter().zip(&those).map(|(a, b)| a / norm * (b / norm)).sum::<f64>() / pairs,
    };
    Ok((groups.iter().map(|group| group.errors / f64::from(group.groups)).collect(), noise))
}

/// Squared error over squared norm, of vectors that are not zero.
pub(crate) fn relative_error(values: &[f32], decoded: &[f64]) -> f64 {
    let error: f64 = values.iter().zip(decoded).map(|(&x, y)| square(y - f64::from(x))).sum();
    error / norm(values)
}

/// The squared one.
fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| square(f64::from(x))).sum()
}

fn square(value: f64) -> f64 {
    value * value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    fn numbered(vectors: &[Vec<f32>]) -> Vec<(usize, &[f32])> {
        vectors.iter().map(Vec::as_slice).enumerate().collect()
    }

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
        let vectors = numbered(&vectors);
        let errors = scaled_errors(&vectors, 32, &[1, 7, 30], 5).unwrap();
        assert_eq!(errors.keys().copied().collect::<Vec<_>>(), [1, 7, 30]);
        for (n, &Scaled { error, spread, parts }) in &errors {
            assert!((error / errors[&1].error - 1.0).abs() <= 4.0 * spread, "{n} {error} {spread}");
            let all = f64::from(64 * 4 * (30 / n));
            assert!((0.9 * all..1.1 * all).contains(&parts), "{n}: {parts} of {all}");
        }
        assert_eq!(errors[&1].spread, 0.0);
        assert_eq!(errors, scaled_errors(&vectors, 32, &[1, 7, 30], 5).unwrap());
    }

    #[test]
    fn ratios_scatter_as_is_said() {
        for (source, budget, counts) in
            [(Source::Gaussian, 16, [1, 10]), (Source::Gaussian, 32, [2, 10]), (Source::Sparse, 40, [1, 10])]
        {
            let vectors = source.vectors(64, 200, 1).unwrap();
            let (mut squares, mut said) = (0.0, 0.0);
            for (index, vector) in vectors.iter().enumerate() {
                let errors = scaled_errors(&[(index, vector)], budget, &counts, 5).unwrap();
                let [first, mean] = counts.map(|n| errors[&n]);
                squares += (mean.error / first.error - 1.0).powi(2) / 200.0;
                said += mean.spread.powi(2) / 200.0;
            }
            assert!((squares / said - 1.0).abs() < 0.3, "{source:?} {budget}: {squares} {said}");
        }
    }

    #[test]
    fn unlike_coordinates_count_for_fewer() {
        let of = |vectors: &[&[f64]]| {
            alike(vectors.iter().map(|errors| Noise {
                sum: errors.iter().sum(),
                squares: errors.iter().map(|&s| square(s)).sum(),
            }))
        };
        assert_eq!(of(&[&[3.0; 5], &[3.0; 5]]), 10.0);
        assert_eq!(of(&[&[1.0, 1.0, 0.0], &[0.0; 3]]), 2.0);
        assert_eq!(of(&[&[0.0; 3]]), 0.0);
        assert_eq!((spread(200.0, 0.75), spread(0.0, 0.5)), (0.05, 0.0));
    }

    #[test]
    fn errors_are_relative() {
        assert_eq!(relative_error(&[3.0, 4.0], &[3.0, 3.0]), 0.04);
    }
}
