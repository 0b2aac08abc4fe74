//! Why a node did not start, or did not go on.

use std::io;
use std::path::PathBuf;

use super::config::ConfigError;
use super::keys::KeyError;
use crate::words::chain;

/// Why `qis node` ended with an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{field} cannot be used: {problem}")]
    Setting { field: &'static str, problem: String },
    #[error("{}", chain(.0))]
    Store(#[from] qis_store::OpenError),
    #[error("the network cannot be started: {}", chain(.0))]
    Transport(#[from] qis_libp2p::StartError),
    #[error("the node has no address in memory: {0}")]
    Memory(String),
    #[error("the node cannot be built: {}", chain(.0))]
    Build(#[from] qis::BuildError),
    #[error("the control socket {} cannot be used: {problem}", path.display())]
    Socket { path: PathBuf, problem: String },
    #[error("cannot listen for HTTP at {address}: {source}; free the port, or change `listen` in [http]")]
    Http { address: std::net::SocketAddr, source: io::Error },
    #[error("no node answers at {}: {source}; is it running, and is this its control socket?", path.display())]
    Ask { path: PathBuf, source: io::Error },
    #[error("the request failed")]
    Refused,
    #[error("{0} is no JSON object of one line")]
    Question(String),
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
    #[error("the store failed for good ({0}): see to the disk, then start the node again")]
    Poisoned(String),
    #[error("the node's driver ended by itself: this is a bug")]
    Driver,
}

impl NodeError {
    /// 3 for what happened to a node that was running, else 1.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            Self::Poisoned(_) | Self::Driver => 3,
            _ => 1,
        }
    }
}
