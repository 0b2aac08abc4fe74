//! What a host does with its node: the loop from outcomes to a synthesis and on to new outcomes.

use std::sync::Arc;

use qis::{EmitError, Evidence, Lineage, Node, Outcome, OutcomePacket, Receipt};

use super::invariants;
use super::plan::Errand;
use super::site::{EVIDENCE, VECTOR_DIMS, VECTORS, schema};
use super::world::World;
use crate::Rng;

/// New records with each evidence: as many as may be published anew.
const MORE_RECORDS: u32 = 25;
/// Where outcomes come from, in their sites' words.
const SOURCE: &str = "records of this month";

/// Does an errand at a site, in one of its lives.
pub(super) async fn run(world: Arc<World>, site: usize, life: u64, node: Node, errand: Errand) {
    let host = Host { world, site, life, node };
    match errand {
        Errand::Begin => host.begin().await,
        Errand::Vector { wait } => drop(host.vector(wait).await),
        Errand::Derived => host.derived().await,
        Errand::Evidence => host.evidence().await,
        Errand::Synthesize { evidence } => drop(host.synthesize(evidence).await),
        Errand::Retract => host.retract().await,
        Errand::Serve => {
            let serves = host.vector(true).await && host.synthesize(false).await;
            host.world.lock().sites[site].serves = serves;
        }
        Errand::CatchUp => {
            let caught_up = host.node.catch_up().await;
            let applied = caught_up.map(|caught_up| caught_up.applied).unwrap_or_default();
            host.world.lock().note(format_args!("site {site} catches up with {applied}"));
        }
    }
}

struct Host {
    world: Arc<World>,
    site: usize,
    life: u64,
    node: Node,
}

impl Host {
    /// A host brings what it knows again after a start, if the node has lost it.
    async fn begin(&self) {
        for domain in [VECTORS, EVIDENCE] {
            let own = self.own(domain);
            if own.is_none() && domain == VECTORS {
                let withdrawn = self.world.lock().sites[self.site].withdrawn;
                if !withdrawn {
                    self.vector(false).await;
                }
            } else if own.is_none() {
                self.evidence().await;
            } else if domain == EVIDENCE {
                let evidence = self.world.lock().sites[self.site].evidence();
                if let Some(evidence) = evidence {
                    // What it observed it needs for its own synthesis.
                    let _ = self.node.observe(EVIDENCE, evidence);
                }
            }
        }
    }

    /// The standing packet of this site.
    fn own(&self, domain: &str) -> Option<OutcomePacket> {
        let standing = self.node.standing(domain);
        let state = self.world.lock();
        standing.into_iter().find(|packet| state.authors.get(&packet.author()) == Some(&self.site))
    }

    /// Whether it was emitted.
    async fn vector(&self, wait: bool) -> bool {
        let vector = {
            let mut state = self.world.lock();
            let site = &mut state.sites[self.site];
            site.withdrawn = false;
            site.next_vector()
        };
        self.emit(VECTORS, vector.into(), None, wait).await
    }

    async fn derived(&self) {
        let standing = self.node.standing(VECTORS);
        let ids: Vec<_> = standing.iter().map(OutcomePacket::id).collect();
        let estimate = self.world.lock().sites[self.site].estimate.clone();
        let (Some(lineage), Some(estimate)) = (Lineage::of(1, &ids), estimate) else { return };
        #[expect(clippy::cast_possible_truncation, reason = "a packet holds single precision")]
        let values: Vec<f32> = estimate.iter().map(|value| *value as f32).collect();
        self.emit(VECTORS, values.into(), Some(lineage), true).await;
    }

    async fn evidence(&self) {
        let evidence = {
            let mut state = self.world.lock();
            let site = &mut state.sites[self.site];
            site.records += MORE_RECORDS;
            site.evidence()
        };
        if let Some(evidence) = evidence {
            self.emit(EVIDENCE, evidence.into(), None, true).await;
        }
    }

    async fn emit(&self, domain: &str, outcome: Outcome, lineage: Option<Lineage>, wait: bool) -> bool {
        self.world.lock().invariants.emissions.ask(self.site, self.life);
        let mut emit = self.node.emit(domain, outcome).source(SOURCE);
        if let Some(lineage) = lineage {
            emit = emit.derived_from(lineage);
        }
        if wait {
            self.take(emit.await)
        } else {
            let queued = emit.queue().await;
            match &queued {
                Ok(_) => self.stored(domain),
                Err(error) => self.failed(error),
            }
            queued.is_ok()
        }
    }

    /// The node said that an outcome is durable.
    fn stored(&self, domain: &str) {
        let own = self.own(domain);
        let opening = own.as_ref().map(|own| self.node.open_provenance(own, SOURCE));
        let mut state = self.world.lock();
        state.note(format_args!("site {} has stored", self.site));
        let Some(own) = own else { return };
        let held = state.acknowledged_to_host(self.site, &own);
        state.check(held);
        // One that the clock stated again has another source.
        if let Some(Ok(opening)) = opening {
            let held = state.invariants.provenance.opened(self.site, &opening, &own);
            state.check(held);
        }
    }

    /// Whether it was emitted.
    fn take(&self, receipt: Result<Receipt, EmitError>) -> bool {
        let emitted = receipt.is_ok();
        match receipt {
            Err(error) => self.failed(&error),
            Ok(receipt) => {
                let mut state = self.world.lock();
                let (to, delivered) = (receipt.recipients.len(), receipt.delivered());
                let order = receipt.order;
                state.note(format_args!("site {} emitted {order} to {delivered} of {to}", self.site));
                let held = state.receipt(self.site, &receipt);
                state.check(held);
            }
        }
        emitted
    }

    fn failed(&self, error: &EmitError) {
        self.world.lock().note(format_args!("site {} does not emit: {error}", self.site));
    }

    /// Whether there was one.
    async fn synthesize(&self, evidence: bool) -> bool {
        let domain = if evidence { EVIDENCE } else { VECTORS };
        let synthesis = self.node.synthesize(domain).await;
        // Nothing has happened in between: a synthesis that does not pull waits for nothing.
        let standing = self.node.standing(domain);
        let mut state = self.world.lock();
        let site = self.site;
        let made = synthesis.is_ok();
        match synthesis {
            Err(error) => state.note(format_args!("site {site} has no synthesis: {error}")),
            Ok(synthesis) => {
                let (peers, first) = (synthesis.contributions.len(), synthesis.estimate.first().copied());
                state.note(format_args!("site {site} synthesises {peers}: {first:?}"));
                let own = state.sites[site].vector.clone();
                let authors = state.sites[site].authors.clone();
                let held =
                    invariants::influence::check(site, &authors, &own, &standing, &synthesis, !evidence);
                state.check(held);
                if !evidence {
                    state.sites[site].estimate = Some(synthesis.estimate);
                }
            }
        }
        made
    }

    async fn retract(&self) {
        let before = {
            let mut state = self.world.lock();
            state.invariants.emissions.ask(self.site, self.life);
            std::mem::replace(&mut state.sites[self.site].withdrawn, true)
        };
        let receipt = self.node.retract(VECTORS).await;
        if receipt.is_err() {
            // What is not withdrawn is said again after a start, if the node has lost it.
            self.world.lock().sites[self.site].withdrawn = before;
        }
        self.take(receipt);
    }
}

impl super::site::Site {
    /// What the site observes now: what is true of its group and itself, and a part of what its last synthesis had it do.
    fn next_vector(&mut self) -> Vec<f32> {
        let mut truth = Rng::new(self.truth());
        let vector: Vec<f32> = (0..VECTOR_DIMS)
            .map(|at| {
                let learned = self.estimate.as_ref().and_then(|estimate| estimate.get(at)).copied();
                let own = truth.gauss() + 0.2 * self.rng.gauss();
                #[expect(clippy::cast_possible_truncation, reason = "a packet holds single precision")]
                let value = learned.map_or(own, |learned| 0.7 * own + 0.3 * learned) as f32;
                value
            })
            .collect();
        self.vector.clone_from(&vector);
        vector
    }

    /// The site's records so far, as evidence. Earlier records stay as they are.
    fn evidence(&self) -> Option<Evidence> {
        let mut rng = Rng::new(self.truth());
        let slopes = [rng.gauss(), rng.gauss()];
        let (mut x, mut y) = (Vec::new(), Vec::new());
        for _ in 0..self.records {
            let row = [rng.gauss(), rng.gauss()];
            y.push(slopes[0] * row[0] + slopes[1] * row[1] + 0.5 * rng.gauss());
            x.extend(row);
        }
        Evidence::gaussian(&schema().ok()?, &x, &y).ok()
    }
}
