//! What `qis inspect` prints.

use std::fmt::Write;

use qis_packet::{OutcomePacket, Payload, Trailer};
use serde::Serialize;

use super::{Form, Row, Signature, Wrong, meaning};
use crate::hex;
use crate::utc;

/// Coordinates of a delta that are shown in JSON.
const FIRST: usize = 8;
/// Bytes of a field that are shown in the table.
const SHOWN: usize = 16;

#[derive(Debug, Serialize)]
pub(super) struct Report {
    form: Form,
    encoding: &'static str,
    bytes: usize,
    fields: Vec<Row>,
    /// `None` when the input is none.
    packet: Option<Packet>,
    error: Option<Wrong>,
}

#[derive(Debug, Serialize)]
struct Packet {
    id: String,
    flags: Vec<&'static str>,
    author: String,
    incarnation: u32,
    sequence: u32,
    time: u64,
    time_utc: Option<String>,
    lifetime_hours: u16,
    domain: String,
    schema: Option<String>,
    confidence: f64,
    support_records: Option<f64>,
    commitment: String,
    lineage: Option<LineageView>,
    fingerprint: FingerprintView,
    payload: PayloadView,
    extensions: Vec<ExtensionView>,
    trailer_bytes: usize,
    signature: Option<Signature>,
}

#[derive(Debug, Serialize)]
struct LineageView {
    generation: u8,
    root: String,
}

#[derive(Debug, Serialize)]
struct FingerprintView {
    space: String,
    dims: usize,
    codes: Vec<i8>,
}

#[derive(Debug, Serialize)]
struct PayloadView {
    kind: &'static str,
    mode: Option<&'static str>,
    dims: u16,
    bytes: usize,
    /// Of a delta that is a vector.
    delta: Option<DeltaView>,
    /// Of a delta that is none.
    delta_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct DeltaView {
    norm: f64,
    first: Vec<f64>,
}

#[derive(Debug, Serialize)]
struct ExtensionView {
    id: u8,
    hex: String,
}

impl Report {
    pub(super) fn new(
        form: Form,
        encoding: &'static str,
        bytes: &[u8],
        fields: Vec<Row>,
        packet: Option<&OutcomePacket>,
        signature: Option<Signature>,
        error: Option<Wrong>,
    ) -> Self {
        let packet = packet.map(|packet| Packet::of(packet, signature));
        Self { form, encoding, bytes: bytes.len(), fields, packet, error }
    }

    pub(super) fn table(&self, bytes: &[u8]) -> String {
        let mut text = String::new();
        let _ = writeln!(text, "{:>6} {:>5}  {:<18} {:<33} meaning", "offset", "bytes", "field", "hex");
        for Row { offset, length, field, hex, meaning } in &self.fields {
            let hex = match hex.get(..2 * SHOWN) {
                Some(start) if *length > SHOWN => format!("{start}…"),
                _ => hex.clone(),
            };
            let line = format!("{offset:>6} {length:>5}  {field:<18} {hex:<33} {meaning}");
            let _ = writeln!(text, "{}", line.trim_end());
        }
        if let Some(packet) = &self.packet {
            let signature = match &packet.signature {
                None | Some(Signature::Unsigned) => "none",
                Some(Signature::Unchecked) => "not checked: say --network NAME",
                Some(Signature::KeyUnknown) => "not checked",
                Some(Signature::Valid { .. }) => "valid in this network",
                Some(Signature::Invalid { .. }) => "INVALID",
            };
            let _ = writeln!(text, "\npacket id  {}\nsignature  {signature}", packet.id);
        }
        // What is wrong with the byte, or with the signature, follows on the standard error.
        if let Some(Wrong { offset, whole: false, .. }) = &self.error {
            let _ = write!(text, "\n{}", hex::dump(bytes, *offset));
        }
        text
    }
}

impl Packet {
    fn of(packet: &OutcomePacket, signature: Option<Signature>) -> Self {
        let flags = packet.as_bytes().get(1).copied().unwrap_or_default();
        let lineage = packet.lineage().map(|lineage| LineageView {
            generation: lineage.generation(),
            root: hex::digits(lineage.root()),
        });
        let fingerprint = packet.fingerprint();
        let extension = |(id, value): (u8, &[u8])| ExtensionView { id, hex: hex::digits(value) };
        Self {
            id: packet.id().to_string(),
            flags: meaning::flags(flags),
            author: packet.author().to_string(),
            incarnation: packet.order().incarnation,
            sequence: packet.order().sequence,
            time: packet.time().unix_seconds(),
            time_utc: utc::date(packet.time().unix_seconds()),
            lifetime_hours: packet.lifetime().hours(),
            domain: packet.domain().to_string(),
            schema: packet.domain().schema_hash().map(|hash| hex::digits(&hash)),
            confidence: packet.confidence().value(),
            support_records: packet.support().records(),
            commitment: hex::digits(packet.commitment().as_bytes()),
            lineage,
            fingerprint: FingerprintView {
                space: fingerprint.space().to_string(),
                dims: fingerprint.dims(),
                codes: fingerprint.codes().to_vec(),
            },
            payload: PayloadView::of(packet),
            extensions: packet.extensions().iter().map(extension).collect(),
            trailer_bytes: Trailer::len(packet.trailer()),
            signature,
        }
    }
}

impl PayloadView {
    fn of(packet: &OutcomePacket) -> Self {
        let payload = packet.payload();
        let (kind, mode) = match payload {
            Payload::Delta { mode, .. } => ("delta", Some(meaning::mode_name(*mode))),
            Payload::Evidence { .. } => ("evidence", None),
            Payload::Retraction => ("retraction", None),
            _ => ("unknown kind", None),
        };
        let (delta, delta_error) = match packet.delta() {
            Some(Ok(delta)) => {
                let mut first = delta.to_vec();
                let norm = meaning::norm(&first);
                first.truncate(FIRST);
                (Some(DeltaView { norm, first }), None)
            }
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        Self { kind, mode, dims: payload.dims(), bytes: payload.bytes().len(), delta, delta_error }
    }
}
