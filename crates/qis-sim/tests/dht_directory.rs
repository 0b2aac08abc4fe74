//! What locality-sensitive hashing over a DHT finds in a small network.

use qis_route::DhtConfig;
use qis_sim::{Vectors, measure_dht};

#[test]
fn neighbouring_keys_find_most_of_a_thousand() {
    let vectors = Vectors::clustered(1050, 128, 1);
    let with = |probes| {
        let config = DhtConfig { probes, ..DhtConfig::for_members(1000) };
        measure_dht(&vectors, 1000, 20, config).unwrap()
    };
    let (exact, near) = (with(0), with(4));
    println!("{exact:?} {near:?}");
    assert!(exact.gets == 16.0 && near.gets == 80.0);
    assert!(exact.recall > 0.75 && near.recall > 0.97, "{exact:?} {near:?}");
}
