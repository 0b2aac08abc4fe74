//! The packet as others see it: its bytes, its limits, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use proptest::prelude::*;
use qis_fingerprint::{Fingerprint, FingerprintError, SpaceId};
use qis_packet::{
    Confidence, DEFAULT_FINGERPRINT_BYTES, DecodeError, DomainTag, Draft, Epoch, Extensions, Freshness,
    Identity, Lifetime, Lineage, MAX_FINGERPRINT_BYTES, MAX_PACKET_BYTES, NetworkId, OpeningError, Order,
    OutcomePacket, PacketError, PacketId, Payload, Seal, SiteSecret, Support, Timestamp, Trailer,
    VerifyError,
};

const TIME: u64 = 1_000_000;
const TRAILERS: [Trailer; 3] = [Trailer::None, Trailer::Signature, Trailer::SignatureAndKey];

fn identity() -> Identity {
    Identity::from_seed([7; 32])
}

fn secret() -> SiteSecret {
    SiteSecret::new(Epoch::from_index(0), [1; 32])
}

fn network() -> NetworkId {
    NetworkId::new("test")
}

fn fingerprint(dims: usize) -> Fingerprint {
    let codes = (0..dims).map(|i| i8::try_from(i % 100).unwrap() + 1).collect();
    Fingerprint::from_codes(SpaceId::new("test", 8), codes).unwrap()
}

fn domain() -> DomainTag {
    "cardiology/heart".parse().unwrap()
}

fn seal_with(draft: Draft, trailer: Trailer, order: Order, time: u64) -> Result<OutcomePacket, PacketError> {
    let identity = identity();
    draft.seal(&Seal {
        identity: &identity,
        network: network(),
        secret: &secret(),
        node: "clinic",
        source: "ward-3",
        order,
        time: Timestamp::from_unix_seconds(time),
        trailer,
    })
}

fn seal(draft: Draft) -> Result<OutcomePacket, PacketError> {
    let order = Order { incarnation: 217_000_000, sequence: 1 };
    seal_with(draft, Trailer::SignatureAndKey, order, TIME)
}

fn delta(values: &[f32]) -> Draft {
    Draft::delta(domain(), fingerprint(8), values).confidence(Confidence::from_f64(0.8).unwrap())
}

#[test]
fn a_packet_comes_back_as_it_was() {
    let mut extensions = Extensions::default();
    extensions.push(7, b"later").unwrap();
    let lineage = Lineage::of(2, &[PacketId::from_bytes([1; 32])]).unwrap();
    let packet = seal(
        delta(&[1.0, -2.0])
            .support(Support::of(40))
            .lifetime(Lifetime::from_hours(5).unwrap())
            .derived_from(lineage)
            .extensions(extensions),
    )
    .unwrap();
    let read = OutcomePacket::decode(packet.as_bytes()).unwrap();
    assert_eq!(read, packet);
    assert_eq!(read.author(), identity().author());
    assert_eq!(read.order(), Order { incarnation: 217_000_000, sequence: 1 });
    assert_eq!(read.domain(), domain());
    assert_eq!(read.confidence().byte(), 204);
    assert_eq!(read.support(), Support::of(40));
    assert_eq!(read.lifetime().hours(), 5);
    assert_eq!(read.lineage(), Some(&lineage));
    assert_eq!(read.extensions().iter().next(), Some((7, &b"later"[..])));
    assert_eq!(read.delta().unwrap().unwrap().to_vec(), [1.0, -2.0]);
    assert_eq!(read.freshness(Timestamp::from_unix_seconds(TIME)), Freshness::Fresh);
    let verified = read.verify(network(), None).unwrap();
    assert_eq!(*verified.key(), identity().public_key());
}

#[test]
fn the_bytes_of_a_packet_are_these() {
    let packet = seal_with(
        Draft::delta("a/b".parse().unwrap(), fingerprint(2), &[1.0]).confidence(Confidence::FULL),
        Trailer::Signature,
        Order { incarnation: 300, sequence: 1 },
        TIME,
    )
    .unwrap();
    let hex: String = packet.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
}

/// The test vector of `docs/wire-format.md`.
const GOLDEN: &str = concat!(
    "0111fe812c12f3ab4ce6ac5db69ac352f906ac0201c0843dd00503612f62ff00",
    "7b17ef41a01cc2ec5ba7dd04f79f317bb1ac83b1e3df88a0f41addd15b39151c",
    "1044fab70202010201040000803f",
    "4e48fba980983686872b4cbed0e0ee8fe5203055f0e577fa85c801aa911cac11",
    "4c84edd91668da8a7ed168db0242492271b2e0e9eb3e02e7008e27369ad97b00",
);

#[test]
fn trailers_are_none_signature_or_both() {
    for trailer in TRAILERS {
        let packet = seal_with(delta(&[1.0]), trailer, Order::default(), 0).unwrap();
        let read = OutcomePacket::decode(packet.as_bytes()).unwrap();
        assert_eq!(read.trailer(), trailer);
        let key = identity().public_key();
        let author = identity().author();
        let with_key = read.clone().verify(network(), Some(&key)).map(|_| ());
        let without = read.verify(network(), None).map(|_| ());
        match trailer {
            Trailer::None => {
                assert_eq!((with_key, without), (Err(VerifyError::Unsigned), Err(VerifyError::Unsigned)));
            }
            Trailer::Signature => {
                assert_eq!((with_key, without), (Ok(()), Err(VerifyError::UnknownKey { author })));
            }
            Trailer::SignatureAndKey => assert_eq!((with_key, without), (Ok(()), Ok(()))),
        }
    }
}

#[test]
fn a_packet_that_is_verified_from_the_start_is_signed_and_verifies() {
    for trailer in TRAILERS {
        let identity = identity();
        let seal = Seal {
            identity: &identity,
            network: network(),
            secret: &secret(),
            node: "clinic",
            source: "ward-3",
            order: Order::default(),
            time: Timestamp::from_unix_seconds(TIME),
            trailer,
        };
        let verified = delta(&[1.0]).seal_verified(&seal).unwrap();
        let again = verified.clone().into_packet().verify(network(), Some(&identity.public_key()));
        assert_eq!(again, Ok(verified));
    }
}

#[test]
fn another_key_or_network_verifies_nothing() {
    let packet = seal(delta(&[1.0])).unwrap();
    let stranger = Identity::from_seed([9; 32]).public_key();
    let wrong = packet.clone().verify(network(), Some(&stranger)).unwrap_err();
    assert!(matches!(wrong, VerifyError::WrongKey { .. }), "{wrong}");
    assert_eq!(packet.verify(NetworkId::new("other"), None).unwrap_err(), VerifyError::Signature);
}

#[test]
fn no_flipped_bit_is_accepted() {
    let packet = seal(delta(&[1.0, 2.0, 3.0])).unwrap();
    for bit in 0..packet.as_bytes().len() * 8 {
        let mut bytes = packet.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let accepted = OutcomePacket::decode(&bytes).is_ok_and(|read| read.verify(network(), None).is_ok());
        assert!(!accepted, "bit {bit}");
    }
}

#[test]
fn every_truncation_and_addition_is_refused() {
    let packet = seal(delta(&[1.0, 2.0, 3.0])).unwrap();
    let bytes = packet.as_bytes();
    for len in 0..bytes.len() {
        OutcomePacket::decode(&bytes[..len]).unwrap_err();
    }
    let longer = [bytes, &[0]].concat();
    assert_eq!(OutcomePacket::decode(&longer), Err(DecodeError::Trailer { expected: 96, actual: 97 }));
    assert_eq!(OutcomePacket::decode(&[1; 513]), Err(DecodeError::TooLarge { len: 513 }));
    let mut other_version = bytes.to_vec();
    other_version[0] = 2;
    assert_eq!(OutcomePacket::decode(&other_version), Err(DecodeError::UnknownVersion { version: 2 }));
}

#[test]
fn a_longer_varint_for_the_same_number_is_refused() {
    let packet = seal_with(delta(&[1.0]), Trailer::None, Order::default(), 1).unwrap();
    let mut bytes = packet.as_bytes().to_vec();
    // The incarnation, a zero, stands after version, flags and author.
    assert_eq!(bytes[18], 0);
    bytes.splice(18..19, [0x80, 0x00]);
    assert_eq!(OutcomePacket::decode(&bytes), Err(DecodeError::NotCanonical));
}

#[test]
fn what_does_not_fit_is_refused_with_the_sizes() {
    let overhead = seal(delta(&[1.0])).unwrap().as_bytes().len() - 4;
    let most = (MAX_PACKET_BYTES - overhead - 1) / 4;
    for (dims, expected) in [(most, qis_codec::Mode::Raw), (most + 1, qis_codec::Mode::Trellis)] {
        let packet = seal(delta(&vec![1.0; dims])).unwrap();
        assert!(packet.as_bytes().len() <= MAX_PACKET_BYTES);
        assert!(matches!(packet.payload(), Payload::Delta { mode, .. } if *mode == expected));
    }

    let schema = DomainTag::with_schema("heart", [1; 4]).unwrap();
    let evidence = |len| seal(Draft::evidence(schema, fingerprint(8), 3, vec![1; len]));
    assert!(evidence(200).is_ok());
    assert!(matches!(evidence(400), Err(PacketError::TooLarge { needed, limit: 512, .. }) if needed > 512));
}

#[test]
fn bad_content_is_refused_with_its_reason() {
    use qis_codec::EncodeError;
    assert_eq!(seal(delta(&[])), Err(PacketError::Delta(EncodeError::Dims { dims: 0 })));
    assert_eq!(seal(delta(&[f32::NAN])), Err(PacketError::Delta(EncodeError::NotFinite { index: 0 })));
    let many = vec![1.0; 70_000];
    assert_eq!(seal(delta(&many)), Err(PacketError::Delta(EncodeError::Dims { dims: 70_000 })));
    let squeezed = Draft::delta(domain(), fingerprint(65), &[1.0]).fingerprint_bytes(8);
    let budget = FingerprintError::Budget { needed: 9, max_bytes: 8 };
    assert_eq!(seal(squeezed), Err(PacketError::Fingerprint(budget)));
    let without_schema = Draft::evidence(domain(), fingerprint(8), 3, vec![1]);
    assert_eq!(seal(without_schema), Err(PacketError::NoSchema { domain: domain().to_string() }));
    let schema = DomainTag::with_schema("heart", [1; 4]).unwrap();
    let empty = Draft::evidence(schema, fingerprint(8), 3, vec![]);
    assert_eq!(seal(empty), Err(PacketError::Evidence { dims: 3, bytes: 0 }));
    let lineage = Lineage::of(1, &[PacketId::from_bytes([1; 32])]).unwrap();
    let derived = Draft::retraction(domain(), fingerprint(8)).derived_from(lineage);
    assert_eq!(seal(derived), Err(PacketError::DerivedRetraction));
}

#[test]
fn a_delta_that_is_too_long_is_fitted_to_the_bytes_left() {
    let values: Vec<f32> = (0..512_u16).map(|i| f32::from(i * 37 % 101) - 50.0).collect();
    let at = |sequence| {
        let order = Order { incarnation: 5, sequence };
        seal_with(delta(&values), Trailer::SignatureAndKey, order, TIME).unwrap()
    };
    let error = |packet: &OutcomePacket| {
        let decoded = packet.delta().unwrap().unwrap().to_vec();
        let squares = decoded.iter().zip(&values).map(|(y, &x)| (y - f64::from(x)).powi(2));
        squares.sum::<f64>() / values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>()
    };
    let packet = at(1);
    assert!((MAX_PACKET_BYTES - 1..=MAX_PACKET_BYTES).contains(&packet.as_bytes().len()));
    let read = OutcomePacket::decode(packet.as_bytes()).unwrap();
    assert!(matches!(read.payload(), Payload::Delta { mode: qis_codec::Mode::Trellis, dims: 512, .. }));
    assert!(error(&read) < 0.02, "{}", error(&read));
    assert_ne!(at(2).payload(), packet.payload());

    // A renewal has another place in the order, so another dither, and still says the same.
    let order = Order { incarnation: 5, sequence: 9 };
    let renewed = seal_with(Draft::renewal(&read), Trailer::SignatureAndKey, order, TIME + 1).unwrap();
    assert_ne!(renewed.payload(), packet.payload());
    assert!(error(&renewed) < 0.04, "{}", error(&renewed));
}

/// The bytes left for a 512-dimensional delta in a packet within a limit, if its fingerprint takes all of its own.
fn delta_bytes(limit: usize, fingerprint_bytes: usize, trailer: Trailer) -> Result<usize, PacketError> {
    let values: Vec<f32> = (0..512_u16).map(|i| f32::from(i * 37 % 101) - 50.0).collect();
    let draft = Draft::delta(domain(), fingerprint(384), &values);
    let draft = draft.encode_within(limit).fingerprint_bytes(fingerprint_bytes);
    // Of 2026: an incarnation of four bytes, a time of five, and a tag of 16.
    let order = Order { incarnation: 217_000_000, sequence: 1 };
    let secret = SiteSecret::new(Epoch::of(Timestamp::from_unix_seconds(1_790_000_000)), [1; 32]);
    let identity = identity();
    let packet = draft.seal(&Seal {
        identity: &identity,
        network: network(),
        secret: &secret,
        node: "",
        source: "",
        order,
        time: Timestamp::from_unix_seconds(1_790_000_000),
        trailer,
    })?;
    assert!(packet.as_bytes().len() <= limit);
    assert_eq!(OutcomePacket::decode(packet.as_bytes()).as_ref(), Ok(&packet));
    assert!(matches!(packet.payload(), Payload::Delta { mode: qis_codec::Mode::Trellis, dims: 512, .. }));
    packet.delta().unwrap().unwrap();
    let (used, print) = (packet.payload().bytes().len(), packet.fingerprint().byte_len());
    let left = limit - (packet.as_bytes().len() - used) - (fingerprint_bytes - print);
    // The codec leaves some bytes where one step is too fine and the next much too coarse.
    assert!(used <= left + 2 && used * 8 >= left * 7, "{used} of {left}");
    Ok(left)
}

#[test]
fn a_small_link_leaves_a_delta_so_many_bytes() {
    // The table of `docs/wire-format.md`, by limit, bytes of the fingerprint and trailer.
    for (limit, print, trailer, left) in [
        (512, 64, Trailer::None, 356),
        (512, 64, Trailer::Signature, 292),
        (512, 64, Trailer::SignatureAndKey, 260),
        (340, 64, Trailer::None, 184),
        (340, 64, Trailer::Signature, 121),
        (340, 64, Trailer::SignatureAndKey, 89),
        (340, 16, Trailer::None, 232),
        (340, 16, Trailer::Signature, 168),
        (340, 16, Trailer::SignatureAndKey, 136),
        (222, 64, Trailer::None, 67),
        (222, 16, Trailer::None, 115),
        (222, 16, Trailer::Signature, 51),
        (222, 16, Trailer::SignatureAndKey, 19),
    ] {
        assert_eq!(delta_bytes(limit, print, trailer), Ok(left), "{limit} {print} {trailer:?}");
    }
    let error = delta_bytes(222, 64, Trailer::Signature).unwrap_err();
    assert!(matches!(error, PacketError::TooLarge { needed: 223.., limit: 222, .. }), "{error}");
}

#[test]
fn a_packet_that_fits_exactly_fits() {
    let values = vec![1.5; 40];
    let plain = || delta(&values);
    let whole = seal(plain()).unwrap();
    let len = whole.as_bytes().len();
    assert!(matches!(whole.payload(), Payload::Delta { mode: qis_codec::Mode::Raw, .. }));
    assert_eq!(seal(plain().encode_within(len)).as_ref(), Ok(&whole));
    assert_eq!(seal(plain().encode_within(usize::MAX)).as_ref(), Ok(&whole));
    let smaller = seal(plain().encode_within(len - 1).encode_within(len)).unwrap();
    assert!(smaller.as_bytes().len() < len, "the smallest limit counts");
    assert!(matches!(smaller.payload(), Payload::Delta { mode: qis_codec::Mode::Trellis, .. }));

    let schema = DomainTag::with_schema("heart", [1; 4]).unwrap();
    let evidence = || Draft::evidence(schema, fingerprint(8), 3, vec![1; 100]);
    let len = seal(evidence()).unwrap().as_bytes().len();
    assert!(seal(evidence().encode_within(len)).is_ok());
    let error = seal(evidence().encode_within(len - 1)).unwrap_err();
    assert_eq!(error, PacketError::TooLarge { needed: len, limit: len - 1, overhead: len - 100 });
}

#[test]
fn an_author_sees_the_fingerprint_that_its_receivers_see() {
    for (dims, bytes) in [(64, 64), (65, 64), (384, 64), (4096, 192), (100, 192), (384, 16)] {
        let exact = fingerprint(dims);
        let draft = Draft::delta(domain(), exact.clone(), &[1.0]).fingerprint_bytes(bytes);
        let packet = seal(draft).unwrap();
        let read = OutcomePacket::decode(packet.as_bytes()).unwrap();
        assert_eq!(packet.fingerprint(), read.fingerprint());
        assert_eq!(packet.fingerprint(), &exact.compact(bytes).unwrap());
        assert_eq!(packet.fingerprint() == &exact, dims <= bytes);

        // Said again, or withdrawn, it is the same to the byte.
        let renewed = seal(Draft::renewal(&read)).unwrap();
        assert_eq!(renewed.fingerprint(), packet.fingerprint());
        if packet.fingerprint().is_compact() {
            let withdrawn = seal(Draft::retraction(domain(), read.fingerprint().clone())).unwrap();
            assert_eq!(withdrawn.fingerprint(), packet.fingerprint());
        }
    }
    let unless_said = seal(Draft::delta(domain(), fingerprint(384), &[1.0])).unwrap();
    assert!(unless_said.fingerprint().byte_len() <= DEFAULT_FINGERPRINT_BYTES);
    let most = seal(Draft::delta(domain(), fingerprint(384), &[1.0]).fingerprint_bytes(999)).unwrap();
    assert!(most.fingerprint().byte_len() <= MAX_FINGERPRINT_BYTES);
}

#[test]
fn bytes_of_no_fingerprint_are_refused() {
    let draft = Draft::delta("a/b".parse().unwrap(), fingerprint(300), &[1.0]);
    let packet = seal_with(draft, Trailer::None, Order::default(), 1).unwrap();
    let sent = packet.fingerprint().to_bytes();
    let start = packet.as_bytes().windows(sent.len()).position(|bytes| bytes == sent).unwrap();
    // Before it stand its dims, 300 as a varint, and its length.
    assert_eq!(packet.as_bytes()[start - 3..start - 1], [0xac, 0x02]);
    let with = |dims: [u8; 2], fingerprint: &[u8]| {
        let mut bytes = packet.as_bytes().to_vec();
        let len = fingerprint.len();
        let len = if len < 128 { vec![len as u8] } else { vec![len as u8 | 0x80, (len >> 7) as u8] };
        bytes.splice(start - 3..start + sent.len(), [&dims[..], &len, fingerprint].concat());
        OutcomePacket::decode(&bytes).map(|read| read.fingerprint().clone())
    };
    let refused = |error| Err(DecodeError::Fingerprint(error));
    assert_eq!(with([0xac, 0x02], &sent).as_ref(), Ok(packet.fingerprint()));
    assert_eq!(with([0x81, 0x20], &sent), refused(FingerprintError::Dims { dims: 4097 }));
    assert_eq!(with([0xac, 0x02], &[]), refused(FingerprintError::Length { dims: 300, len: 0 }));
    assert_eq!(with([0xac, 0x02], &[0xff; 64]), refused(FingerprintError::Malformed { dims: 300 }));
    assert_eq!(with([0xac, 0x02], &[1; 193]), Err(DecodeError::Range { field: "fingerprint" }));
    assert_eq!(with([0x80, 0x01], &[1; 129]), refused(FingerprintError::Length { dims: 128, len: 129 }));
    assert_eq!(with([0x80, 0x01], &[1; 128]).unwrap().dims(), 128);
    assert_eq!(with([0x80, 0x01], &[0; 128]), refused(FingerprintError::Zero));
}

#[test]
fn a_retraction_says_nothing_but_that() {
    let packet = seal(Draft::retraction(domain(), fingerprint(8)).confidence(Confidence::FULL)).unwrap();
    let read = OutcomePacket::decode(packet.as_bytes()).unwrap();
    assert_eq!(read.payload(), &Payload::Retraction);
    assert_eq!(read.confidence(), Confidence::NONE);
}

#[test]
fn an_opening_opens_its_packet_and_no_other() {
    let secret = secret();
    let packet = seal(delta(&[1.0])).unwrap();
    let open = |order, node, source| secret.opening(order, packet.time(), node, source).unwrap();
    let opening = open(packet.order(), "clinic", "ward-3");
    assert_eq!(opening.verify(&packet, network()), Ok(()));

    let mismatch = Err(OpeningError::Mismatch);
    assert_eq!(opening.verify(&packet, NetworkId::new("other")), mismatch);
    assert_eq!(open(packet.order(), "clinic", "ward-4").verify(&packet, network()), mismatch);
    assert_eq!(open(packet.order(), "clinicward", "-3").verify(&packet, network()), mismatch);
    let next = Order { sequence: 2, ..packet.order() };
    assert_eq!(open(next, "clinic", "ward-3").verify(&packet, network()), mismatch);
    // The commitment binds the payload: put under another one, it does not open.
    let bytes: Vec<u8> = packet.as_bytes().to_vec();
    let at = bytes.windows(4).position(|four| four == 1.0_f32.to_le_bytes()).unwrap();
    let changed = [&bytes[..at], &1.5_f32.to_le_bytes(), &bytes[at + 4..]].concat();
    assert_eq!(opening.verify(&OutcomePacket::decode(&changed).unwrap(), network()), mismatch);
}

/// Any content at all, most of it hopeless.
fn any_draft() -> impl Strategy<Value = (Draft, Trailer, Order, u64)> {
    let content = prop_oneof![
        proptest::collection::vec(any::<f32>(), 0..200).prop_map(Ok),
        proptest::collection::vec(any::<u8>(), 0..600).prop_map(Err),
        Just(Ok(vec![])),
    ];
    let order =
        (any::<u32>(), any::<u32>()).prop_map(|(incarnation, sequence)| Order { incarnation, sequence });
    let tag = "[a-z0-9._/@-]{1,32}|[a-z]{1,20}@[0-9a-f]{8}";
    let extensions =
        proptest::collection::vec((any::<u8>(), proptest::collection::vec(any::<u8>(), 0..255)), 0..3);
    let prints = prop_oneof![1_usize..90, 90_usize..600];
    (content, tag, prints, any::<(u16, u8, u64, u16, u64)>(), extensions, order, 0_usize..3).prop_map(
        |(content, tag, prints, (dims, confidence, support, hours, time), fields, order, trailer)| {
            let domain = tag.parse().unwrap();
            let mut extensions = Extensions::default();
            for (id, value) in fields {
                let _ = extensions.push(id, &value);
            }
            let draft = match content {
                Ok(values) if values.is_empty() => Draft::retraction(domain, fingerprint(prints)),
                Ok(values) => Draft::delta(domain, fingerprint(prints), &values),
                Err(bytes) => Draft::evidence(domain, fingerprint(prints), dims, bytes),
            };
            let lifetime = Lifetime::from_hours(hours).unwrap_or_default();
            let draft = draft
                .confidence(Confidence::from_byte(confidence))
                .support(Support::of(support))
                .lifetime(lifetime)
                .extensions(extensions);
            // The site's secret starts in 1970: times of 2,000 weeks take time to ratchet to.
            (draft, TRAILERS[trailer], order, time % (1 << 25))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_packet_of_any_content_exceeds_the_limit((draft, trailer, order, time) in any_draft()) {
        if let Ok(packet) = seal_with(draft, trailer, order, time) {
            prop_assert!(packet.as_bytes().len() <= MAX_PACKET_BYTES);
            let read = OutcomePacket::decode(packet.as_bytes());
            prop_assert_eq!(read.as_ref(), Ok(&packet));
            let verified = read.unwrap().verify(network(), Some(&identity().public_key()));
            prop_assert_eq!(verified.is_ok(), trailer != Trailer::None);
        }
    }

    #[test]
    fn no_packet_exceeds_the_limit_of_its_draft(
        (draft, trailer, order, time) in any_draft(), limit in 100_usize..600, prints in 9_usize..250,
    ) {
        let draft = draft.encode_within(limit).fingerprint_bytes(prints);
        match seal_with(draft, trailer, order, time) {
            Ok(packet) => {
                prop_assert!(packet.as_bytes().len() <= limit.min(MAX_PACKET_BYTES));
                prop_assert!(packet.fingerprint().byte_len() <= prints.min(MAX_FINGERPRINT_BYTES));
                let read = OutcomePacket::decode(packet.as_bytes());
                prop_assert_eq!(read.as_ref(), Ok(&packet));
            }
            Err(PacketError::TooLarge { needed, limit: stated, overhead }) => {
                prop_assert_eq!(stated, limit.min(MAX_PACKET_BYTES));
                prop_assert!(needed > stated && overhead <= needed);
            }
            Err(_) => {}
        }
    }

    #[test]
    fn any_bytes_are_a_packet_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        if let Ok(packet) = OutcomePacket::decode(&bytes) {
            prop_assert_eq!(packet.as_bytes(), &bytes[..]);
        }
    }

    #[test]
    fn a_damaged_packet_has_its_own_bytes_or_is_refused(
        (draft, trailer, order, time) in any_draft(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        if let Ok(packet) = seal_with(draft, trailer, order, time) {
            let mut bytes = packet.as_bytes().to_vec();
            for (index, byte) in damage {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            if let Ok(read) = OutcomePacket::decode(&bytes) {
                prop_assert_eq!(read.as_bytes(), &bytes[..]);
                let _ = read.delta();
                let same = bytes == packet.as_bytes();
                let verified = read.verify(network(), Some(&identity().public_key())).is_ok();
                prop_assert!(same || !verified);
            }
        }
    }
}
