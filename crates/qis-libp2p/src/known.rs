//! The peers a node has met, to be found again.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use qis_route::Address;

use crate::address::NodeAddress;
use crate::random::Random;

const MOST_KNOWN: usize = 1024;
/// How long after a failure a given address is tried again, at first and at most.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// After this a dial that told nothing is over.
const DIAL: Duration = Duration::from_secs(30);

/// Where peers said they are, the latest 1,024 of them.
#[derive(Debug, Default)]
pub(crate) struct Known {
    peers: HashMap<PeerId, (Address, Instant)>,
}

impl Known {
    pub(crate) fn insert(&mut self, peer: PeerId, address: Address, now: Instant) {
        if self.peers.len() >= MOST_KNOWN && !self.peers.contains_key(&peer) {
            let oldest = self.peers.iter().min_by_key(|(_, (_, seen))| *seen).map(|(peer, _)| *peer);
            if let Some(oldest) = oldest {
                self.peers.remove(&oldest);
            }
        }
        self.peers.insert(peer, (address, now));
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<&Address> {
        self.peers.get(peer).map(|(address, _)| address)
    }

    /// All of them, the one that was heard last first.
    pub(crate) fn addresses(&self) -> Vec<Address> {
        let mut all: Vec<&(Address, Instant)> = self.peers.values().collect();
        all.sort_by_key(|(_, seen)| std::cmp::Reverse(*seen));
        all.into_iter().map(|(address, _)| address.clone()).collect()
    }
}

/// The addresses that the host gave, by which the network is joined and found again.
#[derive(Debug)]
pub(crate) struct Given {
    peers: Vec<Attempt>,
    random: Random,
}

#[derive(Debug)]
struct Attempt {
    node: NodeAddress,
    reached: bool,
    failures: u32,
    next: Instant,
}

impl Given {
    pub(crate) fn new(nodes: Vec<NodeAddress>, now: Instant) -> Self {
        let attempt = |node| Attempt { node, reached: false, failures: 0, next: now };
        Self { peers: nodes.into_iter().map(attempt).collect(), random: Random::new() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whom to dial: those who were never reached, and all while the node has no connection.
    pub(crate) fn due(
        &mut self,
        now: Instant,
        alone: bool,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(PeerId, Multiaddr)> {
        let due =
            |one: &&mut Attempt| now >= one.next && (alone || !one.reached) && !is_connected(&one.node.peer);
        let dial = |one: &mut Attempt| {
            one.next = now + DIAL;
            (one.node.peer, one.node.multiaddr.clone())
        };
        self.peers.iter_mut().filter(due).map(dial).collect()
    }

    pub(crate) fn set_reached(&mut self, peer: &PeerId, now: Instant) {
        for one in self.peers.iter_mut().filter(|one| one.node.peer == *peer) {
            (one.reached, one.failures) = (true, 0);
            one.next = now + FIRST_WAIT;
        }
    }

    /// Returns whether it is one of them.
    pub(crate) fn set_failed(&mut self, peer: &PeerId, now: Instant) -> bool {
        let mut found = false;
        for one in self.peers.iter_mut().filter(|one| one.node.peer == *peer) {
            let wait = FIRST_WAIT.saturating_mul(1 << one.failures.min(10)).min(LONGEST_WAIT);
            one.next = now + wait.mul_f64(self.random.jitter());
            one.failures = one.failures.saturating_add(1);
            found = true;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use qis_packet::Identity;

    use super::*;
    use crate::address::peer_with;

    fn node(seed: u8) -> NodeAddress {
        let peer = peer_with(&Identity::from_seed([seed; 32]).public_key()).unwrap();
        NodeAddress::of(peer, "/ip4/192.0.2.1/tcp/4001".parse().unwrap()).unwrap()
    }

    #[test]
    fn the_peers_heard_longest_ago_are_forgotten_first() {
        let mut known = Known::default();
        let start = Instant::now();
        let peers: Vec<PeerId> = (0..MOST_KNOWN + 2).map(|_| PeerId::random()).collect();
        for (i, peer) in peers.iter().enumerate() {
            let now = start + Duration::from_secs(u64::try_from(i).unwrap());
            known.insert(*peer, format!("a:{i}").parse().unwrap(), now);
        }
        let addresses = known.addresses();
        assert_eq!((addresses.len(), addresses[0].as_str()), (MOST_KNOWN, "a:1025"));
        assert!(
            known.get(&peers[0]).is_none()
                && known.get(&peers[1]).is_none()
                && known.get(&peers[2]).is_some()
        );
    }

    #[test]
    fn who_is_not_reached_is_tried_less_and_less_often() {
        let mut now = Instant::now();
        let mut given = Given::new(vec![node(1)], now);
        let mut waits = Vec::new();
        for _ in 0..10 {
            assert_eq!(given.due(now, false, |_| false).len(), 1);
            assert!(given.due(now, false, |_| false).is_empty(), "a dial is under way");
            assert!(given.set_failed(&node(1).peer, now) && !given.set_failed(&node(2).peer, now));
            let wait = given.peers[0].next - now;
            waits.push(wait);
            now += wait;
        }
        assert!(
            waits[0] >= Duration::from_millis(400)
                && waits[1] > waits[0]
                && waits[9] <= Duration::from_secs(72)
        );
    }

    #[test]
    fn who_was_reached_is_dialed_again_when_the_node_is_alone() {
        let now = Instant::now();
        let mut given = Given::new(vec![node(1), node(2)], now);
        assert_eq!(given.due(now, false, |_| false).len(), 2);
        given.set_reached(&node(1).peer, now);
        given.set_failed(&node(2).peer, now);
        let later = now + Duration::from_secs(1);
        assert_eq!(given.due(later, false, |_| false), [(node(2).peer, node(2).multiaddr)]);
        assert_eq!(given.due(later, true, |_| false), [(node(1).peer, node(1).multiaddr)]);
        let latest = later + DIAL;
        assert!(given.due(latest, true, |_| true).is_empty());
    }
}
