//! What of a site's records was published, so that no few of them can be told from the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use qis_packet::DomainTag;
use qis_synth::evidence::Evidence;

use crate::EmitError;
use crate::domain::Domain;

/// Evidence as it was, or is about to be, published.
#[derive(Clone, Debug)]
pub(crate) struct Publication {
    pub(crate) records: u32,
    /// None after a restart.
    pub(crate) of: Option<Source>,
}

/// What was published, and of what.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) payload: Vec<u8>,
    pub(crate) evidence: Arc<Evidence>,
    /// Whether the fingerprint was refreshed from a synthesis.
    refreshed: bool,
}

impl Publication {
    pub(crate) fn new(evidence: &Arc<Evidence>, payload: Vec<u8>) -> Self {
        let source = Source { payload, evidence: Arc::clone(evidence), refreshed: false };
        Self { records: evidence.published().records(), of: Some(source) }
    }

    fn payload(&self) -> Option<&[u8]> {
        self.of.as_ref().map(|source| source.payload.as_slice())
    }
}

/// The last publication of each domain. It outlives a withdrawal: what others have seen, they have seen.
#[derive(Debug, Default)]
pub(crate) struct Published(BTreeMap<DomainTag, Publication>);

impl Published {
    /// Whether evidence may be published now.
    pub(crate) fn check(&self, domain: &Domain, next: &Publication) -> Result<(), EmitError> {
        let (records, minimum) = (next.records as usize, domain.min_records);
        if records < minimum {
            return Err(EmitError::TooFewRecords { records, minimum });
        }
        let Some(last) = self.0.get(&domain.tag) else { return Ok(()) };
        let same = last.payload().is_some() && last.payload() == next.payload();
        let published = last.records as usize;
        if same || records >= published.saturating_add(minimum) {
            return Ok(());
        }
        Err(EmitError::TooFewNewRecords { records, published, minimum })
    }

    pub(crate) fn note(&mut self, domain: DomainTag, publication: Publication) {
        self.0.insert(domain, publication);
    }

    /// Whether a synthesis of this evidence is the first since it was published. Only then does the fingerprint follow from it: one of
    /// evidence that was not published would tell of it, and one for each synthesis would tell of each.
    pub(crate) fn is_first_synthesis(&mut self, domain: DomainTag, evidence: &Arc<Evidence>) -> bool {
        let source = self.0.get_mut(&domain).and_then(|last| last.of.as_mut());
        source.is_some_and(|source| {
            Arc::ptr_eq(&source.evidence, evidence) && !std::mem::replace(&mut source.refreshed, true)
        })
    }

    /// What a store says was published before a restart; the most, should it say so twice.
    pub(crate) fn restore(&mut self, domain: DomainTag, records: u32) {
        let last = self.0.entry(domain).or_insert(Publication { records, of: None });
        last.records = last.records.max(records);
    }
}
