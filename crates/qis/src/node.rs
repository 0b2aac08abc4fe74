//! A node.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError};

use futures_channel::oneshot;
use qis_fingerprint::{EmbedError, EmbedErrorKind, Embedder, Fingerprint};
use qis_packet::{AuthorId, DomainTag, Epoch, Opening, OutcomePacket, Timestamp};
use qis_route::proto::{EmissionId, PullId, Pulled, Queues, Receipt, Refusal, Router, Stats, Verdict};
use qis_route::{Address, Clock, Directory, Organisation, Store, Transport};
use qis_synth::evidence::Evidence;

use crate::catch_up::CatchUp;
use crate::domain::{Domain, Domains};
use crate::driver::Driver;
use crate::emit::{Emit, Queued, Retract, check_outcome, gradient_fingerprint, neutral_fingerprint};
use crate::events::{Events, Listeners};
use crate::organisations::Organisations;
use crate::overlay::{OverlayPart, OverlayReport};
use crate::published::Published;
use crate::sync::{AtomicBool, AtomicWaker, Mutex, MutexGuard, Ordering};
use crate::synthesize::Synthesize;
use crate::{AuditError, EmitError, EraseError, NodeBuilder, Outcome};

/// One site of the network: it emits what the site learned, receives what others did, and synthesises.
///
/// A node is a handle; clones are the same node. It does nothing by itself: a task drives its [`run`](Self::run), and the host hands
/// inbound frames to [`receive`](Self::receive). Receiving never emits: new packets come from the host's outcomes and from the
/// clock, which states a standing outcome again before it expires. (One exception: a node that meets a packet of its own which it does
/// not remember was restored from a backup, and states its outcomes again, once, so that they count.)
#[derive(Clone)]
pub struct Node {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) core: Mutex<Core>,
    pub(crate) domains: Domains,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) address: Address,
    /// None for a node that finds others by its overlays.
    pub(crate) directory: Option<Arc<dyn Directory>>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) embedder: Arc<dyn Embedder>,
    /// Wakes the driver when somebody else gave the router something to do.
    pub(crate) wake: AtomicWaker,
    running: AtomicBool,
}

/// What the lock protects: the router, the overlays, and those who wait for them.
pub(crate) struct Core {
    pub(crate) router: Router<Domains>,
    /// For a node without a directory.
    pub(crate) overlay: Option<OverlayPart>,
    /// This site's own data, as it gave them. Evidence is never stored: the host brings it again after a restart.
    pub(crate) evidence: BTreeMap<DomainTag, Arc<Evidence>>,
    pub(crate) deltas: BTreeMap<DomainTag, Vec<f32>>,
    /// On whose behalf authors take part, as look-ups and the host said.
    pub(crate) organisations: Organisations,
    /// The last synthesis of each domain, for rules that iterate.
    pub(crate) states: BTreeMap<DomainTag, Vec<f64>>,
    /// What becomes of this site's own data once an emission is durable.
    pub(crate) pending: BTreeMap<EmissionId, (DomainTag, OwnChange)>,
    pub(crate) published: Published,
    pub(crate) emissions: BTreeMap<EmissionId, EmissionWaiter>,
    pub(crate) pulls: BTreeMap<PullId, oneshot::Sender<Pulled>>,
    /// Who waits for the secrets before a week to be erased in the store.
    pub(crate) erasures: Vec<(Epoch, oneshot::Sender<Result<(), EraseError>>)>,
    pub(crate) listeners: Listeners,
    pub(crate) stopping: bool,
    pub(crate) stopped: Vec<oneshot::Sender<()>>,
}

/// A change of this site's own data of a domain.
pub(crate) enum OwnChange {
    /// The host brought an outcome.
    Observed(Outcome),
    /// The host withdrew what it had brought.
    Withdrawn,
    /// What was emitted was made of others' packets, and is no data of this site's.
    None,
}

impl Core {
    pub(crate) fn change_own(&mut self, domain: DomainTag, change: OwnChange) {
        match change {
            OwnChange::Observed(Outcome::Delta(values)) => {
                self.deltas.insert(domain, values);
            }
            OwnChange::Observed(Outcome::Evidence(evidence)) => {
                self.evidence.insert(domain, evidence);
            }
            OwnChange::Withdrawn => {
                self.deltas.remove(&domain);
                self.evidence.remove(&domain);
            }
            OwnChange::None => {}
        }
    }
}

/// Who waits for an emission, and for how much of it.
pub(crate) enum EmissionWaiter {
    Stored(oneshot::Sender<Result<Queued, EmitError>>),
    Over(oneshot::Sender<Result<Receipt, EmitError>>),
}

impl Node {
    /// A builder with nothing in it yet.
    pub fn builder() -> NodeBuilder {
        NodeBuilder::new()
    }

    /// Emits an outcome: signs it into a packet, keeps it, and sends it to the nodes whose situation is most similar.
    ///
    /// `domain` is a tag of the node's domains; for a domain of evidence the part before the `@` will do. Await the result for the receipt,
    /// or see the options of [`Emit`].
    ///
    /// ```
    /// # async fn example(node: &qis::Node) -> Result<(), qis::EmitError> {
    /// let receipt = node.emit("cardiology/heart", [0.1, -0.2]).confidence(0.8).source("ward-3/2026-11").await?;
    /// println!("{} of {} have it", receipt.delivered(), receipt.recipients.len());
    /// # Ok(())
    /// # }
    /// ```
    pub fn emit(&self, domain: impl AsRef<str>, outcome: impl Into<Outcome>) -> Emit {
        Emit::new(self.clone(), domain.as_ref().to_owned(), outcome.into())
    }

    /// Says on whose behalf an author takes part, for rules that count the votes of an organisation.
    ///
    /// What the directory or the overlay's [admission](crate::NodeBuilder::admission) says of the nodes that look-ups find is
    /// remembered without this, and is what counts where the two differ and it came later. An author of whom
    /// nothing is known counts as an organisation of its own. It is kept in memory, of 16,384 authors at most; beyond, the one of whom it was first said is forgotten.
    pub fn set_organisation(&self, author: AuthorId, organisation: Organisation) {
        self.inner.lock().organisations.set(author, organisation);
    }

    /// Keeps an outcome for this site's own synthesis, in memory, and sends nothing of it.
    ///
    /// It is how a site takes part whose evidence rests on too few records to be published: it listens. Where it has said nothing of its
    /// situation yet, it looks for others by a fingerprint that is the same for all such sites. What an earlier
    /// [`emit`](Self::emit) published still stands.
    ///
    /// # Errors
    ///
    /// [`EmitError`] when the domain is unknown or does not take such an outcome; nothing has changed then.
    pub fn observe(&self, domain: impl AsRef<str>, outcome: impl Into<Outcome>) -> Result<(), EmitError> {
        let name = domain.as_ref();
        let found = self.inner.domains.find(name);
        let domain = found.ok_or_else(|| EmitError::UnknownDomain { domain: name.to_owned() })?;
        let outcome = outcome.into();
        check_outcome(domain, &outcome)?;
        let gradient = match &outcome {
            Outcome::Evidence(evidence) => gradient_fingerprint(domain, evidence).ok(),
            Outcome::Delta(_) => None,
        };
        let now = self.inner.clock.now();
        let mut core = self.inner.lock();
        if core.router.announced(domain.tag).is_none() {
            core.router.announce(now, domain.tag, neutral_fingerprint(domain)?);
        } else if let Some(gradient) = gradient {
            // Should it be what a packet of this node's was made with, before a restart. Nothing is told of any other one.
            core.router.recall(now, domain.tag, gradient);
        }
        // What was emitted before and is on its way to the store is older than this.
        for (of, change) in core.pending.values_mut() {
            if *of == domain.tag {
                *change = OwnChange::None;
            }
        }
        core.change_own(domain.tag, OwnChange::Observed(outcome));
        drop(core);
        self.inner.wake.wake();
        Ok(())
    }

    /// Withdraws this node's standing outcome of a domain: here, at the nodes most similar to it, and at all who ask for the domain's
    /// packets later. An emission that is not durable yet is not withdrawn; await it, or its [`queue`](Emit::queue), first.
    pub fn retract(&self, domain: impl AsRef<str>) -> Retract {
        Retract::new(self.clone(), domain.as_ref().to_owned())
    }

    /// Synthesises what the node holds of a domain into the site's own estimate.
    ///
    /// Await the result, or see the options of [`Synthesize`]: a site that joined late wants [`pull`](Synthesize::pull).
    pub fn synthesize(&self, domain: impl AsRef<str>) -> Synthesize {
        Synthesize::new(self.clone(), domain.as_ref().to_owned())
    }

    /// Asks similar nodes for the outcomes that wait for this one, until they have no more: for a node that joined late or was away.
    ///
    /// [`RouterConfig::sync`](crate::RouterConfig::sync) does the same by and by, without being asked.
    ///
    /// ```
    /// # async fn example(node: &qis::Node) -> Result<(), qis::CatchUpError> {
    /// let caught_up = node.catch_up().await?;
    /// println!("{} outcomes were waiting", caught_up.applied);
    /// # Ok(())
    /// # }
    /// ```
    pub fn catch_up(&self) -> CatchUp {
        CatchUp::new(self.clone())
    }

    /// Takes in a frame that came from an address: the host's listener calls this. It does not wait, and no frame makes it panic.
    ///
    /// The verdict says what became of the frame. A refused one has changed nothing but the counts.
    #[expect(clippy::must_use_candidate, reason = "a listener that ignores the verdict is right")]
    pub fn receive(&self, from: &Address, frame: &[u8]) -> Verdict {
        let now = self.inner.clock.now();
        let mut core = self.inner.lock();
        if core.stopping {
            return Verdict::Refused(Refusal::Busy);
        }
        let verdict = core.receive(now, from, frame);
        drop(core);
        self.inner.wake.wake();
        verdict
    }

    /// Listens to what happens in the node from now on.
    #[must_use]
    pub fn subscribe(&self) -> Events {
        let mut core = self.inner.lock();
        if core.stopping { Listeners::default().add() } else { core.listeners.add() }
    }

    /// Drives the node until it is shut down: sends, looks up, commits, keeps time. Spawn it once.
    ///
    /// The node counts as running from this call on; dropping the future stops it, dropping the node's handles does not. A second driver
    /// beside a first one ends at once.
    #[must_use = "a node does nothing until its driver is spawned"]
    pub fn run(&self) -> impl Future<Output = ()> + Send + 'static {
        let first = !self.inner.running.swap(true, Ordering::SeqCst);
        let driver = first.then(|| Driver::new(Arc::clone(&self.inner)));
        async move {
            if let Some(driver) = driver {
                driver.run().await;
            }
        }
    }

    /// Stops the node: what is durable or on its way to the store is kept, everything else ends with an error for those who wait for
    /// it. Emissions that are not over go on when a node is built on the same store.
    pub async fn shutdown(&self) {
        let stopped = {
            let mut core = self.inner.lock();
            core.stopping = true;
            if !self.inner.is_running() {
                return;
            }
            core.keep_peers();
            let (tell, stopped) = oneshot::channel();
            core.stopped.push(tell);
            stopped
        };
        self.inner.wake.wake();
        // The driver tells, or is dropped; it has stopped either way.
        let _ = stopped.await;
    }

    /// The id under which this node's packets travel.
    #[must_use]
    pub fn author(&self) -> AuthorId {
        self.inner.lock().router.author().identity.author()
    }

    /// Where this node is reached.
    #[must_use]
    pub fn address(&self) -> Address {
        self.inner.address.clone()
    }

    /// The counts since the node was built.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.inner.lock().router.stats().clone()
    }

    /// What waits in the node: for its links, its store and its time.
    #[must_use]
    pub fn queues(&self) -> Queues {
        self.inner.lock().router.queues()
    }

    /// How the node stands in its overlays; `None` when it has a directory instead.
    #[must_use]
    pub fn overlay_stats(&self) -> Option<OverlayReport> {
        self.inner.lock().overlay.as_ref().map(OverlayPart::report)
    }

    /// The packets of a domain that stand and have not expired, this node's own among them, by author.
    #[must_use]
    pub fn standing(&self, domain: impl AsRef<str>) -> Vec<OutcomePacket> {
        let Some(domain) = self.inner.domains.find(domain.as_ref()) else { return Vec::new() };
        let now = self.inner.clock.now().wall;
        let core = self.inner.lock();
        core.router.standing(domain.tag, now).map(|(_, one)| one.packet().clone().into_packet()).collect()
    }

    /// How many authors have a packet in a domain that stands and has not expired, this node among them: the length of
    /// [`standing`](Self::standing), without copying any.
    #[must_use]
    pub fn authors(&self, domain: impl AsRef<str>) -> usize {
        let Some(domain) = self.inner.domains.find(domain.as_ref()) else { return 0 };
        let now = self.inner.clock.now().wall;
        self.inner.lock().router.standing(domain.tag, now).count()
    }

    /// Erases the secrets that open the provenance of packets made before `time`, in weeks: nobody can open those any more, not even this
    /// site. Packets are of no use to anyone after their lifetime, 90 days at most.
    ///
    /// A node that [keeps its secret](NodeBuilder::keep_site_secret) erases it in memory at once and in its store with the next commit, and this
    /// returns when that is durable; while the store is full, say, it waits. The pages of a store's file that are
    /// free now may hold the old secret until they are written again.
    ///
    /// The host of a node with a [`site_secret`](NodeBuilder::site_secret) has to forget the old one too. A secret that
    /// follows from the identity is there again after a restart.
    ///
    /// # Errors
    ///
    /// [`EraseError`]: when the time is implausibly late, nothing is erased. With any other error the secrets are erased in memory and
    /// perhaps not in the store; erase them again when a node is built on it.
    pub async fn erase_provenance_before(&self, time: Timestamp) -> Result<(), EraseError> {
        let erased = {
            let mut core = self.inner.lock();
            let Some(before) = core.router.erase_provenance_before(time)? else { return Ok(()) };
            if core.router.is_poisoned() {
                return Err(EraseError::StorePoisoned);
            }
            if core.stopping {
                return Err(EraseError::Stopped);
            }
            if !self.inner.is_running() {
                return Err(EraseError::NotRunning);
            }
            let (tell, erased) = oneshot::channel();
            core.erasures.push((before, tell));
            erased
        };
        self.inner.wake.wake();
        erased.await.unwrap_or(Err(EraseError::Stopped))
    }

    /// Opens the provenance of one of this node's packets to an auditor, who checks it with [`Opening::verify`].
    ///
    /// `source` is what was given to [`Emit::source`], empty if nothing was. A packet that the clock stated again has the source
    /// `"renewal of "` and the id of the packet it renews, whose own opening tells the rest.
    ///
    /// # Errors
    ///
    /// [`AuditError`] when the secret of the packet's time was erased, so that nobody can open it any more, or the packet was not made
    /// by this node from this source.
    pub fn open_provenance(&self, packet: &OutcomePacket, source: &str) -> Result<Opening, AuditError> {
        let core = self.inner.lock();
        let author = core.router.author();
        let opening = author.secret.opening(packet.order(), packet.time(), &author.node, source)?;
        opening.verify(packet, author.network)?;
        Ok(opening)
    }
}

impl Inner {
    pub(crate) fn new(
        core: Core,
        domains: Domains,
        transport: Arc<dyn Transport>,
        directory: Option<Arc<dyn Directory>>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        embedder: Arc<dyn Embedder>,
    ) -> Self {
        Self {
            core: Mutex::new(core),
            domains,
            address: transport.local_address(),
            transport,
            directory,
            store,
            clock,
            embedder,
            wake: AtomicWaker::new(),
            running: AtomicBool::new(false),
        }
    }

    /// The core's methods keep it whole at every step that can panic, which are those of hosts' rules; so a poisoned lock is taken.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.load(Ordering::SeqCst)
    }

    pub(crate) fn set_stopped(&self) {
        self.running.store(false, Ordering::SeqCst);
    }

    /// The fingerprint of a text: of the given one, of the domain's situation, or of its tag.
    pub(crate) async fn embed(&self, domain: &Domain, text: Option<&str>) -> Result<Fingerprint, EmbedError> {
        embed(&*self.embedder, domain, text).await
    }
}

pub(crate) async fn embed(
    embedder: &dyn Embedder,
    domain: &Domain,
    text: Option<&str>,
) -> Result<Fingerprint, EmbedError> {
    let text = text.or(domain.situation.as_deref()).unwrap_or(domain.tag.as_str());
    let mut embedded = embedder.embed(&[text]).await?;
    match (embedded.pop(), embedded.is_empty()) {
        (Some(one), true) if one.space() == embedder.space() => Ok(one),
        _ => Err(EmbedError::new(EmbedErrorKind::Model, "one text makes one fingerprint of its space")),
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("author", &self.author())
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
