//! Queues and tables are within their bounds, whatever comes.

use qis::{OverlayReport, Queues, RouterConfig};

use super::{Violation, holds};

const NAME: &str = "memory is bounded";
/// What one frame may add to a queue that was not full when it came.
const AT_ONCE: usize = 64;
const OVERLAY_BYTES: usize = 64 * 1024;
/// Pulls of the clock: one a domain.
const OF_CLOCK: usize = 2;

/// Looks at what waits in a node, how many packets of a domain stand, and its overlays.
pub(in crate::simulate) fn check(
    site: usize,
    config: &RouterConfig,
    queues: &Queues,
    standing: usize,
    overlay: Option<&OverlayReport>,
) -> Result<(), Violation> {
    let within = |what: &str, count: usize, most: usize| {
        holds(NAME, count <= most, || format!("site {site} has {count} {what}, {most} are allowed"))
    };
    // An emission that a store held is gone on with after a restart, and is none too many.
    within("emissions", queues.emissions, 2 * config.emissions.get())?;
    within("pulls", queues.pulls, config.pulls.get() + OF_CLOCK)?;
    within("outputs", queues.outputs, config.outputs.get() + AT_ONCE)?;
    within("changes to commit", queues.commits, config.outputs.get() + AT_ONCE)?;
    within("parked packets", queues.parked, config.parked.get())?;
    within("standing packets", standing, config.authors_per_domain.get())?;
    overlay.map_or(Ok(()), |overlay| within("bytes of overlays", overlay.state_bytes, OVERLAY_BYTES))
}
