//! What the figures come to, in plain words.

use serde::Serialize;

use super::measure::BySize;

/// So many consortia of a size must gain for it to be enough.
pub(super) const RELIABLE: f64 = 0.95;
/// Less than this is not worth the effort, in percent.
const LEAST_GAIN: f64 = 1.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    Yes,
    /// On average, and not for everyone.
    Unsure,
    No,
}

#[derive(Clone, Debug, Serialize)]
#[serde(into = "String")]
pub(super) struct Verdict {
    pub(super) worth: Worth,
    /// One sentence that can stand alone.
    pub(super) head: String,
    pub(super) reasons: String,
}

impl From<Verdict> for String {
    fn from(verdict: Verdict) -> Self {
        format!("{} {}", verdict.head, verdict.reasons)
    }
}

/// The smallest size that was looked at from which on 95 % of consortia gain.
pub(super) fn n_min(by_n: &[BySize]) -> Option<usize> {
    by_n.iter().rev().take_while(|size| size.share_consortia_gain >= RELIABLE).last().map(|size| size.n)
}

impl Verdict {
    /// By the largest size. `per_site` is how many records each site has.
    pub(super) fn of(by_n: &[BySize], per_site: usize) -> Option<Self> {
        let last = by_n.last()?;
        let gain = last.gain_pct;
        let proven = last.gain_ci.is_none_or(|[low, _]| low > 0.0);
        let (worth, head) = match n_min(by_n) {
            _ if gain < LEAST_GAIN => (Worth::No, "Not worth it.".to_owned()),
            _ if !proven => {
                (Worth::Unsure, "Not proven: consortia differ too much for so few draws.".to_owned())
            }
            None => (Worth::Unsure, "Worth it on average, but not reliably.".to_owned()),
            Some(enough) if enough == last.n => (Worth::Yes, format!("Worth joining with {enough} sites.")),
            Some(enough) => (Worth::Yes, format!("Worth joining from {enough} sites on.")),
        };
        let interval = last
            .gain_ci
            .map_or_else(String::new, |[low, high]| format!(" (95 % interval {low:.1} to {high:.1} %)"));
        let change = match format!("{:.1}", gain.abs()) {
            none if none == "0.0" => "stays as it is".to_owned(),
            less if gain > 0.0 => format!("falls by {less} %"),
            more => format!("rises by {more} %"),
        };
        let mut reasons = format!(
            "With {} sites of {per_site} records each, the held-out error {change}{interval} against the best a site can do alone; \
             {:.0} % of such consortia and {:.0} % of their sites gain.",
            last.n,
            100.0 * last.share_consortia_gain,
            100.0 * last.share_sites_gain,
        );
        if last.worst_site_ratio > 1.0 {
            let twentieth = last.ratio_of(0.95);
            reasons += &if twentieth > 1.0 {
                format!(
                    " One site in twenty has at least {:.0} % more error than alone,",
                    100.0 * (twentieth - 1.0)
                )
            } else {
                " Fewer than one site in twenty have more error than alone,".to_owned()
            };
            reasons += &format!(" and the one that fared worst {:.2} times as much.", last.worst_site_ratio);
        }
        Some(Self { worth, head, reasons })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(n: usize, gain_pct: f64, half: f64, share_consortia_gain: f64) -> BySize {
        BySize {
            n,
            gain_pct,
            gain_ci: Some([gain_pct - half, gain_pct + half]),
            share_consortia_gain,
            share_sites_gain: 0.7,
            worst_site_ratio: 1.5,
            fedavg_gain_pct: 0.0,
            article_1_gain_pct: 0.0,
            article_10_gain_pct: 0.0,
            gain_over_cross_validated_pct: gain_pct,
            gain_over_evidence_tuned_pct: gain_pct,
            neighbour_purity: None,
            site_ratios: vec![0.5, 0.9, 1.5],
        }
    }

    fn head(by_n: &[BySize]) -> String {
        Verdict::of(by_n, 10).unwrap().head
    }

    #[test]
    fn the_smallest_size_is_the_first_after_which_none_fails() {
        let sizes =
            [size(2, 5.0, 1.0, 1.0), size(4, 5.0, 1.0, 0.9), size(8, 6.0, 1.0, 0.97), size(9, 6.0, 1.0, 1.0)];
        assert_eq!(n_min(&sizes), Some(8));
        assert_eq!(n_min(&sizes[..2]), None);
        assert_eq!(head(&sizes), "Worth joining from 8 sites on.");
    }

    #[test]
    fn the_verdict_is_no_more_than_the_figures_say() {
        assert!(head(&[size(9, 0.5, 0.1, 1.0)]).starts_with("Not worth it."));
        assert!(head(&[size(9, -8.0, 0.1, 0.0)]).starts_with("Not worth it."));
        assert!(head(&[size(9, 8.0, 9.0, 1.0)]).starts_with("Not proven"));
        assert!(head(&[size(9, 8.0, 1.0, 0.9)]).contains("not reliably"));
        assert_eq!(head(&[size(9, 8.0, 1.0, 0.95)]), "Worth joining with 9 sites.");
        assert!(Verdict::of(&[], 10).is_none());
    }

    #[test]
    fn losses_are_told_as_losses() {
        let text = String::from(Verdict::of(&[size(9, -8.0, 1.0, 0.0)], 10).unwrap());
        assert!(text.contains("the held-out error rises by 8.0 % (95 % interval -9.0 to -7.0 %)"), "{text}");
        assert!(text.contains("the one that fared worst 1.50 times as much"), "{text}");
    }
}
