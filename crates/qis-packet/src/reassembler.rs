//! Parts of frames, put together again.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::fragment::assemble;
use crate::parity::restore;
use crate::{Fragment, Frame, FrameKind, ReassemblyError};

/// What a group of parts is taken to cost besides its parts.
const GROUP_BYTES: usize = 256;
/// What a part is taken to cost besides its bytes.
const PART_BYTES: usize = 64;

/// The bounds of a [`Reassembler`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyConfig {
    /// The largest frame that is put together, 1,024 bytes by default and at most [`Frame::MAX_BYTES`]. To put one together from forged parts takes
    /// time that grows with its square, before anything in it can be checked: 0.1 ms for a packet's, and 10 ms for the largest there are.
    pub frame_bytes: usize,
    /// Bytes that all parts may take, 256 KiB by default and at least 32 KiB, which is one frame of the largest. 64 for each part and
    /// 256 for each frame are counted besides. When they are used up, frames that were whole are forgotten, the oldest first; then the sender
    /// that takes most bytes loses a frame.
    pub bytes: usize,
    /// Frames of one sender that are put together at a time or were lately, 32 by default and at least 1. Beyond, the oldest one that was
    /// whole is forgotten, or else one of its frames is given up.
    ///
    /// Of a sender's frames, the one goes first that has waited longest for a part, if that is an eighth of the lifetime; else the one with
    /// the fewest parts. So of too many frames that come at once, their parts in turn, as many as there is room for get whole.
    pub frames_per_sender: usize,
    /// How long to wait for a further part of a frame, half an hour by default; and how long a frame that is whole is remembered. Longer
    /// than the sender waits before it sends the frame again, so that parts of both add up.
    pub lifetime: Duration,
}

impl ReassemblyConfig {
    /// The least that [`bytes`](Self::bytes) may be.
    pub const MIN_BYTES: usize = 32 * 1024;
}

impl Default for ReassemblyConfig {
    fn default() -> Self {
        Self {
            frame_bytes: 1024,
            bytes: 256 * 1024,
            frames_per_sender: 32,
            lifetime: Duration::from_secs(1800),
        }
    }
}

/// What a [`Reassembler`] did since it was made. Counts saturate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReassemblyStats {
    /// Parts that came in and could be read.
    pub parts: u64,
    /// Parts that were there already, or came after their frame was whole.
    pub duplicates: u64,
    /// Parts that contradicted one that was there; they were left out.
    pub conflicts: u64,
    /// Frames that were put together. Those that came whole are in no count.
    pub frames: u64,
    /// Frames that were put together and turned out not to be what their parts said.
    pub failed: u64,
    /// Frames that waited too long for a part.
    pub expired: u64,
    /// Frames that were given up for want of room.
    pub evicted: u64,
}

/// Puts the parts of frames together, those of each sender apart, in bounded memory and time.
///
/// Parts of one sender, one hash, one count and one length are of one frame. What is sent again adds to what came the first time. Of
/// two parts of one index the first stands, whatever the second is: nobody undoes later what has arrived. Should the first have been
/// wrong, the frame turns out not to be what it says, all its parts are forgotten, and what is sent again starts afresh.
///
/// The same parts at the same times give the same frames.
///
/// ```
/// # use core::time::Duration;
/// # use qis_packet::{Parity, Reassembler, ReassemblyConfig, fragment};
/// let frame = [7; 200];
/// let mut parts = fragment(&frame, 51, Parity::Auto)?; // 5 of data and one of parity
/// parts.remove(2); // is lost
///
/// let mut reassembler = Reassembler::new(ReassemblyConfig::default());
/// let mut whole = None;
/// for part in &parts {
///     whole = whole.or(reassembler.accept_frame(Duration::ZERO, &"sender", part)?);
/// }
/// assert_eq!(whole.as_deref(), Some(&frame[..]));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reassembler<K> {
    config: ReassemblyConfig,
    groups: BTreeMap<Key<K>, Group>,
    /// By when they last got a part.
    by_age: BTreeMap<Age, Key<K>>,
    bytes: usize,
    latest: Duration,
    counter: u64,
    stats: ReassemblyStats,
}

/// Ties are told apart by a number.
type Age = (Duration, u64);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<K> {
    from: K,
    hash: u16,
    count: u8,
    len: usize,
}

#[derive(Clone, Debug)]
struct Group {
    age: Age,
    /// A bit for each index that came.
    seen: u128,
    /// Empty once the frame was whole.
    parts: BTreeMap<u8, Vec<u8>>,
}

impl Group {
    fn is_whole(&self) -> bool {
        self.parts.is_empty()
    }

    fn bytes(&self, len: usize) -> usize {
        GROUP_BYTES + self.parts.len() * (PART_BYTES + len)
    }
}

impl<K: Ord + Clone> Reassembler<K> {
    /// One that holds nothing. Bounds below the least are raised to it.
    #[must_use]
    pub const fn new(config: ReassemblyConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            by_age: BTreeMap::new(),
            bytes: 0,
            latest: Duration::ZERO,
            counter: 0,
            stats: ReassemblyStats {
                parts: 0,
                duplicates: 0,
                conflicts: 0,
                frames: 0,
                failed: 0,
                expired: 0,
                evicted: 0,
            },
        }
    }

    /// Takes in a frame as it came from a link: a whole one is given as it is, a fragment [`accept`](Self::accept)ed. The other side of
    /// [`fragment`](crate::fragment).
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Self::accept); [`ReassemblyError::Malformed`] also when there is no byte, and [`ReassemblyError::TooLarge`] when
    /// there are more than a frame may have.
    pub fn accept_frame(
        &mut self,
        now: Duration,
        from: &K,
        frame: &[u8],
    ) -> Result<Option<Vec<u8>>, ReassemblyError> {
        self.expire(now);
        if frame.len() > Frame::MAX_BYTES {
            return Err(ReassemblyError::TooLarge);
        }
        match frame.split_first() {
            None => Err(ReassemblyError::Malformed),
            Some((&kind, body)) if kind == FrameKind::Fragment.code() => self.accept(now, from, body),
            Some(_) => Ok(Some(frame.to_vec())),
        }
    }

    /// Takes in the body of a fragment, which is what follows the kind, and gives the whole frame when it was the last part that was needed.
    ///
    /// `now` is of a clock that never goes back. After a frame was whole, parts of it that had not come yet are late ones, and left out; one that had
    /// come says that the frame is being sent again, since its sender did not learn that it arrived, and it is put together and given again.
    ///
    /// # Errors
    ///
    /// [`ReassemblyError`] says what was wrong with the part or with what it completed.
    pub fn accept(
        &mut self,
        now: Duration,
        from: &K,
        body: &[u8],
    ) -> Result<Option<Vec<u8>>, ReassemblyError> {
        self.expire(now);
        let fragment = Fragment::parse(body)?;
        if usize::from(fragment.count()) * (fragment.part().len() - 1) > self.config.frame_bytes {
            return Err(ReassemblyError::TooLarge);
        }
        let (index, part) = (fragment.index(), fragment.part());
        count(&mut self.stats.parts);
        let key = Key { from: from.clone(), hash: fragment.hash(), count: fragment.count(), len: part.len() };
        if let Some(group) = self.groups.get_mut(&key) {
            let bit = 1 << index;
            if let Some(first) = group.parts.get(&index) {
                let same = first == part;
                count(if same { &mut self.stats.duplicates } else { &mut self.stats.conflicts });
                return if same { Ok(None) } else { Err(ReassemblyError::Conflict { index }) };
            }
            if group.is_whole() && group.seen & bit == 0 {
                group.seen |= bit;
                count(&mut self.stats.duplicates);
                return Ok(None);
            }
            if group.is_whole() {
                group.seen = 0;
            }
            group.seen |= bit;
        }
        self.make_room(&key)?;
        self.insert(&key, index, part);
        let enough = |group: &Group| group.parts.len() >= usize::from(key.count);
        if self.groups.get(&key).is_some_and(enough) { self.complete(&key).map(Some) } else { Ok(None) }
    }

    /// Forgets what has waited too long.
    pub fn expire(&mut self, now: Duration) {
        self.latest = self.latest.max(now);
        while let Some((&(since, _), key)) = self.by_age.first_key_value()
            && since.saturating_add(self.config.lifetime) <= self.latest
        {
            let key = key.clone();
            if self.remove(&key) {
                count(&mut self.stats.expired);
            }
        }
    }

    /// What it did so far.
    #[must_use]
    pub const fn stats(&self) -> ReassemblyStats {
        self.stats
    }

    /// Bytes that what it holds is taken to cost; never more than [`ReassemblyConfig::bytes`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Makes room for one more part of this group, by giving up others.
    fn make_room(&mut self, key: &Key<K>) -> Result<(), ReassemblyError> {
        let of_group = if self.groups.contains_key(key) { 0 } else { GROUP_BYTES };
        let needed = of_group + PART_BYTES + key.len;
        let limit = self.config.bytes.max(ReassemblyConfig::MIN_BYTES);
        loop {
            let crowded = of_group > 0 && self.of_sender(key).count() >= self.config.frames_per_sender.max(1);
            if !crowded && self.bytes + needed <= limit {
                return Ok(());
            }
            // A group of the largest frame alone fits in the least there may be.
            let victim = self.victim(key, crowded).cloned().ok_or(ReassemblyError::TooLarge)?;
            if self.remove(&victim) {
                count(&mut self.stats.evicted);
            }
        }
    }

    /// The groups of a group's sender.
    fn of_sender(&self, key: &Key<K>) -> impl Iterator<Item = &Key<K>> {
        let first = Key { from: key.from.clone(), hash: 0, count: 0, len: 0 };
        let last = Key { from: key.from.clone(), hash: u16::MAX, count: u8::MAX, len: usize::MAX };
        self.groups.range(first..=last).map(|(key, _)| key)
    }

    /// The group to give up for a part of another one; of its sender's, if that has too many.
    fn victim(&self, key: &Key<K>, of_sender: bool) -> Option<&Key<K>> {
        let mut bytes: BTreeMap<&K, usize> = BTreeMap::new();
        for (key, group) in &self.groups {
            *bytes.entry(&key.from).or_default() += group.bytes(key.len);
        }
        let patience = self.config.lifetime / 8;
        let others =
            self.groups.iter().filter(|(other, _)| *other != key && (!of_sender || other.from == key.from));
        let order = |(other, group): &(&Key<K>, &Group)| {
            let (since, number) = group.age;
            let is_fresh = since.saturating_add(patience) > self.latest;
            let taken = bytes.get(&other.from).copied().unwrap_or_default();
            if group.is_whole() {
                (false, Reverse(0), false, 0, group.age)
            } else if is_fresh {
                (true, Reverse(taken), true, group.parts.len(), (Duration::ZERO, u64::MAX - number))
            } else {
                (true, Reverse(taken), false, 0, group.age)
            }
        };
        others.min_by_key(order).map(|(key, _)| key)
    }

    fn insert(&mut self, key: &Key<K>, index: u8, part: &[u8]) {
        self.counter += 1;
        let age = (self.latest, self.counter);
        let (mut group, before) = match self.groups.remove(key) {
            Some(group) => {
                self.by_age.remove(&group.age);
                let bytes = group.bytes(key.len);
                (group, bytes)
            }
            None => (Group { age, seen: 1 << index, parts: BTreeMap::new() }, 0),
        };
        group.age = age;
        group.parts.insert(index, part.to_vec());
        self.bytes = self.bytes - before + group.bytes(key.len);
        self.by_age.insert(age, key.clone());
        self.groups.insert(key.clone(), group);
    }

    /// Forgets a group; whether it was waiting for parts.
    fn remove(&mut self, key: &Key<K>) -> bool {
        let Some(group) = self.groups.remove(key) else { return false };
        self.by_age.remove(&group.age);
        self.bytes -= group.bytes(key.len);
        !group.is_whole()
    }

    fn complete(&mut self, key: &Key<K>) -> Result<Vec<u8>, ReassemblyError> {
        let Some(group) = self.groups.get_mut(key) else { return Err(ReassemblyError::Hash) };
        self.bytes -= group.bytes(key.len);
        let parts = core::mem::take(&mut group.parts);
        self.bytes += group.bytes(key.len);
        let parts = restore(key.count, parts).unwrap_or_default();
        let frame = assemble(key.hash, &parts);
        let frame = frame.and_then(|it| {
            if it.len() > self.config.frame_bytes { Err(ReassemblyError::TooLarge) } else { Ok(it) }
        });
        if frame.is_ok() {
            count(&mut self.stats.frames);
        } else {
            self.remove(key);
            count(&mut self.stats.failed);
        }
        frame
    }
}

const fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Parity, fragment};

    #[test]
    fn frames_pass_and_fragments_are_collected() {
        let mut to = Reassembler::new(ReassemblyConfig::default());
        let mut accept = |frame: &[u8]| to.accept_frame(Duration::ZERO, &(), frame);
        for whole in [&[0; 40][..], &[7], &[0xff; Frame::MAX_BYTES]] {
            assert_eq!(accept(whole), Ok(Some(whole.to_vec())));
        }
        let parts = fragment(&[9; 60], 51, Parity::None).unwrap();
        assert_eq!(accept(&parts[1]), Ok(None));
        assert_eq!(accept(&parts[0]), Ok(Some([9; 60].into())));
        assert_eq!(accept(&[]), Err(ReassemblyError::Malformed));
        assert_eq!(accept(&[2, 0, 0]), Err(ReassemblyError::Malformed));
        assert_eq!(accept(&[0; Frame::MAX_BYTES + 1]), Err(ReassemblyError::TooLarge));
        let stats = to.stats();
        assert_eq!((stats.parts, stats.frames), (2, 1), "whole frames are not counted");
    }
}
