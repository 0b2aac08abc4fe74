//! Transport and directory keep to their traits.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};

use qis_conformance::transport::Inbox;
use qis_conformance::{directory, transport};
use qis_libp2p::{Libp2p, StartError};
use qis_packet::{Identity, NetworkId};
use qis_route::{Address, DhtConfig, DhtDirectory};
use tokio::runtime::Runtime;

use crate::support::{builder, counted};

#[test]
fn the_transport_keeps_to_the_trait() {
    let opened = AtomicU8::new(1);
    let open = async move |inbox: Inbox| {
        let node = builder(opened.fetch_add(1, Ordering::Relaxed)).build().await?;
        node.serve(move |from, frame| inbox.receive(from, frame));
        Ok::<_, StartError>((node.transport(), node))
    };
    let runtime = Runtime::new().unwrap();
    let suite = transport::Suite::new(open).never_an_address("node-1");
    suite.run(move |checks| runtime.block_on(checks)).unwrap();
}

/// A look-up for thousands of members gets 80 keys, and there are five.
const FEW_KEYS: DhtConfig = DhtConfig { tables: 3, bits: 0, probes: 0, providers: 20 };

#[test]
fn a_directory_over_its_dht_keeps_to_the_trait() {
    let network = || {
        let first = Mutex::new(None::<Address>);
        async move |identity: Identity| {
            let known = first.lock().unwrap().clone();
            let joins = known.is_some();
            let node = Libp2p::builder(&identity).listen("/ip4/127.0.0.1/tcp/0").peers(known).build().await?;
            if joins {
                counted(&node, "it has joined", |stats| stats.routing_peers > 0).await;
            }
            first.lock().unwrap().get_or_insert_with(|| node.local_address());
            let directory = DhtDirectory::new(node.dht(), identity, NetworkId::new("default"), 1);
            Ok::<_, Box<dyn Error + Send + Sync>>((directory.with_config(FEW_KEYS)?, node))
        }
    };
    let runtime = Runtime::new().unwrap();
    let suite = directory::Suite::new(network).members(5);
    suite.run(move |checks| runtime.block_on(checks)).unwrap();
}
