//! Some nodes, and what carries frames between them at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{Frame, Identity, NetworkId, Order};

use super::{Event, Open, Output, OverlayConfig, Overlays, Statement, Verifier};
use crate::Address;

pub(super) const ZERO: Duration = Duration::ZERO;

pub(super) fn space(name: u8) -> SpaceId {
    SpaceId::new(&name.to_string(), 2)
}

pub(super) fn print(name: u8, y: i8) -> Fingerprint {
    Fingerprint::from_codes(space(name), vec![100, y]).unwrap()
}

pub(super) fn address(node: u8) -> Address {
    format!("node-{node}").parse().unwrap()
}

/// Of a node in a space.
pub(super) fn descriptor(node: u8, of: u8, y: i8, sequence: u32) -> Vec<u8> {
    let statement = Statement {
        address: address(node),
        fingerprint: print(of, y),
        order: Order { incarnation: 1, sequence },
        credential: Vec::new(),
    };
    statement.sign(&Identity::from_seed([node; 32]), NetworkId::new("net")).unwrap()
}

/// A node that is in no space yet.
pub(super) fn spaces(config: OverlayConfig, seed: u8) -> Overlays {
    let registry = Verifier { network: NetworkId::new("net"), admission: Arc::new(Open) };
    Overlays::new(config, Arc::new(registry), [seed; 32]).unwrap()
}

/// So many nodes in space 1, of which all but the first join by the first.
pub(super) fn joined(nodes: u8) -> Vec<Overlays> {
    let mut all = Vec::new();
    for at in 0..nodes {
        let mut node = spaces(OverlayConfig::default(), at);
        node.start(ZERO, &[address(0)]);
        node.announce(ZERO, &descriptor(at, 1, at.cast_signed(), 0)).unwrap();
        all.push(node);
        run(&mut all);
    }
    all
}

/// Lets minutes pass.
pub(super) fn pass(nodes: &mut [Overlays], minutes: u64) {
    for now in (1..=minutes).map(|minute| Duration::from_secs(60 * minute)) {
        for node in &mut *nodes {
            node.handle_timeout(now);
        }
        run_at(nodes, now);
    }
}

pub(super) fn run(nodes: &mut [Overlays]) -> Vec<(usize, SpaceId, Event)> {
    run_at(nodes, ZERO)
}

/// Carries frames until there are none. What is sent to an address where nobody is, is lost. Returns what happened, and to whom.
fn run_at(nodes: &mut [Overlays], now: Duration) -> Vec<(usize, SpaceId, Event)> {
    let mut events = Vec::new();
    let mut frames = VecDeque::new();
    loop {
        for (at, node) in nodes.iter_mut().enumerate() {
            while let Some((space, output)) = node.poll_output() {
                match output {
                    Output::Send { to, frame } => frames.push_back((at, to, frame)),
                    Output::Event(event) => events.push((at, space, event)),
                }
            }
        }
        let Some((from, to, frame)) = frames.pop_front() else { return events };
        let from = address(u8::try_from(from).unwrap());
        let to = (0..nodes.len()).find(|&at| address(u8::try_from(at).unwrap()) == to);
        if let Some(to) = to {
            let _ = nodes[to].receive(now, &from, Frame::parse(&frame).unwrap().body);
        }
    }
}
