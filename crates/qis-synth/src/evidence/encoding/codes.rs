use alloc::vec::Vec;

use nalgebra::{DMatrix, DVector};
use qis_codec::bits::{BitReader, BitWriter};

use super::{DecodingError, EncodingError, Part, bfloat16};
use crate::evidence::{EvidenceSummary, Family, Schema};
use crate::linalg::{self, Factor};

/// A full factor at 4 bits.
const FORMAT: u8 = 0x01;
/// Makes the precision of any records positive definite, and bounds the coefficients.
const RIDGE: f64 = 1e-3;

const COEFFICIENT_BITS: u32 = 6;
const COEFFICIENT_MAX: i8 = 31;
const SIZE_BITS: u32 = 8;
const SIZE_STEPS: f64 = 8.0;
/// Just below `log2(sqrt(RIDGE))`, which no size is smaller than.
const SIZE_MIN: f64 = -5.0;
const FACTOR_BITS: u32 = 4;
const FACTOR_DIAGONAL_BITS: u32 = 3;
const FACTOR_MAX: i8 = 7;

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
    /// The columns of the upper triangle: column `k` has `k + 1` codes, the diagonal last.
    factor: Vec<Vec<i8>>,
}

/// The length in bytes of every payload of this family and dimension.
pub(in crate::evidence) fn payload_len(family: Family, dims: usize) -> usize {
    let above = dims.saturating_mul(dims.saturating_sub(1)) / 2;
    let bits = dims
        .saturating_mul((COEFFICIENT_BITS + SIZE_BITS) as usize)
        .saturating_add(above.saturating_mul(FACTOR_BITS as usize))
        .saturating_add(dims.saturating_sub(1).saturating_mul(FACTOR_DIAGONAL_BITS as usize));
    header_len(family) + bits.div_ceil(8)
}

fn header_len(family: Family) -> usize {
    match family {
        Family::Gaussian => 9,
        Family::Logistic => 7,
    }
}

impl Codes {
    /// The nearest codes to an exact summary.
    pub(in crate::evidence) fn quantise(summary: &EvidenceSummary) -> Result<Self, EncodingError> {
        let out_of_range = |part| EncodingError::OutOfRange { part };
        let mut ridged = summary.precision_matrix().clone();
        let dims = ridged.nrows();
        linalg::add_diagonal(&mut ridged, (0..dims).map(|_| RIDGE));
        let diagonal = ridged.diagonal();
        let factor = Factor::new(ridged).map_err(|_| out_of_range(Part::Factor))?;
        let theta = factor.solve(summary.information_vector());
        let explained = theta.dot(summary.information_vector());

        let residual = match summary.family() {
            Family::Gaussian => bfloat16::encode((summary.outcome_squares() - explained).max(0.0))
                .ok_or(out_of_range(Part::Residual))?,
            Family::Logistic => 0,
        };
        let (scale, coefficients) =
            quantise_coefficients(theta.as_slice()).ok_or(out_of_range(Part::Coefficients))?;
        let sizes = diagonal
            .iter()
            .map(|&a| quantise_size(a))
            .collect::<Option<_>>()
            .ok_or(out_of_range(Part::Sizes))?;
        // Column k of the upper factor is row k of the lower one.
        let lower = factor.lower();
        let columns = lower.row_iter().zip(diagonal.iter()).enumerate();
        let factor = columns
            .map(|(k, (row, &a))| {
                let size = libm::sqrt(a);
                let entries = row.iter().take(k + 1);
                entries.map(|c| round_code(c / size, FACTOR_MAX)).collect()
            })
            .collect();
        Ok(Self {
            family: summary.family(),
            records: summary.records(),
            scale,
            residual,
            coefficients,
            sizes,
            factor,
        })
    }

    /// The payload.
    pub(in crate::evidence) fn write(&self) -> Vec<u8> {
        let Self { family, records, scale, residual, coefficients, sizes, factor } = self;
        let mut bytes = Vec::with_capacity(payload_len(*family, sizes.len()));
        bytes.push(FORMAT);
        bytes.extend_from_slice(&records.to_le_bytes());
        bytes.extend_from_slice(&scale.to_le_bytes());
        if *family == Family::Gaussian {
            bytes.extend_from_slice(&residual.to_le_bytes());
        }
        let mut bits = BitWriter::new();
        for &code in coefficients {
            bits.write(offset(code, COEFFICIENT_MAX), COEFFICIENT_BITS);
        }
        for &code in sizes {
            bits.write(code.into(), SIZE_BITS);
        }
        for column in factor.iter().skip(1) {
            if let Some((&diagonal, above)) = column.split_last() {
                for &code in above {
                    bits.write(offset(code, FACTOR_MAX), FACTOR_BITS);
                }
                bits.write(offset(diagonal, 0), FACTOR_DIAGONAL_BITS);
            }
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
        if !(2..=Schema::MAX_FEATURES + 1).contains(&dims) {
            return Err(DecodingError::Dims(dims));
        }
        let expected = payload_len(family, dims);
        let length = DecodingError::Length { expected, found: bytes.len() };
        let (&format, rest) = bytes.split_first().ok_or(length)?;
        if format != FORMAT {
            return Err(DecodingError::Format(format));
        }
        if bytes.len() != expected {
            return Err(length);
        }
        let (&records, rest) = rest.split_first_chunk().ok_or(length)?;
        let (&scale, rest) = rest.split_first_chunk().ok_or(length)?;
        let (residual, rest) = match family {
            Family::Gaussian => {
                let (&residual, rest) = rest.split_first_chunk().ok_or(length)?;
                (u16::from_le_bytes(residual), rest)
            }
            Family::Logistic => (0, rest),
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
        let (coefficients, sizes, factor) = read_fields(dims, scale, rest)?;
        Ok(Self { family, records, scale, residual, coefficients, sizes, factor })
    }

    /// The summary these codes stand for.
    pub(in crate::evidence) fn restore(self) -> EvidenceSummary {
        let dims = self.sizes.len();
        let scale = bfloat16::decode(self.scale) / f64::from(COEFFICIENT_MAX);
        let theta = self.coefficients.iter().map(|&c| f64::from(c) * scale);
        let theta = DVector::from_iterator(dims, theta);
        let mut lower = DMatrix::zeros(dims, dims);
        for ((mut row, codes), &size) in lower.row_iter_mut().zip(&self.factor).zip(&self.sizes) {
            let unit = libm::exp2(f64::from(size) / SIZE_STEPS + SIZE_MIN) / f64::from(FACTOR_MAX);
            for (entry, &code) in row.iter_mut().zip(codes) {
                *entry = f64::from(code) * unit;
            }
        }
        // The rows of the lower factor are the columns of C, and L = C'C their products.
        let precision = linalg::weighted_gram(
            // The columns of `lower`, which is stored by column, are the rows of C.
            lower.as_slice(),
            dims,
            (0..dims).map(|_| 1.0),
        );
        let information = &precision * &theta;
        let outcome_squares = match self.family {
            Family::Gaussian => theta.dot(&information) + bfloat16::decode(self.residual),
            Family::Logistic => 0.0,
        };
        let exact =
            EvidenceSummary::exact(self.family, self.records, precision, information, outcome_squares);
        EvidenceSummary::decoded(exact, self)
    }
}

type Fields = (Vec<i8>, Vec<u8>, Vec<Vec<i8>>);

fn read_fields(dims: usize, scale: u16, bytes: &[u8]) -> Result<Fields, DecodingError> {
    let mut bits = BitReader::new(bytes);
    let mut coefficients = Vec::with_capacity(dims);
    for _ in 0..dims {
        let code = read_code(&mut bits, COEFFICIENT_BITS, COEFFICIENT_MAX, COEFFICIENT_MAX);
        coefficients.push(code.ok_or(DecodingError::Invalid(Part::Coefficients))?);
    }
    let largest = coefficients.iter().map(|c| c.unsigned_abs()).max();
    let expected = if scale == 0 { 0 } else { COEFFICIENT_MAX };
    if largest != Some(expected.unsigned_abs()) {
        return Err(DecodingError::Invalid(Part::Coefficients));
    }
    let mut sizes = Vec::with_capacity(dims);
    for _ in 0..dims {
        let code = bits.read(SIZE_BITS).and_then(|code| u8::try_from(code).ok());
        sizes.push(code.ok_or(DecodingError::Invalid(Part::Sizes))?);
    }
    let mut factor = Vec::with_capacity(dims);
    for k in 0..dims {
        let mut column = Vec::with_capacity(k + 1);
        for _ in 0..k {
            let code = read_code(&mut bits, FACTOR_BITS, FACTOR_MAX, FACTOR_MAX);
            column.push(code.ok_or(DecodingError::Invalid(Part::Factor))?);
        }
        let diagonal = match k {
            0 => Some(FACTOR_MAX),
            _ => read_code(&mut bits, FACTOR_DIAGONAL_BITS, 0, FACTOR_MAX),
        };
        column.push(diagonal.ok_or(DecodingError::Invalid(Part::Factor))?);
        factor.push(column);
    }
    if !bits.finish() {
        return Err(DecodingError::Invalid(Part::Padding));
    }
    Ok((coefficients, sizes, factor))
}

/// A code written with `bias` added, at most `max`.
fn read_code(bits: &mut BitReader<'_>, width: u32, bias: i8, max: i8) -> Option<i8> {
    let code = i8::try_from(bits.read(width)?).ok()?.checked_sub(bias)?;
    (code <= max).then_some(code)
}

/// A code as it is written: with `bias` added, so not negative.
fn offset(code: i8, bias: i8) -> u32 {
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
fn round_code(value: f64, max: i8) -> i8 {
    let max = f64::from(max);
    libm::round(value * max).clamp(-max, max) as i8
}

#[cfg(test)]
mod tests {
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
    }

    #[test]
    fn the_decoded_form_is_near_the_exact_one() {
        for family in [Family::Gaussian, Family::Logistic] {
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
        assert_eq!(
            evidence.summary().encode(81),
            Err(EncodingError::BudgetTooSmall { needed: 82, budget: 81 })
        );
        assert!(evidence.summary().encode(82).is_ok());
    }

    #[test]
    fn coefficients_beyond_the_format_are_refused() {
        let schema = crate::testing::schema(Family::Gaussian, 1);
        let evidence = Evidence::gaussian(&schema, &[1.0, -1.0], &[9e5, -9e5]).unwrap();
        let part = Part::Coefficients;
        assert_eq!(evidence.summary().encode(64), Err(EncodingError::OutOfRange { part }));
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
        assert_eq!(with(0, 2), DecodingError::Format(2));
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
        for dims in [0, 1, 66, usize::MAX] {
            let decoded = EvidenceSummary::decode(Family::Logistic, dims, &good);
            assert_eq!(decoded, Err(DecodingError::Dims(dims)));
        }
    }

    /// Everything a payload can say.
    fn codes() -> impl Strategy<Value = Codes> {
        let family = prop_oneof![Just(Family::Gaussian), Just(Family::Logistic)];
        (family, 2usize..8).prop_flat_map(|(family, dims)| {
            let scale = prop_oneof![Just(0), SCALE_MIN..=SCALE_MAX];
            let header = (1..=u32::MAX, scale, 0..bfloat16::INFINITY);
            let coefficients = vec(-COEFFICIENT_MAX..=COEFFICIENT_MAX, dims);
            let factor = vec(vec(-FACTOR_MAX..=FACTOR_MAX, dims), dims);
            let fields = (coefficients, 0..dims, vec(any::<u8>(), dims), factor);
            (header, fields).prop_map(move |(header, fields)| {
                let (records, scale, residual) = header;
                let (mut coefficients, largest, sizes, mut factor) = fields;
                if scale == 0 {
                    coefficients.fill(0);
                } else {
                    coefficients[largest] = COEFFICIENT_MAX;
                }
                for (k, column) in factor.iter_mut().enumerate() {
                    column.truncate(k + 1);
                    column[k] = if k == 0 { FACTOR_MAX } else { column[k].abs() };
                }
                let residual = if family == Family::Gaussian { residual } else { 0 };
                Codes { family, records, scale, residual, coefficients, sizes, factor }
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
        }

        #[test]
        fn every_payload_reads_as_what_was_written(codes in codes()) {
            let bytes = codes.write();
            prop_assert_eq!(bytes.len(), payload_len(codes.family, codes.sizes.len()));
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
            logistic in any::<bool>(),
        ) {
            let family = if logistic { Family::Logistic } else { Family::Gaussian };
            let bytes = evidence(family, dims, records, seed).summary().encode(512).unwrap();
            prop_assert_eq!(bytes.len(), EvidenceSummary::encoded_len(family, dims));
            let decoded = EvidenceSummary::decode(family, dims, &bytes).unwrap();
            prop_assert_eq!(decoded.encode(512).unwrap(), bytes);
        }
    }
}
