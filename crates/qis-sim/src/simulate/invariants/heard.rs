//! A node that is told that others hold something newer of it in the overlay says what is newer still.

use std::collections::BTreeMap;
use std::time::Duration;

use qis_packet::Order;

use super::super::frames::OverlayFrame;
use super::{Violation, holds};

const NAME: &str = "who is told is not outdated";
/// From the sending of the word to that of something newer.
const SOON: Duration = Duration::from_secs(5);

/// What was asked and told since faults are over: before that, either may be lost.
#[derive(Debug, Default)]
pub(in crate::simulate) struct Heard {
    /// When a site sent a message with this nonce.
    asked: BTreeMap<(usize, u64), Duration>,
    /// The newest that a life of a site was told of in a space, and when.
    told: BTreeMap<(usize, u64, [u8; 4]), (Order, Duration)>,
}

impl Heard {
    /// A site sends a message that may be a question.
    pub(in crate::simulate) fn asks(&mut self, site: usize, message: OverlayFrame<'_>, now: Duration) {
        self.asked.entry((site, message.nonce)).or_insert(now);
    }

    /// Somebody sends a message to a site that may tell it of something newer than what it asked by.
    pub(in crate::simulate) fn tells(
        &mut self,
        (site, life): (usize, u64),
        message: OverlayFrame<'_>,
        now: Duration,
    ) -> Result<(), Violation> {
        let Some(&asked) = self.asked.get(&(site, message.nonce)) else { return Ok(()) };
        let Some(order) = message.outdated() else { return Ok(()) };
        let (newest, since) = self.told.entry((site, life, message.space)).or_insert((order, now));
        if order > *newest {
            (*newest, *since) = (order, now);
        }
        holds(NAME, asked <= *since + SOON, || {
            format!(
                "site {site} was told of {newest} at {since:?}, and asked by something older at {asked:?}"
            )
        })
    }
}
