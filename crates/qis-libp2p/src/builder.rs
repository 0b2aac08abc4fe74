//! Getting onto the network.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::pnet::PreSharedKey;
use libp2p::swarm::{self, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Swarm};
use qis_packet::{AuthorId, Identity, NetworkId};
use qis_route::Address;
use tokio::sync::{mpsc, oneshot, watch};

use crate::access::Access;
use crate::address::{NodeAddress, is_loopback, is_relayed, is_unspecified, peer_with};
use crate::behaviour::Behaviour;
use crate::frames::{self, Plane};
use crate::incident::Counters;
use crate::known::{Given, Known};
use crate::links::Links;
use crate::names::Names;
use crate::node::Libp2p;
use crate::records::Records;
use crate::stack::stack;
use crate::task::{Shared, Task};
use crate::{Libp2pConfig, StartError};

/// Commands that wait for the task.
const COMMANDS: usize = 1024;
/// How long it may take until a node listens; a relay has to be reached for it.
const LISTEN: Duration = Duration::from_secs(20);

/// Brings a node onto the network. It needs an address to listen on.
///
/// Addresses are given as text, as libp2p writes them: `/ip4/0.0.0.0/tcp/4001`, with the feature `quic` also
/// `/ip4/0.0.0.0/udp/4001/quic-v1`, with the feature `dns` also `/dns4/clinic.example/tcp/4001`. Port 0 is any that is free.
#[must_use = "a builder does nothing until it builds"]
#[derive(Debug)]
pub struct Libp2pBuilder {
    identity: Identity,
    network: NetworkId,
    listen: Vec<String>,
    advertise: Option<String>,
    peers: Vec<String>,
    admitted: Option<HashSet<AuthorId>>,
    blocked: HashSet<AuthorId>,
    shared: Option<PreSharedKey>,
    relay: bool,
    config: Libp2pConfig,
}

impl Libp2pBuilder {
    pub(crate) fn new(identity: &Identity) -> Self {
        Self {
            identity: Identity::from_seed(*identity.expose_seed()),
            network: NetworkId::new("default"),
            listen: Vec::new(),
            advertise: None,
            peers: Vec::new(),
            admitted: None,
            blocked: HashSet::new(),
            shared: None,
            relay: false,
            config: Libp2pConfig::default(),
        }
    }

    /// The network the node takes part in, the same as the node's; `"default"` by default. Nodes of another one are not talked to.
    pub const fn network(mut self, network: NetworkId) -> Self {
        self.network = network;
        self
    }

    /// An address to listen on; call it once for each. A site behind NAT gives the address of a member that relays, followed by
    /// `/p2p-circuit`, with the feature `nat`.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen.push(address.into());
        self
    }

    /// The address at which others reach this node, where that is another one than it listens on: behind a router that forwards a port, in a
    /// container, or under a host name. The node's id is appended if it is not there.
    ///
    /// Without it the first address of a network interface that it listens on counts, a relayed one if there is one, and that of the
    /// loopback interface only if there is no other.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Some(address.into());
        self
    }

    /// Addresses of members by which the network is joined: one is enough, three are better. Also those of an earlier
    /// [`known_peers`](Libp2p::known_peers). The node's own among them is left out.
    ///
    /// One that can't be reached is tried again, after half a second at first and a minute at most; all are, while the node has no
    /// connection.
    pub fn peers(mut self, addresses: impl IntoIterator<Item = impl ToString>) -> Self {
        self.peers.extend(addresses.into_iter().map(|address| address.to_string()));
        self
    }

    /// Lets only these authors connect; call it more than once to add some. By default everybody may.
    ///
    /// It is about connections: packets of other authors, which an admitted one passes on, are taken. See
    /// [`NodeBuilder::admission`](https://docs.rs/qis) for who is found.
    pub fn admit(mut self, authors: impl IntoIterator<Item = AuthorId>) -> Self {
        self.admitted.get_or_insert_default().extend(authors);
        self
    }

    /// Lets these authors not connect, admitted or not.
    pub fn block(mut self, authors: impl IntoIterator<Item = AuthorId>) -> Self {
        self.blocked.extend(authors);
        self
    }

    /// Makes the network private: connections are encrypted with this key beneath everything else, so that whoever has another one, or none,
    /// learns nothing, not even what speaks there. It is for TCP only.
    pub fn pre_shared_key(mut self, key: [u8; 32]) -> Self {
        self.shared = Some(PreSharedKey::new(key));
        self
    }

    /// Carries connections of members that can't be reached directly, up to 64 MiB and an hour each: for members on the open internet.
    #[cfg(feature = "nat")]
    pub const fn relay(mut self) -> Self {
        self.relay = true;
        self
    }

    /// Bounds and waits.
    pub const fn config(mut self, config: Libp2pConfig) -> Self {
        self.config = config;
        self
    }

    /// Checks what was given, and does nothing else.
    ///
    /// # Errors
    ///
    /// [`StartError`] with what is missing, out of range or no address. Whether it can be listened on is only known by building.
    pub fn check(&self) -> Result<(), StartError> {
        self.config.validate()?;
        self.listen_addresses()?;
        self.advertise.as_deref().map(multiaddr).transpose()?;
        // Every key makes an id; without one no given address is the node's own.
        let peer = peer_with(&self.identity.public_key()).unwrap_or_else(PeerId::random);
        self.given(peer).map(drop)
    }

    /// Listens, and begins to join the network. What the node hears waits until [`Libp2p::serve`] says what is to become of it.
    ///
    /// # Errors
    ///
    /// [`StartError`] with what is missing, out of range or can't be listened on. Nothing listens then. That no peer can be reached is
    /// no error: they may come.
    pub async fn build(self) -> Result<Libp2p, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        self.config.validate()?;
        let listen = self.listen_addresses()?;
        let advertise = self.advertise.as_deref().map(multiaddr).transpose()?;
        let keypair = Keypair::ed25519_from_bytes(*self.identity.expose_seed());
        let keypair = keypair.map_err(|error| StartError::Prepare(io::Error::other(error)))?;
        let peer = keypair.public().to_peer_id();
        let given = self.given(peer)?;
        let (names, config) = (Names::of(self.network), self.config);
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let counters = Arc::new(Counters::default());
        let shared = Shared {
            plane: Arc::new(Plane::new(config, Arc::clone(&counters))),
            links: Arc::new(Links::new(config, Arc::clone(&counters), commands.clone())),
            counters,
            known: Arc::new(Mutex::new(Known::default())),
        };
        let access = Access::new(self.admitted, self.blocked);
        let swarm = swarm(&keypair, &names, config, access, &shared, self.shared, self.relay)?;
        let is_joining = !given.is_empty();
        let (routing, routed) = watch::channel(0);
        let mut task =
            Task::new(swarm, shared.clone(), receiver, self.identity, names.clone(), given, routing);
        let listening = start_listening(&mut task, listen).await?;
        let local = own_address(peer, advertise.clone(), &listening)?;
        if let Some(address) = advertise {
            task.swarm.add_external_address(address);
        }
        // Nobody else sets it.
        let _ = shared.plane.local.set(local.clone());
        let (stop, stopped) = oneshot::channel();
        let task = runtime.spawn(task.run(stopped));
        let listening = listening.into_iter().filter_map(|one| NodeAddress::of(peer, one).ok()?.text().ok());
        let listening = listening.collect();
        Ok(Libp2p::new(names, shared, commands, routed, is_joining, peer, local, listening, stop, task))
    }

    fn listen_addresses(&self) -> Result<Vec<Multiaddr>, StartError> {
        if self.listen.is_empty() {
            return Err(StartError::NoListenAddress);
        }
        let parse = |text: &String| {
            let address = multiaddr(text)?;
            let is_udp = address.iter().any(|part| matches!(part, Protocol::Udp(_)));
            if self.shared.is_some() && is_udp {
                return Err(StartError::PrivateWithoutTcp { text: text.clone() });
            }
            Ok(address)
        };
        self.listen.iter().map(parse).collect()
    }

    fn given(&self, own: PeerId) -> Result<Given, StartError> {
        let parse = |text: &String| {
            let wrong = |source| StartError::Peer { text: text.clone(), source };
            NodeAddress::parse(text).map_err(wrong)
        };
        let nodes: Result<Vec<NodeAddress>, StartError> = self.peers.iter().map(parse).collect();
        let others = nodes?.into_iter().filter(|node| node.peer != own).collect();
        Ok(Given::new(others, Instant::now()))
    }
}

fn multiaddr(text: &str) -> Result<Multiaddr, StartError> {
    text.parse().map_err(|_| StartError::ListenAddress { text: text.to_owned() })
}

fn swarm(
    keypair: &Keypair,
    names: &Names,
    config: Libp2pConfig,
    access: Access,
    shared: &Shared,
    key: Option<PreSharedKey>,
    relay: bool,
) -> Result<Swarm<Behaviour>, StartError> {
    let peer = keypair.public().to_peer_id();
    #[cfg(feature = "nat")]
    let (relayed, client) = libp2p::relay::client::new(peer);
    #[cfg(not(feature = "nat"))]
    let _ = relay;
    let transport = stack(
        keypair,
        key,
        config.handshake_timeout,
        #[cfg(feature = "nat")]
        relayed,
    );
    let transport = transport.map_err(StartError::Prepare)?;
    let (plane, links) = (Arc::clone(&shared.plane), Arc::clone(&shared.links));
    let frames = frames::Behaviour::new(plane, links, names.frames.clone());
    let records = Records::new(names.clone(), Arc::clone(&shared.counters), config.record_bytes);
    let behaviour = Behaviour::new(
        keypair,
        names,
        &config,
        access,
        frames,
        records,
        #[cfg(feature = "nat")]
        crate::nat::Behaviour::new(peer, client, relay),
    );
    // Streams count as idle by themselves; this is for what other protocols leave behind.
    let idle = config.idle_timeout.min(Duration::from_secs(10));
    let settings = swarm::Config::with_tokio_executor().with_idle_connection_timeout(idle);
    Ok(Swarm::new(transport, behaviour, peer, settings))
}

/// Listens on all addresses. Returns where it really does: the addresses of interfaces, with ports.
async fn start_listening(task: &mut Task, addresses: Vec<Multiaddr>) -> Result<Vec<Multiaddr>, StartError> {
    let mut waiting: Vec<(ListenerId, Multiaddr)> = Vec::new();
    for address in addresses {
        let failed = |source| StartError::Listen { text: address.to_string(), source };
        probe(&address).map_err(failed)?;
        let listener = task.swarm.listen_on(address.clone());
        let listener = listener.map_err(|error| failed(io::Error::other(error)))?;
        waiting.push((listener, address));
    }
    let mut listening = Vec::new();
    let end = tokio::time::Instant::now() + LISTEN;
    loop {
        let event = if waiting.is_empty() {
            // Further interfaces are told of at once, or later.
            match tokio::time::timeout(Duration::from_millis(10), task.swarm.select_next_some()).await {
                Ok(event) => event,
                Err(_) => return Ok(listening),
            }
        } else {
            match tokio::time::timeout_at(end, task.swarm.select_next_some()).await {
                Ok(event) => event,
                Err(_) => {
                    let text = waiting.first().map(|(_, address)| address.to_string()).unwrap_or_default();
                    return Err(StartError::ListenTimeout { text });
                }
            }
        };
        match &event {
            SwarmEvent::NewListenAddr { listener_id, address } => {
                waiting.retain(|(listener, _)| listener != listener_id);
                listening.push(address.clone());
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                if let Some((_, address)) = waiting.iter().find(|(listener, _)| listener == listener_id) {
                    let why = reason.as_ref().err().map_or("it was closed".to_owned(), ToString::to_string);
                    return Err(StartError::Listen {
                        text: address.to_string(),
                        source: io::Error::other(why),
                    });
                }
            }
            _ => {}
        }
        task.on_event(event);
    }
}

/// Fails when somebody listens there already. libp2p's own sockets share their port with each other, so that two nodes would each get
/// some of the connections.
fn probe(address: &Multiaddr) -> io::Result<()> {
    let mut parts = address.iter();
    let ip: IpAddr = match parts.next() {
        Some(Protocol::Ip4(ip)) => ip.into(),
        Some(Protocol::Ip6(ip)) => ip.into(),
        _ => return Ok(()),
    };
    match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None) if port != 0 => TcpListener::bind((ip, port)).map(drop),
        _ => Ok(()),
    }
}

/// The address by which others know the node.
fn own_address(
    peer: PeerId,
    advertise: Option<Multiaddr>,
    listening: &[Multiaddr],
) -> Result<Address, StartError> {
    let preference =
        |address: &&Multiaddr| (!is_relayed(address), is_unspecified(address), is_loopback(address));
    let chosen = advertise.or_else(|| listening.iter().min_by_key(preference).cloned());
    let chosen = chosen.ok_or(StartError::NoListenAddress)?;
    let text = chosen.to_string();
    let own = NodeAddress::of(peer, chosen).and_then(|address| address.text());
    own.map_err(|source| StartError::OwnAddress { text, source })
}
