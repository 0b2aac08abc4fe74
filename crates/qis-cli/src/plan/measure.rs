//! Many consortia of each size, and what they come to on average.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

use super::consortium::{self, Drawn, Losses, Plan};
use super::error::PlanError;
use super::study::Study;
use crate::parallel;
use crate::progress::Progress;
use crate::rng::Rng;

/// Where a model of a site's own rows makes no error to speak of, so that shares of it mean something.
const NO_ERROR: f64 = 1e-9;

/// What consortia of one size come to. Gains are over the stronger of two local models, in percent of its held-out loss.
#[derive(Clone, Debug, Serialize)]
pub(super) struct BySize {
    pub(super) n: usize,
    pub(super) gain_pct: f64,
    /// 95 % for the mean over consortia; none of a single one.
    pub(super) gain_ci: Option<[f64; 2]>,
    pub(super) share_consortia_gain: f64,
    pub(super) share_sites_gain: f64,
    /// The held-out loss of the site that fares worst of all draws, over its loss alone.
    pub(super) worst_site_ratio: f64,
    pub(super) fedavg_gain_pct: f64,
    pub(super) article_1_gain_pct: f64,
    pub(super) article_10_gain_pct: f64,
    /// The gain over each of the two local models.
    pub(super) gain_over_cross_validated_pct: f64,
    pub(super) gain_over_evidence_tuned_pct: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) neighbour_purity: Option<f64>,
    /// Loss with QIS over loss alone, of each site of each draw, the smallest first.
    #[serde(skip)]
    pub(super) site_ratios: Vec<f64>,
}

/// All that was measured.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) by_n: Vec<BySize>,
    pub(super) max_packet_bytes: usize,
}

/// Draws so many consortia of each size, on so many threads, which the result does not depend on.
pub(super) fn run(
    study: &Study,
    plan: &Plan,
    sizes: &[usize],
    draws: usize,
    seed: u64,
    threads: usize,
) -> Result<Measured, PlanError> {
    // The large ones first, so that no thread is left alone with one at the end.
    let mut order: Vec<(usize, usize)> =
        sizes.iter().flat_map(|&size| (0..draws).map(move |draw| (size, draw))).collect();
    order.sort_by_key(|(size, draw)| (usize::MAX - size, *draw));
    let work: usize = order.iter().map(|(size, _)| size).sum();
    let progress = Progress::new("drawing", work);
    let done = AtomicUsize::new(0);
    let draw = |&(size, draw): &(usize, usize)| {
        // A stream for each draw of each size: none depends on which others are made.
        let mut rng = Rng::new(seed, ((size as u64) << 32) | draw as u64);
        consortium::draw(study, plan, size, &mut rng).map(|drawn| (size, drawn))
    };
    let ended = |&(size, _): &(usize, usize)| progress.set(done.fetch_add(size, Ordering::Relaxed) + size);
    let drawn = parallel::run(&order, threads, draw, ended);
    progress.end();
    let drawn = drawn?;
    let of = |size| drawn.iter().filter(move |(of, _)| *of == size).map(|(_, drawn)| drawn);
    Ok(Measured {
        by_n: sizes.iter().map(|&size| summarise(size, &of(size).collect::<Vec<_>>())).collect(),
        max_packet_bytes: drawn.iter().map(|(_, drawn)| drawn.max_packet_bytes).max().unwrap_or(0),
    })
}

/// The loss of one of the models.
type Model = fn(&Losses) -> f64;

fn summarise(n: usize, draws: &[&Drawn]) -> BySize {
    let mean_loss = |drawn: &Drawn, of: Model| mean(drawn.sites.iter().map(of));
    // The stronger of the two local models is another in each consortium.
    let stronger = |drawn: &Drawn| -> Model {
        let (one, other): (Model, Model) = (|site| site.cross_validated, |site| site.evidence_tuned);
        if mean_loss(drawn, one) <= mean_loss(drawn, other) { one } else { other }
    };
    let gains = |of: Model, over: &dyn Fn(&Drawn) -> Model| -> Vec<f64> {
        let gain =
            |drawn: &&Drawn| 100.0 * (1.0 - ratio(mean_loss(drawn, of), mean_loss(drawn, over(drawn))));
        draws.iter().map(gain).collect()
    };
    let qis = gains(|site| site.qis, &stronger);
    let of = |model: Model| mean(gains(model, &stronger).into_iter());
    let mut site_ratios: Vec<f64> = draws
        .iter()
        .flat_map(|drawn| {
            let local = stronger(drawn);
            drawn.sites.iter().map(move |site| ratio(site.qis, local(site)))
        })
        .collect();
    site_ratios.sort_by(f64::total_cmp);
    let share = |gaining: usize, all: usize| gaining as f64 / all.max(1) as f64;
    let purities: Vec<f64> = draws.iter().filter_map(|drawn| drawn.purity).collect();
    BySize {
        n,
        gain_pct: mean(qis.iter().copied()),
        gain_ci: interval(&qis),
        share_consortia_gain: share(qis.iter().filter(|gain| **gain > 0.0).count(), qis.len()),
        share_sites_gain: share(site_ratios.iter().filter(|ratio| **ratio < 1.0).count(), site_ratios.len()),
        worst_site_ratio: site_ratios.last().copied().unwrap_or(1.0),
        fedavg_gain_pct: of(|site| site.fedavg),
        article_1_gain_pct: of(|site| site.article[0]),
        article_10_gain_pct: of(|site| site.article[1]),
        gain_over_cross_validated_pct: mean(
            gains(|site| site.qis, &|_| |site| site.cross_validated).into_iter(),
        ),
        gain_over_evidence_tuned_pct: mean(
            gains(|site| site.qis, &|_| |site| site.evidence_tuned).into_iter(),
        ),
        neighbour_purity: (!purities.is_empty()).then(|| mean(purities.into_iter())),
        site_ratios,
    }
}

impl BySize {
    /// The ratio that this share of the sites stays below.
    pub(super) fn ratio_of(&self, share: f64) -> f64 {
        let last = self.site_ratios.len().saturating_sub(1);
        self.site_ratios.get(libm::ceil(share * last as f64) as usize).copied().unwrap_or(1.0)
    }
}

fn ratio(one: f64, other: f64) -> f64 {
    (one + NO_ERROR) / (other + NO_ERROR)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

/// The 95 % interval of a mean, by Student's t.
fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let freedom = values.len().checked_sub(1).filter(|freedom| *freedom > 0)? as f64;
    let centre = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    let error = libm::sqrt(squares / freedom / values.len() as f64);
    let half = student(freedom) * error;
    Some([centre - half, centre + half])
}

/// The 97.5 % quantile of Student's t: exact for one and two degrees of freedom, else Hill's expansion (1970) to within 1 %.
fn student(freedom: f64) -> f64 {
    const Z: f64 = 1.959_963_985;
    if freedom < 1.5 {
        return 12.706;
    } else if freedom < 2.5 {
        return 4.303;
    }
    let (cube, fifth, seventh) = (libm::pow(Z, 3.0), libm::pow(Z, 5.0), libm::pow(Z, 7.0));
    let first = (cube + Z) / 4.0;
    let second = (5.0 * fifth + 16.0 * cube + 3.0 * Z) / 96.0;
    let third = (3.0 * seventh + 19.0 * fifth + 17.0 * cube - 15.0 * Z) / 384.0;
    Z + first / freedom + second / (freedom * freedom) + third / libm::pow(freedom, 3.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::study::sample_study;

    #[test]
    fn the_number_of_threads_does_not_show() {
        let study = sample_study();
        let plan = Plan { per_site: 4, flip_half: true, liars: None };
        let run = |threads| {
            let measured = run(&study, &plan, &[2, 3], 2, 7, threads).unwrap();
            serde_json::to_string(&measured.by_n).unwrap()
        };
        let one = run(1);
        assert_eq!(one, run(3));
        assert!(one.contains("neighbour_purity"), "{one}");
    }

    #[test]
    fn intervals_are_students() {
        for (freedom, quantile) in [(1.0, 12.706), (2.0, 4.303), (3.0, 3.182), (9.0, 2.262), (29.0, 2.045)] {
            assert!((student(freedom) / quantile - 1.0).abs() < 0.01, "{freedom}");
        }
        let [low, high] = interval(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((low - 1.037).abs() < 0.02 && (high - 4.963).abs() < 0.02, "{low} {high}");
        assert_eq!(interval(&[1.0]), None);
    }

    #[test]
    fn gains_are_over_the_stronger_local_model_of_each_draw() {
        let site = |cross_validated, evidence_tuned, qis| Losses {
            cross_validated,
            evidence_tuned,
            qis,
            fedavg: 2.0,
            article: [1.0, 4.0],
        };
        let drawn = |sites: &[Losses]| Drawn { sites: sites.to_vec(), purity: None, max_packet_bytes: 0 };
        // Alone 1.0 on average by either; the first is 1.5, so the second counts.
        let one = drawn(&[site(2.0, 1.5, 0.75), site(1.0, 0.5, 0.25)]);
        let other = drawn(&[site(0.5, 4.0, 1.0), site(1.5, 4.0, 0.8)]);
        let summary = summarise(2, &[&one, &other]);
        assert!((summary.gain_pct - 30.0).abs() < 1e-6, "{summary:?}");
        assert_eq!((summary.share_consortia_gain, summary.share_sites_gain), (1.0, 0.75));
        assert!((summary.worst_site_ratio - 2.0).abs() < 1e-6);
        assert!((summary.fedavg_gain_pct + 100.0).abs() < 1e-6);
        assert!((summary.article_10_gain_pct + 300.0).abs() < 1e-6);
    }
}
