//! Credentials for nodes, by those who admit them.

use std::path::PathBuf;

use qis::{AuthorId, Credential, NetworkId, Organisation, Timestamp};

use super::error::NodeError;
use super::keys;
use super::watch::now;
use crate::hex;

const DAY: u64 = 86_400;

#[derive(Debug, clap::Args)]
pub(super) struct Admit {
    /// Admit the node of this author: print a credential for the file that its `credential` in [admission] names
    #[arg(long, value_name = "AUTHOR", value_parser = author, conflicts_with = "config",
          requires_all = ["issuer", "network", "organisation"])]
    admit: Option<AuthorId>,
    /// The key of who admits it; its public key is in `issuers` in [admission] of all nodes
    #[arg(long, value_name = "FILE", requires = "admit")]
    issuer: Option<PathBuf>,
    /// On whose behalf it takes part
    #[arg(long, value_name = "NAME", requires = "admit")]
    organisation: Option<String>,
    /// For how many days from now: a credential cannot be withdrawn
    #[arg(long, value_name = "N", requires = "admit", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=3650))]
    days: u64,
}

/// 32 hex digits.
fn author(text: &str) -> Result<AuthorId, &'static str> {
    let bytes = hex::parse(text.as_bytes(), "").ok().flatten().and_then(|bytes| bytes.try_into().ok());
    bytes
        .map(AuthorId::from_bytes)
        .ok_or("not the 32 hex digits of an author, as `--new-key` and `--check` print them")
}

impl Admit {
    /// The credential that is asked for, if one is.
    pub(super) fn issue(&self, network: &str) -> Result<Option<String>, NodeError> {
        let Self { admit: Some(author), issuer: Some(key), .. } = self else { return Ok(None) };
        let issuer = keys::read_identity(key)?;
        let expires = Timestamp::from_unix_seconds(now()).saturating_add(self.days * DAY);
        let network = NetworkId::new(network);
        let organisation = Organisation::new(self.organisation.as_deref().unwrap_or_default());
        let credential = Credential::issue(&issuer, network, *author, organisation, expires);
        Ok(Some(hex::digits(&credential) + "\n"))
    }
}
