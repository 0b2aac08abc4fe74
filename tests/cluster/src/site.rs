//! A node's files, and what is fixed about it over all its lives.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use qis::Identity;

use crate::Fault;

/// The domain of all nodes.
pub const DOMAIN: &str = "cluster/counts";
/// Coordinates of an outcome: the emission's number, the node's, and two that are nothing.
pub const DIMS: usize = 4;
/// The network of all nodes.
pub const NETWORK: &str = "cluster";

/// The first port that is tried: below those that systems give to outgoing connections, so that none takes the place of a node that is down.
const FIRST_PORT: u16 = 20_000;
const LAST_PORT: u16 = 32_000;

/// What all nodes of a run have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program under test.
    pub program: PathBuf,
    /// Where the nodes' files are; its path is short, since that of a socket has 107 bytes at most.
    pub folder: PathBuf,
    /// Seconds between two rounds of anti-entropy.
    pub sync_seconds: u64,
    /// How often a packet is sent to one recipient at most.
    pub attempts: u8,
    /// More lines of every configuration: further tables.
    pub more: String,
}

/// A node: what it is over all its lives.
#[derive(Clone, Debug)]
pub struct Site {
    /// Its place among all nodes, from 0.
    pub number: usize,
    /// Its address on the machine, such as `127.0.0.1`.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The network namespace it runs in, if not that of the run.
    pub namespace: Option<String>,
    seed: [u8; 32],
    folder: PathBuf,
}

impl Site {
    /// A node of a run that has its files in a folder, with a key that follows from the run's seed.
    #[must_use]
    pub fn new(folder: &Path, seed: u64, number: usize, host: &str, port: u16) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_be_bytes());
        key[8..16].copy_from_slice(&(number as u64 + 1).to_be_bytes());
        let (host, folder) = (host.to_owned(), folder.to_owned());
        Self { number, host, port, namespace: None, seed: key, folder }
    }

    /// Who it is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_seed(self.seed)
    }

    /// Its author id, as nodes write it.
    #[must_use]
    pub fn author(&self) -> String {
        self.identity().author().to_string()
    }

    /// One of its files.
    #[must_use]
    pub fn path(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("n{:02}.{ending}", self.number))
    }

    /// Its store.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path("redb")
    }

    /// Writes its key and its configuration, which joins by these addresses.
    ///
    /// # Errors
    ///
    /// [`Fault::Io`].
    pub fn write(&self, settings: &Settings, bootstrap: &[String]) -> Result<(), Fault> {
        let key = self.path("key");
        if !key.exists() {
            let digits: String = self.seed.iter().map(|byte| format!("{byte:02x}")).collect();
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&key);
            let written = file.and_then(|mut file| writeln!(file, "{digits}"));
            written.map_err(Fault::io(format!("cannot write the key {}", key.display())))?;
        }
        let Self { number, host, port, .. } = self;
        let Settings { sync_seconds, attempts, more, .. } = settings;
        let text = format!(
            "[node]\nkey = \"n{number:02}.key\"\nname = \"node {number}\"\nnetwork = \"{NETWORK}\"\n\
             [store]\npath = \"n{number:02}.redb\"\n\
             [transport]\nlisten = [\"/ip4/{host}/tcp/{port}\"]\nbootstrap = {bootstrap:?}\n\
             [http]\nlisten = \"off\"\n\
             [control]\nsocket = \"n{number:02}.sock\"\n\
             [log]\nformat = \"json\"\n\
             [sync]\nevery_seconds = {sync_seconds}\n\
             [limits]\nattempts = {attempts}\n\
             [[domains]]\ntag = \"{DOMAIN}\"\ndims = {DIMS}\nrule = \"anchored-mean\"\nsituation = \"adults with chest pain, clinic {number}\"\n\
             {more}"
        );
        let path = self.path("toml");
        fs::write(&path, text).map_err(Fault::io(format!("cannot write {}", path.display())))
    }
}

/// Ports of this machine that nobody listens at.
///
/// # Errors
///
/// [`Fault::Waited`] when there are not as many.
pub fn free_ports(count: usize) -> Result<Vec<u16>, Fault> {
    // Two runs at once begin far from each other: a port of the one may look free while its node is down.
    let spread = u64::from(std::process::id()) * 7919 % 11_000;
    let from = FIRST_PORT + u16::try_from(spread).unwrap_or(0);
    let free = (from..LAST_PORT).filter(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    let ports: Vec<u16> = free.take(count).collect();
    if ports.len() < count {
        return Err(Fault::Waited { what: format!("{count} ports are free"), seconds: 0.0 });
    }
    Ok(ports)
}

/// The program under test: the one given, or the one that was built beside this one.
///
/// # Errors
///
/// [`Fault::Program`] when it is not there.
pub fn program(given: Option<&Path>) -> Result<PathBuf, Fault> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => {
            let this = std::env::current_exe().map_err(Fault::io("this program has no path"))?;
            this.with_file_name("qis")
        }
    };
    // Its path has to hold in other folders too.
    path.canonicalize().map_err(|_| Fault::Program { path })
}
