use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};
use qis_codec::bits::{BitReader, BitWriter};

use super::full::FullFactor;
use super::low_rank::{LowRank, MAX_RANK};
use super::{DecodingError, EncodingError, Part, bfloat16};
use crate::evidence::{EvidenceSummary, Family};
use crate::linalg::{self, Factor};

/// A full factor at 4 bits.
const FULL: u8 = 0x01;
/// Some axes at 4 bits.
const LOW_RANK: u8 = 0x02;
/// Makes the precision of any records positive definite, and bounds the coefficients.
const RIDGE: f64 = 1e-3;
/// Survival studies have features hardly any event tells of, whose coefficients would be the largest.
const COX_RIDGE: f64 = 1e-2;

const COEFFICIENT_BITS: u32 = 6;
const COEFFICIENT_MAX: i8 = 31;
const SIZE_BITS: u32 = 8;
const SIZE_STEPS: f64 = 8.0;
/// Just below `log2(sqrt(RIDGE))`, which no size is smaller than.
const SIZE_MIN: f64 = -5.0;

/// `2^-30` and `2^10` as `bfloat16`.
const SCALE_MIN: u16 = 0x3080;
const SCALE_MAX: u16 = 0x4480;

/// A summary as the integers of its payload, so that it can be written back exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::evidence) struct Codes {
    family: Family,
    records: u32,
    scale: u16,
    /// Gaussian family; 0 otherwise.
    residual: u16,
    coefficients: Vec<i8>,
    sizes: Vec<u8>,
    correlation: Correlation,
}

/// How the precision's elements off the diagonal are written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Correlation {
    Full(FullFactor),
    LowRank(LowRank),
}

/// The two formats, and how large a payload of each is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::evidence) enum Format {
    /// All of the precision's factor.
    Full,
    /// So many axes.
    LowRank(usize),
}

impl Format {
    /// The most faithful format whose payloads of this family and dimension fit into `budget` bytes.
    pub(in crate::evidence) fn within(family: Family, dims: usize, budget: usize) -> Option<Self> {
        let low_rank = (1..=most_axes(dims)).rev().map(Self::LowRank);
        core::iter::once(Self::Full).chain(low_rank).find(|format| format.payload_len(family, dims) <= budget)
    }

    /// The format with the smallest payloads of this family and dimension.
    pub(in crate::evidence) fn smallest(family: Family, dims: usize) -> Self {
        let (full, least) = (Self::Full, Self::LowRank(1));
        if full.payload_len(family, dims) <= least.payload_len(family, dims) { full } else { least }
    }

    /// The length in bytes of every payload of this format, family and dimension.
    pub(in crate::evidence) fn payload_len(self, family: Family, dims: usize) -> usize {
        let (rank, correlation) = match self {
            Self::Full => (0, FullFactor::bits(dims)),
            Self::LowRank(rank) => (1, LowRank::bits(dims, rank)),
        };
        let bits = dims.saturating_mul((COEFFICIENT_BITS + SIZE_BITS) as usize).saturating_add(correlation);
        header_len(family) + rank + bits.div_ceil(8)
    }
}

fn most_axes(dims: usize) -> usize {
    MAX_RANK.min(dims)
}

fn header_len(family: Family) -> usize {
    match family {
        Family::Gaussian => 9,
        Family::Logistic | Family::Cox => 7,
    }
}

impl Codes {
    /// The nearest codes to an exact summary.
    pub(in crate::evidence) fn quantise(
        summary: &EvidenceSummary,
        format: Format,
    ) -> Result<Self, EncodingError> {
        let out_of_range = |part| EncodingError::OutOfRange { part };
        let mut ridged = summary.precision_matrix().clone();
        let dims = ridged.nrows();
        let ridge = match summary.family() {
            Family::Gaussian | Family::Logistic => RIDGE,
            Family::Cox => COX_RIDGE,
        };
        linalg::add_diagonal(&mut ridged, (0..dims).map(|_| ridge));
        let diagonal = ridged.diagonal();
        let factor = Factor::new(ridged.clone()).map_err(|_| out_of_range(Part::Factor))?;
        let theta = factor.solve(summary.information_vector());
        let explained = theta.dot(summary.information_vector());

        let residual = match summary.family() {
            Family::Gaussian => bfloat16::encode((summary.outcome_squares() - explained).max(0.0))
                .ok_or(out_of_range(Part::Residual))?,
            Family::Logistic | Family::Cox => 0,
        };
        let (scale, coefficients) =
            quantise_coefficients(theta.as_slice()).ok_or(out_of_range(Part::Coefficients))?;
        let sizes = diagonal
            .iter()
            .map(|&a| quantise_size(a))
            .collect::<Option<_>>()
            .ok_or(out_of_range(Part::Sizes))?;
        let correlation = match format {
            Format::Full => Correlation::Full(FullFactor::quantise(&factor, &diagonal)),
            Format::LowRank(rank) => Correlation::LowRank(LowRank::quantise(&ridged, &diagonal, rank)),
        };
        Ok(Self {
            family: summary.family(),
            records: summary.records(),
            scale,
            residual,
            coefficients,
            sizes,
            correlation,
        })
    }

    pub(in crate::evidence) fn format(&self) -> Format {
        match &self.correlation {
            Correlation::Full(_) => Format::Full,
            Correlation::LowRank(axes) => Format::LowRank(axes.0.len()),
        }
    }

    /// The payload.
    pub(in crate::evidence) fn write(&self) -> Vec<u8> {
        let Self { family, records, scale, residual, coefficients, sizes, correlation } = self;
        let mut bytes = Vec::with_capacity(self.format().payload_len(*family, sizes.len()));
        bytes.push(match correlation {
            Correlation::Full(_) => FULL,
            Correlation::LowRank(_) => LOW_RANK,
        });
        bytes.extend_from_slice(&records.to_le_bytes());
        bytes.extend_from_slice(&scale.to_le_bytes());
        if *family == Family::Gaussian {
            bytes.extend_from_slice(&residual.to_le_bytes());
        }
        if let Correlation::LowRank(axes) = correlation {
            // At most six.
            bytes.push(u8::try_from(axes.0.len()).unwrap_or(u8::MAX));
        }
        let mut bits = BitWriter::new();
        for &code in coefficients {
            bits.write(offset(code, COEFFICIENT_MAX), COEFFICIENT_BITS);
        }
        for &code in sizes {
            bits.write(code.into(), SIZE_BITS);
        }
        match correlation {
            Correlation::Full(factor) => factor.write(&mut bits),
            Correlation::LowRank(axes) => axes.write(&mut bits),
        }
        bytes.extend_from_slice(&bits.into_bytes());
        bytes
    }

    /// Reads a payload; allocates for the expected dimension only once the length agrees.
    pub(in crate::evidence) fn read(
        family: Family,
        dims: usize,
        bytes: &[u8],
    ) -> Result<Self, DecodingError> {
        if !family.possible_dims().contains(&dims) {
            return Err(DecodingError::Dims(dims));
        }
        let found = bytes.len();
        let header = header_len(family);
        let short = DecodingError::Length { expected: Format::Full.payload_len(family, dims), found };
        let format = match *bytes.first().ok_or(short)? {
            FULL => Format::Full,
            LOW_RANK => {
                let smallest = Format::LowRank(1).payload_len(family, dims);
                let short = DecodingError::Length { expected: smallest, found };
                let rank = usize::from(*bytes.get(header).ok_or(short)?);
                if !(1..=most_axes(dims)).contains(&rank) {
                    return Err(DecodingError::Invalid(Part::Rank));
                }
                Format::LowRank(rank)
            }
            format => return Err(DecodingError::Format(format)),
        };
        let expected = format.payload_len(family, dims);
        let length = DecodingError::Length { expected, found };
        if found != expected {
            return Err(length);
        }
        let (_, rest) = bytes.split_first().ok_or(length)?;
        let (&records, rest) = rest.split_first_chunk().ok_or(length)?;
        let (&scale, rest) = rest.split_first_chunk().ok_or(length)?;
        let (residual, rest) = match family {
            Family::Gaussian => {
                let (&residual, rest) = rest.split_first_chunk().ok_or(length)?;
                (u16::from_le_bytes(residual), rest)
            }
            Family::Logistic | Family::Cox => (0, rest),
        };
        let rest = match format {
            Format::Full => rest,
            Format::LowRank(_) => rest.split_first().ok_or(length)?.1,
        };
        let records = u32::from_le_bytes(records);
        let scale = u16::from_le_bytes(scale);
        if records == 0 {
            return Err(DecodingError::Invalid(Part::Records));
        }
        if scale != 0 && !(SCALE_MIN..=SCALE_MAX).contains(&scale) {
            return Err(DecodingError::Invalid(Part::Scale));
        }
        if residual >= bfloat16::INFINITY {
            return Err(DecodingError::Invalid(Part::Residual));
        }
        let mut bits = BitReader::new(rest);
        let coefficients = read_coefficients(dims, scale, &mut bits)?;
        let sizes = read_sizes(dims, &mut bits)?;
        let correlation = match format {
            Format::Full => Correlation::Full(FullFactor::read(dims, &mut bits)?),
            Format::LowRank(rank) => Correlation::LowRank(LowRank::read(dims, rank, &mut bits)?),
        };
        if !bits.finish() {
            return Err(DecodingError::Invalid(Part::Padding));
        }
        Ok(Self { family, records, scale, residual, coefficients, sizes, correlation })
    }

    /// The summary these codes stand for.
    pub(in crate::evidence) fn restore(self) -> EvidenceSummary {
        let dims = self.sizes.len();
        let scale = bfloat16::decode(self.scale) / f64::from(COEFFICIENT_MAX);
        let theta = self.coefficients.iter().map(|&c| f64::from(c) * scale);
        let theta = DVector::from_iterator(dims, theta);
        let size = |&code: &u8| libm::exp2(f64::from(code) / SIZE_STEPS + SIZE_MIN);
        let sizes: Vec<f64> = self.sizes.iter().map(size).collect();
        let precision: DMatrix<f64> = match &self.correlation {
            Correlation::Full(factor) => factor.restore(&sizes),
            Correlation::LowRank(axes) => axes.restore(&sizes),
        };
        let information = &precision * &theta;
        let outcome_squares = match self.family {
            Family::Gaussian => theta.dot(&information) + bfloat16::decode(self.residual),
            Family::Logistic | Family::Cox => 0.0,
        };
        let exact =
            EvidenceSummary::exact(self.family, self.records, precision, information, outcome_squares);
        EvidenceSummary::decoded(exact, self)
    }
}

fn read_coefficients(dims: usize, scale: u16, bits: &mut BitReader<'_>) -> Result<Vec<i8>, DecodingError> {
    let invalid = DecodingError::Invalid(Part::Coefficients);
    let mut coefficients = Vec::with_capacity(dims);
    for _ in 0..dims {
        let code = read_code(bits, COEFFICIENT_BITS, COEFFICIENT_MAX, COEFFICIENT_MAX);
        coefficients.push(code.ok_or(invalid)?);
    }
    let largest = coefficients.iter().map(|c| c.unsigned_abs()).max();
    let expected = if scale == 0 { 0 } else { COEFFICIENT_MAX };
    (largest == Some(expected.unsigned_abs())).then_some(coefficients).ok_or(invalid)
}

fn read_sizes(dims: usize, bits: &mut BitReader<'_>) -> Result<Vec<u8>, DecodingError> {
    let size = |_| bits.read(SIZE_BITS).and_then(|code| u8::try_from(code).ok());
    (0..dims).map(size).collect::<Option<_>>().ok_or(DecodingError::Invalid(Part::Sizes))
}

/// A code written with `bias` added, at most `max`.
pub(super) fn read_code(bits: &mut BitReader<'_>, width: u32, bias: i8, max: i8) -> Option<i8> {
    let code = i8::try_from(bits.read(width)?).ok()?.checked_sub(bias)?;
    (code <= max).then_some(code)
}

/// A code as it is written: with `bias` added, so not negative.
pub(super) fn offset(code: i8, bias: i8) -> u32 {
    u32::try_from(i32::from(code) + i32::from(bias)).unwrap_or(0)
}

/// The scale and codes of the coefficients, or `None` when they are too large or not finite.
fn quantise_coefficients(theta: &[f64]) -> Option<(u16, Vec<i8>)> {
    let largest = theta.iter().fold(0.0_f64, |max, t| max.max(t.abs()));
    let scale = bfloat16::encode(largest)?;
    if scale > SCALE_MAX || theta.iter().any(|t| !t.is_finite()) {
        return None;
    }
    if scale < SCALE_MIN {
        return Some((0, theta.iter().map(|_| 0).collect()));
    }
    let unit = bfloat16::decode(scale);
    let codes = theta.iter().map(|t| round_code(t / unit, COEFFICIENT_MAX));
    Some((scale, codes.collect()))
}

fn quantise_size(squared: f64) -> Option<u8> {
    let code = libm::round((0.5 * libm::log2(squared) - SIZE_MIN) * SIZE_STEPS);
    (0.0..=255.0).contains(&code).then_some(code as u8)
}

/// A value of -1 to 1 in steps of `1/max`.
pub(super) fn round_code(value: f64, max: i8) -> i8 {
    let max = f64::from(max);
    libm::round(value * max).clamp(-max, max) as i8
}

#[cfg(test)]
mod tests {
    use super::super::full;
    use super::super::low_rank::{self, Axis};
    use super::*;
    use crate::evidence::Evidence;
    use crate::testing::{Random, site};
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn evidence(family: Family, dims: usize, records: usize, seed: u64) -> Evidence {
        let theta: Vec<f64> = (0..dims).map(|k| 0.4 - 0.1 * (k % 7) as f64).collect();
        site(&mut Random(seed), family, &theta, records)
    }

    fn payload(family: Family, dims: usize) -> Vec<u8> {
        evidence(family, dims, 50, 1).summary().encode(512).unwrap()
    }

    #[test]
    fn sizes_are_as_promised() {
        assert_eq!(payload(Family::Logistic, 14).len(), 82);
        assert_eq!(EvidenceSummary::encoded_len(Family::Logistic, 14), 82);
        assert_eq!(EvidenceSummary::encoded_len(Family::Gaussian, 29), 274);
        assert_eq!(EvidenceSummary::encoded_len(Family::Gaussian, 33), 343);
        // 39 features: more than a packet has room for in full.
        assert_eq!(EvidenceSummary::encoded_len(Family::Cox, 39), 460);
        assert_eq!(EvidenceSummary::smallest_len(Family::Cox, 39), 97);
        let low_rank = evidence(Family::Cox, 39, 50, 1).summary().encode(308).unwrap();
        assert_eq!((low_rank.len(), low_rank[0], low_rank[7]), (200, 2, 6));
        assert_eq!(evidence(Family::Cox, 39, 50, 1).summary().encode(150).unwrap()[7], 3);
    }

    #[test]
    fn few_axes_are_near_the_exact_form_where_features_go_together() {
        let mut random = Random(9);
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let common = random.normal();
            let row: Vec<f64> = (0..12).map(|_| common + 0.5 * random.normal()).collect();
            y.push(0.3 * row[0] - 0.2 * row[5] + random.normal());
            x.extend(row);
        }
        let schema = crate::testing::schema(Family::Gaussian, 12);
        let exact = Evidence::gaussian(&schema, &x, &y).unwrap();
        let exact = exact.summary();
        let bytes = exact.encode(60).unwrap();
        assert_eq!(bytes[0], LOW_RANK);
        let decoded = EvidenceSummary::decode(Family::Gaussian, 13, &bytes).unwrap();
        let (a, b) = (exact.precision_matrix(), decoded.precision_matrix());
        assert!((a - b).norm() < 0.15 * a.norm(), "{}", (a - b).norm() / a.norm());
        assert!(Factor::new(b.clone()).is_ok(), "positive definite");
    }

    #[test]
    fn the_decoded_form_is_near_the_exact_one() {
        for family in [Family::Gaussian, Family::Logistic, Family::Cox] {
            let exact = evidence(family, 6, 200, 2);
            let exact = exact.summary();
            let bytes = exact.encode(512).unwrap();
            let decoded = EvidenceSummary::decode(family, 6, &bytes).unwrap();
            assert_eq!(decoded.records(), 200);
            let solve = |summary: &EvidenceSummary| {
                let factor = Factor::new(summary.precision_matrix().clone()).unwrap();
                factor.solve(summary.information_vector())
            };
            assert!((solve(exact) - solve(&decoded)).amax() < 0.02);
            let (a, b) = (exact.precision_matrix(), decoded.precision_matrix());
            assert!((a - b).norm() < 0.2 * a.norm(), "{}", (a - b).norm() / a.norm());
            let squares = (exact.outcome_squares(), decoded.outcome_squares());
            assert!((squares.0 - squares.1).abs() <= 0.1 * squares.0, "{squares:?}");
        }
    }

    #[test]
    fn a_summary_of_no_effect_has_scale_zero() {
        let schema = crate::testing::schema(Family::Gaussian, 1);
        let evidence = Evidence::gaussian(&schema, &[1.0, -1.0], &[0.0, 0.0]).unwrap();
        let bytes = evidence.summary().encode(64).unwrap();
        let decoded = EvidenceSummary::decode(Family::Gaussian, 2, &bytes).unwrap();
        assert_eq!(decoded.information(), [0.0, 0.0]);
        assert_eq!(decoded.outcome_squares(), 0.0);
    }

    #[test]
    fn a_budget_too_small_is_refused_with_both_figures() {
        let evidence = evidence(Family::Logistic, 14, 20, 3);
        assert_eq!(EvidenceSummary::smallest_len(Family::Logistic, 14), 41);
        assert_eq!(
            evidence.summary().encode(40),
            Err(EncodingError::BudgetTooSmall { needed: 41, budget: 40 })
        );
        assert_eq!(evidence.summary().encode(41).unwrap().len(), 41);
        let received = evidence.summary().encode(82).unwrap();
        let received = EvidenceSummary::decode(Family::Logistic, 14, &received).unwrap();
        assert_eq!(
            received.encode(81),
            Err(EncodingError::BudgetTooSmall { needed: 82, budget: 81 }),
            "what was received is passed on as it is"
        );
    }

    #[test]
    fn coefficients_beyond_the_format_are_refused() {
        let schema = crate::testing::schema(Family::Gaussian, 1);
        let evidence = Evidence::gaussian(&schema, &[1.0, -1.0], &[9e5, -9e5]).unwrap();
        let part = Part::Coefficients;
        assert_eq!(evidence.summary().encode(64), Err(EncodingError::OutOfRange { part }));
    }

    /// The vector of the wire format's document.
    #[test]
    fn a_payload_of_one_axis_byte_by_byte() {
        let codes = Codes {
            family: Family::Cox,
            records: 50,
            scale: 0x3f00,
            residual: 0,
            coefficients: [31, -10].into(),
            sizes: [40, 48].into(),
            correlation: Correlation::LowRank(LowRank([Axis { scale: 0, codes: [7, -5].into() }].into())),
        };
        let bytes: [u8; 14] = [2, 50, 0, 0, 0, 0, 0x3f, 1, 0x7e, 0x85, 2, 3, 0xe0, 2];
        assert_eq!(codes.write(), bytes);
        let summary = EvidenceSummary::decode(Family::Cox, 2, &bytes).unwrap();
        let near =
            |found: &[f64], expected: &[f64]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 5e-5);
        assert!(near(summary.precision(), &[1.02, -1.4286, -1.4286, 4.0]), "{:?}", summary.precision());
        assert!(near(summary.information(), &[0.7404, -1.3594]), "{:?}", summary.information());
    }

    #[test]
    fn each_invalid_part_is_named() {
        let good = payload(Family::Gaussian, 2);
        let decode = |bytes: &[u8]| EvidenceSummary::decode(Family::Gaussian, 2, bytes);
        assert!(decode(&good).is_ok());
        // 9 bytes of header; 2 x 6 coefficient, 2 x 8 size, 4 and 3 factor bits; 5 of padding.
        assert_eq!(good.len(), 14);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            decode(&bytes).unwrap_err()
        };
        let invalid = DecodingError::Invalid;
        assert_eq!(with(0, 3), DecodingError::Format(3));
        let no_records: Vec<u8> = [&good[..1], &[0; 4], &good[5..]].concat();
        assert_eq!(decode(&no_records), Err(invalid(Part::Records)));
        assert_eq!(with(6, 0x7f), invalid(Part::Scale));
        assert_eq!(with(6, 0xbf), invalid(Part::Scale));
        assert_eq!(with(8, 0xff), invalid(Part::Residual));
        assert_eq!(with(9, 0x3f), invalid(Part::Coefficients));
        let scale_zero: Vec<u8> = [&good[..5], &[0; 2], &good[7..]].concat();
        assert_eq!(decode(&scale_zero), Err(invalid(Part::Coefficients)));
        assert_eq!(with(12, good[12] | 0xf0), invalid(Part::Factor));
        assert_eq!(with(13, good[13] | 0x80), invalid(Part::Padding));
        assert!(matches!(decode(&good[..13]), Err(DecodingError::Length { expected: 14, found: 13 })));
        assert!(decode(&[]).is_err());
        let axes = evidence(Family::Cox, 8, 50, 1).summary().encode(33).unwrap();
        let decode = |bytes: &[u8]| EvidenceSummary::decode(Family::Cox, 8, bytes);
        let with = |at: usize, values: &[u8]| {
            let mut bytes = axes.clone();
            bytes[at..at + values.len()].copy_from_slice(values);
            decode(&bytes).unwrap_err()
        };
        // 8 bytes of header; 8 x 14 bits of coefficients and sizes, 2 axes of 8 + 8 x 4.
        assert!(decode(&axes).is_ok());
        assert_eq!(axes.len(), 32);
        assert_eq!(with(7, &[0]), invalid(Part::Rank));
        assert_eq!(with(7, &[7]), invalid(Part::Rank));
        assert_eq!(with(7, &[3]), DecodingError::Length { expected: 37, found: 32 });
        assert_eq!(with(23, &[0xff]), invalid(Part::Axes));
        assert_eq!(with(23, &[0x77; 4]), invalid(Part::Axes), "no entry is the largest");
        assert!(decode(&axes[..7]).is_err());
        for dims in [0, 1, 66, usize::MAX] {
            let decoded = EvidenceSummary::decode(Family::Logistic, dims, &good);
            assert_eq!(decoded, Err(DecodingError::Dims(dims)));
        }
    }

    /// Everything a payload can say.
    fn codes() -> impl Strategy<Value = Codes> {
        let family = prop_oneof![Just(Family::Gaussian), Just(Family::Logistic), Just(Family::Cox)];
        (family, 2usize..8).prop_flat_map(|(family, dims)| {
            let scale = prop_oneof![Just(0), SCALE_MIN..=SCALE_MAX];
            let header = (1..=u32::MAX, scale, 0..bfloat16::INFINITY);
            let coefficients = vec(-COEFFICIENT_MAX..=COEFFICIENT_MAX, dims);
            let factor = vec(vec(-full::MAX..=full::MAX, dims), dims);
            let axis = (any::<u8>(), 0..dims, vec(-low_rank::MAX..=low_rank::MAX, dims));
            let axes = vec(axis, 0..=most_axes(dims));
            let fields = (coefficients, 0..dims, vec(any::<u8>(), dims), factor, axes);
            (header, fields).prop_map(move |(header, fields)| {
                let (records, scale, residual) = header;
                let (mut coefficients, largest, sizes, mut factor, axes) = fields;
                if scale == 0 {
                    coefficients.fill(0);
                } else {
                    coefficients[largest] = COEFFICIENT_MAX;
                }
                for (k, column) in factor.iter_mut().enumerate() {
                    column.truncate(k + 1);
                    column[k] = if k == 0 { full::MAX } else { column[k].abs() };
                }
                let residual = if family == Family::Gaussian { residual } else { 0 };
                let axes = axes.into_iter().map(|(scale, largest, mut codes)| {
                    codes[largest] = -low_rank::MAX;
                    Axis { scale, codes }
                });
                let axes: Vec<Axis> = axes.collect();
                let correlation = if axes.is_empty() {
                    Correlation::Full(FullFactor(factor))
                } else {
                    Correlation::LowRank(LowRank(axes))
                };
                Codes { family, records, scale, residual, coefficients, sizes, correlation }
            })
        })
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(
            dims in 0usize..70,
            bytes in vec(any::<u8>(), 0..400),
        ) {
            let _ = EvidenceSummary::decode(Family::Gaussian, dims, &bytes);
            let _ = EvidenceSummary::decode(Family::Logistic, dims, &bytes);
            let _ = EvidenceSummary::decode(Family::Cox, dims, &bytes);
        }

        #[test]
        fn every_payload_reads_as_what_was_written(codes in codes()) {
            let bytes = codes.write();
            prop_assert_eq!(bytes.len(), codes.format().payload_len(codes.family, codes.sizes.len()));
            let read = Codes::read(codes.family, codes.sizes.len(), &bytes);
            prop_assert_eq!(read.as_ref(), Ok(&codes));
            let summary = codes.restore();
            prop_assert_eq!(summary.encode(512).unwrap(), bytes);
            let figures = summary.precision().iter().chain(summary.information());
            prop_assert!(figures.copied().all(f64::is_finite));
            prop_assert!(summary.outcome_squares().is_finite());
        }

        #[test]
        fn what_is_accepted_encodes_to_the_same_bytes(
            codes in codes(),
            at in any::<proptest::sample::Index>(),
            flip in 1u8..,
        ) {
            let mut bytes = codes.write();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = Codes::read(codes.family, codes.sizes.len(), &bytes) {
                prop_assert_eq!(read.restore().encode(512).unwrap(), bytes);
            }
        }

        #[test]
        fn what_is_encoded_is_accepted(
            seed in any::<u64>(),
            dims in 2usize..20,
            records in 1usize..40,
            family in 0usize..3,
            budget in 60usize..400,
        ) {
            let family = [Family::Gaussian, Family::Logistic, Family::Cox][family];
            let bytes = evidence(family, dims, records, seed).summary().encode(budget).unwrap();
            let whole = EvidenceSummary::encoded_len(family, dims);
            prop_assert!(bytes.len() == whole || (whole > budget && bytes.len() <= budget));
            let decoded = EvidenceSummary::decode(family, dims, &bytes).unwrap();
            prop_assert_eq!(decoded.encode(512).unwrap(), bytes);
        }
    }
}
