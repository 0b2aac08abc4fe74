//! Where the node keeps its packets, and what a node that is built on it later knows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use qis::memory::MemoryStore;
use qis::{Node, NodeBuilder, Store};
use qis_store::RedbStore;

use super::authors::{Authors, DOMAIN};
use super::error::LoadError;

/// A store that is opened twice: for the load, and to see what is there after it.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Memory(MemoryStore),
    File(PathBuf),
}

impl Kept {
    /// Of the words of an argument.
    pub(super) fn new(words: &str) -> Result<Self, LoadError> {
        match words {
            "memory" => Ok(Self::Memory(MemoryStore::default())),
            file if Path::new(file).exists() => Err(LoadError::Exists { path: file.to_owned() }),
            file => Ok(Self::File(file.into())),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Memory(_) => "memory",
            Self::File(_) => "file",
        }
    }

    pub(super) fn open(&self) -> Result<Arc<dyn Store>, LoadError> {
        Ok(match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::File(path) => Arc::new(RedbStore::open(path)?),
        })
    }

    /// Of how many authors a node that is built on the store has exactly the newest packet that was applied.
    pub(super) async fn recovered(
        &self,
        builder: NodeBuilder,
        authors: &Authors,
        newest: &[u32],
    ) -> Result<u64, LoadError> {
        let node: Node = builder.store(self.open()?).build().await?;
        let standing = node.standing(DOMAIN);
        let found: BTreeMap<_, _> =
            standing.iter().map(|packet| (packet.author(), packet.order().sequence)).collect();
        let is_there = authors.ids().zip(newest).filter(|(id, newest)| found.get(id) == Some(newest));
        Ok(is_there.count() as u64)
    }
}
