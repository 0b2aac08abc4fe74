//! The picture of the table: round trips, recall and bytes by the size of the network.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::compare::{Row, bytes};

/// Size of the picture; the bitmap has twice as many pixels each way.
const SIZE: (u32, u32) = (1320, 460);

// Okabe and Ito's palette, told apart by colour-blind readers too.
const INK: RGBColor = RGBColor(34, 38, 43);
const RULE: RGBColor = RGBColor(224, 227, 231);
const MEASURED: RGBColor = RGBColor(0, 114, 178);
const WORST: RGBColor = RGBColor(86, 180, 233);
const ARTICLE: RGBColor = RGBColor(184, 84, 140);
const AGGREGATOR: RGBColor = RGBColor(213, 94, 0);

/// Writes `route.svg` and `route.png` into a directory; what went wrong, in words.
pub(super) fn write(rows: &[Row], directory: &Path) -> Result<[PathBuf; 2], String> {
    let [svg, png] = ["route.svg", "route.png"].map(|name| directory.join(name));
    let drawn = || -> Result<(), Box<dyn Error>> {
        register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
            .map_err(|_| "the embedded font is unusable")?;
        fs::create_dir_all(directory)?;
        draw(rows, &SVGBackend::new(&svg, SIZE).into_drawing_area(), 1)?;
        draw(rows, &BitMapBackend::new(&png, (2 * SIZE.0, 2 * SIZE.1)).into_drawing_area(), 2)
    };
    drawn().map_err(|error| error.to_string())?;
    Ok([svg, png])
}

/// A line of a panel.
struct Series {
    name: &'static str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

fn draw<DB>(rows: &[Row], area: &DrawingArea<DB, Shift>, scale: u32) -> Result<(), Box<dyn Error>>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    let series = |name, colour, value: &dyn Fn(&Row) -> Option<f64>| Series {
        name,
        colour,
        points: rows.iter().filter_map(|row| Some((row.measured.nodes as f64, value(row)?))).collect(),
    };
    let panels = area.split_evenly((1, 3));
    let [trips, recall, load] = panels.as_slice() else { return Err("three panels".into()) };
    let lines = [
        series("log2 N, the article's hops", ARTICLE, &|row| Some(row.measured.hops_log2n)),
        series("round trips, 99 of 100", WORST, &|row| Some(f64::from(row.measured.rounds_p99))),
        series("round trips, mean", MEASURED, &|row| Some(row.measured.rounds_mean)),
    ];
    panel(trips, "Round trips of a look-up", 0.0..ceiling(&lines, 5.0), &lines, scale, &|y| {
        format!("{y:.0}")
    })?;
    let lines = [
        series("worst 5 % of queries", WORST, &|row| Some(row.measured.worst5_recall)),
        series("all queries", MEASURED, &|row| Some(row.measured.recall_at_20)),
        series("hashing over a DHT", ARTICLE, &|row| row.dht_recall_at_20),
    ];
    let least = lines.iter().flat_map(|line| &line.points).fold(1.0_f64, |least, point| least.min(point.1));
    let least = ((least * 10.0).floor() / 10.0).min(0.9);
    panel(recall, "Share of the 20 nearest found", least..1.02, &lines, scale, &|y| format!("{y:.2}"))?;
    let lines = [
        series("aggregator, 1 MB model (computed)", AGGREGATOR, &|row| {
            Some(row.aggregator_bytes_computed[1] as f64)
        }),
        series("aggregator, 4 KB model (computed)", ARTICLE, &|row| {
            Some(row.aggregator_bytes_computed[0] as f64)
        }),
        series("busiest node", WORST, &|row| row.measured.packet_bytes_busiest),
        series("average node", MEASURED, &|row| row.measured.packet_bytes_mean),
    ];
    let logs = lines.map(|line| Series {
        points: line.points.into_iter().map(|(x, y)| (x, y.max(1.0).log10())).collect(),
        ..line
    });
    let least = logs.iter().flat_map(|line| &line.points).fold(99.0_f64, |least, point| least.min(point.1));
    let most = ceiling(&logs, 1.0) + 2.0;
    let title = "Bytes when each node delivers a packet";
    panel(load, title, least.floor()..most, &logs, scale, &|y| {
        bytes(10_f64.powf(y.round())).replace(".0", "")
    })?;
    area.present()?;
    Ok(())
}

/// The next multiple above all points.
fn ceiling(lines: &[Series], multiple: f64) -> f64 {
    let most = lines.iter().flat_map(|line| &line.points).fold(0.0_f64, |most, point| most.max(point.1));
    (most / multiple).floor() * multiple + multiple
}

fn panel<DB>(
    area: &DrawingArea<DB, Shift>,
    title: &str,
    y: Range<f64>,
    lines: &[Series],
    scale: u32,
    label: &dyn Fn(f64) -> String,
) -> Result<(), Box<dyn Error>>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    // The legend goes where no line does.
    let falls =
        lines.iter().all(|line| line.points.first().map(|at| at.1) >= line.points.last().map(|at| at.1));
    let font = |size: u32| ("sans-serif", size * scale).into_font().color(&INK);
    let ends = lines.iter().flat_map(|line| &line.points).map(|point| point.0);
    let (low, high) = ends.fold((f64::MAX, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let x = low.log10() - 0.1..(high.log10() + 0.1).max(low.log10() + 0.9);
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(19))
        .margin(14 * scale)
        .x_label_area_size(42 * scale)
        .y_label_area_size(64 * scale)
        .build_cartesian_2d(x.clone(), y)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(RULE)
        .light_line_style(TRANSPARENT)
        .axis_style(RULE)
        .x_labels((x.end - x.start).floor() as usize + 1)
        .y_labels(8)
        .x_desc("nodes")
        .x_label_formatter(&|x| {
            if (x - x.round()).abs() < 0.01 { thousands(10_f64.powf(*x)) } else { String::new() }
        })
        .y_label_formatter(&|y| label(*y))
        .label_style(font(14))
        .axis_desc_style(font(15))
        .draw()?;
    for line in lines {
        let points: Vec<(f64, f64)> = line.points.iter().map(|&(x, y)| (x.log10(), y)).collect();
        let stroke = line.colour.stroke_width(2 * scale);
        chart
            .draw_series(LineSeries::new(points.clone(), stroke))?
            .label(line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18 * scale as i32, y)], stroke));
        chart.draw_series(points.into_iter().map(|at| Circle::new(at, 3 * scale, line.colour.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(if falls { SeriesLabelPosition::LowerLeft } else { SeriesLabelPosition::UpperLeft })
        .legend_area_size(24 * scale)
        .margin(8 * scale)
        .background_style(WHITE.mix(0.85))
        .label_font(font(14))
        .draw()?;
    Ok(())
}

/// Nodes for people.
fn thousands(nodes: f64) -> String {
    if nodes >= 999_999.0 {
        format!("{:.0}M", nodes / 1e6)
    } else if nodes >= 999.0 {
        format!("{:.0}k", nodes / 1e3)
    } else {
        format!("{nodes:.0}")
    }
}
