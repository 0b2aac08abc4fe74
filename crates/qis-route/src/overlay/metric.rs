//! How similar two fingerprints are, for many of them at a time.

/// One over the length of a vector of codes.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Scale(f32);

// Never NaN: see `scale`.
impl Eq for Scale {}

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
        #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
        let dot = dot(self.codes, other.codes) as f32;
        dot * self.scale.0 * other.scale.0
    }
}

/// Exact: 1024 * 127^2 fits an i32. Lanes of 16 that the compiler makes vectors of.
fn dot(a: &[u8], b: &[u8]) -> i32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let mut sum = 0;
    for (a, b) in a.iter().zip(b) {
        let products = a.iter().zip(b).map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed()));
        sum += products.sum::<i32>();
    }
    let rest = a_rest.iter().zip(b_rest);
    sum + rest.map(|(a, b)| i32::from(a.cast_signed()) * i32::from(b.cast_signed())).sum::<i32>()
}

/// A cosine as it travels: in 32,767ths.
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
