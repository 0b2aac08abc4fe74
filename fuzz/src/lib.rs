//! What the fuzz targets check: a module each, whose `run` takes any bytes and panics when a promise is broken.
//!
//! `libfuzzer` makes programs of them, which look for such bytes; the tests of this package run the corpora.

#![expect(clippy::missing_panics_doc, reason = "to panic is how a target says that a promise is broken")]
#![expect(clippy::unwrap_used, reason = "a target whose own parts are wrong has failed")]

pub mod codec;
pub mod encode;
pub mod evidence;
pub mod frame;
pub mod opening;
pub mod overlay;
pub mod packet;
pub mod reassembler;
pub mod rotation;
pub mod router;
pub mod store;
pub mod stream;
pub mod synthesis;

use std::sync::LazyLock;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{DomainTag, Epoch, Identity, NetworkId, SiteSecret, Timestamp};

/// A name, and what runs one input.
#[derive(Clone, Copy, Debug)]
pub struct Target(pub &'static str, pub fn(&[u8]));

/// All targets, by name.
pub const TARGETS: [Target; 13] = [
    Target("codec", codec::run),
    Target("encode", encode::run),
    Target("evidence", evidence::run),
    Target("frame", frame::run),
    Target("opening", opening::run),
    Target("overlay", overlay::run),
    Target("packet", packet::run),
    Target("reassembler", reassembler::run),
    Target("rotation", rotation::run),
    Target("router", router::run),
    Target("store", store::run),
    Target("stream", stream::run),
    Target("synthesis", synthesis::run),
];

/// When the inputs play: 2027-01-15.
pub const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// The identities that sign: the first is the router's own.
pub static IDENTITIES: LazyLock<[Identity; 5]> =
    LazyLock::new(|| std::array::from_fn(|index| Identity::from_seed([index as u8 + 1; 32])));

/// The secret behind every commitment.
pub static SECRET: LazyLock<SiteSecret> = LazyLock::new(secret);

/// A fresh copy of [`SECRET`], from a year before [`START`].
#[must_use]
pub fn secret() -> SiteSecret {
    SiteSecret::new(Epoch::of(START.saturating_sub(366 * 24 * 3600)), [9; 32])
}

/// The network of all targets.
#[must_use]
pub fn network() -> NetworkId {
    NetworkId::new("fuzz")
}

/// Domains: vectors, evidence, and one that no router knows.
#[must_use]
pub fn domain(index: u8) -> DomainTag {
    match index % 3 {
        0 => "fuzz/vectors".parse().expect("a tag"),
        1 => DomainTag::with_schema("fuzz", [1, 2, 3, 4]).expect("a tag"),
        _ => "fuzz/unknown".parse().expect("a tag"),
    }
}

/// A fingerprint of two coordinates, one of them not zero.
#[must_use]
pub fn fingerprint(x: i8) -> Fingerprint {
    Fingerprint::from_codes(SpaceId::new("fuzz", 2), vec![x.max(-127), 100]).expect("a fingerprint")
}

/// Takes an input apart; beyond its end there are zeros.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Whether nothing is left.
    #[must_use]
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
