//! What a configuration would do, found out without doing it.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use qis_store::OpenError;

use super::config::{Config, Text, TransportKind};
use super::error::NodeError;
use super::keys;
use super::link::Link;
use super::program::issuers;
use super::rotate::statements;
use super::store::Opened;
use super::watch::Watch;
use crate::words::plural;

/// Reads all that the node would read, and says what it would do.
pub(super) fn check(config: &Config) -> Result<String, NodeError> {
    let identity = keys::read_identity(&config.node.key)?;
    Link::check(config, &identity)?;
    let trusted = issuers(config)?;
    if let Some(path) = &config.admission.credential {
        keys::read_credential(path)?;
    }
    statements(config, &identity)?;
    let mut text = String::new();
    // Writing to a string does not fail.
    let mut say = |what: &str, value: String| {
        let _ = writeln!(text, "{what:<12}{value}");
    };
    say("author", identity.author().to_string());
    say("key", crate::hex::digits(&identity.public_key().to_bytes()));
    if !config.node.rotations.is_empty() {
        say("follows", plural(config.node.rotations.len() as u64, "earlier key"));
    }
    say("network", config.node.network.as_str().to_owned());
    say("store", store(config)?);
    match config.transport.kind {
        TransportKind::Memory => say("reaches", "nobody: the transport is in memory".into()),
        TransportKind::Libp2p => {
            let listen: Vec<&str> = config.transport.listen.iter().map(Text::as_str).collect();
            say("listens at", listen.join(", "));
            say(
                "joins by",
                match config.transport.bootstrap.len() {
                    0 => "nobody: it waits to be found".into(),
                    count => plural(count as u64, "member"),
                },
            );
        }
    }
    say(
        "admits",
        match &trusted {
            None => "everybody who has a key".into(),
            Some(_) => {
                format!("who has a credential of {}", plural(config.admission.issuers.len() as u64, "issuer"))
            }
        },
    );
    for domain in &config.domains {
        say("domain", format!("{}: {}", domain.domain().tag(), domain.describe()));
    }
    say("http", config.http.address().map_or_else(|| "off".into(), |address| format!("http://{address}/")));
    say(
        "control",
        match &config.control.socket {
            None => "none: give `socket` in [control], or run it with --stdin".into(),
            Some(path) => socket(path)?,
        },
    );
    Ok(text)
}

/// Opens the store if it is there. One that a node has open is not looked into.
fn store(config: &Config) -> Result<String, NodeError> {
    let Some(path) = &config.store.path else {
        return Ok("in memory: everything is forgotten when the node ends".into());
    };
    let shown = path.display();
    if let Some(key) = &config.store.secret_key {
        keys::read_secret(key)?;
    }
    if !path.exists() {
        return match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            Some(folder) if !folder.is_dir() => Err(OpenError::NoDirectory { path: path.clone() }.into()),
            _ => Ok(format!("{shown}, which will be made")),
        };
    }
    match Opened::open(config, &Watch::default().into()) {
        Ok(_) => Ok(format!("{shown}, which opens")),
        Err(NodeError::Store(OpenError::InUse { .. })) => {
            Ok(format!("{shown}, which a node has open now: not looked into"))
        }
        Err(error) => Err(error),
    }
}

fn socket(path: &Path) -> Result<String, NodeError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !fs::metadata(folder).is_ok_and(|found| found.is_dir())) {
        let problem = "there is no such folder; create it, or change `socket`".to_owned();
        return Err(NodeError::Socket { path: path.to_owned(), problem });
    }
    Ok(path.display().to_string())
}
