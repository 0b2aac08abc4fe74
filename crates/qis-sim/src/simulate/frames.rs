//! What frames say of packets, as far as the invariants want to know; the wire format has the tables.

use qis_packet::{FrameKind, Order};
use qis_route::overlay::{Contact, Open};

use super::site::network;

/// The message that the asker's descriptor is older than one of its that is known.
const OUTDATED: u8 = 13;

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

/// A message of an overlay.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverlayFrame<'a> {
    tag: u8,
    /// Which of a node's overlays it is of.
    pub(super) space: [u8; 4],
    pub(super) nonce: u64,
    rest: &'a [u8],
}

/// An overlay's frame, if it is one and whole.
pub(super) fn overlay(frame: &[u8]) -> Option<OverlayFrame<'_>> {
    let (&kind, rest) = frame.split_first()?;
    let (&tag, rest) = rest.split_first()?;
    let (&space, rest) = rest.split_first_chunk::<4>()?;
    let (nonce, rest) = rest.split_first_chunk::<8>()?;
    let nonce = u64::from_le_bytes(*nonce);
    (kind == FrameKind::Overlay.code()).then_some(OverlayFrame { tag, space, nonce, rest })
}

impl OverlayFrame<'_> {
    /// The order of the asker's descriptor that the sender holds, if this says that the asker's is older.
    pub(super) fn outdated(&self) -> Option<Order> {
        if self.tag != OUTDATED {
            return None;
        }
        // A length of one or two bytes, and a descriptor.
        let longer = self.rest.first()? >> 7;
        let descriptor = self.rest.get(1 + usize::from(longer)..)?;
        Some(Contact::verify(descriptor, network(), &Open).ok()?.order())
    }
}
