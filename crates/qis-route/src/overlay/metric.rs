//! How similar two fingerprints are, for many of them at a time.

/// One over the length of a vector of codes.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Scale(f32);

// Never NaN: see `scale`.
impl Eq for Scale {}

impl Scale {
    pub(super) const fn to_le_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// Of bytes that came from [`to_le_bytes`](Self::to_le_bytes).
    pub(super) const fn from_le_bytes(bytes: [u8; 4]) -> Self {
        Self(f32::from_le_bytes(bytes))
    }
}

/// A fingerprint, borrowed: codes in two's complement, and their scale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Direction<'a> {
    pub(super) codes: &'a [u8],
    pub(super) scale: Scale,
}

/// The scale of codes that have a direction: at least one is not zero, and none is -128.
pub(super) fn scale(codes: &[u8]) -> Option<Scale> {
    let square = dot(codes, codes);
    if square == 0 || codes.contains(&0x80) {
        return None;
    }
    // At most 1024 * 127^2, which an f32 has exactly.
    #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
    let square = square as f32;
    Some(Scale(1.0 / square.sqrt()))
}

impl Direction<'_> {
    /// The cosine, to the precision of an f32. Both are of one space and have as many dimensions.
    pub(super) fn cosine(self, other: Direction<'_>) -> f32 {
        self.cosine_of(dot(self.codes, other.codes), other.scale)
    }

    /// The same with codes that are packed.
    pub(super) fn cosine_of_packed(self, packed: &[u8], scale: Scale) -> f32 {
        self.cosine_of(dot_packed(packed, self.codes), scale)
    }

    fn cosine_of(self, dot: i32, scale: Scale) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
        let dot = dot as f32;
        dot * self.scale.0 * scale.0
    }
}

/// Six bits leave a code in steps of four: too coarse for codes that use little of their range.
const LEAST_LARGEST: u8 = 64;

/// How many codes share the bytes of one place.
const LANES: usize = 4;

pub(super) fn is_packable(codes: &[u8]) -> bool {
    codes.len().is_multiple_of(LANES)
        && codes.iter().any(|code| code.cast_signed().unsigned_abs() >= LEAST_LARGEST)
}

pub(super) const fn packed_len(dims: usize) -> usize {
    dims / LANES * 3
}

/// Codes in six bits each, where that is precise enough: the upper four bits of each, two codes a byte, then the lower two, four codes a
/// byte. Codes that share bytes are a quarter of the dimensions apart, so that they are unpacked in vectors.
pub(super) fn pack(codes: &[u8]) -> Option<Vec<u8>> {
    if !is_packable(codes) {
        return None;
    }
    let quarter = codes.len() / LANES;
    // Rounded to the nearest step, as 0 to 63.
    let six = |at: usize| {
        let code = codes.get(at).map_or(0, |code| i16::from(code.cast_signed()));
        u8::try_from(((code + 2) >> 2).clamp(-31, 31) + 32).unwrap_or_default()
    };
    let upper = |a: usize, b: usize| six(a) >> 2 | (six(b) >> 2) << 4;
    let first = (0..quarter).map(|at| upper(at, at + quarter));
    let second = (2 * quarter..3 * quarter).map(|at| upper(at, at + quarter));
    let lower = (0..quarter)
        .map(|at| (0..LANES).fold(0, |byte, lane| byte | (six(at + lane * quarter) & 3) << (2 * lane)));
    Some(first.chain(second).chain(lower).collect())
}

/// A code of its upper four bits and the two below, the lowest of each byte; in two's complement.
#[inline]
const fn code(upper: u8, lower: u8) -> u8 {
    ((upper & 15) << 4 | (lower & 3) << 2).wrapping_sub(128)
}

/// Of two codes in two's complement.
#[inline]
fn product(a: u8, b: u8) -> i32 {
    i32::from(a.cast_signed()) * i32::from(b.cast_signed())
}

pub(super) fn unpack(packed: &[u8], dims: usize) -> Vec<u8> {
    let mut codes = vec![0; dims];
    unpack_into(packed, &mut codes);
    codes
}

/// The codes, in two's complement.
fn unpack_into(packed: &[u8], codes: &mut [u8]) {
    let quarter = codes.len() / LANES;
    let (Some((first, rest)), Some((low, high))) =
        (packed.split_at_checked(quarter), codes.split_at_mut_checked(2 * quarter))
    else {
        return;
    };
    let Some((second, lower)) = rest.split_at_checked(quarter) else { return };
    for (half, upper, shift) in [(low, first, 0), (high, second, 4)] {
        let Some((a, b)) = half.split_at_mut_checked(quarter) else { return };
        for (((a, b), upper), lower) in a.iter_mut().zip(b).zip(upper).zip(lower) {
            *a = code(*upper, lower >> shift);
            *b = code(upper >> 4, lower >> (shift + 2));
        }
    }
}

/// The dot product with codes that are packed, as if they were unpacked first.
pub(super) fn dot_packed(packed: &[u8], codes: &[u8]) -> i32 {
    let quarter = codes.len() / LANES;
    let (Some((first, rest)), Some((low, high))) =
        (packed.split_at_checked(quarter), codes.split_at_checked(2 * quarter))
    else {
        return 0;
    };
    let Some((second, lower)) = rest.split_at_checked(quarter) else { return 0 };
    let mut sum = 0;
    for (half, upper, shift) in [(low, first, 0), (high, second, 4)] {
        let Some((a, b)) = half.split_at_checked(quarter) else { return 0 };
        for (((a, b), upper), lower) in a.iter().zip(b).zip(upper).zip(lower) {
            sum += product(code(*upper, lower >> shift), *a)
                + product(code(upper >> 4, lower >> (shift + 2)), *b);
        }
    }
    sum
}

/// Exact: 1024 * 127^2 fits an i32. Lanes of 16 that the compiler makes vectors of.
fn dot(a: &[u8], b: &[u8]) -> i32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let mut sum = 0;
    for (a, b) in a.iter().zip(b) {
        let products = a.iter().zip(b).map(|(a, b)| product(*a, *b));
        sum += products.sum::<i32>();
    }
    let rest = a_rest.iter().zip(b_rest);
    sum + rest.map(|(a, b)| product(*a, *b)).sum::<i32>()
}

/// A cosine as it travels: in parts of 32,767.
pub(super) fn to_wire(cosine: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "a float becomes the nearest integer of the type")]
    let score = (cosine * f32::from(i16::MAX)).round() as i16;
    score
}

pub(super) fn from_wire(score: i16) -> f32 {
    f32::from(score) / f32::from(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use qis_fingerprint::{Fingerprint, SpaceId};

    #[test]
    fn what_has_no_direction_has_no_scale() {
        assert_eq!(scale(&[]), None);
        assert_eq!(scale(&[0, 0]), None);
        assert_eq!(scale(&[1, 0x80]), None);
        assert!(scale(&[0x81; 1024]).is_some());
    }

    proptest! {
        #[test]
        fn packed_codes_are_the_nearest_steps(quarters in 1..100_usize, seed in proptest::collection::vec(-127_i8..=127, 400)) {
            let mut codes: Vec<u8> = seed.iter().map(|code| code.cast_unsigned()).take(4 * quarters).collect();
            codes[0] = 100;
            let packed = pack(&codes).unwrap();
            prop_assert_eq!(packed.len(), packed_len(codes.len()));
            prop_assert_eq!(dot_packed(&packed, &codes), dot(&unpack(&packed, codes.len()), &codes));
            for (code, back) in codes.iter().zip(unpack(&packed, codes.len())) {
                let (code, back) = (i16::from(code.cast_signed()), i16::from(back.cast_signed()));
                prop_assert!((code - back).abs() <= if code.abs() > 124 { 3 } else { 2 }, "{code} {back}");
            }
        }

        #[test]
        fn it_is_the_cosine_of_fingerprints(pairs in proptest::collection::vec((-127_i8..=127, -127_i8..=127), 1..200)) {
            let (a, b): (Vec<i8>, Vec<i8>) = pairs.into_iter().unzip();
            let bytes = |codes: &[i8]| codes.iter().map(|code| code.cast_unsigned()).collect::<Vec<u8>>();
            let (x, y) = (bytes(&a), bytes(&b));
            let space = SpaceId::new("t", 1);
            let exact = (Fingerprint::from_codes(space, a), Fingerprint::from_codes(space, b));
            prop_assume!(exact.0.is_ok() && exact.1.is_ok());
            let exact = exact.0.unwrap().cosine(&exact.1.unwrap()).unwrap();
            let (x, y) = (Direction { codes: &x, scale: scale(&x).unwrap() }, Direction { codes: &y, scale: scale(&y).unwrap() });
            prop_assert!((x.cosine(y) - exact).abs() < 1e-6);
            prop_assert!((from_wire(to_wire(exact)) - exact).abs() < 2e-5);
        }
    }
}
