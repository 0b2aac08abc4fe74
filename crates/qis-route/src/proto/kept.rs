//! Rows that are not about packets: the site's secret, and where to find members again.

use std::collections::BTreeMap;

use qis_packet::{Epoch, ProvenanceError, SiteSecret, Timestamp};

use super::inbox::PayloadDecoder;
use super::router::Effect;
use super::{Event, RestoreError, Router};
use crate::{Address, Operation, Row, Table};

/// The most addresses that are kept.
const MOST_PEERS: u8 = 16;

/// The key of the row of the site's secret, and the first byte of its value.
const SITE: &[u8] = b"site";
const SITE_FORM: u8 = 1;

/// The addresses in the store, by the key of their row.
#[derive(Debug, Default)]
pub(super) struct KeptPeers(BTreeMap<u8, Address>);

impl KeptPeers {
    pub(super) fn restore(&mut self, row: &Row) -> Option<()> {
        let &[slot] = row.key.as_slice() else { return None };
        let address = std::str::from_utf8(&row.value).ok()?.parse().ok()?;
        (slot < MOST_PEERS).then(|| drop(self.0.insert(slot, address)))
    }

    /// Makes these the first to be kept, and fills what room is left with those there were. Returns what changes.
    fn keep(&mut self, live: &[Address]) -> Vec<Operation> {
        let live: Vec<&Address> = live.iter().take(MOST_PEERS.into()).collect();
        let new: Vec<&Address> =
            live.iter().filter(|one| !self.0.values().any(|kept| kept == **one)).copied().collect();
        let is_live = |slot: &u8| self.0.get(slot).is_some_and(|kept| live.contains(&kept));
        let free = (0..MOST_PEERS).filter(|slot| !self.0.contains_key(slot));
        let old = (0..MOST_PEERS).filter(|slot| self.0.contains_key(slot) && !is_live(slot));
        let slots: Vec<u8> = free.chain(old).collect();
        let mut changes = Vec::new();
        for (slot, address) in slots.into_iter().zip(new) {
            let value = address.as_str().as_bytes().to_vec();
            changes.push(Operation::Put { table: Table::Peers, key: vec![slot], value });
            self.0.insert(slot, address.clone());
        }
        changes
    }
}

impl<D: PayloadDecoder> Router<D> {
    /// The row in which a site's secret is kept. Whoever reads it can open every packet from the secret's epoch on.
    #[must_use]
    pub fn secret_row(secret: &SiteSecret) -> Row {
        let epoch = secret.epoch().index().to_le_bytes();
        let value = [&[SITE_FORM], &epoch[..], secret.expose()].concat();
        Row { key: SITE.to_vec(), value }
    }

    /// The site's secret, if a row of [`Table::Secrets`] is the one it is kept in.
    ///
    /// # Errors
    ///
    /// [`RestoreError`] when it is, and is damaged.
    pub fn kept_secret(row: &Row) -> Result<Option<SiteSecret>, RestoreError> {
        if row.key != SITE {
            return Ok(None);
        }
        let read = |value: &[u8]| {
            let value = value.strip_prefix(&[SITE_FORM])?;
            let (epoch, secret) = value.split_first_chunk::<8>()?;
            Some(SiteSecret::new(Epoch::from_index(u64::from_le_bytes(*epoch)), secret.try_into().ok()?))
        };
        read(&row.value).map(Some).ok_or(RestoreError { table: Table::Secrets })
    }

    /// Says that the site's secret is in the store, so that what is erased has to be erased there too.
    ///
    /// The router does not read it: make its [`Author`](super::Author) with the [one that is kept](Self::kept_secret).
    pub const fn keep_secret(&mut self) {
        self.keeps_secret = true;
    }

    /// Erases the secrets of the weeks before `time`: here at once, and with the next commit in the store, if it
    /// [keeps them](Self::keep_secret). Returns the first week that is left then, which [`Event::ProvenanceErased`] tells when it is done.
    ///
    /// # Errors
    ///
    /// [`ProvenanceError`] when the time is implausibly late; nothing is erased then.
    pub fn erase_provenance_before(&mut self, time: Timestamp) -> Result<Option<Epoch>, ProvenanceError> {
        self.author.secret.erase_before(Epoch::of(time))?;
        let before = self.author.secret.epoch();
        if !self.keeps_secret || self.poisoned {
            return Ok(self.keeps_secret.then_some(before));
        }
        let Row { key, value } = Self::secret_row(&self.author.secret);
        self.journal.stage_latest(Operation::Put { table: Table::Secrets, key, value });
        // It waits for what was just staged.
        let _ = self.journal.after(Effect::Event(Event::ProvenanceErased { before }));
        self.pump();
        Ok(Some(before))
    }

    /// Whether the store can't be trusted any more, so that nothing becomes durable: the node must be built anew.
    #[must_use]
    pub const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Keeps addresses of members for after a restart, 16 at most: these, and of those there were as many as there is room for. Does nothing
    /// while there is much to commit.
    pub fn keep_peers(&mut self, live: &[Address]) {
        if self.is_busy() {
            return;
        }
        for change in self.peers_kept.keep(live) {
            self.journal.stage(change, None);
        }
        self.pump();
    }

    /// The addresses that are kept.
    pub fn kept_peers(&self) -> impl Iterator<Item = &Address> {
        self.peers_kept.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(numbers: impl IntoIterator<Item = u8>) -> Vec<Address> {
        numbers.into_iter().map(|number| format!("node-{number}").parse().unwrap()).collect()
    }

    fn row(change: &Operation) -> Row {
        let Operation::Put { table: Table::Peers, key, value } = change else { panic!("{change:?}") };
        Row { key: key.clone(), value: value.clone() }
    }

    #[test]
    fn live_members_take_the_places_of_old_ones_and_only_changes_are_written() {
        let mut kept = KeptPeers::default();
        let changes = kept.keep(&addresses(0..10));
        assert_eq!(changes.len(), 10);
        assert!(kept.keep(&addresses(0..10)).is_empty() && kept.keep(&addresses(3..5)).is_empty());
        assert_eq!(kept.keep(&addresses(8..20)).len(), 10);
        let now: Vec<String> = kept.0.values().map(ToString::to_string).collect();
        assert_eq!(now.len(), 16);
        assert!(addresses(8..20).iter().all(|live| now.contains(&live.to_string())), "{now:?}");
        assert_eq!(kept.keep(&addresses(0..40)).len(), 16 - 12, "the first sixteen");

        let mut again = KeptPeers::default();
        for change in &changes {
            again.restore(&row(change)).unwrap();
        }
        assert_eq!(again.0.values().cloned().collect::<Vec<_>>(), addresses(0..10));
    }

    #[test]
    fn rows_of_anything_else_are_left_out() {
        let mut kept = KeptPeers::default();
        for (key, value) in [
            (&[][..], &b"node-1"[..]),
            (&[16], b"node-1"),
            (&[1, 1], b"node-1"),
            (&[1], b""),
            (&[1], &[0xff]),
            (&[1], &[b'a'; 256]),
        ] {
            let row = Row { key: key.to_vec(), value: value.to_vec() };
            assert!(kept.restore(&row).is_none(), "{row:?}");
        }
        assert!(kept.0.is_empty());
    }
}
