//! `qis codec`: how close decoded vectors come, and how long that takes.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use qis_codec::{Decoded, Encoded, MAX_DIMS, MIN_TRELLIS_BYTES, decode, encode};
use serde::Serialize;

use crate::Answer;
use crate::error::Error;
use crate::mean::{relative_error, scaled_errors, vectors_for};
use crate::rng::Rng;
use crate::source::{self, Source};
use crate::timing::{self, Subject, Timings};

/// Vectors of a generated source, unless said otherwise.
const VECTORS: usize = 100;

/// Encode vectors into a byte budget, decode them, and measure the loss and the time.
///
/// The vectors are generated, or those of a raw file of little-endian f32. Each gets a seed of its own.
///
/// The loss (nmse) is the squared error over the squared norm, averaged over the vectors. The bound it is compared with is the least that
/// an unbiased code of a Gaussian source can have at R bits a coordinate, 1 / (4^R - 1) with R = 8 bytes / dims; other sources can
/// be below it. "n times nmse of the mean" is what is left when n packets of one and the same vector, with n seeds, are averaged: it
/// stays as it is at n = 1 when the code has no bias.
///
/// Times are medians in nanoseconds a vector, on one thread, all measured in turn in the same run, over 64 vectors (or those of the file, if
/// fewer). The axpy is a plain loop `sum[i] += w * x[i]` over f64 vectors of the same length. Cached vectors are decoded already, and
/// are added up in f32 and in f64.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Coordinates of a vector, 1 to 4096
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = clap::value_parser!(u16).range(1..=MAX_DIMS as i64))]
    dims: u16,
    /// Bytes an encoded vector may take, from 8 up (from 4 up for one coordinate)
    #[arg(long, value_name = "N", default_value_t = 320, value_parser = clap::value_parser!(u16).range(1..=4 * MAX_DIMS as i64))]
    bytes: u16,
    /// What the vectors are drawn from [default: gaussian, or the vectors of --input]
    #[arg(long, value_enum)]
    source: Option<Source>,
    /// Read the vectors from a raw file of little-endian f32, 4 x dims bytes each
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Write the decoded vectors, as little-endian f32 in the same order
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    /// How many vectors [default: 100, or all of --input]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    vectors: Option<u32>,
    /// Packets in the means over packets of one vector
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_values_t = [1, 20, 100], value_parser = clap::value_parser!(u32).range(1..=100_000))]
    mean_of: Vec<u32>,
    /// Seed of everything random
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis codec --dims 512 --bytes 320
  qis codec --dims 512 --bytes 128 --source laplace --mean-of 1,100,10000 --json
  qis codec --dims 768 --bytes 320 --input vectors.f32 --output decoded.f32";

/// What is printed. Infinite decibels, of a loss of zero, are null in JSON.
#[derive(Debug, Serialize)]
struct Report {
    dims: usize,
    bytes: usize,
    source: &'static str,
    vectors: usize,
    seed: u64,
    nmse: f64,
    shannon_bound: f64,
    db_above_bound: f64,
    cosine: f64,
    n_times_nmse_of_mean: BTreeMap<u32, f64>,
    /// Vectors that the means were taken for, each with as many packets as the largest n.
    mean_of_vectors: usize,
    encode_ns: f64,
    decode_accumulate_ns: f64,
    cached_accumulate_ns: f64,
    cached_accumulate_f64_ns: f64,
    axpy_f64_ns: f64,
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    let (dims, budget) = (usize::from(args.dims), usize::from(args.bytes));
    let needed = MIN_TRELLIS_BYTES.min(dims * size_of::<f32>());
    if budget < needed {
        return Err(Error::Budget { bytes: budget, dims, needed });
    }
    let most = args.mean_of.iter().copied().max().unwrap_or(1) as usize;
    let pool = vectors(args, dims, most)?;
    let asked = args.vectors.map_or(if args.input.is_some() { pool.len() } else { VECTORS }, |n| n as usize);
    let vectors = asked.min(pool.len());

    let coded = pool.iter().enumerate().map(|(index, values)| Coded::new(index, values, budget, args.seed));
    let coded = coded.collect::<Result<Vec<Coded>, Error>>()?;
    let (mut nmse, mut cosine, mut output) = (0.0, 0.0, Vec::new());
    for (values, coded) in pool.iter().zip(&coded).take(vectors) {
        let decoded = coded.decoded.to_vec();
        nmse += relative_error(values, &decoded) / vectors as f64;
        cosine += cosine_of(values, &decoded) / vectors as f64;
        if args.output.is_some() {
            output.push(decoded);
        }
    }
    if let Some(path) = &args.output {
        source::write(path, &output)?;
    }

    let subjects = pool.iter().zip(&coded).take(timing::VECTORS).map(|(values, coded)| Subject {
        values,
        encoded: &coded.encoded,
        decoded: &coded.decoded,
        seed: coded.seed,
    });
    let times = timing::measure(&subjects.collect::<Vec<_>>(), dims, budget);

    let averaged = pool.get(..vectors_for(dims, most, vectors)).unwrap_or(&pool);
    let bound = 1.0 / (libm::pow(4.0, 8.0 * budget as f64 / dims as f64) - 1.0);
    let Timings { encode, decode_accumulate, cached_accumulate, cached_accumulate_f64, axpy_f64 } = times;
    let tenths = |ns: f64| (ns * 10.0).round() / 10.0;
    let report = Report {
        dims,
        bytes: budget,
        source: match args.source {
            Some(source) => source.name(),
            None if args.input.is_some() => "input",
            None => Source::Gaussian.name(),
        },
        vectors,
        seed: args.seed,
        nmse,
        shannon_bound: bound,
        db_above_bound: 10.0 * libm::log10(nmse / bound),
        cosine,
        n_times_nmse_of_mean: scaled_errors(averaged, budget, &args.mean_of, args.seed)?,
        mean_of_vectors: averaged.len(),
        encode_ns: tenths(encode),
        decode_accumulate_ns: tenths(decode_accumulate),
        cached_accumulate_ns: tenths(cached_accumulate),
        cached_accumulate_f64_ns: tenths(cached_accumulate_f64),
        axpy_f64_ns: tenths(axpy_f64),
    };
    // A map of numbers by numbers is always JSON.
    let json = || serde_json::to_string(&report).unwrap_or_default();
    let text = if args.json { format!("{}\n", json()) } else { report.to_string() };
    Ok(Answer { text, verdict: Ok(()) })
}

/// The vectors of the measurement. Of a generated source there may be more than were asked for: times and means want some more.
fn vectors(args: &Args, dims: usize, most: usize) -> Result<Vec<Vec<f32>>, Error> {
    let asked = args.vectors.map(|vectors| vectors as usize);
    let Some(path) = &args.input else {
        let asked = asked.unwrap_or(VECTORS);
        let count = asked.max(timing::VECTORS).max(vectors_for(dims, most, asked));
        return args.source.unwrap_or(Source::Gaussian).vectors(dims, count, args.seed);
    };
    let differences = match args.source {
        None => false,
        Some(Source::Embedding) => true,
        Some(other) => return Err(Error::SourceOfInput { name: other.name() }),
    };
    let mut read = source::read(path, dims)?;
    if differences {
        if read.len() < 2 {
            let path = path.display().to_string();
            return Err(Error::TooFew { path, found: read.len(), needed: 2 });
        }
        read = source::differences(&read);
    }
    read.truncate(asked.unwrap_or(usize::MAX));
    Ok(read)
}

/// A vector as it travels and as it comes out.
struct Coded {
    encoded: Encoded,
    decoded: Decoded,
    seed: u64,
}

impl Coded {
    fn new(index: usize, values: &[f32], budget: usize, seed: u64) -> Result<Self, Error> {
        let seed = Rng::new(seed, u64::MAX - index as u64).bits();
        let encoded = encode(values, budget, seed).map_err(|source| Error::Encode { index, source })?;
        let decoded = decode(encoded.mode(), values.len(), encoded.bytes(), seed)
            .map_err(|source| Error::Decode { index, source })?;
        Ok(Self { encoded, decoded, seed })
    }
}

/// Two zero vectors point the same way, one of them to nowhere.
fn cosine_of(values: &[f32], decoded: &[f64]) -> f64 {
    let (mut product, mut one, mut other) = (0.0, 0.0, 0.0);
    for (&x, y) in values.iter().zip(decoded) {
        let x = f64::from(x);
        product += x * y;
        one += x * x;
        other += y * y;
    }
    if one == 0.0 && other == 0.0 { 1.0 } else { product / libm::sqrt(one * other).max(f64::MIN_POSITIVE) }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dims, bytes, vectors, source, .. } = self;
        let rate = 8.0 * *bytes as f64 / *dims as f64;
        writeln!(
            f,
            "{dims} coordinates in {bytes} bytes ({rate:.2} bits each), {vectors} vectors ({source})\n"
        )?;
        writeln!(f, "squared error over squared norm   {:.3e}", self.nmse)?;
        writeln!(f, "least of an unbiased code         {:.3e}   (Gaussian source)", self.shannon_bound)?;
        match self.db_above_bound {
            db if db.is_finite() => writeln!(f, "above it                          {db:.2} dB")?,
            _ => writeln!(f, "above it                          -   (nothing is lost)")?,
        }
        writeln!(f, "cosine                            {:.6}\n", self.cosine)?;

        writeln!(f, "{:<28} {:>12} {:>10}", "mean of n packets of one", "n x error", "of first")?;
        let single = self.n_times_nmse_of_mean.values().next().copied().unwrap_or_default();
        for (n, error) in &self.n_times_nmse_of_mean {
            // Where nothing is lost there is nothing to compare.
            let ratio = if single > 0.0 { format!("{:.3}", error / single) } else { "-".to_owned() };
            writeln!(f, "{:<28} {:>12} {ratio:>10}", format!("n = {n}"), format!("{error:.3e}"))?;
        }
        writeln!(f, "({} vectors)\n", self.mean_of_vectors)?;

        writeln!(f, "{:<28} {:>12} {:>10}", "time a vector, one thread", "ns", "axpys")?;
        for (name, ns) in [
            ("encode", self.encode_ns),
            ("decode and add, f64", self.decode_accumulate_ns),
            ("add a decoded one, f64", self.cached_accumulate_f64_ns),
            ("add a decoded one, f32", self.cached_accumulate_ns),
            ("axpy, f64", self.axpy_f64_ns),
        ] {
            writeln!(f, "{name:<28} {ns:>12.1} {:>10.2}", ns / self.axpy_f64_ns)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines() {
        assert_eq!(cosine_of(&[0.0], &[0.0]), 1.0);
        assert_eq!(cosine_of(&[1.0], &[0.0]), 0.0);
        assert_eq!(cosine_of(&[3.0, 4.0], &[-3.0, -4.0]), -1.0);
    }
}
