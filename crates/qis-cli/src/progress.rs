//! A bar on the standard error for what takes long, if somebody is looking.

use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Of so many steps; 0 when nobody knows.
    pub(crate) fn new(what: &'static str, steps: usize) -> Self {
        let bar = if steps == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(steps as u64) };
        let template = if steps == 0 {
            "{msg:<14} {spinner} {elapsed}"
        } else {
            "{msg:<14} {bar:40} {human_pos}/{human_len} {elapsed}, {eta} left"
        };
        // Falls back to the default style if the template is none.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    pub(crate) fn set(&self, done: usize) {
        self.0.set_position(done as u64);
    }

    pub(crate) fn end(self) {
        self.0.finish_and_clear();
    }
}

/// A line on the standard error.
pub(crate) fn say(line: &str) {
    // Nobody is left to be told when this fails.
    let _ = writeln!(io::stderr(), "{line}");
}
