//! The picture: a row for each hospital, a lane for each method, a panel for each metric.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use crate::report::{Measured, Method, Metric, Report};

/// Size of the picture; the bitmap has twice as many pixels each way.
const SIZE: (u32, u32) = (1200, 700);
/// The best average accuracy `FLamby` publishes for a federated method here (`FedAdagrad`, `FedYogi`).
const PUBLISHED_ACCURACY: f64 = 0.731;

// Okabe and Ito's palette, told apart by colour-blind readers too; text in darker shades.
const INK: RGBColor = RGBColor(34, 38, 43);
const GREY: RGBColor = RGBColor(104, 110, 118);
const RULE: RGBColor = RGBColor(224, 227, 231);
const BAND: RGBColor = RGBColor(236, 244, 250);
const QIS: RGBColor = RGBColor(0, 114, 178);
const ARTICLE: RGBColor = RGBColor(184, 84, 140);
const FEDAVG: RGBColor = RGBColor(213, 94, 0);

// Layout, in points of the picture.
const TOP: f64 = 128.0;
const ROW: f64 = 105.0;
const LANE: f64 = 22.0;
const MARGIN: f64 = 32.0;
const LANE_LABELS: f64 = 292.0;

/// Writes `hospitals.svg` and `hospitals.png` into `directory`.
pub(crate) fn write(report: &Report, directory: &Path) -> Result<[PathBuf; 2], Box<dyn Error>> {
    register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
        .map_err(|_| "the embedded font is unusable")?;
    fs::create_dir_all(directory)?;
    let [svg, png] = ["hospitals.svg", "hospitals.png"].map(|name| directory.join(name));
    draw(report, SVGBackend::new(&svg, SIZE), 1.0)?;
    draw(report, BitMapBackend::new(&png, (2 * SIZE.0, 2 * SIZE.1)), 2.0)?;
    Ok([svg, png])
}

fn draw<DB>(report: &Report, backend: DB, scale: f64) -> Result<(), Box<dyn Error>>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let area = backend.into_drawing_area();
    area.fill(&WHITE)?;
    let canvas = Canvas { area: &area, scale };
    canvas.page(report)?;
    area.present()?;
    Ok(())
}

/// A metric's axis.
struct Panel {
    metric: Metric,
    title: &'static str,
    left: f64,
    right: f64,
    /// Axis limits in tenths.
    tenths: (i32, i32),
}

impl Panel {
    fn new(report: &Report, metric: Metric, title: &'static str, left: f64, right: f64) -> Self {
        let shown = report.hospitals.iter().flat_map(|h| h.methods.values());
        let ends = shown.map(|m| m.get(metric)).map(|(v, ci)| (v, ci.unwrap_or(0.0)));
        let (low, high) =
            ends.fold((f64::INFINITY, 0.0_f64), |(low, high), (v, ci)| (low.min(v - ci), high.max(v + ci)));
        let tenths = ((low * 10.0).floor() as i32, (high * 10.0).ceil() as i32);
        Self { metric, title, left, right, tenths }
    }

    fn x(&self, value: f64) -> f64 {
        let (low, high) = (f64::from(self.tenths.0), f64::from(self.tenths.1));
        self.left + (value * 10.0 - low) / (high - low) * (self.right - self.left)
    }
}

/// Where a method's result lies on an axis.
#[derive(Clone, Copy)]
struct Mark {
    value: f64,
    x: f64,
    /// Ends of the interval; both `x` if there is none.
    ends: (f64, f64),
}

/// A drawing area measured in points instead of pixels.
struct Canvas<'a, DB: DrawingBackend> {
    area: &'a DrawingArea<DB, Shift>,
    scale: f64,
}

type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

impl<DB: DrawingBackend> Canvas<'_, DB> {
    fn page(&self, report: &Report) -> Drawn<DB> {
        let (left, right) = (MARGIN - 14.0, f64::from(SIZE.0) - MARGIN + 14.0);
        let bottom = TOP + ROW * (report.hospitals.len() + 1) as f64;
        self.text(&report.finding(), (MARGIN, 34.0), HPos::Left, 27.0, INK)?;
        let subtitle = format!(
            "{} patients, and none leaves a hospital: {} bytes are sent in all, at most {} in a packet. {}",
            report.patients(),
            report.bytes_sent,
            report.max_packet_bytes,
            report.protocol(),
        );
        self.text(&subtitle, (MARGIN, 66.0), HPos::Left, 17.0, GREY)?;

        self.rectangle((left, TOP), (right, TOP + ROW), BAND)?;
        let panels = [
            Panel::new(report, Metric::LogLoss, "Log-loss, less is better", 364.0, 734.0),
            Panel::new(report, Metric::Accuracy, "Accuracy, more is better", 812.0, 1124.0),
        ];
        for panel in &panels {
            self.axis(panel, bottom)?;
        }
        self.published(&panels[1])?;
        let average = ("Average", "of the four".to_owned(), &report.average);
        let hospitals = report.hospitals.iter().map(|h| {
            let patients = format!("{} train, {} test", h.n_train, h.n_test);
            (h.name.as_str(), patients, &h.methods)
        });
        for (i, (name, patients, methods)) in [average].into_iter().chain(hospitals).enumerate() {
            let top = TOP + ROW * i as f64;
            if i > 1 {
                self.line(&[(left, top), (right, top)], 1.0, RULE)?;
            }
            self.row(top, name, &patients)?;
            for panel in &panels {
                self.marks(panel, i, methods)?;
            }
        }
        let key = "Bars: training alone, ridge by cross-validation (tall) and by evidence (short). \
                   Ring and disc: the article's rule after one round and after ten.";
        self.text(key, (MARGIN, bottom + 36.0), HPos::Left, 15.0, GREY)
    }

    fn axis(&self, panel: &Panel, bottom: f64) -> Drawn<DB> {
        self.text(panel.title, (panel.left, TOP - 32.0), HPos::Left, 18.0, INK)?;
        for tenth in panel.tenths.0..=panel.tenths.1 {
            let value = f64::from(tenth) / 10.0;
            let x = panel.x(value);
            self.line(&[(x, TOP), (x, bottom)], 1.0, RULE)?;
            self.text(&format!("{value:.1}"), (x, bottom + 13.0), HPos::Center, 15.0, GREY)?;
        }
        Ok(())
    }

    /// The published average, to compare the average row with.
    fn published(&self, accuracy: &Panel) -> Drawn<DB> {
        let x = accuracy.x(PUBLISHED_ACCURACY);
        for dash in 0..(ROW / 7.0) as u32 {
            let y = TOP + 7.0 * f64::from(dash);
            self.line(&[(x, y), (x, y + 4.0)], 1.5, INK)?;
        }
        let label = format!("published best federated {PUBLISHED_ACCURACY:.3}");
        self.text(&label, (x, TOP - 10.0), HPos::Center, 14.0, INK)
    }

    fn row(&self, top: f64, name: &str, patients: &str) -> Drawn<DB> {
        self.text(name, (MARGIN, lane(top, 0)), HPos::Left, 21.0, INK)?;
        self.text(patients, (MARGIN, lane(top, 1)), HPos::Left, 15.0, GREY)?;
        let lanes = [
            ("alone to QIS", QIS),
            ("article's rule", ARTICLE),
            ("FedAvg", FEDAVG),
            ("majority class", GREY),
        ];
        for (n, (label, colour)) in lanes.into_iter().enumerate() {
            self.text(label, (LANE_LABELS, lane(top, n)), HPos::Right, 15.0, colour)?;
        }
        Ok(())
    }

    fn marks(&self, panel: &Panel, i: usize, methods: &BTreeMap<Method, Measured>) -> Drawn<DB> {
        let top = TOP + ROW * i as f64;
        let paper = if i == 0 { BAND } else { WHITE };
        let marks = Method::ALL.map(|method| {
            let (value, ci) = methods[&method].get(panel.metric);
            let ci = ci.unwrap_or(0.0);
            Mark { value, x: panel.x(value), ends: (panel.x(value - ci), panel.x(value + ci)) }
        });
        let [majority, local, evidence, fedavg, one, ten, qis] = marks;
        let [y_qis, y_article, y_fedavg, y_majority] = [0, 1, 2, 3].map(|n| lane(top, n));

        for (mark, y, colour) in [
            (qis, y_qis, QIS),
            (one, y_article, ARTICLE),
            (ten, y_article, ARTICLE),
            (fedavg, y_fedavg, FEDAVG),
        ] {
            self.line(&[(mark.ends.0, y), (mark.ends.1, y)], 1.0, colour)?;
        }
        self.line(&[(local.x, y_qis), (qis.x, y_qis)], 4.0, QIS)?;
        self.bar(evidence.x, y_qis, 5.0, 1.5)?;
        self.bar(local.x, y_qis, 9.0, 3.0)?;
        self.disc((qis.x, y_qis), 7.5, QIS)?;

        self.line(&[(one.x, y_article), (ten.x, y_article)], 1.5, ARTICLE)?;
        self.disc((one.x, y_article), 5.0, ARTICLE)?;
        self.disc((one.x, y_article), 3.0, WHITE)?;
        self.disc((ten.x, y_article), 5.0, ARTICLE)?;
        let diamond = [(0.0, -6.0), (6.0, 0.0), (0.0, 6.0), (-6.0, 0.0)];
        self.polygon(&diamond.map(|(dx, dy)| (fedavg.x + dx, y_fedavg + dy)), FEDAVG)?;
        let (x, y) = (majority.x, y_majority);
        self.rectangle((x - 4.0, y - 4.0), (x + 4.0, y + 4.0), GREY)?;

        // Numbers stand outside everything in their lane.
        let (low, high) = span(&[qis, local, evidence]);
        let (own, other) = ((local, (15.0, INK)), (qis, (19.0, QIS)));
        let (before, after) = if qis.x < local.x { (other, own) } else { (own, other) };
        self.number(before.0, (low - 11.0, y_qis), HPos::Right, before.1, paper)?;
        self.number(after.0, (high + 11.0, y_qis), HPos::Left, after.1, paper)?;
        if i > 0 {
            return Ok(());
        }
        for (mark, lane, y, colour) in [
            (ten, span(&[one, ten]), y_article, ARTICLE),
            (fedavg, span(&[fedavg]), y_fedavg, FEDAVG),
            (majority, span(&[majority]), y_majority, GREY),
        ] {
            let (x, side) = match panel.metric {
                Metric::LogLoss => (lane.1 + 11.0, HPos::Left),
                Metric::Accuracy => (lane.0 - 11.0, HPos::Right),
            };
            self.number(mark, (x, y), side, (15.0, colour), paper)?;
        }
        Ok(())
    }

    /// A value on a patch of `paper`, so that no rule runs through it.
    fn number(
        &self,
        mark: Mark,
        (x, y): (f64, f64),
        side: HPos,
        (size, colour): (f64, RGBColor),
        paper: RGBColor,
    ) -> Drawn<DB> {
        let width = 2.5 * size;
        let left = if matches!(side, HPos::Left) { x } else { x - width };
        self.rectangle((left, y - 8.0), (left + width, y + 8.0), paper)?;
        self.text(&format!("{:.3}", mark.value), (x, y), side, size, colour)
    }

    fn px(&self, (x, y): (f64, f64)) -> (i32, i32) {
        ((x * self.scale).round() as i32, (y * self.scale).round() as i32)
    }

    fn text(&self, text: &str, at: (f64, f64), side: HPos, size: f64, colour: RGBColor) -> Drawn<DB> {
        let style = ("sans-serif", size * self.scale).into_font().color(&colour);
        self.area.draw_text(text, &style.pos(Pos::new(side, VPos::Center)), self.px((at.0, at.1 + 1.5)))
    }

    fn line(&self, points: &[(f64, f64)], width: f64, colour: RGBColor) -> Drawn<DB> {
        let points: Vec<_> = points.iter().map(|p| self.px(*p)).collect();
        let stroke = colour.stroke_width((width * self.scale).round() as u32);
        self.area.draw(&PathElement::new(points, stroke))
    }

    fn bar(&self, x: f64, y: f64, reach: f64, width: f64) -> Drawn<DB> {
        self.rectangle((x - width / 2.0, y - reach), (x + width / 2.0, y + reach), INK)
    }

    fn rectangle(&self, from: (f64, f64), to: (f64, f64), colour: RGBColor) -> Drawn<DB> {
        self.area.draw(&Rectangle::new([self.px(from), self.px(to)], colour.filled()))
    }

    fn polygon(&self, points: &[(f64, f64)], colour: RGBColor) -> Drawn<DB> {
        let points: Vec<_> = points.iter().map(|p| self.px(*p)).collect();
        self.area.draw(&Polygon::new(points, colour.filled()))
    }

    fn disc(&self, at: (f64, f64), radius: f64, colour: RGBColor) -> Drawn<DB> {
        self.area.draw(&Circle::new(self.px(at), (radius * self.scale).round() as i32, colour.filled()))
    }
}

/// The ends of a group of marks and their intervals.
fn span(marks: &[Mark]) -> (f64, f64) {
    let low = marks.iter().fold(f64::INFINITY, |m, mark| m.min(mark.ends.0));
    let high = marks.iter().fold(0.0_f64, |m, mark| m.max(mark.ends.1));
    (low, high)
}

/// The middle of a row's lane `n`.
fn lane(top: f64, n: usize) -> f64 {
    top + ROW / 2.0 + (n as f64 - 1.5) * LANE
}
