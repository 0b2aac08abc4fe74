//! What several fuzz targets need.

use std::sync::LazyLock;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{DomainTag, Epoch, Identity, NetworkId, SiteSecret, Timestamp};

/// When the inputs play: 2027-01-15.
pub const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// The identities that sign: the first is the router's own.
pub static IDENTITIES: LazyLock<[Identity; 5]> =
    LazyLock::new(|| std::array::from_fn(|index| Identity::from_seed([index as u8 + 1; 32])));

/// The secret behind every commitment.
pub static SECRET: LazyLock<SiteSecret> = LazyLock::new(|| secret());

/// A fresh copy of [`SECRET`], from a year before [`START`].
pub fn secret() -> SiteSecret {
    SiteSecret::new(Epoch::of(START.saturating_sub(366 * 24 * 3600)), [9; 32])
}

/// The network of all targets.
pub fn network() -> NetworkId {
    NetworkId::new("fuzz")
}

/// Domains: vectors, evidence, and one that no router knows.
pub fn domain(index: u8) -> DomainTag {
    match index % 3 {
        0 => "fuzz/vectors".parse().expect("a tag"),
        1 => DomainTag::with_schema("fuzz", [1, 2, 3, 4]).expect("a tag"),
        _ => "fuzz/unknown".parse().expect("a tag"),
    }
}

/// A fingerprint of two coordinates, one of them not zero.
pub fn fingerprint(x: i8) -> Fingerprint {
    Fingerprint::from_codes(SpaceId::new("fuzz", 2), vec![x.max(-127), 100]).expect("a fingerprint")
}

/// Takes an input apart; beyond its end there are zeros.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut array = [0; N];
        let taken = self.take(N);
        array[..taken.len()].copy_from_slice(taken);
        array
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.array())
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.array())
    }

    /// The next eight bytes.
    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.array())
    }

    /// At most `length` bytes.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
