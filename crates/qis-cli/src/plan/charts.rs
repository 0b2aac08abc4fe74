//! The drawings of the report.

use super::curve::Curve;
use super::measure::BySize;
use super::svg::{Anchor, Drawing, HEIGHT, Scale, WIDTH, figure, round_range};
use super::verdict::RELIABLE;

/// Gains and losses beyond this are drawn as if they were this, in percent.
const MOST: f64 = 100.0;
/// Points of the fitted curve.
const POINTS: u32 = 80;
/// Width of a bar of the histogram, in percent.
const BIN: f64 = 10.0;
const BINS: usize = 20;

/// The gain by the number of sites, with its interval and the fitted curve.
pub(super) fn gain(by_n: &[BySize], curve: Option<Curve>) -> String {
    let mut drawing = Drawing::new("Gain in held-out error by the number of sites");
    // One interval that is wide must not make all others a dot.
    let most = 4.0 * by_n.iter().map(|size| size.gain_pct.abs()).fold(1.0, f64::max);
    let ends = by_n.iter().flat_map(|size| size.gain_ci.unwrap_or([size.gain_pct; 2]));
    let (low, high) = round_range(ends.map(|end| end.clamp(-most.min(MOST), most.min(MOST))));
    let up = Scale::up(low, high);
    drawing.upright_axis(up, "error falls by", " %");
    let across = sizes_axis(&mut drawing, by_n);
    if let Some(curve) = curve {
        let last = by_n.last().map_or(1.0, |size| size.n as f64);
        let point = |step| {
            let sites = libm::pow(last, f64::from(step) / f64::from(POINTS));
            (across.at(libm::log(sites)), up.at(curve.at(sites)))
        };
        drawing.path("fit", &(0..=POINTS).map(point).collect::<Vec<_>>());
    }
    for size in by_n {
        let x = across.at(libm::log(size.n as f64));
        if let Some(interval) = size.gain_ci {
            let ends = interval.map(|end| (end, up.at(end)));
            let [from, to] = ends.map(|(_, y)| (x, y));
            drawing.line("interval", from, to);
            for (end, y) in ends {
                // An interval that goes on beyond the drawing has no end there.
                if (low..=high).contains(&end) {
                    drawing.line("interval", (x - 4.0, y), (x + 4.0, y));
                }
            }
        }
        drawing.disc("qis", (x, up.at(size.gain_pct)), 4.5);
    }
    drawing.end()
}

/// The shares of consortia and of sites that gain, by the number of sites.
pub(super) fn shares(by_n: &[BySize]) -> String {
    let mut drawing = Drawing::new("Share of consortia and of sites that gain, by the number of sites");
    let up = Scale::up(0.0, 100.0);
    drawing.upright_axis(up, "gain", " %");
    let across = sizes_axis(&mut drawing, by_n);
    let reliable = up.at(100.0 * RELIABLE);
    drawing.line("goal", (across.at(0.0), reliable), (WIDTH - 14.0, reliable));
    type Share = fn(&BySize) -> f64;
    let lines: [(&str, Share); 2] =
        [("sites", |size| size.share_sites_gain), ("consortia", |size| size.share_consortia_gain)];
    for (class, share) in lines {
        let point = |size: &BySize| (across.at(libm::log(size.n as f64)), up.at(100.0 * share(size)));
        let points: Vec<_> = by_n.iter().map(point).collect();
        drawing.path(&format!("{class} line"), &points);
        for point in points {
            drawing.disc(class, point, 4.0);
        }
    }
    drawing.end()
}

/// How many sites gain and lose how much, in consortia of one size.
pub(super) fn sites(size: &BySize) -> String {
    let mut drawing = Drawing::new("How many sites gain and lose how much");
    let mut counts = [0_u32; BINS];
    for ratio in &size.site_ratios {
        let gain = 100.0 * (1.0 - ratio);
        let bin = libm::floor((gain.clamp(-MOST, MOST - 1e-6) + MOST) / BIN);
        if let Some(count) = counts.get_mut(bin as usize) {
            *count += 1;
        }
    }
    let all = size.site_ratios.len().max(1) as f64;
    let share = |count: u32| 100.0 * f64::from(count) / all;
    let up = Scale::up(0.0, round_range(counts.iter().map(|count| share(*count))).1);
    let across = Scale::across(-MOST, MOST);
    drawing.upright_axis(up, "of the sites", " %");
    for (at, count) in counts.iter().enumerate() {
        let from = -MOST + BIN * at as f64;
        let class = if from < 0.0 { "loses" } else { "gains" };
        if *count > 0 {
            let (left, right) = (across.at(from) + 0.8, across.at(from + BIN) - 0.8);
            drawing.bar(class, (left, up.at(0.0)), (right, up.at(share(*count))));
        }
    }
    let x = across.at(0.0);
    drawing.line("zero", (x, up.at(0.0)), (x, 22.0));
    let named = [-100.0, -50.0, 0.0, 50.0, 100.0];
    let name = |value: f64| {
        let beyond = if value <= -MOST { "\u{2264} " } else { "" };
        (value, format!("{beyond}{}", figure(value)))
    };
    drawing.level_axis(across, &named.map(name), "a site's error falls by, %");
    drawing.end()
}

/// The gain beside that of other ways, in consortia of one size.
pub(super) fn comparison(size: &BySize) -> String {
    const ROW: f64 = 56.0;
    const BAR: f64 = 20.0;
    let rows = [
        ("QIS", "qis", size.gain_pct),
        ("FedAvg at convergence", "fedavg", size.fedavg_gain_pct),
        ("the article\u{2019}s rule, 1 round", "article", size.article_1_gain_pct),
        ("the article\u{2019}s rule, 10 rounds", "article", size.article_10_gain_pct),
    ];
    let mut drawing = Drawing::new("Gain beside that of other ways");
    let (low, high) = round_range(rows.iter().map(|row| row.2.clamp(-MOST, MOST)));
    // Room for figures on both sides.
    let room = 0.2 * (high - low);
    let across = Scale::across(low - if low < 0.0 { room } else { 0.0 }, high + room).starting(8.0);
    for tick in across.ticks().into_iter().filter(|tick| (low..=high).contains(tick)) {
        let x = across.at(tick);
        drawing.line(if tick.abs() < 1e-9 { "zero" } else { "grid" }, (x, 8.0), (x, HEIGHT - 46.0));
        drawing.words("tick", (x.max(16.0), HEIGHT - 28.0), Anchor::Middle, &figure(tick));
    }
    for (at, (name, class, value)) in rows.into_iter().enumerate() {
        let top = 32.0 + ROW * at as f64;
        let end = value.max(low);
        let (left, right) = (across.at(end.min(0.0)), across.at(end.max(0.0)));
        // On the side of zero that has more room.
        let (x, anchor) = if high >= -low {
            (across.at(0.0) + 4.0, Anchor::Start)
        } else {
            (across.at(0.0) - 4.0, Anchor::End)
        };
        drawing.words("name", (x, top - 6.0), anchor, name);
        drawing.bar(class, (left, top), (right, top + BAR));
        let words = figure(value);
        if value < low {
            // The bar ends before the value does.
            drawing.words("inside", (left + 6.0, top + 15.0), Anchor::Start, &format!("\u{2190} {words}"));
        } else if value < 0.0 {
            drawing.words("figure", (left - 5.0, top + 15.0), Anchor::End, &words);
        } else {
            drawing.words("figure", (right + 5.0, top + 15.0), Anchor::Start, &words);
        }
    }
    drawing.words("what", (WIDTH - 14.0, HEIGHT - 6.0), Anchor::End, "error falls by, %");
    drawing.end()
}

/// The sizes of consortia, by their logarithms, from one site on.
fn sizes_axis(drawing: &mut Drawing, by_n: &[BySize]) -> Scale {
    let last = by_n.last().map_or(2, |size| size.n);
    let across = Scale::across(0.0, libm::log(last as f64) * 1.03);
    let alone = std::iter::once((0.0, "1".to_owned()));
    let sizes = by_n.iter().map(|size| (libm::log(size.n as f64), size.n.to_string()));
    drawing.level_axis(across, &alone.chain(sizes).collect::<Vec<_>>(), "sites in the consortium");
    across
}
