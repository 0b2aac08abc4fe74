//! Queries of Kademlia that are under way, and who waits for them.

use std::collections::{BTreeSet, HashMap};

use libp2p::PeerId;
use libp2p::kad::{GetRecordError, GetRecordOk, GetRecordResult, PutRecordError, PutRecordResult, QueryId};
use qis_route::{HostError, HostErrorKind};

use crate::command::Reply;
use crate::records::unpack;

/// Queries at a time; a look-up of a DHT directory makes some 80.
const MOST_QUERIES: usize = 512;
/// Values that one query may bring, of all nodes it asked.
const MOST_VALUES: usize = 256;

/// What is to become of a query's result.
#[derive(Debug)]
pub(crate) enum Purpose {
    /// A handle wants the values.
    Get(Reply<Vec<Vec<u8>>>),
    /// A handle wants to know that others have the value.
    Put(Reply<()>),
    /// The node announced itself. That nobody else was there to hear it is no failure.
    Announce(Option<Reply<()>>),
    /// A peer was not where it was said to be, and may have said where it is.
    Elsewhere(PeerId),
}

/// A query that is over, and was not for a handle.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) peer: PeerId,
    pub(crate) values: Vec<Vec<u8>>,
}

#[derive(Debug, Default)]
pub(crate) struct Queries {
    under_way: HashMap<QueryId, (Purpose, BTreeSet<Vec<u8>>)>,
}

impl Queries {
    pub(crate) fn is_full(&self) -> bool {
        self.under_way.len() >= MOST_QUERIES
    }

    pub(crate) fn insert(&mut self, id: QueryId, purpose: Purpose) {
        self.under_way.insert(id, (purpose, BTreeSet::new()));
    }

    /// How many peers are looked for elsewhere.
    pub(crate) fn elsewhere(&self) -> usize {
        self.under_way.values().filter(|(purpose, _)| matches!(purpose, Purpose::Elsewhere(_))).count()
    }

    /// Takes in what a query for values has found.
    pub(crate) fn got(&mut self, id: QueryId, result: GetRecordResult, last: bool) -> Option<Found> {
        let mut error = None;
        match result {
            Ok(GetRecordOk::FoundRecord(found)) => {
                if let Some((_, values)) = self.under_way.get_mut(&id) {
                    let more = unpack(&found.record.value);
                    values.extend(more.into_iter().take(MOST_VALUES.saturating_sub(values.len())));
                }
            }
            // That there is nothing is an answer.
            Ok(GetRecordOk::FinishedWithNoAdditionalRecord { .. }) | Err(GetRecordError::NotFound { .. }) => {
            }
            Err(GetRecordError::Timeout { .. }) => {
                error = Some(HostError::new(HostErrorKind::Timeout, "the network did not answer in time"));
            }
        }
        if !last {
            return None;
        }
        let (purpose, values) = self.under_way.remove(&id)?;
        let values: Vec<Vec<u8>> = values.into_iter().collect();
        match purpose {
            Purpose::Get(reply) => {
                let result = error.filter(|_| values.is_empty()).map_or(Ok(values), Err);
                // Who asked may have stopped waiting.
                let _ = reply.send(result);
                None
            }
            Purpose::Elsewhere(peer) => Some(Found { peer, values }),
            Purpose::Put(_) | Purpose::Announce(_) => None,
        }
    }

    /// Takes in how a value was kept.
    pub(crate) fn put(&mut self, id: QueryId, result: &PutRecordResult) {
        match self.under_way.remove(&id) {
            Some((Purpose::Put(reply), _)) => {
                let result = match result {
                    Ok(_) => Ok(()),
                    Err(
                        PutRecordError::QuorumFailed { success, .. }
                        | PutRecordError::Timeout { success, .. },
                    ) if !success.is_empty() => Ok(()),
                    Err(error) => Err(HostError::new(HostErrorKind::Unavailable, error.clone())),
                };
                let _ = reply.send(result);
            }
            Some((Purpose::Announce(Some(reply)), _)) => {
                let _ = reply.send(Ok(()));
            }
            _ => {}
        }
    }
}
