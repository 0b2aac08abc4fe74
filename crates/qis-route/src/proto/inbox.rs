//! The newest packet of each author and domain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use qis_packet::{
    AuthorId, DomainTag, NetworkId, Order, OutcomePacket, PacketId, PublicKey, RotationStatement,
    SKEW_SECONDS, Timestamp, VerifiedPacket,
};

use super::rotations::{RotationRefusal, Rotations};
use crate::{Operation, Table};

/// Knows a node's domains and decodes their payloads, once for each packet that is applied.
pub trait PayloadDecoder: fmt::Debug + Send + 'static {
    /// What a payload decodes to; synthesis reads it again and again.
    type Content: fmt::Debug + Clone + Send + Sync;

    /// Whether the node takes part in the domain. Asked before anything costly is done.
    fn knows(&self, domain: &DomainTag) -> bool;

    /// Decodes the payload of a packet, which is not a retraction. Must be total and must not depend on state.
    ///
    /// # Errors
    ///
    /// [`PayloadRefusal`] when the payload is not what the domain takes.
    fn decode(&self, packet: &OutcomePacket) -> Result<Self::Content, PayloadRefusal>;
}

/// Why a payload is not what its domain takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadRefusal {
    /// A delta where evidence is due, or the other way.
    #[error("the domain takes {expected}")]
    Kind {
        /// What it takes.
        expected: &'static str,
    },
    /// Another number of dimensions.
    #[error("the domain takes {expected} dimensions, the payload has {actual}")]
    Dims {
        /// The domain's.
        expected: usize,
        /// The payload's.
        actual: usize,
    },
    /// The bytes are no such payload.
    #[error("the payload is malformed: {0}")]
    Malformed(String),
}

/// The standing packet of an author in a domain.
#[derive(Clone, Debug)]
pub struct Standing<C> {
    packet: VerifiedPacket,
    /// Asked for by every query, so not hashed again for each.
    id: PacketId,
    content: Option<C>,
    /// Until when it must be remembered, so that nothing older that was applied here can be applied again.
    keep_until: Timestamp,
}

impl<C> Standing<C> {
    /// The packet.
    #[must_use]
    pub const fn packet(&self) -> &VerifiedPacket {
        &self.packet
    }

    /// The packet's id.
    #[must_use]
    pub const fn id(&self) -> &PacketId {
        &self.id
    }

    /// What it decoded to; `None` for a retraction.
    #[must_use]
    pub const fn content(&self) -> Option<&C> {
        self.content.as_ref()
    }
}

/// Standing packets and what is known of their authors' keys.
///
/// A place is freed when everything that was ever applied in it has expired. Until then a replay finds a newer order in the place, after
/// that it is refused as expired: so nothing is ever applied twice, and no record of evicted orders is needed.
#[derive(Debug)]
pub(super) struct Inbox<C> {
    authors_per_domain: usize,
    standing: BTreeMap<(DomainTag, AuthorId), Standing<C>>,
    authors: BTreeMap<DomainTag, usize>,
    keys: BTreeMap<AuthorId, (PublicKey, Timestamp)>,
    rotations: Rotations,
}

impl<C: Clone> Inbox<C> {
    pub(super) fn new(authors_per_domain: usize) -> Self {
        Self {
            authors_per_domain,
            standing: BTreeMap::new(),
            authors: BTreeMap::new(),
            keys: BTreeMap::new(),
            rotations: Rotations::new(authors_per_domain),
        }
    }

    /// The id under which all keys of an author count.
    pub(super) fn root(&self, author: AuthorId) -> AuthorId {
        self.rotations.root(author)
    }

    pub(super) const fn rotations(&self) -> &Rotations {
        &self.rotations
    }

    pub(super) fn get(&self, domain: DomainTag, author: AuthorId) -> Option<&Standing<C>> {
        self.standing.get(&(domain, self.root(author)))
    }

    pub(super) fn highest(&self, domain: DomainTag, author: AuthorId) -> Option<Order> {
        self.get(domain, author).map(|standing| standing.packet.order())
    }

    pub(super) fn key(&self, author: AuthorId) -> Option<&PublicKey> {
        self.keys.get(&author).map(|(key, _)| key)
    }

    /// Whether something of this author stands here, under this key or one that statements link to it.
    pub(super) fn is_known(&self, author: AuthorId) -> bool {
        let root = self.root(author);
        self.keys.contains_key(&author) || self.domains().any(|at| self.standing.contains_key(&(at, root)))
    }

    pub(super) fn has_place(&self, domain: DomainTag, author: AuthorId) -> bool {
        self.get(domain, author).is_some()
            || self.authors.get(&domain).copied().unwrap_or(0) < self.authors_per_domain
    }

    /// What a packet will stand as, and the change to the store. The caller has checked that it is newer and that there is a place.
    pub(super) fn prepare(&self, packet: VerifiedPacket, content: Option<C>) -> (Standing<C>, Operation) {
        let expiry = packet.time().saturating_add(packet.lifetime().seconds() + SKEW_SECONDS);
        let at = (packet.domain(), self.root(packet.author()));
        let keep_until = self.standing.get(&at).map_or(expiry, |before| before.keep_until.max(expiry));
        let standing = Standing { id: packet.id(), packet, content, keep_until };
        let row = row(at, &standing);
        (standing, row)
    }

    /// Makes a prepared packet its author's standing one.
    pub(super) fn place(&mut self, mut standing: Standing<C>) {
        let at = (standing.packet.domain(), self.root(standing.packet.author()));
        if let Some(before) = self.standing.get(&at) {
            standing.keep_until = standing.keep_until.max(before.keep_until);
        }
        self.put(at, standing);
    }

    /// The change that makes the store's row of this place what stands in it now.
    pub(super) fn row_as_it_stands(&self, domain: DomainTag, author: AuthorId) -> Operation {
        let at = (domain, self.root(author));
        match self.standing.get(&at) {
            Some(standing) => row(at, standing),
            None => Operation::Delete { table: Table::Packets, key: row_key(at) },
        }
    }

    fn put(&mut self, at: (DomainTag, AuthorId), standing: Standing<C>) {
        let key = *standing.packet.key();
        let keep = standing.keep_until;
        let entry = self.keys.entry(key.author()).or_insert((key, keep));
        entry.1 = entry.1.max(keep);
        if self.standing.insert(at, standing).is_none() {
            *self.authors.entry(at.0).or_default() += 1;
        }
    }

    fn remove(&mut self, at: (DomainTag, AuthorId)) {
        if self.standing.remove(&at).is_some()
            && let Some(count) = self.authors.get_mut(&at.0)
        {
            *count = count.saturating_sub(1);
        }
    }

    /// Reads a row of the store.
    pub(super) fn restore(
        &mut self,
        key: &[u8],
        value: &[u8],
        network: NetworkId,
        decode: impl Fn(&OutcomePacket) -> Option<Option<C>>,
    ) -> Option<()> {
        let (tag, author) = key.split_last_chunk::<16>()?;
        let domain: DomainTag = std::str::from_utf8(tag).ok()?.parse().ok()?;
        let (keep, rest) = value.split_first_chunk::<8>()?;
        let (key, packet) = rest.split_first_chunk::<32>()?;
        let key = PublicKey::from_bytes(key).ok()?;
        let packet = OutcomePacket::decode(packet).ok()?.verify(network, Some(&key)).ok()?;
        // A domain the node has left, or that takes something else now, is no damage: the packet is just not taken in.
        let Some(content) = decode(&packet) else { return Some(()) };
        let keep_until = Timestamp::from_unix_seconds(u64::from_be_bytes(*keep));
        if packet.domain() != domain || self.root(packet.author()) != self.root(AuthorId::from_bytes(*author))
        {
            return None;
        }
        let newer = self.highest(domain, packet.author()).is_none_or(|highest| highest < packet.order());
        if newer {
            self.place(Standing { id: packet.id(), packet, content, keep_until });
        }
        Some(())
    }

    /// Drops what need not be remembered any more, but for places that something is on its way to; returns the changes to the store.
    pub(super) fn purge(
        &mut self,
        now: Timestamp,
        awaited: impl Fn(DomainTag, AuthorId) -> bool,
    ) -> Vec<Operation> {
        let over: Vec<_> = self
            .standing
            .iter()
            .filter(|(at, standing)| standing.keep_until < now && !awaited(at.0, at.1))
            .map(|(&at, _)| at)
            .collect();
        self.keys.retain(|_, (_, keep_until)| *keep_until >= now);
        let delete = |at| {
            self.remove(at);
            Operation::Delete { table: Table::Packets, key: row_key(at) }
        };
        let mut operations: Vec<Operation> = over.into_iter().map(delete).collect();
        let authors: BTreeSet<AuthorId> = self.standing.keys().map(|(_, author)| *author).collect();
        let forgotten = self.rotations.purge(now, |root| authors.contains(&root));
        operations.extend(
            forgotten
                .into_iter()
                .map(|new| Operation::Delete { table: Table::Rotations, key: new.as_bytes().to_vec() }),
        );
        operations
    }

    /// The standing packets of a domain that have not expired, by author.
    pub(super) fn in_force(
        &self,
        domain: DomainTag,
        now: Timestamp,
    ) -> impl Iterator<Item = (AuthorId, &Standing<C>)> {
        let first = (domain, AuthorId::from_bytes([0; 16]));
        let last = (domain, AuthorId::from_bytes([255; 16]));
        self.standing
            .range(first..=last)
            .filter(move |(_, standing)| {
                let packet = &standing.packet;
                now <= packet.time().saturating_add(packet.lifetime().seconds() + SKEW_SECONDS)
            })
            .map(|(&(_, author), standing)| (author, standing))
    }

    pub(super) fn domains(&self) -> impl Iterator<Item = DomainTag> {
        self.authors.keys().copied()
    }

    /// Takes in that one key follows another, and puts what stands under both under one name. Returns the changes to the store.
    pub(super) fn rotate(&mut self, statement: RotationStatement) -> Result<Vec<Operation>, RotationRefusal> {
        let new = statement.new_key().author();
        if self.rotations.get(new) == Some(&statement) {
            return Ok(Vec::new());
        }
        self.rotations.insert(statement)?;
        let root = self.root(new);
        let mut operations = vec![Operation::Put {
            table: Table::Rotations,
            key: new.as_bytes().to_vec(),
            value: statement.to_bytes(),
        }];
        // The new key was the first of its own chain until now: what stands under its name moves.
        let moved: Vec<DomainTag> =
            self.standing.keys().filter(|(_, author)| *author == new).map(|(domain, _)| *domain).collect();
        for domain in moved {
            let Some(mut standing) = self.standing.get(&(domain, new)).cloned() else { continue };
            self.remove((domain, new));
            operations.push(Operation::Delete { table: Table::Packets, key: row_key((domain, new)) });
            match self.standing.get_mut(&(domain, root)) {
                Some(known) if known.packet.order() >= standing.packet.order() => {
                    known.keep_until = known.keep_until.max(standing.keep_until);
                }
                known => {
                    let kept = known.map_or(standing.keep_until, |known| known.keep_until);
                    standing.keep_until = standing.keep_until.max(kept);
                    self.put((domain, root), standing);
                }
            }
            operations.push(self.row_as_it_stands(domain, root));
        }
        Ok(operations)
    }

    /// Reads a statement from the store; what it moved was moved before it was stored.
    pub(super) fn restore_rotation(&mut self, value: &[u8], network: NetworkId) -> Option<()> {
        let statement = RotationStatement::verify(value, network).ok()?;
        match self.rotations.get(statement.new_key().author()) {
            Some(known) if *known == statement => Some(()),
            _ => self.rotations.insert(statement).ok(),
        }
    }
}

fn row_key((domain, author): (DomainTag, AuthorId)) -> Vec<u8> {
    [domain.as_str().as_bytes(), author.as_bytes()].concat()
}

fn row<C>(at: (DomainTag, AuthorId), standing: &Standing<C>) -> Operation {
    let keep = standing.keep_until.unix_seconds().to_be_bytes();
    let key = standing.packet.key().to_bytes();
    let value = [&keep[..], &key, standing.packet.as_bytes()].concat();
    Operation::Put { table: Table::Packets, key: row_key(at), value }
}
