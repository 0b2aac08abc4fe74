//! Writes the seed inputs: `cargo run -p qis-fuzz --example seeds`, in the repository's root.

use std::error::Error;
use std::fs;
use std::path::Path;

use qis_codec::encode;
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_fuzz::{IDENTITIES, SECRET, START, domain, fingerprint, network};
use qis_packet::{Draft, FrameKind, Order, RotationStatement, Seal, Trailer};
use qis_synth::evidence::{Evidence, Family, Scaling, Schema};

fn main() -> Result<(), Box<dyn Error>> {
    let write = |target: &str, name: &str, bytes: &[u8]| -> std::io::Result<()> {
        let folder = Path::new("fuzz/seeds").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)
    };

    let raw = encode(&[0.5, -1.25, 3.0], 64, 0)?;
    write("codec", "raw", &[&[raw.mode().code(), 3, 0][..], raw.bytes()].concat())?;
    write("codec", "empty", &[0, 3, 0])?;
    let trellis = encode(&[0.5, -1.25, 3.0, 0.0, 7.5, -2.0, 0.125, 0.0], 16, 0)?;
    write("codec", "trellis", &[&[trellis.mode().code(), 8, 0][..], trellis.bytes()].concat())?;

    // A frame each: how it is completed, its length, its tag, and room for a nonce.
    let overlay = |how: u8, tag: u8| {
        let head = [how, if how & 4 != 0 { 14 } else { 13 }, tag];
        // The space and the nonce.
        [&head[..], &[0; 12]].concat()
    };
    write("overlay", "ping", &overlay(0, 9))?;
    write("overlay", "found", &overlay(1 | 2, 1))?;
    write("overlay", "link", &[&overlay(2 | 4, 3)[..], &[0]].concat())?;
    write("overlay", "outdated", &overlay(1 | 2 | 32 | 64, 13))?;
    write("overlay", "found-then-look-up", &[overlay(1 | 2, 1), overlay(8, 9)].concat())?;

    let seal = |trailer| Seal {
        identity: &IDENTITIES[1],
        network: network(),
        secret: &SECRET,
        node: "node",
        source: "source",
        order: Order { incarnation: 1, sequence: 2 },
        time: START,
        trailer,
    };
    let delta = Draft::delta(domain(0), fingerprint(1), &[1.0, 2.0]);
    let whole = delta.clone().seal(&seal(Trailer::SignatureAndKey))?;
    write("packet", "delta", whole.as_bytes())?;
    write("packet", "signature", delta.clone().seal(&seal(Trailer::Signature))?.as_bytes())?;
    write("packet", "unsigned", delta.seal(&seal(Trailer::None))?.as_bytes())?;
    let zero = Draft::delta(domain(0), fingerprint(1), &[0.0; 9]);
    write("packet", "zero", zero.seal(&seal(Trailer::None))?.as_bytes())?;
    let codes = (0..300).map(|i| (i * 37 % 101 - 50) as i8).collect();
    let wide = Fingerprint::from_codes(SpaceId::new("fuzz", 300), codes)?.compact(24)?;
    write("packet", "fingerprint", &[&300_u16.to_le_bytes()[..], &wide.to_bytes()].concat())?;
    let compact = Draft::delta(domain(0), wide, &[1.0, 2.0]).seal(&seal(Trailer::None))?;
    write("packet", "compact", compact.as_bytes())?;
    let retraction = Draft::retraction(domain(0), fingerprint(1)).seal(&seal(Trailer::SignatureAndKey))?;
    write("packet", "retraction", retraction.as_bytes())?;
    let evidence = Draft::evidence(domain(1), fingerprint(1), 3, vec![1; 15]);
    write("packet", "evidence", evidence.seal(&seal(Trailer::SignatureAndKey))?.as_bytes())?;

    let order = Order { incarnation: 1, sequence: 2 };
    write("opening", "right", &SECRET.opening(order, START, "node", "source")?.to_bytes())?;
    write("opening", "wrong", &SECRET.opening(order, START, "n", "")?.to_bytes())?;

    let statement = RotationStatement::new(&IDENTITIES[1], &IDENTITIES[2], network(), START).to_bytes();
    write("rotation", "statement", &statement)?;

    for kind in FrameKind::ALL {
        write("frame", &format!("{kind:?}").to_lowercase(), &[kind.code(), 1, 2, 3])?;
    }

    let x = [60.0, 3.0, 45.0, 9.0, 71.0, 2.0, 38.0, 5.0, 66.0, 8.0, 52.0, 1.0];
    let logistic = Schema::new(Family::Logistic, ["a", "b"], Scaling::SiteLocal)?;
    let logistic =
        Evidence::logistic(&logistic, &x, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.0])?.summary().encode(64)?;
    let gaussian = Schema::new(Family::Gaussian, ["a", "b"], Scaling::SiteLocal)?;
    let gaussian =
        Evidence::gaussian(&gaussian, &x, &[1.5, 0.25, 2.0, 0.5, 1.0, 0.0])?.summary().encode(64)?;
    for (kind, name, bytes) in [(0, "logistic", &logistic), (1, "gaussian", &gaussian)] {
        write("evidence", name, &[&[2][..], bytes].concat())?;
        let sample = [&[100, 200, 20][..], bytes].concat();
        write("synthesis", name, &[&[kind][..], &sample.repeat(4)].concat())?;
    }
    let sample = [&[100, 200, 20][..], raw.bytes()].concat();
    write("synthesis", "vectors", &[&[2][..], &sample.repeat(3)].concat())?;

    // Bounds; four frames of so many bytes for a link, a parity and an order; then parts of a sender, in order and with losses.
    let frame = |max_frame: u8, length: u8| {
        [&[max_frame, 0, 0, length, 1, 2, 3, 4, 5, 6, 7, 8][..], &vec![7; usize::from(length)]].concat()
    };
    let bounds: &[u8] = &[0, 0xff, 4, 60];
    let frames = [bounds, &frame(0, 30), &frame(0, 118), &frame(27, 250), &frame(60, 200)].concat();
    let parts = |which, indices: &[u8]| -> Vec<u8> {
        indices.iter().flat_map(|&index| [7, which, which, index]).collect()
    };
    let orderly: Vec<u8> = (0..4).flat_map(|which| parts(which, &[0, 1, 2, 3, 4, 5, 6, 7, 8])).collect();
    let again = [parts(1, &[0, 2, 3, 5, 6]), vec![1, 0, 0, 16, 0, 0], parts(1, &[1, 3, 0, 1])].concat();
    let forged = [&parts(1, &[0])[..], &[2, 1, 1, 1, 9, 0, 1], &parts(1, &[2, 3, 4, 5, 0, 1])].concat();
    for (name, steps) in [("orderly", orderly), ("again", again), ("forged", forged)] {
        write("reassembler", name, &[&frames[..], &steps].concat())?;
    }

    // In how large pieces, less one, it arrives; where its sender is; frames after their lengths.
    let stream = |piece: u8, address: &[u8], frames: &[&[u8]]| {
        let frames = frames.iter().map(|frame| [&(frame.len() as u16).to_be_bytes()[..], frame].concat());
        [&[piece, address.len() as u8][..], address, &frames.collect::<Vec<_>>().concat()].concat()
    };
    let address = b"/ip4/192.0.2.1/tcp/4001";
    let (small, packet, large): (&[u8], &[u8], &[u8]) = (&[1], &[2; 512], &[3; 2100]);
    write("stream", "whole", &stream(255, address, &[small, packet, large]))?;
    write("stream", "cut", &stream(0, address, &[small, packet, small]))?;
    write("stream", "empty-frame", &stream(9, address, &[small, &[]]))?;
    write("stream", "too-long", &[&stream(9, address, &[small])[..], &[0x40, 0x01, 7]].concat())?;
    write("stream", "no-address", &stream(9, b"", &[small]))?;
    write("stream", "no-text", &stream(9, &[0xff; 3], &[small]))?;

    // Steps of the router's target: the numbers are those of the match in `World::step`.
    let committed: &[u8] = &[13, 0, 0];
    let found: &[u8] = &[13, 1, 33, 1, 2, 3, 4, 5];
    let emitted: &[u8] = &[&[11, 0, 5], committed, found, found].concat();
    let wait: &[u8] = &[8, 0, 0, 4, 0];
    let packet = |who: u8, what: u8, offset: u16| {
        let [low, high] = offset.to_le_bytes();
        [who, what, 0, 7, 0, 10, 0, 3, low, high]
    };
    let taken = |who, what, offset| [&[1, who], &packet(who, what, offset)[..], &[0]].concat();
    let now = 32_700;
    let many: &[u8] = &[taken(1, 0, now), taken(2, 1, now), taken(3, 3, now + 300), taken(1, 0, 1)].concat();
    let newer: &[u8] = &packet(0, 16, now);
    let query: &[u8] = &[5, 0, 0, 3, 1, 2, 3, 4, 5, 6, 7, 8, 8, 1, 0, 0, 0, 0];
    let steps: [(&str, u8, &[&[u8]]); 5] = [
        ("emits", 0, &[emitted, &[3, 0, 0, 0], wait]),
        ("outdated", 0, &[emitted, &[3, 1, 0, 1], newer, wait]),
        ("takes", 1, &[many, committed, &[6, 0, 0, 0, 0, 0, 1, 4], committed, &[15]]),
        ("pulls", 2, &[&[12, 5, 0, 3], found, &[4, 0, 0, 1], &packet(1, 0, now), &[1]]),
        ("asked", 0, &[&taken(1, 0, now), committed, query, &[9, 9, 7, 1, 0, 9, 0, 4]]),
    ];
    // How the file is damaged: of which base, then kind, place and what for each place.
    let bases = |base: u8, how: u8| base << 2 | how;
    write("store", "foreign", b"\0not a store")?;
    write("store", "whole", &[bases(8, 2)])?;
    write("store", "killed", &[bases(9, 2)])?;
    write("store", "head", &[bases(4, 1), b'r', b'e', b'd', b'b'])?;
    write("store", "slot", &[bases(9, 2), 0, 9, 0, 0, 0, 1, 0])?;
    write("store", "page", &[bases(7, 2), 2, 0, 0x25, 0, 0, 0x40, 0])?;
    write("store", "zeros", &[bases(6, 2), 4, 0, 0x10, 0, 0, 0, 0x10])?;
    write("store", "moved", &[bases(5, 2), 5, 0, 0x20, 0, 0, 3, 0])?;
    write("store", "cut", &[bases(8, 2), 6, 0, 0x60, 0, 0, 0, 0])?;
    write("store", "longer", &[bases(3, 2), 7, 0, 0, 0, 0, 0, 0x10])?;

    for (name, config, steps) in steps {
        write("router", name, &[&[config][..], &steps.concat()].concat())?;
    }
    Ok(())
}
