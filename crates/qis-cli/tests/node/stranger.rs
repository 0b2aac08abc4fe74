//! A peer of libp2p that keeps to no protocol of ours.

use libp2p::core::upgrade::Version;
use libp2p::futures::{AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::Config;
use libp2p::{Multiaddr, Stream, StreamProtocol, Swarm, Transport, noise, tcp, yamux};
use libp2p_stream::Behaviour;
use qis::NetworkId;

/// Opens a stream of frames to a node, says that it is this peer at an address of its own, and sends these bytes.
pub(crate) async fn send(to: &str, bytes: &[u8]) -> Stream {
    let keypair = Keypair::ed25519_from_bytes([9; 32]).unwrap();
    let peer = keypair.public().to_peer_id();
    let transport = tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair).unwrap())
        .multiplex(yamux::Config::default())
        .boxed();
    let mut swarm = Swarm::new(transport, Behaviour::new(), peer, Config::with_tokio_executor());
    let mut control = swarm.behaviour().new_control();
    let address: Multiaddr = to.parse().unwrap();
    let Some(Protocol::P2p(node)) = address.iter().last() else { panic!("{to} names no peer") };
    swarm.dial(address).unwrap();
    // It lives as long as the test's runtime.
    tokio::spawn(async move {
        loop {
            swarm.select_next_some().await;
        }
    });
    let name = format!("/qis/{}/frames/1", NetworkId::new("default"));
    let protocol = StreamProtocol::try_from_owned(name).unwrap();
    let mut stream = loop {
        // Until it is connected.
        if let Ok(stream) = control.open_stream(node, protocol.clone()).await {
            break stream;
        }
        tokio::task::yield_now().await;
    };
    let hello = format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}");
    let hello = [&[u8::try_from(hello.len()).unwrap()], hello.as_bytes()].concat();
    stream.write_all(&[&hello, bytes].concat()).await.unwrap();
    stream.flush().await.unwrap();
    stream
}
