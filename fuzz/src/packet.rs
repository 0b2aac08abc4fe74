//! A packet that decodes has one form, within the limit; what it says can be read. The layout of any bytes agrees with the decoder. A fingerprint has
//! one form by itself too.

use crate::{IDENTITIES, START, network};
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{Draft, Layout, MAX_FINGERPRINT_BYTES, MAX_PACKET_BYTES, OutcomePacket, Payload};

/// The bytes as a fingerprint: how they are compacted is not for the fuzzer to find behind all other fields.
fn fingerprint(data: &[u8]) {
    let Some((dims, bytes)) = data.split_first_chunk() else { return };
    let (space, dims) = (SpaceId::from_bytes([0; 4]), usize::from(u16::from_le_bytes(*dims)));
    let Ok(print) = Fingerprint::from_bytes(space, dims, bytes) else { return };
    assert_eq!((print.to_bytes(), print.dims()), (bytes.to_vec(), dims));
    Fingerprint::from_codes(space, print.codes().to_vec()).expect("what expands has codes");
    let compact = print.compact(MAX_FINGERPRINT_BYTES).expect("there is room");
    assert!(compact.byte_len() <= MAX_FINGERPRINT_BYTES);
}

/// Runs one input; panics when what the module promises does not hold.
pub fn run(data: &[u8]) {
    fingerprint(data);
    let decoded = OutcomePacket::decode(data);
    let layout = Layout::of(data);
    let covered = layout.spans().iter().fold(0, |end, span| {
        assert_eq!((span.offset, Some(span.bytes)), (end, data.get(end..end + span.bytes.len())));
        end + span.bytes.len()
    });
    match layout.fault() {
        Some(fault) => {
            assert!(decoded.is_err() && fault.offset <= data.len() && covered <= data.len());
            let _ = fault.to_string();
        }
        None => assert!(decoded.is_ok() && covered == data.len()),
    }
    let Ok(packet) = decoded else { return };
    assert!(data.len() <= MAX_PACKET_BYTES);
    assert_eq!(packet.as_bytes(), data);
    assert!(packet.fingerprint().byte_len() <= MAX_FINGERPRINT_BYTES);
    let again = OutcomePacket::decode(packet.as_bytes()).expect("what decoded decodes");
    assert_eq!(again, packet);
    assert_eq!(again.id(), packet.id());

    // The content of a delta is checked when it is asked for, not before.
    let delta = packet.delta();
    assert_eq!(delta.is_some(), matches!(packet.payload(), Payload::Delta { .. }));
    if let Some(Ok(delta)) = delta {
        assert_eq!(delta.to_vec().len(), usize::from(packet.payload().dims()));
    }
    let _ = packet.freshness(START);
    let _ = packet.extensions().iter().count();
    let _ = format!("{packet:?} {} {}", packet.id(), packet.author());
    let _ = Draft::renewal(&packet);

    for identity in &*IDENTITIES {
        let _ = packet.clone().verify(network(), Some(&identity.public_key()));
    }
    if let Ok(verified) = packet.clone().verify(network(), None) {
        assert_eq!(verified.key().author(), packet.author());
        assert_eq!(verified.into_packet(), packet);
    }
}
