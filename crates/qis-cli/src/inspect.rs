//! `qis inspect`: what is in a packet, and where it stops being one.

mod meaning;
mod report;

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use qis_packet::{Layout, NetworkId, OutcomePacket, PublicKey, VerifyError};
use serde::Serialize;

use crate::Answer;
use crate::error::Error;
use crate::hex;
use report::Report;

/// A frame of 16 KiB in hex, with a space after each byte and some lines.
const MAX_INPUT: u64 = 64 * 1024;

/// Show every field of an outcome packet, or the byte at which it goes wrong.
///
/// The input is a packet, or a whole frame that carries one: raw bytes, or hex digits with or without white space. A frame begins with
/// its kind, the byte 00, a packet with its version, the byte 01.
///
/// A signature is checked when --network is given and the author's key is in the packet's trailer or beside it in the frame. The exit
/// code is 1 for what is no packet, for a delta that is no vector, and for a signature that is found to be wrong; that a packet is not signed,
/// or that its key is not known, is said and is no error.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file, or - for the standard input
    file: PathBuf,
    /// Name of the network the packet should be signed for
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  qis inspect packet.bin --network example
  echo '01 11 fe 81' | qis inspect -
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
}

/// The form of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Form {
    Packet,
    Frame,
}

/// What a frame has before its packet.
struct Envelope {
    rows: Vec<Row>,
    key: Option<[u8; 32]>,
    /// Where the packet begins.
    len: usize,
    wrong: Option<Wrong>,
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
    let path = args.file.display().to_string();
    let input = read(args, &path)?;
    let parsed = hex::parse(&input, &path)?;
    let encoding = if parsed.is_some() { "hex" } else { "raw" };
    let bytes = parsed.unwrap_or(input);

    let (form, envelope) = match bytes.first() {
        Some(0) => (Form::Frame, Envelope::of(&bytes)),
        _ => (Form::Packet, Envelope { rows: Vec::new(), key: None, len: 0, wrong: None }),
    };
    let Envelope { mut rows, key, len: start, mut wrong } = envelope;
    let mut packet = None;
    if wrong.is_none() {
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
                let offset = start + fault.offset;
                Some(Wrong::at(&bytes, offset, fault.field.name(), fault.problem.to_string()))
            }
            (None, Err(error)) => Some(Wrong::at(&bytes, bytes.len(), "end", error.to_string())),
            (None, Ok(_)) => None,
        };
        packet = decoded.ok();
    }

    let mut verdict = Ok(());
    let signature = packet.as_ref().map(|packet| {
        let (signature, error) = check_signature(packet, args.network.as_deref(), key.as_ref());
        verdict = error.map_or(Ok(()), |source| Err(Error::Signature { source }));
        signature
    });
    if let Some(Some(Err(source))) = packet.as_ref().map(OutcomePacket::delta) {
        verdict = Err(Error::Delta { source });
    }
    if let Some(Wrong { offset, field, message, .. }) = &wrong {
        verdict = Err(Error::Packet { offset: *offset, field, message: message.clone() });
    }

    let report = Report::new(form, encoding, &bytes, rows, packet.as_ref(), signature, wrong);
    let text = if args.json { report.json() } else { report.table(&bytes) };
    Ok(Answer { text, verdict })
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

fn check_signature(
    packet: &OutcomePacket,
    network: Option<&str>,
    beside: Option<&[u8; 32]>,
) -> (Signature, Option<VerifyError>) {
    if packet.trailer().is_empty() {
        return (Signature::Unsigned, None);
    }
    let Some(network) = network else { return (Signature::Unchecked, None) };
    let known = match beside.map(PublicKey::from_bytes) {
        None => None,
        Some(Ok(key)) => Some(key),
        Some(Err(_)) => return invalid(VerifyError::InvalidKey),
    };
    match packet.clone().verify(NetworkId::new(network), known.as_ref()) {
        Ok(verified) => (Signature::Valid { key: verified.key().to_string() }, None),
        Err(VerifyError::UnknownKey { .. }) => (Signature::KeyUnknown, None),
        Err(error) => invalid(error),
    }
}

fn invalid(error: VerifyError) -> (Signature, Option<VerifyError>) {
    (Signature::Invalid { reason: error.to_string() }, Some(error))
}

impl Wrong {
    fn at(bytes: &[u8], offset: usize, field: &'static str, message: String) -> Self {
        let byte = bytes.get(offset).map(|byte| format!("{byte:02x}"));
        Self { offset, field, message, byte }
    }
}

impl Envelope {
    /// Kind, nonce, and the key that may come beside a packet: the packet message of the wire format.
    fn of(bytes: &[u8]) -> Self {
        let mut envelope = Self { rows: Vec::new(), key: None, len: 0, wrong: None };
        let _ = envelope.field(bytes, "frame kind", 1, |_| "a packet".into());
        let nonce = |_: &[u8]| "the acknowledgement repeats it".into();
        let Some(_) = envelope.field(bytes, "nonce", 8, nonce) else { return envelope };
        let keyed = |byte: &[u8]| match byte {
            [0] => "no key".into(),
            [1] => "a key follows".into(),
            _ => String::new(),
        };
        match envelope.field(bytes, "key option", 1, keyed) {
            None | Some([0]) => {}
            Some([1]) => {
                let key =
                    envelope.field(bytes, "key", 32, |_| "the author's public key, beside the packet".into());
                envelope.key = key.and_then(|key| key.first_chunk()).copied();
            }
            Some(_) => {
                let message = "expected 0 (no key) or 1 (a key follows)".to_owned();
                envelope.wrong = Some(Wrong::at(bytes, envelope.len - 1, "key option", message));
            }
        }
        envelope
    }

    fn field<'a>(
        &mut self,
        bytes: &'a [u8],
        field: &'static str,
        length: usize,
        meaning: impl FnOnce(&[u8]) -> String,
    ) -> Option<&'a [u8]> {
        let offset = self.len;
        let Some(taken) = bytes.get(offset..offset + length) else {
            let missing = offset + length - bytes.len();
            let message = format!("the bytes end here, expected {missing} more");
            self.wrong = Some(Wrong::at(bytes, bytes.len(), field, message));
            return None;
        };
        self.rows.push(Row { offset, length, field, hex: hex::digits(taken), meaning: meaning(taken) });
        self.len += length;
        Some(taken)
    }
}
