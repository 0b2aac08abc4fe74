//! One hospital: a process that knows its own patients, an address to join by, and nothing else.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use qis::{Domain, Evidence, Identity, NetworkId, Node, OverlayConfig};
use qis_libp2p::Libp2p;
use qis_store::RedbStore;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;

use crate::data::{DOMAIN, FEATURES, schema};

/// The others may take so long to come.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Hospitals there are.
pub(crate) const HOSPITALS: usize = 4;

/// A hospital's files.
pub(crate) const PATIENTS: &str = "patients.csv";
const KEY: &str = "node.key";
const STORE: &str = "node.redb";

/// What a hospital tells whoever started it, a line each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// It listens here.
    Listening(String),
    /// It has learned.
    Learned(Learned),
}

/// What became of the exchange at one hospital.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Learned {
    /// Its coefficients, intercept first.
    pub(crate) estimate: Vec<f64>,
    /// Packets it sent, answers included.
    pub(crate) packets_sent: usize,
    /// Bytes of those packets.
    pub(crate) bytes_sent: usize,
    /// Size of the largest.
    pub(crate) max_packet_bytes: usize,
    /// All bytes of frames that it handed to its connections.
    pub(crate) socket_bytes: u64,
}

/// Learns, says what, and stays for the others until its input ends.
pub(crate) async fn run(dir: &Path, join: Option<&str>, quic: bool) -> Result<(), Box<dyn Error>> {
    let schema = schema()?;
    let (raw, labels) = patients(&dir.join(PATIENTS))?;
    let evidence = Evidence::logistic(&schema, &raw, &labels)?;
    let identity = identity(&dir.join(KEY))?;
    let domain = Domain::evidence(DOMAIN, schema)?;
    let space = domain.space().ok_or("evidence has a space of its own")?;

    let network = NetworkId::new("hospitals");
    let listen = if quic { "/ip4/127.0.0.1/udp/0/quic-v1" } else { "/ip4/127.0.0.1/tcp/0" };
    let libp2p = Libp2p::builder(&identity).network(network).listen(listen).peers(join).build().await?;
    tell(&Word::Listening(libp2p.local_address().to_string()))?;
    libp2p.announce(space).await?;
    let node = Node::builder()
        .identity(identity)
        .network(network)
        .transport(libp2p.transport())
        .overlay(OverlayConfig::default())
        .bootstrap(libp2p.members(space, 3).await?)
        .store(RedbStore::open(dir.join(STORE))?)
        .domain(domain)
        .start()
        .await?;
    let receiver = node.clone();
    libp2p.serve(move |from, frame| {
        receiver.receive(from, frame);
    });

    node.emit(DOMAIN, evidence).source("training patients").await?;
    let started = Instant::now();
    while node.standing(DOMAIN).len() < HOSPITALS {
        if started.elapsed() > PATIENCE {
            return Err(format!("only {} of {HOSPITALS} hospitals came", node.standing(DOMAIN).len()).into());
        }
        node.catch_up().await?;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let synthesis = node.synthesize(DOMAIN).await?;
    let stats = node.stats();
    tell(&Word::Learned(Learned {
        estimate: synthesis.estimate,
        packets_sent: usize::try_from(stats.packets_sent)?,
        bytes_sent: usize::try_from(stats.packet_bytes_sent)?,
        max_packet_bytes: stats.max_packet_bytes,
        socket_bytes: libp2p.stats().bytes_sent,
    }))?;

    // Others may still be asking.
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    node.shutdown().await;
    libp2p.shutdown().await;
    Ok(())
}

fn tell(word: &Word) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", serde_json::to_string(word)?)?;
    out.flush()
}

/// Features, one patient after another, and what became of them.
fn patients(path: &Path) -> Result<(Vec<f64>, Vec<f64>), csv::Error> {
    let (mut raw, mut labels) = (Vec::new(), Vec::new());
    for row in csv::Reader::from_path(path)?.deserialize() {
        let (features, label): ([f64; FEATURES], f64) = row?;
        raw.extend(features);
        labels.push(label);
    }
    Ok((raw, labels))
}

/// The key of the file, or a new one that goes there.
fn identity(path: &Path) -> Result<Identity, Box<dyn Error>> {
    if !path.exists() {
        fs::write(path, Identity::generate()?.expose_seed())?;
    }
    let seed: [u8; 32] = fs::read(path)?.try_into().map_err(|_| "a key has 32 bytes")?;
    Ok(Identity::from_seed(seed))
}
