//! On whose behalf a node takes part.

use core::fmt;

use sha2::{Digest, Sha256};

/// The organisation a node belongs to, as whoever admitted the node to the network says.
///
/// Eight bytes of a hash of its name: they keep organisations apart where slots are shared out among them, and authenticate nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Organisation([u8; 8]);

impl Organisation {
    /// The organisation of this name: the first 8 bytes of SHA-256(`"qis/organisation/1"`, name).
    #[must_use]
    pub fn new(name: &str) -> Self {
        let hash: [u8; 32] =
            Sha256::new().chain_update(b"qis/organisation/1").chain_update(name.as_bytes()).finalize().into();
        Self(hash.first_chunk().copied().unwrap_or_default())
    }

    /// The organisation with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for Organisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Organisation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Organisation({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn names_and_bytes_make_it() {
        let one = Organisation::new("st-mary");
        assert_eq!(Organisation::from_bytes(one.to_bytes()), one);
        assert_ne!(one, Organisation::new("st-john"));
        assert_eq!(one.to_string().len(), 16);
    }
}
