//! Who made a packet, and in which network.

use alloc::vec::Vec;
use core::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The pseudonymous id of an author: the first 16 bytes of SHA-256 of its public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AuthorId([u8; 16]);

/// A network of nodes that understand each other.
///
/// It is part of what is signed and does not travel: a packet of one network is a forgery in every other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId([u8; 16]);

/// An Ed25519 public key: a point of the curve that is not weak, in its 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// The keys of an author.
///
/// The secret is wiped from memory when the identity is dropped. It is not in the identity's `Debug` form, and is told by
/// [`expose_seed`](Self::expose_seed) only.
pub struct Identity {
    key: SigningKey,
    author: AuthorId,
}

/// Bytes that are no public key: no point of the curve, or one of small order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an Ed25519 public key")]
pub struct KeyError;

/// What follows the body of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trailer {
    /// Nothing: nobody can tell who made the packet.
    None,
    /// The signature, 64 bytes: for receivers that know the author's key.
    Signature,
    /// The signature and the public key, 96 bytes: the packet can be verified by anyone.
    SignatureAndKey,
}

impl Trailer {
    /// How many bytes it takes: 0, 64 or 96.
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::None => 0,
            Self::Signature => 64,
            Self::SignatureAndKey => 96,
        }
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::None)
    }
}

impl AuthorId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn of_key(key: &[u8; 32]) -> Self {
        Self(leading(Sha256::new().chain_update(key)))
    }
}

impl NetworkId {
    /// The network of this name: the first 16 bytes of SHA-256(`"qis/network/1"`, name).
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(leading(Sha256::new().chain_update(b"qis/network/1").chain_update(name.as_bytes())))
    }

    /// The bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl PublicKey {
    /// Reads a key.
    ///
    /// # Errors
    ///
    /// [`KeyError`] when the bytes are no point of the curve or one of small order, for which signatures prove nothing.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let check = || VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak());
        #[cfg(feature = "memo")]
        let is_key = crate::memo::remembered_key(bytes, check);
        #[cfg(not(feature = "memo"))]
        let is_key = check();
        if is_key { Ok(Self(*bytes)) } else { Err(KeyError) }
    }

    /// The bytes of the key.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.0
    }

    /// The author whose key this is.
    #[must_use]
    pub fn author(&self) -> AuthorId {
        AuthorId::of_key(&self.0)
    }

    /// Whether `signature` is of this key's author over this statement; see [`Identity::sign_statement`]. By the strict rules that no
    /// two implementations disagree about.
    #[must_use]
    pub fn verifies_statement(
        &self,
        label: &str,
        network: NetworkId,
        statement: &[u8],
        signature: &[u8; 64],
    ) -> bool {
        self.verifies(&labelled(label, network, statement), signature)
    }

    /// Whether `signature` is this key's over `message`, by the strict rules that no two
    /// implementations disagree about (no small-order points, no malleable scalars).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let verify = || {
            let signature = Signature::from_bytes(signature);
            VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
        };
        #[cfg(feature = "memo")]
        return crate::memo::remembered_signature(&self.0, message, signature, verify);
        #[cfg(not(feature = "memo"))]
        verify()
    }
}

impl Identity {
    /// The identity of a 32-byte seed, which must come from a good source of entropy and stay secret.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let author = PublicKey(key.verifying_key().to_bytes()).author();
        Self { key, author }
    }

    /// A new identity from the operating system's entropy.
    ///
    /// # Errors
    ///
    /// [`EntropyError`] when the system has none to give.
    #[cfg(feature = "entropy")]
    pub fn generate() -> Result<Self, EntropyError> {
        entropy().map(Self::from_seed)
    }

    /// The id under which packets of this identity travel.
    #[must_use]
    pub const fn author(&self) -> AuthorId {
        self.author
    }

    /// The key that verifies this identity's signatures.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.key.verifying_key().to_bytes())
    }

    /// Signs a statement of a layer above packets: `"qis/statement/1"`, the network, the length of the label as a byte, the label, the
    /// statement. The label, of at most 255 bytes, keeps kinds of statements apart; none can pass for a packet or a rotation.
    #[must_use]
    pub fn sign_statement(&self, label: &str, network: NetworkId, statement: &[u8]) -> [u8; 64] {
        self.sign(&labelled(label, network, statement))
    }

    /// The seed this identity was made of, for storing it, or for another layer that is to use the same key, such as a transport; whoever
    /// reads it can sign as this author.
    #[must_use]
    pub fn expose_seed(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

/// What is signed: a context that keeps kinds of statements apart, the network, the statement.
pub(crate) fn signed_message(context: &[u8], network: NetworkId, statement: &[u8]) -> Vec<u8> {
    let network = if crate::planted!(NetworkUnchecked) { NetworkId::new("") } else { network };
    [context, network.as_bytes(), statement].concat()
}

fn labelled(label: &str, network: NetworkId, statement: &[u8]) -> Vec<u8> {
    let len = u8::try_from(label.len()).unwrap_or(u8::MAX);
    signed_message(b"qis/statement/1", network, &[&[len], label.as_bytes(), statement].concat())
}

fn leading(hash: Sha256) -> [u8; 16] {
    let hash: [u8; 32] = hash.finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

/// The operating system gave no entropy.
#[cfg(feature = "entropy")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the operating system gave no entropy")]
pub struct EntropyError;

#[cfg(feature = "entropy")]
pub(crate) fn entropy() -> Result<[u8; 32], EntropyError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| EntropyError)?;
    Ok(seed)
}

macro_rules! hex_display {
    ($type:ty, $name:literal, $bytes:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let bytes: fn(&$type) -> _ = $bytes;
                bytes(self).iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($name, "({})"), self)
            }
        }
    };
}
pub(crate) use hex_display;

hex_display!(AuthorId, "AuthorId", |id| id.0);
hex_display!(NetworkId, "NetworkId", |id| id.0);
hex_display!(PublicKey, "PublicKey", |key| key.to_bytes());

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("author", &self.author).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;

    #[test]
    fn author_is_the_hash_of_the_key() {
        let identity = Identity::from_seed([7; 32]);
        let hash: [u8; 32] = Sha256::digest(identity.public_key().to_bytes()).into();
        assert_eq!(identity.author().as_bytes(), &hash[..16]);
        assert_ne!(identity.author(), Identity::from_seed([8; 32]).author());
    }

    #[test]
    fn refuses_weak_and_invalid_keys() {
        // The neutral element, a point of order 1: every signature would verify.
        let mut neutral = [0; 32];
        neutral[0] = 1;
        assert_eq!(PublicKey::from_bytes(&neutral), Err(KeyError));
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert_eq!(PublicKey::from_bytes(&off_curve), Err(KeyError));
    }

    #[test]
    fn statements_are_of_one_label_and_network() {
        let identity = Identity::from_seed([7; 32]);
        let (here, there) = (NetworkId::new("here"), NetworkId::new("there"));
        let signature = identity.sign_statement("ab", here, b"c");
        let key = identity.public_key();
        assert!(key.verifies_statement("ab", here, b"c", &signature));
        assert!(!key.verifies_statement("a", here, b"bc", &signature));
        assert!(!key.verifies_statement("ab", there, b"c", &signature));
    }

    #[test]
    fn an_identity_is_made_again_of_its_seed() {
        let identity = Identity::from_seed([9; 32]);
        assert_eq!(identity.expose_seed(), &[9; 32]);
        assert_eq!(Identity::from_seed(*identity.expose_seed()).author(), identity.author());
    }

    #[test]
    fn the_secret_is_never_shown() {
        let shown = format!("{:?}", Identity::from_seed([0xab; 32]));
        assert!(!shown.contains("171") && !shown.contains("abab"), "{shown}");
    }
}
