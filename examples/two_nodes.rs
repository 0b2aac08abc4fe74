//! Two clinics learn from each other: the quick start of the README.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use qis::memory::Network;
use qis::{Domain, Identity, Node};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let net = Network::new();
    let clinic = async |name| -> Result<Node, Box<dyn std::error::Error>> {
        let node = Node::builder()
            .identity(Identity::generate()?)
            .transport(net.transport(name)?)
            .directory(net.directory())
            .domain(Domain::delta("cardiology/heart", 3)?)
            .start()
            .await?;
        net.attach(&node);
        Ok(node)
    };
    let (a, b) = (clinic("clinic-a").await?, clinic("clinic-b").await?);

    a.emit("cardiology/heart", [0.9, -0.3, 0.1]).confidence(0.8).source("ward-3/2026-11").await?;
    let receipt = b.emit("cardiology/heart", [0.5, 0.1, 0.1]).confidence(0.6).await?;
    println!("{} bytes, delivered to {} of {}", receipt.bytes, receipt.delivered(), receipt.recipients.len());

    println!("{}", b.synthesize("cardiology/heart").await?);
    Ok(())
}
