//! What is in the nodes' stores once they have stopped, read as a node reads it.

use std::fs;
use std::path::Path;

use qis::memory::Network;
use qis::{Domain, NetworkId, Node, Order, OutcomePacket};
use qis_store::RedbStore;
use serde::Serialize;

use crate::{DIMS, DOMAIN, Fault, NETWORK, Name, Site};

/// A packet that stands in a store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Packet {
    /// Whose.
    pub author: String,
    /// What it is called by.
    pub name: Name,
    /// The number of the outcome in it.
    pub number: u32,
}

/// What a node's store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Held {
    /// What is wrong with it, if anything is.
    pub problem: Option<String>,
    /// The packets that stand, the node's own among them.
    pub packets: Vec<Packet>,
    /// The packet that the node would emit next.
    pub next: Option<Name>,
}

/// Reads the store of a node that has stopped, in a copy: the file itself stays as it was left.
///
/// Fails when the copy can't be made or removed; what is wrong with the store is part of what is [`Held`].
pub(crate) async fn read(site: &Site) -> Result<Held, Fault> {
    let (file, copy) = (site.store(), site.path("judged"));
    if !file.exists() {
        return Ok(Held { problem: Some("it is not there".to_owned()), ..Held::default() });
    }
    fs::copy(&file, &copy).map_err(Fault::io(format!("cannot copy {}", file.display())))?;
    let held = read_copy(site, &copy).await;
    fs::remove_file(&copy).map_err(Fault::io(format!("cannot remove {}", copy.display())))?;
    Ok(held.unwrap_or_else(|problem| Held { problem: Some(problem), ..Held::default() }))
}

async fn read_copy(site: &Site, path: &Path) -> Result<Held, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let store = RedbStore::open(path).map_err(|error| text(&error))?;
    store.check().await.map_err(|error| text(&error))?;
    let network = Network::new();
    let domain = Domain::delta(DOMAIN, DIMS).map_err(|error| text(&error))?;
    let node = Node::builder()
        .identity(site.identity())
        .network(NetworkId::new(NETWORK))
        .transport(network.transport("judge").map_err(|error| text(&error))?)
        .directory(network.directory())
        .store(store)
        .keep_site_secret()
        .domain(domain)
        .build()
        .await
        .map_err(|error| text(&error))?;
    let damaged = node.stats().rows_damaged;
    if damaged > 0 {
        return Err(format!("{damaged} rows are not what a node wrote"));
    }
    let packets = node.standing(DOMAIN).iter().map(packet).collect::<Result<_, _>>()?;
    // A number that was used before shows as the same number of another packet.
    let driver = tokio::spawn(node.run());
    let queued = node.emit(DOMAIN, [0.5; DIMS]).queue().await.map_err(|error| text(&error))?;
    node.shutdown().await;
    driver.await.map_err(|error| text(&error))?;
    Ok(Held { problem: None, packets, next: Some(name(queued.order, queued.packet.to_string())) })
}

fn name(order: Order, packet: String) -> Name {
    Name { incarnation: order.incarnation, sequence: order.sequence, packet }
}

fn packet(packet: &OutcomePacket) -> Result<Packet, String> {
    let author = packet.author().to_string();
    let decoded = packet.delta().and_then(Result::ok).map(|decoded| decoded.to_vec());
    let number = decoded.and_then(|values| values.first().copied());
    // Small whole numbers are exact in an f32.
    let number = number.filter(|number| number.fract() == 0.0 && (0.0..1e6).contains(number));
    let number = number.ok_or_else(|| format!("a packet of {author} is no outcome of the run"))?;
    Ok(Packet { author, name: name(packet.order(), packet.id().to_string()), number: number as u32 })
}
