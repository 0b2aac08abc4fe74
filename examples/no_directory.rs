//! Fifty sites without a directory: each knows the address of one of them, and they find those most like themselves.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::time::Duration;

use qis::memory::Network;
use qis::{Address, Domain, Identity, Node, OverlayConfig, RouterConfig, Selection};

const PLACES: [&str; 5] =
    ["mountain village", "coastal town", "inner city", "university campus", "island harbour"];
const PATIENTS: [&str; 10] = [
    "adults with chest pain",
    "children with asthma",
    "elderly after a fall",
    "pregnant women with diabetes",
    "farmers with back pain",
    "students with migraine",
    "divers with ear pain",
    "smokers with a cough",
    "runners with knee pain",
    "nurses with burnout",
];

fn has_joined(node: &Node) -> bool {
    let spaces = node.overlay_stats().map(|report| report.spaces).unwrap_or_default();
    spaces.iter().all(|space| space.near > 0 && !space.joining)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let net = Network::new();
    // All have the same list; the first one finds nobody in it but itself, and waits to be found.
    let known: Address = "clinic-0".parse()?;
    let selection = Some(Selection::most_similar(4));
    let config = RouterConfig { selection, fingerprint_bytes: 128, ..RouterConfig::default() };
    let mut sites: Vec<(String, Node)> = Vec::new();
    for at in 0..PLACES.len() * PATIENTS.len() {
        let situation = format!("{}, {}", PATIENTS[at / PLACES.len()], PLACES[at % PLACES.len()]);
        let node = Node::builder()
            .identity(Identity::generate()?)
            .transport(net.transport(&format!("clinic-{at}"))?)
            .overlay(OverlayConfig::default())
            .bootstrap([known.clone()])
            .config(config.clone())
            .domain(Domain::delta("outcomes", 2)?.situation(&situation))
            .build()
            .await?;
        // It can be reached from here on; now it may ask.
        net.attach(&node);
        tokio::spawn(node.run());
        sites.push((situation, node));
    }

    // Joining takes some round trips. Only who is the first has to wait until there are others.
    while !sites.iter().all(|(_, node)| has_joined(node)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    for at in [0, 23, 49] {
        let (situation, node) = &sites[at];
        let before = node.overlay_stats().map(|report| report.stats).unwrap_or_default();
        let receipt = node.emit("outcomes", [0.3, -0.1]).await?;
        println!("{situation}: delivered to {} of {}", receipt.delivered(), receipt.recipients.len());
        for recipient in &receipt.recipients {
            let there = sites.iter().find(|(_, node)| node.address() == recipient.address);
            let situation = there.map_or("somewhere", |(situation, _)| situation);
            println!("  {:.2} {situation}", recipient.similarity);
        }
        let Some(report) = node.overlay_stats() else { continue };
        for space in &report.spaces {
            println!(
                "  {} near, {} diverse and {} random contacts, {} KiB; {} requests for this look-up",
                space.near,
                space.diverse,
                space.random,
                report.state_bytes / 1024,
                report.stats.lookup_requests - before.lookup_requests,
            );
        }
        if receipt.delivered() < 4 {
            return Err("a packet did not reach its recipients".into());
        }
    }
    Ok(())
}
