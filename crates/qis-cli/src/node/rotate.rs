//! Statements that a node's new key follows its old one.

use std::path::PathBuf;

use qis::{Identity, NetworkId, RotationStatement, Timestamp};

use super::config::Config;
use super::error::NodeError;
use super::keys;
use super::watch::now;
use crate::hex;

/// The statements that a configuration names: each leads to the node's key.
pub(super) fn statements(config: &Config, identity: &Identity) -> Result<Vec<RotationStatement>, NodeError> {
    let read = |path: &PathBuf| keys::read_statement(path, config.network());
    let mut all = config.node.rotations.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if RotationStatement::chain(identity.public_key(), &mut all) < all.len() {
        let problem = "they do not all lead to the node's key, or one is there twice".to_owned();
        return Err(NodeError::Setting { field: "rotations in [node]", problem });
    }
    Ok(all)
}

#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// State that the node of this key has another key from now on, and stays the same author: print the statement for a file that its `rotations` in
    /// [node] names
    #[arg(long, value_name = "OLD.key", conflicts_with_all = ["config", "new_key", "ask", "admit"],
          requires_all = ["to", "network"])]
    rotate: Option<PathBuf>,
    /// The key that follows, made with --new-key
    #[arg(long, value_name = "NEW.key", requires = "rotate")]
    to: Option<PathBuf>,
}

impl Rotate {
    /// The statement that is asked for, if one is.
    pub(super) fn state(&self, network: &str) -> Result<Option<String>, NodeError> {
        let Self { rotate: Some(old), to: Some(new) } = self else { return Ok(None) };
        let (old, new) = (keys::read_identity(old)?, keys::read_identity(new)?);
        if old.author() == new.author() {
            let problem = "it is the key that it is to follow".to_owned();
            return Err(NodeError::Setting { field: "--to", problem });
        }
        let time = Timestamp::from_unix_seconds(now());
        let statement = RotationStatement::new(&old, &new, NetworkId::new(network), time);
        Ok(Some(hex::digits(&statement.to_bytes()) + "\n"))
    }
}
