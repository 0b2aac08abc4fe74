//! `qis codec`: how close decoded vectors come, and how long that takes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use qis_codec::{Decoded, Encoded, MAX_DIMS, MIN_TRELLIS_BYTES, decode, encode};
use serde::Serialize;

use crate::Answer;
use crate::error::Error;
use crate::mean::{Scaled, relative_error, scaled_errors, vectors_for};
use crate::rng::Rng;
use crate::source::{self, Source};
use crate::timing::{self, Subject, Timings};
use crate::words::plural;

/// Vectors of a generated source, unless said otherwise.
const VECTORS: usize = 100;
/// Fewer coordinates than this in all, and chance hides a bias of some percent.
const ENOUGH: f64 = 2048.0;

/// Encode vectors into a byte budget, decode them, and measure the loss and the time.
///
/// The vectors are generated, or those of a raw file of little-endian f32. Each gets a seed of its own.
///
/// The loss (nmse) is the squared error over the squared norm, averaged over the vectors. The bound it is compared with is the least that
/// an unbiased code of a Gaussian source can have at R bits a coordinate, 1 / (4^R - 1) with R = 8 bytes / dims; other sources can
/// be below it. Vectors that are zero have no loss to speak of: they are left out of all figures, and --output has them.
///
/// "n x error" is n times the loss of the mean of n packets of one and the same vector, with n seeds. Without bias it stays as it is at
/// the smallest n, but for chance. "chance" is the standard deviation of "of first", sqrt(2 (1 - 1/n) / coordinates), where coordinates
/// count once for each vector and each mean of n packets, and for less where errors are unlike, as at zeros that stay exact; a ratio that is within two of them of 1 is no sign of a bias. At n = 1 it is
/// not quite the loss above the table: the packets have other seeds, and there may be fewer vectors, to save time, or more than
/// --vectors, which say more.
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
    /// Write the decoded vectors of --input, as little-endian f32 in the same order
    #[arg(long, value_name = "FILE")]
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
    /// Those of them that are zero, and left out of the figures.
    zero_vectors: usize,
    seed: u64,
    nmse: f64,
    shannon_bound: f64,
    db_above_bound: f64,
    cosine: f64,
    n_times_nmse_of_mean: BTreeMap<u32, f64>,
    /// The standard deviation by chance of each over the first.
    spread_of_mean: BTreeMap<u32, f64>,
    /// Vectors that the means were taken for, each with as many packets as the largest n.
    mean_of_vectors: usize,
    encode_ns: f64,
    decode_accumulate_ns: f64,
    cached_accumulate_ns: f64,
    cached_accumulate_f64_ns: f64,
    axpy_f64_ns: f64,
    /// For people.
    #[serde(skip)]
    notes: Notes,
}

/// What the table says besides the figures.
#[derive(Debug)]
struct Notes {
    /// Of a file that holds less than was asked for.
    short: Option<String>,
    /// Coordinates with errors alike behind the means that have the fewest.
    parts: f64,
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    let (dims, budget) = (usize::from(args.dims), usize::from(args.bytes));
    let needed = MIN_TRELLIS_BYTES.min(dims * size_of::<f32>());
    if budget < needed {
        return Err(Error::Budget { bytes: budget, dims, needed });
    }
    match (&args.input, &args.output) {
        (None, Some(_)) => return Err(Error::Needs { option: "--output", needed: "--input" }),
        (Some(input), Some(output)) if same_file(input, output) => {
            return Err(Error::SameFile { path: output.display().to_string() });
        }
        _ => {}
    }
    let most = args.mean_of.iter().copied().max().unwrap_or(1) as usize;
    let Pool { vectors: pool, short } = vectors(args, dims, most)?;
    measure(args, &pool, short, most).map_err(|error| in_file(args, error))
}

fn measure(args: &Args, pool: &[Vec<f32>], short: Option<String>, most: usize) -> Result<Answer, Error> {
    let (dims, budget) = (usize::from(args.dims), usize::from(args.bytes));
    let asked = args.vectors.map_or(if args.input.is_some() { pool.len() } else { VECTORS }, |n| n as usize);
    let vectors = asked.min(pool.len());

    let coded = pool.iter().enumerate().map(|(index, values)| Coded::new(index, values, budget, args.seed));
    let coded = coded.collect::<Result<Vec<Coded<'_>>, Error>>()?;
    let zero_vectors = coded.iter().take(vectors).filter(|coded| coded.is_zero()).count();
    let measured = vectors - zero_vectors;
    if measured == 0 {
        return Err(Error::AllZero);
    }
    let (mut nmse, mut cosine, mut output) = (0.0, 0.0, Vec::new());
    for coded in coded.iter().take(vectors) {
        let decoded = coded.decoded.to_vec();
        if !coded.is_zero() {
            nmse += relative_error(coded.values, &decoded) / measured as f64;
            cosine += cosine_of(coded.values, &decoded) / measured as f64;
        }
        if args.output.is_some() {
            output.push(decoded);
        }
    }
    if let Some(path) = &args.output {
        source::write(path, &output)?;
    }

    let some: Vec<&Coded<'_>> = coded.iter().filter(|coded| !coded.is_zero()).collect();
    let subjects = some.iter().take(timing::VECTORS).map(|coded| Subject {
        values: coded.values,
        encoded: &coded.encoded,
        decoded: &coded.decoded,
        seed: coded.seed,
    });
    let times = timing::measure(&subjects.collect::<Vec<_>>(), dims, budget);

    let averaged = some.iter().take(vectors_for(dims, most, measured));
    let averaged: Vec<(usize, &[f32])> = averaged.map(|coded| (coded.index, coded.values)).collect();
    let scaled = scaled_errors(&averaged, budget, &args.mean_of, args.seed)?;
    let by_count = |figure: fn(&Scaled) -> f64| scaled.iter().map(|(&n, mean)| (n, figure(mean))).collect();
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
        zero_vectors,
        seed: args.seed,
        nmse,
        shannon_bound: bound,
        db_above_bound: 10.0 * libm::log10(nmse / bound),
        cosine,
        n_times_nmse_of_mean: by_count(|mean| mean.error),
        spread_of_mean: by_count(|mean| mean.spread),
        mean_of_vectors: averaged.len(),
        encode_ns: tenths(encode),
        decode_accumulate_ns: tenths(decode_accumulate),
        cached_accumulate_ns: tenths(cached_accumulate),
        cached_accumulate_f64_ns: tenths(cached_accumulate_f64),
        axpy_f64_ns: tenths(axpy_f64),
        notes: Notes { short, parts: scaled.values().map(|mean| mean.parts).fold(f64::INFINITY, f64::min) },
    };
    Ok(Answer::of(&report, args.json))
}

/// Whether writing `output` would change `input`; not if it is not there yet.
fn same_file(input: &Path, output: &Path) -> bool {
    matches!((fs::canonicalize(input), fs::canonicalize(output)), (Ok(one), Ok(other)) if one == other)
}

/// What is wrong with a vector of a file names the file.
fn in_file(args: &Args, error: Error) -> Error {
    let Some(path) = args.input.as_ref().map(|path| path.display()) else { return error };
    if matches!(error, Error::Write { .. }) {
        return error;
    }
    let path = if args.source.is_some() { format!("differences in {path}") } else { path.to_string() };
    Error::Input { path, source: Box::new(error) }
}

/// The vectors of a measurement.
struct Pool {
    /// Of a generated source there may be more than were asked for: times and means want some more.
    vectors: Vec<Vec<f32>>,
    /// In words, that a file holds fewer.
    short: Option<String>,
}

fn vectors(args: &Args, dims: usize, most: usize) -> Result<Pool, Error> {
    let asked = args.vectors.map(|vectors| vectors as usize);
    let Some(path) = &args.input else {
        let asked = asked.unwrap_or(VECTORS);
        let count = asked.max(timing::VECTORS).max(vectors_for(dims, most, asked));
        let vectors = args.source.unwrap_or(Source::Gaussian).vectors(dims, count, args.seed)?;
        return Ok(Pool { vectors, short: None });
    };
    let differences = match args.source {
        None => false,
        Some(Source::Embedding) => true,
        Some(other) => return Err(Error::SourceOfInput { name: other.name() }),
    };
    let mut vectors = source::read(path, dims)?;
    let held = vectors.len();
    if differences {
        if held < 2 {
            return Err(Error::TooFew { path: path.display().to_string(), found: held, needed: 2 });
        }
        vectors = source::differences(&vectors);
    }
    let short = asked.filter(|&asked| asked > vectors.len()).map(|asked| {
        let held = plural(held, "vector");
        format!(
            "{} asked for, the file holds {held}",
            if differences { plural(asked, "difference") } else { asked.to_string() }
        )
    });
    vectors.truncate(asked.unwrap_or(usize::MAX));
    Ok(Pool { vectors, short })
}

/// A vector, as it travels and as it comes out.
struct Coded<'a> {
    index: usize,
    values: &'a [f32],
    encoded: Encoded,
    decoded: Decoded,
    seed: u64,
}

impl<'a> Coded<'a> {
    fn new(index: usize, values: &'a [f32], budget: usize, seed: u64) -> Result<Self, Error> {
        let seed = Rng::new(seed, u64::MAX - index as u64).bits();
        let encoded = encode(values, budget, seed).map_err(|source| Error::Encode { index, source })?;
        let decoded = decode(encoded.mode(), values.len(), encoded.bytes(), seed)
            .map_err(|source| Error::Decode { index, source })?;
        Ok(Self { index, values, encoded, decoded, seed })
    }

    fn is_zero(&self) -> bool {
        self.values.iter().all(|&value| value == 0.0)
    }
}

/// Of a vector that is not zero; 0 when what it decodes to points nowhere.
fn cosine_of(values: &[f32], decoded: &[f64]) -> f64 {
    let (mut product, mut one, mut other) = (0.0, 0.0, 0.0);
    for (&x, y) in values.iter().zip(decoded) {
        let x = f64::from(x);
        product += x * y;
        one += x * x;
        other += y * y;
    }
    product / libm::sqrt(one * other).max(f64::MIN_POSITIVE)
}

/// A loss, or 0 when there is none.
fn loss(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.3e}") }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &Self { dims, bytes, vectors, zero_vectors, source, .. } = self;
        let rate = 8.0 * bytes as f64 / dims as f64;
        let (coordinates, counted) = (plural(dims, "coordinate"), plural(vectors, "vector"));
        writeln!(f, "{coordinates} in {bytes} bytes ({rate:.2} bits each), {counted} ({source})")?;
        if let Some(short) = &self.notes.short {
            writeln!(f, "{short}")?;
        }
        if zero_vectors > 0 {
            let are = if zero_vectors == 1 { "is" } else { "are" };
            writeln!(f, "{zero_vectors} of {counted} {are} zero and left out")?;
        }
        writeln!(f, "\nsquared error over squared norm   {}", loss(self.nmse))?;
        writeln!(f, "least of an unbiased code         {:.3e}   (Gaussian source)", self.shannon_bound)?;
        match self.db_above_bound {
            db if db.is_finite() => writeln!(f, "above it                          {db:.2} dB")?,
            _ => writeln!(f, "above it                          -   (nothing is lost)")?,
        }
        writeln!(f, "cosine                            {:.6}\n", self.cosine)?;

        writeln!(
            f,
            "{:<28} {:>12} {:>10} {:>10}",
            "mean of n packets of one", "n x error", "of first", "chance"
        )?;
        let single = self.n_times_nmse_of_mean.values().next().copied().unwrap_or_default();
        for (n, error) in &self.n_times_nmse_of_mean {
            // Where nothing is lost there is nothing to compare.
            let ratio = if single > 0.0 { format!("{:.3}", error / single) } else { "-".to_owned() };
            // The first is itself whatever happens.
            let spread = self.spread_of_mean.get(n).copied().filter(|&spread| spread > 0.0);
            let spread = spread.map_or_else(|| "-".to_owned(), |spread| format!("±{spread:.3}"));
            writeln!(f, "{:<28} {:>12} {ratio:>10} {spread:>10}", format!("n = {n}"), loss(*error))?;
        }
        let averaged = plural(self.mean_of_vectors, "vector");
        match self.mean_of_vectors.checked_sub(vectors - zero_vectors) {
            None => writeln!(f, "({averaged} of those above)")?,
            Some(0) => writeln!(f, "({averaged})")?,
            Some(more) => writeln!(f, "({averaged}, {more} of them generated besides those asked for)")?,
        }
        if single > 0.0 && self.n_times_nmse_of_mean.len() > 1 && self.notes.parts < ENOUGH {
            let parts = self.notes.parts;
            writeln!(f, "too few coordinates to tell: some {parts:.0} with errors alike, {ENOUGH} would do")?;
        }
        writeln!(f)?;

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
        assert_eq!(cosine_of(&[1.0], &[0.0]), 0.0);
        assert_eq!(cosine_of(&[3.0, 4.0], &[-3.0, -4.0]), -1.0);
    }
}
