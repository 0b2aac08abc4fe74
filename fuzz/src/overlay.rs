//! Frames of anybody to an overlay: it never panics, keeps its bounds, and answers nothing larger than a frame.

use std::sync::Arc;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{Frame, Identity, NetworkId, Order};
use qis_route::Address;
use qis_route::overlay::{LookupOptions, Open, Output, Overlay, OverlayConfig, Statement, Verifier};

fn descriptor(seed: u8, x: i8, sequence: u32) -> Vec<u8> {
    let statement = Statement {
        address: format!("node-{seed}").parse().unwrap(),
        fingerprint: Fingerprint::from_codes(SpaceId::new("fuzz", 4), vec![100, x, 0, 1]).unwrap(),
        order: Order { incarnation: 1, sequence },
        credential: Vec::new(),
    };
    statement.sign(&Identity::from_seed([seed; 32]), NetworkId::new("fuzz")).unwrap()
}

// Each frame: its length in two bytes, then its body. Where a body has its space and its nonce, the right space and the
// nonce of a request under way are put in if the first byte of the length says so, so that answers are read too; a descriptor follows
// where there is room for one, the peer's or a later one of the node's own, and an empty list after it or none.
/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    let registry = Arc::new(Verifier { network: NetworkId::new("fuzz"), admission: Arc::new(Open) });
    let mut overlay =
        Overlay::new(OverlayConfig::default(), &descriptor(1, 1, 0), registry, [1; 32]).unwrap();
    let peer: Address = "node-2".parse().unwrap();
    overlay.start(Duration::ZERO, std::slice::from_ref(&peer));
    let target = Fingerprint::from_codes(SpaceId::new("fuzz", 4), vec![1, 2, 3, 4]).unwrap();
    let mut nonces: Vec<[u8; 8]> = Vec::new();
    let (mut rest, mut now) = (data, Duration::ZERO);
    let (peers, own) = (descriptor(2, 2, 0), descriptor(1, 3, 7));
    while let Some((&[how, len], after)) = rest.split_first_chunk::<2>() {
        let (body, after) = after.split_at(after.len().min(usize::from(len)));
        rest = after;
        let mut body = body.to_vec();
        if how & 1 != 0
            && let Some(nonce) = nonces.pop()
            && body.len() >= 13
        {
            body[5..13].copy_from_slice(&nonce);
        }
        if how & 16 == 0 && body.len() >= 5 {
            body[1..5].copy_from_slice(&SpaceId::new("fuzz", 4).to_bytes());
        }
        if how & 2 != 0 && body.len() >= 13 {
            body.truncate(13 + usize::from(how & 4 != 0));
            let proof = if how & 32 != 0 { &own } else { &peers };
            body.push(u8::try_from(proof.len() & 0x7f).unwrap() | 0x80);
            body.push(u8::try_from(proof.len() >> 7).unwrap());
            body.extend(proof);
            if how & 64 == 0 {
                body.push(0);
            }
        }
        overlay.receive(now, &peer, &body);
        now += Duration::from_millis(u64::from(how) * 10);
        overlay.handle_timeout(now);
        if how & 8 != 0 {
            let _ = overlay.look_up(now, &target, LookupOptions::nearest(3));
        }
        while let Some(output) = overlay.poll_output() {
            if let Output::Send { frame, .. } = output {
                assert!(frame.len() <= Frame::MAX_BYTES);
                nonces.extend(frame.get(6..14).and_then(|nonce| <[u8; 8]>::try_from(nonce).ok()));
            }
        }
        assert!(overlay.state_bytes() <= 64 * 1024);
        nonces.truncate(64);
    }
}
