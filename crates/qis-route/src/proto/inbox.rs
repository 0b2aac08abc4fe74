//! The newest packet of each author and domain.

use std::collections::BTreeMap;
use std::fmt;

use qis_packet::{
    AuthorId, DomainTag, Lifetime, NetworkId, Order, OutcomePacket, PacketId, PublicKey, RotationStatement,
    SKEW_SECONDS, Timestamp, VerifiedPacket,
};

use crate::{Operation, Table};

const MAX_ROTATIONS: usize = 1024;
const MAX_ROTATIONS_PER_AUTHOR: usize = 8;

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
    rotations: BTreeMap<AuthorId, Rotation>,
    /// Keys that were followed by another, and since when.
    followed: BTreeMap<AuthorId, Timestamp>,
}

#[derive(Debug)]
struct Rotation {
    statement: RotationStatement,
    /// The first key of the chain, whose id all of them count under.
    root: AuthorId,
}

/// A rotation that can't be taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RotationRefusal {
    /// The old key has a successor, or the new one a predecessor.
    Taken,
    /// Nothing of the old author stands here, or there are too many statements.
    NoPlace,
}

impl<C: Clone> Inbox<C> {
    pub(super) const fn new(authors_per_domain: usize) -> Self {
        Self {
            authors_per_domain,
            standing: BTreeMap::new(),
            authors: BTreeMap::new(),
            keys: BTreeMap::new(),
            rotations: BTreeMap::new(),
            followed: BTreeMap::new(),
        }
    }

    /// The id under which all keys of an author count.
    pub(super) fn root(&self, author: AuthorId) -> AuthorId {
        self.rotations.get(&author).map_or(author, |rotation| rotation.root)
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

    /// Whether the key was followed by another before the packet of this time was made, or so long ago that nothing it signed can stand
    /// any more.
    pub(super) fn is_retired(&self, author: AuthorId, made: Timestamp, now: Timestamp) -> bool {
        self.followed
            .get(&author)
            .is_some_and(|since| made > since.saturating_add(SKEW_SECONDS) || now > Self::retirement(*since))
    }

    fn retirement(since: Timestamp) -> Timestamp {
        since.saturating_add(Lifetime::MAX.seconds() + SKEW_SECONDS)
    }

    pub(super) fn has_place(&self, domain: DomainTag, author: AuthorId) -> bool {
        self.get(domain, author).is_some()
            || self.authors.get(&domain).copied().unwrap_or(0) < self.authors_per_domain
    }

    /// Makes a packet its author's standing one. The caller has checked that it is newer and that there is a place.
    ///
    /// Returns what stood before, and the change to the store.
    pub(super) fn apply(
        &mut self,
        packet: VerifiedPacket,
        content: Option<C>,
    ) -> (Option<Standing<C>>, Operation) {
        let expiry = packet.time().saturating_add(packet.lifetime().seconds() + SKEW_SECONDS);
        let at = (packet.domain(), self.root(packet.author()));
        let kept = self.standing.get(&at).map_or(expiry, |before| before.keep_until.max(expiry));
        let standing = Standing { id: packet.id(), packet, content, keep_until: kept };
        let row = row(at, &standing);
        (self.put(at, standing), row)
    }

    /// Undoes the last [`apply`](Self::apply) of an own packet that the store did not keep.
    pub(super) fn undo(&mut self, domain: DomainTag, author: AuthorId, before: Option<Standing<C>>) {
        let at = (domain, self.root(author));
        if let Some(before) = before {
            self.put(at, before);
        } else {
            self.remove(at);
        }
    }

    fn put(&mut self, at: (DomainTag, AuthorId), standing: Standing<C>) -> Option<Standing<C>> {
        let key = *standing.packet.key();
        let keep = standing.keep_until;
        let entry = self.keys.entry(key.author()).or_insert((key, keep));
        entry.1 = entry.1.max(keep);
        let before = self.standing.insert(at, standing);
        if before.is_none() {
            *self.authors.entry(at.0).or_default() += 1;
        }
        before
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
        let content = decode(&packet)?;
        let keep_until = Timestamp::from_unix_seconds(u64::from_be_bytes(*keep));
        self.put(
            (domain, AuthorId::from_bytes(*author)),
            Standing { id: packet.id(), packet, content, keep_until },
        );
        Some(())
    }

    /// Drops what need not be remembered any more; returns the changes to the store.
    pub(super) fn purge(&mut self, now: Timestamp) -> Vec<Operation> {
        let over: Vec<_> = self
            .standing
            .iter()
            .filter(|(_, standing)| standing.keep_until < now)
            .map(|(&at, _)| at)
            .collect();
        self.keys.retain(|_, (_, keep_until)| *keep_until >= now);
        let delete = |at| {
            self.remove(at);
            Operation::Delete { table: Table::Packets, key: row_key(at) }
        };
        let mut operations: Vec<Operation> = over.into_iter().map(delete).collect();
        let forgotten: Vec<AuthorId> = self
            .rotations
            .iter()
            .filter(|(new, rotation)| {
                now > Self::retirement(rotation.statement.time()) && !self.keys.contains_key(new)
            })
            .map(|(new, _)| *new)
            .collect();
        for new in forgotten {
            if let Some(rotation) = self.rotations.remove(&new) {
                self.followed.remove(&rotation.statement.old().author());
            }
            operations.push(Operation::Delete { table: Table::Rotations, key: new.as_bytes().to_vec() });
        }
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

    /// The statement that made this key its author's, to be passed on with the author's packets.
    pub(super) fn rotation_of(&self, author: AuthorId) -> Option<&RotationStatement> {
        self.rotations.get(&author).map(|rotation| &rotation.statement)
    }

    /// Takes in that one key follows another, and puts what stands under both under one name.
    ///
    /// Statements are kept only for authors that are known here, a few of each, so that strangers can't fill the table; this node's own
    /// statement is kept anyhow.
    pub(super) fn rotate(
        &mut self,
        statement: RotationStatement,
        own: bool,
    ) -> Result<Vec<Operation>, RotationRefusal> {
        let (old, new) = (statement.old().author(), statement.new_key().author());
        if self.rotations.get(&new).is_some_and(|known| known.statement == statement) {
            return Ok(Vec::new());
        }
        if self.followed.contains_key(&old) || self.rotations.contains_key(&new) {
            return Err(RotationRefusal::Taken);
        }
        let root = self.root(old);
        if root == new {
            return Err(RotationRefusal::Taken);
        }
        let of_author = self.rotations.values().filter(|rotation| rotation.root == root).count();
        let full = self.rotations.len() >= MAX_ROTATIONS || of_author >= MAX_ROTATIONS_PER_AUTHOR;
        if full || !(own || self.keys.contains_key(&old)) {
            return Err(RotationRefusal::NoPlace);
        }
        self.followed.insert(old, statement.time());
        self.rotations.insert(new, Rotation { statement, root });
        let mut operations = vec![Operation::Put {
            table: Table::Rotations,
            key: new.as_bytes().to_vec(),
            value: statement.to_bytes(),
        }];
        // What the new key has sent already stands under its own name: move it.
        let moved: Vec<DomainTag> =
            self.standing.keys().filter(|(_, author)| *author == new).map(|(domain, _)| *domain).collect();
        for domain in moved {
            let Some(mut standing) = self.standing.get(&(domain, new)).cloned() else { continue };
            self.remove((domain, new));
            operations.push(Operation::Delete { table: Table::Packets, key: row_key((domain, new)) });
            match self.standing.get_mut(&(domain, root)) {
                Some(known) if known.packet.order() >= standing.packet.order() => {
                    known.keep_until = known.keep_until.max(standing.keep_until);
                    operations.push(row((domain, root), known));
                }
                known => {
                    let kept = known.map_or(standing.keep_until, |known| known.keep_until);
                    standing.keep_until = standing.keep_until.max(kept);
                    operations.push(row((domain, root), &standing));
                    self.put((domain, root), standing);
                }
            }
        }
        Ok(operations)
    }

    /// Reads a statement from the store; what it moved was moved before it was stored.
    pub(super) fn restore_rotation(&mut self, value: &[u8], network: NetworkId) -> Option<()> {
        let statement = RotationStatement::verify(value, network).ok()?;
        let (old, new) = (statement.old().author(), statement.new_key().author());
        // Rows come in the order of the new keys, so a chain may be read end first: names are settled in `settle`.
        self.followed.insert(old, statement.time());
        self.rotations.insert(new, Rotation { statement, root: old });
        Some(())
    }

    /// Follows chains of restored statements to their first key.
    pub(super) fn settle_rotations(&mut self) {
        let olds: BTreeMap<AuthorId, AuthorId> =
            self.rotations.iter().map(|(new, rotation)| (*new, rotation.statement.old().author())).collect();
        for rotation in self.rotations.values_mut() {
            let mut root = rotation.statement.old().author();
            // No statement closes a circle (see `rotate`); the bound is for a store that was tampered with.
            for _ in 0..olds.len() {
                let Some(older) = olds.get(&root) else { break };
                root = *older;
            }
            rotation.root = root;
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
