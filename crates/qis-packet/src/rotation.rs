//! Handing an author's name to a new key.

use alloc::vec::Vec;

use crate::identity::signed_message;
use crate::{AuthorId, Identity, NetworkId, PublicKey, Timestamp};

const CONTEXT: &[u8] = b"qis/rotation/1";

/// A statement by two keys that they are one author's and that the new one follows the old one.
///
/// Both sign, the old one so that nobody takes over an author, the new one so that nobody declares another's key his own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationStatement {
    old: PublicKey,
    new: PublicKey,
    time: Timestamp,
    signature_by_old: [u8; 64],
    signature_by_new: [u8; 64],
}

/// Why bytes are not a rotation statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RotationError {
    /// Not 200 bytes.
    #[error("a rotation statement has {expected} bytes, this one has {actual}", expected = RotationStatement::BYTES)]
    Length {
        /// How many there are.
        actual: usize,
    },
    /// One of the keys is invalid, or both are the same.
    #[error("a key is invalid or follows itself")]
    Key,
    /// One of the signatures is invalid in this network.
    #[error("a signature is invalid")]
    Signature,
}

impl RotationStatement {
    /// Old key, new key, time as u64 LE, signature by the old key, signature by the new key.
    pub const BYTES: usize = 32 + 32 + 8 + 64 + 64;

    /// States that `new` follows `old` from `time` on.
    #[must_use]
    pub fn new(old: &Identity, new: &Identity, network: NetworkId, time: Timestamp) -> Self {
        let message = message(old.public_key(), new.public_key(), time, network);
        Self {
            old: old.public_key(),
            new: new.public_key(),
            time,
            signature_by_old: old.sign(&message),
            signature_by_new: new.sign(&message),
        }
    }

    /// The key that is followed. What it signed up to [`time`](Self::time), the skew allowed for, stays valid for its lifetime.
    #[must_use]
    pub const fn old(&self) -> PublicKey {
        self.old
    }

    /// The key that follows.
    #[must_use]
    pub const fn new_key(&self) -> PublicKey {
        self.new
    }

    /// When the new key took over.
    #[must_use]
    pub const fn time(&self) -> Timestamp {
        self.time
    }

    /// Puts first those statements that lead from `key` back to the keys before it, latest first, and gives their number. The others, which
    /// are of other authors or repeat one, come after them in no order.
    pub fn chain(mut key: PublicKey, statements: &mut [Self]) -> usize {
        let mut led = 0;
        while let Some((first, rest)) = statements.get_mut(led..).and_then(<[Self]>::split_first_mut) {
            if first.new != key {
                match rest.iter_mut().find(|one| one.new == key) {
                    Some(one) => core::mem::swap(first, one),
                    None => break,
                }
            }
            key = first.old;
            led += 1;
        }
        led
    }

    /// The [`BYTES`](Self::BYTES) of the statement.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [
            &self.old.to_bytes()[..],
            &self.new.to_bytes(),
            &self.time.unix_seconds().to_le_bytes(),
            &self.signature_by_old,
            &self.signature_by_new,
        ]
        .concat()
    }

    /// Whose keys the statement says it is about, old and new, with nothing checked: to look them up before the costly
    /// [`verify`](Self::verify).
    #[must_use]
    pub fn claimed_authors(bytes: &[u8]) -> Option<(AuthorId, AuthorId)> {
        let (old, rest) = bytes.split_first_chunk::<32>()?;
        let new = rest.first_chunk::<32>()?;
        Some((AuthorId::of_key(old), AuthorId::of_key(new)))
    }

    /// Reads a statement and checks both signatures.
    ///
    /// # Errors
    ///
    /// [`RotationError`] when it has another length, a bad key, or a signature that is not of this network.
    pub fn verify(bytes: &[u8], network: NetworkId) -> Result<Self, RotationError> {
        let error = || RotationError::Length { actual: bytes.len() };
        let (old, rest) = bytes.split_first_chunk::<32>().ok_or_else(error)?;
        let (new, rest) = rest.split_first_chunk::<32>().ok_or_else(error)?;
        let (time, rest) = rest.split_first_chunk::<8>().ok_or_else(error)?;
        let (by_old, rest) = rest.split_first_chunk::<64>().ok_or_else(error)?;
        let by_new: &[u8; 64] = rest.try_into().map_err(|_| error())?;
        let key = |bytes| PublicKey::from_bytes(bytes).map_err(|_| RotationError::Key);
        let (old, new) = (key(old)?, key(new)?);
        if old == new {
            return Err(RotationError::Key);
        }
        let time = Timestamp::from_unix_seconds(u64::from_le_bytes(*time));
        let message = message(old, new, time, network);
        if !old.verifies(&message, by_old) || !new.verifies(&message, by_new) {
            return Err(RotationError::Signature);
        }
        Ok(Self { old, new, time, signature_by_old: *by_old, signature_by_new: *by_new })
    }
}

fn message(old: PublicKey, new: PublicKey, time: Timestamp, network: NetworkId) -> Vec<u8> {
    let statement = [&old.to_bytes()[..], &new.to_bytes(), &time.unix_seconds().to_le_bytes()].concat();
    signed_message(CONTEXT, network, &statement)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement() -> (RotationStatement, NetworkId) {
        let network = NetworkId::new("test");
        let (old, new) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
        (RotationStatement::new(&old, &new, network, Timestamp::from_unix_seconds(5)), network)
    }

    #[test]
    fn round_trip() {
        let (statement, network) = statement();
        assert_eq!(statement.to_bytes().len(), RotationStatement::BYTES);
        assert_eq!(RotationStatement::verify(&statement.to_bytes(), network), Ok(statement));
    }

    #[test]
    fn a_chain_leads_back_from_a_key() {
        let key = |seed| Identity::from_seed([seed; 32]);
        let follows = |old, new| {
            let time = Timestamp::from_unix_seconds(u64::from(new));
            RotationStatement::new(&key(old), &key(new), NetworkId::new("test"), time)
        };
        let mut statements = [follows(1, 2), follows(7, 8), follows(3, 4), follows(2, 3), follows(3, 4)];
        assert_eq!(RotationStatement::chain(key(4).public_key(), &mut statements), 3);
        assert_eq!(statements[..3], [follows(3, 4), follows(2, 3), follows(1, 2)]);
        assert!(statements[3..].contains(&follows(7, 8)) && statements[3..].contains(&follows(3, 4)));
        assert_eq!(RotationStatement::chain(key(9).public_key(), &mut statements), 0);
        // Whoever holds both keys can state that each follows the other.
        let mut circle = [follows(1, 2), follows(2, 1)];
        assert_eq!(RotationStatement::chain(key(1).public_key(), &mut circle), 2);
        assert_eq!(RotationStatement::chain(key(1).public_key(), &mut []), 0);
    }

    #[test]
    fn another_network_and_every_flipped_bit_is_refused() {
        let (statement, network) = statement();
        let bytes = statement.to_bytes();
        let other = NetworkId::new("other");
        assert_eq!(RotationStatement::verify(&bytes, other), Err(RotationError::Signature));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(RotationStatement::verify(&flipped, network).is_err(), "bit {bit}");
        }
        assert_eq!(
            RotationStatement::verify(&bytes[1..], network),
            Err(RotationError::Length { actual: RotationStatement::BYTES - 1 })
        );
    }

    #[test]
    fn nobody_takes_over_a_key_that_is_not_his() {
        let (statement, network) = statement();
        let thief = Identity::from_seed([3; 32]);
        let mut bytes = statement.to_bytes();
        // The thief's old key names a stranger's key as its successor, with the thief's signatures.
        bytes[..32].copy_from_slice(&thief.public_key().to_bytes());
        let message = message(thief.public_key(), statement.new, statement.time, network);
        bytes[72..136].copy_from_slice(&thief.sign(&message));
        assert_eq!(RotationStatement::verify(&bytes, network), Err(RotationError::Signature));
    }
}
