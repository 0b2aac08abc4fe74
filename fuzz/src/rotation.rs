//! A statement that verifies has one form; the bytes of the first half also sign themselves, to get past the signatures.

use crate::{IDENTITIES, Reader, network};
use qis_packet::{RotationStatement, Timestamp};

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    if let Ok(statement) = RotationStatement::verify(data, network()) {
        assert_eq!(statement.to_bytes(), data);
        assert_ne!(statement.old(), statement.new_key());
    }

    let mut input = Reader(data);
    let of = |byte: u8| &IDENTITIES[usize::from(byte) % IDENTITIES.len()];
    let (old, new) = (of(input.byte()), of(input.byte()));
    let time = Timestamp::from_unix_seconds(input.u64());
    let mut bytes = RotationStatement::new(old, new, network(), time).to_bytes();
    let signed = bytes.clone();
    let place = usize::from(input.byte()) % bytes.len();
    bytes[place] ^= input.byte();
    match RotationStatement::verify(&bytes, network()) {
        Ok(statement) => {
            assert_eq!(bytes, signed, "a changed statement verifies");
            assert_eq!((statement.old(), statement.time()), (old.public_key(), time));
        }
        Err(_) => assert!(bytes != signed || old.author() == new.author()),
    }
}
