//! Four hospitals' patients, and their division into training and test rows.

use serde::Deserialize;

use examples::Rng;
use qis::synth::evidence::SchemaError;
use qis::{Family, Scaling, Schema};

/// The patients; `NOTICE` beside the file says where they come from.
const HEART_CSV: &str = include_str!("../data/heart.csv");

/// What the hospitals learn about.
pub(crate) const DOMAIN: &str = "cardiology/heart";
/// The features in the order of [`Site::raw`].
pub(crate) const FEATURE_NAMES: [&str; FEATURES] = [
    "age", "sex", "trestbps", "chol", "fbs", "thalch", "exang", "oldpeak", "cp2", "cp3", "cp4", "restecg1",
    "restecg2",
];
/// Numbers that describe a patient.
pub(crate) const FEATURES: usize = 13;
/// Coefficients of a model: the intercept, then one a feature.
pub(crate) const DIM: usize = FEATURES + 1;
/// Share of a hospital's patients that train it, as in the published split.
const TRAIN_SHARE: f64 = 0.66;
/// A standardised feature is held to this many standard deviations.
const CLIP: f64 = 5.0;

/// The model that all hospitals fit; every one standardises on its own training patients.
pub(crate) fn schema() -> Result<Schema, SchemaError> {
    Schema::new(Family::Logistic, FEATURE_NAMES, Scaling::SiteLocal)
}

/// One line of the file.
#[derive(Debug, Deserialize)]
struct Record {
    hospital: String,
    age: f64,
    sex: Sex,
    cp: ChestPain,
    trestbps: f64,
    chol: f64,
    fbs: bool,
    restecg: Ecg,
    thalch: f64,
    exang: bool,
    oldpeak: f64,
    num: u8,
    set: Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sex {
    Female,
    Male,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum ChestPain {
    #[serde(rename = "typical angina")]
    Typical,
    #[serde(rename = "atypical angina")]
    Atypical,
    #[serde(rename = "non-anginal")]
    NonAnginal,
    #[serde(rename = "asymptomatic")]
    Asymptomatic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
enum Ecg {
    #[serde(rename = "normal")]
    Normal,
    #[serde(rename = "st-t abnormality")]
    StT,
    #[serde(rename = "lv hypertrophy")]
    Hypertrophy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Set {
    Train,
    Test,
}

/// One patient, as the models see them.
#[derive(Clone, Copy, Debug)]
struct Patient {
    features: [f64; FEATURES],
    /// 1 with heart disease, 0 without.
    ill: f64,
    set: Set,
}

impl From<&Record> for Patient {
    fn from(r: &Record) -> Self {
        let indicator = |holds: bool| f64::from(u8::from(holds));
        Self {
            // Categories become one indicator for each level but the first.
            features: [
                r.age,
                indicator(r.sex == Sex::Male),
                r.trestbps,
                r.chol,
                indicator(r.fbs),
                r.thalch,
                indicator(r.exang),
                r.oldpeak,
                indicator(r.cp == ChestPain::Atypical),
                indicator(r.cp == ChestPain::NonAnginal),
                indicator(r.cp == ChestPain::Asymptomatic),
                indicator(r.restecg == Ecg::StT),
                indicator(r.restecg == Ecg::Hypertrophy),
            ],
            ill: indicator(r.num != 0),
            set: r.set,
        }
    }
}

/// All patients of one hospital.
#[derive(Debug)]
pub(crate) struct Hospital {
    name: String,
    patients: Vec<Patient>,
}

impl Hospital {
    /// The hospitals of the file, in its order.
    pub(crate) fn load() -> Result<Vec<Self>, csv::Error> {
        let mut hospitals: Vec<Self> = Vec::new();
        for record in csv::Reader::from_reader(HEART_CSV.as_bytes()).deserialize() {
            let record: Record = record?;
            let patient = Patient::from(&record);
            match hospitals.iter_mut().find(|h| h.name == record.hospital) {
                Some(hospital) => hospital.patients.push(patient),
                None => hospitals.push(Self { name: record.hospital, patients: vec![patient] }),
            }
        }
        Ok(hospitals)
    }

    /// The published split.
    fn published(&self) -> (Vec<Patient>, Vec<Patient>) {
        self.patients.iter().partition(|p| p.set == Set::Train)
    }

    /// A random split that keeps the share of ill patients, where both groups are large enough.
    fn random_split(&self, rng: &mut Rng) -> (Vec<Patient>, Vec<Patient>) {
        let n = self.patients.len() as f64;
        let n_train = (n * TRAIN_SHARE).floor();
        let (mut ill, mut well): (Vec<_>, Vec<_>) = self.patients.iter().copied().partition(|p| p.ill == 1.0);
        rng.shuffle(&mut ill);
        rng.shuffle(&mut well);
        if ill.len().min(well.len()) <= 2 {
            ill.append(&mut well);
            rng.shuffle(&mut ill);
            let test = ill.split_off(n_train as usize);
            return (ill, test);
        }
        let n_ill = (n_train * ill.len() as f64 / n).round();
        let mut test = ill.split_off(n_ill as usize);
        test.extend(well.split_off((n_train - n_ill) as usize));
        ill.append(&mut well);
        (ill, test)
    }
}

/// Rows and labels a model is fitted to or judged on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Design {
    /// A leading 1 for the intercept, then the standardised features.
    pub(crate) rows: Vec<[f64; DIM]>,
    /// 1 with heart disease, 0 without.
    pub(crate) labels: Vec<f64>,
}

impl Design {
    fn new(patients: &[Patient], scale: &Scale) -> Self {
        patients.iter().map(|p| (scale.row(&p.features), p.ill)).collect()
    }

    /// Number of patients.
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// Rows with their labels.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[f64; DIM], f64)> {
        self.rows.iter().zip(self.labels.iter().copied())
    }

    /// The rows whose number satisfies `keep`.
    pub(crate) fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let kept = self.iter().enumerate().filter(|(i, _)| keep(*i));
        kept.map(|(_, (row, label))| (*row, label)).collect()
    }
}

impl FromIterator<([f64; DIM], f64)> for Design {
    fn from_iter<I: IntoIterator<Item = ([f64; DIM], f64)>>(rows: I) -> Self {
        let (rows, labels) = rows.into_iter().unzip();
        Self { rows, labels }
    }
}

/// Means and sample standard deviations of one hospital's training rows.
#[derive(Debug)]
struct Scale {
    mean: [f64; FEATURES],
    deviation: [f64; FEATURES],
}

impl Scale {
    fn of(patients: &[Patient]) -> Self {
        let n = patients.len() as f64;
        let column = |f: usize| patients.iter().map(move |p| p.features[f]);
        let mean = std::array::from_fn(|f| column(f).sum::<f64>() / n);
        let deviation = std::array::from_fn(|f| {
            let squares: f64 = column(f).map(|x| (x - mean[f]).powi(2)).sum();
            (squares / (n - 1.0)).sqrt()
        });
        Self { mean, deviation }
    }

    fn row(&self, features: &[f64; FEATURES]) -> [f64; DIM] {
        std::array::from_fn(|d| match d.checked_sub(1) {
            None => 1.0,
            Some(f) => {
                let z = (features[f] - self.mean[f]) / (self.deviation[f] + 1e-9);
                z.clamp(-CLIP, CLIP)
            }
        })
    }
}

/// What one hospital knows: its own training patients.
#[derive(Debug)]
pub(crate) struct Site {
    /// The hospital.
    pub(crate) name: String,
    /// Training rows as measured, [`FEATURES`] numbers a patient, one patient after another.
    pub(crate) raw: Vec<f64>,
    /// The same rows, standardised.
    pub(crate) train: Design,
}

/// Four sites, and the patients each will be judged on.
#[derive(Debug)]
pub(crate) struct Study {
    /// What the hospitals know.
    pub(crate) sites: Vec<Site>,
    /// For each site its test patients, standardised by its training rows.
    pub(crate) tests: Vec<Design>,
}

impl Study {
    /// The split of the published benchmark.
    pub(crate) fn published(hospitals: &[Hospital]) -> Self {
        Self::new(hospitals, Hospital::published)
    }

    /// A random split of every hospital.
    pub(crate) fn resplit(hospitals: &[Hospital], rng: &mut Rng) -> Self {
        Self::new(hospitals, |h| h.random_split(rng))
    }

    fn new(hospitals: &[Hospital], mut split: impl FnMut(&Hospital) -> (Vec<Patient>, Vec<Patient>)) -> Self {
        let divide = |hospital: &Hospital| {
            let (train, test) = split(hospital);
            let scale = Scale::of(&train);
            let site = Site {
                name: hospital.name.clone(),
                raw: train.iter().flat_map(|p| p.features).collect(),
                train: Design::new(&train, &scale),
            };
            (site, Design::new(&test, &scale))
        };
        let (sites, tests) = hospitals.iter().map(divide).unzip();
        Self { sites, tests }
    }
}
