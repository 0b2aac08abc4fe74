//! All that is told: as text, and as JSON.

use std::fmt;

use serde::Serialize;

use super::curve::Curve;
use super::measure::BySize;
use super::study::LeftOut;
use super::verdict::Verdict;
use crate::words::plural;

#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// Complete rows of the sites that take part.
    pub(super) rows: usize,
    pub(super) sites: usize,
    pub(super) features: usize,
    pub(super) by_n: Vec<BySize>,
    pub(super) n_min: Option<usize>,
    #[serde(serialize_with = "Curve::serialize")]
    pub(super) curve: Option<Curve>,
    pub(super) verdict: Verdict,
    pub(super) setting: Setting,
    pub(super) left_out: LeftOut,
    /// Sizes that were asked for, of more sites than there are.
    pub(super) sizes_left_out: Vec<usize>,
    pub(super) max_packet_bytes: usize,
    pub(super) seconds: f64,
}

/// What was asked for.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Setting {
    pub(super) file: String,
    pub(super) site: String,
    /// The column to predict, or of times.
    pub(super) target: String,
    /// The column of events; none but for survival.
    pub(super) event: Option<String>,
    /// The value of the target whose probability is estimated, or that means an event; none of a number.
    pub(super) positive: Option<String>,
    pub(super) family: &'static str,
    pub(super) feature_names: Vec<String>,
    pub(super) per_site: usize,
    pub(super) min_rows: usize,
    pub(super) draws: usize,
    pub(super) seed: u64,
    /// The publishing guard: from how many records on a site sends its evidence.
    pub(super) publish_from_records: usize,
    pub(super) flip_half: bool,
    pub(super) liars: f64,
    /// What the liars send.
    pub(super) lie: Option<String>,
}

impl Setting {
    /// What was done to the sites, if anything.
    pub(super) fn stress(&self) -> Option<String> {
        let flipped = self.flip_half.then(|| "the outcomes of half of the sites turned around".to_owned());
        let liars = self.lie.as_ref().map(|lie| {
            format!(
                "{:.0} % of the sites lying ({lie}, at full confidence); gains are those of the honest ones",
                100.0 * self.liars
            )
        });
        let parts: Vec<String> = flipped.into_iter().chain(liars).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Report {
    /// What did not take part, in sentences.
    pub(super) fn left_out(&self) -> Vec<String> {
        let LeftOut { incomplete_rows, small_sites, rows_of_small_sites } = self.left_out;
        let mut parts = Vec::new();
        if incomplete_rows > 0 {
            parts.push(format!("{} with a missing value", plural(incomplete_rows as u64, "row")));
        }
        if small_sites > 0 {
            let Setting { per_site, min_rows, .. } = self.setting;
            parts.push(format!(
                "{} with fewer than {} complete rows ({per_site} to learn from and {min_rows} to judge by), which have {}",
                plural(small_sites as u64, "site"),
                per_site + min_rows,
                plural(rows_of_small_sites as u64, "row"),
            ));
        }
        if !self.sizes_left_out.is_empty() {
            let sizes: Vec<String> = self.sizes_left_out.iter().map(ToString::to_string).collect();
            parts.push(format!(
                "consortia of {}: there are {}",
                sizes.join(", "),
                plural(self.sites as u64, "site")
            ));
        }
        parts
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setting { target, event, positive, family, per_site, draws, publish_from_records, .. } =
            &self.setting;
        let until = event.as_ref().map_or_else(String::new, |event| format!(" until {event}"));
        let positive = positive.as_ref().map_or_else(String::new, |value| format!(" = {value}"));
        writeln!(
            f,
            "{} of {}, {}; {target}{until}{positive} by {family} regression; {per_site} records a site, {} a size",
            plural(self.rows as u64, "row"),
            plural(self.sites as u64, "site"),
            plural(self.features as u64, "feature"),
            plural(*draws as u64, "consortium").replace("consortiums", "consortia"),
        )?;
        for part in self.left_out() {
            writeln!(f, "left out: {part}")?;
        }
        if let Some(stress) = self.setting.stress() {
            writeln!(f, "stress: {stress}")?;
        }
        writeln!(
            f,
            "sites publish from {} on, not from 20 as nodes do by default\n",
            plural(*publish_from_records as u64, "record"),
        )?;

        writeln!(
            f,
            "{:62}{:>29}",
            "gain in held-out error over the stronger local model, %", "for comparison, %"
        )?;
        writeln!(
            f,
            "{:>4} {:>8} {:>17} {:>10} {:>8} {:>11} {:>9} {:>10} {:>10}",
            "N",
            "gain",
            "95 % interval",
            "consortia",
            "sites",
            "worst site",
            "FedAvg",
            "article 1",
            "article 10"
        )?;
        for size in &self.by_n {
            let interval =
                size.gain_ci.map_or_else(|| "-".to_owned(), |[low, high]| format!("{low:.1} to {high:.1}"));
            writeln!(
                f,
                "{:>4} {:>8.1} {:>17} {:>10.2} {:>8.2} {:>11.2} {:>9.1} {:>10.1} {:>10.1}",
                size.n,
                size.gain_pct,
                interval,
                size.share_consortia_gain,
                size.share_sites_gain,
                size.worst_site_ratio,
                size.fedavg_gain_pct,
                size.article_1_gain_pct,
                size.article_10_gain_pct
            )?;
        }
        writeln!(f, "consortia and sites: the share that gains; worst site: its error over its error alone")?;
        if let Some(last) = self.by_n.last() {
            writeln!(
                f,
                "N = {}: {:.1} % over ridge by cross-validation, {:.1} % over ridges averaged by evidence",
                last.n, last.gain_over_cross_validated_pct, last.gain_over_evidence_tuned_pct
            )?;
        }
        for size in &self.by_n {
            if let Some(purity) = size.neighbour_purity {
                writeln!(
                    f,
                    "N = {}: {purity:.3} of the most similar nodes are of a node's own half",
                    size.n
                )?;
            }
        }
        match self.curve {
            Some(Curve { g, h }) => writeln!(f, "\nfitted: gain = {g:.1} % x (N - 1) / (N - 1 + {h:.2})")?,
            None if self.by_n.len() < 2 => writeln!(f, "\nfitted: no curve, which takes two sizes")?,
            None => writeln!(f, "\nfitted: no curve, the gain does not level off within these sizes")?,
        }
        let enough = self.n_min.map_or_else(
            || "not reached: at no size that was looked at do 95 % of consortia gain".to_owned(),
            |n| format!("{n}, from which on 95 % of consortia gain"),
        );
        writeln!(f, "N_min: {enough}")?;
        writeln!(f, "\n{} {}", self.verdict.head, self.verdict.reasons)?;
        writeln!(f, "took {:.1} s; the largest packet has {} bytes", self.seconds, self.max_packet_bytes)
    }
}
