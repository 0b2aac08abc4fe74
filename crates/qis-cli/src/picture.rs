//! Pictures of lines, side by side, as a drawing and as a bitmap.

use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

/// Size of a panel; the bitmap has twice as many pixels each way.
const PANEL: (u32, u32) = (440, 460);

// Okabe and Ito's palette, told apart by colour-blind readers too.
const INK: RGBColor = RGBColor(34, 38, 43);
const RULE: RGBColor = RGBColor(224, 227, 231);
pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const SKY: RGBColor = RGBColor(86, 180, 233);
pub(crate) const PURPLE: RGBColor = RGBColor(184, 84, 140);
pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);

/// A line of a panel, in the coordinates of its axes.
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) colour: RGBColor,
    pub(crate) points: Vec<(f64, f64)>,
}

/// What an axis shows, and what stands beside a value of it.
pub(crate) struct Axis<'a> {
    pub(crate) range: Range<f64>,
    pub(crate) labels: usize,
    pub(crate) label: &'a dyn Fn(f64) -> String,
}

/// Lines that share two axes.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    pub(crate) x: Axis<'a>,
    /// What is along the horizontal axis.
    pub(crate) along: &'a str,
    pub(crate) y: Axis<'a>,
    pub(crate) lines: &'a [Line],
    /// Whether each point has a dot: not where there are hundreds.
    pub(crate) dots: bool,
    /// Where no line is.
    pub(crate) legend: SeriesLabelPosition,
}

/// Writes `NAME.svg` and `NAME.png` into a directory; what went wrong, in words.
pub(crate) fn write(name: &str, panels: &[Panel<'_>], directory: &Path) -> Result<[PathBuf; 2], String> {
    let [svg, png] = ["svg", "png"].map(|end| directory.join(format!("{name}.{end}")));
    let size = (PANEL.0 * panels.len() as u32, PANEL.1);
    let drawn = || -> Result<(), Box<dyn Error>> {
        register_font("sans-serif", FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT)
            .map_err(|_| "the embedded font is unusable")?;
        fs::create_dir_all(directory)?;
        draw(panels, &SVGBackend::new(&svg, size).into_drawing_area(), 1)?;
        draw(panels, &BitMapBackend::new(&png, (2 * size.0, 2 * size.1)).into_drawing_area(), 2)
    };
    drawn().map_err(|error| error.to_string())?;
    Ok([svg, png])
}

/// The next multiple above all points.
pub(crate) fn ceiling(lines: &[Line], multiple: f64) -> f64 {
    let most = lines.iter().flat_map(|line| &line.points).fold(0.0_f64, |most, point| most.max(point.1));
    (most / multiple).floor() * multiple + multiple
}

fn draw<DB>(panels: &[Panel<'_>], area: &DrawingArea<DB, Shift>, scale: u32) -> Result<(), Box<dyn Error>>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    area.fill(&WHITE)?;
    for (part, panel) in area.split_evenly((1, panels.len())).iter().zip(panels) {
        panel.draw(part, scale)?;
    }
    area.present()?;
    Ok(())
}

impl Panel<'_> {
    fn draw<DB>(&self, area: &DrawingArea<DB, Shift>, scale: u32) -> Result<(), Box<dyn Error>>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        let font = |size: u32| ("sans-serif", size * scale).into_font().color(&INK);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, font(19))
            .margin(14 * scale)
            .x_label_area_size(42 * scale)
            .y_label_area_size(64 * scale)
            .build_cartesian_2d(self.x.range.clone(), self.y.range.clone())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .bold_line_style(RULE)
            .light_line_style(TRANSPARENT)
            .axis_style(RULE)
            .x_labels(self.x.labels)
            .y_labels(self.y.labels)
            .x_desc(self.along)
            .x_label_formatter(&|x| (self.x.label)(*x))
            .y_label_formatter(&|y| (self.y.label)(*y))
            .label_style(font(14))
            .axis_desc_style(font(15))
            .draw()?;
        for line in self.lines {
            let stroke = line.colour.stroke_width(2 * scale);
            chart
                .draw_series(LineSeries::new(line.points.iter().copied(), stroke))?
                .label(line.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18 * scale as i32, y)], stroke));
            if self.dots {
                let dot = |&at: &(f64, f64)| Circle::new(at, 3 * scale, line.colour.filled());
                chart.draw_series(line.points.iter().map(dot))?;
            }
        }
        chart
            .configure_series_labels()
            .position(self.legend.clone())
            .legend_area_size(24 * scale)
            .margin(8 * scale)
            .background_style(WHITE.mix(0.85))
            .label_font(font(14))
            .draw()?;
        Ok(())
    }
}
