//! What every [`Directory`] has to do.
//!
//! The suite lets members announce themselves, again and in several domains, looks them up, in spaces where they are and where they are not, for any
//! number of them, several at a time, and draws samples. What is announced need not be found at once.
//!
//! The host says how a network begins, and in it, how a member gets its directory: with the member's identity, for directories that sign
//! for it, and with a guard that is kept as long as the member is there.
//!
//! ```
//! use std::convert::Infallible;
//! use std::sync::Arc;
//!
//! use qis_conformance::{block_on, directory};
//! use qis_route::FullMesh;
//!
//! let network = || {
//!     let list = Arc::new(FullMesh::default());
//!     async move |_identity| Ok::<_, Infallible>((Arc::clone(&list), ()))
//! };
//! directory::Suite::new(network).run(block_on)?;
//! # Ok::<(), qis_conformance::Failures>(())
//! ```

mod checks;
mod members;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use qis_packet::Identity;
use qis_route::Directory;

use crate::requirement::Requirement;
use crate::runner::{self, BoxError, Context, Local, PATIENCE, Watch};
use crate::{Failures, Report};

/// The suite for a [`Directory`].
pub struct Suite {
    network: New,
    members: u8,
    one_situation: bool,
    patience: Duration,
}

type Open = Box<dyn Fn(Identity) -> Local<Result<(Arc<dyn Directory>, Box<dyn Any>), BoxError>>>;
type New = Arc<dyn Fn() -> Open + Send + Sync>;

impl Suite {
    /// A suite for directories of networks that begin like this, each empty. `network` gives the way to open a member's directory; what
    /// is announced in one of a network is found in all of it.
    pub fn new<N, D, G, E>(network: impl Fn() -> N + Send + Sync + 'static) -> Self
    where
        N: AsyncFn(Identity) -> Result<(D, G), E> + 'static,
        D: Directory,
        G: 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let network: New = Arc::new(move || {
            let open = Arc::new(network());
            Box::new(move |identity| {
                let open = Arc::clone(&open);
                Box::pin(async move {
                    let (directory, guard) = (*open)(identity).await.map_err(Into::into)?;
                    Ok((Arc::new(directory) as Arc<dyn Directory>, Box::new(guard) as Box<dyn Any>))
                })
            })
        });
        Self { network, members: 12, one_situation: false, patience: PATIENCE }
    }

    /// How many members a network gets: 12 by default, and 4 at least. Fewer are faster where each is a socket.
    #[must_use]
    pub fn members(self, members: u8) -> Self {
        Self { members: members.max(4), ..self }
    }

    /// For directories in which a member has one situation a space, such as the overlay of `qis-route`: no member announces a second domain
    /// with another situation in a space where it has one, so what the trait's list says of such domains is not asked for.
    #[must_use]
    pub fn one_situation_a_space(self) -> Self {
        Self { one_situation: true, ..self }
    }

    /// How long a call may take, and how long it may take until an announcement is found: 10 s by default. A call that blocks is waited
    /// for four times as long.
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
            network: Arc::clone(&self.network),
            members: self.members,
            one_situation: self.one_situation,
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
        let mut debug = f.debug_struct("directory::Suite");
        debug.field("members", &self.members).field("one_situation", &self.one_situation);
        debug.field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// What the checks have to work with.
struct Setup {
    network: New,
    members: u8,
    one_situation: bool,
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
