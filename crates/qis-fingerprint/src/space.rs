//! The space a fingerprint lives in.

use core::fmt;

use sha2::{Digest, Sha256};

/// Names the space of a fingerprint: the model that made it and its number of dimensions.
///
/// Fingerprints of different spaces never compare, and spaces never mix in one overlay. The id is four bytes of a hash, so
/// two names can collide by chance (1 in 4 billion a pair) and by design; it keeps apart what is different, it
/// authenticates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpaceId([u8; 4]);

impl SpaceId {
    /// The space of `model` at `dims` dimensions: the leading bytes of
    /// SHA-256(`"qis/space/1"`, model length as u32 LE, model, dims as u16 LE).
    ///
    /// Put all that changes the vectors into the name: model, version, pooling, language.
    #[must_use]
    pub fn new(model: &str, dims: u16) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"qis/space/1");
        hash.update(u32::try_from(model.len()).unwrap_or(u32::MAX).to_le_bytes());
        hash.update(model.as_bytes());
        hash.update(dims.to_le_bytes());
        let [a, b, c, d, ..] = <[u8; 32]>::from(hash.finalize());
        Self([a, b, c, d])
    }

    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Display for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SpaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpaceId({self})")
    }
}
