//! The task that owns the swarm.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use libp2p::futures::StreamExt;
use libp2p::kad::{self, Quorum, Record};
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionDenied, DialError, ListenError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm, connection_limits, identify, memory_connection_limits, ping};
use qis_fingerprint::SpaceId;
use qis_packet::Identity;
use qis_route::{Address, HostError, HostErrorKind};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

use crate::access::Refused;
use crate::address::{is_loopback, is_unspecified};
use crate::behaviour::{Behaviour, BehaviourEvent};
use crate::command::{Change, Command, Reply};
use crate::frames::{self, Plane};
use crate::incident::{Counters, Incident};
use crate::known::{Given, Known};
use crate::links::Links;
use crate::names::{Names, shard_of};
use crate::queries::{Found, Purpose, Queries};
use crate::random::Random;
use crate::records::Kind;
use crate::statement::{self, LIFETIME, unix_seconds};

const TICK: Duration = Duration::from_millis(250);
/// After a new neighbour is met, the node announces itself again this soon, so that it is found there too.
const SETTLE: Duration = Duration::from_millis(100);
/// Neighbours from which on one more makes no difference to who keeps what a node announces.
const NEIGHBOURS: usize = 20;
/// Spaces that a node announces itself in.
const MOST_SPACES: usize = 64;
/// Addresses that are taken of what a peer says of itself.
const MOST_ADDRESSES: usize = 8;
/// Peers that are looked for in Kademlia at a time, because they are not where they were said to be.
const MOST_ELSEWHERE: usize = 8;
/// How long a node that is shut down waits for what is to be written, and then for its connections to close.
const DRAIN: Duration = Duration::from_secs(2);
const GOODBYE: Duration = Duration::from_secs(1);

/// Moves the swarm, and does what the handles ask.
pub(crate) struct Task {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) shared: Shared,
    commands: mpsc::Receiver<Command>,
    identity: Identity,
    names: Names,
    given: Given,
    queries: Queries,
    /// Peers that are dialed at the second address already.
    second: HashSet<PeerId>,
    spaces: BTreeSet<SpaceId>,
    announce_at: Instant,
    routing: watch::Sender<usize>,
    random: Random,
}

/// What the task has in common with the handles.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) plane: Arc<Plane>,
    pub(crate) links: Arc<Links>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) known: Arc<Mutex<Known>>,
}

impl Task {
    pub(crate) fn new(
        swarm: Swarm<Behaviour>,
        shared: Shared,
        commands: mpsc::Receiver<Command>,
        identity: Identity,
        names: Names,
        given: Given,
        routing: watch::Sender<usize>,
    ) -> Self {
        Self {
            swarm,
            shared,
            commands,
            identity,
            names,
            given,
            queries: Queries::default(),
            second: HashSet::new(),
            spaces: BTreeSet::new(),
            announce_at: Instant::now(),
            routing,
            random: Random::new(),
        }
    }

    /// Runs until it is told to stop, gracefully, or until whoever could tell it is gone.
    pub(crate) async fn run(mut self, mut stop: oneshot::Receiver<()>) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let gracefully = loop {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                Some(command) = self.commands.recv() => self.on_command(command),
                _ = tick.tick() => self.on_tick(Instant::now()),
                told = &mut stop => break told.is_ok(),
            }
        };
        if gracefully {
            self.say_goodbye().await;
        }
    }

    /// Writes what waits, then closes all connections.
    async fn say_goodbye(&mut self) {
        self.shared.links.close();
        self.shared.plane.is_leaving.store(true, Ordering::Relaxed);
        self.shared.links.wake_all();
        let links = Arc::clone(&self.shared.links);
        self.poll_until(DRAIN, |_| links.are_closed()).await;
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // It may be gone already.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        self.poll_until(GOODBYE, |swarm| swarm.network_info().num_peers() == 0).await;
    }

    async fn poll_until(&mut self, most: Duration, is_done: impl Fn(&Swarm<Behaviour>) -> bool) {
        let end = tokio::time::Instant::now() + most;
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while !is_done(&self.swarm) {
            tokio::select! {
                event = self.swarm.select_next_some() => self.on_event(event),
                _ = tick.tick() => {}
                () = tokio::time::sleep_until(end) => return,
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Dial { peer, address } => self.dial(peer, address),
            Command::Served => self.swarm.behaviour_mut().frames.set_served(),
            Command::Put { key, value, lives, reply } => self.put(key, value, lives, Purpose::Put(reply)),
            Command::Get { key, reply } => self.get(key, reply),
            Command::Announce { space, reply } => {
                if self.spaces.len() >= MOST_SPACES && !self.spaces.contains(&space) {
                    let full =
                        HostError::new(HostErrorKind::Full, "a node announces itself in 64 spaces at most");
                    let _ = reply.send(Err(full));
                } else {
                    self.spaces.insert(space);
                    self.announce(space, Some(reply));
                }
            }
            Command::Withdraw { space } => {
                self.spaces.remove(&space);
            }
            Command::Access(change) => self.change_access(change),
        }
    }

    fn on_tick(&mut self, now: Instant) {
        let alone = self.swarm.network_info().num_peers() == 0;
        for (peer, address) in self.given.due(now, alone, |peer| self.swarm.is_connected(peer)) {
            self.dial(peer, address);
        }
        if now >= self.announce_at {
            self.announce_at = now + (LIFETIME / 4).mul_f64(self.random.jitter());
            let key = self.names.address_key(self.swarm.local_peer_id());
            self.state(Kind::Address, &key, None);
            for space in self.spaces.clone() {
                self.announce(space, None);
            }
        }
        self.count();
    }

    fn count(&mut self) {
        let counters = &self.shared.counters;
        let count = |counter: &std::sync::atomic::AtomicU64, value: usize| {
            counter.store(u64::try_from(value).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        let established = self.swarm.network_info().connection_counters().num_established();
        counters.connections.store(established.into(), Ordering::Relaxed);
        let routing = self.swarm.behaviour_mut().kademlia.kbuckets().map(|bucket| bucket.num_entries()).sum();
        count(&counters.routing_peers, routing);
        self.routing.send_if_modified(|before| std::mem::replace(before, routing) != routing);
    }

    // Connections.

    /// Dials a peer at an address, and at those that Kademlia knows of it.
    fn dial(&mut self, peer: PeerId, address: Multiaddr) {
        let dial = DialOpts::peer_id(peer)
            .addresses(vec![address])
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .extend_addresses_through_behaviour()
            .build();
        match self.swarm.dial(dial) {
            Ok(()) => {}
            // It is connected or about to be.
            Err(DialError::DialPeerConditionFalse(_)) => {
                self.swarm.behaviour_mut().frames.claim_again(peer);
            }
            Err(error) => self.on_dial_failed(peer, &error),
        }
    }

    fn on_dial_failed(&mut self, peer: PeerId, error: &DialError) {
        let was_given = self.given.set_failed(&peer, Instant::now());
        let link = self.shared.links.of(peer);
        let second = self.second.remove(&peer);
        if !link.is_dialing() && !was_given {
            return;
        }
        if let DialError::Denied { cause } = error {
            let (incident, why) = denied(cause);
            self.shared.counters.note(incident, &peer);
            return self.shared.links.fail(&link, &why);
        }
        self.shared.counters.note(Incident::DialFailed, &format_args!("{peer}: {}", Brief(error)));
        let is_own = matches!(error, DialError::LocalPeerId { .. });
        let is_full = self.queries.is_full() || self.queries.elsewhere() >= MOST_ELSEWHERE;
        if second || is_own || is_full || *self.routing.borrow() == 0 {
            self.shared.links.fail(&link, &Brief(error).to_string());
        } else if link.is_dialing() {
            let key = Kind::Address.key(&self.names.address_key(&peer));
            let id = self.swarm.behaviour_mut().kademlia.get_record(key.into());
            self.queries.insert(id, Purpose::Elsewhere(peer));
        }
    }

    /// Dials a peer where it says it is, if that is elsewhere.
    fn on_found_elsewhere(&mut self, found: &Found) {
        let link = self.shared.links.of(found.peer);
        if !link.is_dialing() {
            return;
        }
        let (key, now) = (self.names.address_key(&found.peer), unix_seconds());
        let members =
            found.values.iter().filter_map(|one| statement::verify(one, self.names.network, &key, now));
        let newest =
            members.filter(|member| member.node.peer == found.peer).max_by_key(|member| member.issued);
        match newest {
            Some(member) if link.address().as_ref() != Some(&member.node.multiaddr) => {
                self.second.insert(found.peer);
                self.dial(found.peer, member.node.multiaddr);
            }
            _ => self.shared.links.fail(&link, "the peer is not where it was said to be"),
        }
    }

    fn change_access(&mut self, change: Change) {
        let access = &mut self.swarm.behaviour_mut().access;
        access.change(change);
        let peers: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            if let Err(refused) = self.swarm.behaviour().access.judge(&peer) {
                self.refuse(peer, refused.incident(), &refused.to_string());
            }
        }
    }

    /// Closes the connections of a peer that is not to be here.
    fn refuse(&mut self, peer: PeerId, incident: Incident, why: &str) {
        self.shared.counters.note(incident, &peer);
        self.shared.links.fail(&self.shared.links.of(peer), why);
        // It may be gone already.
        let _ = self.swarm.disconnect_peer_id(peer);
    }

    // Kademlia.

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>, lives: Duration, purpose: Purpose) {
        let mut record = Record::new(key, value);
        record.expires = Some(Instant::now() + lives);
        let full = self.queries.is_full();
        let put = (!full).then(|| self.swarm.behaviour_mut().kademlia.put_record(record, Quorum::One));
        match (put, purpose) {
            (Some(Ok(id)), purpose) => self.queries.insert(id, purpose),
            (None, Purpose::Put(reply) | Purpose::Announce(Some(reply))) => drop(reply.send(Err(busy()))),
            (Some(Err(error)), Purpose::Put(reply) | Purpose::Announce(Some(reply))) => {
                let _ = reply.send(Err(HostError::new(HostErrorKind::Full, error)));
            }
            _ => {}
        }
    }

    fn get(&mut self, key: Vec<u8>, reply: Reply<Vec<Vec<u8>>>) {
        if self.queries.is_full() {
            let _ = reply.send(Err(busy()));
            return;
        }
        let id = self.swarm.behaviour_mut().kademlia.get_record(key.into());
        self.queries.insert(id, Purpose::Get(reply));
    }

    /// Says in the network where this node is.
    fn state(&mut self, kind: Kind, key: &[u8; 32], reply: Option<Reply<()>>) {
        let Some(address) = self.shared.plane.local.get() else { return };
        let value = statement::sign(&self.identity, self.names.network, key, address, unix_seconds());
        self.put(kind.key(key), value, LIFETIME, Purpose::Announce(reply));
    }

    fn announce(&mut self, space: SpaceId, reply: Option<Reply<()>>) {
        let shard = shard_of(self.swarm.local_peer_id());
        self.state(Kind::Space, &self.names.space_key(space, shard), reply);
    }

    /// Takes the addresses of a peer of this network for Kademlia, and lets nobody of another one stay.
    fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        if info.protocol_version != self.names.version {
            let why = "the peer is of another network or version";
            return self.refuse(peer, Incident::ForeignNetwork, why);
        }
        if !info.protocols.contains(&self.names.kademlia) {
            return;
        }
        // Addresses of this machine say nothing to others, unless all are on it.
        let here = self.shared.plane.local.get().and_then(|local| local.as_str().parse().ok());
        let is_here = here.as_ref().is_some_and(is_loopback);
        let usable = |address: &&Multiaddr| !is_unspecified(address) && (is_here || !is_loopback(address));
        for address in info.listen_addrs.iter().filter(usable).take(MOST_ADDRESSES) {
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
        }
    }

    fn on_kademlia(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => match result {
                kad::QueryResult::GetRecord(result) => {
                    if let Some(found) = self.queries.got(id, result, step.last) {
                        self.on_found_elsewhere(&found);
                    }
                }
                kad::QueryResult::PutRecord(result) => self.queries.put(id, &result),
                _ => {}
            },
            kad::Event::RoutingUpdated { is_new_peer: true, .. } => {
                self.count();
                if *self.routing.borrow() <= NEIGHBOURS {
                    self.announce_at = self.announce_at.min(Instant::now() + SETTLE);
                }
            }
            _ => {}
        }
    }

    // The swarm.

    pub(crate) fn on_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                self.given.set_reached(&peer_id, Instant::now());
                self.second.remove(&peer_id);
                self.count();
            }
            SwarmEvent::ConnectionClosed { .. } => self.count(),
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), error, .. } => {
                self.on_dial_failed(peer, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => match error {
                ListenError::Denied { cause } => {
                    let (incident, why) = denied(&cause);
                    self.shared.counters.note(incident, &format_args!("{send_back_addr}: {why}"));
                }
                ListenError::LocalPeerId { .. } => {}
                error => {
                    let detail = format_args!("{send_back_addr}: {}", Brief(&error));
                    self.shared.counters.note(Incident::HandshakeFailed, &detail);
                }
            },
            SwarmEvent::NewListenAddr { address, .. } => tracing::info!(%address, "listening"),
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                tracing::error!(
                    ?addresses,
                    ?reason,
                    "no longer listening: look at the network interface, then restart the node"
                );
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Frames(frames::Event::Introduced { peer, address }) => self.meet(peer, address),
            BehaviourEvent::Frames(frames::Event::Redial { peer, address }) => self.dial(peer, address),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, &info);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) })
                if !matches!(error, ping::Failure::Unsupported) =>
            {
                self.shared.counters.note(Incident::Stalled, &format_args!("{peer}: {error}"));
                self.swarm.close_connection(connection);
            }
            BehaviourEvent::Kademlia(event) => self.on_kademlia(event),
            _ => {}
        }
    }

    fn meet(&mut self, peer: PeerId, address: Address) {
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(peer, address, Instant::now());
    }
}

impl Drop for Task {
    /// However the task ended, nobody waits for it any more, and it keeps nothing of the host.
    fn drop(&mut self) {
        self.shared.links.close();
        self.shared.links.fail_all("the network of this node was shut down");
        self.shared.plane.set_receiver(None);
    }
}

fn busy() -> HostError {
    HostError::new(HostErrorKind::Full, "too many queries are under way")
}

fn denied(cause: &ConnectionDenied) -> (Incident, String) {
    if let Some(refused) = cause.downcast_ref::<Refused>() {
        (refused.incident(), refused.to_string())
    } else if let Some(exceeded) = cause.downcast_ref::<connection_limits::Exceeded>() {
        (Incident::OverLimit, exceeded.to_string())
    } else if let Some(exceeded) = cause.downcast_ref::<memory_connection_limits::MemoryUsageLimitExceeded>()
    {
        (Incident::OverLimit, exceeded.to_string())
    } else {
        (Incident::OverLimit, cause.to_string())
    }
}

/// The innermost cause of an error, which says what is wrong without repeating each layer.
struct Brief<'a, E>(&'a E);

impl<E: std::error::Error + 'static> std::fmt::Display for Brief<'_, E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut error: &(dyn std::error::Error + 'static) = self.0;
        while let Some(source) = error.source() {
            error = source;
        }
        write!(f, "{error}")
    }
}
