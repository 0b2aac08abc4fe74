//! What a field says, for people.

use qis_codec::Mode;
use qis_fingerprint::SpaceId;
use qis_packet::{
    AuthorId, Confidence, DomainTag, Fault, Field, OutcomePacket, Payload, Problem, PublicKey, Span, Support,
};

use crate::hex;
use crate::utc;
use crate::words::plural;

const FIRST: usize = 4;

/// In words, what `span` says. The fields before it may be looked at, and the packet if it is one.
pub(crate) fn of(span: &Span<'_>, all: &[Span<'_>], packet: Option<&OutcomePacket>) -> String {
    let bytes = span.bytes;
    let byte = bytes.first().copied().unwrap_or_default();
    match span.field {
        Field::Version => format!("version {byte}"),
        Field::Flags => flags(byte).join(", "),
        Field::Author => "hash of the author's key".into(),
        Field::Incarnation | Field::Sequence => varint(bytes).to_string(),
        Field::Time => date(varint(bytes)),
        Field::Lifetime => lifetime(varint(bytes), all),
        Field::DomainLength | Field::FingerprintLength | Field::PayloadLength | Field::ExtensionsLength => {
            plural(varint(bytes), "byte")
        }
        Field::Domain => domain(bytes),
        Field::Confidence => format!("{byte}/255 = {:.3}", Confidence::from_byte(byte).value()),
        Field::Support => match Support::from_byte(byte).records() {
            Some(records) => format!("about {records:.0} records"),
            None => "unknown".into(),
        },
        Field::Commitment => "to the provenance; its author can open it".into(),
        Field::Generation => format!("{} from observations", plural(u64::from(byte), "step")),
        Field::LineageRoot => "over the ids of its inputs".into(),
        Field::Space => {
            bytes.first_chunk().map(|&id| SpaceId::from_bytes(id).to_string()).unwrap_or_default()
        }
        Field::FingerprintDims => plural(varint(bytes), "dimension"),
        Field::Fingerprint => packet.map(|packet| codes(packet.fingerprint().codes())).unwrap_or_default(),
        Field::Dims => varint(bytes).to_string(),
        Field::Payload => packet.map(payload).unwrap_or_default(),
        Field::Extensions => packet.map(extensions).unwrap_or_default(),
        Field::Signature => "by the author, for one network".into(),
        Field::PublicKey => key(bytes, all),
        _ => String::new(),
    }
}

/// What is wrong with `packet`: of flags also in which bits, since what is found there is not the byte.
pub(crate) fn of_fault(fault: &Fault, packet: &[u8]) -> String {
    let (Field::Flags, Problem::Value { expected, .. }, Some(&flags)) =
        (fault.field, fault.problem, packet.get(fault.offset))
    else {
        return fault.problem.to_string();
    };
    let (kind, mode) = (flags >> 2 & 3, flags >> 4 & 3);
    let (found, bits) = match kind {
        // A key without a signature.
        _ if flags & 3 == 2 => (2, "bits 0-1"),
        3 => (kind, "bits 2-3"),
        // A retraction that is derived.
        2 if mode == 0 => (1, "bit 6"),
        _ => (mode, "bits 4-5"),
    };
    format!("expected {expected}, found {found} in {bits}")
}

/// The flags in words: the kind first, then what is set.
pub(crate) fn flags(flags: u8) -> Vec<&'static str> {
    let kind = match flags >> 2 & 3 {
        0 => "delta",
        1 => "evidence",
        2 => "retraction",
        _ => "unknown kind",
    };
    let mode = match (flags >> 2 & 3, Mode::from_code(flags >> 4 & 3)) {
        (0, Some(mode)) => Some(mode_name(mode)),
        (0, None) => Some("unknown mode"),
        _ => None,
    };
    let set = [(0x01, "signed"), (0x02, "key in trailer"), (0x40, "derived"), (0x80, "extended")];
    let set = set.into_iter().filter(|(mask, _)| flags & mask != 0).map(|(_, name)| name);
    [kind].into_iter().chain(mode).chain(set).collect()
}

pub(crate) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Empty => "empty",
        Mode::Raw => "raw",
        Mode::Trellis => "trellis",
        _ => "unknown mode",
    }
}

fn varint(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

fn date(seconds: u64) -> String {
    utc::date(seconds).unwrap_or_else(|| format!("{seconds} s, after the year 9999"))
}

fn lifetime(hours: u64, all: &[Span<'_>]) -> String {
    let time = all.iter().find(|span| span.field == Field::Time).map_or(0, |span| varint(span.bytes));
    format!("{}, until {}", plural(hours, "hour"), date(time.saturating_add(3600 * hours)))
}

fn domain(bytes: &[u8]) -> String {
    let tag = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<DomainTag>().ok());
    match tag.map(|tag| (tag, tag.schema_hash())) {
        Some((tag, Some(schema))) => format!("{tag}, schema {}", hex::digits(&schema)),
        Some((tag, None)) => tag.to_string(),
        None => bytes.escape_ascii().to_string(),
    }
}

fn codes(codes: &[i8]) -> String {
    let first: Vec<String> = codes.iter().take(2 * FIRST).map(ToString::to_string).collect();
    format!("{}{}", first.join(", "), if codes.len() > 2 * FIRST { ", …" } else { "" })
}

fn payload(packet: &OutcomePacket) -> String {
    match (packet.payload(), packet.delta()) {
        (_, Some(Err(_))) => "no vector".into(),
        (_, Some(Ok(delta))) => {
            let values = delta.to_vec();
            let first: Vec<String> = values.iter().take(FIRST).map(|value| format!("{value:.4}")).collect();
            let more = if values.len() > FIRST { ", …" } else { "" };
            format!("norm {:.4}: {}{more}", norm(&values), first.join(", "))
        }
        (Payload::Evidence { dims, .. }, None) => {
            format!("evidence on {}", plural(u64::from(*dims), "coefficient"))
        }
        _ => "withdraws the author's standing packet".into(),
    }
}

/// Euclidean.
pub(crate) fn norm(values: &[f64]) -> f64 {
    libm::sqrt(values.iter().map(|value| value * value).sum())
}

fn extensions(packet: &OutcomePacket) -> String {
    let fields: Vec<String> =
        packet.extensions().iter().map(|(id, value)| format!("{id}: {}", hex::digits(value))).collect();
    fields.join(", ")
}

fn key(bytes: &[u8], all: &[Span<'_>]) -> String {
    let Some(Ok(key)) = bytes.first_chunk().map(PublicKey::from_bytes) else { return "not a key".into() };
    let author = all.iter().find(|span| span.field == Field::Author);
    let author = author.and_then(|span| span.bytes.first_chunk()).map(|&bytes| AuthorId::from_bytes(bytes));
    if author == Some(key.author()) { "of the author".into() } else { "not of the author".into() }
}
