//! From a run that failed to a smaller one that does.

use super::fault::FaultKind;
use super::run::{Report, simulate};
use super::settings::Settings;

/// Leaves out kinds of faults one after the other, then sites, and then kinds of faults once more, as long as the same invariant does not hold. Every
/// step is a run.
///
/// `None` when the run does not fail as it is.
#[must_use]
pub fn shrink(settings: &Settings) -> Option<Report> {
    let first = simulate(settings);
    let invariant = first.violation.as_ref()?.invariant;
    let fails = |settings: &Settings| {
        let report = simulate(settings);
        report.violation.as_ref().is_some_and(|found| found.invariant == invariant).then_some(report)
    };
    let mut smallest = without_faults(first, fails);
    // What was wanted and never came about need not be named.
    let mut nodes = u16::try_from(smallest.nodes).unwrap_or(u16::MAX);
    while nodes > 2 {
        let fewer = [nodes / 2, nodes - 1].into_iter().filter(|fewer| *fewer >= 2);
        let smaller = fewer.map(|fewer| Settings { nodes: fewer..=fewer, ..smallest.settings.clone() });
        let Some(report) = smaller.into_iter().find_map(|settings| fails(&settings)) else { break };
        smallest = report;
        nodes = u16::try_from(smallest.nodes).unwrap_or(u16::MAX);
    }
    Some(without_faults(smallest, fails))
}

/// Leaves out each kind of fault that need not be there.
fn without_faults(mut smallest: Report, fails: impl Fn(&Settings) -> Option<Report>) -> Report {
    for &kind in FaultKind::ALL {
        if smallest.faults.contains_key(&kind) {
            let mut without = smallest.settings.clone();
            without.without.insert(kind);
            smallest = fails(&without).unwrap_or(smallest);
        }
    }
    smallest
}
