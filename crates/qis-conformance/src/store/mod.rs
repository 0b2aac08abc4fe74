//! What every [`Store`] has to do.
//!
//! The suite writes batches and reads them in every way a node does, closes the store and opens it again, and drops commits half-way. Where the
//! host gives it a medium that can fail ([`crashing`](Suite::crashing), or [`on_disk`](Suite::on_disk) for a store that keeps bytes as on a
//! disk), it fails at each write, resize and sync in turn, and looks at what is there after the process or the power is gone.
//!
//! The host says how a place for a store begins, empty, and how the store in it is opened: several times, one after the other.
//!
//! ```
//! use std::convert::Infallible;
//!
//! use qis_conformance::{block_on, store};
//! # use std::collections::BTreeMap;
//! # use std::sync::{Arc, Mutex};
//! # use qis_route::{Batch, HostError, Operation, Row, Store, Table, };
//! # #[derive(Clone, Debug, Default)]
//! # struct Memory(Arc<Mutex<BTreeMap<(Table, Vec<u8>), Vec<u8>>>>);
//! # #[async_trait::async_trait]
//! # impl Store for Memory {
//! #     async fn commit(&self, batch: Batch) -> Result<(), HostError> {
//! #         let mut rows = self.0.lock().unwrap();
//! #         for operation in batch.operations {
//! #             match operation {
//! #                 Operation::Put { table, key, value } => rows.insert((table, key), value),
//! #                 Operation::Delete { table, key } => rows.remove(&(table, key)),
//! #             };
//! #         }
//! #         Ok(())
//! #     }
//! #     async fn range(&self, table: Table, from: &[u8], limit: usize) -> Result<Vec<Row>, HostError> {
//! #         let rows = self.0.lock().unwrap();
//! #         let found = rows.range((table, from.to_vec())..).take_while(|((of, _), _)| *of == table).take(limit);
//! #         Ok(found.map(|((_, key), value)| Row { key: key.clone(), value: value.clone() }).collect())
//! #     }
//! # }
//!
//! let place = || {
//!     let memory = Memory::default();
//!     async move || Ok::<_, Infallible>(memory.clone())
//! };
//! store::Suite::new(place).run(block_on)?;
//! # Ok::<(), qis_conformance::Failures>(())
//! ```

mod checks;
mod crashes;
mod disk;
mod history;
mod medium;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use qis_route::Store;

use crate::requirement::Requirement;
use crate::runner::{self, BoxError, Context, Local, PATIENCE, Watch};
use crate::{Failures, Report};

pub use disk::Disk;
use medium::OnDisk;
pub use medium::{Fault, Medium};

/// The suite for a [`Store`].
pub struct Suite {
    place: New,
    medium: Option<NewMedium>,
    patience: Duration,
}

type Open = Box<dyn Fn() -> Local<Result<Box<dyn Store>, BoxError>> + Send + Sync>;
type New = Arc<dyn Fn() -> Open + Send + Sync>;
type NewMedium = Arc<dyn Fn() -> Box<dyn Medium> + Send + Sync>;

impl Suite {
    /// A suite for the store in places that begin like this, each empty. `place` gives the way to open the store that is there.
    ///
    /// The suite drops what it opened before it opens it again. A place is dropped last, and may clean up then.
    pub fn new<P, S, E>(place: impl Fn() -> P + Send + Sync + 'static) -> Self
    where
        P: AsyncFn() -> Result<S, E> + Send + Sync + 'static,
        S: Store,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let place: New = Arc::new(move || {
            let open = Arc::new(place());
            Box::new(move || {
                let open = Arc::clone(&open);
                Box::pin(async move {
                    let store = (*open)().await.map_err(Into::into)?;
                    Ok(Box::new(store) as Box<dyn Store>)
                })
            })
        });
        Self { place, medium: None, patience: PATIENCE }
    }

    /// Checks too what is left after a failure at each write, on a medium that begins like this: empty, and without a fault.
    #[must_use]
    pub fn crashing<M: Medium>(self, medium: impl Fn() -> M + Send + Sync + 'static) -> Self {
        Self { medium: Some(Arc::new(move || Box::new(medium()))), ..self }
    }

    /// The same for a store that keeps its bytes as on a disk: it is opened on a [`Disk`] of the suite.
    #[must_use]
    pub fn on_disk<S, E>(self, open: impl AsyncFn(Disk) -> Result<S, E> + Send + Sync + 'static) -> Self
    where
        S: Store,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let open = Arc::new(open);
        let open: medium::Open = Arc::new(move |disk| {
            let open = Arc::clone(&open);
            Box::pin(async move {
                let store = (*open)(disk).await.map_err(Into::into)?;
                Ok(Box::new(store) as Box<dyn Store>)
            })
        });
        self.crashing(move || OnDisk::new(Arc::clone(&open)))
    }

    /// How long a call may take: 10 s by default. A call that blocks is waited for four times as long.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Runs all checks on an executor: [`block_on`](crate::block_on), or a runtime's function of that name.
    ///
    /// # Errors
    ///
    /// [`Failures`], which names each broken sentence of the trait's list.
    pub fn run(
        self,
        executor: impl Fn(Pin<Box<dyn Future<Output = ()>>>) + Send + Sync + 'static,
    ) -> Result<Report, Failures> {
        let setup = || Setup {
            open: (self.place)(),
            medium: self.medium.clone(),
            patience: self.patience,
            watch: Watch::default(),
        };
        runner::run(checks::CHECKS, checks::ALWAYS, setup, executor)
    }

    /// The sentences of the trait's list, and which of them are checked.
    #[must_use]
    pub fn requirements() -> Vec<Requirement> {
        runner::requirements(checks::CHECKS, checks::ALWAYS, checks::UNCHECKED)
    }
}

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("store::Suite");
        debug
            .field("crashing", &self.medium.is_some())
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// What the checks have to work with.
struct Setup {
    open: Open,
    medium: Option<NewMedium>,
    patience: Duration,
    watch: Watch,
}

impl Context for Setup {
    fn watch(&self) -> &Watch {
        &self.watch
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
