//! Vectors to measure the codec on.

use std::fs;
use std::path::Path;

use clap::ValueEnum;
use qis_fingerprint::HashEmbedder;

use crate::error::Error;
use crate::mlp::Task;
use crate::rng::Rng;

/// What the vectors are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Source {
    /// Independent Gaussian coordinates: the source the bound is for
    Gaussian,
    /// Independent coordinates with Laplace's distribution
    Laplace,
    /// Independent coordinates with Student's t distribution of 3 degrees of freedom
    Student,
    /// 20 % Gaussian coordinates, 80 % exact zeros
    Sparse,
    /// Differences of the hashed embeddings, scaled to unit length, of two generated sentences; with --input, of consecutive vectors of the file
    Embedding,
    /// What 5 epochs of training change in a perceptron of 16 inputs, one hidden layer and 4 outputs, a site a vector: the first --dims of its parameters, of which it has at least as many
    Mlp,
}

impl Source {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::Laplace => "laplace",
            Self::Student => "student",
            Self::Sparse => "sparse",
            Self::Embedding => "embedding",
            Self::Mlp => "mlp",
        }
    }

    /// `count` vectors; the first ones are the same whatever the count.
    pub(crate) fn vectors(self, dims: usize, count: usize, seed: u64) -> Result<Vec<Vec<f32>>, Error> {
        let draw = match self {
            Self::Gaussian => Rng::gaussian,
            Self::Laplace => Rng::laplace,
            Self::Student => Rng::student,
            Self::Sparse => Rng::sparse,
            Self::Embedding => return embeddings(dims, count, seed),
            Self::Mlp => {
                let task = Task::new(dims, seed);
                return Ok((0..count as u64).map(|site| task.delta(site)).collect());
            }
        };
        let vector = |stream| {
            let mut rng = Rng::new(seed, stream);
            #[expect(clippy::cast_possible_truncation, reason = "the codec takes single precision")]
            let value = |_| draw(&mut rng) as f32;
            (0..dims).map(value).collect()
        };
        Ok((0..count as u64).map(vector).collect())
    }
}

/// The vectors of a raw file of little-endian `f32`.
pub(crate) fn read(path: &Path, dims: usize) -> Result<Vec<Vec<f32>>, Error> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|source| Error::Read { path: name.clone(), source })?;
    let (row, found) = (dims * size_of::<f32>(), bytes.len());
    if found % row != 0 {
        return Err(Error::Length { path: name, bytes: found, row, dims });
    }
    if bytes.is_empty() {
        return Err(Error::TooFew { path: name, found: 0, needed: 1 });
    }
    let (values, _) = bytes.as_chunks();
    Ok(values.chunks(dims).map(|row| row.iter().map(|&four| f32::from_le_bytes(four)).collect()).collect())
}

/// Each vector less the one before it.
pub(crate) fn differences(vectors: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let difference = |pair: &[Vec<f32>]| match pair {
        [before, after] => after.iter().zip(before).map(|(after, before)| after - before).collect(),
        _ => Vec::new(),
    };
    vectors.windows(2).map(difference).collect()
}

/// Writes vectors as [`read`] reads them, or nothing when one does not fit in single precision.
pub(crate) fn write(path: &Path, vectors: &[Vec<f64>]) -> Result<(), Error> {
    let mut bytes = Vec::new();
    for (index, vector) in vectors.iter().enumerate() {
        for (coordinate, &value) in vector.iter().enumerate() {
            #[expect(clippy::cast_possible_truncation, reason = "the file is of single precision")]
            let single = value as f32;
            if !single.is_finite() {
                return Err(Error::BeyondSingle { index, coordinate, value });
            }
            bytes.extend(single.to_le_bytes());
        }
    }
    fs::write(path, bytes).map_err(|source| Error::Write { path: path.display().to_string(), source })
}

fn embeddings(dims: usize, count: usize, seed: u64) -> Result<Vec<Vec<f32>>, Error> {
    let embedder = u16::try_from(dims).ok().and_then(HashEmbedder::new);
    let embedder = embedder.ok_or(Error::EmbeddingDims { dims })?;
    // A sentence always has words, so that it always has a fingerprint.
    let unit = |text: &str| -> Vec<f64> {
        let codes = embedder.fingerprint(text).map(|print| print.codes().to_vec()).unwrap_or_default();
        let squares: f64 = codes.iter().map(|&code| f64::from(code) * f64::from(code)).sum();
        codes.iter().map(|&code| f64::from(code) / libm::sqrt(squares)).collect()
    };
    let vector = |stream| {
        let mut rng = Rng::new(seed, stream);
        let (one, mut other) = (sentence(&mut rng), sentence(&mut rng));
        while other == one {
            other = sentence(&mut rng);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the codec takes single precision")]
        unit(&one).iter().zip(unit(&other)).map(|(one, other)| (one - other) as f32).collect()
    };
    Ok((0..count as u64).map(vector).collect())
}

/// A report of a site, some twenty words long.
fn sentence(rng: &mut Rng) -> String {
    const PARTS: [&[&str]; 9] = [
        &[
            "adults",
            "children",
            "pregnant women",
            "farmers",
            "elderly patients",
            "students",
            "nurses",
            "drivers",
        ],
        &[
            "with chest pain",
            "with a high fever",
            "after surgery",
            "on insulin",
            "without symptoms",
            "in remission",
        ],
        &["improved", "got worse", "did not change", "recovered slowly", "relapsed", "responded well"],
        &[
            "within two days",
            "after a week",
            "over the winter",
            "since spring",
            "by the third visit",
            "at once",
        ],
        &["when treated with", "when given", "in spite of", "after they had stopped", "before they began"],
        &[
            "beta blockers",
            "antibiotics",
            "a low-salt diet",
            "daily exercise",
            "physiotherapy",
            "a new vaccine",
        ],
        &["at a rural clinic", "at the university hospital", "in the mountains", "near the coast", "at home"],
        &["where staff measured", "where we recorded", "while the team watched", "and the laboratory found"],
        &[
            "low blood pressure",
            "raised cholesterol",
            "normal glucose",
            "a faster pulse",
            "fewer readmissions",
        ],
    ];
    let parts = PARTS.map(|part| rng.pick(part).copied().unwrap_or_default());
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_source_gives_vectors_of_the_dims_again_and_again() {
        for &source in Source::value_variants() {
            let vectors = source.vectors(32, 5, 7).unwrap();
            assert_eq!(vectors.len(), 5);
            for vector in &vectors {
                assert_eq!(vector.len(), 32);
                assert!(
                    vector.iter().all(|value| value.is_finite()) && vector.iter().any(|&value| value != 0.0)
                );
            }
            assert_eq!(source.vectors(32, 9, 7).unwrap()[..5], vectors[..]);
            assert_ne!(source.vectors(32, 5, 8).unwrap(), vectors);
        }
        assert!(matches!(Source::Embedding.vectors(7, 1, 0), Err(Error::EmbeddingDims { dims: 7 })));
    }

    #[test]
    fn differences_are_of_consecutive_vectors() {
        let vectors = [vec![1.0, 2.0], vec![4.0, 1.0], vec![4.0, 0.0]];
        assert_eq!(differences(&vectors), [[3.0, -1.0], [0.0, -1.0]]);
    }
}
