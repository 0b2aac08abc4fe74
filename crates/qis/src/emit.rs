//! Emitting and withdrawing outcomes.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use futures_channel::oneshot;
use qis_fingerprint::{Fingerprint, FingerprintError};
use qis_packet::{Confidence, DomainTag, Draft, Lifetime, Lineage, Order, PacketId, Support};
use qis_route::Selection;
use qis_route::proto::{EmissionId, EmitError as RouteError, Origin, PayloadRefusal, Receipt};
use qis_synth::evidence::Evidence;

use crate::domain::{Domain, Kind};
use crate::node::{Core, EmissionWaiter, Node, OwnChange};
use crate::published::Publication;
use crate::{EmitError, Outcome};

/// An emission that is about to be; await it for the [`Receipt`].
///
/// The receipt comes when every recipient has acknowledged or refused the packet, or all attempts are over. Who does not want to wait
/// for that [`queue`](Self::queue)s it. Dropping the future before it is ready does not take the outcome back.
#[derive(Debug)]
#[must_use = "nothing is emitted until this is awaited or queued"]
pub struct Emit {
    node: Node,
    domain: String,
    outcome: Outcome,
    confidence: Option<f64>,
    support: Option<u64>,
    lifetime: Option<Lifetime>,
    source: String,
    fingerprint: Option<Fingerprint>,
    situation: Option<String>,
    lineage: Option<Lineage>,
    selection: Option<Selection>,
}

/// An outcome that is durable and will be sent, also if the process ends now and a node is built on the same store later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// The emission, as it is called in the router's events.
    pub emission: EmissionId,
    /// The packet.
    pub packet: PacketId,
    /// Its place in this node's order, which no other packet of this node will ever have.
    pub order: Order,
}

impl Emit {
    pub(crate) const fn new(node: Node, domain: String, outcome: Outcome) -> Self {
        Self {
            node,
            domain,
            outcome,
            confidence: None,
            support: None,
            lifetime: None,
            source: String::new(),
            fingerprint: None,
            situation: None,
            lineage: None,
            selection: None,
        }
    }

    /// How sure the site is, 0 to 1. By default 1/2 for a delta, and what the data say for evidence.
    pub const fn confidence(mut self, confidence: f64) -> Self {
        self.confidence = Some(confidence);
        self
    }

    /// On how many records the outcome rests. By default unknown for a delta, and the number of records for evidence.
    pub const fn support(mut self, records: u64) -> Self {
        self.support = Some(records);
        self
    }

    /// How long it stands; the domain's lifetime by default.
    pub const fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Where the outcome comes from, in the site's own words. It is committed to, not shown; see
    /// [`Node::open_provenance`].
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    /// The situation as a vector of the host's own model.
    pub fn fingerprint(mut self, fingerprint: Fingerprint) -> Self {
        self.fingerprint = Some(fingerprint);
        self
    }

    /// The situation in words, for the node's embedder. It is not anonymous: do not describe persons.
    pub fn situation(mut self, text: impl Into<String>) -> Self {
        self.situation = Some(text.into());
        self
    }

    /// Declares that the outcome was not observed but made of other packets. It then never counts as evidence.
    pub const fn derived_from(mut self, lineage: Lineage) -> Self {
        self.lineage = Some(lineage);
        self
    }

    /// To whom it is sent this time; as the domain's [selection](Domain::selection) says by default, which also counts when the
    /// outcome is stated again later, or goes on after a restart.
    pub const fn selection(mut self, selection: Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// Emits and returns as soon as the outcome is durable; delivery goes on in the background.
    ///
    /// # Errors
    ///
    /// [`EmitError`]; nothing was sent then.
    pub async fn queue(self) -> Result<Queued, EmitError> {
        let (tell, stored) = oneshot::channel();
        self.begin(EmissionWaiter::Stored(tell)).await?;
        stored.await.unwrap_or(Err(EmitError::Stopped))
    }

    async fn deliver(self) -> Result<Receipt, EmitError> {
        let (tell, over) = oneshot::channel();
        self.begin(EmissionWaiter::Over(tell)).await?;
        over.await.unwrap_or(Err(EmitError::Stopped))
    }

    async fn begin(self, waiter: EmissionWaiter) -> Result<(), EmitError> {
        let inner = &self.node.inner;
        let unknown = || EmitError::UnknownDomain { domain: self.domain.clone() };
        let domain = inner.domains.find(&self.domain).ok_or_else(unknown)?;
        check_running(&self.node, &inner.lock())?;
        let fingerprint = match (&self.fingerprint, &self.situation, &self.outcome) {
            (Some(given), _, _) => given.clone(),
            (None, None, Outcome::Evidence(evidence)) => gradient_fingerprint(domain, evidence)?,
            (None, text, _) => inner.embed(domain, text.as_deref()).await?,
        };
        let (draft, publication) = self.draft(domain, fingerprint)?;
        let now = inner.clock.now();
        let mut core = inner.lock();
        check_running(&self.node, &core)?;
        if let Some(publication) = &publication {
            core.published.check(domain, publication)?;
        }
        let origin = Origin(&self.source);
        let id = match self.selection {
            Some(selection) => core.router.emit_to(now, draft, origin, selection)?,
            None => core.router.emit(now, draft, origin)?,
        };
        if let Some(publication) = publication {
            // Also if the store fails now: whether others will see the packet is not known then.
            let records = publication.records;
            core.published.note(domain.tag, publication);
            core.router.keep_published(domain.tag, records);
        }
        let observed = self.lineage.is_none();
        let change = if observed { OwnChange::Observed(self.outcome) } else { OwnChange::None };
        core.pending.insert(id, (domain.tag, change));
        core.emissions.insert(id, waiter);
        drop(core);
        inner.wake.wake();
        Ok(())
    }

    /// The packet to be, and what it publishes of the site's records.
    fn draft(
        &self,
        domain: &Domain,
        fingerprint: Fingerprint,
    ) -> Result<(Draft, Option<Publication>), EmitError> {
        check_outcome(domain, &self.outcome)?;
        let mut publication = None;
        let (draft, confidence, support) = match &self.outcome {
            Outcome::Delta(values) => (Draft::delta(domain.tag, fingerprint, values), 0.5, None),
            Outcome::Evidence(evidence) => {
                let payload = evidence.published().encode(domain.evidence_room)?;
                let dims = u16::try_from(evidence.dims()).unwrap_or(u16::MAX);
                let records = evidence.published().records();
                let draft = Draft::evidence(domain.tag, fingerprint, dims, payload.clone());
                // What noise gives away, its ledger counts.
                publication = (!evidence.is_noisy()).then(|| Publication::new(evidence, payload));
                (draft, evidence.confidence(), Some(records.into()))
            }
        };
        let value = self.confidence.unwrap_or(confidence);
        let confidence = Confidence::from_f64(value).ok_or(EmitError::Confidence { value })?;
        let support = self.support.or(support).map_or(Support::UNKNOWN, Support::of);
        let lifetime = self.lifetime.unwrap_or(domain.lifetime);
        let draft = draft.confidence(confidence).support(support).lifetime(lifetime);
        let draft = match self.lineage {
            Some(lineage) => draft.derived_from(lineage),
            None => draft,
        };
        Ok((draft, publication))
    }
}

/// Whether an outcome is what a domain takes.
pub(crate) fn check_outcome(domain: &Domain, outcome: &Outcome) -> Result<(), EmitError> {
    let refuse = |refusal| Err(EmitError::Route(RouteError::Payload(refusal)));
    let (expected, actual) = match (outcome, &domain.kind) {
        (Outcome::Delta(values), Kind::Delta { dims }) => (*dims, values.len()),
        (Outcome::Evidence(evidence), Kind::Evidence { schema }) => {
            if evidence.family() != schema.family() {
                return refuse(PayloadRefusal::Kind { expected: "evidence of another family" });
            }
            (schema.dims(), evidence.dims())
        }
        (_, Kind::Delta { .. }) => return refuse(PayloadRefusal::Kind { expected: "deltas" }),
        (_, Kind::Evidence { .. }) => return refuse(PayloadRefusal::Kind { expected: "evidence" }),
    };
    if expected == actual { Ok(()) } else { refuse(PayloadRefusal::Dims { expected, actual }) }
}

impl IntoFuture for Emit {
    type Output = Result<Receipt, EmitError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.deliver())
    }
}

/// A withdrawal that is about to be; await it for the [`Receipt`].
#[derive(Debug)]
#[must_use = "nothing is withdrawn until this is awaited"]
pub struct Retract {
    node: Node,
    domain: String,
    source: String,
}

impl Retract {
    pub(crate) const fn new(node: Node, domain: String) -> Self {
        Self { node, domain, source: String::new() }
    }

    /// Why, in the site's own words; committed to, not shown.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = source.into();
        self
    }

    async fn deliver(self) -> Result<Receipt, EmitError> {
        let inner = &self.node.inner;
        let domain: DomainTag = match inner.domains.find(&self.domain) {
            Some(domain) => domain.tag,
            None => return Err(EmitError::UnknownDomain { domain: self.domain }),
        };
        let (tell, over) = oneshot::channel();
        {
            let now = inner.clock.now();
            let mut core = inner.lock();
            check_running(&self.node, &core)?;
            let id = core.router.retract(now, domain, Origin(&self.source))?;
            core.pending.insert(id, (domain, OwnChange::Withdrawn));
            core.emissions.insert(id, EmissionWaiter::Over(tell));
        }
        inner.wake.wake();
        over.await.unwrap_or(Err(EmitError::Stopped))
    }
}

impl IntoFuture for Retract {
    type Output = Result<Receipt, EmitError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.deliver())
    }
}

/// A fingerprint in the space of a domain's evidence gradients that says nothing about this site.
///
/// A site with too few records looks for others by it: its own gradient would be its records.
pub(crate) fn neutral_fingerprint(domain: &Domain) -> Result<Fingerprint, FingerprintError> {
    let dims = domain.gradient_dims();
    Fingerprint::from_vector(gradient_space(domain), &vec![1.0; dims])
}

/// What evidence says of its site's situation.
pub(crate) fn gradient_fingerprint(
    domain: &Domain,
    evidence: &Evidence,
) -> Result<Fingerprint, FingerprintError> {
    Fingerprint::from_vector(gradient_space(domain), &evidence.gradient_fingerprint())
}

/// What a synthesis says of the situation of a site with this evidence, if anything.
pub(crate) fn expected_fingerprint(
    domain: &Domain,
    evidence: &Evidence,
    estimate: &[f64],
) -> Option<Fingerprint> {
    let expected = evidence.expected_fingerprint(estimate).ok()?;
    Fingerprint::from_vector(gradient_space(domain), &expected).ok()
}

/// The space of the evidence gradients of a domain: its tag names the schema.
pub(crate) fn gradient_space(domain: &Domain) -> qis_fingerprint::SpaceId {
    let dims = domain.gradient_dims();
    let hash = domain.tag.schema_hash().map_or(0, u32::from_be_bytes);
    let name = format!("qis/evidence-gradient/1/{hash:08x}");
    qis_fingerprint::SpaceId::new(&name, u16::try_from(dims).unwrap_or(u16::MAX))
}

/// Called with the lock held, so that a driver that ends later finds the emission and tells.
fn check_running(node: &Node, core: &Core) -> Result<(), EmitError> {
    if core.stopping {
        Err(EmitError::Stopped)
    } else if node.inner.is_running() {
        Ok(())
    } else {
        Err(EmitError::NotRunning)
    }
}
