//! What a configuration file says. `deploy/node.example.toml` documents every field.

mod domain;
mod error;
mod limits;
mod values;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use qis::{Address, Embedder, HashEmbedder, NetworkId, PublicKey, SpaceId};
use serde::{Deserialize, Serialize};
use toml::Spanned;

pub(super) use domain::DomainConfig;
pub(crate) use error::ConfigError;
pub(super) use limits::{Limits, Overlay, Sync};
pub(super) use values::{Hex, HttpAddress, Text, Within};

/// Larger files are something else.
const MAX_BYTES: u64 = 1 << 20;

/// All of a file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    pub(super) node: Site,
    #[serde(default)]
    pub(super) store: Store,
    #[serde(default)]
    pub(super) transport: Transport,
    #[serde(default)]
    pub(super) admission: Admission,
    #[serde(rename = "domains", default)]
    written: Vec<Spanned<domain::Fields>>,
    /// What the tables above make.
    #[serde(skip)]
    pub(super) domains: Vec<DomainConfig>,
    #[serde(default)]
    pub(super) overlay: Overlay,
    #[serde(default)]
    pub(super) sync: Sync,
    #[serde(default)]
    pub(super) limits: Limits,
    #[serde(default)]
    pub(super) http: Http,
    #[serde(default)]
    pub(super) control: Control,
    #[serde(default)]
    pub(super) log: Log,
}

/// Who the node is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Site {
    pub(super) key: PathBuf,
    #[serde(default)]
    pub(super) rotations: Vec<PathBuf>,
    #[serde(default)]
    pub(super) name: Text<0, 255>,
    #[serde(default = "default_network")]
    pub(super) network: Text<1, 255>,
}

/// What it does not forget.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub(super) path: Option<PathBuf>,
    pub(super) secret_key: Option<PathBuf>,
}

/// How frames travel.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Transport {
    pub(super) kind: TransportKind,
    pub(super) listen: Vec<Text<1, 255>>,
    pub(super) advertise: Option<Text<1, 255>>,
    pub(super) bootstrap: Vec<Text<1, 255>>,
    pub(super) pre_shared_key: Option<PathBuf>,
    pub(super) allow: Vec<Hex<16>>,
    pub(super) block: Vec<Hex<16>>,
    pub(super) connections: Within<1, 65_536>,
    pub(super) relay: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TransportKind {
    #[default]
    Libp2p,
    /// Nobody is reached: to try a configuration, and for tests.
    Memory,
}

/// Who takes part.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Admission {
    pub(super) issuers: Vec<Hex<32>>,
    pub(super) credential: Option<PathBuf>,
}

/// Metrics, health and the status page.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Http {
    pub(super) listen: HttpAddress,
    pub(super) connections: Within<1, 1024>,
}

/// Requests of programs and persons.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Control {
    pub(super) socket: Option<PathBuf>,
    pub(super) clients: Within<1, 1024>,
    pub(super) line_bytes: Within<1024, 67_108_864>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) level: Level,
    pub(super) format: LogFormat,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LogFormat {
    #[default]
    Text,
    Json,
}

impl Config {
    /// Reads and checks a file. Paths in it start from where it is.
    pub(super) fn load(path: &Path) -> Result<Self, ConfigError> {
        let read = |source| ConfigError::Read { path: path.to_owned(), source };
        if fs::metadata(path).map_err(read)?.len() > MAX_BYTES {
            return Err(ConfigError::TooLarge { path: path.to_owned(), limit: MAX_BYTES });
        }
        let text = fs::read_to_string(path).map_err(read)?;
        let mut config = Self::parse(&text, path)?;
        config.start_paths_at(path.parent().unwrap_or(Path::new("")));
        Ok(config)
    }

    /// Checks a text; `path` is what errors call it.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::new(&error, text, path))?;
        config.domains = domain::all(&config.written)
            .map_err(|(start, message)| ConfigError::at(start, message, text, path))?;
        Ok(config)
    }

    fn start_paths_at(&mut self, folder: &Path) {
        let Self { node, store, transport, admission, control, .. } = self;
        let paths = [
            Some(&mut node.key),
            store.path.as_mut(),
            store.secret_key.as_mut(),
            transport.pre_shared_key.as_mut(),
            admission.credential.as_mut(),
            control.socket.as_mut(),
        ];
        for path in paths.into_iter().flatten().chain(&mut node.rotations) {
            *path = folder.join(&path);
        }
    }

    /// The domain of this tag, or the only one of evidence whose tag begins so.
    pub(super) fn domain(&self, name: &str) -> Option<&DomainConfig> {
        let tagged = self.domains.iter().find(|domain| domain.domain().tag().as_str() == name);
        let mut named = self.domains.iter().filter(|domain| domain.name() == name);
        tagged.or_else(|| named.next().filter(|_| named.next().is_none()))
    }

    pub(super) fn bootstrap(&self) -> Vec<Address> {
        // Texts of 1 to 255 bytes are addresses.
        self.transport.bootstrap.iter().filter_map(|address| address.as_str().parse().ok()).collect()
    }

    /// Where nodes like this one are found, as far as that is known before it has an outcome.
    pub(super) fn spaces(&self) -> Vec<SpaceId> {
        let gradients = self.domains.iter().filter_map(|domain| domain.domain().space());
        // Words of situations and tags.
        [HashEmbedder::default().space()].into_iter().chain(gradients).collect()
    }

    pub(super) fn network(&self) -> NetworkId {
        NetworkId::new(self.node.network.as_str())
    }
}

impl Admission {
    /// The issuers' keys, or the place of the first that is none.
    pub(super) fn keys(&self) -> Result<Vec<PublicKey>, usize> {
        let key = |(at, bytes): (usize, &Hex<32>)| PublicKey::from_bytes(&bytes.0).map_err(|_| at);
        self.issuers.iter().enumerate().map(key).collect()
    }
}

impl Http {
    pub(super) const fn address(&self) -> Option<SocketAddr> {
        self.listen.0
    }
}

impl Default for Transport {
    fn default() -> Self {
        Self {
            kind: TransportKind::default(),
            listen: vec![Text::known("/ip4/0.0.0.0/tcp/4001")],
            advertise: None,
            bootstrap: Vec::new(),
            pre_shared_key: None,
            allow: Vec::new(),
            block: Vec::new(),
            connections: Within::known(512),
            relay: false,
        }
    }
}

impl Default for Http {
    fn default() -> Self {
        Self { listen: HttpAddress::default(), connections: Within::known(32) }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self { socket: None, clients: Within::known(16), line_bytes: Within::known(1 << 20) }
    }
}

fn default_network() -> Text<1, 255> {
    Text::known("default")
}

#[cfg(test)]
mod tests;
