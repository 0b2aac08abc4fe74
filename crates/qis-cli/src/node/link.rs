//! How the node's frames travel, and how it finds members to begin with.

use std::collections::BTreeMap;
use std::time::Duration;

use qis::memory::{MemoryTransport, Network};
use qis::{Address, AuthorId, Identity, Node, SpaceId, Transport};
use qis_libp2p::{Libp2p, Libp2pBuilder, Libp2pConfig, Libp2pStats};

use super::config::{Config, Hex, TransportKind};
use super::error::NodeError;
use super::keys;
use super::status::TransportStatus;

/// Members to look for in each space.
const MEMBERS: usize = 8;
/// The search for members is given up after this; those who come later find this node.
const SEARCH: Duration = Duration::from_secs(15);

/// The way to other nodes.
#[derive(Debug)]
pub(super) enum Link {
    /// To nobody but nodes of this process.
    Memory { network: Network, transport: MemoryTransport },
    /// To the nodes of a network.
    Libp2p(Box<Libp2p>),
}

impl Link {
    /// Begins to listen, and to join by the configured members.
    pub(super) async fn open(config: &Config, identity: &Identity) -> Result<Self, NodeError> {
        match config.transport.kind {
            TransportKind::Memory => Self::in_memory(&Network::new(), identity),
            TransportKind::Libp2p => Ok(Self::Libp2p(Box::new(builder(config, identity)?.build().await?))),
        }
    }

    /// Whether it could be opened, as far as that is known without doing it.
    pub(super) fn check(config: &Config, identity: &Identity) -> Result<(), NodeError> {
        match config.transport.kind {
            TransportKind::Memory => Ok(()),
            TransportKind::Libp2p => Ok(builder(config, identity)?.check()?),
        }
    }

    /// A way to the nodes of a network in this process.
    pub(super) fn in_memory(network: &Network, identity: &Identity) -> Result<Self, NodeError> {
        let transport = network.transport(&format!("memory/{}", identity.author()));
        // The text is short, so it is an address.
        let transport = transport.map_err(|error| NodeError::Memory(error.to_string()))?;
        Ok(Self::Memory { network: network.clone(), transport })
    }

    pub(super) fn transport(&self) -> Box<dyn Transport> {
        match self {
            Self::Memory { transport, .. } => Box::new(transport.clone()),
            Self::Libp2p(libp2p) => Box::new(libp2p.transport()),
        }
    }

    /// Hands what comes in to the node.
    pub(super) fn serve(&self, node: &Node) {
        match self {
            Self::Memory { network, .. } => network.attach(node),
            Self::Libp2p(libp2p) => {
                let node = node.clone();
                libp2p.serve(move |from, frame| {
                    node.receive(from, frame);
                });
            }
        }
    }

    /// Members that are there in these spaces, as far as the network says so in a while.
    pub(super) async fn members(&self, spaces: &[SpaceId]) -> Vec<Address> {
        let Self::Libp2p(libp2p) = self else { return Vec::new() };
        let mut members = Vec::new();
        let search = async {
            for &space in spaces {
                match libp2p.members(space, MEMBERS).await {
                    Ok(found) => members.extend(found),
                    Err(error) => tracing::debug!(%error, "members were not found by rendezvous"),
                }
            }
        };
        // What was found until then will do.
        let _ = tokio::time::timeout(SEARCH, search).await;
        members
    }

    /// Makes the node findable by [`members`](Self::members) of others. Returns whether it is.
    pub(super) async fn announce(&self, space: SpaceId) -> bool {
        let Self::Libp2p(libp2p) = self else { return true };
        libp2p.announce(space).await.is_ok()
    }

    /// Who was met, the last one first.
    pub(super) fn known_peers(&self) -> Vec<Address> {
        match self {
            Self::Memory { .. } => Vec::new(),
            Self::Libp2p(libp2p) => libp2p.known_peers(),
        }
    }

    pub(super) fn status(&self) -> TransportStatus {
        match self {
            Self::Memory { .. } => TransportStatus { kind: "memory", ..TransportStatus::default() },
            Self::Libp2p(libp2p) => figures(&libp2p.stats()),
        }
    }

    /// Writes what waits, and leaves the network.
    pub(super) async fn shutdown(self) {
        match self {
            Self::Memory { .. } => {}
            Self::Libp2p(libp2p) => libp2p.shutdown().await,
        }
    }
}

fn builder(config: &Config, identity: &Identity) -> Result<Libp2pBuilder, NodeError> {
    let transport = &config.transport;
    let limits = Libp2pConfig { connections: transport.connections.get(), ..Libp2pConfig::default() };
    let mut builder =
        Libp2p::builder(identity).network(config.network()).peers(config.bootstrap()).config(limits);
    for address in &transport.listen {
        builder = builder.listen(address.as_str());
    }
    if let Some(address) = &transport.advertise {
        builder = builder.advertise(address.as_str());
    }
    if let Some(path) = &transport.pre_shared_key {
        builder = builder.pre_shared_key(*keys::read_secret(path)?);
    }
    if transport.relay {
        builder = builder.relay();
    }
    let authors = |list: &[Hex<16>]| list.iter().map(|one| AuthorId::from_bytes(one.0)).collect::<Vec<_>>();
    let (allowed, blocked) = (authors(&transport.allow), authors(&transport.block));
    if !allowed.is_empty() {
        builder = builder.admit(allowed);
    }
    Ok(builder.block(blocked))
}

fn figures(stats: &Libp2pStats) -> TransportStatus {
    let gauges = [
        ("connections", stats.connections),
        ("routing_peers", stats.routing_peers),
        ("queued_bytes", stats.queued_bytes),
        ("records", stats.records),
    ];
    let counts = [
        ("frames_sent", stats.frames_sent),
        ("bytes_sent", stats.bytes_sent),
        ("frames_received", stats.frames_received),
        ("bytes_received", stats.bytes_received),
        ("frames_dropped", stats.frames_dropped),
        ("handshakes_failed", stats.handshakes_failed),
        ("not_admitted", stats.not_admitted),
        ("blocked", stats.blocked),
        ("over_limit", stats.over_limit),
        ("foreign_network", stats.foreign_network),
        ("false_hellos", stats.false_hellos),
        ("malformed", stats.malformed),
        ("silent", stats.silent),
        ("stalled", stats.stalled),
        ("queue_full", stats.queue_full),
        ("dials_failed", stats.dials_failed),
        ("records_refused", stats.records_refused),
        ("receiver_panics", stats.receiver_panics),
    ];
    TransportStatus { kind: "libp2p", gauges: BTreeMap::from(gauges), counts: BTreeMap::from(counts) }
}
