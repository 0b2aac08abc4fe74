//! Trellis-coded quantisation: a scalar quantiser that remembers.
//!
//! The quantiser's points are the multiples of half a step, cut into four cosets modulo 4. In each of eight states only two of them, one
//! parity, may be used, so that a choice costs as much as with points a whole step apart; which of the two is used leads to
//! the next state. The encoder looks for the path of least squared error with the Viterbi algorithm
//! (Marcellin and Fischer 1990, with the trellis of Ungerboeck 1982), and comes about 1 dB closer than rounding does. The decoder merely follows the path.

use alloc::vec::Vec;

use crate::dither;

const STATES: usize = 8;

/// The successor of each state by the parity of the coordinate's index.
const SUCCESSORS: [[u8; 2]; STATES] = [[0, 1], [2, 3], [5, 4], [7, 6], [1, 0], [3, 2], [4, 5], [6, 7]];

/// The same table, four bits an entry.
const PACKED: u64 = {
    let (mut packed, mut rest) = (0, SUCCESSORS.as_slice());
    while let [before @ .., [even, odd]] = rest {
        packed = packed << 8 | (*odd as u64) << 4 | *even as u64;
        rest = before;
    }
    packed
};

/// Where the decoder is on the path. It begins in state 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Path {
    state: u32,
}

impl Path {
    /// The bin of the dither (0 to 7) in which the next level is coded, given the coordinate's dither, and the offset of the level.
    #[inline]
    pub(crate) const fn bin(self, dither: i32) -> (i32, i32) {
        let centre = dither - dither::HALF * self.parity();
        let offset = (centre + dither::HALF) >> dither::BITS;
        ((centre - (offset << dither::BITS) + dither::HALF) >> (dither::BITS - 3), offset)
    }

    /// Goes on with the index of a coordinate (its level plus the offset) and returns its multiple of half a step.
    #[inline]
    pub(crate) const fn advance(&mut self, index: i32) -> i32 {
        let point = 2 * index + self.parity();
        let entry = 2 * self.state + (index & 1).cast_unsigned();
        self.state = (PACKED >> (4 * entry)) as u32 & 7;
        point
    }

    const fn parity(self) -> i32 {
        (self.state & 1).cast_signed()
    }
}

/// The encoder's search, with its memory.
#[derive(Debug, Default)]
pub(crate) struct Search {
    /// Values plus dither, in half-steps.
    targets: Vec<f64>,
    /// For each coordinate and state, whether the best path came from the upper one of the two states before it.
    from_upper: Vec<[bool; STATES]>,
    /// Of the last search, each point less its target, in half-steps.
    pub(crate) errors: Vec<f64>,
}

/// Levels in one number: eight times the level less the bin.
pub(crate) const fn pack_level(level: i32, bin: i32) -> i32 {
    8 * level - bin
}

/// The level and the bin.
#[inline]
pub(crate) const fn unpack_level(packed: i32) -> (i32, i32) {
    let level = (packed + 7) >> 3;
    (level, 8 * level - packed)
}

impl Search {
    /// Replaces `levels` by the packed levels of `values` at a step.
    ///
    /// With `nearest` each point is the nearest one its state allows, without looking ahead: more error and fewer bits, which
    /// pays below about half a bit a coordinate.
    pub(crate) fn quantise(
        &mut self,
        values: &[f64],
        dither: &[i32],
        step: f64,
        nearest: bool,
        levels: &mut Vec<i32>,
    ) {
        let (scale, unit) = (2.0 / step, 1.0 / f64::from(dither::HALF));
        self.targets.clear();
        self.targets.extend(values.iter().zip(dither).map(|(&x, &z)| x * scale + f64::from(z) * unit));
        levels.clear();
        self.errors.clear();
        if nearest {
            let mut path = Path::default();
            levels.extend(self.targets.iter().zip(dither).map(|(&target, &z)| {
                let (bin, offset) = path.bin(z);
                let index = whole((target - f64::from(path.parity())) / 2.0);
                self.errors.push(f64::from(path.advance(index)) - target);
                pack_level(index - offset, bin)
            }));
        } else {
            let last = self.forward();
            self.backward(last, dither, levels);
        }
    }

    /// Accumulates the least squared error of reaching each state, and returns the best last one.
    #[expect(clippy::indexing_slicing, reason = "constant indices into arrays of eight")]
    fn forward(&mut self) -> usize {
        // Large enough to lose against any path from state 0, and no infinity, so that sums stay ordered.
        let mut errors = [1e9_f32; STATES];
        errors[0] = 0.0;
        self.from_upper.clear();
        self.from_upper.extend(self.targets.iter().map(|&target| {
            #[expect(clippy::cast_possible_truncation, reason = "a number in -2..=2")]
            let residue = (target - 4.0 * round(target / 4.0)) as f32;
            // Distances to the cosets 0 to 3 on a circle of circumference 4.
            let to_0 = residue.abs();
            let to_1 = (residue - 1.0).abs().min(3.0 + residue);
            let [e0, e1, e2, e3] = [to_0, to_1, 2.0 - to_0, 2.0 - to_1].map(|distance| distance * distance);
            let e = errors;
            // Into state t lead, by SUCCESSORS, t / 2 and t / 2 + 4, each over one coset of its parity.
            let lower =
                [e[0] + e0, e[0] + e2, e[1] + e1, e[1] + e3, e[2] + e2, e[2] + e0, e[3] + e3, e[3] + e1];
            let upper =
                [e[4] + e2, e[4] + e0, e[5] + e3, e[5] + e1, e[6] + e0, e[6] + e2, e[7] + e1, e[7] + e3];
            let mut from_upper = [false; STATES];
            for t in 0..STATES {
                from_upper[t] = upper[t] < lower[t];
                errors[t] = if upper[t] < lower[t] { upper[t] } else { lower[t] };
            }
            from_upper
        }));
        (0..STATES).min_by(|&a, &b| errors[a].total_cmp(&errors[b])).unwrap_or_default()
    }

    /// Follows the best path back from its last state.
    #[expect(clippy::indexing_slicing, reason = "states are below 8")]
    fn backward(&mut self, last: usize, dither: &[i32], levels: &mut Vec<i32>) {
        let mut state = last;
        let steps = self.targets.iter().zip(&self.from_upper).zip(dither);
        levels.extend(steps.rev().map(|((&target, from_upper), &z)| {
            let before = state / 2 + if from_upper[state] { 4 } else { 0 };
            let path = Path { state: u32::try_from(before).unwrap_or_default() };
            let odd = i32::from(usize::from(SUCCESSORS[before][1]) == state);
            let coset = 2 * odd + path.parity();
            let point = 4 * whole((target - f64::from(coset)) / 4.0) + coset;
            let (bin, offset) = path.bin(z);
            self.errors.push(f64::from(point) - target);
            state = before;
            pack_level((point >> 1) - offset, bin)
        }));
        levels.reverse();
        self.errors.reverse();
    }
}

/// The nearest integer of a number below `2^51` in size: adding `1.5 * 2^52` leaves no bits behind the point.
#[inline]
fn round(x: f64) -> f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    (x + SHIFT) - SHIFT
}

#[inline]
#[expect(clippy::cast_possible_truncation, reason = "the encoder keeps its levels below 2^20")]
fn whole(x: f64) -> i32 {
    round(x) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    /// Points of a path, in half-steps, and the mean squared distance to the targets.
    fn error(values: &[f64], seed: u64, nearest: bool) -> f64 {
        let mut dither = vec![0; values.len()];
        dither::fill(seed, &mut dither);
        let (mut search, mut levels) = (Search::default(), Vec::new());
        search.quantise(values, &dither, 2.0, nearest, &mut levels);
        let mut path = Path::default();
        let errors = levels.iter().zip(&dither).zip(values).map(|((&packed, &z), &value)| {
            let (level, bin) = unpack_level(packed);
            let (expected_bin, offset) = path.bin(z);
            assert_eq!(bin, expected_bin);
            let point = f64::from(path.advance(level + offset));
            (point - f64::from(z) / f64::from(dither::HALF) - value).powi(2)
        });
        errors.sum::<f64>() / values.len() as f64
    }

    #[test]
    fn search_gains_one_decibel_over_rounding() {
        let values: Vec<f64> = (0..4096).map(|i| f64::from(i * i % 1009) / 7.0).collect();
        let (rounded, searched) = (error(&values, 3, true), error(&values, 3, false));
        assert!((rounded - 1.0 / 3.0).abs() < 0.02, "{rounded}");
        let gain = 10.0 * libm::log10(rounded / searched);
        assert!((0.9..1.2).contains(&gain), "{gain}");
    }

    #[test]
    fn packed_successors_are_those_of_the_table() {
        for (state, successors) in SUCCESSORS.iter().enumerate() {
            for index in -2..2 {
                let mut path = Path { state: u32::try_from(state).unwrap() };
                path.advance(index);
                assert_eq!(path.state, u32::from(successors[usize::from(index & 1 == 1)]));
            }
        }
    }
}
