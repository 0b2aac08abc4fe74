//! Patients of several centres, from files or made up, and their division into training and test rows.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use examples::Rng;

const PATIENTS_CSV: &str = include_str!("../data/survival.csv");
const SPLIT_CSV: &str = include_str!("../data/survival_split.csv");

/// Share of a centre's patients that train it in a random split.
const TRAIN_SHARE: f64 = 0.7;
/// What ages are scaled by, for all centres; other columns are indicators and taken as they are.
const AGE: (f64, f64) = (60.0, 13.0);

/// One patient.
#[derive(Clone, Debug)]
pub(crate) struct Patient {
    /// A number for each feature.
    pub(crate) features: Vec<f64>,
    /// How long the patient was followed, in days.
    pub(crate) time: f64,
    /// Whether the patient died then.
    pub(crate) died: bool,
    /// Whether the patient trains its centre in the fixed split.
    train: bool,
}

/// All there is to learn from and to be judged by.
#[derive(Debug)]
pub(crate) struct Study {
    /// The features' names.
    pub(crate) features: Vec<String>,
    /// The patients of each centre, by its name.
    pub(crate) centres: BTreeMap<String, Vec<Patient>>,
}

/// Some patients of a centre.
pub(crate) type Patients = Vec<Patient>;

impl Study {
    /// The made-up study that is shipped.
    pub(crate) fn shipped() -> Result<Self, Box<dyn Error>> {
        Self::read(PATIENTS_CSV.as_bytes(), SPLIT_CSV.as_bytes())
    }

    /// A study from two files; see [`read`](Self::read).
    pub(crate) fn load(patients: &Path, split: &Path) -> Result<Self, Box<dyn Error>> {
        let open = |path: &Path| File::open(path).map_err(|error| format!("{}: {error}", path.display()));
        Self::read(open(patients)?, open(split)?)
    }

    /// One file has a row for each patient: `pid`, the features, `E` (1 if the patient died) and `T` (days). The other has `pid` and
    /// `fold2`: `train_` or `test_` and the centre. Patients it leaves out are left out.
    fn read(patients: impl Read, split: impl Read) -> Result<Self, Box<dyn Error>> {
        let folds = folds(split)?;
        let mut reader = csv::Reader::from_reader(patients);
        let header = reader.headers()?.clone();
        let column = |name: &str| {
            let found = header.iter().position(|column| column == name);
            found.ok_or_else(|| format!("the patients have no column `{name}`"))
        };
        let (pid, event, time) = (column("pid")?, column("E")?, column("T")?);
        let kept: Vec<usize> = (0..header.len()).filter(|&k| ![pid, event, time].contains(&k)).collect();
        let name = |&k: &usize| header.get(k).unwrap_or_default().to_owned();
        let mut study = Self { features: kept.iter().map(name).collect(), centres: BTreeMap::new() };
        for (row, record) in reader.records().enumerate() {
            let record = record?;
            let number = |k: usize| -> Result<f64, Box<dyn Error>> {
                let text = record.get(k).unwrap_or_default();
                let refuse = || format!("row {}, column `{}`: {text:?} is no number", row + 1, name(&k));
                Ok(text.trim().parse().map_err(|_| refuse())?)
            };
            let Some((train, centre)) = folds.get(record.get(pid).unwrap_or_default()) else { continue };
            let features = kept.iter().map(|&k| number(k)).collect::<Result<_, _>>()?;
            let patient =
                Patient { features, time: number(time)?, died: number(event)? > 0.0, train: *train };
            study.centres.entry(centre.clone()).or_default().push(patient);
        }
        Ok(study)
    }

    /// What every centre subtracts from each feature and divides it by.
    pub(crate) fn scaling(&self) -> (Vec<f64>, Vec<f64>) {
        let scale = |name: &String| if name.starts_with("age") { AGE } else { (0.0, 1.0) };
        self.features.iter().map(scale).unzip()
    }

    /// Training and test patients of each centre, as the split's file has it.
    pub(crate) fn fixed(&self) -> Vec<(Patients, Patients)> {
        self.centres.values().map(|all| all.iter().cloned().partition(|p| p.train)).collect()
    }

    /// The same by chance, with the same share of those who died in both.
    pub(crate) fn random(&self, rng: &mut Rng) -> Vec<(Patients, Patients)> {
        let divide = |all: &Patients| {
            let (mut train, mut test) = (Vec::new(), Vec::new());
            for died in [false, true] {
                let mut some: Patients = all.iter().filter(|p| p.died == died).cloned().collect();
                rng.shuffle(&mut some);
                let count = (some.len() as f64 * TRAIN_SHARE).round() as usize;
                test.extend(some.split_off(count));
                train.append(&mut some);
            }
            (train, test)
        };
        self.centres.values().map(divide).collect()
    }
}

/// Whether each patient trains, and at which centre.
fn folds(split: impl Read) -> Result<BTreeMap<String, (bool, String)>, Box<dyn Error>> {
    let mut reader = csv::Reader::from_reader(split);
    let header = reader.headers()?.clone();
    let column = |name: &str| {
        let found = header.iter().position(|column| column == name);
        found.ok_or_else(|| format!("the split has no column `{name}`"))
    };
    let (pid, fold) = (column("pid")?, column("fold2")?);
    let mut folds = BTreeMap::new();
    for (row, record) in reader.records().enumerate() {
        let record = record?;
        let fold = record.get(fold).unwrap_or_default();
        let (set, centre) = match fold.split_once('_') {
            Some(("train", centre)) => (true, centre),
            Some(("test", centre)) => (false, centre),
            _ => return Err(format!("row {} of the split: {fold:?} is no fold", row + 1).into()),
        };
        folds.insert(record.get(pid).unwrap_or_default().to_owned(), (set, centre.to_owned()));
    }
    Ok(folds)
}

/// Harrell's concordance index: of the pairs of patients of whom one is known to have died before the other, the share in which that one
/// had the higher risk. None where there is no such pair.
pub(crate) fn concordance(patients: &[Patient], risks: &[f64]) -> Option<f64> {
    let (mut pairs, mut right) = (0.0, 0.0);
    for (first, a) in patients.iter().zip(risks).filter(|(first, _)| first.died) {
        for (other, b) in patients.iter().zip(risks) {
            if other.time > first.time || (other.time == first.time && !other.died) {
                pairs += 1.0;
                right += if a > b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                };
            }
        }
    }
    (pairs > 0.0).then(|| right / pairs)
}
