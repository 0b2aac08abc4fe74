//! An opening has one form, and fits or does not fit a packet without a panic.

use std::sync::LazyLock;

use crate::{IDENTITIES, SECRET, START, domain, fingerprint, network};
use qis_packet::{Draft, Opening, Order, OutcomePacket, Seal, Trailer};

static PACKET: LazyLock<OutcomePacket> = LazyLock::new(|| {
    let seal = Seal {
        identity: &IDENTITIES[1],
        network: network(),
        secret: &SECRET,
        node: "node",
        source: "source",
        order: Order { incarnation: 1, sequence: 2 },
        time: START,
        trailer: Trailer::SignatureAndKey,
    };
    Draft::delta(domain(0), fingerprint(1), &[1.0, 2.0]).seal(&seal).expect("a packet")
});

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let Ok(opening) = Opening::from_bytes(data) else { return };
    assert_eq!(opening.to_bytes(), data);
    if opening.verify(&PACKET, network()).is_ok() {
        assert_eq!((opening.node(), opening.source()), ("node", "source"));
    }
}
