use alloc::boxed::Box;

use super::{AnchoredMean, CenteredClip, Ema, GeometricMedian, Krum, Median, MultiKrum, Robust, TrimmedMean};
use crate::synthesizer::Synthesizer;

/// The names of the rules for plain vectors, as [`by_name`] takes them.
pub const NAMES: [&str; 10] = [
    "ema",
    "anchored-mean",
    "median",
    "trimmed-mean",
    "geometric-median",
    "centered-clip",
    "krum",
    "multi-krum",
    "robust",
    "hostile",
];

/// The rule of a name out of [`NAMES`], with its defaults, for a configuration file or a command line.
///
/// ```
/// use qis_synth::rules;
///
/// assert!(rules::NAMES.iter().all(|name| rules::by_name(name).is_some()));
/// assert!(rules::by_name("mean").is_none());
/// ```
#[must_use]
pub fn by_name(name: &str) -> Option<Box<dyn Synthesizer>> {
    Some(match name {
        "ema" => Box::new(Ema::default()),
        "anchored-mean" => Box::new(AnchoredMean::default()),
        "median" => Box::new(Median::default()),
        "trimmed-mean" => Box::new(TrimmedMean::default()),
        "geometric-median" => Box::new(GeometricMedian::default()),
        "centered-clip" => Box::new(CenteredClip::default()),
        "krum" => Box::new(Krum::default()),
        "multi-krum" => Box::new(MultiKrum::default()),
        "robust" => Box::new(Robust::default()),
        "hostile" => Box::new(Robust::hostile()),
        _ => return None,
    })
}
