//! The picture of the table: round trips, recall and bytes by the size of the network.

use std::path::{Path, PathBuf};

use plotters::prelude::{RGBColor, SeriesLabelPosition};

use super::compare::{Row, bytes};
use crate::picture::{self, Axis, Line, Panel, ceiling};

const MEASURED: RGBColor = picture::BLUE;
const WORST: RGBColor = picture::SKY;
const ARTICLE: RGBColor = picture::PURPLE;
const AGGREGATOR: RGBColor = picture::VERMILION;

/// Writes `route.svg` and `route.png` into a directory; what went wrong, in words.
pub(super) fn write(rows: &[Row], directory: &Path) -> Result<[PathBuf; 2], String> {
    let line = |name, colour, value: &dyn Fn(&Row) -> Option<f64>| Line {
        name,
        colour,
        points: rows
            .iter()
            .filter_map(|row| Some(((row.measured.nodes as f64).log10(), value(row)?)))
            .collect(),
    };
    let trips = [
        line("log2 N, the article's hops", ARTICLE, &|row| Some(row.measured.hops_log2n)),
        line("round trips, 99 of 100", WORST, &|row| Some(f64::from(row.measured.rounds_p99))),
        line("round trips, mean", MEASURED, &|row| Some(row.measured.rounds_mean)),
    ];
    let recall = [
        line("worst 5 % of queries", WORST, &|row| Some(row.measured.worst5_recall)),
        line("all queries", MEASURED, &|row| Some(row.measured.recall_at_20)),
        line("hashing over a DHT", ARTICLE, &|row| row.dht_recall_at_20),
    ];
    let log = |value: f64| value.max(1.0).log10();
    let load = [
        line("aggregator, 1 MB model (computed)", AGGREGATOR, &|row| {
            Some(log(row.aggregator_bytes_computed[1] as f64))
        }),
        line("aggregator, 4 KB model (computed)", ARTICLE, &|row| {
            Some(log(row.aggregator_bytes_computed[0] as f64))
        }),
        line("busiest node", WORST, &|row| row.measured.packet_bytes_busiest.map(log)),
        line("average node", MEASURED, &|row| row.measured.packet_bytes_mean.map(log)),
    ];
    let least_recall = ((least(&recall, 1.0) * 10.0).floor() / 10.0).min(0.9);
    let panels = [
        panel(rows, "Round trips of a look-up", 0.0..ceiling(&trips, 5.0), &trips, &|y| format!("{y:.0}")),
        panel(rows, "Share of the 20 nearest found", least_recall..1.02, &recall, &|y| format!("{y:.2}")),
        panel(
            rows,
            "Bytes when each node delivers a packet",
            least(&load, 99.0).floor()..ceiling(&load, 1.0) + 2.0,
            &load,
            &|y| bytes(10_f64.powf(y.round())).replace(".0", ""),
        ),
    ];
    picture::write("route", &panels, directory)
}

fn least(lines: &[Line], most: f64) -> f64 {
    lines.iter().flat_map(|line| &line.points).fold(most, |least, point| least.min(point.1))
}

/// Lines over the number of nodes, by its logarithm.
fn panel<'a>(
    rows: &[Row],
    title: &'a str,
    y: std::ops::Range<f64>,
    lines: &'a [Line],
    label: &'a dyn Fn(f64) -> String,
) -> Panel<'a> {
    let sizes = rows.iter().map(|row| (row.measured.nodes as f64).log10());
    let (low, high) = sizes.fold((f64::MAX, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let x = low - 0.1..(high + 0.1).max(low + 0.9);
    // The legend goes where no line does.
    let falls =
        lines.iter().all(|line| line.points.first().map(|at| at.1) >= line.points.last().map(|at| at.1));
    Panel {
        title,
        x: Axis { labels: (x.end - x.start).floor() as usize + 1, range: x, label: &nodes },
        along: "nodes",
        y: Axis { range: y, labels: 8, label },
        lines,
        dots: true,
        legend: if falls { SeriesLabelPosition::LowerLeft } else { SeriesLabelPosition::UpperLeft },
    }
}

/// Nodes for people, at whole powers of ten.
fn nodes(log: f64) -> String {
    let nodes = 10_f64.powf(log);
    if (log - log.round()).abs() >= 0.01 {
        String::new()
    } else if nodes >= 999_999.0 {
        format!("{:.0}M", nodes / 1e6)
    } else if nodes >= 999.0 {
        format!("{:.0}k", nodes / 1e3)
    } else {
        format!("{nodes:.0}")
    }
}
