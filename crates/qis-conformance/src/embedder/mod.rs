//! What every [`Embedder`] has to do.
//!
//! The suite embeds the same texts again, alone and in batches, several at a time and by another embedder of the same kind, and tries texts that
//! are empty, long and odd. What a model makes of meaning only its host can say: in examples ([`alike`](Suite::alike)).
//!
//! ```
//! use std::convert::Infallible;
//!
//! use qis_conformance::{block_on, embedder};
//! use qis_fingerprint::HashEmbedder;
//!
//! embedder::Suite::new(async || Ok::<_, Infallible>(HashEmbedder::default()))
//!     .alike("adults with chest pain", "chest pain in adults", "wheat rust in dry soil")
//!     .refuses("")
//!     .run(block_on)?;
//! # Ok::<(), qis_conformance::Failures>(())
//! ```

mod checks;

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use qis_fingerprint::Embedder;

use crate::requirement::Requirement;
use crate::runner::{self, BoxError, Context, Local, PATIENCE, Watch};
use crate::{Failures, Report};

/// The suite for an [`Embedder`].
pub struct Suite {
    open: Open,
    alike: Vec<[String; 3]>,
    refused: Vec<String>,
    patience: Duration,
}

type Open = Arc<dyn Fn() -> Local<Result<Box<dyn Embedder>, BoxError>> + Send + Sync>;

impl Suite {
    /// A suite for embedders that are made like this: as each node of a space would make its own.
    pub fn new<M, E>(open: impl AsyncFn() -> Result<M, E> + Send + Sync + 'static) -> Self
    where
        M: Embedder,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let open = Arc::new(open);
        let open: Open = Arc::new(move || {
            let open = Arc::clone(&open);
            Box::pin(async move {
                let embedder = (*open)().await.map_err(Into::into)?;
                Ok(Box::new(embedder) as Box<dyn Embedder>)
            })
        });
        Self { open, alike: Vec::new(), refused: Vec::new(), patience: PATIENCE }
    }

    /// Two texts of like meaning and one that is of another: the cosine of the first two has to be the higher one.
    #[must_use]
    pub fn alike(mut self, one: &str, like: &str, unlike: &str) -> Self {
        self.alike.push([one, like, unlike].map(str::to_owned));
        self
    }

    /// A text that this embedder can't embed, and has to refuse.
    #[must_use]
    pub fn refuses(mut self, text: &str) -> Self {
        self.refused.push(text.to_owned());
        self
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
            open: Arc::clone(&self.open),
            alike: self.alike.clone(),
            refused: self.refused.clone(),
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
        let mut debug = f.debug_struct("embedder::Suite");
        debug.field("alike", &self.alike).field("refused", &self.refused).finish_non_exhaustive()
    }
}

/// What the checks have to work with.
struct Setup {
    open: Open,
    alike: Vec<[String; 3]>,
    refused: Vec<String>,
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
