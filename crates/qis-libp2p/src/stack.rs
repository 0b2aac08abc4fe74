//! From sockets to connections: encrypted with the node's key, and with streams.

use std::io;
use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::pnet::{PnetConfig, PreSharedKey};
use libp2p::{PeerId, Transport, noise, tcp, yamux};

/// Connections, by all transports that are built in.
pub(crate) type Stack = Boxed<(PeerId, StreamMuxerBox)>;

/// Streams of a connection at a time. Each may hold 256 KiB that nobody has read, so this bounds what a peer can make a node keep.
const STREAMS: usize = 48;

fn streams() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS);
    config
}

/// The transports of a node. With a pre-shared key only nodes that have it get as far as the handshake; it is for TCP only.
pub(crate) fn stack(
    keypair: &Keypair,
    shared: Option<PreSharedKey>,
    handshake_timeout: Duration,
    #[cfg(feature = "nat")] relayed: libp2p::relay::client::Transport,
) -> io::Result<Stack> {
    let noise = || noise::Config::new(keypair).map_err(io::Error::other);
    let tcp = tcp::tokio::Transport::new(tcp::Config::default());
    let tcp = match shared {
        Some(key) => tcp
            .and_then(move |socket, _| PnetConfig::new(key).handshake(socket))
            .upgrade(Version::V1Lazy)
            .authenticate(noise()?)
            .multiplex(streams())
            .timeout(handshake_timeout)
            .boxed(),
        None => tcp
            .upgrade(Version::V1Lazy)
            .authenticate(noise()?)
            .multiplex(streams())
            .timeout(handshake_timeout)
            .boxed(),
    };
    let stack = tcp;
    #[cfg(feature = "quic")]
    let stack = if shared.is_none() { with_quic(stack, keypair, handshake_timeout) } else { stack };
    #[cfg(feature = "dns")]
    // Around all of them: a resolver takes every address, so that one around a single transport would leave nothing to the next.
    let stack = libp2p::dns::tokio::Transport::system(stack)?.boxed();
    #[cfg(feature = "nat")]
    let stack = relayed
        .upgrade(Version::V1Lazy)
        .authenticate(noise()?)
        .multiplex(streams())
        .timeout(handshake_timeout)
        .or_transport(stack)
        .map(|either, _| match either {
            libp2p::futures::future::Either::Left((peer, muxer)) => (peer, StreamMuxerBox::new(muxer)),
            libp2p::futures::future::Either::Right(connection) => connection,
        })
        .boxed();
    Ok(stack)
}

#[cfg(feature = "quic")]
fn with_quic(stack: Stack, keypair: &Keypair, handshake_timeout: Duration) -> Stack {
    use libp2p::futures::future::Either;
    use libp2p::quic;

    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = handshake_timeout;
    config.max_concurrent_stream_limit = u32::try_from(STREAMS).unwrap_or(u32::MAX);
    let quic = quic::tokio::Transport::new(config);
    quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(stack)
        .map(|either, _| match either {
            Either::Left(connection) | Either::Right(connection) => connection,
        })
        .boxed()
}
