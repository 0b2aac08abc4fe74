//! The fingerprints of all nodes and queries, in one place.

use std::io;
use std::path::Path;

use qis_fingerprint::{Fingerprint, FingerprintError, SpaceId};

use crate::Rng;

/// The length of the noise of a jittered row, as a share of the row's.
const JITTER: f64 = 0.6;

/// Rows of as many signed bytes each.
#[derive(Clone, Debug)]
pub struct Vectors {
    dims: usize,
    codes: Vec<i8>,
}

/// Why a file gives no vectors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VectorError {
    /// It can't be read.
    #[error("the file can't be read")]
    Io(#[from] io::Error),
    /// Its length is no multiple of the dimensions, or there are none.
    #[error("{len} bytes are not rows of {dims}")]
    Length {
        /// How many bytes there are.
        len: usize,
        /// How many a row must have.
        dims: usize,
    },
}

impl Vectors {
    /// Reads a file of rows without a header.
    ///
    /// # Errors
    ///
    /// [`VectorError`] when it can't be read or has no whole rows.
    pub fn read(path: &Path, dims: usize) -> Result<Self, VectorError> {
        let bytes = std::fs::read(path)?;
        let len = bytes.len();
        if dims == 0 || len == 0 || !len.is_multiple_of(dims) {
            return Err(VectorError::Length { len, dims });
        }
        // The one value that is no code becomes its neighbour.
        let code = |byte: u8| byte.cast_signed().max(-127);
        Ok(Self { dims, codes: bytes.into_iter().map(code).collect() })
    }

    /// Synthetic rows in clusters: a centre, of which there is one for about 200 rows, and noise of like length; centres are
    /// themselves gathered around some dozens of directions.
    #[must_use]
    pub fn clustered(rows: usize, dims: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut gauss = |scale: f64| (0..dims).map(|_| rng.gauss() * scale).collect::<Vec<f64>>();
        let topics: Vec<Vec<f64>> = (0..24).map(|_| gauss(1.0)).collect();
        let centres = rows / 200 + 8;
        let add = |a: &[f64], b: Vec<f64>| a.iter().zip(b).map(|(a, b)| a + b).collect::<Vec<f64>>();
        let centres: Vec<Vec<f64>> =
            (0..centres).map(|at| add(&topics[at % topics.len()], gauss(1.0))).collect();
        let mut codes = Vec::with_capacity(rows * dims);
        let mut pick = Rng::new(seed ^ 1);
        for _ in 0..rows {
            let row = add(&centres[pick.below(centres.len())], gauss(1.0));
            codes.extend(quantised(&row));
        }
        Self { dims, codes }
    }

    /// Puts copies of the rows before the last `kept` before these until there are `rows`, each with noise of 0.6 of its length: more nodes than
    /// there are real rows for.
    #[must_use]
    pub fn jittered(self, rows: usize, kept: usize, seed: u64) -> Self {
        let (real, dims) = (self.len().saturating_sub(kept), self.dims);
        if real == 0 || rows <= self.len() {
            return self;
        }
        let mut rng = Rng::new(seed);
        let (nodes, queries) = self.codes.split_at(real * dims);
        let mut codes = Vec::with_capacity(rows * dims);
        codes.extend_from_slice(nodes);
        for at in 0..rows - self.len() {
            let row = &nodes[at % real * dims..][..dims];
            let deviation =
                JITTER * (f64::from(dot(row, row)) / f64::from(u32::try_from(dims).unwrap_or(1))).sqrt();
            let noisy: Vec<f64> = row.iter().map(|&code| f64::from(code) + deviation * rng.gauss()).collect();
            codes.extend(quantised(&noisy));
        }
        codes.extend_from_slice(queries);
        Self { dims, codes }
    }

    /// As many of the rows as `rows`, the first ones of as many equal parts.
    #[must_use]
    pub fn spread(&self, rows: usize) -> Self {
        let step = (self.len() / rows.max(1)).max(1);
        let codes = (0..self.len()).step_by(step).take(rows).flat_map(|at| self.row(at).to_vec()).collect();
        Self { dims: self.dims, codes }
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len() / self.dims
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// How many dimensions a row has.
    #[must_use]
    pub const fn dims(&self) -> usize {
        self.dims
    }

    /// A row.
    #[must_use]
    pub fn row(&self, at: usize) -> &[i8] {
        &self.codes[at * self.dims..(at + 1) * self.dims]
    }

    /// A row as a fingerprint of the simulation's one space.
    ///
    /// # Errors
    ///
    /// [`FingerprintError`] when it has no direction.
    pub fn fingerprint(&self, at: usize) -> Result<Fingerprint, FingerprintError> {
        Fingerprint::from_codes(self.space(), self.row(at).to_vec())
    }

    /// The simulation's one space.
    #[must_use]
    pub fn space(&self) -> SpaceId {
        SpaceId::new("simulated", u16::try_from(self.dims).unwrap_or(u16::MAX))
    }

    /// The dot product of two rows.
    #[must_use]
    pub fn dot(&self, a: usize, b: usize) -> f32 {
        dot(self.row(a), self.row(b))
    }

    /// The rows among `nodes` nearest to row `query` by cosine, the nearest first; `without` is left out.
    #[must_use]
    pub fn nearest(&self, query: usize, nodes: &[usize], k: usize, norms: &[f32]) -> Vec<(f32, usize)> {
        let target = self.row(query);
        let mut best: Vec<(f32, usize)> = Vec::with_capacity(2 * k + 1);
        let mut worst = f32::MIN;
        for &node in nodes {
            let score = dot(target, self.row(node)) * norms[node];
            if score > worst {
                best.push((score, node));
                if best.len() > 2 * k {
                    best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
                    best.truncate(k);
                    worst = best[k - 1].0;
                }
            }
        }
        best.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        best.truncate(k);
        best
    }

    /// One over the length of each row.
    #[must_use]
    pub fn norms(&self) -> Vec<f32> {
        (0..self.len()).map(|at| 1.0 / dot(self.row(at), self.row(at)).sqrt()).collect()
    }
}

/// Signed bytes, the largest of which is 127.
fn quantised(row: &[f64]) -> impl Iterator<Item = i8> {
    let largest = row.iter().fold(1e-9_f64, |most, value| most.max(value.abs()));
    #[expect(clippy::cast_possible_truncation, reason = "a share of the largest")]
    row.iter().map(move |value| (value / largest * 127.0).round() as i8)
}

/// Exact. In lanes that the compiler makes vectors of.
pub(crate) fn dot(a: &[i8], b: &[i8]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let products =
        |a: &[i8], b: &[i8]| a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum::<i32>();
    let sum = a.iter().zip(b).map(|(a, b)| products(a, b)).sum::<i32>() + products(a_rest, b_rest);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^24 or rounded evenly")]
    let sum = sum as f32;
    sum
}
