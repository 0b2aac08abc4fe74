//! Keys and signatures that were checked in this thread, for programs that run many nodes in it.

extern crate std;

use core::cell::RefCell;
use core::marker::PhantomData;
use std::collections::HashMap;

use sha2::{Digest, Sha256};

/// Keys that are remembered, and signatures; when there are more, all of them are forgotten.
const MOST: usize = 1 << 16;

std::thread_local! {
    static MEMO: RefCell<Option<Memo>> = const { RefCell::new(None) };
}

/// What was checked. Nothing goes through the maps, so that their order does not show.
#[derive(Default)]
struct Memo {
    /// Whether these bytes are a key.
    keys: HashMap<[u8; 32], bool>,
    /// By the hash of key, signature and message, whether it is the key's over the message.
    signatures: HashMap<[u8; 32], bool>,
}

/// While it lives, this thread checks no key and no signature twice: a second time it remembers what came of the first.
///
/// It is for simulators, in which every node of a network is told of the same packets and half of the time would go into that. What
/// comes of a check is a function of key, signature and message, so that nothing but time depends on it. It holds 10 MiB at most.
/// A node in production has nothing to gain: it drops what it knows before it verifies.
#[derive(Debug)]
pub struct SignatureMemo {
    /// It belongs to its thread.
    _local: PhantomData<*const ()>,
}

impl SignatureMemo {
    /// Remembers from now on, in this thread, until it is dropped. There is one at a time: a second one begins anew, and the first to be dropped ends it.
    #[must_use]
    pub fn new() -> Self {
        MEMO.with_borrow_mut(|memo| *memo = Some(Memo::default()));
        Self { _local: PhantomData }
    }
}

impl Default for SignatureMemo {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SignatureMemo {
    fn drop(&mut self) {
        MEMO.with_borrow_mut(|memo| *memo = None);
    }
}

/// What `check` says of a key, or said before of the same.
pub(crate) fn remembered_key(key: &[u8; 32], check: impl FnOnce() -> bool) -> bool {
    remembered(|memo| &mut memo.keys, || *key, check)
}

/// What `verify` says of a signature, or said before of the same.
pub(crate) fn remembered_signature(
    key: &[u8; 32],
    message: &[u8],
    signature: &[u8; 64],
    verify: impl FnOnce() -> bool,
) -> bool {
    let hash =
        || Sha256::new().chain_update(key).chain_update(signature).chain_update(message).finalize().into();
    remembered(|memo| &mut memo.signatures, hash, verify)
}

fn remembered(
    of: impl FnOnce(&mut Memo) -> &mut HashMap<[u8; 32], bool>,
    what: impl FnOnce() -> [u8; 32],
    check: impl FnOnce() -> bool,
) -> bool {
    MEMO.with_borrow_mut(|memo| {
        let Some(memo) = memo else { return check() };
        let (known, what) = (of(memo), what());
        if let Some(valid) = known.get(&what) {
            return *valid;
        }
        if known.len() >= MOST {
            known.clear();
        }
        let valid = check();
        known.insert(what, valid);
        valid
    })
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::*;

    #[test]
    fn the_same_is_verified_once_and_nothing_else_is_taken_for_it() {
        let calls = Cell::new(0);
        let ask = |key: u8, message: &[u8], signature: u8, valid: bool| {
            remembered_signature(&[key; 32], message, &[signature; 64], || {
                calls.set(calls.get() + 1);
                valid
            })
        };
        assert!(ask(1, b"a", 1, true) && ask(1, b"a", 1, true));
        assert_eq!(calls.take(), 2, "nobody asked to remember");
        let memo = SignatureMemo::new();
        assert!(ask(1, b"a", 1, true) && ask(1, b"a", 1, false));
        assert!(!ask(2, b"a", 1, false) && !ask(1, b"b", 1, false) && !ask(1, b"a", 2, false));
        assert!(!ask(1, b"b", 1, true));
        assert_eq!(calls.take(), 4);
        drop(memo);
        assert!(!ask(1, b"a", 1, false));
        assert_eq!(calls.take(), 1);
    }

    #[test]
    fn a_key_is_checked_once() {
        let calls = Cell::new(0);
        let ask = |key: u8, valid: bool| {
            remembered_key(&[key; 32], || {
                calls.set(calls.get() + 1);
                valid
            })
        };
        let memo = SignatureMemo::new();
        assert!(ask(1, true) && ask(1, false) && !ask(2, false) && !ask(2, true));
        assert_eq!(calls.take(), 2);
        drop(memo);
        assert!(!ask(1, false));
    }
}
