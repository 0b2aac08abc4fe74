//! What an operator should know of refusals that go on: they are counts, and somebody has to look at those.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use qis::{Node, OverlayRefusal, Refusal};

/// How often the counts are looked at.
pub(super) const LOOK: Duration = Duration::from_secs(2);
/// One line of a kind in so much time.
const QUIET: Duration = Duration::from_secs(600);

/// What was told of, and when.
#[derive(Debug, Default)]
pub(super) struct Advice(BTreeMap<&'static str, Told>);

#[derive(Clone, Copy, Debug)]
struct Told {
    at: Instant,
    count: u64,
}

impl Advice {
    /// Logs a line for each kind of refusal that happened since it was told of last, if that was a while ago.
    pub(super) fn look(&mut self, node: &Node, now: Instant) {
        let stats = node.stats();
        let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (text, count) in stats.refusals().filter_map(|(why, count)| Some((of_frame(why)?, count))) {
            *counts.entry(text).or_default() += count;
        }
        let overlay = node.overlay_stats();
        let refused = |why| overlay.as_ref().map_or(0, |report| report.stats.refused(why));
        let members = OverlayRefusal::ALL.into_iter().filter_map(|why| Some((of_member(why)?, refused(why))));
        for (text, count) in members {
            *counts.entry(text).or_default() += count;
        }
        for (text, count) in counts {
            if let Some(new) = self.is_due(text, count, now) {
                tracing::warn!(count, new, "{text}");
            }
        }
    }

    /// How many are new, if they are to be told of.
    fn is_due(&mut self, text: &'static str, count: u64, now: Instant) -> Option<u64> {
        let told = self.0.get(text);
        let new = count - told.map_or(0, |told| told.count).min(count);
        if new == 0 || told.is_some_and(|told| now.duration_since(told.at) < QUIET) {
            return None;
        }
        self.0.insert(text, Told { at: now, count });
        Some(new)
    }
}

/// What to do about frames that are refused for this reason; nothing where it is a matter of course.
const fn of_frame(why: Refusal) -> Option<&'static str> {
    Some(match why {
        Refusal::TooLarge | Refusal::Malformed | Refusal::Parts | Refusal::Unknown => {
            "frames came that are none of this version: upgrade the older side if it is one of yours, else `block` its author in [transport]"
        }
        Refusal::PeerRate => {
            "frames came faster from one address than `peer_frames_per_second` in [limits] allows, and were dropped: `block` its author in \
             [transport], or raise the limit if it is one of yours"
        }
        Refusal::AuthorRate => {
            "an author states more than `author_packets_per_second` in [limits] allows, and is told to try again: ask why, or raise the limit"
        }
        Refusal::Unsigned | Refusal::Forged | Refusal::RetiredKey => {
            "packets came with signatures that do not hold: compare `network` in [node] on both sides; else somebody tries, see whom to `block` in \
             [transport]"
        }
        Refusal::Payload => {
            "packets do not fit their domain: compare its `dims`, or `family` and `features`, with those of the other sites"
        }
        Refusal::TooEarly => {
            "packets came from the future: compare the clocks of this machine and the others, and synchronise them"
        }
        Refusal::Full => {
            "authors are turned away since a table is full: raise `authors_per_domain` in [limits] if the network has grown, else admit by `issuers` in \
             [admission]"
        }
        Refusal::Busy => {
            "frames are turned away since the store or the network is behind: see to the disk, or raise `outputs` in [limits]"
        }
        _ => return None,
    })
}

/// What to do about members that are refused for this reason.
const fn of_member(why: OverlayRefusal) -> Option<&'static str> {
    Some(match why {
        OverlayRefusal::NotAdmitted => {
            "a node without a credential of the `issuers` in [admission] wants to take part: issue it one with `qis node --admit` if it is one of yours"
        }
        OverlayRefusal::Signature => {
            "a node says who it is with a signature that does not hold: compare `network` in [node] on both sides"
        }
        OverlayRefusal::RateLimited => {
            "more is asked of the overlay than it answers: see who asks, and `block` its author in [transport] if it is none of yours"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_told_of_now_and_then_with_how_often_it_happened() {
        let mut advice = Advice::default();
        let (now, text) = (Instant::now(), "text");
        assert_eq!(advice.is_due(text, 0, now), None, "nothing happened");
        assert_eq!(advice.is_due(text, 3, now), Some(3));
        assert_eq!(advice.is_due(text, 9, now + QUIET / 2), None, "it was told of a moment ago");
        assert_eq!(advice.is_due(text, 9, now + QUIET), Some(6));
        assert_eq!(advice.is_due(text, 9, now + 3 * QUIET), None, "it is over");
        assert_eq!(advice.is_due("another", 1, now), Some(1));
    }

    #[test]
    fn every_line_says_what_to_do() {
        let lines = Refusal::ALL.iter().filter_map(|why| of_frame(*why));
        for line in lines.chain(OverlayRefusal::ALL.into_iter().filter_map(of_member)) {
            assert!(line.contains(": "), "{line}");
        }
    }
}
