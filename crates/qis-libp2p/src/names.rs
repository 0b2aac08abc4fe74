//! What networks are told apart by: the names of protocols and the keys of records.

use libp2p::{PeerId, StreamProtocol};
use qis_fingerprint::SpaceId;
use qis_packet::NetworkId;
use sha2::{Digest, Sha256};

/// Under so many keys the members of a space are found.
pub(crate) const SHARDS: u8 = 4;

/// The names of a network. None is of two networks, so that nodes of different ones have nothing to say to each other.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    pub(crate) network: NetworkId,
    /// What identify says a node speaks.
    pub(crate) version: String,
    pub(crate) kademlia: StreamProtocol,
    pub(crate) frames: StreamProtocol,
}

impl Names {
    pub(crate) fn of(network: NetworkId) -> Self {
        let version = format!("/qis/{network}/1");
        let protocol = |suffix: &str| {
            let name = format!("/qis/{network}/{suffix}/1");
            // Only a name without the leading slash is refused.
            StreamProtocol::try_from_owned(name).unwrap_or(StreamProtocol::new("/qis"))
        };
        Self { network, version, kademlia: protocol("kad"), frames: protocol("frames") }
    }

    /// Where the address of a peer is kept.
    pub(crate) fn address_key(&self, peer: &PeerId) -> [u8; 32] {
        self.key(b"qis/libp2p/address/1", &peer.to_bytes())
    }

    /// Where some of the members of a space are kept.
    pub(crate) fn space_key(&self, space: SpaceId, shard: u8) -> [u8; 32] {
        let [a, b, c, d] = space.to_bytes();
        self.key(b"qis/libp2p/space/1", &[a, b, c, d, shard])
    }

    fn key(&self, context: &[u8], what: &[u8]) -> [u8; 32] {
        let hash = Sha256::new().chain_update(context).chain_update(self.network.as_bytes());
        hash.chain_update(what).finalize().into()
    }
}

/// Which of the keys of a space a member is found under.
pub(crate) fn shard_of(peer: &PeerId) -> u8 {
    let hash: [u8; 32] = Sha256::digest(peer.to_bytes()).into();
    hash.first().map_or(0, |byte| byte % SHARDS)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nothing_of_one_network_has_the_name_of_another() {
        let names = ["a", "b"].map(|name| Names::of(NetworkId::new(name)));
        let peer = PeerId::random();
        let space = SpaceId::new("m", 2);
        let protocols: BTreeSet<&str> = names
            .iter()
            .flat_map(|names| [names.kademlia.as_ref(), names.frames.as_ref(), &names.version])
            .collect();
        assert_eq!(protocols.len(), 6);
        let keys: BTreeSet<[u8; 32]> = names
            .iter()
            .flat_map(|names| {
                let shards = (0..SHARDS).map(|shard| names.space_key(space, shard));
                shards.chain([names.address_key(&peer)]).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(keys.len(), 10);
    }

    #[test]
    fn members_are_spread_over_the_shards() {
        let shards: BTreeSet<u8> = (0..100).map(|_| shard_of(&PeerId::random())).collect();
        assert_eq!(shards.len(), usize::from(SHARDS));
    }
}
