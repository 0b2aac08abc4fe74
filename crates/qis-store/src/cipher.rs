//! Values of the secrets, as they are in the file.

use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce};

/// The first byte of a value in clear.
const CLEAR: u8 = 0;
/// The first byte of a sealed one: a nonce of 12 bytes, then what ChaCha20-Poly1305 makes of the value.
const SEALED: u8 = 1;

/// What a sealed value is bound to besides its key, so that no row stands in for one of another use.
const CONTEXT: &[u8] = b"qis-store/secrets/1\0";

/// Seals values where there is a key, and marks them as clear where there is none.
#[derive(Clone, Default)]
pub(crate) struct Cipher(Option<ChaCha20Poly1305>);

/// Why a value can't be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CipherError {
    /// It is sealed, and there is no key.
    #[error("the secrets in the store are encrypted, and no key was given")]
    NoKey,
    /// It was sealed with another key, for another row, or was changed since.
    #[error("the key given does not open the secrets in the store")]
    WrongKey,
    /// It is nothing that a store writes.
    #[error("a secret in the store is damaged")]
    Damaged,
    /// The operating system gave no entropy for a nonce, or the value is too long.
    #[error("a secret cannot be encrypted: the operating system gives no entropy")]
    Seal,
}

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Some(ChaCha20Poly1305::new(key.into())))
    }

    pub(crate) fn seal(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, CipherError> {
        let Some(cipher) = &self.0 else { return Ok([&[CLEAR], value].concat()) };
        let mut nonce = [0; 12];
        getrandom::fill(&mut nonce).map_err(|_| CipherError::Seal)?;
        let bound = [CONTEXT, key].concat();
        let payload = Payload { msg: value, aad: &bound };
        let sealed = cipher.encrypt(&Nonce::from(nonce), payload).map_err(|_| CipherError::Seal)?;
        Ok([&[SEALED], &nonce[..], &sealed].concat())
    }

    pub(crate) fn open(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, CipherError> {
        let (&form, value) = value.split_first().ok_or(CipherError::Damaged)?;
        match form {
            CLEAR => Ok(value.to_vec()),
            SEALED => {
                let cipher = self.0.as_ref().ok_or(CipherError::NoKey)?;
                let (nonce, sealed) = value.split_first_chunk::<12>().ok_or(CipherError::Damaged)?;
                let bound = [CONTEXT, key].concat();
                let payload = Payload { msg: sealed, aad: &bound };
                cipher.decrypt(&Nonce::from(*nonce), payload).map_err(|_| CipherError::WrongKey)
            }
            _ => Err(CipherError::Damaged),
        }
    }

    /// Whether a value is not as it would be written now.
    pub(crate) fn would_change(&self, value: &[u8]) -> bool {
        self.0.is_some() && value.first() == Some(&CLEAR)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Cipher(key)" } else { "Cipher(clear)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_with_its_key_in_its_row_and_nowhere_else() {
        let cipher = Cipher::new(&[1; 32]);
        let sealed = cipher.seal(b"row", b"a secret").unwrap();
        assert!(!sealed.windows(8).any(|part| part == b"a secret"));
        assert_ne!(sealed, cipher.seal(b"row", b"a secret").unwrap(), "a nonce is used once");
        assert_eq!(cipher.open(b"row", &sealed).unwrap(), b"a secret");
        assert_eq!(cipher.open(b"other", &sealed), Err(CipherError::WrongKey));
        assert_eq!(Cipher::new(&[2; 32]).open(b"row", &sealed), Err(CipherError::WrongKey));
        assert_eq!(Cipher::default().open(b"row", &sealed), Err(CipherError::NoKey));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 2;
            assert!(cipher.open(b"row", &changed).is_err(), "byte {at}");
            assert!(cipher.open(b"row", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn without_a_key_a_value_is_in_clear_until_it_is_written_with_one() {
        let clear = Cipher::default().seal(b"row", b"a secret").unwrap();
        assert_eq!(clear, b"\0a secret");
        let cipher = Cipher::new(&[1; 32]);
        assert_eq!(cipher.open(b"row", &clear).unwrap(), b"a secret");
        assert!(cipher.would_change(&clear) && !Cipher::default().would_change(&clear));
        assert!(!cipher.would_change(&cipher.seal(b"row", b"a secret").unwrap()));
    }
}
