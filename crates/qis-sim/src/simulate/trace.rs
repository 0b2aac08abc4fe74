//! What happened, line by line.

use std::fmt::{self, Write};
use std::time::Duration;

/// The happenings of a run as lines, or as a digest of them: two runs of one seed have the same.
#[derive(Debug, Default)]
pub(super) struct Trace {
    line: String,
    digest: Digest,
    lines: Option<String>,
    count: u64,
}

impl Trace {
    /// A trace that keeps its lines.
    pub(super) fn kept() -> Self {
        Self { lines: Some(String::new()), ..Self::default() }
    }

    /// Takes note of something that happened at a time.
    pub(super) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        self.line.clear();
        // Writing to a string does not fail.
        let _ = writeln!(self.line, "{}.{:06} {what}", at.as_secs(), at.subsec_micros());
        self.digest.add(self.line.as_bytes());
        self.count += 1;
        if let Some(lines) = &mut self.lines {
            lines.push_str(&self.line);
        }
    }

    pub(super) const fn digest(&self) -> u64 {
        self.digest.0
    }

    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn into_lines(self) -> Option<String> {
        self.lines
    }
}

/// A digest that tells runs apart; it need not withstand anybody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Digest(u64);

impl Default for Digest {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut digest = Self::default();
        digest.add(bytes);
        digest
    }

    fn add(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.mix(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.mix(u64::from_le_bytes(last));
        self.mix(bytes.len() as u64);
    }

    /// The finish of `SplitMix64`.
    const fn mix(&mut self, word: u64) {
        let mut mixed = (self.0 ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_and_digested_traces_are_of_the_same_lines() {
        let (mut kept, mut digested) = (Trace::kept(), Trace::default());
        for trace in [&mut kept, &mut digested] {
            trace.note(Duration::from_millis(1500), format_args!("site {} starts", 3));
            trace.note(Duration::from_secs(2), format_args!("site 3 dies"));
        }
        assert_eq!((kept.digest(), kept.count()), (digested.digest(), 2));
        assert_eq!(kept.into_lines().unwrap(), "1.500000 site 3 starts\n2.000000 site 3 dies\n");
        let mut other = Trace::default();
        other.note(Duration::from_secs(2), format_args!("site 3 dies"));
        assert_ne!(other.digest(), digested.digest());
    }
}
