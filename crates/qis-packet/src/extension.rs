//! Fields that later versions add.

use alloc::vec::Vec;

use crate::{DecodeError, PacketError};

/// The extension fields of a packet: ids 0 to 255, each at most once, in ascending order, with up to 255 bytes.
///
/// They are inside the signed region. A receiver that does not know an odd id ignores it; one that does not know an even id
/// refuses the packet. This version knows none, so it refuses every even one.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Extensions {
    /// Id, length, value; and so on.
    bytes: Vec<u8>,
}

impl Extensions {
    /// Adds a field that receivers may ignore.
    ///
    /// # Errors
    ///
    /// [`PacketError::Extension`] when the id is even, is not above those already there, or the value has more than 255 bytes.
    pub fn push(&mut self, id: u8, value: &[u8]) -> Result<(), PacketError> {
        let ascending = self.iter().last().is_none_or(|(last, _)| last < id);
        let len = u8::try_from(value.len()).ok().filter(|_| id % 2 == 1 && ascending);
        let Some(len) = len else { return Err(PacketError::Extension { id }) };
        self.bytes.extend([id, len]);
        self.bytes.extend(value);
        Ok(())
    }

    /// The fields in ascending order.
    #[must_use]
    pub fn iter(&self) -> ExtensionsIter<'_> {
        ExtensionsIter { rest: &self.bytes }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = ExtensionsIter { rest: bytes };
        let mut last = None;
        for (id, _) in fields.by_ref() {
            if id % 2 == 0 {
                return Err(DecodeError::UnknownExtension { id });
            }
            if last.is_some_and(|last| last >= id) {
                return Err(DecodeError::Malformed { field: "extensions" });
            }
            last = Some(id);
        }
        if last.is_none() || !fields.rest.is_empty() {
            return Err(DecodeError::Malformed { field: "extensions" });
        }
        Ok(Self { bytes: bytes.to_vec() })
    }
}

impl<'a> IntoIterator for &'a Extensions {
    type Item = (u8, &'a [u8]);
    type IntoIter = ExtensionsIter<'a>;

    fn into_iter(self) -> ExtensionsIter<'a> {
        self.iter()
    }
}

/// Iterates over the id and value of each field; made by [`Extensions::iter`].
#[derive(Clone, Debug)]
pub struct ExtensionsIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for ExtensionsIter<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[id, len], rest) = self.rest.split_first_chunk()?;
        let (value, rest) = rest.split_at_checked(usize::from(len))?;
        self.rest = rest;
        Some((id, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_in_order() {
        let mut fields = Extensions::default();
        fields.push(1, b"a").unwrap();
        fields.push(9, b"").unwrap();
        assert_eq!(fields.push(9, b"again"), Err(PacketError::Extension { id: 9 }));
        assert_eq!(fields.push(10, b"even"), Err(PacketError::Extension { id: 10 }));
        assert_eq!(fields.push(11, &[0; 256]), Err(PacketError::Extension { id: 11 }));
        let decoded = Extensions::decode(fields.as_bytes()).unwrap();
        assert!(decoded.iter().eq([(1, &b"a"[..]), (9, &b""[..])]));
    }

    #[test]
    fn refuses_other_forms() {
        let malformed = Err(DecodeError::Malformed { field: "extensions" });
        assert_eq!(Extensions::decode(&[]), malformed);
        assert_eq!(Extensions::decode(&[1]), malformed);
        assert_eq!(Extensions::decode(&[1, 2, 0]), malformed);
        assert_eq!(Extensions::decode(&[3, 0, 1, 0]), malformed);
        assert_eq!(Extensions::decode(&[1, 0, 1, 0]), malformed);
        assert_eq!(Extensions::decode(&[2, 0]), Err(DecodeError::UnknownExtension { id: 2 }));
    }
}
