//! Fingerprints in fewer bytes than dimensions.

use alloc::vec;
use alloc::vec::Vec;

use qis_codec::{MIN_TRELLIS_BYTES, Mode};

use crate::fingerprint::scale;
use crate::{Fingerprint, FingerprintError, MAX_DIMS, SpaceId};

/// The fewest bytes into which a fingerprint of any dimensions can be compacted.
pub const MIN_COMPACT_BYTES: usize = 1 + MIN_TRELLIS_BYTES;

/// More dimensions than this a byte are folded before they are coded: with about a bit each, the codec keeps most of what is left, while
/// with half a bit its dither drowns them. Six to eight do equally well in the measurements.
const DIMS_PER_BYTE: usize = 7;

/// One dither for all, so that the same fingerprint has the same bytes wherever one library compacts it, and like ones err alike.
const SEED: u64 = 0;

impl Fingerprint {
    /// The fingerprint that arrives when this one travels in at most `max_bytes` bytes.
    ///
    /// One that takes no more already comes back as it is: up to `max_bytes` dimensions, or compacted before, so that passing it on loses
    /// nothing. Any other is folded where it has many dimensions for the bytes, coded in the trellis mode of `qis-codec` and expanded again:
    /// the result has other codes, the same dimensions, and the bytes it was expanded from. The
    /// [crate](crate#compact-fingerprints) says how close it is.
    ///
    /// Compare what was compacted with what was compacted: whoever receives it has nothing else.
    ///
    /// # Errors
    ///
    /// [`FingerprintError::Budget`] when it has more than `max_bytes` dimensions and those are fewer than [`MIN_COMPACT_BYTES`].
    pub fn compact(&self, max_bytes: usize) -> Result<Self, FingerprintError> {
        if self.byte_len() <= max_bytes {
            return Ok(self.clone());
        }
        let dims = self.dims();
        let refused = FingerprintError::Budget { needed: MIN_COMPACT_BYTES.min(dims), max_bytes };
        let Some(budget) = max_bytes.checked_sub(1).filter(|_| max_bytes >= MIN_COMPACT_BYTES) else {
            return Err(refused);
        };
        // One fold for all of so many dimensions and bytes, since those of different folds find each other less well. Only what cancels out
        // in it is folded less; one part is the fingerprint itself, which is not zero.
        let parts = u8::try_from(dims.div_ceil(budget * DIMS_PER_BYTE)).unwrap_or(u8::MAX);
        let fold = |parts| (parts, fold(&self.codes, parts));
        let folded = (1..=parts).rev().map(fold).find(|(_, sums)| sums.iter().any(|&sum| sum != 0.0));
        let (parts, sums) = folded.ok_or(refused)?;
        // The sums are finite, of like size and not all zero: the codec has nothing to refuse.
        let encoded = qis_codec::encode(&sums, budget, SEED).map_err(|_| refused)?;
        let bytes: Vec<u8> = [parts].into_iter().chain(encoded.into_bytes()).collect();
        Self::from_bytes(self.space, dims, &bytes)
    }

    /// Whether it travels in fewer bytes than dimensions.
    #[must_use]
    pub const fn is_compact(&self) -> bool {
        self.compact.is_some()
    }

    /// How many bytes it travels in.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.compact.as_ref().map_or(self.codes.len(), Vec::len)
    }

    /// The bytes it travels in: its codes in two's complement, or the fewer ones it was expanded from.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.compact.clone().unwrap_or_else(|| self.codes.iter().map(|code| code.cast_unsigned()).collect())
    }

    /// Reads a fingerprint of `dims` dimensions from exactly `bytes`, which nobody vouches for: as many bytes are its codes; fewer are
    /// compact, the number of parts it was folded into and the codec's bytes. [`to_bytes`](Self::to_bytes) gives the same bytes again.
    ///
    /// Total: any input gives a fingerprint or an error, in a time and memory bounded by `dims`, which is checked first. Compact
    /// bytes are expanded in integers, so to the same codes on every platform.
    ///
    /// # Errors
    ///
    /// [`FingerprintError`] when the dimensions are none or too many, the bytes none or more than the dimensions, the codes those of no
    /// fingerprint, or the compact bytes those of no vector.
    pub fn from_bytes(space: SpaceId, dims: usize, bytes: &[u8]) -> Result<Self, FingerprintError> {
        if dims == 0 || dims > MAX_DIMS {
            return Err(FingerprintError::Dims { dims });
        }
        let len = bytes.len();
        if len == dims {
            return Self::from_codes(space, bytes.iter().map(|byte| byte.cast_signed()).collect());
        }
        if len == 0 || len > dims {
            return Err(FingerprintError::Length { dims, len });
        }
        let malformed = FingerprintError::Malformed { dims };
        let (&parts, coded) = bytes.split_first().filter(|(parts, _)| **parts > 0).ok_or(malformed)?;
        let slots = dims.div_ceil(usize::from(parts));
        let decoded = qis_codec::decode(Mode::Trellis, slots, coded, SEED).map_err(|_| malformed)?;
        let (integers, _) = decoded.integers().ok_or(malformed)?;
        let sums = scale(integers.iter().copied().map(i64::from)).ok_or(FingerprintError::Zero)?;
        let signs = (0..).map(sign);
        let codes = sums.iter().cycle().zip(signs).map(|(&sum, sign)| sum * sign).take(dims).collect();
        Ok(Self { space, codes, compact: Some(bytes.to_vec()) })
    }
}

/// Cuts a fingerprint into so many parts and adds them up, each coordinate with its sign. One part is the fingerprint as it is.
fn fold(codes: &[i8], parts: u8) -> Vec<f32> {
    let slots = codes.len().div_ceil(usize::from(parts));
    let mut sums = vec![0.0; slots];
    let mut signs = (0..).map(sign);
    for part in codes.chunks(slots) {
        for ((sum, &code), sign) in sums.iter_mut().zip(part).zip(&mut signs) {
            *sum += f32::from(code * sign);
        }
    }
    sums
}

/// The sign of a coordinate in a fold, 1 or -1 by the top bit of its index after the finaliser of `MurmurHash3`, so that what a model
/// puts into many coordinates alike does not add up.
const fn sign(index: u32) -> i8 {
    let mixed = (index ^ index >> 16).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ mixed >> 13).wrapping_mul(0xc2b2_ae35);
    if mixed >> 31 == 0 { 1 } else { -1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn space() -> SpaceId {
        SpaceId::new("test", 2)
    }

    #[test]
    fn few_dimensions_travel_as_they_are() {
        let print = Fingerprint::from_codes(space(), vec![1, -127, 0]).unwrap();
        assert_eq!(print.compact(3).as_ref(), Ok(&print));
        assert_eq!(print.to_bytes(), [1, 129, 0]);
        assert_eq!(print.compact(2), Err(FingerprintError::Budget { needed: 3, max_bytes: 2 }));
        let ten = Fingerprint::from_codes(space(), vec![5; 10]).unwrap();
        assert_eq!(ten.compact(8), Err(FingerprintError::Budget { needed: 9, max_bytes: 8 }));
        assert!(ten.compact(MIN_COMPACT_BYTES).unwrap().byte_len() <= MIN_COMPACT_BYTES);
    }

    #[test]
    fn one_coordinate_alone_survives_the_fewest_bytes() {
        for dims in [10, 65] {
            let mut codes = vec![0; dims];
            codes[dims / 2] = -127;
            let print = Fingerprint::from_codes(space(), codes).unwrap();
            assert!(print.compact(MIN_COMPACT_BYTES).unwrap().cosine(&print).unwrap() > 0.9, "{dims}");
        }
    }

    #[test]
    fn what_cancels_out_when_folded_is_folded_less() {
        // Two coordinates that meet in one slot of the fold into 4096 / (8 * 7) = 74 parts of 56.
        let mut codes = vec![0; 4096];
        (codes[0], codes[56]) = (sign(0), -sign(56));
        let print = Fingerprint::from_codes(space(), codes).unwrap();
        assert!(fold(print.codes(), 74).iter().all(|&sum| sum == 0.0));
        let compact = print.compact(MIN_COMPACT_BYTES).unwrap();
        assert!(compact.to_bytes()[0] < 74 && compact.cosine(&print).unwrap() > 0.0);
    }

    #[test]
    fn refuses_bytes_of_no_fingerprint() {
        let read = |dims, bytes: &[u8]| Fingerprint::from_bytes(space(), dims, bytes).unwrap_err();
        assert_eq!(read(0, &[]), FingerprintError::Dims { dims: 0 });
        assert_eq!(read(4097, &[1; 64]), FingerprintError::Dims { dims: 4097 });
        assert_eq!(read(3, &[]), FingerprintError::Length { dims: 3, len: 0 });
        assert_eq!(read(3, &[1; 4]), FingerprintError::Length { dims: 3, len: 4 });
        assert_eq!(read(2, &[1, 128]), FingerprintError::Code { index: 1 });
        assert_eq!(read(2, &[0, 0]), FingerprintError::Zero);
        assert_eq!(read(400, &[0xff; 64]), FingerprintError::Malformed { dims: 400 });
        assert_eq!(read(400, &[1]), FingerprintError::Malformed { dims: 400 });
        let mut parts =
            Fingerprint::from_codes(space(), vec![3; 400]).unwrap().compact(20).unwrap().to_bytes();
        parts[0] = 0;
        assert_eq!(read(400, &parts), FingerprintError::Malformed { dims: 400 });
    }

    #[test]
    fn the_largest_integers_scale_without_overflow() {
        let codes = scale([i32::MIN, i32::MAX, 0, 1 << 30].into_iter().map(i64::from)).unwrap();
        assert_eq!(codes, [-127, 127, 0, 64]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn what_is_compacted_arrives_as_it_left(
            codes in proptest::collection::vec(-127_i8..=127, 1..700), max_bytes in 9_usize..=192,
        ) {
            prop_assume!(codes.iter().any(|&code| code != 0));
            let print = Fingerprint::from_codes(space(), codes).unwrap();
            let sent = print.compact(max_bytes).unwrap();
            prop_assert!(sent.byte_len() <= max_bytes.min(print.dims()));
            prop_assert_eq!(&sent.compact(max_bytes).unwrap(), &sent);
            let arrived = Fingerprint::from_bytes(space(), print.dims(), &sent.to_bytes());
            prop_assert_eq!(arrived, Ok(sent));
        }

        #[test]
        fn any_bytes_are_a_fingerprint_of_those_bytes_or_refused(
            dims in 0_usize..600, bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(print) = Fingerprint::from_bytes(space(), dims, &bytes) {
                prop_assert_eq!(print.to_bytes(), bytes);
                prop_assert_eq!(print.dims(), dims);
                prop_assert!(Fingerprint::from_codes(space(), print.codes().to_vec()).is_ok());
            }
        }
    }
}
