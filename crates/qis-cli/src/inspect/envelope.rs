//! What a frame has before its packet.

use qis_packet::{Frame, FrameKind};

use super::{Row, Wrong};
use crate::hex;

/// Status codes of an acknowledgement, in their order.
const STATUSES: [&str; 6] = ["applied", "known", "parked", "busy", "key needed", "refused"];
/// The status beside which the packet that stands instead may be.
const KNOWN: u8 = 1;
const MAX_ANSWERS: u8 = 32;

/// The fields of a frame up to where its packet begins.
pub(super) struct Envelope {
    pub(super) rows: Vec<Row>,
    /// The key beside the packet.
    pub(super) key: Option<[u8; 32]>,
    /// Where the packet begins; `None` if there is none and there need not be.
    pub(super) packet: Option<usize>,
    pub(super) wrong: Option<Wrong>,
}

impl Envelope {
    /// Nothing before a packet.
    pub(super) const fn none() -> Self {
        Self { rows: Vec::new(), key: None, packet: Some(0), wrong: None }
    }

    /// That of the frame `bytes`, as far as it is one.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut walk = Walk { bytes, at: 0, rows: Vec::new() };
        let (key, packet, wrong) = match walk.frame() {
            Ok((key, packet)) => (key, packet, None),
            Err(wrong) => (None, None, Some(wrong)),
        };
        Self { rows: walk.rows, key, packet, wrong }
    }
}

/// The key beside the packet, and where the packet begins.
type Head = (Option<[u8; 32]>, Option<usize>);

/// Goes over the bytes and notes the fields.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    rows: Vec<Row>,
}

impl<'a> Walk<'a> {
    fn frame(&mut self) -> Result<Head, Wrong> {
        let Some(&code) = self.bytes.first() else { return Err(self.cut("frame kind", 1)) };
        let kind = match Frame::parse(self.bytes) {
            Ok(frame) => frame.kind,
            Err(error) => return Err(Wrong::whole(self.bytes, error.to_string())),
        };
        let (name, why) = match kind {
            FrameKind::Packet => ("a packet", None),
            FrameKind::Acknowledgement => ("an acknowledgement", None),
            FrameKind::Answer => ("an answer", None),
            FrameKind::Fragment => ("a fragment", Some("put the parts together first")),
            FrameKind::Query => ("a query", Some("it asks for packets and holds none")),
            FrameKind::Overlay => ("an overlay message", Some("reserved, this version reads none")),
            FrameKind::Sync => ("a sync message", Some("reserved, this version reads none")),
            FrameKind::Rotation => ("a rotation statement", Some("it is about keys and holds no packet")),
            _ => ("unknown", Some("not known here")),
        };
        self.take("frame kind", 1, |_| name.into())?;
        if let Some(why) = why {
            return Err(Wrong::whole(self.bytes, format!("frame kind {code}, {name}: {why}")));
        }
        match kind {
            FrameKind::Acknowledgement => self.acknowledgement(),
            FrameKind::Answer => self.answer(),
            _ => {
                self.take("nonce", 8, |_| "the acknowledgement repeats it".into())?;
                Ok((self.key()?, Some(self.at)))
            }
        }
    }

    fn acknowledgement(&mut self) -> Result<Head, Wrong> {
        self.take("nonce", 8, |_| "that of the packet".into())?;
        let name = |code: u8| STATUSES.get(usize::from(code)).copied();
        let status = self.byte("status", |code| name(code).unwrap_or_default().into())?;
        if name(status).is_none() {
            return Err(self.before("status", "expected a status of 0 to 5"));
        }
        match (self.left(), status) {
            (0, _) => Ok((None, None)),
            (_, KNOWN) => Ok((None, Some(self.at))),
            _ => Err(self.here("end", "expected the end, only the status 1 has a packet after it")),
        }
    }

    fn answer(&mut self) -> Result<Head, Wrong> {
        self.take("nonce", 8, |_| "that of the query".into())?;
        let index = self.byte("index", |index| format!("{index}, counted from 0"))?;
        let total = self.byte("total", |total| match total {
            0 => "there is no answer".into(),
            _ => format!("of {total}"),
        })?;
        if total > MAX_ANSWERS {
            return Err(self.before("total", "expected a total of 0 to 32"));
        }
        if index >= total.max(1) {
            return Err(Wrong::at(
                self.bytes,
                self.at - 2,
                "index",
                "expected an index below the total".into(),
            ));
        }
        let key = self.key()?;
        match (self.left(), total) {
            (0, 0) => Ok((key, None)),
            (_, 0) => Err(self.here("end", "expected the end, a total of 0 has no packet after it")),
            _ => Ok((key, Some(self.at))),
        }
    }

    fn key(&mut self) -> Result<Option<[u8; 32]>, Wrong> {
        let keyed = |byte| match byte {
            0 => "no key".into(),
            1 => "a key follows".into(),
            _ => String::new(),
        };
        match self.byte("key option", keyed)? {
            0 => Ok(None),
            1 => {
                let key = self.take("key", 32, |_| "the author's public key, beside the packet".into())?;
                Ok(key.first_chunk().copied())
            }
            _ => Err(self.before("key option", "expected 0 (no key) or 1 (a key follows)")),
        }
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn byte(&mut self, field: &'static str, meaning: impl FnOnce(u8) -> String) -> Result<u8, Wrong> {
        let first = |bytes: &[u8]| bytes.first().copied().unwrap_or_default();
        self.take(field, 1, |bytes| meaning(first(bytes))).map(first)
    }

    fn take(
        &mut self,
        field: &'static str,
        length: usize,
        meaning: impl FnOnce(&[u8]) -> String,
    ) -> Result<&'a [u8], Wrong> {
        let offset = self.at;
        let Some(taken) = self.bytes.get(offset..offset + length) else {
            return Err(self.cut(field, length - self.left()));
        };
        self.rows.push(Row { offset, length, field, hex: hex::digits(taken), meaning: meaning(taken) });
        self.at += length;
        Ok(taken)
    }

    fn cut(&self, field: &'static str, missing: usize) -> Wrong {
        let message = format!("the bytes end here, expected {missing} more");
        Wrong::at(self.bytes, self.bytes.len(), field, message)
    }

    fn here(&self, field: &'static str, message: &str) -> Wrong {
        Wrong::at(self.bytes, self.at, field, message.to_owned())
    }

    /// The byte that was just taken.
    fn before(&self, field: &'static str, message: &str) -> Wrong {
        Wrong::at(self.bytes, self.at - 1, field, message.to_owned())
    }
}
