//! What a node says of itself in Kademlia: its address, signed, under one key and at one time.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qis_packet::{Identity, NetworkId, SKEW_SECONDS};
use qis_route::Address;

use crate::address::{NodeAddress, key_of};

/// How long a statement counts. Nodes make another one each quarter of that.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);

const LABEL: &str = "libp2p/member";
const SIGNATURE_AT: usize = 8;
const TEXT_AT: usize = SIGNATURE_AT + 64;

/// A node that said where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) node: NodeAddress,
    pub(crate) address: Address,
    /// When it said so, in seconds since 1970.
    pub(crate) issued: u64,
}

/// The time by the system's clock, in seconds since 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// The statement of the node with this identity: the time in 8 bytes, the signature, the address. The key is signed and does not
/// travel, so that nobody can put the statement under another one.
pub(crate) fn sign(
    identity: &Identity,
    network: NetworkId,
    key: &[u8; 32],
    address: &Address,
    issued: u64,
) -> Vec<u8> {
    let (time, text) = (issued.to_be_bytes(), address.as_str().as_bytes());
    let signature = identity.sign_statement(LABEL, network, &[&key[..], &time, text].concat());
    [&time[..], &signature, text].concat()
}

/// The member that a statement is of; `None` when it is malformed, not signed by the peer it names, or not of this hour.
pub(crate) fn verify(statement: &[u8], network: NetworkId, key: &[u8; 32], now: u64) -> Option<Member> {
    let time: [u8; 8] = *statement.first_chunk()?;
    let signature: [u8; 64] = *statement.get(SIGNATURE_AT..TEXT_AT)?.first_chunk()?;
    let text = std::str::from_utf8(statement.get(TEXT_AT..)?).ok()?;
    let issued = u64::from_be_bytes(time);
    let oldest = now.saturating_sub(LIFETIME.as_secs() + SKEW_SECONDS);
    if issued < oldest || issued > now.saturating_add(SKEW_SECONDS) {
        return None;
    }
    let address: Address = text.parse().ok()?;
    let node = NodeAddress::parse(text).ok()?;
    let signed = [&key[..], &time, text.as_bytes()].concat();
    let valid = key_of(&node.peer)?.verifies_statement(LABEL, network, &signed, &signature);
    valid.then_some(Member { node, address, issued })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::peer_with;

    #[test]
    fn a_statement_holds_for_its_key_network_peer_and_hour_only() {
        let identity = Identity::from_seed([1; 32]);
        let peer = peer_with(&identity.public_key()).unwrap();
        let address: Address = format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}").parse().unwrap();
        let (network, now) = (NetworkId::new("n"), 1_800_000_000);
        let statement = sign(&identity, network, &[7; 32], &address, now);
        let member = verify(&statement, network, &[7; 32], now).unwrap();
        assert_eq!((&member.address, member.node.peer, member.issued), (&address, peer, now));
        assert_eq!(verify(&statement, network, &[8; 32], now), None);
        assert_eq!(verify(&statement, NetworkId::new("o"), &[7; 32], now), None);
        assert_eq!(verify(&statement, network, &[7; 32], now + 4000), None);
        assert_eq!(verify(&statement, network, &[7; 32], now - 400), None);
        for at in 0..statement.len() {
            let mut changed = statement.clone();
            changed[at] ^= 1;
            assert_eq!(verify(&changed, network, &[7; 32], now), None, "byte {at}");
            assert_eq!(verify(&statement[..at], network, &[7; 32], now), None);
        }
        let other = Identity::from_seed([2; 32]);
        assert_eq!(verify(&sign(&other, network, &[7; 32], &address, now), network, &[7; 32], now), None);
    }
}
