//! What a node says of itself, signed.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use postcard::{take_from_bytes, to_extend};
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{AuthorId, Identity, NetworkId, Order, PublicKey, SKEW_SECONDS, Timestamp};
use serde::{Deserialize, Serialize};

use super::Refusal;
use super::metric::{self, Direction};
use crate::{Address, Organisation, Peer};

/// The most dimensions of a fingerprint in an overlay, so that some descriptors fit in one frame.
pub const MAX_OVERLAY_DIMS: usize = 1024;

/// The most bytes of an admission credential.
pub const MAX_CREDENTIAL_BYTES: usize = 256;

/// The most bytes of a descriptor: key, order, address, space, fingerprint, credential, signature, and the lengths.
pub(crate) const MAX_DESCRIPTOR_BYTES: usize =
    32 + 5 + 5 + 2 + 255 + 4 + 2 + MAX_OVERLAY_DIMS + 2 + MAX_CREDENTIAL_BYTES + 64;

const LABEL: &str = "overlay/descriptor/1";
const SIGNATURE_BYTES: usize = 64;
const KEY_BYTES: usize = 32;

/// What a node signs of itself, without its keys.
#[derive(Clone, Debug)]
pub struct Statement {
    /// Where it is.
    pub address: Address,
    /// Its situation, of at most [`MAX_OVERLAY_DIMS`] dimensions. It travels in one byte a dimension; its length does not matter.
    pub fingerprint: Fingerprint,
    /// Which of its descriptors is the newest.
    pub order: Order,
    /// What admits it to the network, for the [`Admission`] of the others; at most [`MAX_CREDENTIAL_BYTES`], empty for none.
    pub credential: Vec<u8>,
}

/// A node as others know it: its descriptor, read and verified. Cheap to clone, since the clones share it.
///
/// One that is not to be passed on needs no proof, and is kept [without](Self::without_proof).
///
/// A node keeps as many of them as its memory allows, so that one is a single allocation of no more than it says: a head of fixed
/// places, the descriptor or what is kept of it, and the organisation if there is one.
#[derive(Clone, PartialEq, Eq)]
pub struct Contact(Arc<[u8]>);

/// What is kept of a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// All of it.
    Signed,
    /// Its address, and the codes of its fingerprint.
    Codes,
    /// Its address, and the codes in six bits each.
    Packed,
}

/// Where the head of a contact has what. Numbers are little-endian.
mod place {
    use std::ops::Range;

    pub(super) const AUTHOR: Range<usize> = 0..16;
    pub(super) const INCARNATION: usize = 16;
    pub(super) const SEQUENCE: usize = 20;
    /// What makes a dot product a cosine: one over the length of the codes.
    pub(super) const SCALE: usize = 24;
    /// Until when it is admitted, in seconds since 1970; `u32::MAX` for ever.
    pub(super) const EXPIRES: usize = 28;
    /// How many dimensions, and where address and codes begin, in two bytes each.
    pub(super) const DIMS: usize = 32;
    pub(super) const ADDRESS_AT: usize = 34;
    pub(super) const CODES_AT: usize = 36;
    pub(super) const ADDRESS_LEN: usize = 38;
    pub(super) const FORM: usize = 39;
    pub(super) const END: usize = 40;

    /// In the byte of the form: the last eight bytes are the organisation.
    pub(super) const HAS_ORGANISATION: u8 = 0x80;
}

/// What a contact is made of.
struct Parts<'a> {
    author: AuthorId,
    order: Order,
    scale: metric::Scale,
    admitted: Admitted,
    dims: usize,
    address: Range<usize>,
    codes_at: usize,
    form: Form,
    /// Where the places of address and codes are in.
    data: &'a [&'a [u8]],
}

impl Parts<'_> {
    /// None when a place is beyond 65,535, which no descriptor is long enough for.
    fn join(&self) -> Option<Contact> {
        let place = |at: usize| u16::try_from(place::END + at).ok();
        let form = self.form as u8;
        let organisation = self.admitted.organisation.map(Organisation::to_bytes);
        let len: usize = self.data.iter().map(|part| part.len()).sum();
        let mut bytes = Vec::with_capacity(place::END + len + organisation.map_or(0, |bytes| bytes.len()));
        bytes.extend_from_slice(self.author.as_bytes());
        bytes.extend_from_slice(&self.order.incarnation.to_le_bytes());
        bytes.extend_from_slice(&self.order.sequence.to_le_bytes());
        bytes.extend_from_slice(&self.scale.to_le_bytes());
        bytes.extend_from_slice(&self.admitted.expires.map_or(u32::MAX, in_seconds).to_le_bytes());
        bytes.extend_from_slice(&u16::try_from(self.dims).ok()?.to_le_bytes());
        bytes.extend_from_slice(&place(self.address.start)?.to_le_bytes());
        bytes.extend_from_slice(&place(self.codes_at)?.to_le_bytes());
        bytes.push(u8::try_from(self.address.len()).ok()?);
        bytes.push(if organisation.is_some() { form | place::HAS_ORGANISATION } else { form });
        debug_assert_eq!(bytes.len(), place::END);
        for part in self.data {
            bytes.extend_from_slice(part);
        }
        bytes.extend_from_slice(organisation.as_ref().map_or(&[], |bytes| bytes.as_slice()));
        Some(Contact(bytes.into()))
    }
}

/// Decides who is admitted to a network, beyond having a key.
///
/// # To be correct
///
/// The answer depends on the arguments, on what was given when it was made and on the time the host has told it, on nothing else, since every
/// node asks for itself; it is quick, and does not wait. A descriptor that is kept is not asked about again: what is admitted for a time only has to
/// say so in [`Admitted::expires`].
pub trait Admission: fmt::Debug + Send + Sync + 'static {
    /// Whether this credential admits this author, and what it says of it.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotAdmitted`] when it does not.
    fn admits(&self, author: AuthorId, credential: &[u8]) -> Result<Admitted, Refusal>;

    /// Tells what time it is by the wall clock, at most once a second or so; nothing needs to be done about it.
    fn set_time(&self, now: Timestamp) {
        let _ = now;
    }
}

impl<A: Admission + ?Sized> Admission for Arc<A> {
    fn admits(&self, author: AuthorId, credential: &[u8]) -> Result<Admitted, Refusal> {
        (**self).admits(author, credential)
    }

    fn set_time(&self, now: Timestamp) {
        (**self).set_time(now);
    }
}

/// What an [`Admission`] says of a member.
///
/// Later versions add fields: write `Admitted { organisation, ..Admitted::default() }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Admitted {
    /// On whose behalf it takes part, if that is known.
    pub organisation: Option<Organisation>,
    /// The last second of it, if it has one. An overlay that knows the time forgets the contact [`SKEW_SECONDS`] later.
    pub expires: Option<Timestamp>,
}

/// Admits everybody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Open;

impl Admission for Open {
    fn admits(&self, _: AuthorId, _: &[u8]) -> Result<Admitted, Refusal> {
        Ok(Admitted::default())
    }
}

/// Verifies descriptors, and keeps those that are verified.
///
/// A node has a [`Verifier`]. A simulator has one registry for all its nodes, which keeps one copy of each descriptor and verifies
/// it once.
///
/// # To be correct
///
/// - `admit` gives a contact only for bytes that [`Contact::verify`] accepts, and the contact that it gives.
/// - `without_proof` gives the same contact, and may drop its proof.
/// - Both are called for each descriptor that comes, and do not wait.
pub trait Registry: fmt::Debug + Send + Sync + 'static {
    /// The contact of a descriptor's bytes, which come from anybody.
    ///
    /// # Errors
    ///
    /// [`Refusal`] with what is wrong about them.
    fn admit(&self, bytes: &[u8]) -> Result<Contact, Refusal>;

    /// The contact as it is kept where it will not be passed on.
    fn without_proof(&self, contact: &Contact) -> Contact;

    /// Tells what time it is by the wall clock, for an admission that goes by it.
    fn set_time(&self, now: Timestamp) {
        let _ = now;
    }
}

/// The registry of a node: verifies all that comes.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// The network whose descriptors are taken.
    pub network: NetworkId,
    /// Who is admitted to it.
    pub admission: Arc<dyn Admission>,
}

impl Registry for Verifier {
    fn admit(&self, bytes: &[u8]) -> Result<Contact, Refusal> {
        Contact::verify(bytes, self.network, &*self.admission)
    }

    fn without_proof(&self, contact: &Contact) -> Contact {
        contact.without_proof()
    }

    fn set_time(&self, now: Timestamp) {
        self.admission.set_time(now);
    }
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    key: [u8; KEY_BYTES],
    incarnation: u32,
    sequence: u32,
    address: &'a str,
    space: [u8; 4],
    #[serde(with = "serde_bytes")]
    codes: &'a [u8],
    #[serde(with = "serde_bytes")]
    credential: &'a [u8],
}

/// What is wrong about a statement before it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StatementError {
    /// More dimensions than [`MAX_OVERLAY_DIMS`].
    #[error("a fingerprint of {dims} dimensions is too large for an overlay")]
    Dims {
        /// How many it has.
        dims: usize,
    },
    /// More bytes than [`MAX_CREDENTIAL_BYTES`].
    #[error("a credential of {len} bytes is too large")]
    Credential {
        /// How many it has.
        len: usize,
    },
}

impl Statement {
    /// The descriptor of this statement: its bytes, signed.
    ///
    /// # Errors
    ///
    /// [`StatementError`] when a part of it is too large.
    pub fn sign(&self, identity: &Identity, network: NetworkId) -> Result<Vec<u8>, StatementError> {
        let dims = self.fingerprint.dims();
        if dims > MAX_OVERLAY_DIMS {
            return Err(StatementError::Dims { dims });
        }
        let len = self.credential.len();
        if len > MAX_CREDENTIAL_BYTES {
            return Err(StatementError::Credential { len });
        }
        let codes: Vec<u8> = self.fingerprint.codes().iter().map(|code| code.cast_unsigned()).collect();
        let body = Body {
            key: identity.public_key().to_bytes(),
            incarnation: self.order.incarnation,
            sequence: self.order.sequence,
            address: self.address.as_str(),
            space: self.fingerprint.space().to_bytes(),
            codes: &codes,
            credential: &self.credential,
        };
        let written = to_extend(&body, Vec::with_capacity(dims + 192));
        debug_assert!(written.is_ok(), "postcard writes plain structs into a vector");
        let mut bytes = written.unwrap_or_default();
        bytes.extend(identity.sign_statement(LABEL, network, &bytes));
        Ok(bytes)
    }
}

impl Contact {
    /// Reads and verifies a descriptor. Cheap checks come first.
    ///
    /// # Errors
    ///
    /// [`Refusal`] when it is no descriptor in its only form, its author is not admitted, or it is not signed in this network.
    pub fn verify(bytes: &[u8], network: NetworkId, admission: &dyn Admission) -> Result<Self, Refusal> {
        if bytes.len() > MAX_DESCRIPTOR_BYTES {
            return Err(Refusal::Malformed);
        }
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_BYTES>().ok_or(Refusal::Malformed)?;
        let (body, rest) = take_from_bytes::<Body<'_>>(signed).map_err(|_| Refusal::Malformed)?;
        let again = to_extend(&body, Vec::with_capacity(signed.len())).map_err(|_| Refusal::Malformed)?;
        let in_range = body.codes.len() <= MAX_OVERLAY_DIMS && body.credential.len() <= MAX_CREDENTIAL_BYTES;
        if !rest.is_empty() || again != signed || !in_range {
            return Err(Refusal::Malformed);
        }
        Address::from_str(body.address).map_err(|_| Refusal::Malformed)?;
        let scale = metric::scale(body.codes).ok_or(Refusal::Malformed)?;
        let key = PublicKey::from_bytes(&body.key).map_err(|_| Refusal::Signature)?;
        let author = key.author();
        let admitted = admission.admits(author, body.credential)?;
        if !key.verifies_statement(LABEL, network, signed, signature) {
            return Err(Refusal::Signature);
        }
        // The credential's length takes one byte more from 128 bytes on.
        let after = body.credential.len() + if body.credential.len() < 128 { 1 } else { 2 };
        let codes_at = signed.len().saturating_sub(after + body.codes.len());
        // The codes' length too.
        let before = if body.codes.len() < 128 { 1 } else { 2 } + body.space.len() + body.address.len();
        let address_at = codes_at.saturating_sub(before);
        let parts = Parts {
            author,
            order: Order { incarnation: body.incarnation, sequence: body.sequence },
            scale,
            admitted,
            dims: body.codes.len(),
            address: address_at..address_at + body.address.len(),
            codes_at,
            form: Form::Signed,
            data: &[bytes],
        };
        parts.join().ok_or(Refusal::Malformed)
    }

    /// The space that a descriptor says it is in and its number of dimensions, nothing checked: to refuse those of another one before
    /// the costly [`verify`](Self::verify).
    #[must_use]
    pub fn claimed_space(bytes: &[u8]) -> Option<(SpaceId, usize)> {
        let (body, _) = take_from_bytes::<Body<'_>>(bytes).ok()?;
        Some((SpaceId::from_bytes(body.space), body.codes.len()))
    }

    /// What a descriptor says of its node's situation and of its own order, nothing checked: to verify only those that matter.
    pub(crate) fn claimed_situation(bytes: &[u8]) -> Option<(Fingerprint, Order)> {
        let (body, _) = take_from_bytes::<Body<'_>>(bytes).ok()?;
        let codes = body.codes.iter().map(|code| code.cast_signed()).collect();
        let fingerprint = Fingerprint::from_codes(SpaceId::from_bytes(body.space), codes).ok()?;
        Some((fingerprint, Order { incarnation: body.incarnation, sequence: body.sequence }))
    }

    /// The same node without what proves it to others, and its fingerprint in six bits a dimension where that is precise enough: the
    /// cosine then errs by some thousandths.
    #[must_use]
    pub fn without_proof(&self) -> Self {
        if self.form() != Form::Signed {
            return self.clone();
        }
        let codes = self.codes();
        let packed = metric::pack(&codes).and_then(|packed| {
            let scale = metric::scale(&metric::unpack(&packed, codes.len()))?;
            Some((Form::Packed, scale, packed.into()))
        });
        let (form, scale, codes) = packed.unwrap_or((Form::Codes, self.scale(), codes));
        let address = self.address_bytes();
        let parts = Parts {
            author: self.author(),
            order: self.order(),
            scale,
            admitted: Admitted { organisation: self.organisation(), expires: self.expires() },
            dims: self.dims(),
            address: 0..address.len(),
            codes_at: address.len(),
            form,
            data: &[address, &codes],
        };
        parts.join().unwrap_or_else(|| self.clone())
    }

    /// Its pseudonym.
    #[must_use]
    pub fn author(&self) -> AuthorId {
        AuthorId::from_bytes(self.array(place::AUTHOR.start))
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &str {
        // It was text when it was verified.
        std::str::from_utf8(self.address_bytes()).unwrap_or_default()
    }

    /// Where it is, to send to.
    #[must_use]
    pub fn to_address(&self) -> Address {
        Address::verified(self.address())
    }

    fn address_bytes(&self) -> &[u8] {
        let from = usize::from(self.short(place::ADDRESS_AT));
        let [len] = self.array(place::ADDRESS_LEN);
        self.0.get(from..from + usize::from(len)).unwrap_or_default()
    }

    /// Which of its descriptors this is.
    #[must_use]
    pub fn order(&self) -> Order {
        let number = |at| u32::from_le_bytes(self.array(at));
        Order { incarnation: number(place::INCARNATION), sequence: number(place::SEQUENCE) }
    }

    /// On whose behalf it takes part, as the [`Admission`] said when its descriptor was verified.
    #[must_use]
    pub fn organisation(&self) -> Option<Organisation> {
        let (_, last) = self.0.split_last_chunk()?;
        (self.organisation_bytes() > 0).then(|| Organisation::from_bytes(*last))
    }

    fn organisation_bytes(&self) -> usize {
        let [form] = self.array(place::FORM);
        if form & place::HAS_ORGANISATION == 0 { 0 } else { size_of::<Organisation>() }
    }

    /// The last second for which the [`Admission`] admitted it; none when it has no end, or one after the year 2105.
    #[must_use]
    pub fn expires(&self) -> Option<Timestamp> {
        let expires = u32::from_le_bytes(self.array(place::EXPIRES));
        (expires != u32::MAX).then(|| Timestamp::from_unix_seconds(expires.into()))
    }

    /// Whether its admission was over [`SKEW_SECONDS`] before this time.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires().is_some_and(|expires| now > expires.saturating_add(SKEW_SECONDS))
    }

    /// Its descriptor as it was signed, while it is kept.
    #[must_use]
    pub fn proof(&self) -> Option<&[u8]> {
        let end = self.0.len().saturating_sub(self.organisation_bytes());
        self.0.get(place::END..end).filter(|_| self.form() == Form::Signed)
    }

    /// The codes of its fingerprint, in two's complement.
    #[must_use]
    pub fn codes(&self) -> Cow<'_, [u8]> {
        match self.plain_codes() {
            Some(codes) => codes.into(),
            None => metric::unpack(self.stored_codes(), self.dims()).into(),
        }
    }

    /// It as a directory names nodes, in the space of the overlay it is a contact of; `None` when that space is of other dimensions.
    #[must_use]
    pub fn to_peer(&self, space: SpaceId) -> Option<Peer> {
        let codes = self.codes().iter().map(|code| code.cast_signed()).collect();
        let fingerprint = Fingerprint::from_codes(space, codes).ok()?;
        Some(Peer {
            author: self.author(),
            address: self.to_address(),
            fingerprint,
            organisation: self.organisation(),
        })
    }

    /// Of how many dimensions its fingerprint is.
    #[must_use]
    pub fn dims(&self) -> usize {
        self.short(place::DIMS).into()
    }

    fn form(&self) -> Form {
        let [form] = self.array(place::FORM);
        match form & !place::HAS_ORGANISATION {
            form if form == Form::Signed as u8 => Form::Signed,
            form if form == Form::Codes as u8 => Form::Codes,
            _ => Form::Packed,
        }
    }

    fn scale(&self) -> metric::Scale {
        metric::Scale::from_le_bytes(self.array(place::SCALE))
    }

    /// As they lie here, packed or not.
    fn stored_codes(&self) -> &[u8] {
        let from = usize::from(self.short(place::CODES_AT));
        let len = if self.form() == Form::Packed { metric::packed_len(self.dims()) } else { self.dims() };
        self.0.get(from..from + len).unwrap_or_default()
    }

    fn plain_codes(&self) -> Option<&[u8]> {
        (self.form() != Form::Packed).then(|| self.stored_codes())
    }

    fn short(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    /// Some bytes of the head, which is always there.
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
    }

    /// Its fingerprint, unless that is packed.
    pub(super) fn direction(&self) -> Option<Direction<'_>> {
        self.plain_codes().map(|codes| self.direction_of(codes))
    }

    /// Its fingerprint, of these codes of it.
    pub(super) fn direction_of<'a>(&self, codes: &'a [u8]) -> Direction<'a> {
        Direction { codes, scale: self.scale() }
    }

    /// How similar it is.
    pub(super) fn cosine(&self, target: Direction<'_>) -> f32 {
        match self.direction() {
            Some(direction) => target.cosine(direction),
            None => target.cosine_of_packed(self.stored_codes(), self.scale()),
        }
    }

    /// How many bytes of memory it takes, with its proof or without, the counts of the pointer included. A simulator may share what a node would not.
    pub(super) fn bytes(&self, with_proof: bool) -> usize {
        let counts = 2 * size_of::<usize>();
        if with_proof || self.form() != Form::Signed {
            return counts + self.0.len();
        }
        let codes =
            if metric::is_packable(&self.codes()) { metric::packed_len(self.dims()) } else { self.dims() };
        counts + place::END + self.address_bytes().len() + codes + self.organisation_bytes()
    }
}

fn in_seconds(time: Timestamp) -> u32 {
    u32::try_from(time.unix_seconds()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("author", &self.author())
            .field("address", &self.address())
            .field("order", &self.order())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn network() -> NetworkId {
        NetworkId::new("test")
    }

    fn statement(credential: usize) -> Statement {
        Statement {
            address: "a:1".parse().unwrap(),
            fingerprint: Fingerprint::from_codes(SpaceId::new("t", 3), vec![3, -4, 0]).unwrap(),
            order: Order { incarnation: 200, sequence: 1 },
            credential: vec![9; credential],
        }
    }

    #[test]
    fn a_descriptor_comes_back() {
        let identity = Identity::from_seed([1; 32]);
        for credential in [0, 1, 127, 128, 256] {
            let bytes = statement(credential).sign(&identity, network()).unwrap();
            assert_eq!(
                Contact::claimed_space(&bytes),
                Some((SpaceId::new("t", 3), 3)),
                "the claim is what is signed"
            );
            let contact = Contact::verify(&bytes, network(), &Open).unwrap();
            assert_eq!((contact.author(), contact.address()), (identity.author(), "a:1"));
            assert_eq!(*contact.codes(), [3, 252, 0]);
            assert_eq!(contact.proof(), Some(&bytes[..]));
            let bare = contact.without_proof();
            assert_eq!((bare.codes(), bare.proof()), (contact.codes(), None));
            assert_eq!(bare.bytes(false), contact.bytes(false));
        }
        assert_eq!(statement(257).sign(&identity, network()), Err(StatementError::Credential { len: 257 }));
    }

    #[test]
    fn another_network_every_flipped_bit_and_strangers_are_refused() {
        #[derive(Debug)]
        struct Nobody;
        impl Admission for Nobody {
            fn admits(&self, _: AuthorId, _: &[u8]) -> Result<Admitted, Refusal> {
                Err(Refusal::NotAdmitted)
            }
        }
        let bytes = statement(2).sign(&Identity::from_seed([1; 32]), network()).unwrap();
        let verify = |bytes: &[u8], network| Contact::verify(bytes, network, &Open);
        assert_eq!(verify(&bytes, NetworkId::new("other")), Err(Refusal::Signature));
        assert_eq!(Contact::verify(&bytes, network(), &Nobody), Err(Refusal::NotAdmitted));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&flipped, network()).is_err(), "bit {bit}");
        }
        let mut longer = bytes.clone();
        longer.insert(bytes.len() - 64, 0);
        assert_eq!(verify(&longer, network()), Err(Refusal::Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(Contact::verify(&bytes, network(), &Open).is_err());
        }
    }
}
