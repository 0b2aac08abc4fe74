//! Measures the directory over a DHT: `cargo run --release -p qis-sim --example dht -- nodes=1000 file=vectors.i8 dims=384`.
//!
//! Without a file the vectors are synthetic. Of a larger file it takes rows at equal distances, the queries after the nodes.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::error::Error;

use qis_route::DhtConfig;
use qis_sim::{Vectors, measure_dht};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |name: &str| arguments.iter().find_map(|one| one.strip_prefix(name)?.strip_prefix('='));
    let whole = |name: &str, default: usize| text(name).map_or(Ok(default), str::parse);
    let (nodes, dims, queries) = (whole("nodes", 1000)?, whole("dims", 384)?, whole("queries", 200)?);
    let vectors = match text("file") {
        Some(file) => Vectors::read(file.as_ref(), dims)?.spread(nodes + queries),
        None => Vectors::clustered(nodes + queries, dims, 1),
    };
    let usual = DhtConfig::for_members(u32::try_from(nodes)?);
    for bits in [usual.bits.saturating_sub(1), usual.bits, usual.bits + 1] {
        for probes in [0, 1, 2, 4, 6] {
            let config = DhtConfig { bits, probes, ..usual };
            if config.validate().is_ok() {
                let report = measure_dht(&vectors, nodes, 20, config)?;
                println!("{bits} bits, {} gets: recall {:.3}", report.gets, report.recall);
            }
        }
    }
    Ok(())
}
