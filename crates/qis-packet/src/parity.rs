//! Parity over parts of one length: a Reed-Solomon code over GF(2^8), of a Cauchy matrix.
//!
//! Parity `i` over the data parts `d_0 .. d_{k-1}` is the sum of `(k ^ j) / (i ^ j) * d_j`, so it depends on `k` and `i` alone, and
//! the first one, of `i = k`, is the exclusive or of all parts. The columns of a Cauchy matrix are only scaled by that, so every
//! square submatrix is invertible: any `k` parts give the others.
//!
//! Products are computed bit by bit: the parts of a frame are few and short, and a table would take more than it saves on a
//! microcontroller.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

/// The field is of polynomials modulo `x^8 + x^4 + x^3 + x^2 + 1`, 0x11d; this is the modulus without its first term.
const REDUCTION: u8 = 0x1d;

const fn multiply(mut a: u8, mut b: u8) -> u8 {
    let mut product = 0;
    while b != 0 {
        if b & 1 == 1 {
            product ^= a;
        }
        let carry = a & 0x80 != 0;
        a <<= 1;
        if carry {
            a ^= REDUCTION;
        }
        b >>= 1;
    }
    product
}

/// `a` to the power of 254, which is its inverse as there are 255 units. Of 0 it is 0.
const fn inverse(a: u8) -> u8 {
    let (mut power, mut result, mut bit) = (a, 1, 1);
    while bit < 8 {
        power = multiply(power, power);
        result = multiply(result, power);
        bit += 1;
    }
    result
}

/// What data part `part < count` is multiplied with in parity `index >= count`.
const fn coefficient(count: u8, index: u8, part: u8) -> u8 {
    multiply(count ^ part, inverse(index ^ part))
}

fn add_scaled(factor: u8, from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to ^= multiply(*from, factor);
    }
}

/// Parity `index` over all data parts, of which there are at most 127 and fewer than `index + 1`.
pub(crate) fn parity<'a>(count: u8, data: impl Iterator<Item = &'a [u8]>, index: u8) -> Vec<u8> {
    let mut sum = Vec::new();
    for (j, part) in (0..count).zip(data) {
        sum.resize(part.len(), 0);
        add_scaled(coefficient(count, index, j), part, &mut sum);
    }
    sum
}

/// The data parts in their order, from any `count` parts of one length by their index; `None` when there are fewer.
pub(crate) fn restore(count: u8, mut parts: BTreeMap<u8, Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let parities = parts.split_off(&count);
    let missing: Vec<u8> = (0..count).filter(|index| !parts.contains_key(index)).collect();
    if parities.len() < missing.len() {
        return None;
    }
    // One equation a row: the coefficients of the missing parts, and what they must add up to.
    let mut rows: Vec<Vec<u8>> = Vec::with_capacity(missing.len());
    for (&index, parity) in parities.iter().take(missing.len()) {
        let mut sum = parity.clone();
        for (&part, bytes) in &parts {
            add_scaled(coefficient(count, index, part), bytes, &mut sum);
        }
        let mut row: Vec<u8> = missing.iter().map(|&part| coefficient(count, index, part)).collect();
        row.append(&mut sum);
        rows.push(row);
    }
    // Gauss and Jordan. Rows that are solved hold one missing part each, in the order of `missing`.
    let mut solved: Vec<Vec<u8>> = Vec::with_capacity(missing.len());
    for column in 0..missing.len() {
        let entry = |row: &[u8]| row.get(column).copied().unwrap_or(0);
        let mut pivot = rows.swap_remove(rows.iter().position(|row| entry(row) != 0)?);
        let mut scaled = vec![0; pivot.len()];
        add_scaled(inverse(entry(&pivot)), &pivot, &mut scaled);
        pivot = scaled;
        for row in rows.iter_mut().chain(&mut solved) {
            add_scaled(entry(row), &pivot, row);
        }
        solved.push(pivot);
    }
    for (&index, row) in missing.iter().zip(&solved) {
        parts.insert(index, row.get(missing.len()..)?.to_vec());
    }
    Some(parts.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(count: u8, len: u8) -> Vec<Vec<u8>> {
        let byte = |i: u8, at: u8| i.wrapping_mul(37) ^ at.wrapping_mul(101).rotate_left(3) ^ 0x5a;
        (0..count).map(|i| (0..len).map(|at| byte(i, at)).collect()).collect()
    }

    fn slices(data: &[Vec<u8>]) -> impl Iterator<Item = &[u8]> {
        data.iter().map(Vec::as_slice)
    }

    #[test]
    fn it_is_the_field_of_0x11d() {
        // Known products of that field, and every unit has its inverse.
        assert_eq!((multiply(3, 4), multiply(7, 7), multiply(23, 45)), (12, 21, 0x29));
        assert_eq!((multiply(0x80, 2), multiply(0x53, 0xca)), (0x1d, 0x8f));
        assert!((1..=255).all(|a| multiply(a, inverse(a)) == 1));
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(multiply(a, b), multiply(b, a));
            }
        }
    }

    #[test]
    fn the_first_parity_is_the_exclusive_or() {
        for count in 2..=20 {
            let data = data(count, 5);
            let xor: Vec<u8> = (0..5).map(|at| data.iter().fold(0, |sum, part| sum ^ part[at])).collect();
            assert_eq!(parity(count, slices(&data), count), xor);
        }
    }

    #[test]
    fn any_count_of_parts_is_enough_and_fewer_are_not() {
        let (count, parities) = (5, 4);
        let data = data(count, 3);
        let all: Vec<Vec<u8>> = data
            .iter()
            .cloned()
            .chain((count..count + parities).map(|index| parity(count, slices(&data), index)))
            .collect();
        for chosen in 0_u32..1 << (count + parities) {
            let parts = (0..count + parities).filter(|index| chosen >> index & 1 == 1);
            let parts: BTreeMap<u8, Vec<u8>> =
                parts.map(|index| (index, all[usize::from(index)].clone())).collect();
            let restored = restore(count, parts);
            let expected = (chosen.count_ones() >= u32::from(count)).then_some(&data);
            assert_eq!(restored.as_ref(), expected, "{chosen:b}");
        }
    }

    #[test]
    fn the_largest_ones_come_back() {
        for (count, parities) in [(127, 1), (64, 64), (109, 18), (2, 126)] {
            let data = data(count, 2);
            // As few data parts as there can be.
            let kept = count.saturating_sub(parities);
            let mut parts: BTreeMap<u8, Vec<u8>> = (0..kept).zip(data.iter().cloned()).collect();
            for index in (count..count + parities).take(usize::from(count - kept)) {
                parts.insert(index, parity(count, slices(&data), index));
            }
            assert_eq!(restore(count, parts), Some(data));
        }
    }
}
