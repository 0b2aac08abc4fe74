//! The centres as QIS nodes: evidence out, evidence in, estimates.

use std::error::Error;

use qis::memory::Network;
use qis::synth::{Own, Samples};
use qis::{Domain, EmpiricalBayes, Evidence, Family, Identity, Node, Scaling, Schema, Synthesizer};

use crate::data::{Patient, Patients, Study};

const DOMAIN: &str = "survival/breast";

/// What came of one exchange.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// For each centre the risks of its test patients, by the model of its own patients.
    pub(crate) local: Vec<Vec<f64>>,
    /// The same by the model of its own patients and the others' packets.
    pub(crate) qis: Vec<Vec<f64>>,
    /// How much each centre's estimate rests on its peers.
    pub(crate) peer_weights: Vec<f64>,
    /// Size of the largest packet, with its signature and without.
    pub(crate) packet_bytes: (usize, usize),
}

/// One node a centre: each emits what its training patients say, signed, and synthesises what it received.
pub(crate) async fn run(
    study: &Study,
    splits: &[(Patients, Patients)],
    seed: u64,
) -> Result<Exchange, Box<dyn Error>> {
    let (mean, scale) = study.scaling();
    let schema = Schema::new(Family::Cox, study.features.clone(), Scaling::Public { mean, scale })?;
    let network = Network::new();
    let mut nodes = Vec::new();
    for (number, name) in (1_u8..).zip(study.centres.keys()) {
        let mut secret = [number; 32];
        secret[..8].copy_from_slice(&seed.to_le_bytes());
        let node = Node::builder()
            .identity(Identity::from_seed(secret))
            .transport(network.transport(name)?)
            .directory(network.directory())
            .domain(Domain::evidence(DOMAIN, schema.clone())?)
            .start()
            .await?;
        network.attach(&node);
        nodes.push(node);
    }
    let mut own = Vec::new();
    for (node, (train, _)) in nodes.iter().zip(splits) {
        let evidence = evidence(&schema, train)?;
        node.emit(DOMAIN, evidence.clone()).source("training patients").await?;
        own.push(evidence);
    }
    let mut exchange =
        Exchange { local: Vec::new(), qis: Vec::new(), peer_weights: Vec::new(), packet_bytes: (0, 0) };
    for ((node, evidence), (_, test)) in nodes.iter().zip(&own).zip(splits) {
        let alone = EmpiricalBayes::default().synthesize(&Own::evidence(evidence), &Samples::default())?;
        // The first to emit found nobody yet, so later ones ask for what they missed.
        let together = node.synthesize(DOMAIN).pull().await?;
        exchange.local.push(risks(evidence, &alone.estimate, test)?);
        exchange.qis.push(risks(evidence, &together.estimate, test)?);
        exchange.peer_weights.push(together.peer_weight.unwrap_or(0.0));
    }
    for node in &nodes {
        for packet in node.standing(DOMAIN) {
            let signed = packet.as_bytes().len();
            exchange.packet_bytes.0 = exchange.packet_bytes.0.max(signed);
            exchange.packet_bytes.1 = exchange.packet_bytes.1.max(signed - packet.trailer().len());
        }
        node.shutdown().await;
    }
    Ok(exchange)
}

fn evidence(schema: &Schema, patients: &[Patient]) -> Result<Evidence, Box<dyn Error>> {
    let x: Vec<f64> = patients.iter().flat_map(|p| p.features.iter().copied()).collect();
    let time: Vec<f64> = patients.iter().map(|p| p.time).collect();
    let died: Vec<bool> = patients.iter().map(|p| p.died).collect();
    Ok(Evidence::cox(schema, &x, &time, &died)?)
}

fn risks(evidence: &Evidence, theta: &[f64], patients: &[Patient]) -> Result<Vec<f64>, Box<dyn Error>> {
    let risk = |patient: &Patient| Ok(evidence.predict(theta, &patient.features)?);
    patients.iter().map(risk).collect()
}
