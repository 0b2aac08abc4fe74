//! The made-up patients that are shipped.
//!
//! Six centres of unlike sizes, 38 indicators that mostly go together as stages and sizes of a tumour do, an age, and few deaths: what
//! makes real studies of this kind hard. No value is of a real patient.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use examples::Rng;

/// Patients of each centre.
const CENTRES: [usize; 6] = [160, 140, 120, 100, 80, 60];
const INDICATORS: usize = 38;
const SEED: u64 = 20;
/// Mean days until a patient at average risk dies, and the longest anyone is followed.
const MEAN_SURVIVAL: f64 = 5000.0;
const LONGEST: f64 = 4000.0;
/// Spread of the coefficients between centres.
const SPREAD: f64 = 0.15;
const TRAIN_SHARE: f64 = 0.6;

/// Writes `survival.csv` and `survival_split.csv`.
pub(crate) fn write(directory: &Path) -> io::Result<()> {
    let (patients, split) = tables();
    std::fs::write(directory.join("survival.csv"), patients)?;
    std::fs::write(directory.join("survival_split.csv"), split)
}

fn tables() -> (String, String) {
    let mut rng = Rng::new(SEED);
    let mut patients = String::from("pid,age");
    for k in 1..=INDICATORS {
        let _ = write!(patients, ",i{k}");
    }
    patients.push_str(",E,T\n");
    let mut split = String::from("pid,fold2\n");
    // A third of the indicators matter.
    let effects: Vec<f64> =
        (0..INDICATORS).map(|k| if k % 3 == 0 { 0.6 * normal(&mut rng) } else { 0.0 }).collect();
    for (centre, &count) in CENTRES.iter().enumerate() {
        let here: Vec<f64> = effects.iter().map(|effect| effect + SPREAD * normal(&mut rng)).collect();
        for number in 0..count {
            let pid = format!("c{centre}-{number:03}");
            let age = (60.0 + 13.0 * normal(&mut rng)).clamp(25.0, 90.0).round();
            // How far the disease has come, which most indicators go with.
            let severity = normal(&mut rng);
            let mut risk = 0.5 * (age - 60.0) / 13.0 + 0.5 * severity;
            let _ = write!(patients, "{pid},{age}");
            for (k, effect) in here.iter().enumerate() {
                let threshold = (k % 7) as f64 / 2.0 - 1.0;
                let is = 0.7 * severity + 0.7 * normal(&mut rng) > threshold;
                risk += if is { *effect } else { 0.0 };
                let _ = write!(patients, ",{}", u8::from(is));
            }
            let death = -MEAN_SURVIVAL * (1.0 - uniform(&mut rng)).ln() * (-risk).exp();
            let followed = LONGEST * uniform(&mut rng);
            let (died, time) = (death < followed, death.min(followed).ceil());
            let _ = writeln!(patients, ",{},{time}", u8::from(died));
            let set = if uniform(&mut rng) < TRAIN_SHARE { "train" } else { "test" };
            let _ = writeln!(split, "{pid},{set}_{centre}");
        }
    }
    (patients, split)
}

/// Uniform in [0, 1).
fn uniform(rng: &mut Rng) -> f64 {
    (rng.symmetric() + 1.0) / 2.0
}

/// The sum of twelve uniform numbers, which is as good as normal here and the same on every machine.
fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| uniform(rng)).sum::<f64>() - 6.0
}
