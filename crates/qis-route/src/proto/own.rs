//! This node as an author.

use std::fmt;

use qis_packet::{
    AuthorId, Draft, Identity, NetworkId, Order, OutcomePacket, PacketError, SKEW_SECONDS, Seal, SiteSecret,
    Timestamp, Trailer, VerifiedPacket, planted,
};

/// How far ahead of the wall clock's an incarnation may be of which this node takes note: a year and a month. A clock that was wrong by less before
/// the store was lost does not leave a node behind what peers hold of it; and a hundred such clocks do not use up the numbers.
const PLAUSIBLE_SECONDS: u32 = 395 * 24 * 3600;
/// A public key in the trailer.
const KEY_BYTES: usize = 32;

/// Who a router signs for.
#[derive(Debug)]
pub struct Author {
    /// The keys.
    pub identity: Identity,
    /// What hides the provenance of its packets.
    pub secret: SiteSecret,
    /// Its name in provenance commitments; never shown.
    pub node: String,
    /// The network it takes part in.
    pub network: NetworkId,
}

impl Author {
    pub(super) fn id(&self) -> AuthorId {
        self.identity.author()
    }

    /// Seals a draft with its key in the trailer, or, when there is no room for it, without: receivers that do not know it ask.
    ///
    /// A quantised delta makes room for anything. The key may take an eighth of what it would have, and no more.
    pub(super) fn seal(
        &self,
        draft: Draft,
        origin: Origin<'_>,
        order: Order,
        time: Timestamp,
    ) -> Result<VerifiedPacket, PacketError> {
        let seal = |trailer| Seal {
            identity: &self.identity,
            network: self.network,
            secret: &self.secret,
            node: &self.node,
            source: origin.0,
            order,
            time,
            trailer,
        };
        let limit = draft.max_bytes();
        match draft.clone().seal_verified(&seal(Trailer::SignatureAndKey)) {
            Ok(packet) if !is_squeezed(&packet, limit) => Ok(packet),
            // Whatever the error was: with more room a delta may travel as it is, and need no codec that refuses it.
            Ok(_) | Err(_) => draft.seal_verified(&seal(Trailer::Signature)),
        }
    }
}

/// Whether the key took more than an eighth of the room that a quantised delta would have had without.
fn is_squeezed(packet: &OutcomePacket, limit: usize) -> bool {
    let payload = packet.payload();
    let room = (limit + payload.bytes().len()).saturating_sub(packet.as_bytes().len());
    payload.is_fitted() && room < 7 * KEY_BYTES
}

/// Where an outcome comes from, in the site's own words; committed to and not shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Origin<'a>(pub &'a str);

/// This author's next place in the order, which is never given out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnOrder {
    next: Order,
    /// The latest wall clock time seen, to notice a clock that was put back.
    wall: Timestamp,
}

impl OwnOrder {
    /// A node that remembers nothing opens a new incarnation.
    pub(super) fn new(now: Timestamp) -> Self {
        Self { next: Order::opening(now), wall: now }
    }

    /// A node that remembers goes on, unless its clock was put back: then what it remembers may be a backup's.
    pub(super) fn restored(row: &[u8], now: Timestamp) -> Option<Self> {
        let (incarnation, rest) = row.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let wall = rest.try_into().ok().map(u64::from_be_bytes)?;
        let next =
            Order { incarnation: u32::from_be_bytes(*incarnation), sequence: u32::from_be_bytes(*sequence) };
        let mut own = Self { next, wall: Timestamp::from_unix_seconds(wall) };
        own.look_at(now);
        Some(own)
    }

    pub(super) fn row(self) -> Vec<u8> {
        let Self { next, wall } = self;
        let order = [next.incarnation.to_be_bytes(), next.sequence.to_be_bytes()].concat();
        [&order[..], &wall.unix_seconds().to_be_bytes()].concat()
    }

    /// The next order, not yet used.
    pub(super) fn peek(&mut self, now: Timestamp) -> Order {
        self.look_at(now);
        self.next
    }

    /// Marks the next order as used.
    pub(super) fn take(&mut self) {
        match self.next.sequence.checked_add(1) {
            Some(sequence) => self.next.sequence = sequence,
            None => self.raise(self.next.incarnation),
        }
    }

    /// Takes note of a packet that this author signed. Returns whether a new incarnation was opened, because this node never gave that
    /// order out, or gave it to another packet (`doubled`): it was restored from a backup.
    ///
    /// An order more than a year ahead of the clock is left alone, so that one bad life with a wild clock does not use up the numbers.
    pub(super) fn seen(&mut self, order: Order, doubled: bool, now: Timestamp) -> bool {
        let limit = incarnation_at(now).max(self.next.incarnation).saturating_add(PLAUSIBLE_SECONDS);
        // A doubled order of an earlier incarnation has been dealt with by opening this one.
        let doubled = doubled && order.incarnation == self.next.incarnation;
        if (order < self.next && !doubled) || order.incarnation > limit {
            return false;
        }
        self.raise(self.next.incarnation.max(order.incarnation).max(incarnation_at(now).saturating_sub(1)));
        true
    }

    fn look_at(&mut self, now: Timestamp) {
        if now.saturating_add(SKEW_SECONDS) < self.wall && !planted!(ClockGoesBack) {
            self.raise(self.next.incarnation.max(incarnation_at(now).saturating_sub(1)));
            self.wall = now;
        }
        self.wall = self.wall.max(now);
    }

    fn raise(&mut self, above: u32) {
        // Used up in 136 years of one incarnation a second. The last one then goes on as it is: better no new one than a number twice.
        if let Some(incarnation) = above.checked_add(1) {
            self.next = Order { incarnation, sequence: 0 };
        }
    }
}

fn incarnation_at(now: Timestamp) -> u32 {
    Order::opening(now).incarnation
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCARNATION_EPOCH: u64 = 1_577_836_800;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(INCARNATION_EPOCH + seconds)
    }

    fn order(incarnation: u32, sequence: u32) -> Order {
        Order { incarnation, sequence }
    }

    #[test]
    fn goes_on_after_a_restart() {
        let mut own = OwnOrder::new(at(1000));
        assert_eq!(own.peek(at(1000)), order(1000, 0));
        own.take();
        let mut again = OwnOrder::restored(&own.row(), at(5000)).unwrap();
        assert_eq!(again.peek(at(5000)), order(1000, 1));
        assert_eq!(OwnOrder::restored(&own.row()[1..], at(0)), None);
    }

    #[test]
    fn a_clock_put_back_opens_a_new_incarnation_once() {
        let mut own = OwnOrder::new(at(10_000));
        assert_eq!(own.peek(at(10_000 - SKEW_SECONDS)), order(10_000, 0), "within the skew");
        assert_eq!(own.peek(at(9000)), order(10_001, 0));
        own.take();
        assert_eq!(own.peek(at(9001)), order(10_001, 1));
    }

    #[test]
    fn a_node_restored_from_a_backup_notices() {
        let mut own = OwnOrder::new(at(1000));
        assert!(!own.seen(order(999, 7), false, at(1000)), "an older life");
        assert!(own.seen(order(1000, 4), false, at(2000)), "never given out in this one");
        assert_eq!(own.peek(at(2000)), order(2000, 0));
        assert!(!own.seen(order(1000, 4), false, at(2000)));
        own.take();
        assert!(own.seen(order(2000, 0), true, at(2000)), "given out twice");
        assert_eq!(own.peek(at(2000)), order(2001, 0));
    }

    #[test]
    fn a_life_with_a_clock_a_year_ahead_is_followed() {
        let year = 365 * 24 * 3600;
        let mut own = OwnOrder::new(at(1000));
        assert!(own.seen(order(1000 + year, 3), false, at(2000)));
        assert_eq!(own.peek(at(2000)), order(1001 + year, 0));
    }

    #[test]
    fn lies_do_not_use_up_the_numbers() {
        let mut own = OwnOrder::new(at(1000));
        assert!(!own.seen(order(u32::MAX, 0), false, at(1000)));
        assert_eq!(own.peek(at(1000)), order(1000, 0));
        let end = Timestamp::from_unix_seconds(u64::MAX);
        assert_eq!(own.peek(end), order(1000, 0), "a clock at its end breaks nothing");
    }
}
