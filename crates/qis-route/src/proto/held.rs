//! What a query says of the packets the asker has.

use qis_packet::PacketId;

use crate::draw::SplitMix;

/// So many bits for each packet, while there is room: one in 10,000 or so is taken for held that is not.
const BITS_EACH: usize = 24;
/// In fewer bytes, the bits of one packet are too often those of another.
const MIN_BYTES: usize = 32;

/// A Bloom filter of packet ids.
///
/// It is salted with the nonce of its query, so that a packet which is taken for held by mistake is not so the next time, and nobody can
/// make packets that always are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    bits: Vec<u8>,
    /// How many bits a packet sets, 1 to [`MAX_HASHES`](Self::MAX_HASHES).
    hashes: u8,
}

impl Held {
    /// So that a query goes into a frame that carries an answer. 98 packets have all their bits in it, 1,024 two each: of those, one in
    /// three is taken for held by mistake.
    pub(super) const MAX_BYTES: usize = 296;
    pub(super) const MAX_HASHES: u8 = 16;

    /// The filter of these packets, for a query with this nonce.
    pub(super) fn of<'a>(nonce: u64, ids: impl ExactSizeIterator<Item = &'a PacketId>) -> Self {
        let count = ids.len();
        let bytes =
            if count == 0 { 0 } else { (count * BITS_EACH).div_ceil(8).clamp(MIN_BYTES, Self::MAX_BYTES) };
        let each = (bytes * 8).checked_div(count).unwrap_or(BITS_EACH);
        // ln 2 bits for each bit there is: as many are set as not.
        let hashes = u8::try_from((each * 7 + 5) / 10).unwrap_or(u8::MAX).clamp(1, Self::MAX_HASHES);
        let mut held = Self { bits: vec![0; bytes], hashes };
        for id in ids {
            for place in held.places(nonce, id) {
                if let Some(byte) = held.bits.get_mut(place / 8) {
                    *byte |= 1 << (place % 8);
                }
            }
        }
        held
    }

    /// A filter from outside; `None` when it is too large or sets no bits or too many.
    pub(super) fn from_parts(bits: &[u8], hashes: u8) -> Option<Self> {
        let fits = bits.len() <= Self::MAX_BYTES && (1..=Self::MAX_HASHES).contains(&hashes);
        fits.then(|| Self { bits: bits.to_vec(), hashes })
    }

    pub(super) fn bits(&self) -> &[u8] {
        &self.bits
    }

    pub(super) const fn hashes(&self) -> u8 {
        self.hashes
    }

    /// Whether the asker has this packet, as it seems.
    pub(super) fn contains(&self, nonce: u64, id: &PacketId) -> bool {
        let is_set = |place: usize| self.bits.get(place / 8).is_some_and(|byte| byte >> (place % 8) & 1 == 1);
        !self.bits.is_empty() && self.places(nonce, id).all(is_set)
    }

    /// The bits of a packet: `a + i b + (i^3 - i) / 6` modulo their number (enhanced double hashing: Dillinger and Manolios, 2004). Without the
    /// last term, the bits of two packets in a small filter are too often the same.
    fn places(&self, nonce: u64, id: &PacketId) -> impl Iterator<Item = usize> + use<> {
        let start = id.as_bytes().first_chunk().copied().map_or(0, u64::from_le_bytes);
        let hash = SplitMix::new(start ^ SplitMix::new(nonce).next()).next();
        let bits = (self.bits.len() as u64 * 8).max(1);
        let (mut place, mut step) = ((hash & 0xffff_ffff) % bits, (hash >> 32 | 1) % bits);
        (1..=u64::from(self.hashes)).map(move |at| {
            let here = place;
            // By the differences of the sum, of which few have to be divided.
            place += step;
            step += at;
            for sum in [&mut place, &mut step] {
                if *sum >= bits {
                    *sum %= bits;
                }
            }
            // Below the number of bits, which is small.
            usize::try_from(here).unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(from: u32, count: u32) -> Vec<PacketId> {
        // Ids are hashes; these are as good.
        let id = |at: u32| {
            let words =
                [0, 1, 2, 3].map(|word| SplitMix::new(u64::from(at) << 8 | word).next().to_le_bytes());
            PacketId::from_bytes(words.concat().try_into().unwrap())
        };
        (from..from + count).map(id).collect()
    }

    #[test]
    fn what_is_held_is_always_found_and_little_else() {
        let others = ids(1 << 20, 4000);
        for (count, most) in
            [(1, 0.0005), (2, 0.0005), (5, 0.0005), (20, 0.0005), (98, 0.001), (200, 0.01), (1024, 0.40)]
        {
            let held = ids(0, count);
            let mut mistaken = 0;
            for nonce in 0..25 {
                let filter = Held::of(nonce, held.iter());
                assert!(filter.bits().len() <= Held::MAX_BYTES);
                assert!(held.iter().all(|id| filter.contains(nonce, id)));
                mistaken += others.iter().filter(|id| filter.contains(nonce, id)).count();
            }
            assert!((mistaken as f64) < most * 100_000.0, "{count}: {mistaken}");
        }
        assert!(!Held::of(7, ids(0, 0).iter()).contains(7, &ids(0, 1)[0]), "who has nothing needs all");
    }

    #[test]
    fn places_are_those_of_the_formula() {
        for (bytes, hashes) in [(1, 16), (3, 7), (32, 16), (296, 16), (296, 1)] {
            let held = Held::from_parts(&vec![0; bytes], hashes).unwrap();
            for id in ids(0, 50) {
                let start = u64::from_le_bytes(*id.as_bytes().first_chunk().unwrap());
                let hash = SplitMix::new(start ^ SplitMix::new(5).next()).next();
                let (a, b) = (hash & 0xffff_ffff, hash >> 32 | 1);
                let place = |i: u64| ((a + i * b + (i * i * i - i) / 6) % (bytes as u64 * 8)) as usize;
                let expected: Vec<usize> = (0..u64::from(hashes)).map(place).collect();
                assert_eq!(held.places(5, &id).collect::<Vec<_>>(), expected);
            }
        }
    }

    #[test]
    fn mistakes_of_one_nonce_are_not_those_of_another() {
        let (held, others) = (ids(0, 1024), ids(1 << 20, 4000));
        let [first, second] = [1, 2].map(|nonce| Held::of(nonce, held.iter()));
        let mistaken = |id: &&PacketId| first.contains(1, id) && second.contains(2, id);
        let both = others.iter().filter(mistaken).count();
        // A third of a third.
        assert!((both as f64) < 0.16 * 4000.0, "{both}");
    }

    #[test]
    fn a_filter_from_outside_is_within_bounds() {
        assert_eq!(Held::from_parts(&[0; 297], 8), None);
        assert_eq!(Held::from_parts(&[0; 8], 0), None);
        assert_eq!(Held::from_parts(&[0; 8], 17), None);
        assert!(!Held::from_parts(&[], 8).unwrap().contains(1, &ids(0, 1)[0]));
        assert!(Held::from_parts(&[255; 8], 16).unwrap().contains(1, &ids(0, 1)[0]));
    }
}
