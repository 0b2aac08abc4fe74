//! For sites behind NAT: relays, hole punching, and probes of one's own reachability.

use std::time::Duration;

use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{PeerId, autonat, dcutr, relay};

/// What a member's relay carries for two others before they have to connect again, should they find no direct way.
const CIRCUIT_BYTES: u64 = 64 * 1024 * 1024;
const CIRCUIT_DURATION: Duration = Duration::from_secs(3600);

/// Being relayed, and finding a direct way; relaying for others if the host wants that.
#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    relay: Toggle<relay::Behaviour>,
    relayed: relay::client::Behaviour,
    hole_punching: dcutr::Behaviour,
    reachability: autonat::v2::client::Behaviour,
    /// Tells others whether they are reachable.
    prober: autonat::v2::server::Behaviour,
}

impl Behaviour {
    /// `relayed` comes with the transport of relayed connections.
    pub(crate) fn new(peer: PeerId, relayed: relay::client::Behaviour, relay: bool) -> Self {
        let relay = relay.then(|| {
            let config = relay::Config {
                max_circuit_bytes: CIRCUIT_BYTES,
                max_circuit_duration: CIRCUIT_DURATION,
                ..relay::Config::default()
            };
            relay::Behaviour::new(peer, config)
        });
        Self {
            relay: Toggle::from(relay),
            relayed,
            hole_punching: dcutr::Behaviour::new(peer),
            reachability: autonat::v2::client::Behaviour::default(),
            prober: autonat::v2::server::Behaviour::default(),
        }
    }
}
