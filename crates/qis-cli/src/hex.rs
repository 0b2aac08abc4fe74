//! Bytes as people write them.

use std::fmt::Write;

use crate::error::Error;

const ROW: usize = 16;

/// The bytes as lower-case digits.
pub(crate) fn digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes of hex text, or `None` when `input` is no text but the bytes themselves.
///
/// Bytes may have 0x before them, and white space, colons or commas between them; only white space may stand inside a byte.
///
/// No packet and no frame is text: the first byte of each is below 9, a control character.
pub(crate) fn parse(input: &[u8], path: &str) -> Result<Option<Vec<u8>>, Error> {
    let text = std::str::from_utf8(input).ok().filter(|text| !text.is_empty());
    let is_text = |text: &&str| text.chars().all(|c| c.is_whitespace() || !c.is_control());
    let Some(text) = text.filter(is_text) else { return Ok(None) };
    let mut nibbles = Vec::with_capacity(text.len());
    // Digits since the last separator or 0x, and whether that is what it was.
    let (mut run, mut prefixed) = (0_usize, false);
    for (index, found) in text.chars().enumerate() {
        let half = nibbles.len() % 2 == 1;
        if found.is_whitespace() || matches!(found, ':' | ',') {
            if half && (prefixed || !found.is_whitespace()) {
                return Err(Error::HalfByte { path: path.to_owned(), index });
            }
            (run, prefixed) = (0, false);
            continue;
        }
        if matches!(found, 'x' | 'X') && !prefixed && run == 1 && nibbles.last() == Some(&0) {
            // The 0 was no digit of a byte.
            nibbles.pop();
            if !half {
                return Err(Error::HalfByte { path: path.to_owned(), index: index - 1 });
            }
            (run, prefixed) = (0, true);
            continue;
        }
        run += 1;
        let digit = found.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        nibbles.push(digit.ok_or_else(|| Error::Hex { path: path.to_owned(), index, found })?);
    }
    let (pairs, rest) = nibbles.as_chunks();
    if !rest.is_empty() {
        return Err(Error::OddHex { path: path.to_owned(), digits: nibbles.len() });
    }
    Ok(Some(pairs.iter().map(|&[high, low]| high << 4 | low).collect()))
}

/// The row of a dump that has the byte at `offset`, the row before it, and a caret under the byte.
pub(crate) fn dump(bytes: &[u8], offset: usize) -> String {
    let start = offset - offset % ROW;
    let mut text = String::new();
    let rows = [start.checked_sub(ROW), Some(start)].into_iter().flatten();
    for row in rows {
        let _ = write!(text, "{row:08x} ");
        let end = (row + ROW).min(bytes.len());
        for byte in bytes.get(row..end).unwrap_or_default() {
            let _ = write!(text, " {byte:02x}");
        }
        text.push('\n');
    }
    let _ = writeln!(text, "{:indent$}^^", "", indent = 10 + 3 * (offset - start));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_hex_or_refused_and_bytes_are_themselves() {
        assert_eq!(parse(b"01 aB\n\tff", "x").unwrap(), Some(vec![1, 0xab, 0xff]));
        assert_eq!(parse(b"\x01ab", "x").unwrap(), None);
        assert_eq!(parse(b"", "x").unwrap(), None);
        assert_eq!(parse(b"\xff\xfe", "x").unwrap(), None);
        assert!(matches!(parse(b"01\n0g", "x"), Err(Error::Hex { index: 4, found: 'g', .. })));
        for text in ["0x01ab 0xFF", "0x01, 0xab, 0xff,\n", "01:AB:ff", "01ab\nf f"] {
            assert_eq!(parse(text.as_bytes(), "x").unwrap(), Some(vec![1, 0xab, 0xff]), "{text}");
        }
        for (text, index) in [("1:23:4", 1), ("0x1 0x2", 3), ("1 0x234", 2), ("0123,4,5", 6)] {
            let found = parse(text.as_bytes(), "x");
            assert!(
                matches!(found, Err(Error::HalfByte { index: i, .. }) if i == index),
                "{text}: {found:?}"
            );
        }
        for (text, index) in [("x01", 0), ("0x0x01", 3), ("010x02", 3), ("01-02", 2)] {
            let found = parse(text.as_bytes(), "x");
            assert!(matches!(found, Err(Error::Hex { index: i, .. }) if i == index), "{text}: {found:?}");
        }
        assert!(matches!(parse(b"01 0", "x"), Err(Error::OddHex { digits: 3, .. })));
    }

    #[test]
    fn a_caret_stands_under_its_byte() {
        let bytes: Vec<u8> = (0..20).collect();
        assert_eq!(dump(&bytes[..3], 1), "00000000  00 01 02\n             ^^\n");
        let second = dump(&bytes, 17);
        assert!(second.ends_with("\n00000010  10 11 12 13\n             ^^\n"), "{second}");
        // Just past the end, on a row of its own.
        assert!(dump(&bytes[..16], 16).ends_with(" 0e 0f\n00000010 \n          ^^\n"));
    }
}
