//! The protocols of a node.

use std::num::NonZeroUsize;
use std::time::Duration;

use libp2p::identity::Keypair;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, connection_limits, identify, kad, memory_connection_limits, ping};

use crate::Libp2pConfig;
use crate::access::Access;
use crate::frames;
use crate::names::Names;
use crate::records::{Records, VALUE_LIFETIME};

/// Peers asked at a time in a query.
const PARALLELISM: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);
/// The largest message of Kademlia: all values of a key, and closer peers.
const MAX_KADEMLIA_BYTES: usize = 64 * 1024;
/// A peer that does not answer a ping is gone, although its connection may not know.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// All protocols together; the first refuse connections before the others see them.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) access: Access,
    limits: connection_limits::Behaviour,
    memory: Toggle<memory_connection_limits::Behaviour>,
    pub(crate) frames: frames::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) kademlia: kad::Behaviour<Records>,
    #[cfg(feature = "nat")]
    pub(crate) nat: crate::nat::Behaviour,
}

impl Behaviour {
    pub(crate) fn new(
        keypair: &Keypair,
        names: &Names,
        config: &Libp2pConfig,
        access: Access,
        frames: frames::Behaviour,
        records: Records,
        #[cfg(feature = "nat")] nat: crate::nat::Behaviour,
    ) -> Self {
        let peer = keypair.public().to_peer_id();
        let limits = connection_limits::ConnectionLimits::default()
            .with_max_pending_incoming(Some(config.pending_connections))
            .with_max_pending_outgoing(Some(config.pending_connections))
            .with_max_established(Some(config.connections))
            .with_max_established_per_peer(Some(config.connections_per_peer));
        let memory = config.process_bytes.map(memory_connection_limits::Behaviour::with_max_bytes);
        let identify = identify::Config::new(names.version.clone(), keypair.public())
            .with_agent_version(concat!("qis-libp2p/", env!("CARGO_PKG_VERSION")).to_owned())
            // Addresses of peers are Kademlia's to keep.
            .with_cache_size(0)
            .with_push_listen_addr_updates(true);
        let ping = ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT);
        Self {
            access,
            limits: connection_limits::Behaviour::new(limits),
            memory: Toggle::from(memory),
            frames,
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping),
            kademlia: kademlia(peer, names, config, records),
            #[cfg(feature = "nat")]
            nat,
        }
    }
}

fn kademlia(peer: PeerId, names: &Names, config: &Libp2pConfig, records: Records) -> kad::Behaviour<Records> {
    let mut kademlia = kad::Config::new(names.kademlia.clone());
    kademlia
        .disjoint_query_paths(true)
        .set_parallelism(PARALLELISM)
        .set_query_timeout(config.query_timeout)
        // Only what identify says of peers of this network; see the task.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_max_packet_size(MAX_KADEMLIA_BYTES)
        .set_record_ttl(Some(VALUE_LIFETIME))
        // Whoever puts puts again.
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_caching(kad::Caching::Disabled);
    let mut kademlia = kad::Behaviour::with_config(peer, records, kademlia);
    // Whether a node is reachable is not found out on loopback or in a private network, and one that is not does no harm.
    kademlia.set_mode(Some(kad::Mode::Server));
    kademlia
}
