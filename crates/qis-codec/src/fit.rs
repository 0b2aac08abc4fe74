//! The encoder's choices: shape and scale of the model, and the finest step that fits the bytes.
//!
//! Encoders may choose otherwise, decoders may not. A step finer by a bfloat16 code costs about `dims / 128` bits, so a few
//! trials of the whole search suffice: the first at the step that theory gives for the rate, the next where the slope of one bit a
//! coordinate an octave leads.
//!
//! Taking the finest step that fits would bias the result: errors that shorten the vector save bits, so a step whose dither happens to
//! shorten it fits where another does not. The mean of 10,000 equal vectors shows it. So a step is only taken if, to
//! first order, the opposite error would fit as well; then what is selected is even in the error and its mean stays zero.
//! At low rates that would often cost a dozen bits. So a second search follows there, with targets moved against the first one's lengthening or
//! shortening: a path just as close with hardly any of it, which takes as many bits as its opposite.

use alloc::vec;
use alloc::vec::Vec;

use crate::dither;
use crate::model::{self, COST_UNIT, Conditional, LAST_SCALE, SHAPES, Scale};
use crate::stream::{self, Header, escape_bits, split_level};
use crate::trellis::{Search, unpack_level};

/// Largest bfloat16 that is finite.
const LAST_STEP: u16 = 0x7f7f;

/// Codes of bfloat16 an octave.
const STEPS_PER_OCTAVE: f64 = 128.0;

/// The largest coordinate is at most this many steps, half of what the decoder accepts.
pub(crate) const MAX_STEPS: f64 = 524_288.0;

/// The coarsest step, in largest coordinates: none of 4,096 coordinates is likely to round to anything but zero then.
const COARSEST: f64 = 16_384.0;

/// Trials of a step before the best one so far is taken.
const TRIALS: u32 = 8;

/// Bits of lengthening or shortening from which on they are taken out of the errors.
const WORTH_CORRECTING: f64 = 1.0;

/// Trials before a vector that fitted at no step is given up.
const MAX_TRIALS: u32 = 40;

/// Writes finite values, not all zero, into at most `budget` bytes; `None` if that is not possible.
pub(crate) fn encode(values: &[f32], budget: usize, seed: u64) -> Option<Vec<u8>> {
    let mut dither = vec![0; values.len()];
    dither::fill(seed, &mut dither);
    let zeros = values.iter().filter(|&&value| value == 0.0).count();
    let plain = Fit::new(values, &dither, budget, 0).and_then(Fit::run);
    // Telling zeros apart costs something; below some 2 % of them it never pays.
    let masked = if zeros * 64 > values.len() {
        Fit::new(values, &dither, budget, zeros).and_then(Fit::run)
    } else {
        None
    };
    match (plain, masked) {
        (Some(plain), Some(masked)) if masked.error < plain.error => Some(masked.bytes),
        (plain, masked) => plain.or(masked).map(|written| written.bytes),
    }
}

struct Written {
    bytes: Vec<u8>,
    /// Squared error to expect, in no particular unit.
    error: f64,
}

/// The search for a step, and what it works on.
struct Fit {
    budget: usize,
    zeros: u32,
    is_zero: Vec<bool>,
    values: Vec<f64>,
    dither: Vec<i32>,
    /// Bits of the zeros.
    zero_bits: f64,
    /// Root mean square of the values.
    deviation: f64,
    finest: u16,
    coarsest: u16,
    /// Binary logarithm of the model's standard deviation.
    spread: f64,
    shape: usize,
    search: Search,
    levels: Vec<i32>,
    /// Of the last `lengthening`, for each coordinate, the derivative of the model's logarithm.
    slopes: Vec<f64>,
}

struct Trial {
    step: u16,
    scale: u32,
    bits: f64,
    /// About the bits that errors of opposite sign would take.
    opposite_bits: f64,
    levels: Vec<i32>,
}

impl Fit {
    fn new(values: &[f32], dither: &[i32], budget: usize, zeros: usize) -> Option<Self> {
        let is_zero: Vec<bool> = values.iter().map(|&value| zeros > 0 && value == 0.0).collect();
        let coded = || is_zero.iter().zip(values).zip(dither).filter(|((zero, _), _)| !**zero);
        let dither: Vec<i32> = coded().map(|(_, &z)| z).collect();
        let values: Vec<f64> = coded().map(|((_, &value), _)| f64::from(value)).collect();
        let share = if zeros == 0 { 0 } else { (zeros * 128 + is_zero.len() / 2) / is_zero.len() };
        let share = if zeros == 0 { 0 } else { u32::try_from(share).ok()?.clamp(1, 127) };
        let header = Header { scale: 0, shape: 0, zeros: share };
        let [zero, other] = header.zero_slots();
        let zero_bits = if zeros == 0 {
            0.0
        } else {
            bits(model::cost(zero.frequency)) * zeros as f64
                + bits(model::cost(other.frequency)) * values.len() as f64
        };
        let peak = values.iter().fold(0.0_f64, |peak, value| peak.max(value.abs()));
        let power = values.iter().map(|value| value * value).sum::<f64>() / values.len() as f64;
        Some(Self {
            budget,
            zeros: share,
            is_zero,
            dither,
            zero_bits,
            deviation: libm::sqrt(power),
            finest: step_code(peak / MAX_STEPS),
            coarsest: step_code(peak * COARSEST),
            values,
            spread: 0.0,
            shape: 0,
            search: Search::default(),
            levels: Vec::new(),
            slopes: Vec::new(),
        })
    }

    /// Bits for the levels, when the coder begins with a step.
    fn limit(&self, step: u16, scale: u32) -> f64 {
        // The last tenth is for the coder's own inefficiency.
        let header = Header { scale, shape: self.shape, zeros: self.zeros };
        let header = header.bits(self.is_zero.len(), self.budget);
        8.0 * self.budget as f64 - libm::log2(f64::from(step)) - header - self.zero_bits - 0.1
    }

    fn run(mut self) -> Option<Written> {
        let searched = self.settle(false);
        let rate = self.limit(1, 24) / self.values.len() as f64;
        if rate > 0.6 && searched.is_some() {
            return searched;
        }
        let nearest = self.settle(true);
        match (searched, nearest) {
            (Some(searched), Some(nearest)) if nearest.error < searched.error => Some(nearest),
            (searched, nearest) => searched.or(nearest),
        }
    }

    fn settle(&mut self, nearest: bool) -> Option<Written> {
        let dims = self.values.len() as f64;
        let nominal = self.deviation * 4.1 * libm::exp2(-self.limit(1, 24) / dims);
        let mut step = step_code(nominal.min(self.deviation * 3.0)).clamp(self.finest, self.coarsest);
        // Steps up to `fails` do not fit, `best` does. `one_sided` would but for the opposite error.
        let (mut fails, mut best): (u16, Option<Trial>) = (self.finest - 1, None);
        let mut one_sided: Option<Trial> = None;
        for trial in 0..MAX_TRIALS {
            let tried = self.attempt(step, nearest, trial == 0 || best.is_none() && trial >= TRIALS);
            let limit = self.limit(step, tried.scale);
            let excess = tried.bits.max(tried.opposite_bits) - limit;
            if excess <= 0.0 {
                best = Some(tried);
            } else {
                fails = step;
                if tried.bits <= limit && one_sided.is_none() {
                    one_sided = Some(tried);
                }
            }
            let upper = best.as_ref().map_or(self.coarsest + 1, |best| best.step);
            if upper - fails <= 1 || best.is_some() && trial >= TRIALS {
                break;
            }
            let guess = f64::from(step) + libm::ceil(excess / dims * STEPS_PER_OCTAVE);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "casts saturate")]
            let guess = guess as u16;
            step = if (fails + 1..upper).contains(&guess) && trial < TRIALS {
                guess
            } else if best.is_none() {
                // Each trial that brings nothing goes twice as far as the one before.
                step.saturating_add(1 << (trial / 2).min(12)).clamp(fails + 1, upper - 1)
            } else {
                fails + (upper - fails) / 2
            };
        }
        // Where a few values are everything, opposite errors may fit at no step: rather a little bias than no encoding.
        self.finish(best.or(one_sided)?, nearest)
    }

    /// Writes a trial, or the next coarser one that fits.
    fn finish(&mut self, mut trial: Trial, nearest: bool) -> Option<Written> {
        loop {
            let header = Header { scale: trial.scale, shape: self.shape, zeros: self.zeros };
            let scale = Scale::new(trial.scale)?;
            if let Some(bytes) =
                stream::write(header, scale, trial.step, &self.is_zero, &trial.levels, self.budget)
            {
                let step = step_of(trial.step);
                let gain = if nearest { 1.0 } else { 0.8 };
                return Some(Written { bytes, error: step * step * gain * self.values.len() as f64 });
            }
            if trial.step >= self.coarsest {
                return None;
            }
            trial = self.attempt(trial.step + 1, nearest, false);
        }
    }

    /// Quantises at a step and finds the cheapest scale; the first time, and when that led nowhere, also the shape.
    fn attempt(&mut self, step: u16, nearest: bool, first: bool) -> Trial {
        let width = step_of(step);
        self.search.quantise(&self.values, &self.dither, width, nearest, &mut self.levels);
        if first {
            self.choose_shape(width);
        }
        let logarithm = libm::log2(width);
        let (mut bits, mut scale) = self.cheapest(self.spread - logarithm);
        let mut lengthening = self.lengthening(width, scale);
        if lengthening.abs() > WORTH_CORRECTING
            && bits - lengthening < self.limit(step, scale) + self.values.len() as f64 / 32.0
        {
            self.search.correct(&self.dither, nearest, &self.slopes, &mut self.levels);
            (bits, scale) = self.cheapest(self.spread - logarithm);
            lengthening = self.lengthening(width, scale);
        }
        Trial { step, scale, bits, opposite_bits: bits - 2.0 * lengthening, levels: self.levels.clone() }
    }

    fn choose_shape(&mut self, width: f64) {
        let logarithm = libm::log2(width);
        let middle = scale_of(libm::log2(self.deviation) - logarithm);
        let choices = (0..SHAPES).flat_map(|shape| [-4_i32, -2, 0].map(|offset| (shape, offset)));
        let best = choices
            .map(|(shape, offset)| (shape, middle.saturating_add_signed(offset)))
            .min_by_key(|&(shape, scale)| self.cost(shape, scale));
        let (shape, scale) = best.unwrap_or_default();
        self.shape = shape;
        self.spread = (f64::from(scale) - 24.0) / 4.0 + logarithm;
    }

    /// The least bits of the levels, with scales about a binary logarithm, and the scale.
    fn cheapest(&self, logarithm: f64) -> (f64, u32) {
        let middle = scale_of(logarithm);
        let scales = middle.saturating_sub(1)..=(middle + 1).min(LAST_SCALE);
        let cheapest = scales.map(|scale| (self.cost(self.shape, scale), scale)).min();
        let (cost, scale) = cheapest.unwrap_or_default();
        (cost as f64 / f64::from(COST_UNIT), scale)
    }

    /// To first order, the bits that the model takes for the decoded values beyond those for the exact ones: positive when the
    /// errors lengthen the vector.
    fn lengthening(&mut self, step: f64, scale: u32) -> f64 {
        // A symbol's probability is the density's mean over a step, about that of a density wider by a step's variance.
        let deviation = libm::sqrt(libm::exp2((f64::from(scale) - 24.0) / 2.0) + 1.0 / 12.0) * step;
        // The mean over a step also rounds the cusp of the density off.
        let cusp = step / (2.0 * deviation);
        // The derivatives of |x/a|^b at variance 1.
        let slope: fn(f64, f64) -> f64 = match self.shape {
            0 => |x, _| x,
            1 => |x, cusp| core::f64::consts::SQRT_2 * x / x.abs().max(cusp),
            _ => |x, cusp| 1.655 * x / (x.abs().max(cusp) * libm::sqrt(x.abs().max(cusp))),
        };
        self.slopes.clear();
        self.slopes.extend(self.values.iter().map(|value| slope(value / deviation, cusp)));
        let products = self.slopes.iter().zip(&self.search.errors);
        let sum: f64 = products.map(|(slope, error)| slope * error).sum();
        sum * step / (2.0 * deviation) * core::f64::consts::LOG2_E
    }

    /// The cost of the levels, in parts of a bit.
    fn cost(&self, shape: usize, scale: u32) -> u64 {
        let Some(scale) = Scale::new(scale) else { return u64::MAX };
        let half_width = scale.half_width();
        let escape = model::slots(shape, scale.table, None, 0).frequency;
        let escaped = |symbol: i32| {
            let beyond = symbol.unsigned_abs() - half_width.cast_unsigned();
            model::cost(escape) + escape_bits(beyond) * COST_UNIT
        };
        let levels = self.levels.iter().map(|&packed| unpack_level(packed));
        let costs: u64 = if let Some(table) = Conditional::new(shape, scale.table) {
            let cost = |(level, bin): (i32, i32)| {
                if level.abs() <= half_width {
                    model::cost(table.slots(level, bin).frequency)
                } else {
                    escaped(level)
                }
            };
            levels.map(|level| u64::from(cost(level))).sum()
        } else if let Some(edges) = model::edges_of_single(shape, scale.table) {
            let mut of_symbol = [0; 63];
            for (cost, edges) in of_symbol.iter_mut().zip(edges.windows(2)) {
                if let [start, end] = edges {
                    *cost = model::cost(u32::from(end - start));
                }
            }
            let cost = |(level, _): (i32, i32)| {
                let (symbol, _) = split_level(level, scale.low_bits);
                let at = usize::try_from(symbol + 31).unwrap_or(usize::MAX);
                match of_symbol.get(at) {
                    Some(&cost) if symbol.abs() <= half_width => cost,
                    _ => escaped(symbol),
                }
            };
            levels.map(|level| u64::from(cost(level))).sum()
        } else {
            return u64::MAX;
        };
        costs + u64::from(scale.low_bits * COST_UNIT) * self.levels.len() as u64
    }
}

fn bits(cost: u32) -> f64 {
    f64::from(cost) / f64::from(COST_UNIT)
}

/// The scale nearest to a binary logarithm of the standard deviation in steps.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=LAST_SCALE")]
fn scale_of(logarithm: f64) -> u32 {
    libm::round(24.0 + 4.0 * logarithm).clamp(0.0, f64::from(LAST_SCALE)) as u32
}

/// The bfloat16 of a step.
fn step_of(code: u16) -> f64 {
    f64::from(f32::from_bits(u32::from(code) << 16))
}

/// The least bfloat16 that is not below a positive number, as far as there is one.
fn step_code(step: f64) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest is meant")]
    let bits = (step as f32).to_bits();
    u16::try_from((bits + 0xffff) >> 16).unwrap_or(LAST_STEP).clamp(1, LAST_STEP)
}
