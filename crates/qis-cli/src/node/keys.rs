//! Secrets in files: the node's key, and that of its store.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use qis::{Identity, NetworkId, RotationStatement};
use zeroize::Zeroizing;

use crate::hex;

const SECRET_BYTES: usize = 32;
/// More than the digits of a secret, with white space around and between them.
const MOST_BYTES: u64 = 1024;
/// Bits of a file's mode that let others than its owner at it.
const OTHERS: u32 = 0o077;

/// Why a secret was not read or made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("cannot read the key {}: {source}; make one with `qis node --new-key {0}`", path.display())]
    Missing { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "others than its owner can read or change the key {} (mode {mode:o}): run `chmod 600 {0}`, and make a new key if somebody may have read it",
        path.display()
    )]
    Open { path: PathBuf, mode: u32 },
    #[error("{} is no key: it has 64 hex digits, as `qis node --new-key` writes them", path.display())]
    Malformed { path: PathBuf },
    #[error("cannot write the key {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("there is a file {} already: a key is never overwritten", path.display())]
    Exists { path: PathBuf },
    #[error("{} is no statement of this network that a key follows another: {problem}; `qis node --rotate` makes one", path.display())]
    Statement { path: PathBuf, problem: String },
    #[error("the operating system gave no entropy for a key")]
    Entropy,
}

/// Reads the 32 bytes of a secret.
pub(super) fn read_secret(path: &Path) -> Result<Zeroizing<[u8; SECRET_BYTES]>, KeyError> {
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::NotFound => KeyError::Missing { path: path.to_owned(), source },
        _ => KeyError::Read { path: path.to_owned(), source },
    };
    let file = File::open(path).map_err(failed)?;
    // Of what was opened, so that nobody puts another file there in between.
    let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
    if mode & OTHERS != 0 {
        return Err(KeyError::Open { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES).read_to_end(&mut text).map_err(failed)?;
    let malformed = || KeyError::Malformed { path: path.to_owned() };
    let bytes = hex::parse(&text, "").ok().flatten().map(Zeroizing::new).ok_or_else(malformed)?;
    let secret = bytes.as_slice().try_into().map_err(|_| malformed())?;
    Ok(Zeroizing::new(secret))
}

/// The identity whose seed a file holds.
pub(super) fn read_identity(path: &Path) -> Result<Identity, KeyError> {
    Ok(Identity::from_seed(*read_secret(path)?))
}

/// Reads a statement that a key of a node follows another. It is no secret.
pub(super) fn read_statement(path: &Path, network: NetworkId) -> Result<RotationStatement, KeyError> {
    let statement = RotationStatement::verify(&read_public(path)?, network);
    statement.map_err(|error| KeyError::Statement { path: path.to_owned(), problem: error.to_string() })
}

/// Reads a credential. It is no secret.
pub(super) fn read_credential(path: &Path) -> Result<Vec<u8>, KeyError> {
    read_public(path)
}

/// Reads bytes, or their hex digits.
fn read_public(path: &Path) -> Result<Vec<u8>, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MOST_BYTES).read_to_end(&mut bytes).map_err(failed)?;
    Ok(hex::parse(&bytes, "").ok().flatten().unwrap_or(bytes))
}

/// Makes a secret of the system's entropy and keeps it in a new file that only its owner can read.
pub(super) fn create(path: &Path) -> Result<Identity, KeyError> {
    let mut secret = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(secret.as_mut_slice()).map_err(|_| KeyError::Entropy)?;
    let failed = |source: io::Error| match source.kind() {
        ErrorKind::AlreadyExists => KeyError::Exists { path: path.to_owned() },
        _ => KeyError::Write { path: path.to_owned(), source },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let text = Zeroizing::new(hex::digits(secret.as_slice()) + "\n");
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(Identity::from_seed(*secret))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::node::testing::Folder;

    #[test]
    fn a_key_is_made_once_and_read_back() {
        let folder = Folder::new();
        let path = folder.path("node.key");
        let author = create(&path).unwrap().author();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read_identity(&path).unwrap().author(), author);
        assert!(matches!(create(&path), Err(KeyError::Exists { .. })));
        assert_eq!(read_identity(&path).unwrap().author(), author);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let folder = Folder::new();
        let path = folder.path("node.key");
        create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_identity(&path).unwrap_err();
            assert!(matches!(error, KeyError::Open { mode: found, .. } if found == mode));
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let folder = Folder::new();
        for (name, content) in [("short", "ab".repeat(31)), ("long", "ab".repeat(2000)), ("no", "key".into())]
        {
            let path = folder.path(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(read_secret(&path), Err(KeyError::Malformed { .. })), "{name}");
        }
        assert!(read_identity(&folder.path("none")).unwrap_err().to_string().contains("--new-key"));
    }
}
