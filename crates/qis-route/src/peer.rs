//! Who is out there, and where.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use qis_fingerprint::Fingerprint;
use qis_packet::AuthorId;

use crate::Organisation;

const MAX_ADDRESS_BYTES: usize = 255;

/// Where a transport reaches a node: 1 to 255 bytes of text that only the transport understands.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(Arc<str>);

/// A text that is no address: empty, or longer than 255 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an address has 1 to 255 bytes, this one has {len}")]
pub struct AddressError {
    /// How many it has.
    pub len: usize,
}

/// A node that a look-up found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its pseudonym. What it sends is signed with the key behind it.
    pub author: AuthorId,
    /// Where it is.
    pub address: Address,
    /// The situation it says it is in; what it was found by.
    pub fingerprint: Fingerprint,
    /// On whose behalf it takes part, as far as the directory has that from somebody other than the node itself, such as a credential.
    pub organisation: Option<Organisation>,
}

impl Address {
    /// The address of a text that is known to be one.
    pub(crate) fn verified(text: &str) -> Self {
        debug_assert!(text.parse::<Self>().is_ok());
        Self(text.into())
    }

    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let len = text.len();
        if len == 0 || len > MAX_ADDRESS_BYTES { Err(AddressError { len }) } else { Ok(Self(text.into())) }
    }
}

impl TryFrom<&str> for Address {
    type Error = AddressError;

    fn try_from(text: &str) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}
