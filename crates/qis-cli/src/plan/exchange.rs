//! The loop itself: evidence becomes signed packets, packets find their way, and are read again.

use std::collections::BTreeMap;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{
    AuthorId, Confidence, DomainTag, Draft, Epoch, Identity, NetworkId, Order, OutcomePacket, Payload, Seal,
    SiteSecret, Support, Timestamp, Trailer, VerifiedPacket,
};
use qis_route::proto::RouterConfig;
use qis_route::{Candidates, Descriptor, Directory, FullMesh, HostError, HostErrorKind, Selection};
use qis_synth::evidence::{Evidence, EvidenceSummary, Schema};
use qis_synth::{Content, Sample, Samples};

use super::error::PlanError;
use crate::rng::Rng;

/// The domain of all packets; the schema's hash follows.
pub(super) const DOMAIN: &str = "plan/evidence";
const NETWORK: &str = "qis-plan";
const ARTICLE_DOMAIN: &str = "plan/article";
/// When all packets are made: no clock is read, so that a run can be repeated to the byte.
const NOW: Timestamp = Timestamp::from_unix_seconds(1_795_000_000);

/// A site as a node of the network.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) evidence: Evidence,
    /// What it says of its confidence; its evidence's own unless it lies.
    pub(super) confidence: Confidence,
}

/// Nodes that know each other by one list, in this process.
#[derive(Debug)]
pub(super) struct Network<'a> {
    nodes: Vec<Node<'a>>,
    identities: Vec<Identity>,
    places: BTreeMap<AuthorId, usize>,
    /// As they are announced: exact.
    fingerprints: Vec<Fingerprint>,
    directory: FullMesh,
    tag: DomainTag,
    /// Bytes of the largest packet so far.
    pub(super) max_packet_bytes: usize,
}

impl<'a> Network<'a> {
    /// Gives each node its keys, and announces it by the gradient of its evidence.
    pub(super) fn new(nodes: Vec<Node<'a>>, schema: &Schema, rng: &mut Rng) -> Result<Self, PlanError> {
        let tag = schema.domain(DOMAIN)?;
        let directory = FullMesh::new(NonZeroUsize::new(nodes.len()).unwrap_or(NonZeroUsize::MIN));
        let mut network = Self {
            identities: nodes.iter().map(|_| identity(rng)).collect(),
            places: BTreeMap::new(),
            fingerprints: nodes
                .iter()
                .map(|node| fingerprint(schema, &node.evidence))
                .collect::<Result<Vec<_>, _>>()?,
            directory,
            tag,
            max_packet_bytes: 0,
            nodes,
        };
        for (place, identity) in network.identities.iter().enumerate() {
            let author = identity.author();
            network.places.insert(author, place);
            let Some(fingerprint) = network.fingerprints.get(place).cloned() else { continue };
            let Ok(address) = format!("plan:{place}").parse() else { continue };
            let descriptor = Descriptor::new(author, address, tag, fingerprint);
            now(network.directory.announce(&descriptor)).map_err(|error| network.lost(place, &error))?;
        }
        Ok(network)
    }

    /// Each node's evidence as the others read it out of its packet.
    pub(super) fn evidence(&mut self, schema: &Schema) -> Result<Vec<Sample>, PlanError> {
        let mut samples = Vec::new();
        for place in 0..self.nodes.len() {
            let Some(node) = self.nodes.get(place) else { continue };
            let site = || node.name.to_owned();
            let room = RouterConfig::default().payload_room(self.tag.as_str().len(), schema.features().len());
            let bytes = node.evidence.published().encode(room);
            let bytes = bytes.map_err(|source| PlanError::Encoding { site: site(), source })?;
            let dims = u16::try_from(schema.dims()).unwrap_or(u16::MAX);
            let support = Support::of(node.evidence.records() as u64);
            let confidence = node.confidence;
            let tag = self.tag;
            let draft = |fingerprint| {
                Draft::evidence(tag, fingerprint, dims, bytes).support(support).confidence(confidence)
            };
            let packet = self.send(place, draft, 0)?;
            let Payload::Evidence { bytes, .. } = packet.payload() else {
                return Err(self.lost(place, &"it has no evidence"));
            };
            let summary = EvidenceSummary::decode(schema.family(), schema.dims(), bytes);
            let summary = summary.map_err(|error| self.lost(place, &error))?;
            samples.push(sample(&packet, Content::Evidence(Arc::new(summary))));
        }
        Ok(samples)
    }

    /// Vectors of single precision as the others read them, one a node, in round `round`.
    pub(super) fn deltas(
        &mut self,
        vectors: &[Vec<f64>],
        confidences: &[Confidence],
        round: u32,
    ) -> Result<Vec<Sample>, PlanError> {
        let tag: DomainTag = ARTICLE_DOMAIN.parse()?;
        let mut samples = Vec::new();
        for (place, (vector, &confidence)) in vectors.iter().zip(confidences).enumerate() {
            let vector = single(vector);
            let packet = self.send(
                place,
                |fingerprint| Draft::delta(tag, fingerprint, &vector).confidence(confidence),
                round,
            )?;
            let delta = packet.delta().and_then(Result::ok);
            let delta = delta.ok_or_else(|| self.lost(place, &"it has no vector"))?;
            samples.push(sample(&packet, Content::Delta(Arc::new(delta))));
        }
        Ok(samples)
    }

    /// Seals, encodes, decodes and verifies a packet.
    fn send(
        &mut self,
        place: usize,
        draft: impl FnOnce(Fingerprint) -> Draft,
        sequence: u32,
    ) -> Result<VerifiedPacket, PlanError> {
        let (Some(node), Some(identity), Some(fingerprint)) =
            (self.nodes.get(place), self.identities.get(place), self.fingerprints.get(place))
        else {
            return Err(self.lost(place, &"there is no such node"));
        };
        let site = || node.name.to_owned();
        let network = NetworkId::new(NETWORK);
        let secret =
            SiteSecret::derived(identity, Epoch::of(NOW)).map_err(|error| self.lost(place, &error))?;
        let seal = Seal {
            identity,
            network,
            secret: &secret,
            node: "plan",
            source: "the site's sampled rows",
            order: Order { sequence, ..Order::opening(NOW) },
            time: NOW,
            trailer: Trailer::SignatureAndKey,
        };
        let sent = draft(fingerprint.clone())
            .seal(&seal)
            .map_err(|source| PlanError::Packet { site: site(), source })?;
        let bytes = sent.as_bytes();
        self.max_packet_bytes = self.max_packet_bytes.max(bytes.len());
        let received = OutcomePacket::decode(bytes).map_err(|error| self.lost(place, &error))?;
        received.verify(network, None).map_err(|source| PlanError::Forged { site: self.name(place), source })
    }

    /// Whom a node asks: places in the list, by the selection.
    pub(super) fn peers(
        &self,
        place: usize,
        selection: Selection,
        rng: &mut Rng,
    ) -> Result<Vec<usize>, PlanError> {
        let (Some(identity), Some(fingerprint)) = (self.identities.get(place), self.fingerprints.get(place))
        else {
            return Ok(Vec::new());
        };
        let lost = |error| self.lost(place, &error);
        let similar = now(self.directory.nearest(fingerprint, selection.similar_wanted())).map_err(lost)?;
        // More than are wanted, since the similar ones may be among them.
        let random = if selection.random > 0 { selection.total() + 1 } else { 0 };
        let random = now(self.directory.sample(random)).map_err(lost)?;
        let candidates = Candidates { similar, random };
        let chosen = selection.choose(candidates, |author| author, identity.author(), || rng.bits());
        Ok(chosen.iter().filter_map(|peer| self.places.get(&peer.author).copied()).collect())
    }

    /// What a node holds, by the places of the authors.
    pub(super) fn held<'b>(
        &self,
        place: usize,
        authors: impl IntoIterator<Item = &'b usize>,
        samples: &[Sample],
    ) -> Samples {
        let similarity =
            |peer: usize| self.fingerprints.get(place)?.cosine(self.fingerprints.get(peer)?).ok();
        let held = authors.into_iter().filter_map(|&peer| {
            let similarity = similarity(peer).unwrap_or(0.0);
            Some(Sample { similarity, ..samples.get(peer)?.clone() })
        });
        // Each is there once.
        Samples::new(held.collect()).unwrap_or_default()
    }

    pub(super) fn nodes(&self) -> &[Node<'a>] {
        &self.nodes
    }

    pub(super) fn name(&self, place: usize) -> String {
        self.nodes.get(place).map_or_else(String::new, |node| node.name.to_owned())
    }

    fn lost(&self, place: usize, why: &dyn std::fmt::Display) -> PlanError {
        PlanError::Lost { site: self.name(place), why: why.to_string() }
    }
}

/// A vector in single precision, as packets carry it.
pub(super) fn single(vector: &[f64]) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "packets carry single precision")]
    let single = |value: &f64| *value as f32;
    vector.iter().map(single).collect()
}

fn identity(rng: &mut Rng) -> Identity {
    let mut seed = [0; 32];
    for eight in seed.as_chunks_mut::<8>().0 {
        *eight = rng.bits().to_le_bytes();
    }
    Identity::from_seed(seed)
}

/// The direction the records pull in; any direction for records that pull in none, as a node has it too.
fn fingerprint(schema: &Schema, evidence: &Evidence) -> Result<Fingerprint, PlanError> {
    let gradient = evidence.gradient_fingerprint();
    let dims = u16::try_from(gradient.len()).unwrap_or(u16::MAX);
    let hash = u32::from_be_bytes(schema.hash());
    let space = SpaceId::new(&format!("qis/evidence-gradient/1/{hash:08x}"), dims);
    Fingerprint::from_vector(space, &gradient)
        .or_else(|_| Fingerprint::from_vector(space, &vec![1.0; gradient.len()]))
        .map_err(PlanError::Fingerprint)
}

fn sample(packet: &OutcomePacket, content: Content) -> Sample {
    Sample {
        similarity: 0.0,
        confidence: packet.confidence(),
        support: packet.support(),
        ..Sample::new(packet.author(), content)
    }
}

/// A list answers at once.
fn now<T>(future: impl Future<Output = Result<T, HostError>>) -> Result<T, HostError> {
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(HostError::new(HostErrorKind::Timeout, "the list does not answer")),
    }
}
