//! Signatures that were verified in this thread, for programs that run many nodes in it.

extern crate std;

use alloc::collections::BTreeMap;
use core::cell::RefCell;
use core::marker::PhantomData;

use sha2::{Digest, Sha256};

/// Signatures that are remembered; when there are more, all are forgotten.
const MOST: usize = 1 << 17;

std::thread_local! {
    /// By the hash of key, signature and message, whether it is the key's over the message.
    static MEMO: RefCell<Option<BTreeMap<[u8; 32], bool>>> = const { RefCell::new(None) };
}

/// While it lives, this thread verifies no signature twice: a second time it remembers what came of the first.
///
/// It is for simulators, in which every node of a network is told of the same packets and half of the time would go into that. What
/// comes of a verification is a function of key, signature and message, so that nothing but time depends on it. It holds 8 MiB at most.
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
        MEMO.with_borrow_mut(|memo| *memo = Some(BTreeMap::new()));
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

/// What `verify` says, or said before of the same.
pub(crate) fn remembered(
    key: &[u8; 32],
    message: &[u8],
    signature: &[u8; 64],
    verify: impl FnOnce() -> bool,
) -> bool {
    MEMO.with_borrow_mut(|memo| {
        let Some(memo) = memo else { return verify() };
        let hash = Sha256::new().chain_update(key).chain_update(signature).chain_update(message);
        let hash = hash.finalize().into();
        if let Some(valid) = memo.get(&hash) {
            return *valid;
        }
        if memo.len() >= MOST {
            memo.clear();
        }
        let valid = verify();
        memo.insert(hash, valid);
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
            remembered(&[key; 32], message, &[signature; 64], || {
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
}
