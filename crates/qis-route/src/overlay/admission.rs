//! Admission by credentials, which say on whose behalf a node takes part.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use postcard::{take_from_bytes, to_extend};
use qis_packet::{AuthorId, Identity, NetworkId, PublicKey, SKEW_SECONDS, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Admission, Admitted, Refusal};
use crate::Organisation;

const LABEL: &str = "overlay/credential/1";
const SIGNATURE_BYTES: usize = 64;

/// What an issuer says of an author: on whose behalf it takes part in a network, and until when.
///
/// Its bytes go into the [descriptor](super::Statement::credential) of that author's node. They are of use to nobody else, since the
/// author is part of what is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Who signed it.
    pub issuer: AuthorId,
    /// On whose behalf the author takes part.
    pub organisation: Organisation,
    /// The last second of it.
    pub expires: Timestamp,
}

/// Why bytes are no credential of an author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Not a credential in its only form.
    #[error("not a credential")]
    Malformed,
    /// Signed with a key that is not trusted to issue credentials.
    #[error("issued by {issuer:?}, which is not trusted to")]
    Issuer {
        /// Who is said to have signed it.
        issuer: AuthorId,
    },
    /// The signature is not the issuer's over this author, organisation, time and network.
    #[error("the signature is invalid")]
    Signature,
}

#[derive(Serialize, Deserialize)]
struct Body {
    issuer: [u8; 16],
    organisation: [u8; 8],
    expires: u64,
}

impl Credential {
    /// The most bytes of a credential.
    pub const MAX_BYTES: usize = 16 + 8 + 10 + SIGNATURE_BYTES;

    /// Says that `author` takes part in `network` on behalf of `organisation` until `expires`, that second included: the bytes
    /// of the credential, at most [`MAX_BYTES`](Self::MAX_BYTES) and 93 in this century.
    ///
    /// A credential can't be withdrawn, so let it expire soon and issue the next one in time: a month, say.
    #[must_use]
    pub fn issue(
        issuer: &Identity,
        network: NetworkId,
        author: AuthorId,
        organisation: Organisation,
        expires: Timestamp,
    ) -> Vec<u8> {
        let body = Body {
            issuer: *issuer.author().as_bytes(),
            organisation: organisation.to_bytes(),
            expires: expires.unix_seconds(),
        };
        let written = to_extend(&body, Vec::with_capacity(Self::MAX_BYTES));
        debug_assert!(written.is_ok(), "postcard writes plain structs into a vector");
        let mut bytes = written.unwrap_or_default();
        bytes.extend(issuer.sign_statement(LABEL, network, &message(author, &bytes)));
        bytes
    }

    /// Reads a credential and checks that it is of this author and network, by an issuer whose key `trusted` gives. Whether it has
    /// expired is for the caller to say.
    ///
    /// # Errors
    ///
    /// [`CredentialError`] with what is wrong about it. The signature, which is costly, is looked at last.
    pub fn verify(
        bytes: &[u8],
        network: NetworkId,
        author: AuthorId,
        trusted: impl FnOnce(AuthorId) -> Option<PublicKey>,
    ) -> Result<Self, CredentialError> {
        let (signed, signature) =
            bytes.split_last_chunk::<SIGNATURE_BYTES>().ok_or(CredentialError::Malformed)?;
        let (body, rest) = take_from_bytes::<Body>(signed).map_err(|_| CredentialError::Malformed)?;
        let again = to_extend(&body, Vec::with_capacity(signed.len()));
        if !rest.is_empty() || again.as_deref() != Ok(signed) {
            return Err(CredentialError::Malformed);
        }
        let issuer = AuthorId::from_bytes(body.issuer);
        let key = trusted(issuer).filter(|key| key.author() == issuer);
        let key = key.ok_or(CredentialError::Issuer { issuer })?;
        if !key.verifies_statement(LABEL, network, &message(author, signed), signature) {
            return Err(CredentialError::Signature);
        }
        let organisation = Organisation::from_bytes(body.organisation);
        Ok(Self { issuer, organisation, expires: Timestamp::from_unix_seconds(body.expires) })
    }
}

fn message(author: AuthorId, body: &[u8]) -> Vec<u8> {
    [author.as_bytes(), body].concat()
}

/// Admits those who have a [`Credential`] from one of some issuers, as members of the organisation it names.
///
/// An overlay has no calendar, so the time is told: by [`Overlays::set_time`](super::Overlays::set_time), which a node of the facade calls by its own
/// clock. With a [`DhtDirectory`](crate::DhtDirectory), which has no clock, the host keeps an `Arc` of it and [`set_time`](Self::set_time)s it once an hour
/// or so. A credential counts until [`SKEW_SECONDS`] after it has expired. It is looked at whenever a descriptor is verified; a contact that is kept
/// is forgotten when it [is over](super::Contact::is_expired).
///
/// ```
/// use qis_packet::{Identity, NetworkId, Timestamp};
/// use qis_route::Organisation;
/// use qis_route::overlay::{Admission, Credential, Issuers};
///
/// let (ministry, clinic) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
/// let (network, now) = (NetworkId::new("cardiology"), Timestamp::from_unix_seconds(1_795_000_000));
/// let of = Organisation::new("St Mary's");
/// let credential = Credential::issue(&ministry, network, clinic.author(), of, now.saturating_add(30 * 86_400));
///
/// let issuers = Issuers::new(network, [ministry.public_key()], now);
/// let admitted = issuers.admits(clinic.author(), &credential).expect("it is in force");
/// assert_eq!(admitted.organisation, Some(of));
/// ```
#[derive(Debug)]
pub struct Issuers {
    network: NetworkId,
    keys: BTreeMap<AuthorId, PublicKey>,
    now: AtomicU64,
}

impl Issuers {
    /// Those whose keys these are, for a network, at this time. Without a key nobody is admitted.
    #[must_use]
    pub fn new(network: NetworkId, keys: impl IntoIterator<Item = PublicKey>, now: Timestamp) -> Self {
        let keys = keys.into_iter().map(|key| (key.author(), key)).collect();
        Self { network, keys, now: AtomicU64::new(now.unix_seconds()) }
    }

    /// What time it is, from now on.
    pub fn set_time(&self, now: Timestamp) {
        self.now.store(now.unix_seconds(), Ordering::Relaxed);
    }
}

impl Admission for Issuers {
    fn admits(&self, author: AuthorId, credential: &[u8]) -> Result<Admitted, Refusal> {
        let trusted = |issuer| self.keys.get(&issuer).copied();
        let credential = Credential::verify(credential, self.network, author, trusted);
        let Credential { organisation, expires, .. } = credential.map_err(|_| Refusal::NotAdmitted)?;
        let now = Timestamp::from_unix_seconds(self.now.load(Ordering::Relaxed));
        if now > expires.saturating_add(SKEW_SECONDS) {
            return Err(Refusal::NotAdmitted);
        }
        Ok(Admitted { organisation: Some(organisation), expires: Some(expires) })
    }

    fn set_time(&self, now: Timestamp) {
        self.set_time(now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Contact, MAX_CREDENTIAL_BYTES, Statement};
    use super::*;

    const EXPIRES: u64 = 1_800_000_000;
    const _: () = assert!(Credential::MAX_BYTES <= MAX_CREDENTIAL_BYTES);

    fn identity(seed: u8) -> Identity {
        Identity::from_seed([seed; 32])
    }

    fn network() -> NetworkId {
        NetworkId::new("test")
    }

    fn organisation() -> Organisation {
        Organisation::new("st-mary")
    }

    fn issue(network: NetworkId) -> Vec<u8> {
        let expires = Timestamp::from_unix_seconds(EXPIRES);
        Credential::issue(&identity(1), network, identity(2).author(), organisation(), expires)
    }

    fn issuers(seed: u8) -> Issuers {
        Issuers::new(network(), [identity(seed).public_key()], Timestamp::from_unix_seconds(EXPIRES))
    }

    fn verify(bytes: &[u8]) -> Result<Credential, CredentialError> {
        Credential::verify(bytes, network(), identity(2).author(), |_| Some(identity(1).public_key()))
    }

    #[test]
    fn a_member_is_admitted_until_its_credential_expires() {
        let (issuers, author, bytes) = (issuers(1), identity(2).author(), issue(network()));
        let expires = Timestamp::from_unix_seconds(EXPIRES);
        let admitted = Admitted { organisation: Some(organisation()), expires: Some(expires) };
        assert_eq!(issuers.admits(author, &bytes), Ok(admitted));
        issuers.set_time(expires.saturating_add(SKEW_SECONDS));
        assert_eq!(issuers.admits(author, &bytes), Ok(admitted));
        issuers.set_time(expires.saturating_add(SKEW_SECONDS + 1));
        assert_eq!(issuers.admits(author, &bytes), Err(Refusal::NotAdmitted));
        issuers.set_time(Timestamp::from_unix_seconds(u64::MAX));
        assert_eq!(issuers.admits(author, &bytes), Err(Refusal::NotAdmitted));
    }

    #[test]
    fn what_is_not_for_this_author_and_network_or_by_a_stranger_is_refused() {
        let author = identity(2).author();
        let refused = |issuers: &Issuers, author, bytes: &[u8]| {
            assert_eq!(issuers.admits(author, bytes), Err(Refusal::NotAdmitted));
        };
        refused(&issuers(1), identity(3).author(), &issue(network()));
        refused(&issuers(1), author, &issue(NetworkId::new("other")));
        refused(&issuers(2), author, &issue(network()));
        refused(&issuers(1), author, b"");
        let nobody = Issuers::new(network(), [], Timestamp::from_unix_seconds(0));
        refused(&nobody, author, &issue(network()));
        // Signed by itself in the issuer's name.
        let mut forged = issue(network());
        let at = forged.len() - SIGNATURE_BYTES;
        let signature = identity(2).sign_statement(LABEL, network(), &message(author, &forged[..at]));
        forged[at..].copy_from_slice(&signature);
        assert_eq!(verify(&forged), Err(CredentialError::Signature));
        // A key that is not the one the credential names.
        let other =
            Credential::verify(&issue(network()), network(), author, |_| Some(identity(2).public_key()));
        assert_eq!(other, Err(CredentialError::Issuer { issuer: identity(1).author() }));
    }

    #[test]
    fn there_is_one_form_and_every_bit_counts() {
        let bytes = issue(network());
        assert_eq!(bytes.len(), 93);
        for len in 0..bytes.len() {
            assert!(verify(&bytes[..len]).is_err(), "{len} bytes");
        }
        for at in [0, 29, bytes.len()] {
            let mut longer = bytes.clone();
            longer.insert(at, 0);
            assert!(verify(&longer).is_err(), "a byte at {at}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(verify(&flipped).is_err(), "bit {bit}");
        }
        // The same time in more bytes than it needs, signed.
        let mut long = bytes[..bytes.len() - SIGNATURE_BYTES].to_vec();
        *long.last_mut().unwrap() |= 0x80;
        long.push(0);
        let signature = identity(1).sign_statement(LABEL, network(), &message(identity(2).author(), &long));
        long.extend(signature);
        assert_eq!(verify(&long), Err(CredentialError::Malformed));
    }

    #[test]
    fn the_wire_format_s_vector() {
        let hex: String = issue(network()).iter().map(|byte| format!("{byte:02x}")).collect();
        let vector = concat!(
            "34750f98bd59fcfc946da45aaabe933b",                                 // issuer
            "c70c4190f5095770",                                                 // organisation
            "80a4a7da06",                                                       // expires
            "116dce283acecad9b652abb26712be7a20affb19de1dff6b14cfdb51959f506a", // signature
            "d9ec00e9fec25580d3643836448483fdeea40af518dec4024703bd1c1b87a109",
        );
        assert_eq!(hex, vector);
    }

    #[test]
    fn a_contact_knows_its_organisation() {
        use qis_fingerprint::{Fingerprint, SpaceId};
        let sign = |credential| {
            let statement = Statement {
                address: "a:1".parse().unwrap(),
                fingerprint: Fingerprint::from_codes(SpaceId::new("t", 3), vec![3, -4, 0]).unwrap(),
                order: qis_packet::Order { incarnation: 1, sequence: 1 },
                credential,
            };
            statement.sign(&identity(2), network()).unwrap()
        };
        let contact = Contact::verify(&sign(issue(network())), network(), &issuers(1)).unwrap();
        for contact in [contact.without_proof(), contact] {
            assert_eq!(contact.organisation(), Some(organisation()));
            assert_eq!(contact.expires(), Some(Timestamp::from_unix_seconds(EXPIRES)));
        }
        let none = Contact::verify(&sign(Vec::new()), network(), &issuers(1));
        assert_eq!(none, Err(Refusal::NotAdmitted));
        let open = Contact::verify(&sign(Vec::new()), network(), &super::super::Open).unwrap();
        assert_eq!((open.organisation(), open.expires()), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(verify(&bytes).is_err());
        }

        #[test]
        fn it_comes_back(expires: u64, name: String) {
            let (author, of) = (identity(2).author(), Organisation::new(&name));
            let expires = Timestamp::from_unix_seconds(expires);
            let bytes = Credential::issue(&identity(1), network(), author, of, expires);
            prop_assert!(bytes.len() <= Credential::MAX_BYTES);
            let issuer = identity(1).author();
            prop_assert_eq!(verify(&bytes), Ok(Credential { issuer, organisation: of, expires }));
        }
    }
}
