//! The picture of a load: packets, memory and latency by the second.

use std::path::{Path, PathBuf};

use plotters::prelude::SeriesLabelPosition;

use super::{Report, Sample};
use crate::picture::{self, Axis, Line, Panel, ceiling};

const MIB: f64 = 1024.0 * 1024.0;

/// Writes `load.svg` and `load.png` into a directory; what went wrong, in words.
pub(super) fn write(report: &Report, directory: &Path) -> Result<[PathBuf; 2], String> {
    let line = |name, colour, value: &dyn Fn(&Sample) -> Option<f64>| Line {
        name,
        colour,
        points: report
            .samples
            .iter()
            .filter_map(|sample| Some((sample.second as f64, value(sample)?)))
            .collect(),
    };
    let packets = [
        line("handed in", picture::SKY, &|sample| Some(sample.packets as f64)),
        line("verified, applied and kept", picture::BLUE, &|sample| Some(sample.kept as f64)),
    ];
    let memory = [line("resident", picture::BLUE, &|sample| Some(sample.resident_bytes? as f64 / MIB))];
    let log = |microseconds: Option<u64>| Some((microseconds? as f64).max(1.0).log10());
    let latency = [
        line("99 of 100", picture::VERMILION, &|sample| log(sample.p99_us)),
        line("half of them", picture::BLUE, &|sample| log(sample.p50_us)),
    ];
    let panel = |title, lines, labels, most, label| Panel {
        title,
        x: Axis {
            range: 0.0..(report.samples.len() as f64).max(1.0),
            labels: 6,
            label: &|second| format!("{second:.0}"),
        },
        along: "seconds",
        y: Axis { range: 0.0..most, labels, label },
        lines,
        dots: false,
        legend: SeriesLabelPosition::LowerLeft,
    };
    let whole: &dyn Fn(f64) -> String = &|value| format!("{value:.0}");
    let most = ceiling(&packets, 1.0).log10().floor();
    let panels = [
        panel("Packets a second", &packets[..], 8, ceiling(&packets, 10_f64.powf(most) / 2.0), whole),
        panel("Resident memory, MiB", &memory[..], 8, ceiling(&memory, 10.0), whole),
        panel("Due until kept", &latency[..], 8, ceiling(&latency, 1.0), &time),
    ];
    picture::write("load", &panels, directory)
}

/// Whole powers of ten of a microsecond, for people.
fn time(log: f64) -> String {
    let microseconds = 10_f64.powf(log.round());
    if (log - log.round()).abs() >= 0.01 {
        String::new()
    } else if microseconds >= 1e6 {
        format!("{:.0} s", microseconds / 1e6)
    } else if microseconds >= 1e3 {
        format!("{:.0} ms", microseconds / 1e3)
    } else {
        format!("{microseconds:.0} us")
    }
}
