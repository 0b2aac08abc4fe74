//! What a node takes part in.

use std::collections::BTreeMap;
use std::sync::Arc;

use qis_codec::MAX_DIMS;
use qis_fingerprint::SpaceId;
use qis_packet::{DomainTag, DomainTagError, Lifetime, OutcomePacket, Payload};
use qis_route::Selection;
use qis_route::proto::{ConfigError, PayloadDecoder, PayloadRefusal, RouterConfig};
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::evidence::{EvidenceSummary, Schema};
use qis_synth::rules::{Ema, Robust};
use qis_synth::{Content, Synthesizer};

use crate::emit::gradient_space;

/// A domain a node takes part in: what its packets hold, and by which rule they are synthesised.
///
/// A node drops packets of all other domains.
#[derive(Clone, Debug)]
#[must_use = "a domain does nothing until a builder has it"]
pub struct Domain {
    pub(crate) tag: DomainTag,
    pub(crate) kind: Kind,
    pub(crate) rule: Arc<dyn Synthesizer>,
    pub(crate) situation: Option<String>,
    pub(crate) lifetime: Lifetime,
    pub(crate) min_records: usize,
    /// The bytes that a signed packet leaves to evidence.
    pub(crate) evidence_room: usize,
    selection: Option<Selection>,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Delta { dims: usize },
    Evidence { schema: Arc<Schema> },
}

/// A domain that can't be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DomainError {
    /// The tag is none.
    #[error(transparent)]
    Tag(#[from] DomainTagError),
    /// A schema whose evidence fits no signed packet under this tag.
    #[error("evidence on {dims} coefficients takes at least {needed} bytes, and a packet leaves {available}")]
    TooWide {
        /// Coefficients of the schema.
        dims: usize,
        /// Bytes of the evidence, encoded as small as it can be.
        needed: usize,
        /// Bytes a packet leaves it.
        available: usize,
    },
    /// A selection that chooses nobody or too many.
    #[error(transparent)]
    Selection(#[from] ConfigError),
    /// Vectors of no coordinate, or of more than 4,096.
    #[error("a domain's vectors have 1 to 4096 coordinates, not {dims}")]
    Dims {
        /// The number asked for.
        dims: usize,
    },
}

impl Domain {
    /// A domain of plain vectors of `dims` coordinates, synthesised by [`Robust`]: no peer can mislead the site by itself.
    ///
    /// Among peers that trust each other, [`AnchoredMean`](crate::AnchoredMean) makes more of what they say, and listens to their
    /// confidence: `.synthesizer(AnchoredMean::default())`. `.synthesizer(Robust::hostile())` is for a network with
    /// members who would like to mislead.
    ///
    /// # Errors
    ///
    /// [`DomainError`] when the tag is none or `dims` is not 1 to 4,096.
    pub fn delta(tag: &str, dims: usize) -> Result<Self, DomainError> {
        if dims == 0 || dims > MAX_DIMS {
            return Err(DomainError::Dims { dims });
        }
        Ok(Self::new(tag.parse()?, Kind::Delta { dims }, Arc::new(Robust::default())))
    }

    /// A domain of plain vectors, synthesised by exactly the rule of the article the project comes from, [`Ema`].
    ///
    /// Over many rounds it forgets the site's own data; see the measurements in the README. It is here for comparison.
    ///
    /// # Errors
    ///
    /// As for [`delta`](Self::delta).
    pub fn article(tag: &str, dims: usize) -> Result<Self, DomainError> {
        Ok(Self::delta(tag, dims)?.synthesizer(Ema::default()))
    }

    /// A domain of evidence on the model of a schema, synthesised by [`EmpiricalBayes`]. Its tag is `prefix@` and the schema's hash.
    ///
    /// # Errors
    ///
    /// [`DomainError`] when the prefix makes no tag (it has at most 23 bytes), or the packets of the default configuration are too small for
    /// any evidence on the schema's features, which does not happen.
    pub fn evidence(prefix: &str, schema: Schema) -> Result<Self, DomainError> {
        let tag = schema.domain(prefix)?;
        let kind = Kind::Evidence { schema: Arc::new(schema) };
        let mut domain = Self::new(tag, kind, Arc::new(EmpiricalBayes::default()));
        domain.fit(&RouterConfig::default())?;
        Ok(domain)
    }

    /// Takes note of what the packets of a node leave to evidence, with its gradient as the fingerprint, if that is enough.
    pub(crate) fn fit(&mut self, config: &RouterConfig) -> Result<(), DomainError> {
        let Kind::Evidence { schema } = &self.kind else { return Ok(()) };
        let dims = schema.dims();
        let needed = EvidenceSummary::smallest_len(schema.family(), dims);
        let available = config.payload_room(self.tag.as_str().len(), self.gradient_dims());
        if needed > available {
            return Err(DomainError::TooWide { dims, needed, available });
        }
        self.evidence_room = available;
        Ok(())
    }

    /// Dimensions of an evidence gradient, which leaves out the intercept; of a delta, should somebody ask.
    pub(crate) fn gradient_dims(&self) -> usize {
        match &self.kind {
            Kind::Delta { dims } => *dims,
            Kind::Evidence { schema } => schema.features().len(),
        }
    }

    fn new(tag: DomainTag, kind: Kind, rule: Arc<dyn Synthesizer>) -> Self {
        Self {
            tag,
            kind,
            rule,
            situation: None,
            lifetime: Lifetime::default(),
            min_records: 20,
            evidence_room: 0,
            selection: None,
        }
    }

    /// Another rule of synthesis.
    pub fn synthesizer(mut self, rule: impl Synthesizer) -> Self {
        self.rule = Arc::new(rule);
        self
    }

    /// This site's situation in words, such as `"adults with chest pain, rural clinic, no cath lab"`: what fingerprints are made of
    /// unless an outcome brings its own. Without it the domain's tag is embedded, which makes all nodes of the domain alike.
    ///
    /// It is not anonymous: do not describe persons.
    pub fn situation(mut self, text: impl Into<String>) -> Self {
        self.situation = Some(text.into());
        self
    }

    /// How long outcomes of this domain stand; 30 days by default. They are stated again before that.
    pub const fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Evidence of fewer records is not published, since it would give them away; 20 by default. Such a site takes part by
    /// [`Node::observe`](crate::Node::observe): it listens.
    ///
    /// Nor is evidence published again before there are as many new records, since the difference of two publications is what was added:
    /// it is refused until it has as many records more as this, unless it says the same as before. The node remembers how many records were
    /// published, also when they were withdrawn or it was restarted on its store.
    ///
    /// Evidence [with noise](crate::Evidence::with_noise) is published whatever its records; its ledger counts what it gives away.
    pub const fn min_records(mut self, records: usize) -> Self {
        self.min_records = records;
        self
    }

    /// To whom outcomes of this domain are sent, and whom a pull asks.
    ///
    /// By default it is that of the node's [configuration](RouterConfig::selection); where that has none either,
    /// [`Selection::balanced`] for evidence, and [`Selection::article`] for plain vectors, whose rules take some mean of what they get:
    /// outcomes of sites unlike this one would only pull it away. Among strangers, take [`Selection::hostile`].
    pub const fn selection(mut self, selection: Selection) -> Self {
        self.selection = Some(selection);
        self
    }

    /// Whether a node in it is found by words from the start: those of its situation or, for plain vectors, its tag.
    pub(crate) const fn is_described(&self) -> bool {
        matches!(self.kind, Kind::Delta { .. }) || self.situation.is_some()
    }

    /// What counts in a node of this configuration.
    pub(crate) fn selection_within(&self, config: &RouterConfig) -> Selection {
        self.selection.or(config.selection).unwrap_or(match self.kind {
            Kind::Delta { .. } => Selection::article(),
            Kind::Evidence { .. } => Selection::balanced(),
        })
    }

    /// Coordinates of an estimate.
    pub(crate) fn dims(&self) -> usize {
        match &self.kind {
            Kind::Delta { dims } => *dims,
            Kind::Evidence { schema } => schema.dims(),
        }
    }

    /// The space of the domain's fingerprints, for a network in which members of an overlay are found by their space. `None` for a
    /// domain of vectors, whose fingerprints are of the [embedder's](crate::Embedder::space) space unless an outcome brings its own.
    #[must_use]
    pub fn space(&self) -> Option<SpaceId> {
        match self.kind {
            Kind::Delta { .. } => None,
            Kind::Evidence { .. } => Some(gradient_space(self)),
        }
    }

    /// The tag.
    #[must_use]
    pub const fn tag(&self) -> DomainTag {
        self.tag
    }
}

/// The domains of a node, as the router sees them.
#[derive(Clone, Debug)]
pub(crate) struct Domains(pub(crate) Arc<BTreeMap<DomainTag, Domain>>);

impl Domains {
    /// The domain of this tag, or the only one whose tag is this with a schema's hash behind it.
    pub(crate) fn find(&self, name: &str) -> Option<&Domain> {
        if let Some(domain) = name.parse().ok().and_then(|tag| self.0.get(&tag)) {
            return Some(domain);
        }
        let mut matching = self.0.values().filter(|domain| {
            let tag = domain.tag.as_str();
            domain.tag.schema_hash().is_some()
                && tag.rsplit_once('@').is_some_and(|(prefix, _)| prefix == name)
        });
        let first = matching.next();
        if matching.next().is_some() { None } else { first }
    }
}

impl PayloadDecoder for Domains {
    type Content = Content;

    fn knows(&self, domain: &DomainTag) -> bool {
        self.0.contains_key(domain)
    }

    fn decode(&self, packet: &OutcomePacket) -> Result<Content, PayloadRefusal> {
        let kind = |expected| PayloadRefusal::Kind { expected };
        let domain = self.0.get(&packet.domain()).ok_or(kind("another domain's packets"))?;
        let payload = packet.payload();
        let actual = usize::from(payload.dims());
        let dims_are = |expected| {
            if expected == actual { Ok(()) } else { Err(PayloadRefusal::Dims { expected, actual }) }
        };
        match (&domain.kind, payload) {
            (Kind::Delta { dims }, Payload::Delta { .. }) => {
                dims_are(*dims)?;
                let delta = packet.delta().ok_or(kind("deltas"))?;
                let delta = delta.map_err(|error| PayloadRefusal::Malformed(error.to_string()))?;
                Ok(Content::Delta(Arc::new(delta)))
            }
            (Kind::Evidence { schema }, Payload::Evidence { bytes, .. }) => {
                dims_are(schema.dims())?;
                let summary = EvidenceSummary::decode(schema.family(), schema.dims(), bytes)
                    .map_err(|error| PayloadRefusal::Malformed(error.to_string()))?;
                Ok(Content::Evidence(Arc::new(summary)))
            }
            (Kind::Delta { .. }, _) => Err(kind("deltas")),
            (Kind::Evidence { .. }, _) => Err(kind("evidence")),
        }
    }
}
