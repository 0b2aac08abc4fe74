//! What else the machine does, since figures depend on it.

use std::fs;

/// The load averages of the last 1, 5 and 15 minutes, as Linux tells them; empty elsewhere.
#[must_use]
pub fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
