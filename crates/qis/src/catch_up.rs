//! Asking for what was missed, until there is no more of it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use futures_channel::oneshot;
use qis_fingerprint::Fingerprint;
use qis_packet::DomainTag;
use qis_route::proto::Pulled;

use crate::CatchUpError;
use crate::node::Node;

/// A round asks each source for some packets; a node that missed hundreds needs several. Beyond this the clock goes on with it.
const MOST_ROUNDS: usize = 32;

/// Catching up that is about to begin; await it for what it brought.
#[derive(Debug)]
#[must_use = "nothing is asked for until this is awaited"]
pub struct CatchUp {
    node: Node,
    domain: Option<String>,
}

/// What catching up brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaughtUp {
    /// Rounds of asking, over all domains.
    pub rounds: usize,
    /// Nodes that answered in full, the most in a round.
    pub answered: usize,
    /// Packets that were new here.
    pub applied: usize,
    /// Domains in which nothing says what this node's situation is, so that it cannot look for similar nodes: emit or observe an
    /// outcome first.
    pub without_situation: Vec<DomainTag>,
}

impl CatchUp {
    pub(crate) const fn new(node: Node) -> Self {
        Self { node, domain: None }
    }

    /// In this domain only, by its tag or, for one of evidence, the part before the `@`.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    async fn run(self) -> Result<CaughtUp, CatchUpError> {
        let inner = &self.node.inner;
        let domains: Vec<DomainTag> = match &self.domain {
            None => inner.domains.0.keys().copied().collect(),
            Some(name) => {
                let unknown = || CatchUpError::UnknownDomain { domain: name.clone() };
                vec![inner.domains.find(name).ok_or_else(unknown)?.tag]
            }
        };
        let mut caught_up = CaughtUp::default();
        for domain in domains {
            let Some(fingerprint) = inner.lock().router.announced(domain).cloned() else {
                caught_up.without_situation.push(domain);
                continue;
            };
            for _ in 0..MOST_ROUNDS {
                let pulled = self.node.pull(domain, fingerprint.clone()).await?;
                caught_up.rounds += 1;
                caught_up.answered = caught_up.answered.max(pulled.answered);
                caught_up.applied += pulled.applied;
                if pulled.applied == 0 {
                    break;
                }
            }
        }
        Ok(caught_up)
    }
}

impl IntoFuture for CatchUp {
    type Output = Result<CaughtUp, CatchUpError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Node {
    /// Asks those who are similar to `fingerprint` for their newest packets of a domain, once.
    pub(crate) async fn pull(
        &self,
        domain: DomainTag,
        fingerprint: Fingerprint,
    ) -> Result<Pulled, CatchUpError> {
        let inner = &self.inner;
        let pulled = {
            let now = inner.clock.now();
            let mut core = inner.lock();
            if core.stopping {
                return Err(CatchUpError::Stopped);
            }
            if !inner.is_running() {
                return Err(CatchUpError::NotRunning);
            }
            let id = core.router.pull(now, domain, fingerprint)?;
            let (tell, pulled) = oneshot::channel();
            core.pulls.insert(id, tell);
            pulled
        };
        inner.wake.wake();
        pulled.await.map_err(|_| CatchUpError::Stopped)
    }
}
