//! Keys and values in Kademlia.

use async_trait::async_trait;
use qis_route::{Dht, HostError, HostErrorKind};
use tokio::sync::{mpsc, oneshot};

use crate::command::{Command, Reply};
use crate::records::{Kind, MAX_VALUE_BYTES, VALUE_LIFETIME};

/// The network's Kademlia as a table of keys and values, for a [`DhtDirectory`](qis_route::DhtDirectory); clones are the same.
///
/// A value has 1 to 1,651 bytes and lives for 25 hours. A key keeps the 20 values that were put last. Nobody verifies them but who gets
/// them; the directory does.
#[derive(Clone, Debug)]
pub struct Libp2pDht {
    pub(crate) commands: mpsc::Sender<Command>,
}

impl Libp2pDht {
    pub(crate) async fn put_for(
        &self,
        key: Vec<u8>,
        value: Vec<u8>,
        lives: std::time::Duration,
    ) -> Result<(), HostError> {
        ask(&self.commands, |reply| Command::Put { key, value, lives, reply }).await
    }

    pub(crate) async fn get_all(&self, key: Vec<u8>) -> Result<Vec<Vec<u8>>, HostError> {
        ask(&self.commands, |reply| Command::Get { key, reply }).await
    }
}

/// Asks the task something and waits for the answer.
pub(crate) async fn ask<T>(
    commands: &mpsc::Sender<Command>,
    command: impl FnOnce(Reply<T>) -> Command,
) -> Result<T, HostError> {
    let gone = || HostError::new(HostErrorKind::Unavailable, "the network of this node was shut down");
    let (reply, answer) = oneshot::channel();
    commands.send(command(reply)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

#[async_trait]
impl Dht for Libp2pDht {
    async fn put(&self, key: [u8; 32], value: Vec<u8>) -> Result<(), HostError> {
        if value.is_empty() || value.len() > MAX_VALUE_BYTES {
            return Err(HostError::new(HostErrorKind::Refused, "a value has 1 to 1651 bytes"));
        }
        self.put_for(Kind::Value.key(&key), value, VALUE_LIFETIME).await
    }

    async fn get(&self, key: [u8; 32]) -> Result<Vec<Vec<u8>>, HostError> {
        self.get_all(Kind::Value.key(&key)).await
    }
}
