//! What it costs to keep something for good: commits of one row to thousands, each synced to the disk.
//!
//! The file is in the build directory, so the figures are of the disk that has it. The time of a commit of one row is that of a sync.
#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use qis_route::{Batch, Operation, Store, Table};
use qis_store::RedbStore;
use tempfile::TempDir;
use tokio::runtime::Builder;

/// Standing packets of a node that has heard of many, and what a row of one has: a packet, its author's key, a time.
const PACKETS: u32 = 10_000;
const ROW_BYTES: usize = 512 + 32 + 8;

fn directory() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The newest packets of as many authors, from one on.
fn packets(from: u32, count: u32) -> Batch {
    let put = |number: u32| {
        let author = u128::from(number % PACKETS).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let key = [b"cardiology/heart", &author.to_be_bytes()[..]].concat();
        Operation::Put { table: Table::Packets, key, value: vec![number as u8; ROW_BYTES] }
    };
    Batch { operations: (from..from + count).map(put).collect() }
}

fn store(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let directory = directory();
    let path = directory.path().join("node.redb");
    let store = RedbStore::open(&path).unwrap();
    runtime.block_on(store.commit(packets(0, PACKETS))).unwrap();
    let mut group = criterion.benchmark_group("store");
    for rows in [1, 16, 256, 4096_u32] {
        let mut from = 0;
        group.throughput(Throughput::Elements(rows.into()));
        group.bench_function(format!("commit_{rows}_packets"), |bencher| {
            let next = || {
                from += rows;
                packets(from, rows)
            };
            let commit = |batch| runtime.block_on(store.commit(batch)).unwrap();
            bencher.iter_batched(next, commit, BatchSize::SmallInput);
        });
    }
    drop(store);
    group.throughput(Throughput::Elements(PACKETS.into()));
    group.bench_function("open_and_read_10000_packets", |bencher| {
        bencher.iter(|| {
            let store = RedbStore::open(&path).unwrap();
            runtime.block_on(store.range(Table::Packets, &[], usize::MAX)).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
