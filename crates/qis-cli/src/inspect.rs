//! `qis inspect`: what is in a packet, and where it stops being one.

mod envelope;
mod meaning;
mod report;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use qis_packet::{Layout, NetworkId, OutcomePacket, PublicKey, VerifyError};
use serde::Serialize;

use crate::error::Error;
use crate::hex;
use crate::{Answer, json_line};
use envelope::Envelope;
use report::Report;

/// A frame of 16 KiB in hex, with a space after each byte and some lines.
const MAX_INPUT: u64 = 64 * 1024;

/// Show every field of an outcome packet, or the byte at which it goes wrong.
///
/// The input is a packet, or a whole frame with one in it: raw bytes, or hex digits with or without 0x before and white space, colons or
/// commas between bytes. A packet begins with its version, the byte 01; a frame begins with its kind: 00 for a packet message, 01 for an
/// acknowledgement, 04 for an answer. So what begins with 01 is read as a packet, unless --frame says that it is a frame. Frames of
/// other kinds hold no packet, and are only named.
///
/// The signature is checked when --network is given, with the author's key: that in the packet's trailer, that beside it in the frame, or
/// that of --key. The exit code is then 0 only if it is valid: 1 if it is wrong, and also if it is not there, or there is no key to check
/// it with, or no packet. Without --network the code is 0 for what is well formed, which says nothing about who made it; and 1, always,
/// for what is no packet and for a delta that is no vector.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file, or - for the standard input
    file: PathBuf,
    /// Name of the network the packet should be signed for
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// The author's public key, 32 bytes in hex, to check a signature with when it is not in the input
    #[arg(long, value_name = "HEX", value_parser = public_key)]
    key: Option<PublicKey>,
    /// Read the input as a frame, also if it begins with 01: an acknowledgement then, not a packet
    #[arg(long)]
    frame: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis inspect packet.bin --network example
  echo '01 11 fe 81' | qis inspect -
  qis inspect frame.bin --frame
  qis inspect packet.bin --json";

/// A field as it is shown; offsets count from the start of the input's bytes.
#[derive(Debug, Serialize)]
struct Row {
    offset: usize,
    length: usize,
    field: &'static str,
    hex: String,
    meaning: String,
}

/// The byte at which the input goes wrong.
#[derive(Debug, Serialize)]
struct Wrong {
    offset: usize,
    field: &'static str,
    message: String,
    /// The byte; `None` when it is missing.
    byte: Option<String>,
    /// It is no byte that is wrong, but the frame is of a kind that holds no packet.
    #[serde(skip)]
    whole: bool,
}

/// The form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Packet,
    Frame,
}

/// What is known of the signature.
#[derive(Debug, Serialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
enum Signature {
    /// The packet has none.
    Unsigned,
    /// No network was named.
    Unchecked,
    /// There is no key to check it with.
    KeyUnknown,
    Valid {
        key: String,
    },
    Invalid {
        reason: String,
    },
}

pub(crate) fn run(args: &Args) -> Result<Answer, Error> {
    if args.key.is_some() && args.network.is_none() {
        return Err(Error::Needs { option: "--key", needed: "--network" });
    }
    let path = args.file.display().to_string();
    let input = read(args, &path)?;
    let parsed = hex::parse(&input, &path)?;
    let encoding = if parsed.is_some() { "hex" } else { "raw" };
    let bytes = parsed.unwrap_or(input);

    // Of the kinds of frames, the code of an acknowledgement is also the version of a packet.
    let (form, envelope) = match bytes.first() {
        _ if args.frame => (Form::Frame, Envelope::of(&bytes)),
        Some(0 | 2..=7) => (Form::Frame, Envelope::of(&bytes)),
        _ => (Form::Packet, Envelope::none()),
    };
    let Envelope { mut rows, key: beside, packet: start, mut wrong } = envelope;
    let mut packet = None;
    if let Some(start) = start {
        let body = bytes.get(start..).unwrap_or_default();
        let layout = Layout::of(body);
        let decoded = OutcomePacket::decode(body);
        rows.extend(layout.spans().iter().map(|span| Row {
            offset: start + span.offset,
            length: span.bytes.len(),
            field: span.field.name(),
            hex: hex::digits(span.bytes),
            meaning: meaning::of(span, layout.spans(), decoded.as_ref().ok()),
        }));
        wrong = match (layout.fault(), &decoded) {
            (Some(fault), _) => {
                let message = meaning::of_fault(fault, body);
                Some(Wrong::at(&bytes, start + fault.offset, fault.field.name(), message))
            }
            (None, Err(error)) => Some(Wrong::at(&bytes, bytes.len(), "end", error.to_string())),
            (None, Ok(_)) => None,
        };
        packet = decoded.ok();
    }

    let mut verdict = Ok(());
    let signature = packet.as_ref().map(|packet| {
        let (signature, checked) = check_signature(packet, args, beside.as_ref());
        verdict = checked;
        signature
    });
    if packet.is_none() && args.network.is_some() {
        verdict = Err(Error::NoPacket);
    }
    if let Some(Some(Err(source))) = packet.as_ref().map(OutcomePacket::delta) {
        verdict = Err(Error::Delta { source });
    }
    if let Some(wrong) = &wrong {
        let hint = if form == Form::Packet && is_acknowledgement(&bytes) {
            "; as a frame it is an acknowledgement, say --frame"
        } else {
            ""
        };
        verdict = Err(wrong.error(hint));
    }

    let report = Report::new(form, encoding, &bytes, rows, packet.as_ref(), signature, wrong);
    let text = if args.json { json_line(&report) } else { report.table(&bytes) };
    Ok(Answer { text, verdict })
}

fn is_acknowledgement(bytes: &[u8]) -> bool {
    let Envelope { packet, wrong, .. } = Envelope::of(bytes);
    let whole = |start| bytes.get(start..).is_some_and(|packet| OutcomePacket::decode(packet).is_ok());
    bytes.first() == Some(&1) && wrong.is_none() && packet.is_none_or(whole)
}

fn read(args: &Args, path: &str) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let mut source: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(&args.file).map_err(failed)?)
    };
    let mut bytes = Vec::new();
    // A byte more than is allowed tells that there is more.
    source.by_ref().take(MAX_INPUT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_INPUT {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_INPUT });
    }
    Ok(bytes)
}

/// What is known of the signature, and an error unless that is what was asked for.
fn check_signature(
    packet: &OutcomePacket,
    args: &Args,
    beside: Option<&[u8; 32]>,
) -> (Signature, Result<(), Error>) {
    let unsigned = packet.trailer().is_empty();
    let Some(network) = &args.network else {
        return (if unsigned { Signature::Unsigned } else { Signature::Unchecked }, Ok(()));
    };
    if unsigned {
        return (Signature::Unsigned, Err(Error::Unproven { why: "it is not signed" }));
    }
    match verify(packet, NetworkId::new(network), args.key, beside) {
        Ok(key) => (Signature::Valid { key: key.to_string() }, Ok(())),
        Err(VerifyError::UnknownKey { .. }) => {
            let why = "its author's key is not in the input, give it by --key";
            (Signature::KeyUnknown, Err(Error::Unproven { why }))
        }
        Err(source) => (Signature::Invalid { reason: source.to_string() }, Err(Error::Signature { source })),
    }
}

/// The key that `packet` is signed with for `network`: the one it carries, the one that was given, or the one beside it, which must be one.
fn verify(
    packet: &OutcomePacket,
    network: NetworkId,
    given: Option<PublicKey>,
    beside: Option<&[u8; 32]>,
) -> Result<PublicKey, VerifyError> {
    let author = packet.author();
    let beside = beside.map(PublicKey::from_bytes).transpose().map_err(|_| VerifyError::InvalidKey)?;
    for key in [given, beside].into_iter().flatten() {
        if key.author() != author {
            return Err(VerifyError::WrongKey { author, key });
        }
    }
    packet.clone().verify(network, given.or(beside).as_ref()).map(|verified| *verified.key())
}

/// The value of --key.
fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    let bytes = hex::parse(text.as_bytes(), "--key").ok().flatten();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok()).ok_or("expected 32 bytes in hex")?;
    PublicKey::from_bytes(&bytes).map_err(|_| "not a public key of Ed25519")
}

impl Wrong {
    fn at(bytes: &[u8], offset: usize, field: &'static str, message: String) -> Self {
        let byte = bytes.get(offset).map(|byte| format!("{byte:02x}"));
        Self { offset, field, message, byte, whole: false }
    }

    /// A frame that is not what is shown here.
    fn whole(bytes: &[u8], message: String) -> Self {
        Self { whole: true, ..Self::at(bytes, 0, "frame kind", message) }
    }

    fn error(&self, hint: &str) -> Error {
        let Self { offset, field, ref message, whole, .. } = *self;
        if whole {
            return Error::Frame { message: message.clone() };
        }
        Error::Packet { offset, field, message: format!("{message}{hint}") }
    }
}
