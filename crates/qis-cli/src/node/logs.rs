//! What the program says on the standard error.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use super::config::{Level, Log, LogFormat};

/// Begins to log. Later calls change nothing.
pub(super) fn start(log: Log) {
    let level = match log.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // What libraries below say is for those who work on them: their warnings say nothing of what to do.
    let others = if level > LevelFilter::INFO { LevelFilter::WARN } else { LevelFilter::ERROR };
    let targets = Targets::new().with_default(others).with_target("qis", level);
    let registry = tracing_subscriber::registry().with(targets);
    let started = match log.format {
        LogFormat::Text => registry.with(fmt::layer().with_ansi(false).with_writer(io::stderr)).try_init(),
        LogFormat::Json => {
            let layer =
                fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry.with(layer.with_writer(io::stderr)).try_init()
        }
    };
    // Only tests of one process start twice.
    let _ = started;
}
