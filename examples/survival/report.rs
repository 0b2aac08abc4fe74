//! Scores become a summary; a summary becomes a table or JSON.

use std::fmt;

use serde::Serialize;

use crate::data::Study;

/// What came of one split, centre by centre.
#[derive(Debug)]
pub(crate) struct Run {
    /// Patients that train and that test.
    pub(crate) patients: Vec<(usize, usize)>,
    /// How many of them died.
    pub(crate) deaths: Vec<(usize, usize)>,
    /// Concordance of the model of the centre's own patients.
    pub(crate) local: Vec<Option<f64>>,
    /// Concordance of the model of all packets.
    pub(crate) qis: Vec<Option<f64>>,
    /// How much each estimate rests on the peers.
    pub(crate) peer_weights: Vec<f64>,
    /// Size of the largest packet, signed and unsigned.
    pub(crate) packet_bytes: (usize, usize),
}

/// One centre on the fixed split.
#[derive(Debug, Serialize)]
struct Centre {
    name: String,
    n_train: usize,
    n_test: usize,
    deaths_train: usize,
    deaths_test: usize,
    /// None where no pair of test patients can be compared.
    local: Option<f64>,
    qis: Option<f64>,
    peer_weight: f64,
}

/// Means over centres, of the fixed split or of many.
#[derive(Debug, Serialize)]
struct Average {
    splits: usize,
    local: f64,
    qis: f64,
    gain: f64,
    /// Half the width of the 95 % interval of the gain.
    #[serde(skip_serializing_if = "Option::is_none")]
    gain_ci95: Option<f64>,
}

/// Everything there is to tell.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    features: usize,
    centres: Vec<Centre>,
    fixed: Average,
    #[serde(skip_serializing_if = "Option::is_none")]
    resplits: Option<Average>,
    max_packet_bytes: usize,
    max_unsigned_packet_bytes: usize,
}

impl Report {
    /// The report of the fixed split and of random ones.
    pub(crate) fn new(study: &Study, fixed: &Run, random: &[Run]) -> Self {
        let centre = |(k, name): (usize, &String)| Centre {
            name: name.clone(),
            n_train: fixed.patients[k].0,
            n_test: fixed.patients[k].1,
            deaths_train: fixed.deaths[k].0,
            deaths_test: fixed.deaths[k].1,
            local: fixed.local[k],
            qis: fixed.qis[k],
            peer_weight: fixed.peer_weights[k],
        };
        let runs = || random.iter().chain([fixed]);
        Self {
            features: study.features.len(),
            centres: study.centres.keys().enumerate().map(centre).collect(),
            fixed: Average::of(std::slice::from_ref(fixed)),
            resplits: (!random.is_empty()).then(|| Average::of(random)),
            max_packet_bytes: runs().map(|run| run.packet_bytes.0).max().unwrap_or(0),
            max_unsigned_packet_bytes: runs().map(|run| run.packet_bytes.1).max().unwrap_or(0),
        }
    }
}

impl Average {
    fn of(runs: &[Run]) -> Self {
        let local = mean(runs.iter().map(|run| mean(run.local.iter().flatten().copied())));
        let qis = mean(runs.iter().map(|run| mean(run.qis.iter().flatten().copied())));
        let gains = runs.iter().map(|run| {
            let pairs = run.qis.iter().zip(&run.local);
            mean(pairs.filter_map(|(qis, local)| Some((*qis)? - (*local)?)))
        });
        let gains: Vec<f64> = gains.collect();
        let gain = mean(gains.iter().copied());
        let n = gains.len() as f64;
        let squares: f64 = gains.iter().map(|g| (g - gain) * (g - gain)).sum();
        let gain_ci95 = (gains.len() > 1).then(|| 1.96 * (squares / (n - 1.0) / n).sqrt());
        Self { splits: runs.len(), local, qis, gain, gain_ci95 }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Concordance of {} features with survival: .5 is chance, 1 is perfect\n", self.features)?;
        writeln!(
            f,
            "centre        patients (died)   test patients (died)   alone     QIS   weight of peers"
        )?;
        let index = |index: Option<f64>| index.map_or("    -".to_owned(), |c| format!("{c:.3}"));
        for c in &self.centres {
            let train = format!("{} ({})", c.n_train, c.deaths_train);
            let test = format!("{} ({})", c.n_test, c.deaths_test);
            let (local, qis) = (index(c.local), index(c.qis));
            let weight = c.peer_weight;
            writeln!(f, "{:12}  {train:16}  {test:20}   {local}   {qis}   {weight:.2}", c.name)?;
        }
        let Average { local, qis, .. } = &self.fixed;
        writeln!(f, "{:12}  {:16}  {:20}   {local:.3}   {qis:.3}", "average", "", "")?;
        if let Some(Average { splits, local, qis, gain, gain_ci95 }) = &self.resplits {
            let interval = gain_ci95.unwrap_or(f64::NAN);
            let splits = format!("{splits} random splits");
            write!(f, "{splits:51}   {local:.3}   {qis:.3}   ")?;
            writeln!(f, "a gain of {gain:+.3}, give or take {interval:.3}")?;
        }
        let (signed, unsigned) = (self.max_packet_bytes, self.max_unsigned_packet_bytes);
        write!(f, "\nOne packet a centre, of at most {signed} bytes, {unsigned} without its signature.")
    }
}
