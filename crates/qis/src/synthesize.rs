//! From what peers learned to an estimate of one's own.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;

use qis_fingerprint::Fingerprint;
use qis_packet::planted;
use qis_synth::{Content, Own, OwnOutcome, Sample, Samples, Synthesis};

use crate::SynthesizeError;
use crate::domain::Kind;
use crate::emit::expected_fingerprint;
use crate::node::Node;

/// A synthesis that is about to be; await it for the [`Synthesis`].
///
/// Only observed packets in force are looked at, the newest of each author. The result becomes the state of the domain, for rules that
/// iterate; it is never emitted.
///
/// After the first synthesis of evidence this node has emitted, others find the node by what the synthesis makes of its gradient
/// ([`Evidence::expected_fingerprint`](crate::Evidence::expected_fingerprint)), and it looks for others by that. Not after the synthesis of
/// evidence that is only observed, or has noise, whose situation would give away what is not published.
#[derive(Debug)]
#[must_use = "nothing is synthesised until this is awaited"]
pub struct Synthesize {
    node: Node,
    domain: String,
    pull: bool,
}

impl Synthesize {
    pub(crate) const fn new(node: Node, domain: String) -> Self {
        Self { node, domain, pull: false }
    }

    /// First asks the nodes that the domain's [selection](crate::Domain::selection) chooses for their newest packets of the domain.
    ///
    /// Packets are pushed to the nodes that are most similar to their author, which need not be those the author is most similar to; and a
    /// node that joined late missed them. So this is the thorough way, and costs a look-up and some answers. It needs a fingerprint: of an
    /// outcome this node emitted or observed, or of the domain's situation.
    pub const fn pull(mut self) -> Self {
        self.pull = true;
        self
    }

    async fn run(self) -> Result<Synthesis, SynthesizeError> {
        let inner = &self.node.inner;
        let unknown = || SynthesizeError::UnknownDomain { domain: self.domain.clone() };
        let domain = inner.domains.find(&self.domain).ok_or_else(unknown)?;
        if self.pull {
            let announced = inner.lock().router.announced(domain.tag).cloned();
            self.node.pull(domain.tag, announced.ok_or(SynthesizeError::NoSituation)?).await?;
        }
        let now = inner.clock.now().wall;
        let (samples, state, delta, evidence) = {
            let core = inner.lock();
            let me = core.router.root(core.router.author().identity.author());
            // Compact as those of the packets are: errors that are alike keep their order.
            let own_fingerprint =
                core.router.announced(domain.tag).cloned().map(|one| core.router.compact(one));
            let mut samples = Vec::new();
            let mut own_packet = None;
            for (author, standing) in core.router.standing(domain.tag, now) {
                let packet = standing.packet();
                let Some(content) = standing.content() else { continue };
                if packet.lineage().is_some() && !planted!(EchoCounted) {
                    // Derived from packets that are or were here: to count it would count them twice.
                } else if author == me {
                    own_packet = Some(content);
                } else {
                    samples.push(Sample {
                        similarity: similarity(own_fingerprint.as_ref(), packet.fingerprint()),
                        confidence: packet.confidence(),
                        support: packet.support(),
                        time: Some(packet.time()),
                        organisation: core.organisations.of(author, packet.author()),
                        ..Sample::new(author, content.clone())
                    });
                }
            }
            // After a restart the host's own vector is gone; what it sent is next to it.
            let delta = core.deltas.get(&domain.tag).cloned().or_else(|| match own_packet {
                Some(Content::Delta(delta)) =>
                {
                    #[expect(clippy::cast_possible_truncation, reason = "the packet holds f32")]
                    Some(delta.to_vec().into_iter().map(|value| value as f32).collect())
                }
                _ => None,
            });
            // One of other dimensions was kept before the domain took these.
            let state = core.states.get(&domain.tag).filter(|state| state.len() == domain.dims()).cloned();
            (samples, state, delta, core.evidence.get(&domain.tag).map(Arc::clone))
        };
        let outcome = match &domain.kind {
            Kind::Delta { .. } => delta.as_deref().map(OwnOutcome::Delta),
            Kind::Evidence { .. } => evidence.as_deref().map(OwnOutcome::Evidence),
        };
        let mut own = Own::nothing().at(now);
        own.outcome = outcome;
        own.state = state.as_deref();
        // Authors are the keys of the router's table, so none is there twice.
        let samples = Samples::new(samples).unwrap_or_default();
        let synthesis = domain.rule.synthesize(&own, &samples)?;

        let mut core = inner.lock();
        let bytes = synthesis.estimate.iter().flat_map(|value| value.to_le_bytes()).collect();
        core.router.keep(domain.tag, bytes);
        core.states.insert(domain.tag, synthesis.estimate.clone());
        // Peers take noise out of the gradient of few records: from now on others find this site by what is left.
        if let Some(evidence) = &evidence
            && synthesis.origins > 0
            && core.published.is_first_synthesis(domain.tag, evidence)
            && let Some(fingerprint) = expected_fingerprint(domain, evidence, &synthesis.estimate)
        {
            core.router.announce(inner.clock.now(), domain.tag, fingerprint);
        }
        drop(core);
        inner.wake.wake();
        Ok(synthesis)
    }
}

impl IntoFuture for Synthesize {
    type Output = Result<Synthesis, SynthesizeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// 0, as for the unrelated, when this node has said nothing of its situation or said it in another space.
fn similarity(own: Option<&Fingerprint>, theirs: &Fingerprint) -> f32 {
    own.and_then(|own| own.cosine(theirs).ok()).unwrap_or(0.0)
}
