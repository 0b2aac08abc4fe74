//! A node's place in the network.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::futures::StreamExt;
use libp2p::futures::future::join_all;
use libp2p::futures::stream::FuturesUnordered;
use qis_fingerprint::SpaceId;
use qis_packet::{AuthorId, Identity, PublicKey};
use qis_route::{Address, HostError, HostErrorKind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::address::peer_with;
use crate::command::{Change, Command};
use crate::dht::ask;
use crate::names::{Names, SHARDS};
use crate::random::Random;
use crate::records::Kind;
use crate::statement::{self, Member, unix_seconds};
use crate::task::Shared;
use crate::{Libp2pBuilder, Libp2pDht, Libp2pStats, Libp2pTransport};

/// How long a node that has addresses to join by waits until it has joined, before it asks who is there.
const JOIN: Duration = Duration::from_secs(10);
/// How long a member may take to show that it is there.
const KNOCK: Duration = Duration::from_secs(5);
/// Members that are knocked at, at a time.
const KNOCKS: usize = 8;

/// A node on the network: it listens, has connections, and finds others.
///
/// It is the host's handle: dropping it ends the node's network at once, [`shutdown`](Self::shutdown) does so after what waits was
/// written. The transport and the DHT that it gives out keep nothing alive.
#[derive(Debug)]
pub struct Libp2p {
    names: Names,
    shared: Shared,
    commands: mpsc::Sender<Command>,
    routed: watch::Receiver<usize>,
    is_joining: bool,
    peer: PeerId,
    local: Address,
    listening: Vec<Address>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Libp2p {
    /// A builder for the node with this identity: the same key authenticates its connections and signs its packets.
    pub fn builder(identity: &Identity) -> Libp2pBuilder {
        Libp2pBuilder::new(identity)
    }

    #[expect(clippy::too_many_arguments, reason = "one caller, and each is a field")]
    pub(crate) const fn new(
        names: Names,
        shared: Shared,
        commands: mpsc::Sender<Command>,
        routed: watch::Receiver<usize>,
        is_joining: bool,
        peer: PeerId,
        local: Address,
        listening: Vec<Address>,
        stop: oneshot::Sender<()>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { names, shared, commands, routed, is_joining, peer, local, listening, stop, task }
    }

    /// Where others reach this node: a multiaddress that ends in its id.
    #[must_use]
    pub fn local_address(&self) -> Address {
        self.local.clone()
    }

    /// Where it listened when it was built.
    #[must_use]
    pub fn listening(&self) -> &[Address] {
        &self.listening
    }

    /// The way into the network for a node's builder.
    #[must_use]
    pub fn transport(&self) -> Libp2pTransport {
        Libp2pTransport::new(Arc::clone(&self.shared.links), self.local.clone())
    }

    /// The network's Kademlia, for a [`DhtDirectory`](qis_route::DhtDirectory).
    #[must_use]
    pub fn dht(&self) -> Libp2pDht {
        Libp2pDht { commands: self.commands.clone() }
    }

    /// Hands each frame that arrives to `receiver`, with the address of the node that sent it; in the place of an earlier one. Frames that
    /// arrive before it is called wait at their senders.
    ///
    /// It is called from the tasks of connections, several at a time, and must not wait. What it takes long for is what its peer has to
    /// wait for.
    pub fn serve(&self, receiver: impl Fn(&Address, &[u8]) + Send + Sync + 'static) {
        self.shared.plane.set_receiver(Some(Arc::new(receiver)));
        // Should the task have too much to do, connections look for themselves before long.
        let _ = self.commands.try_send(Command::Served);
    }

    /// Makes this node findable by those who look for members of `space`, until it is withdrawn or shut down. It says so again each quarter
    /// of an hour.
    ///
    /// # Errors
    ///
    /// [`HostError`] when it is announced in 64 spaces already, or after a shutdown. That nobody else is there yet is no error.
    pub async fn announce(&self, space: SpaceId) -> Result<(), HostError> {
        ask(&self.commands, |reply| Command::Announce { space, reply }).await
    }

    /// Announces this node in `space` no longer. Others forget it within an hour.
    pub async fn withdraw(&self, space: SpaceId) {
        // After a shutdown nothing is announced anyway.
        let _ = self.commands.send(Command::Withdraw { space }).await;
    }

    /// Up to `k` members of `space` that are there now, any of those that [announced](Self::announce) themselves in the last hour, in any
    /// order and none twice: for [`NodeBuilder::bootstrap`](https://docs.rs/qis).
    ///
    /// It first waits up to 10 s until the network is joined, if there are addresses to join by, then asks Kademlia, and connects to members
    /// until `k` have answered. A network that grows beyond some hundred members shows others of them each time. None is found in an empty network,
    /// and when members are not heard of yet; a node that nobody finds is found by those who come later.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the network does not answer, or after a shutdown.
    pub async fn members(&self, space: SpaceId, k: usize) -> Result<Vec<Address>, HostError> {
        if self.is_joining {
            let mut routed = self.routed.clone();
            // What is known without joining is little, and better than nothing.
            let _ = tokio::time::timeout(JOIN, routed.wait_for(|peers| *peers > 0)).await;
        }
        let keys = (0..SHARDS).map(|shard| self.names.space_key(space, shard));
        let found = join_all(keys.map(|key| self.stated(Kind::Space, key))).await;
        let mut members: HashMap<PeerId, Member> = HashMap::new();
        let (mut answered, mut error) = (false, None);
        for result in found {
            match result {
                Ok(some) => {
                    answered = true;
                    for member in some.into_iter().filter(|member| member.node.peer != self.peer) {
                        let known = members.entry(member.node.peer).or_insert_with(|| member.clone());
                        if known.issued < member.issued {
                            *known = member;
                        }
                    }
                }
                Err(one) => error = Some(one),
            }
        }
        if let Some(error) = error.filter(|_| !answered) {
            return Err(error);
        }
        let mut candidates: Vec<Address> = members.into_values().map(|member| member.address).collect();
        Random::new().shuffle(&mut candidates);
        Ok(self.present(candidates, k).await)
    }

    /// Those of the candidates that can be connected to, up to `k` of them.
    async fn present(&self, candidates: Vec<Address>, k: usize) -> Vec<Address> {
        let mut present = Vec::new();
        let mut candidates = candidates.into_iter();
        let mut knocking = FuturesUnordered::new();
        while present.len() < k {
            while knocking.len() < KNOCKS.min(k - present.len())
                && let Some(address) = candidates.next()
            {
                knocking.push(async move {
                    let connected = self.shared.links.connect(&address, KNOCK).await;
                    connected.is_ok().then_some(address)
                });
            }
            match knocking.next().await {
                Some(Some(address)) => present.push(address),
                Some(None) => {}
                None => break,
            }
        }
        present
    }

    /// What members have said under a key, verified.
    async fn stated(&self, kind: Kind, key: [u8; 32]) -> Result<Vec<Member>, HostError> {
        let values = self.dht().get_all(kind.key(&key)).await?;
        let now = unix_seconds();
        let verify = |value: &Vec<u8>| statement::verify(value, self.names.network, &key, now);
        Ok(values.iter().filter_map(verify).collect())
    }

    /// Where the node with this key is: what it said to Kademlia in the last hour, or else what it said on a connection with this node.
    ///
    /// # Errors
    ///
    /// [`HostError`] when the network does not answer and the node was never met, or after a shutdown.
    pub async fn address_of(&self, key: &PublicKey) -> Result<Option<Address>, HostError> {
        let Some(peer) = peer_with(key) else { return Ok(None) };
        let stated = self.stated(Kind::Address, self.names.address_key(&peer)).await;
        let known = || {
            let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&peer).cloned()
        };
        match stated {
            Ok(members) => {
                let own = members.into_iter().filter(|member| member.node.peer == peer);
                let newest = own.max_by_key(|member| member.issued);
                Ok(newest.map(|member| member.address).or_else(known))
            }
            Err(error) => known().map(Some).ok_or(error),
        }
    }

    /// The addresses of nodes that were met, the latest 1,024 of them and the last one first: to be kept over a restart, and given to
    /// [`peers`](Libp2pBuilder::peers) then. A few dozen of them are enough.
    #[must_use]
    pub fn known_peers(&self) -> Vec<Address> {
        self.shared.known.lock().unwrap_or_else(PoisonError::into_inner).addresses()
    }

    /// Lets this author connect, if there is a list of those who may; without one, this author is the first on it.
    ///
    /// # Errors
    ///
    /// As for [`block`](Self::block).
    pub async fn admit(&self, author: AuthorId) -> Result<(), HostError> {
        self.change(Change::Admit(author)).await
    }

    /// Takes this author off the list of those who may connect, and closes its connections. Without a list nobody may connect after it.
    ///
    /// # Errors
    ///
    /// As for [`block`](Self::block).
    pub async fn expel(&self, author: AuthorId) -> Result<(), HostError> {
        self.change(Change::Expel(author)).await
    }

    /// Lets this author not connect, admitted or not, and closes its connections.
    ///
    /// # Errors
    ///
    /// [`HostError`] after a shutdown.
    pub async fn block(&self, author: AuthorId) -> Result<(), HostError> {
        self.change(Change::Block(author)).await
    }

    /// Ends what [`block`](Self::block) began.
    ///
    /// # Errors
    ///
    /// As for [`block`](Self::block).
    pub async fn unblock(&self, author: AuthorId) -> Result<(), HostError> {
        self.change(Change::Unblock(author)).await
    }

    async fn change(&self, change: Change) -> Result<(), HostError> {
        let sent = self.commands.send(Command::Access(change)).await;
        sent.map_err(|_| HostError::new(HostErrorKind::Unavailable, "the network of this node was shut down"))
    }

    /// The counts since the node was built.
    #[must_use]
    pub fn stats(&self) -> Libp2pStats {
        self.shared.counters.stats(self.shared.links.queued_bytes())
    }

    /// Leaves the network: takes no more frames, writes those that wait for up to two seconds, and closes all connections. Shut down the
    /// node that uses it first.
    pub async fn shutdown(self) {
        let Self { stop, task, .. } = self;
        // If the task is gone, it has left already.
        let _ = stop.send(());
        let _ = task.await;
    }
}
