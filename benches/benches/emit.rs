//! What it costs to make, check and emit a packet.
//!
//! Times are for comparison within one run on one machine; a look at `verify` tells how fast that machine is.
#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use qis::memory::Network;
use qis::{Domain, Fingerprint, HashEmbedder, Identity, Node, RouterConfig, SpaceId, Timestamp};
use qis_packet::{Draft, Epoch, NetworkId, Order, OutcomePacket, Seal, SiteSecret, Trailer};
use tokio::runtime::{Builder, Runtime};

const DOMAIN: &str = "cardiology/heart";
const DIMS: usize = 48;
const TIME: u64 = 1_795_000_000;

fn draft() -> Draft {
    let codes = (1..=64).collect();
    let fingerprint = Fingerprint::from_codes(SpaceId::new("bench", 64), codes).unwrap();
    Draft::delta(DOMAIN.parse().unwrap(), fingerprint, &[0.5; DIMS])
}

fn packet(criterion: &mut Criterion) {
    let identity = Identity::from_seed([1; 32]);
    let time = Timestamp::from_unix_seconds(TIME);
    let secret = SiteSecret::new(Epoch::of(time), [1; 32]);
    let seal = |trailer| Seal {
        identity: &identity,
        network: NetworkId::new("bench"),
        secret: &secret,
        node: "clinic",
        source: "ward-3",
        order: Order::default(),
        time,
        trailer,
    };
    let signed = draft().seal(&seal(Trailer::SignatureAndKey)).unwrap();
    let mut group = criterion.benchmark_group("packet");
    group.bench_function("seal_unsigned", |bencher| {
        bencher.iter_batched(draft, |draft| draft.seal(&seal(Trailer::None)), BatchSize::SmallInput);
    });
    group.bench_function("seal_signed", |bencher| {
        bencher.iter_batched(
            draft,
            |draft| draft.seal(&seal(Trailer::SignatureAndKey)),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("decode", |bencher| bencher.iter(|| OutcomePacket::decode(signed.as_bytes())));
    group.bench_function("verify", |bencher| {
        bencher.iter_batched(
            || signed.clone(),
            |packet| packet.verify(NetworkId::new("bench"), None),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("fingerprint_of_a_sentence", |bencher| {
        let embedder = HashEmbedder::default();
        bencher.iter(|| embedder.fingerprint("adults with chest pain, rural clinic, no catheter laboratory"));
    });
    group.finish();
}

/// A network of so many nodes in one process, and the first of them.
fn nodes(runtime: &Runtime, count: u8) -> Vec<Node> {
    let network = Network::new();
    let rate = qis::Rate { per_second: 1e9, burst: u32::MAX };
    let config = RouterConfig { peer_rate: rate, author_rate: rate, ..RouterConfig::default() };
    let start = async |seed: u8| {
        let node = Node::builder()
            .identity(Identity::from_seed([seed; 32]))
            .transport(network.transport(&format!("node-{seed}")).unwrap())
            .directory(network.directory())
            .domain(Domain::delta(DOMAIN, DIMS).unwrap())
            .config(config.clone())
            .start()
            .await
            .unwrap();
        network.attach(&node);
        node
    };
    runtime.block_on(async {
        let mut nodes = Vec::new();
        for seed in 0..count {
            nodes.push(start(seed).await);
        }
        nodes
    })
}

/// From the call to the receipt: embed, seal, keep, look up, send, be verified, applied, kept and acknowledged.
fn emit(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let mut group = criterion.benchmark_group("emit_to_receipt");
    for recipients in [1, 20] {
        let nodes = nodes(&runtime, recipients + 1);
        group.throughput(criterion::Throughput::Elements(u64::from(recipients)));
        group.bench_function(format!("{recipients}_recipients"), |bencher| {
            bencher.iter(|| {
                let receipt = runtime.block_on(nodes[0].emit(DOMAIN, [0.5; DIMS]).into_future()).unwrap();
                assert_eq!(receipt.delivered(), usize::from(recipients));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, packet, emit);
criterion_main!(benches);
