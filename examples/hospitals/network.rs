//! The hospitals as QIS nodes: evidence out, evidence in, estimates.

use std::error::Error;

use qis::memory::Network;
use qis::{Domain, Evidence, Identity, Node};

use crate::data::{DOMAIN, Site, schema};

/// What came of the exchange.
#[derive(Debug)]
pub(crate) struct QisRun {
    /// Each site's coefficients, intercept first.
    pub(crate) estimates: Vec<Vec<f64>>,
    /// Packets sent by all sites together, answers included.
    pub(crate) packets_sent: usize,
    /// Bytes of those packets.
    pub(crate) bytes_sent: usize,
    /// Size of the largest packet.
    pub(crate) max_packet_bytes: usize,
}

/// One node a hospital: each emits what its patients say, signed, and synthesises what it received.
pub(crate) async fn run(sites: &[Site], seed: u64) -> Result<QisRun, Box<dyn Error>> {
    let schema = schema()?;
    let network = Network::new();
    let mut nodes = Vec::new();
    for (number, site) in (1_u8..).zip(sites) {
        let mut secret = [number; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        let node = Node::builder()
            .identity(Identity::from_seed(secret))
            .transport(network.transport(&site.name)?)
            .directory(network.directory())
            .domain(Domain::evidence(DOMAIN, schema.clone())?)
            .start()
            .await?;
        network.attach(&node);
        nodes.push(node);
    }
    for (node, site) in nodes.iter().zip(sites) {
        let evidence = Evidence::logistic(&schema, &site.raw, &site.train.labels)?;
        node.emit(DOMAIN, evidence).source("training patients").await?;
    }
    let mut run = QisRun { estimates: Vec::new(), packets_sent: 0, bytes_sent: 0, max_packet_bytes: 0 };
    for node in &nodes {
        // The first to emit found nobody yet, so later ones ask for what they missed.
        let synthesis = node.synthesize(DOMAIN).pull().await?;
        run.estimates.push(synthesis.estimate);
    }
    for node in &nodes {
        let stats = node.stats();
        run.packets_sent += usize::try_from(stats.packets_sent)?;
        run.bytes_sent += usize::try_from(stats.packet_bytes_sent)?;
        run.max_packet_bytes = run.max_packet_bytes.max(stats.max_packet_bytes);
        node.shutdown().await;
    }
    Ok(run)
}
