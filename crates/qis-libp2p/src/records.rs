//! What this node keeps for the network: several values a key, each checked before it is kept.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::kad::store::{Error, RecordStore};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

use crate::frames::wire;
use crate::incident::{Counters, Incident};
use crate::names::Names;
use crate::statement::{self, unix_seconds};

/// Values of a key that are statements of members.
const MEMBERS: usize = 32;
/// Values of a key of a DHT directory, as many as [`Dht`](qis_route::Dht) asks for.
const VALUES: usize = 20;
/// The longest value of a DHT directory; see [`Dht`](qis_route::Dht).
pub(crate) const MAX_VALUE_BYTES: usize = 1651;
/// How long such a value is kept.
pub(crate) const VALUE_LIFETIME: Duration = Duration::from_secs(25 * 3600);
/// What a value takes beside its bytes, about.
const OVERHEAD: usize = 160;

/// What a key is for. A key of Kademlia is this as a byte, then 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any values, for a [`DhtDirectory`](qis_route::DhtDirectory).
    Value,
    /// Statements of members of a space.
    Space,
    /// The statement of the one peer whose key it is.
    Address,
}

impl Kind {
    pub(crate) fn key(self, key: &[u8; 32]) -> Vec<u8> {
        [&[self as u8], &key[..]].concat()
    }

    fn of(key: &[u8]) -> Option<(Self, [u8; 32])> {
        let (code, rest) = key.split_first()?;
        let kind = [Self::Value, Self::Space, Self::Address].into_iter().find(|kind| *kind as u8 == *code)?;
        Some((kind, rest.try_into().ok()?))
    }

    const fn most(self) -> usize {
        match self {
            Self::Value => VALUES,
            Self::Space => MEMBERS,
            Self::Address => 1,
        }
    }
}

/// Values by their keys, within a bound of bytes.
#[derive(Debug)]
pub(crate) struct Records {
    names: Names,
    counters: Arc<Counters>,
    max_bytes: usize,
    bytes: usize,
    /// The values of a key, the one that was put last at the end.
    values: HashMap<RecordKey, Vec<Value>>,
}

#[derive(Debug)]
struct Value {
    record: Record,
    /// Whose it is, for statements.
    peer: Option<PeerId>,
    issued: u64,
}

impl Value {
    fn bytes(&self) -> usize {
        self.record.value.len() + OVERHEAD
    }
}

impl Records {
    pub(crate) fn new(names: Names, counters: Arc<Counters>, max_bytes: usize) -> Self {
        Self { names, counters, max_bytes, bytes: 0, values: HashMap::new() }
    }

    /// A value as it is to be kept, if it may be.
    fn check(&self, mut record: Record) -> Result<(Kind, Value), Error> {
        let (kind, key) = Kind::of(record.key.as_ref()).ok_or(Error::ValueTooLarge)?;
        if record.value.is_empty() || record.value.len() > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge);
        }
        if kind == Kind::Value {
            return Ok((kind, Value { record, peer: None, issued: 0 }));
        }
        let now = unix_seconds();
        let member =
            statement::verify(&record.value, self.names.network, &key, now).ok_or(Error::ValueTooLarge)?;
        let peer = member.node.peer;
        if kind == Kind::Address && key != self.names.address_key(&peer) {
            return Err(Error::ValueTooLarge);
        }
        let left = (member.issued + statement::LIFETIME.as_secs()).saturating_sub(now);
        let ends = Instant::now() + Duration::from_secs(left);
        record.expires = Some(record.expires.map_or(ends, |expires| expires.min(ends)));
        Ok((kind, Value { record, peer: Some(peer), issued: member.issued }))
    }

    fn keep(&mut self, kind: Kind, value: Value) -> Result<(), Error> {
        let new = value.bytes();
        if self.bytes + new > self.max_bytes {
            self.forget_expired();
            if self.bytes + new > self.max_bytes {
                return Err(Error::MaxRecords);
            }
        }
        let values = self.values.entry(value.record.key.clone()).or_default();
        let before: usize = values.iter().map(Value::bytes).sum();
        let same = |one: &Value| match value.peer {
            Some(_) => one.peer == value.peer,
            None => one.record.value == value.record.value,
        };
        if let Some(at) = values.iter().position(same) {
            if values.get(at).is_some_and(|one| one.issued > value.issued) {
                return Ok(());
            }
            values.remove(at);
        }
        if values.len() >= kind.most() {
            // The one that was put longest ago: whoever lives puts again.
            values.remove(0);
        }
        values.push(value);
        let after: usize = values.iter().map(Value::bytes).sum();
        self.bytes = self.bytes + after - before;
        Ok(())
    }

    fn forget_expired(&mut self) {
        let now = Instant::now();
        self.values.retain(|_, values| {
            values.retain(|value| !value.record.is_expired(now));
            !values.is_empty()
        });
        self.bytes = self.values.values().flatten().map(Value::bytes).sum();
        self.count();
    }

    fn count(&self) {
        let count = self.values.values().map(Vec::len).sum::<usize>();
        self.counters.records.store(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The values of a record that another node has sent, each with its length before it; up to the first that is malformed, and as many as a
/// key may have.
pub(crate) fn unpack(mut packed: &[u8]) -> Vec<Vec<u8>> {
    let mut values = Vec::new();
    while let Some((len, rest)) = packed.split_first_chunk()
        && let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
        && (1..=MAX_VALUE_BYTES).contains(&value.len())
        && values.len() < MEMBERS
    {
        values.push(value.to_vec());
        packed = rest;
    }
    values
}

impl RecordStore for Records {
    type RecordsIter<'a> = Box<dyn Iterator<Item = Cow<'a, Record>> + 'a>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    /// All values of a key in one record.
    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let now = Instant::now();
        let mut packed = Vec::new();
        let mut expires = None;
        for value in self.values.get(key)?.iter().filter(|value| !value.record.is_expired(now)) {
            wire::write_frame(&mut packed, &value.record.value);
            expires = expires.max(value.record.expires);
        }
        let record = Record { key: key.clone(), value: packed, publisher: None, expires };
        (!record.value.is_empty()).then_some(Cow::Owned(record))
    }

    /// Adds one value to those of its key.
    fn put(&mut self, record: Record) -> Result<(), Error> {
        let result = self.check(record).and_then(|(kind, value)| self.keep(kind, value));
        if let Err(error) = &result {
            self.counters.note(Incident::RecordRefused, error);
        }
        self.count();
        result
    }

    fn remove(&mut self, key: &RecordKey) {
        if let Some(values) = self.values.remove(key) {
            self.bytes -= values.iter().map(Value::bytes).sum::<usize>();
        }
        self.count();
    }

    /// The values one by one, to be passed on to nodes that came later.
    fn records(&self) -> Self::RecordsIter<'_> {
        let now = Instant::now();
        let values = self.values.values().flatten();
        Box::new(
            values.map(|value| Cow::Borrowed(&value.record)).filter(move |record| !record.is_expired(now)),
        )
    }

    /// Nothing here is found by providers: they say who has something and not where, and are not signed.
    fn add_provider(&mut self, _: ProviderRecord) -> Result<(), Error> {
        Err(Error::MaxProvidedKeys)
    }

    fn providers(&self, _: &RecordKey) -> Vec<ProviderRecord> {
        Vec::new()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, _: &RecordKey, _: &PeerId) {}
}

#[cfg(test)]
mod tests {
    use qis_fingerprint::SpaceId;
    use qis_packet::{Identity, NetworkId};
    use qis_route::Address;

    use super::*;
    use crate::address::peer_with;

    fn records(max_bytes: usize) -> Records {
        Records::new(Names::of(NetworkId::new("n")), Arc::default(), max_bytes)
    }

    fn value(key: u8, value: Vec<u8>) -> Record {
        Record::new(Kind::Value.key(&[key; 32]), value)
    }

    fn member(seed: u8, kind: Kind, key: &[u8; 32], issued: u64) -> Record {
        let identity = Identity::from_seed([seed; 32]);
        let peer = peer_with(&identity.public_key()).unwrap();
        let address: Address = format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}").parse().unwrap();
        Record::new(kind.key(key), statement::sign(&identity, NetworkId::new("n"), key, &address, issued))
    }

    fn got(records: &Records, key: &[u8]) -> Vec<Vec<u8>> {
        records.get(&RecordKey::from(key.to_vec())).map_or_else(Vec::new, |record| unpack(&record.value))
    }

    #[test]
    fn a_key_has_many_values_and_the_latest_stay() {
        let mut records = records(1 << 20);
        for i in 0..25 {
            records.put(value(1, vec![i])).unwrap();
        }
        records.put(value(1, vec![7])).unwrap();
        let values = got(&records, &Kind::Value.key(&[1; 32]));
        assert_eq!(values.len(), VALUES);
        assert_eq!((&values[0], &values[19]), (&vec![5], &vec![7]));
        assert_eq!(records.records().count(), VALUES);
        assert_eq!(records.counters.stats(0).records, 20);
        assert!(got(&records, &Kind::Value.key(&[2; 32])).is_empty());
    }

    #[test]
    fn what_is_too_large_or_too_much_is_refused_and_counted() {
        let mut records = records(64 * 1024);
        assert!(records.put(value(1, vec![0; MAX_VALUE_BYTES + 1])).is_err());
        assert!(records.put(value(1, Vec::new())).is_err());
        assert!(records.put(Record::new(vec![9; 33], vec![1])).is_err());
        assert!(records.put(Record::new(vec![0; 32], vec![1])).is_err());
        let mut kept = 0;
        while records.put(value(kept, vec![0; MAX_VALUE_BYTES])).is_ok() {
            kept += 1;
        }
        assert_eq!(usize::from(kept), 64 * 1024 / (MAX_VALUE_BYTES + OVERHEAD));
        assert_eq!(records.counters.stats(0).records_refused, 5);
        records.remove(&RecordKey::from(Kind::Value.key(&[0; 32])));
        assert!(records.put(value(200, vec![0; MAX_VALUE_BYTES])).is_ok());
        for value in records.values.values_mut().flatten() {
            value.record.expires = Some(Instant::now());
        }
        assert_eq!(records.records().count(), 0);
        for i in 0..kept {
            records.put(value(100 + i, vec![0; MAX_VALUE_BYTES])).unwrap();
        }
    }

    #[test]
    fn statements_are_verified_and_one_a_peer_is_kept() {
        let mut records = records(1 << 20);
        let key = records.names.space_key(SpaceId::new("m", 2), 1);
        let now = unix_seconds();
        records.put(member(1, Kind::Space, &key, now - 10)).unwrap();
        records.put(member(1, Kind::Space, &key, now)).unwrap();
        records.put(member(1, Kind::Space, &key, now - 20)).unwrap();
        records.put(member(2, Kind::Space, &key, now)).unwrap();
        let values = got(&records, &Kind::Space.key(&key));
        let issued: Vec<u64> =
            values.iter().map(|value| u64::from_be_bytes(*value.first_chunk().unwrap())).collect();
        assert_eq!(issued, [now, now]);
        assert!(records.put(member(3, Kind::Space, &[1; 32], now - 9000)).is_err());
        assert!(records.put(Record::new(Kind::Space.key(&key), vec![0; 200])).is_err());
        let peer = peer_with(&Identity::from_seed([1; 32]).public_key()).unwrap();
        let own = records.names.address_key(&peer);
        assert!(records.put(member(1, Kind::Address, &own, now)).is_ok());
        assert!(records.put(member(2, Kind::Address, &own, now)).is_err());
        let again: Vec<Record> = records.records().map(Cow::into_owned).collect();
        assert!(again.iter().all(|record| record.expires.is_some()));
    }

    #[test]
    fn what_another_node_sends_is_cut_at_the_first_malformed_value() {
        assert_eq!(unpack(b"\0\x01a\0\x02bc"), [b"a".to_vec(), b"bc".to_vec()]);
        assert_eq!(unpack(b"\0\x01a\0\x03bc"), [b"a".to_vec()]);
        assert_eq!(unpack(b"\0\0\0\x01a"), Vec::<Vec<u8>>::new());
        assert_eq!(unpack(&[0, 1, 7].repeat(100)).len(), MEMBERS);
    }
}
