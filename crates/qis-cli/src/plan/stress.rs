//! Consortia as nobody would wish for: opposite sites, and liars.

use std::fmt;
use std::str::FromStr;

use qis_synth::evidence::Family;

use super::consortium::Member;
use super::study::Study;
use crate::rng::Rng;

/// What a liar sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Lie {
    /// Records whose coefficients are so many times its own.
    Scale(f64),
    /// Records whose coefficients are so many times the mean of the honest sites': inner-product manipulation (Xie et al., 2019). The liar
    /// knows what all others will send.
    Ipm(f64),
}

impl FromStr for Lie {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, strength) = match text.split_once(':') {
            Some((name, strength)) => (name, Some(strength)),
            None => (text, None),
        };
        let strength = |default: f64| match strength.map_or(Ok(default), str::parse) {
            Ok(strength) if strength > 0.0 && strength <= 100.0 => Ok(-strength),
            _ => Err("the strength is above 0 and at most 100".to_owned()),
        };
        match name {
            "scale" => strength(10.0).map(Self::Scale),
            "ipm" => strength(2.0).map(Self::Ipm),
            _ => Err("not `scale` or `ipm`, with `:` and a strength or without".to_owned()),
        }
    }
}

impl fmt::Display for Lie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale(factor) => write!(f, "{factor} times their own coefficients"),
            Self::Ipm(factor) => write!(f, "{factor} times the mean of the honest"),
        }
    }
}

/// Turns the outcomes of a random half of the sites around: what raises them there lowers them here.
pub(super) fn flip_half(members: &mut [Member<'_>], study: &Study, rng: &mut Rng) {
    let mut flips: Vec<bool> = (0..members.len()).map(|at| at % 2 == 1).collect();
    rng.shuffle(&mut flips);
    for (member, flip) in members.iter_mut().zip(flips) {
        if flip {
            member.flipped = true;
            for records in [&mut member.train, &mut member.test] {
                let turn = |value: f64| if study.family() == Family::Logistic { 1.0 - value } else { -value };
                let outcomes = records.outcomes.iter().copied().map(turn).collect();
                records.set_outcomes(&study.schema, outcomes);
            }
        }
    }
}

/// Makes liars of the last `count` members, which are in no order: their records say what the lie wants, with the noise of the true ones.
/// Each keeps its features, and claims to be certain. `thetas` are what all fitted to their true records.
pub(super) fn lie(
    members: &mut [Member<'_>],
    count: usize,
    lie: Lie,
    thetas: &[Vec<f64>],
    study: &Study,
    rng: &mut Rng,
) {
    let honest = members.len().saturating_sub(count);
    let dims = study.dims();
    let mut mean = vec![0.0; dims];
    for theta in thetas.iter().take(honest) {
        for (sum, value) in mean.iter_mut().zip(theta) {
            *sum += value / honest.max(1) as f64;
        }
    }
    for (member, theta) in members.iter_mut().zip(thetas).skip(honest) {
        let claim: Vec<f64> = match lie {
            Lie::Scale(factor) => theta.iter().map(|value| factor * value).collect(),
            Lie::Ipm(factor) => mean.iter().map(|value| factor * value).collect(),
        };
        let score = |row: &[f64], theta: &[f64]| row.iter().zip(theta).map(|(x, t)| x * t).sum::<f64>();
        let outcomes = member.train.iter(dims).map(|(row, outcome)| match study.family() {
            Family::Logistic => {
                f64::from(u8::from(rng.uniform() < 1.0 / (1.0 + libm::exp(-score(row, &claim)))))
            }
            _ => score(row, &claim) + outcome - score(row, theta),
        });
        let outcomes = outcomes.collect();
        member.train.set_outcomes(&study.schema, outcomes);
        member.lies = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lies_have_a_strength() {
        assert_eq!("scale".parse(), Ok(Lie::Scale(-10.0)));
        assert_eq!("ipm".parse(), Ok(Lie::Ipm(-2.0)));
        assert_eq!("ipm:0.5".parse(), Ok(Lie::Ipm(-0.5)));
        for bad in ["", "scales", "ipm:", "ipm:0", "scale:-1", "scale:NaN", "scale:1e9"] {
            assert!(bad.parse::<Lie>().is_err(), "{bad}");
        }
    }
}
