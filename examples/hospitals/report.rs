//! Scores become a summary; a summary becomes a table or JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::baselines::Score;
use crate::data::{Design, Site, Study};

/// A way for a hospital to arrive at its model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// The same probability for every patient.
    Majority,
    /// Own patients only, ridge by cross-validation.
    Local,
    /// Own patients only, ridge by evidence.
    LocalEvidence,
    /// Federated averaging.
    #[serde(rename = "fedavg")]
    FedAvg,
    /// The article's rule, one round.
    #[serde(rename = "article_1")]
    Article1,
    /// The article's rule, ten rounds.
    #[serde(rename = "article_10")]
    Article10,
    /// Own patients and the others' packets.
    Qis,
}

impl Method {
    /// All methods, in the order of the table.
    pub(crate) const ALL: [Self; 7] = [
        Self::Majority,
        Self::Local,
        Self::LocalEvidence,
        Self::FedAvg,
        Self::Article1,
        Self::Article10,
        Self::Qis,
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Majority => "majority class",
            Self::Local => "local, cross-validated",
            Self::LocalEvidence => "local, by evidence",
            Self::FedAvg => "FedAvg",
            Self::Article1 => "article's rule, 1 round",
            Self::Article10 => "article's rule, 10 rounds",
            Self::Qis => "QIS",
        }
    }
}

/// One of the two things a model is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Better when lower.
    LogLoss,
    /// Better when higher.
    Accuracy,
}

/// Results of every method on one split.
#[derive(Debug)]
pub(crate) struct Run {
    /// For each method a score per hospital.
    pub(crate) scores: BTreeMap<Method, Vec<Score>>,
    /// Packets QIS sent.
    pub(crate) packets_sent: usize,
    /// Bytes of those packets.
    pub(crate) bytes_sent: usize,
    /// Size of the largest.
    pub(crate) max_packet_bytes: usize,
    /// How long QIS took, with exchange and synthesis.
    pub(crate) elapsed: Duration,
}

/// A score, or the mean of many with half the width of its 95 % interval.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measured {
    accuracy: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy_ci95: Option<f64>,
    log_loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_loss_ci95: Option<f64>,
}

impl Measured {
    fn of(scores: &[Score]) -> Self {
        let (accuracy, accuracy_ci95) = mean(scores.iter().map(|s| s.accuracy));
        let (log_loss, log_loss_ci95) = mean(scores.iter().map(|s| s.log_loss));
        Self { accuracy, accuracy_ci95, log_loss, log_loss_ci95 }
    }

    /// The value and, if it is a mean, its interval.
    pub(crate) fn get(&self, metric: Metric) -> (f64, Option<f64>) {
        match metric {
            Metric::LogLoss => (self.log_loss, self.log_loss_ci95),
            Metric::Accuracy => (self.accuracy, self.accuracy_ci95),
        }
    }
}

/// The results of one hospital.
#[derive(Debug, Serialize)]
pub(crate) struct HospitalReport {
    /// The hospital.
    pub(crate) name: String,
    /// Patients it trains on.
    pub(crate) n_train: usize,
    /// Patients it is judged on.
    pub(crate) n_test: usize,
    /// Share of ill patients.
    #[serde(skip)]
    ill: f64,
    /// Scores on its own test patients.
    pub(crate) methods: BTreeMap<Method, Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qis_minus_local: Option<Measured>,
}

/// Everything there is to tell.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// One by one.
    pub(crate) hospitals: Vec<HospitalReport>,
    /// The plain mean over hospitals.
    pub(crate) average: BTreeMap<Method, Measured>,
    #[serde(skip_serializing_if = "Option::is_none")]
    average_qis_minus_local: Option<Measured>,
    /// Packets QIS sent in one exchange.
    pub(crate) packets_sent: usize,
    /// Bytes of those packets.
    pub(crate) bytes_sent: usize,
    /// Size of the largest.
    pub(crate) max_packet_bytes: usize,
    #[serde(skip)]
    seconds: f64,
    #[serde(skip)]
    splits: usize,
}

impl Report {
    /// Sums up `runs`, at least one, of splits with as many patients as `study`.
    pub(crate) fn new(study: &Study, runs: &[Run]) -> Self {
        let hospital = |(i, (site, test)): (usize, (&Site, &Design))| {
            let (methods, qis_minus_local) = summarise(runs, |scores| scores[i]);
            let (n_train, n_test) = (site.train.len(), test.len());
            let ill: f64 = site.train.labels.iter().chain(&test.labels).sum();
            HospitalReport {
                name: site.name.clone(),
                n_train,
                n_test,
                ill: ill / (n_train + n_test) as f64,
                methods,
                qis_minus_local,
            }
        };
        let (average, average_qis_minus_local) = summarise(runs, |scores| Score {
            accuracy: mean(scores.iter().map(|s| s.accuracy)).0,
            log_loss: mean(scores.iter().map(|s| s.log_loss)).0,
        });
        let typical = |of: fn(&Run) -> f64| mean(runs.iter().map(of)).0;
        Self {
            hospitals: study.sites.iter().zip(&study.tests).enumerate().map(hospital).collect(),
            average,
            average_qis_minus_local,
            packets_sent: typical(|r| r.packets_sent as f64).round() as usize,
            bytes_sent: typical(|r| r.bytes_sent as f64).round() as usize,
            max_packet_bytes: runs.iter().map(|r| r.max_packet_bytes).max().unwrap_or(0),
            seconds: typical(|r| r.elapsed.as_secs_f64()),
            splits: runs.len(),
        }
    }

    /// Patients of all hospitals.
    pub(crate) fn patients(&self) -> usize {
        self.hospitals.iter().map(|h| h.n_train + h.n_test).sum()
    }

    /// How the patients were divided.
    pub(crate) fn protocol(&self) -> String {
        match self.splits {
            1 => "The published split of the benchmark.".into(),
            n => format!("Means over {n} random splits, with 95 % intervals."),
        }
    }

    /// What came out, in a sentence.
    pub(crate) fn finding(&self) -> String {
        let loss = |method| self.average[&method].log_loss;
        let (alone, together) = (loss(Method::Local), loss(Method::Qis));
        let packets = self.packets_sent;
        let difference = self.average_qis_minus_local.map(|d| d.get(Metric::LogLoss));
        if let Some((_, Some(ci))) = difference.filter(|(d, ci)| ci.is_some_and(|ci| d.abs() <= ci)) {
            return format!(
                "{packets} packets leave the hospitals' average log-loss where it was, \
                 within ±{ci:.3}"
            );
        }
        let verb = if together < alone { "lower" } else { "raise" };
        let interval = match difference {
            Some((d, Some(ci))) => format!(", by {:.3} ± {ci:.3}", d.abs()),
            _ => String::new(),
        };
        format!(
            "{packets} packets {verb} the hospitals' average log-loss from {alone:.3} alone \
             to {together:.3} together{interval}"
        )
    }

    fn block(&self, f: &mut fmt::Formatter<'_>, title: &str, metric: Metric) -> fmt::Result {
        write!(f, "\n{title:<27}")?;
        for name in self.hospitals.iter().map(|h| h.name.as_str()).chain(["average"]) {
            write!(f, " {name:>14}")?;
        }
        let tables = || self.hospitals.iter().map(|h| &h.methods).chain([&self.average]);
        for method in Method::ALL {
            write!(f, "\n  {:<25}", method.label())?;
            for (value, ci) in tables().map(|methods| methods[&method].get(metric)) {
                write!(f, " {:>14}", cell(format!("{value:.3}"), ci))?;
            }
        }
        let paired = self.hospitals.iter().map(|h| h.qis_minus_local);
        let paired: Vec<_> = paired.chain([self.average_qis_minus_local]).flatten().collect();
        if !paired.is_empty() {
            write!(f, "\n  {:<25}", "QIS - local, paired")?;
            for (value, ci) in paired.iter().map(|p| p.get(metric)) {
                write!(f, " {:>14}", cell(format!("{value:+.3}"), ci))?;
            }
        }
        writeln!(f)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}.", self.finding())?;
        writeln!(f, "{} patients. {}", self.patients(), self.protocol())?;
        self.block(f, "log-loss, lower is better", Metric::LogLoss)?;
        self.block(f, "accuracy, higher is better", Metric::Accuracy)?;
        let lopsided = self.hospitals.iter().filter(|h| h.ill > 0.75);
        let lopsided: Vec<_> = lopsided.map(|h| format!("{:.0} % of {}'s", h.ill * 100.0, h.name)).collect();
        writeln!(
            f,
            "\nAccuracy misleads where one answer is mostly right: {} patients are ill,\n\
             and a model that calls everyone ill looks good there. Therefore log-loss stands beside it.",
            lopsided.join(" and "),
        )?;
        write!(
            f,
            "\nQIS sent {} packets, {} bytes in all, {} in the largest, and took {:.2} s.",
            self.packets_sent, self.bytes_sent, self.max_packet_bytes, self.seconds
        )
    }
}

fn cell(value: String, ci: Option<f64>) -> String {
    match ci {
        Some(ci) => format!("{value} ±{ci:.3}"),
        None => value,
    }
}

/// Every method's results where `pick` looks, and the paired difference between QIS and local.
fn summarise(
    runs: &[Run],
    pick: impl Fn(&[Score]) -> Score,
) -> (BTreeMap<Method, Measured>, Option<Measured>) {
    let series = |m: Method| -> Vec<Score> { runs.iter().map(|r| pick(&r.scores[&m])).collect() };
    let methods = Method::ALL.map(|m| (m, Measured::of(&series(m)))).into();
    let paired = series(Method::Qis).into_iter().zip(series(Method::Local)).map(|(qis, local)| Score {
        accuracy: qis.accuracy - local.accuracy,
        log_loss: qis.log_loss - local.log_loss,
    });
    let paired: Vec<Score> = paired.collect();
    (methods, (runs.len() > 1).then(|| Measured::of(&paired)))
}

/// The mean, and half the width of its normal 95 % interval if there is more than one value.
///
/// Splits share patients, so this interval is about other splits of these patients, not about
/// other patients.
fn mean(values: impl ExactSizeIterator<Item = f64> + Clone) -> (f64, Option<f64>) {
    let n = values.len() as f64;
    let mean = values.clone().sum::<f64>() / n;
    let squares: f64 = values.map(|v| (v - mean).powi(2)).sum();
    (mean, (n > 1.0).then(|| 1.96 * (squares / (n - 1.0) / n).sqrt()))
}
