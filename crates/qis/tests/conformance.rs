//! The parts in memory keep to their traits.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::convert::Infallible;
use std::error::Error;
use std::sync::atomic::{AtomicUsize, Ordering};

use qis::memory::{MemoryDirectory, MemoryStore, Network};
use qis_conformance::transport::Inbox;
use qis_conformance::{block_on, directory, store, transport};

fn run(network: Network) {
    let opened = AtomicUsize::new(0);
    let open = async move |inbox: Inbox| {
        let address = format!("node-{}", opened.fetch_add(1, Ordering::Relaxed));
        let listener = network.listen(&address, move |from, frame| inbox.receive(from, frame))?;
        Ok::<_, Box<dyn Error + Send + Sync>>((network.transport(&address)?, listener))
    };
    transport::Suite::new(open).run(block_on).unwrap();
}

#[test]
fn the_network_in_memory_keeps_to_the_transport() {
    run(Network::new());
}

#[test]
fn as_a_radio_that_loses_frames_it_does_too() {
    run(Network::new().with_max_frame(51).with_loss(300, 7));
}

#[test]
fn the_directory_in_memory_keeps_to_the_trait() {
    let network = || {
        let directory = MemoryDirectory::default();
        async move |_identity| Ok::<_, Infallible>((directory.clone(), ()))
    };
    directory::Suite::new(network).run(block_on).unwrap();
}

#[test]
fn the_store_in_memory_keeps_to_the_trait() {
    let place = || {
        let memory = MemoryStore::default();
        async move || Ok::<_, Infallible>(memory.clone())
    };
    store::Suite::new(place).run(block_on).unwrap();
}
