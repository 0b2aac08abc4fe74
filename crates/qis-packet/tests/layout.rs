//! The layout of packets agrees with the decoder, and points at the byte that is wrong.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use proptest::prelude::*;
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{
    Confidence, DomainTag, Draft, Epoch, Extensions, Field, Identity, Layout, Lineage, NetworkId, Order,
    OutcomePacket, PacketId, Seal, SiteSecret, Timestamp, Trailer,
};

fn seal(draft: Draft, trailer: Trailer) -> Vec<u8> {
    let identity = Identity::from_seed([7; 32]);
    let sealed = draft.seal(&Seal {
        identity: &identity,
        network: NetworkId::new("test"),
        secret: &SiteSecret::new(Epoch::from_index(0), [1; 32]),
        node: "clinic",
        source: "ward-3",
        order: Order { incarnation: 300, sequence: 1 },
        time: Timestamp::from_unix_seconds(1_000_000),
        trailer,
    });
    sealed.unwrap().as_bytes().to_vec()
}

fn fingerprint() -> Fingerprint {
    Fingerprint::from_codes(SpaceId::new("test", 8), vec![1, 2]).unwrap()
}

/// The test vector of `docs/wire-format.md`.
fn plain() -> Vec<u8> {
    let draft = Draft::delta("a/b".parse().unwrap(), fingerprint(), &[1.0]).confidence(Confidence::FULL);
    seal(draft, Trailer::Signature)
}

/// Every field there is: the domain at 27, generation at 64, space at 81, fingerprint at 87, dims at 89, extensions at 95.
fn full() -> Vec<u8> {
    let mut extensions = Extensions::default();
    extensions.push(1, b"a").unwrap();
    extensions.push(7, b"later").unwrap();
    let lineage = Lineage::of(2, &[PacketId::from_bytes([1; 32])]).unwrap();
    let draft = Draft::delta("a/b".parse().unwrap(), fingerprint(), &[1.0]);
    seal(draft.derived_from(lineage).extensions(extensions), Trailer::SignatureAndKey)
}

fn retraction() -> Vec<u8> {
    seal(Draft::retraction("a/b".parse().unwrap(), fingerprint()), Trailer::None)
}

fn evidence() -> Vec<u8> {
    let domain = DomainTag::with_schema("a", [1; 4]).unwrap();
    seal(Draft::evidence(domain, fingerprint(), 3, vec![5; 9]), Trailer::Signature)
}

fn packets() -> [Vec<u8>; 4] {
    [plain(), full(), retraction(), evidence()]
}

/// The layout and the decoder agree, and the fault is inside the bytes or just past them.
fn check(bytes: &[u8]) {
    let layout = Layout::of(bytes);
    let decoded = OutcomePacket::decode(bytes);
    assert_eq!(layout.fault().is_none(), decoded.is_ok(), "{bytes:02x?}: {decoded:?}, {:?}", layout.fault());
    let mut end = 0;
    for span in layout.spans() {
        assert_eq!(span.offset, end);
        end += span.bytes.len();
        assert_eq!(span.bytes, &bytes[span.offset..end]);
    }
    match layout.fault() {
        None => assert_eq!(end, bytes.len()),
        Some(fault) => assert!(fault.offset <= bytes.len(), "{fault}"),
    }
}

#[test]
fn the_fields_of_a_packet_cover_its_bytes() {
    for packet in packets() {
        assert_eq!(Layout::of(&packet).fault(), None);
        check(&packet);
    }
    let full = full();
    let names: Vec<&str> = Layout::of(&full).spans().iter().map(|span| span.field.name()).collect();
    assert_eq!(names.len(), 25);
    assert_eq!(names.first(), Some(&"version"));
    assert_eq!(names.last(), Some(&"public key"));
}

#[test]
fn every_truncation_is_located_inside_or_just_past_the_end() {
    for packet in packets() {
        for len in 0..packet.len() {
            assert!(Layout::of(&packet[..len]).fault().is_some(), "{len}");
            check(&packet[..len]);
        }
    }
}

#[test]
fn every_value_of_every_byte_is_judged_like_the_decoder_does() {
    for packet in packets() {
        for index in 0..packet.len() {
            let mut bytes = packet.clone();
            for value in 0..=255 {
                bytes[index] = value;
                check(&bytes);
            }
        }
    }
}

/// Replaces the bytes at `at` and gives the fault as text.
fn spliced(packet: &[u8], at: std::ops::Range<usize>, by: &[u8]) -> String {
    let bytes = [&packet[..at.start], by, &packet[at.end..]].concat();
    check(&bytes);
    Layout::of(&bytes).fault().map(ToString::to_string).unwrap_or_default()
}

#[test]
fn each_fault_is_located() {
    let (plain, full) = (plain(), full());
    let cases: [(String, &str); 25] = [
        (spliced(&plain, 0..142, &[]), "byte 0, version: the bytes end here, expected 1 more"),
        (spliced(&plain, 0..1, &[2]), "byte 0, version: expected version 1, found 2 (0x2)"),
        (
            spliced(&plain, 1..2, &[0x12]),
            "byte 1, flags: expected the flag of the signature beside that of the key, found 18 (0x12)",
        ),
        (spliced(&plain, 1..2, &[0x31]), "byte 1, flags: expected a mode of 0, 1 or 2, found 3 (0x3)"),
        (spliced(&plain, 10..142, &[]), "byte 10, author: the bytes end here, expected 8 more"),
        (
            spliced(&plain, 18..20, &[0xac, 0x82, 0]),
            "byte 20, incarnation: expected the shortest form of 300, this byte adds nothing to it",
        ),
        (
            spliced(&plain, 20..21, &[0xff, 0xff, 0xff, 0xff, 0x10]),
            "byte 24, sequence: expected a number of at most 4294967295",
        ),
        (spliced(&plain, 24..26, &[0]), "byte 24, lifetime: expected 1 to 2160 hours, found 0 (0x0)"),
        (spliced(&plain, 26..27, &[0]), "byte 26, domain length: expected 1 to 32 bytes, found 0 (0x0)"),
        (
            spliced(&plain, 29..30, b"B"),
            "byte 29, domain: expected one of a-z 0-9 . _ / @ -, found 66 (0x42)",
        ),
        (
            spliced(&plain, 1..2, &[0x05]),
            "byte 27, domain: expected a tag that ends in @ and 8 digits of 0-9 a-f, since the packet is evidence",
        ),
        (spliced(&plain, 1..2, &[0x09]), "byte 30, confidence: expected 0 in a retraction, found 255 (0xff)"),
        (
            spliced(&plain, 68..69, &[0]),
            "byte 68, fingerprint dims: expected 1 to 4096 dimensions, found 0 (0x0)",
        ),
        (
            spliced(&plain, 68..69, &[65]),
            "byte 70, fingerprint: the bytes expand to no fingerprint of 65 dimensions",
        ),
        (
            spliced(&plain, 69..70, &[1]),
            "byte 70, fingerprint: the bytes expand to no fingerprint of 2 dimensions",
        ),
        (spliced(&plain, 71..72, &[0x80]), "byte 71, fingerprint: code 1 is -128; codes are -127 to 127"),
        (
            spliced(&plain, 69..70, &[3]),
            "byte 69, fingerprint length: expected 1 to 192 bytes, and no more than dimensions, found 3 (0x3)",
        ),
        (spliced(&plain, 72..73, &[0x81, 0x20]), "byte 72, dims: expected 1 to 4096, found 4097 (0x1001)"),
        (
            spliced(&plain, 73..74, &[3]),
            "byte 73, payload length: expected 4 bytes for each of the dims, found 3 (0x3)",
        ),
        (spliced(&plain, 76..142, &[]), "byte 73, payload length: the length is 4, bytes left: 2"),
        (spliced(&plain, 141..142, &[]), "byte 141, signature: the bytes end here, expected 1 more"),
        (spliced(&plain, 142..142, &[0; 3]), "byte 142, end: expected the end, surplus bytes: 3"),
        (
            spliced(&plain, 142..142, &[0; 371]),
            "byte 512, end: expected the end, a packet has at most 512 bytes and this has 513",
        ),
        (spliced(&full, 64..65, &[3]), "byte 64, generation: expected a generation of 1 or 2, found 3 (0x3)"),
        (
            spliced(&full, 99..100, &[2]),
            "byte 99, extensions: extension 2 must be understood and is not known here",
        ),
    ];
    for (fault, expected) in cases {
        assert_eq!(fault, expected);
    }
}

#[test]
fn faults_of_extensions_are_located_inside_them() {
    let full = full();
    let layout = Layout::of(&full);
    let extensions = layout.spans().iter().find(|span| span.field == Field::Extensions).unwrap();
    assert_eq!(extensions.bytes, b"\x01\x01a\x07\x05later");
    // An id too high for the one after it, lengths past the end, ids out of order or even, and what is left over.
    for (index, value, expected) in
        [(0, 9, 3), (1, 9, 1), (4, 6, 4), (3, 1, 3), (3, 8, 3), (4, 3, 9), (4, 4, 9)]
    {
        let mut bytes = full.clone();
        bytes[extensions.offset + index] = value;
        check(&bytes);
        let fault = *Layout::of(&bytes).fault().unwrap();
        assert_eq!((fault.field, fault.offset), (Field::Extensions, extensions.offset + expected), "{fault}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn the_layout_agrees_with_the_decoder_on_damaged_packets(
        which in 0_usize..4,
        cut in 0_usize..2,
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
        tail in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut bytes = packets()[which].clone();
        for (index, byte) in damage {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        if cut == 1 {
            bytes.truncate(keep.index(bytes.len()));
            bytes.extend(tail);
        }
        check(&bytes);
    }

    #[test]
    fn the_layout_agrees_with_the_decoder_on_any_bytes(
        mut bytes in proptest::collection::vec(any::<u8>(), 0..600), version: bool,
    ) {
        if let (Some(first), true) = (bytes.first_mut(), version) {
            *first = 1;
        }
        check(&bytes);
    }
}
