//! Provenance that shows nothing until its owner opens it.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::identity::hex_display;
use crate::{AuthorId, DomainTag, NetworkId, Order, OutcomePacket, Timestamp};

const SECONDS_PER_EPOCH: u64 = 7 * 24 * 3600;
/// The week of 2020-01-01, before which there are no packets.
const DERIVED_FROM: Epoch = Epoch(2608);
/// Ratcheting is refused beyond this many steps (190 years), so that no clock can make it run for ever.
const MAX_STEPS: u64 = 10_000;

/// What a packet carries of its provenance: 32 bytes that hide the node, the source and all else, and bind their author to them.
///
/// `HMAC-SHA256(r, "qis/prov/1" | network | author | incarnation | sequence | lp(domain) | lp(node) | lp(source) | time |
/// SHA-256(payload))`, integers little-endian of fixed width (u32, u32, u64), `lp` a u32 length before the bytes, and
/// `r = HKDF-SHA256(s_e, "qis/prov/r/1" | incarnation | sequence)` with the site's secret `s_e` of the packet's epoch.
///
/// A plain hash of node, source and time would be guessed: the time travels in clear, and nodes and sources are few.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Commitment([u8; 32]);

/// A week of provenance, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(u64);

/// The secret behind a site's commitments, which ratchets forward from [`Epoch`] to [`Epoch`].
///
/// `s_{e+1} = HKDF-SHA256(s_e, "next")`: whoever holds a secret can make all later ones and no earlier one. A site erases the secrets of
/// weeks whose packets have expired, and with them the provenance of those packets, for good.
pub struct SiteSecret {
    epoch: Epoch,
    secret: Zeroizing<[u8; 32]>,
}

/// What a site reveals of one packet in an audit.
///
/// It opens this packet only: the key in it is derived from the site's secret by a one-way function of the packet's order.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    key: [u8; 32],
    node: String,
    source: String,
}

/// Why a commitment can't be made or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProvenanceError {
    /// The secret of the packet's time was erased.
    #[error("the secret of week {epoch} was erased", epoch = .epoch.0)]
    Erased {
        /// The week of the packet.
        epoch: Epoch,
    },
    /// The packet's time is further ahead than any clock should be.
    #[error("week {epoch} is too far ahead of the secret", epoch = .epoch.0)]
    TooFarAhead {
        /// The week of the packet.
        epoch: Epoch,
    },
    /// The node or the source is longer than a length prefix can say.
    #[error("the node or the source is too long")]
    TooLong,
}

/// Why an opening does not open a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// The commitment in the packet is to something else.
    #[error("the packet does not commit to this node and source")]
    Mismatch,
    /// The bytes are no opening.
    #[error("the bytes are no opening")]
    Malformed,
}

impl Commitment {
    /// The commitment with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Epoch {
    /// The week of a time.
    #[must_use]
    pub const fn of(time: Timestamp) -> Self {
        Self(time.unix_seconds() / SECONDS_PER_EPOCH)
    }

    /// The number of the week, for storing.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }

    /// The week of this number.
    #[must_use]
    pub const fn from_index(index: u64) -> Self {
        Self(index)
    }
}

impl SiteSecret {
    /// The secret of 32 bytes of good entropy, for times from `epoch` on.
    #[must_use]
    pub fn new(epoch: Epoch, seed: [u8; 32]) -> Self {
        Self { epoch, secret: Zeroizing::new(seed) }
    }

    /// A new secret from the operating system's entropy.
    ///
    /// # Errors
    ///
    /// [`EntropyError`](crate::EntropyError) when the system has none to give.
    #[cfg(feature = "entropy")]
    pub fn generate(epoch: Epoch) -> Result<Self, crate::EntropyError> {
        crate::identity::entropy().map(|seed| Self::new(epoch, seed))
    }

    /// A secret for times from `epoch` on that follows from an identity's, for nodes that keep no other.
    ///
    /// It is never really erased while the identity's seed exists. The ratchet starts in the first week of 2020, so this takes some
    /// hundred steps: make it once and keep it.
    ///
    /// # Errors
    ///
    /// [`ProvenanceError::TooFarAhead`] when `epoch` is implausibly late.
    pub fn derived(identity: &crate::Identity, epoch: Epoch) -> Result<Self, ProvenanceError> {
        let mut secret = Self::new(DERIVED_FROM, *expand(identity.expose_seed(), &[b"qis/prov/site/1"]));
        secret.erase_before(epoch)?;
        Ok(secret)
    }

    /// The first week it still covers.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The secret itself, for storing it; whoever reads it can open every packet from its epoch on.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Forgets the secrets of all weeks before `epoch`: packets of those weeks can never be opened again.
    ///
    /// # Errors
    ///
    /// [`ProvenanceError::TooFarAhead`] when `epoch` is implausibly late; nothing is forgotten then.
    pub fn erase_before(&mut self, epoch: Epoch) -> Result<(), ProvenanceError> {
        if epoch > self.epoch {
            *self = Self { epoch, secret: self.at(epoch)? };
        }
        Ok(())
    }

    /// The opening of the packet with this order and time, made by `node` from `source`.
    ///
    /// # Errors
    ///
    /// [`ProvenanceError`] when the secret of that time was erased or is implausibly far ahead.
    pub fn opening(
        &self,
        order: Order,
        time: Timestamp,
        node: &str,
        source: &str,
    ) -> Result<Opening, ProvenanceError> {
        let secret = self.at(Epoch::of(time))?;
        let order = if crate::planted!(OneOpeningForAll) { Order::default() } else { order };
        let order = [order.incarnation.to_le_bytes(), order.sequence.to_le_bytes()].concat();
        let key = *expand(&secret, &[b"qis/prov/r/1", &order]);
        Ok(Opening { key, node: node.into(), source: source.into() })
    }

    fn at(&self, epoch: Epoch) -> Result<Zeroizing<[u8; 32]>, ProvenanceError> {
        let steps = epoch.0.checked_sub(self.epoch.0).ok_or(ProvenanceError::Erased { epoch })?;
        if steps > MAX_STEPS {
            return Err(ProvenanceError::TooFarAhead { epoch });
        }
        Ok((0..steps).fold(self.secret.clone(), |secret, _| expand(&secret, &[b"next"])))
    }
}

impl Opening {
    /// The node that made the packet.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The source it was made from, in the site's own words.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Checks that `packet` was made from this node and source, in `network`. Anyone can.
    ///
    /// # Errors
    ///
    /// [`OpeningError::Mismatch`] when the packet commits to something else.
    pub fn verify(&self, packet: &OutcomePacket, network: NetworkId) -> Result<(), OpeningError> {
        let subject = Subject {
            network,
            author: packet.author(),
            order: packet.order(),
            domain: packet.domain(),
            time: packet.time(),
            payload: packet.payload().bytes(),
        };
        let mac = self.mac(&subject).map_err(|_| OpeningError::Mismatch)?;
        mac.verify_slice(packet.commitment().as_bytes()).map_err(|_| OpeningError::Mismatch)
    }

    /// The bytes of the opening, for the auditor: key, u32 LE length of the node, node, source.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.node.len()).unwrap_or(u32::MAX).to_le_bytes();
        [&self.key[..], &length, self.node.as_bytes(), self.source.as_bytes()].concat()
    }

    /// Reads an opening.
    ///
    /// # Errors
    ///
    /// [`OpeningError::Malformed`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, OpeningError> {
        Self::parse(bytes).ok_or(OpeningError::Malformed)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_first_chunk::<32>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (node, source) = rest.split_at_checked(length)?;
        let text = |bytes| core::str::from_utf8(bytes).ok().map(String::from);
        Some(Self { key: *key, node: text(node)?, source: text(source)? })
    }

    /// The commitment to this node and source for a packet of these fields.
    pub(crate) fn commit(&self, subject: &Subject<'_>) -> Result<Commitment, ProvenanceError> {
        Ok(Commitment(self.mac(subject)?.finalize().into_bytes().into()))
    }

    fn mac(&self, subject: &Subject<'_>) -> Result<Hmac<Sha256>, ProvenanceError> {
        let length = |text: &str| {
            u32::try_from(text.len()).map(u32::to_le_bytes).map_err(|_| ProvenanceError::TooLong)
        };
        // HMAC pads a short key with zeros to the hash's block; doing so here leaves no length to be refused.
        let mut block = Zeroizing::new([0; 64]);
        if let Some(key) = block.first_chunk_mut() {
            *key = self.key;
        }
        let mut mac = Hmac::<Sha256>::new((&*block).into());
        mac.update(b"qis/prov/1");
        mac.update(subject.network.as_bytes());
        mac.update(subject.author.as_bytes());
        mac.update(&subject.order.incarnation.to_le_bytes());
        mac.update(&subject.order.sequence.to_le_bytes());
        for text in [subject.domain.as_str(), &self.node, &self.source] {
            mac.update(&length(text)?);
            mac.update(text.as_bytes());
        }
        mac.update(&subject.time.unix_seconds().to_le_bytes());
        mac.update(&Sha256::digest(subject.payload));
        Ok(mac)
    }
}

/// What a commitment is about, besides node and source: all of it travels in clear.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) network: NetworkId,
    pub(crate) author: AuthorId,
    pub(crate) order: Order,
    pub(crate) domain: DomainTag,
    pub(crate) time: Timestamp,
    pub(crate) payload: &'a [u8],
}

fn expand(secret: &[u8; 32], info: &[&[u8]]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // HKDF refuses only outputs of more than 255 hashes; this is one.
    let expanded = Hkdf::<Sha256>::new(None, secret).expand_multi_info(info, &mut *out);
    debug_assert!(expanded.is_ok(), "one hash is within HKDF's limit");
    out
}

hex_display!(Commitment, "Commitment", |commitment| commitment.0);

impl Drop for Opening {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl fmt::Debug for SiteSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SiteSecret").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("node", &self.node)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order { incarnation: 3, sequence: 4 };

    fn week(index: u64) -> Timestamp {
        Timestamp::from_unix_seconds(index * SECONDS_PER_EPOCH)
    }

    #[test]
    fn the_ratchet_reaches_the_same_secret_by_any_path() {
        let direct = SiteSecret::new(Epoch(10), [1; 32]);
        let mut stepped = SiteSecret::new(Epoch(10), [1; 32]);
        stepped.erase_before(Epoch(12)).unwrap();
        stepped.erase_before(Epoch(15)).unwrap();
        let open = |secret: &SiteSecret| secret.opening(ORDER, week(20), "n", "s").unwrap();
        assert_eq!(open(&direct), open(&stepped));
    }

    #[test]
    fn erased_weeks_stay_erased_and_far_ones_are_refused() {
        let mut secret = SiteSecret::new(Epoch(10), [1; 32]);
        secret.erase_before(Epoch(12)).unwrap();
        let open = |at| secret.opening(ORDER, at, "n", "s").map(|_| ());
        assert_eq!(open(week(11)), Err(ProvenanceError::Erased { epoch: Epoch(11) }));
        assert_eq!(open(week(12)), Ok(()));
        let end = Timestamp::from_unix_seconds(u64::MAX);
        assert_eq!(open(end), Err(ProvenanceError::TooFarAhead { epoch: Epoch::of(end) }));
        secret.erase_before(Epoch(u64::MAX)).unwrap_err();
        assert_eq!(secret.epoch(), Epoch(12));
    }

    #[test]
    fn openings_travel() {
        let opening = SiteSecret::new(Epoch(0), [9; 32]).opening(ORDER, week(1), "clinic", "ward 3").unwrap();
        let bytes = opening.to_bytes();
        assert_eq!(Opening::from_bytes(&bytes), Ok(opening));
        assert_eq!(Opening::from_bytes(&bytes[..35]), Err(OpeningError::Malformed));
        let mut long = bytes.clone();
        long[32..36].fill(0xff);
        assert_eq!(Opening::from_bytes(&long), Err(OpeningError::Malformed));
    }
}
