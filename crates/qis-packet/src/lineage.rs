//! What a derived packet was made of.

use alloc::vec::Vec;

use sha2::{Digest, Sha256};

use crate::PacketId;

/// The most steps of derivation a packet may be away from observations.
pub const MAX_GENERATION: u8 = 2;

/// The declared origin of a derived packet: how many steps from observations, and a root over the packets it was made of.
///
/// Derived packets may be of use to people; they never count as evidence, since that would count the observations behind them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lineage {
    generation: u8,
    root: [u8; 16],
}

impl Lineage {
    /// The lineage of a packet made of `inputs`, whose own highest generation was `generation - 1`.
    ///
    /// The root is the first 16 bytes of a Merkle tree hash over the sorted, distinct ids (the tree of RFC 6962: leaves are hashed with a
    /// zero byte before them, pairs with a one, an odd node is passed up), so that one input can be proved without naming the others.
    ///
    /// Returns `None` without inputs, or when `generation` is not 1 or 2.
    #[must_use]
    pub fn of(generation: u8, inputs: &[PacketId]) -> Option<Self> {
        let mut inputs = inputs.to_vec();
        inputs.sort_unstable();
        inputs.dedup();
        let mut level: Vec<[u8; 32]> = inputs.iter().map(|id| hash(0, id.as_bytes(), &[])).collect();
        while level.len() > 1 {
            let parent = |pair: &[[u8; 32]]| match pair {
                [left, right] => hash(1, left, right),
                [single] => *single,
                _ => [0; 32],
            };
            level = level.chunks(2).map(parent).collect();
        }
        Self::from_parts(generation, level.first()?.first_chunk().copied()?)
    }

    pub(crate) fn from_parts(generation: u8, root: [u8; 16]) -> Option<Self> {
        (1..=MAX_GENERATION).contains(&generation).then_some(Self { generation, root })
    }

    /// Steps from observations, 1 or 2.
    #[must_use]
    pub const fn generation(&self) -> u8 {
        self.generation
    }

    /// The truncated Merkle root.
    #[must_use]
    pub const fn root(&self) -> &[u8; 16] {
        &self.root
    }
}

fn hash(tag: u8, left: &[u8], right: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update([tag]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_repetition_of_inputs_do_not_matter() {
        let id = |byte| PacketId::from_bytes([byte; 32]);
        let root = |inputs: &[PacketId]| *Lineage::of(1, inputs).unwrap().root();
        assert_eq!(root(&[id(1), id(2), id(3)]), root(&[id(3), id(1), id(2), id(1)]));
        assert_ne!(root(&[id(1), id(2)]), root(&[id(1), id(3)]));
        assert_ne!(root(&[id(1)]), root(&[id(1), id(2)]));
    }

    #[test]
    fn refuses_other_generations_and_no_inputs() {
        let input = [PacketId::from_bytes([7; 32])];
        assert!(Lineage::of(0, &input).is_none());
        assert!(Lineage::of(3, &input).is_none());
        assert!(Lineage::of(1, &[]).is_none());
    }
}
