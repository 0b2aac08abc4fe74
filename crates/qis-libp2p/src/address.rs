//! Addresses of nodes: multiaddresses that end in the id of a peer, which is the public key of its author.

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};
use qis_packet::{AuthorId, PublicKey};
use qis_route::Address;

/// The code of a multihash that is the hashed bytes themselves.
const INLINE: u64 = 0;

/// Why a text is not the address of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeAddressError {
    /// It is no multiaddress.
    #[error("is no multiaddress such as /ip4/192.0.2.1/tcp/4001")]
    Syntax,
    /// It does not end in the id of a peer.
    #[error("does not end in /p2p/ and the id of a peer, which says whose address it is")]
    NoPeer,
    /// The peer has no Ed25519 key, so it is no author.
    #[error("ends in the id of a peer whose key is not Ed25519")]
    Key,
    /// It is written in another way than the one that all nodes use.
    #[error("is not written as libp2p writes it, which is how addresses are compared")]
    NotCanonical,
    /// It has more than 255 bytes.
    #[error("has more than 255 bytes")]
    TooLong,
}

/// Where a node is, as libp2p has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeAddress {
    pub(crate) peer: PeerId,
    pub(crate) multiaddr: Multiaddr,
}

impl NodeAddress {
    pub(crate) fn parse(text: &str) -> Result<Self, NodeAddressError> {
        let multiaddr: Multiaddr = text.parse().map_err(|_| NodeAddressError::Syntax)?;
        let peer = peer_of(&multiaddr).ok_or(NodeAddressError::NoPeer)?;
        key_of(&peer).ok_or(NodeAddressError::Key)?;
        if multiaddr.to_string() == text {
            Ok(Self { peer, multiaddr })
        } else {
            Err(NodeAddressError::NotCanonical)
        }
    }

    /// The address of `peer` at `multiaddr`, which may say whose it is or not.
    pub(crate) fn of(peer: PeerId, multiaddr: Multiaddr) -> Result<Self, NodeAddressError> {
        let multiaddr = multiaddr.with_p2p(peer).map_err(|_| NodeAddressError::NoPeer)?;
        Ok(Self { peer, multiaddr })
    }

    /// The text by which other nodes know it.
    pub(crate) fn text(&self) -> Result<Address, NodeAddressError> {
        self.multiaddr.to_string().parse().map_err(|_| NodeAddressError::TooLong)
    }
}

/// Whose address it is.
fn peer_of(multiaddr: &Multiaddr) -> Option<PeerId> {
    match multiaddr.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// The public key of a peer, which is in its id; `None` for keys of other kinds than QIS has.
pub(crate) fn key_of(peer: &PeerId) -> Option<PublicKey> {
    let hash = peer.as_ref();
    if hash.code() != INLINE {
        return None;
    }
    let key = identity::PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    PublicKey::from_bytes(&key.try_into_ed25519().ok()?.to_bytes()).ok()
}

pub(crate) fn author_of(peer: &PeerId) -> Option<AuthorId> {
    key_of(peer).map(|key| key.author())
}

/// The id of the peer with this key.
pub(crate) fn peer_with(key: &PublicKey) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(&key.to_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// Whether an address means any interface, so that nobody can dial it.
pub(crate) fn is_unspecified(multiaddr: &Multiaddr) -> bool {
    multiaddr.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_unspecified(),
        Protocol::Ip6(ip) => ip.is_unspecified(),
        _ => false,
    })
}

/// Whether an address is of the same machine only.
pub(crate) fn is_loopback(multiaddr: &Multiaddr) -> bool {
    multiaddr.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_loopback(),
        Protocol::Ip6(ip) => ip.is_loopback(),
        _ => false,
    })
}

/// Whether frames go by a relay there.
pub(crate) fn is_relayed(multiaddr: &Multiaddr) -> bool {
    multiaddr.iter().any(|part| part == Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests {
    use qis_packet::Identity;

    use super::*;

    #[test]
    fn the_peer_id_is_the_key_of_the_author() {
        let identity = Identity::from_seed([3; 32]);
        let peer = peer_with(&identity.public_key()).unwrap();
        assert_eq!(key_of(&peer), Some(identity.public_key()));
        assert_eq!(author_of(&peer), Some(identity.author()));
        let other: PeerId = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse().unwrap();
        assert_eq!(key_of(&other), None);
    }

    #[test]
    fn an_address_says_whose_it_is_in_one_way_only() {
        let peer = peer_with(&Identity::from_seed([3; 32]).public_key()).unwrap();
        let text = format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}");
        let address = NodeAddress::parse(&text).unwrap();
        assert_eq!((address.peer, address.text().unwrap().as_str()), (peer, text.as_str()));
        let bare = "/ip4/192.0.2.1/tcp/4001".parse().unwrap();
        assert_eq!(NodeAddress::of(peer, bare), Ok(address));
        assert_eq!(NodeAddress::parse("/ip4/192.0.2.1/tcp/4001"), Err(NodeAddressError::NoPeer));
        assert_eq!(NodeAddress::parse("clinic-a"), Err(NodeAddressError::Syntax));
        let ipfs = text.replace("/p2p/", "/ipfs/");
        assert!(NodeAddress::parse(&ipfs).is_err());
        let padded = format!("/ip4/192.0.2.1/tcp/04001/p2p/{peer}");
        assert_eq!(NodeAddress::parse(&padded), Err(NodeAddressError::NotCanonical));
    }

    #[test]
    fn addresses_that_nobody_can_dial_are_seen() {
        let is = |text: &str| {
            let multiaddr = text.parse().unwrap();
            (is_unspecified(&multiaddr), is_loopback(&multiaddr))
        };
        assert_eq!(is("/ip4/0.0.0.0/tcp/1"), (true, false));
        assert_eq!(is("/ip6/::/udp/1/quic-v1"), (true, false));
        assert_eq!(is("/ip4/127.0.0.1/tcp/1"), (false, true));
        assert_eq!(is("/ip4/192.0.2.1/tcp/1"), (false, false));
    }
}
