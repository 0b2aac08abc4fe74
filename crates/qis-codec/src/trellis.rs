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

/// Successors, a byte a state, eight times each so that one shift finds the next. Which table of four is chosen by the index's lowest bit were the
/// state even, and twice that were it odd: both are known before the state is, so that states wait for nothing but each other.
const MOVES: [u64; 4] = {
    let mut tables = [0; 4];
    let (mut choice, mut rest) = (0, tables.as_mut_slice());
    while let [table, others @ ..] = rest {
        let (mut state, mut successors) = (0, SUCCESSORS.as_slice());
        while let [[even, odd], more @ ..] = successors {
            let parity = if state % 2 == 0 { choice & 1 } else { choice >> 1 };
            *table |= (8 * if parity == 0 { *even } else { *odd } as u64) << (8 * state);
            (state, successors) = (state + 1, more);
        }
        (choice, rest) = (choice + 1, others);
    }
    tables
};

/// Where the decoder is on the path. It begins in state 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Path {
    /// Eight times the state, with anything above its six bits.
    state: u64,
}

impl Path {
    /// The bin of the dither (0 to 7) in which the next level is coded, given the coordinate's dither.
    #[inline]
    pub(crate) const fn bin(self, dither: i32) -> i32 {
        let centre = dither - dither::HALF * self.parity();
        (centre - (self.offset(dither) << dither::BITS) + dither::HALF) >> (dither::BITS - 3)
    }

    /// What the next index is above its level, given the coordinate's dither.
    #[inline]
    pub(crate) const fn offset(self, dither: i32) -> i32 {
        let [even, odd] = offsets(dither);
        if self.parity() == 0 { even } else { odd }
    }

    /// Goes on with the level of a coordinate and returns what it decodes to: its multiple of half a step, less the dither.
    #[inline]
    pub(crate) fn advance(&mut self, level: i32, dither: i32) -> i32 {
        let [even, odd] = offsets(dither);
        let choice = (level + even) & 1 | ((level + odd) & 1) << 1;
        #[expect(clippy::indexing_slicing, reason = "one of four")]
        let moves = MOVES[(choice & 3) as usize];
        let [even, odd] = [
            2 * dither::HALF * (level + even) - dither,
            2 * dither::HALF * (level + odd) + dither::HALF - dither,
        ];
        let value = if self.state & 8 == 0 { even } else { odd };
        self.state = moves.wrapping_shr(self.state as u32);
        value
    }

    const fn parity(self) -> i32 {
        (self.state >> 3) as i32 & 1
    }
}

/// What the index is above the level, in an even state and in an odd one.
#[inline]
const fn offsets(dither: i32) -> [i32; 2] {
    [(dither + dither::HALF) >> dither::BITS, dither >> dither::BITS]
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
        self.search(dither, nearest, levels);
    }

    /// Quantises again, so that the errors have hardly any component in a direction: the targets go against it by as much
    /// as the errors went along it.
    pub(crate) fn correct(
        &mut self,
        dither: &[i32],
        nearest: bool,
        direction: &[f64],
        levels: &mut Vec<i32>,
    ) {
        let along: f64 = direction.iter().zip(&self.errors).map(|(d, error)| d * error).sum();
        let square: f64 = direction.iter().map(|d| d * d).sum();
        let part = along / square;
        let shift = |targets: &mut [f64], part: f64| {
            for (target, d) in targets.iter_mut().zip(direction) {
                *target -= part * d;
            }
        };
        shift(&mut self.targets, part);
        self.search(dither, nearest, levels);
        shift(&mut self.errors, part);
        shift(&mut self.targets, -part);
    }

    fn search(&mut self, dither: &[i32], nearest: bool, levels: &mut Vec<i32>) {
        levels.clear();
        self.errors.clear();
        if nearest {
            let mut path = Path::default();
            levels.extend(self.targets.iter().zip(dither).map(|(&target, &z)| {
                let (bin, offset) = (path.bin(z), path.offset(z));
                let index = whole((target - f64::from(path.parity())) / 2.0);
                self.errors.push(f64::from(2 * index + path.parity()) - target);
                path.advance(index - offset, z);
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
            let path = Path { state: 8 * before as u64 };
            let odd = i32::from(usize::from(SUCCESSORS[before][1]) == state);
            let coset = 2 * odd + path.parity();
            let point = 4 * whole((target - f64::from(coset)) / 4.0) + coset;
            self.errors.push(f64::from(point) - target);
            state = before;
            pack_level((point >> 1) - path.offset(z), path.bin(z))
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
            assert_eq!(bin, path.bin(z));
            (f64::from(path.advance(level, z)) / f64::from(dither::HALF) - value).powi(2)
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
    fn moves_are_those_of_the_table() {
        for (state, successors) in SUCCESSORS.iter().enumerate() {
            for (level, dither) in (-2..2).flat_map(|level| [-511, -257, -1, 1, 255, 511].map(|z| (level, z)))
            {
                let mut path = Path { state: 8 * state as u64 };
                let index = level + path.offset(dither);
                let point = 2 * index + i32::from(state % 2 == 1);
                assert_eq!(path.advance(level, dither), point * dither::HALF - dither);
                assert_eq!(path.state & 63, 8 * u64::from(successors[usize::from(index & 1 == 1)]));
            }
        }
    }
}
