//! Drawings as text: axes, lines, bars and words, for a page to hold.

use std::fmt::Write as _;

use crate::html::escape;

/// Size of a drawing in its own units; a page shows it as wide as it has room.
pub(super) const WIDTH: f64 = 480.0;
pub(super) const HEIGHT: f64 = 300.0;
/// What the axes leave free.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 46.0;
/// About the width of a character at the size of the labels.
const CHARACTER: f64 = 7.2;

/// A drawing that grows.
#[derive(Debug)]
pub(super) struct Drawing {
    text: String,
}

/// A scale from values to places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

/// On which side of its place a word stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Scale {
    pub(super) fn across(low: f64, high: f64) -> Self {
        Self { low, high, from: LEFT, to: WIDTH - RIGHT }
    }

    pub(super) fn up(low: f64, high: f64) -> Self {
        Self { low, high, from: HEIGHT - BOTTOM, to: TOP }
    }

    /// The same from another place on.
    pub(super) fn starting(self, from: f64) -> Self {
        Self { from, ..self }
    }

    /// Where a value is; values beyond the ends are at the ends.
    pub(super) fn at(self, value: f64) -> f64 {
        let share = (value.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// Round values, some five of them.
    pub(super) fn ticks(self) -> Vec<f64> {
        let step = step(self.high - self.low);
        let first = libm::ceil(self.low / step - 1e-9) as i64;
        let last = libm::floor(self.high / step + 1e-9) as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

/// A range that holds the values and zero, with round ends.
pub(super) fn round_range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let span = if high > low { high - low } else { 1.0 };
    let step = step(span);
    (step * libm::floor(low / step), step * libm::ceil((high.max(low + span)) / step))
}

/// 1, 2 or 5 times a power of ten, some five of which make the span.
fn step(span: f64) -> f64 {
    let rough = (span / 5.0).max(1e-9);
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

impl Drawing {
    /// An empty one; the title is what is read out for those who do not see it.
    pub(super) fn new(title: &str) -> Self {
        let title = escape(title);
        Self {
            text: format!(
                "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\" xmlns=\"http://www.w3.org/2000/svg\">\n"
            ),
        }
    }

    pub(super) fn end(mut self) -> String {
        self.text += "</svg>\n";
        self.text
    }

    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        // Writing to a string does not fail, here and below.
        let _ = writeln!(
            self.text,
            "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
            from.0, from.1, to.0, to.1
        );
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)]) {
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(self.text, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }

    pub(super) fn disc(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        let _ = writeln!(self.text, "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\"/>");
    }

    /// Between two corners, whichever they are.
    pub(super) fn bar(&mut self, class: &str, one: (f64, f64), other: (f64, f64)) {
        let (x, y) = (one.0.min(other.0), one.1.min(other.1));
        let (width, height) = ((one.0 - other.0).abs(), (one.1 - other.1).abs());
        let _ = writeln!(
            self.text,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        );
    }

    pub(super) fn words(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, words: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let words = escape(words);
        let _ = writeln!(
            self.text,
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>"
        );
    }

    /// Horizontal lines at round values, named on the left, and what they are, above.
    pub(super) fn upright_axis(&mut self, scale: Scale, what: &str, unit: &str) {
        self.words("what", (4.0, 14.0), Anchor::Start, what);
        for tick in scale.ticks() {
            let y = scale.at(tick);
            let class = if tick.abs() < 1e-9 { "zero" } else { "grid" };
            self.line(class, (LEFT, y), (WIDTH - RIGHT, y));
            self.words("tick", (LEFT - 6.0, y + 4.5), Anchor::End, &format!("{}{unit}", figure(tick)));
        }
    }

    /// Names of values below the drawing, as many as there is room for, and what they are.
    pub(super) fn level_axis(&mut self, scale: Scale, named: &[(f64, String)], what: &str) {
        let mut free = f64::NEG_INFINITY;
        for (value, name) in named {
            let (x, half) = (scale.at(*value), CHARACTER * name.chars().count() as f64 / 2.0);
            if x - half > free {
                self.line("mark", (x, HEIGHT - BOTTOM), (x, HEIGHT - BOTTOM + 4.0));
                self.words("tick", (x, HEIGHT - BOTTOM + 18.0), Anchor::Middle, name);
                free = x + half + CHARACTER;
            }
        }
        self.words("what", (WIDTH - RIGHT, HEIGHT - 6.0), Anchor::End, what);
    }
}

/// A number for people.
pub(super) fn figure(value: f64) -> String {
    let size = value.abs();
    let digits = if size >= 9.95 || (size - libm::round(size)).abs() < 1e-9 {
        format!("{size:.0}")
    } else {
        format!("{size:.1}")
    };
    let zero = digits.chars().all(|digit| matches!(digit, '0' | '.'));
    // A minus that is as wide as a plus, and none before zero.
    let sign = if value < 0.0 && !zero { "\u{2212}" } else { "" };
    match digits.len().checked_sub(3) {
        Some(at) if size >= 9999.5 => {
            let (thousands, rest) = digits.split_at(at);
            format!("{sign}{thousands},{rest}")
        }
        _ => format!("{sign}{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within() {
        assert_eq!(Scale::up(0.0, 20.0).ticks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(Scale::up(-40.0, 60.0).ticks(), [-40.0, -20.0, 0.0, 20.0, 40.0, 60.0]);
        assert_eq!(round_range([-3.0, 14.2].into_iter()), (-5.0, 15.0));
        assert_eq!(round_range([0.0].into_iter()), (0.0, 1.0));
        let (low, high) = round_range([-8.0, -2.0].into_iter());
        assert!(low <= -8.0 && high == 0.0);
    }

    #[test]
    fn what_is_beyond_the_scale_is_at_its_end() {
        let scale = Scale::across(0.0, 10.0);
        assert_eq!(scale.at(-5.0), scale.at(0.0));
        assert_eq!(scale.at(50.0), scale.at(10.0));
    }

    #[test]
    fn figures_and_names_are_fit_for_a_page() {
        assert_eq!([-3970.4, -0.04, 7.25, 3.0].map(figure), ["\u{2212}3970", "0.0", "7.2", "3"]);
        assert_eq!(figure(-12345.6), "\u{2212}12,346");
        assert_eq!(escape("a<b & \"c\">"), "a&lt;b &amp; &quot;c&quot;&gt;");
    }

    #[test]
    fn names_that_would_overlap_are_left_out() {
        let mut drawing = Drawing::new("t");
        let named = [1.0, 1.05, 9.0].map(|value| (value, format!("{value}")));
        drawing.level_axis(Scale::across(0.0, 10.0), &named, "x");
        let text = drawing.end();
        assert!(text.contains(">1<") && !text.contains(">1.05<") && text.contains(">9<"));
    }
}
