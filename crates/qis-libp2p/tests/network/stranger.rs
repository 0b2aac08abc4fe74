//! A peer of libp2p that does with streams of frames what it likes.

use std::time::Duration;

use libp2p::core::upgrade::Version;
use libp2p::futures::{AsyncWriteExt, StreamExt};
use libp2p::identity::Keypair;
use libp2p::swarm::{Config, SwarmEvent};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, Swarm, Transport, noise, tcp, yamux};
use libp2p_stream::{Behaviour, Control};
use qis_libp2p::Libp2p;
use qis_packet::NetworkId;

pub(crate) struct Stranger {
    pub(crate) address: Multiaddr,
    control: Control,
    dial: tokio::sync::mpsc::Sender<Multiaddr>,
}

fn protocol() -> StreamProtocol {
    StreamProtocol::try_from_owned(format!("/qis/{}/frames/1", NetworkId::new("default"))).unwrap()
}

impl Stranger {
    pub(crate) async fn start(seed: u8) -> Self {
        let keypair = Keypair::ed25519_from_bytes([seed; 32]).unwrap();
        let peer = keypair.public().to_peer_id();
        let transport = tcp::tokio::Transport::new(tcp::Config::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(&keypair).unwrap())
            .multiplex(yamux::Config::default())
            .boxed();
        let mut swarm = Swarm::new(transport, Behaviour::new(), peer, Config::with_tokio_executor());
        let control = swarm.behaviour().new_control();
        swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
        let address = loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                break address.with_p2p(peer).unwrap();
            }
        };
        let (dial, mut dialed) = tokio::sync::mpsc::channel::<Multiaddr>(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    Some(address) = dialed.recv() => {
                        // It may be connected, or about to be.
                        let _ = swarm.dial(address);
                    }
                }
            }
        });
        Self { address, control, dial }
    }

    /// A stream of frames to a node, with these bytes in it already.
    pub(crate) async fn open(&mut self, node: &Libp2p, bytes: &[u8]) -> Stream {
        let address: Multiaddr = node.local_address().as_str().parse().unwrap();
        let Some(libp2p::multiaddr::Protocol::P2p(peer)) = address.iter().last() else { panic!("no peer") };
        let mut stream = loop {
            // Until it is connected, and again should the connection be closed before anything goes over it.
            self.dial.send(address.clone()).await.unwrap();
            if let Ok(stream) = self.control.open_stream(peer, protocol()).await {
                break stream;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        };
        stream.write_all(bytes).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }

    /// Takes streams of frames, and reads nothing of them.
    pub(crate) fn accept(&mut self) -> tokio::task::JoinHandle<()> {
        let mut streams = self.control.accept(protocol()).unwrap();
        tokio::spawn(async move {
            let mut kept: Vec<(PeerId, Stream)> = Vec::new();
            while let Some(stream) = streams.next().await {
                kept.push(stream);
            }
        })
    }

    /// What it states when it is honest.
    pub(crate) fn hello(&self) -> Vec<u8> {
        hello(&self.address.to_string())
    }
}

pub(crate) fn hello(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}
