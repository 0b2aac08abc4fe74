//! Every packet that is applied was made by its author for this network, and is in force by the site's clock.

use qis_packet::SKEW_SECONDS;

use super::{Facts, Stored, Violation, holds};

const NAME: &str = "every packet has an origin";
const TIME: &str = "every packet is in force";
/// What was applied while the disk was full may become durable so much later, in seconds.
const LATE: u64 = 900;

pub(super) fn check(facts: &Facts, stored: &Stored<'_>) -> Result<(), Violation> {
    let (packet, site) = (stored.packet, stored.site);
    holds(NAME, facts.is_real(&stored.id), || {
        format!(
            "site {site} applied {} under the name of {:?}, who did not make it",
            packet.order(),
            stored.who
        )
    })?;
    if !stored.steady {
        return Ok(());
    }
    let (time, wall) = (packet.time().unix_seconds(), stored.wall);
    let from = time.saturating_sub(SKEW_SECONDS);
    let until = time.saturating_add(packet.lifetime().seconds() + SKEW_SECONDS);
    holds(TIME, (from..=until.saturating_add(LATE)).contains(&wall), || {
        format!("site {site} applied a packet of {time} when it was {wall}")
    })
}
