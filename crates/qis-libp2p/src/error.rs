//! Why a node's network does not start.

use std::io;

use qis_route::proto::ConfigError;

use crate::NodeAddressError;

/// Why a node is not on the network. Nothing listens then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no tokio runtime to run on.
    #[error("there is no tokio runtime: call `build` from within one")]
    NoRuntime,
    /// A bound or wait is out of its range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address of a peer is none.
    #[error("the peer's address {text} {source}")]
    Peer {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: NodeAddressError,
    },
    /// What was given to listen on or to advertise is no multiaddress.
    #[error("{text} is no multiaddress such as /ip4/0.0.0.0/tcp/4001")]
    ListenAddress {
        /// What was given.
        text: String,
    },
    /// It can't listen there: the port is taken, the address is of another machine, or the transport is not built in.
    #[error("can't listen on {text}: {source}")]
    Listen {
        /// Where.
        text: String,
        /// Why not.
        source: io::Error,
    },
    /// It was not listening in time; a relay may be out of reach.
    #[error("was not listening on {text} in time")]
    ListenTimeout {
        /// Where.
        text: String,
    },
    /// A private network by a pre-shared key is for TCP only.
    #[error(
        "{text} is not TCP, and a pre-shared key protects TCP only: leave it out, or admit authors instead"
    )]
    PrivateWithoutTcp {
        /// Where it should listen.
        text: String,
    },
    /// Nothing was given to listen on and nothing to advertise.
    #[error("no address to listen on was given")]
    NoListenAddress,
    /// The address that others are to know the node by is none.
    #[error("the node's own address {text} {source}")]
    OwnAddress {
        /// Which.
        text: String,
        /// What is wrong with it.
        source: NodeAddressError,
    },
    /// The identity or the resolver is of no use.
    #[error("can't prepare connections: {0}")]
    Prepare(#[source] io::Error),
}
