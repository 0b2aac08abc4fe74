//! What every [`Transport`] has to do.
//!
//! The suite opens endpoints, sends frames of all lengths between them, many at a time, drops sends half-way, sends to where nobody is, and looks at
//! what arrives. Frames may be lost: it sends them again.
//!
//! The host says how an endpoint is opened: a transport and a guard that keeps its listener, which is dropped to close it.
//! Frames that arrive go to the [`Inbox`], with the same arguments as they would to `Node::receive`. All endpoints can reach each other.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::convert::Infallible;
//! use std::sync::{Arc, Mutex};
//!
//! use qis_conformance::{block_on, transport};
//! use qis_conformance::transport::Inbox;
//! use qis_route::{Address, HostError, HostErrorKind, transport_fn};
//!
//! // A network inside this process: an inbox for each address.
//! let net: Arc<Mutex<BTreeMap<Address, Inbox>>> = Arc::default();
//! let open = async move |inbox: Inbox| {
//!     let local: Address = format!("node-{}", net.lock().unwrap().len()).parse().unwrap();
//!     net.lock().unwrap().insert(local.clone(), inbox);
//!     let (net, from) = (Arc::clone(&net), local.clone());
//!     let transport = transport_fn(local, move |to, frame| {
//!         let refuse = |kind, why: &'static str| Err(HostError::new(kind, why));
//!         if frame.len() > 16_384 {
//!             return refuse(HostErrorKind::Refused, "too large");
//!         }
//!         match net.lock().unwrap().get(to) {
//!             Some(inbox) => Ok(inbox.receive(&from, frame)),
//!             None => refuse(HostErrorKind::Unavailable, "nobody is there"),
//!         }
//!     });
//!     Ok::<_, Infallible>((transport, ()))
//! };
//! transport::Suite::new(open).run(block_on)?;
//! # Ok::<(), qis_conformance::Failures>(())
//! ```

mod checks;
mod inbox;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use qis_route::{Address, Transport};

use crate::requirement::Requirement;
use crate::runner::{self, BoxError, Context, Local, PATIENCE, Stop, Watch};
use crate::{Failures, Report};

pub use inbox::Inbox;

/// The suite for a [`Transport`].
pub struct Suite {
    open: Open,
    patience: Duration,
    never: Option<String>,
}

type Open = Arc<dyn Fn(Inbox) -> Local<Result<(Arc<dyn Transport>, Box<dyn Any>), BoxError>> + Send + Sync>;

impl Suite {
    /// A suite for the transport of endpoints that are opened like this, each with an address of its own.
    ///
    /// Beside the transport it gives whatever has to be kept while the endpoint is open, such as a listener; `()` if there is nothing.
    pub fn new<T, G, E>(open: impl AsyncFn(Inbox) -> Result<(T, G), E> + Send + Sync + 'static) -> Self
    where
        T: Transport,
        G: 'static,
        E: Into<Box<dyn Error + Send + Sync>>,
    {
        let open = Arc::new(open);
        let open: Open = Arc::new(move |inbox| {
            let open = Arc::clone(&open);
            Box::pin(async move {
                let (transport, guard) = (*open)(inbox).await.map_err(Into::into)?;
                Ok((Arc::new(transport) as Arc<dyn Transport>, Box::new(guard) as Box<dyn Any>))
            })
        });
        Self { open, patience: PATIENCE, never: None }
    }

    /// How long a frame may take to arrive when nothing is wrong, and a send to end beyond its time: 10 s by default. A call that blocks
    /// is waited for four times as long.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// A text that can never be an address of this transport, which has to be refused. Not checked unless it is given.
    #[must_use]
    pub fn never_an_address(self, text: impl Into<String>) -> Self {
        Self { never: Some(text.into()), ..self }
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
            patience: self.patience,
            never: self.never.clone(),
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
        f.debug_struct("transport::Suite").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// What the checks have to work with.
struct Setup {
    open: Open,
    patience: Duration,
    never: Option<String>,
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

/// One side of a network.
struct Endpoint {
    transport: Arc<dyn Transport>,
    inbox: Inbox,
    guard: Box<dyn Any>,
}

impl Endpoint {
    fn address(&self) -> Address {
        self.transport.local_address()
    }
}

impl Setup {
    async fn endpoint(&self) -> Result<Endpoint, Stop> {
        let inbox = Inbox::default();
        let opened = (self.open)(inbox.clone()).await;
        let (transport, guard) =
            opened.map_err(|error| Stop::failed("no endpoint could be opened", error))?;
        Ok(Endpoint { transport, inbox, guard })
    }
}
