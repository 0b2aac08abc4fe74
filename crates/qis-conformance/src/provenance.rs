//! The dictionary attack on what a packet carries of its provenance.
//!
//! An attacker reads a packet and knows, or guesses, which sites there are and what sources they have: some hundred thousand pairs. The article that
//! QIS comes from hashes node, source and time, and the time travels in clear, so one hash a pair finds who made the packet and of what. The
//! keyed [commitment](qis_packet::Commitment) of a packet has to withstand the same attacker with the same dictionary, even when it
//! knows openings of other packets of the same site.
//!
//! ```
//! use qis_conformance::provenance::{Dictionary, article_hash};
//! use qis_packet::Timestamp;
//!
//! let dictionary = Dictionary::new(["clinic-a", "clinic-b"], ["ward-1/2026-11", "ward-2/2026-11"]);
//! let time = Timestamp::from_unix_seconds(1_795_000_000);
//! let seen = article_hash("clinic-b", "ward-1/2026-11", time);
//! let found = dictionary.break_article(&seen, time).ok_or("not found")?;
//! assert_eq!((found.node.as_str(), found.source.as_str()), ("clinic-b", "ward-1/2026-11"));
//! assert!(found.guesses <= dictionary.len());
//! # Ok::<(), &str>(())
//! ```

use qis_packet::{Epoch, NetworkId, Opening, OutcomePacket, SiteSecret, Timestamp};
use sha2::{Digest, Sha256};

/// The pairs of node and source that an attacker tries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dictionary {
    nodes: Vec<String>,
    sources: Vec<String>,
}

/// What an attacker found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The node that made the packet.
    pub node: String,
    /// The source it was made from.
    pub source: String,
    /// How many guesses it took: hashes, or openings that were tried.
    pub guesses: usize,
}

/// The article's hash: SHA-256 of node, source and seconds since 1970, as text with `|` between.
#[must_use]
pub fn article_hash(node: &str, source: &str, time: Timestamp) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [node, "|", source, "|", &time.unix_seconds().to_string()] {
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

impl Dictionary {
    /// Every pair of a node and a source.
    pub fn new<N: Into<String>, S: Into<String>>(
        nodes: impl IntoIterator<Item = N>,
        sources: impl IntoIterator<Item = S>,
    ) -> Self {
        let nodes = nodes.into_iter().map(Into::into).collect();
        Self { nodes, sources: sources.into_iter().map(Into::into).collect() }
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len().saturating_mul(self.sources.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.nodes.iter().flat_map(|node| self.sources.iter().map(move |source| (&**node, &**source)))
    }

    /// Looks for the node and source of an article's hash, of a packet that says it is of this time: a hash a pair.
    #[must_use]
    pub fn break_article(&self, seen: &[u8; 32], time: Timestamp) -> Option<Broken> {
        let mut guesses = 0;
        let mut is_right = |node: &str, source: &str| {
            guesses += 1;
            article_hash(node, source, time) == *seen
        };
        let (node, source) = self.pairs().find(|(node, source)| is_right(node, source))?;
        Some(Broken { node: node.to_owned(), source: source.to_owned(), guesses })
    }

    /// Looks for the node and source of a packet by all that an outsider can try with its commitment: that it is the article's hash; that
    /// the site's secret is one that could be guessed, such as zeros, its key, its author, its network or the node's name; and that the key
    /// of another packet, of which it knows the opening, is the key of this one.
    #[must_use]
    pub fn break_packet(
        &self,
        packet: &OutcomePacket,
        network: NetworkId,
        known: &[Opening],
    ) -> Option<Broken> {
        if let Some(broken) = self.break_article(packet.commitment().as_bytes(), packet.time()) {
            return Some(broken);
        }
        let mut guesses = self.len();
        for (node, source) in self.pairs() {
            let reused = known.iter().filter_map(|opening| with_words(opening, node, source));
            let guessed = secrets(packet, network, node).into_iter().filter_map(|secret| {
                let secret = SiteSecret::new(Epoch::of(packet.time()), secret);
                secret.opening(packet.order(), packet.time(), node, source).ok()
            });
            for opening in reused.chain(guessed) {
                guesses += 1;
                if opening.verify(packet, network).is_ok() {
                    return Some(Broken { node: node.to_owned(), source: source.to_owned(), guesses });
                }
            }
        }
        None
    }
}

/// Secrets that a careless site may have.
fn secrets(packet: &OutcomePacket, network: NetworkId, node: &str) -> [[u8; 32]; 6] {
    let hash = |bytes: &[u8]| Sha256::digest(bytes).into();
    let mut padded = [0; 32];
    for (byte, of) in padded.iter_mut().zip(packet.author().as_bytes()) {
        *byte = *of;
    }
    [
        [0; 32],
        [0xff; 32],
        padded,
        hash(packet.author().as_bytes()),
        hash(network.as_bytes()),
        hash(node.as_bytes()),
    ]
}

/// The key of an opening, with another node and source.
fn with_words(opening: &Opening, node: &str, source: &str) -> Option<Opening> {
    let bytes = opening.to_bytes();
    let key = bytes.get(..32)?;
    let length = u32::try_from(node.len()).ok()?.to_le_bytes();
    Opening::from_bytes(&[key, &length, node.as_bytes(), source.as_bytes()].concat()).ok()
}
