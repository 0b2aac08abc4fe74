//! What frames say of packets, as far as the invariants want to know; the wire format has the tables.

use qis_packet::FrameKind;

/// A packet on its way to a recipient.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketFrame<'a> {
    pub(super) nonce: u64,
    pub(super) bytes: &'a [u8],
}

/// A packet's frame, if it is one and whole.
pub(super) fn packet(frame: &[u8]) -> Option<PacketFrame<'_>> {
    let (&kind, rest) = frame.split_first()?;
    let (nonce, rest) = rest.split_first_chunk::<8>()?;
    let (&has_key, rest) = rest.split_first()?;
    let bytes = rest.get(if has_key == 1 { 32 } else { 0 }..)?;
    let nonce = u64::from_le_bytes(*nonce);
    (kind == FrameKind::Packet.code()).then_some(PacketFrame { nonce, bytes })
}

/// The nonce of an acknowledgement which says that a packet is held durably.
pub(super) fn acknowledgement(frame: &[u8]) -> Option<u64> {
    let (&kind, rest) = frame.split_first()?;
    let (nonce, rest) = rest.split_first_chunk::<8>()?;
    // Applied, or known before.
    let holds = matches!(rest.first(), Some(0 | 1));
    (kind == FrameKind::Acknowledgement.code() && holds).then(|| u64::from_le_bytes(*nonce))
}
