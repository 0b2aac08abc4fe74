//! Directories keep to the trait.
#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use qis_conformance::block_on;
use qis_conformance::directory::Suite;
use qis_packet::{Identity, NetworkId};
use qis_route::{Dht, DhtDirectory, FullMesh, HostError};

#[test]
fn a_full_mesh_keeps_to_the_trait() {
    let network = || {
        let list = Arc::new(FullMesh::default());
        async move |_identity| Ok::<_, Infallible>((Arc::clone(&list), ()))
    };
    let report = Suite::new(network).run(block_on).unwrap();
    assert!(report.left_out.is_empty(), "{report:?}");
}

/// A table of keys and values that all members share.
#[derive(Debug, Default)]
struct Table(Mutex<BTreeMap<[u8; 32], Vec<Vec<u8>>>>);

#[async_trait]
impl Dht for Table {
    async fn put(&self, key: [u8; 32], value: Vec<u8>) -> Result<(), HostError> {
        self.0.lock().unwrap().entry(key).or_default().push(value);
        Ok(())
    }

    async fn get(&self, key: [u8; 32]) -> Result<Vec<Vec<u8>>, HostError> {
        Ok(self.0.lock().unwrap().get(&key).cloned().unwrap_or_default())
    }
}

#[test]
fn a_directory_over_a_dht_keeps_to_the_trait() {
    let network = || {
        let table = Arc::new(Table::default());
        async move |identity: Identity| {
            let directory = DhtDirectory::new(Arc::clone(&table), identity, NetworkId::new("test"), 1);
            Ok::<_, Infallible>((directory, ()))
        }
    };
    let report = Suite::new(network).run(block_on).unwrap();
    assert!(report.left_out.is_empty(), "{report:?}");
}
