//! What a packet is about.

use core::fmt;
use core::str::FromStr;

use alloc::format;

const MAX_BYTES: usize = 32;

/// The tag of a domain: 1 to 32 bytes of `[a-z0-9._/@-]`.
///
/// A domain of evidence ends in `@` and eight hex digits, the hash of the schema its packets follow, so that packets of
/// different models never meet:
///
/// ```
/// use qis_packet::DomainTag;
///
/// let plain: DomainTag = "cardiology/heart".parse()?;
/// assert_eq!(plain.schema_hash(), None);
/// let evidence = DomainTag::with_schema("cardiology/heart", [0xc0, 0xff, 0xee, 0x01])?;
/// assert_eq!(evidence.as_str(), "cardiology/heart@c0ffee01");
/// assert_eq!(evidence.schema_hash(), Some([0xc0, 0xff, 0xee, 0x01]));
/// # Ok::<(), qis_packet::DomainTagError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DomainTag {
    /// Padded with zeros, which are no legal byte: so the derived order is that of the text.
    bytes: [u8; MAX_BYTES],
    len: u8,
}

/// Why a text is not a domain tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainTagError {
    /// Empty, or longer than 32 bytes.
    #[error("a domain tag has 1 to 32 bytes, this one has {len}")]
    Length {
        /// How many it has.
        len: usize,
    },
    /// A byte outside `[a-z0-9._/@-]`.
    #[error("byte {index} of the domain tag is not one of a-z 0-9 . _ / @ -")]
    Byte {
        /// The first such byte.
        index: usize,
    },
}

impl DomainTag {
    /// The domain `prefix@xxxxxxxx` of packets that follow the schema of this hash.
    ///
    /// # Errors
    ///
    /// [`DomainTagError`] when the prefix has a byte no tag has, or leaves no room for the hash (23 bytes at most).
    pub fn with_schema(prefix: &str, hash: [u8; 4]) -> Result<Self, DomainTagError> {
        format!("{prefix}@{:08x}", u32::from_be_bytes(hash)).parse()
    }

    pub(crate) const fn is_legal(byte: u8) -> bool {
        matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'/' | b'@' | b'-')
    }

    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The hash of the schema, for a domain of evidence.
    #[must_use]
    pub fn schema_hash(&self) -> Option<[u8; 4]> {
        let (_, digits) = self.as_str().rsplit_once('@')?;
        let lower_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != 8 || !lower_hex {
            return None;
        }
        u32::from_str_radix(digits, 16).ok().map(u32::to_be_bytes)
    }
}

impl FromStr for DomainTag {
    type Err = DomainTagError;

    fn from_str(text: &str) -> Result<Self, DomainTagError> {
        let mut bytes = [0; MAX_BYTES];
        let target = bytes.get_mut(..text.len()).filter(|target| !target.is_empty());
        let Some(target) = target else {
            return Err(DomainTagError::Length { len: text.len() });
        };
        if let Some(index) = text.bytes().position(|byte| !Self::is_legal(byte)) {
            return Err(DomainTagError::Byte { index });
        }
        target.copy_from_slice(text.as_bytes());
        let len = u8::try_from(text.len()).unwrap_or(u8::MAX);
        Ok(Self { bytes, len })
    }
}

impl TryFrom<&str> for DomainTag {
    type Error = DomainTagError;

    fn try_from(text: &str) -> Result<Self, DomainTagError> {
        text.parse()
    }
}

impl fmt::Display for DomainTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for DomainTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DomainTag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_no_tag() {
        assert_eq!("".parse::<DomainTag>(), Err(DomainTagError::Length { len: 0 }));
        assert_eq!("a".repeat(33).parse::<DomainTag>(), Err(DomainTagError::Length { len: 33 }));
        assert_eq!("a b".parse::<DomainTag>(), Err(DomainTagError::Byte { index: 1 }));
        assert_eq!("Heart".parse::<DomainTag>(), Err(DomainTagError::Byte { index: 0 }));
        assert_eq!(DomainTag::with_schema(&"a".repeat(24), [0; 4]), Err(DomainTagError::Length { len: 33 }));
        assert_eq!("a".repeat(32).parse::<DomainTag>().unwrap().as_str().len(), 32);
    }

    #[test]
    fn only_eight_lower_hex_digits_are_a_schema() {
        let schema = |text: &str| text.parse::<DomainTag>().unwrap().schema_hash();
        assert_eq!(schema("x@0000000a"), Some([0, 0, 0, 10]));
        assert_eq!(schema("x@000000a"), None);
        assert_eq!(schema("x@0000000g"), None);
        assert_eq!(schema("x@0000000a@y"), None);
    }

    #[test]
    fn orders_as_text() {
        let tag = |text: &str| text.parse::<DomainTag>().unwrap();
        assert!(tag("a") < tag("a-") && tag("a-") < tag("b"));
    }
}
