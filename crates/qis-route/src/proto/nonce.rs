//! Unpredictable numbers from one seed.

use sha2::{Digest, Sha256};

/// Numbers that nobody guesses who does not know the seed, the same ones for the same seed.
#[derive(Debug)]
pub(crate) struct Nonces {
    seed: [u8; 32],
    counter: u64,
}

impl Nonces {
    pub(crate) const fn new(seed: [u8; 32]) -> Self {
        Self { seed, counter: 0 }
    }

    /// Others of the same seed, from which nobody learns anything of the first.
    pub(crate) fn apart(seed: [u8; 32], label: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(b"qis/nonce/apart/1").chain_update(seed).chain_update(label);
        Self::new(hash.finalize().into())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        let hash: [u8; 32] = Sha256::new()
            .chain_update(b"qis/nonce/1")
            .chain_update(self.seed)
            .chain_update(self.counter.to_le_bytes())
            .finalize()
            .into();
        hash.first_chunk().copied().map_or(0, u64::from_le_bytes)
    }
}
