//! What a node must not forget.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::HostError;

/// The tables of a store. Keys and values are the router's business and mean nothing to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Table {
    /// The node's own place in the order.
    Order,
    /// Statements that one key follows another.
    Rotations,
    /// The newest packet of each author and domain.
    Packets,
    /// Emissions that are not over.
    Outbox,
    /// The state of synthesis of each domain.
    Synthesis,
    /// What hides the provenance of the node's packets. A store may encrypt its values.
    Secrets,
    /// Addresses of members that are worth trying after a restart.
    Peers,
}

impl Table {
    /// All tables, in the order in which a router is to be given what they hold.
    pub const ALL: [Self; 7] = [
        Self::Order,
        Self::Rotations,
        Self::Packets,
        Self::Outbox,
        Self::Synthesis,
        Self::Secrets,
        Self::Peers,
    ];
}

/// One change of a [`Batch`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Writes a value, replacing one that is there.
    Put {
        /// The table.
        table: Table,
        /// The key, at most 255 bytes.
        key: Vec<u8>,
        /// The value.
        value: Vec<u8>,
    },
    /// Removes a key, whether it is there or not.
    Delete {
        /// The table.
        table: Table,
        /// The key.
        key: Vec<u8>,
    },
}

/// Changes that happen together or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Batch {
    /// The changes, applied in this order.
    pub operations: Vec<Operation>,
}

/// A key and its value, as a store returns them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// Keeps what must survive a restart.
///
/// # To be correct
///
/// - Once `commit` returns `Ok`, all operations of the batch survive a crash and a power loss. When it returns an error or is never heard
///   of again, either all or none of them do.
/// - The operations of a batch are applied in their order. A value comes back as it was written, whatever its bytes, under the key and in
///   the table it was written to.
/// - Commits are called one at a time, in order, from the node's driver; each starts after the one before has ended. The driver does not
///   drop the future of a commit unless it is dropped itself. An implementation that goes on regardless, on another thread
///   say, must have ended that commit before it begins the next.
/// - `range` sees every commit that has ended. It returns rows in ascending byte order of their keys, starting with the first key that is
///   not below `from`. It returns exactly `limit` of them, and fewer only when there are no more. It is called when the node starts.
/// - After a write that failed in a way that leaves the outcome unknown (a failed fsync), every later `commit` fails with
///   [`HostErrorKind::Corrupt`](crate::HostErrorKind::Corrupt). A full disk is
///   [`HostErrorKind::Full`](crate::HostErrorKind::Full), and a later commit may succeed.
/// - It does not panic: a panic is contained, and the node stops as after [`HostErrorKind::Corrupt`](crate::HostErrorKind::Corrupt).
/// - One node uses a store, one process at a time.
///
/// `store::Suite` of `qis-conformance` checks an implementation against this list.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes all changes of a batch, or none.
    async fn commit(&self, batch: Batch) -> Result<(), HostError>;

    /// Rows of a table from the key `from` on.
    async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<S: Store + ?Sized> Store for $pointer {
            async fn commit(&self, batch: Batch) -> Result<(), HostError> {
                (**self).commit(batch).await
            }

            async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
                (**self).range(table, from, limit).await
            }
        }
    };
}
forward!(Box<S>);
forward!(Arc<S>);
forward!(&'static S);
