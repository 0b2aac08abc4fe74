//! Making a packet.

use alloc::string::ToString;
use alloc::vec::Vec;

use qis_codec::{EncodeError, MAX_DIMS, Mode};
use qis_fingerprint::Fingerprint;

use crate::identity::signed_message;
use crate::packet::dither_seed;
use crate::provenance::Subject;
use crate::wire::{Body, CONTEXT};
use crate::{
    Commitment, Confidence, DEFAULT_FINGERPRINT_BYTES, DomainTag, Extensions, Identity, Lifetime, Lineage,
    MAX_FINGERPRINT_BYTES, MAX_PACKET_BYTES, NetworkId, Order, OutcomePacket, PacketError, Payload,
    SiteSecret, Support, Timestamp, Trailer, VerifiedPacket,
};

/// What a packet is to say, before it has an author, a place in the order and a signature.
///
/// ```
/// use qis_fingerprint::HashEmbedder;
/// use qis_packet::{
///     Confidence, Draft, Epoch, Identity, NetworkId, Order, OutcomePacket, Seal, SiteSecret, Timestamp, Trailer,
/// };
///
/// let identity = Identity::from_seed([7; 32]);
/// let network = NetworkId::new("example");
/// let time = Timestamp::from_unix_seconds(1_795_000_000);
/// let seal = Seal {
///     identity: &identity,
///     network,
///     secret: &SiteSecret::derived(&identity, Epoch::of(time))?,
///     node: "clinic-a",
///     source: "ward-3/2026-11",
///     order: Order { incarnation: 217_000_000, sequence: 0 },
///     time,
///     trailer: Trailer::SignatureAndKey,
/// };
/// let fingerprint = HashEmbedder::default().fingerprint("adults with chest pain")?;
/// let packet = Draft::delta("cardiology/heart".parse()?, fingerprint, &[0.1, -0.2])
///     .confidence(Confidence::FULL)
///     .seal(&seal)?;
/// assert!(packet.as_bytes().len() <= 512);
///
/// let received = OutcomePacket::decode(packet.as_bytes())?.verify(network, None)?;
/// assert_eq!(received.author(), identity.author());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a draft does nothing until it is sealed"]
pub struct Draft {
    domain: DomainTag,
    fingerprint: Fingerprint,
    content: Content,
    lifetime: Lifetime,
    confidence: Confidence,
    support: Support,
    lineage: Option<Lineage>,
    extensions: Extensions,
    max_bytes: usize,
    fingerprint_bytes: Option<usize>,
}

#[derive(Clone, Debug)]
enum Content {
    Delta(Vec<f32>),
    Payload(Payload),
}

/// Who makes a packet, where and when.
#[derive(Clone, Copy, Debug)]
pub struct Seal<'a> {
    /// The author's keys.
    pub identity: &'a Identity,
    /// The network the packet is for.
    pub network: NetworkId,
    /// The site's secret, which hides the provenance.
    pub secret: &'a SiteSecret,
    /// The name of the node, committed to and not shown.
    pub node: &'a str,
    /// Where the outcome comes from, in the site's own words; committed to and not shown.
    pub source: &'a str,
    /// A place in the order that this author never used before.
    pub order: Order,
    /// When the author says so.
    pub time: Timestamp,
    /// What is to follow the body.
    pub trailer: Trailer,
}

impl Draft {
    /// A change of 1 to 4,096 coordinates that was found to be of use.
    pub fn delta(domain: DomainTag, fingerprint: Fingerprint, values: &[f32]) -> Self {
        Self::new(domain, fingerprint, Content::Delta(values.to_vec()))
    }

    /// Evidence on a model of `dims` coefficients, as the synthesis crate encoded it. The domain names the schema.
    pub fn evidence(domain: DomainTag, fingerprint: Fingerprint, dims: u16, bytes: Vec<u8>) -> Self {
        Self::new(domain, fingerprint, Content::Payload(Payload::Evidence { dims, bytes }))
    }

    /// The withdrawal of this author's standing packet of the domain.
    ///
    /// The fingerprint should be that of the packet it withdraws, so that it reaches the same nodes; compact, it travels in the same
    /// bytes. Confidence and support are left out.
    pub fn retraction(domain: DomainTag, fingerprint: Fingerprint) -> Self {
        Self::new(domain, fingerprint, Content::Payload(Payload::Retraction))
    }

    /// The outcome of a packet once more, to be sealed with a later order and time: its author stands by it.
    ///
    /// A delta is decoded and fitted anew: in the trellis mode its bytes mean something in their own packet only, and one that was sent as it is may
    /// have less room now. Each time in the trellis mode adds the error of one encoding, with mean zero; an author that still has the values
    /// does better to make a new draft of them.
    pub fn renewal(packet: &OutcomePacket) -> Self {
        let payload = packet.payload();
        let content = match payload {
            Payload::Delta { .. } => match packet.delta() {
                #[expect(clippy::cast_possible_truncation, reason = "the codec takes single precision")]
                Some(Ok(delta)) => Content::Delta(delta.to_vec().iter().map(|&value| value as f32).collect()),
                // What nobody can decode can't be said again; `seal` reports that there is no vector.
                _ => Content::Delta(Vec::new()),
            },
            _ => Content::Payload(payload.clone()),
        };
        Self {
            domain: packet.domain(),
            fingerprint: packet.fingerprint().clone(),
            content,
            lifetime: packet.lifetime(),
            confidence: packet.confidence(),
            support: packet.support(),
            lineage: packet.lineage().copied(),
            extensions: packet.extensions().clone(),
            max_bytes: MAX_PACKET_BYTES,
            // It stays as it is, unless less room is asked for.
            fingerprint_bytes: Some(MAX_FINGERPRINT_BYTES),
        }
    }

    fn new(domain: DomainTag, fingerprint: Fingerprint, content: Content) -> Self {
        Self {
            domain,
            fingerprint,
            content,
            lifetime: Lifetime::default(),
            confidence: Confidence::NONE,
            support: Support::UNKNOWN,
            lineage: None,
            extensions: Extensions::default(),
            max_bytes: MAX_PACKET_BYTES,
            fingerprint_bytes: None,
        }
    }

    /// How sure the author is; none by default.
    pub const fn confidence(mut self, confidence: Confidence) -> Self {
        self.confidence = confidence;
        self
    }

    /// About how many records stand behind it; unknown by default.
    pub const fn support(mut self, support: Support) -> Self {
        self.support = support;
        self
    }

    /// How long it stands; 30 days by default.
    pub const fn lifetime(mut self, lifetime: Lifetime) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// Declares that the outcome was not observed but made of other packets.
    pub const fn derived_from(mut self, lineage: Lineage) -> Self {
        self.lineage = Some(lineage);
        self
    }

    /// Adds fields that receivers may ignore.
    pub fn extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    /// Makes the packet at most so many bytes large, with its trailer and all else, for a link that carries no more.
    ///
    /// A delta is fitted to what is left; other payloads have the size they have. [`MAX_PACKET_BYTES`] by default, and a larger limit is
    /// that one; of several limits the smallest counts. The fingerprint is the other thing that gives way: see
    /// [`fingerprint_bytes`](Self::fingerprint_bytes).
    pub const fn encode_within(mut self, max_bytes: usize) -> Self {
        if max_bytes < self.max_bytes {
            self.max_bytes = max_bytes;
        }
        self
    }

    /// How large the packet may be: the smallest limit that was set.
    #[must_use]
    pub const fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// The fingerprint as it was given; the packet's is [compact](Self::fingerprint_bytes) where that has to be.
    #[must_use]
    pub const fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    /// Lets the fingerprint take at most so many bytes: one of more dimensions is [compacted](Fingerprint::compact).
    ///
    /// [`DEFAULT_FINGERPRINT_BYTES`] by default, or what it takes when it is compact already; from 9 up, and more than
    /// [`MAX_FINGERPRINT_BYTES`] is that; of several limits the smallest counts. Fewer bytes leave more to the delta and find the
    /// similar less well. All nodes of a network should take the same.
    pub const fn fingerprint_bytes(mut self, max_bytes: usize) -> Self {
        let most = match self.fingerprint_bytes {
            Some(before) => before,
            None => MAX_FINGERPRINT_BYTES,
        };
        self.fingerprint_bytes = Some(if max_bytes < most { max_bytes } else { most });
        self
    }

    /// Makes the packet: compacts the fingerprint, fits the delta to the bytes that are left, commits to the provenance, signs.
    ///
    /// # Errors
    ///
    /// [`PacketError`] when the content is refused, the fingerprint does not fit its bytes, or the packet would be larger than
    /// [it may be](Self::encode_within), with the sizes.
    pub fn seal(self, seal: &Seal<'_>) -> Result<OutcomePacket, PacketError> {
        self.check_content()?;
        let limit = self.max_bytes;
        let unless_said =
            if self.fingerprint.is_compact() { MAX_FINGERPRINT_BYTES } else { DEFAULT_FINGERPRINT_BYTES };
        let fingerprint = self.fingerprint.compact(self.fingerprint_bytes.unwrap_or(unless_said));
        let fingerprint = fingerprint.map_err(PacketError::Fingerprint)?;
        let retraction = matches!(self.content, Content::Payload(Payload::Retraction));
        let mut body = Body {
            trailer: seal.trailer,
            author: seal.identity.author(),
            order: seal.order,
            time: seal.time,
            lifetime: self.lifetime,
            domain: self.domain,
            confidence: if retraction { Confidence::NONE } else { self.confidence },
            support: if retraction { Support::UNKNOWN } else { self.support },
            commitment: Commitment::from_bytes([0; 32]),
            lineage: self.lineage,
            fingerprint,
            payload: Payload::Retraction,
            extensions: self.extensions,
        };
        body.payload = match self.content {
            Content::Payload(payload) => payload,
            Content::Delta(values) => fit_delta(&mut body, &values, limit)?,
        };
        let subject = Subject {
            network: seal.network,
            author: body.author,
            order: seal.order,
            domain: body.domain,
            time: seal.time,
            payload: body.payload.bytes(),
        };
        body.commitment =
            seal.secret.opening(seal.order, seal.time, seal.node, seal.source)?.commit(&subject)?;

        let bytes = body.encode();
        let needed = bytes.len() + seal.trailer.len();
        if needed > limit {
            let overhead = needed - body.payload.bytes().len();
            return Err(PacketError::TooLarge { needed, limit, overhead });
        }
        let sign = || seal.identity.sign(&signed_message(CONTEXT, seal.network, &bytes));
        Ok(match seal.trailer {
            Trailer::None => OutcomePacket::assemble(body, bytes, &[]),
            Trailer::Signature => {
                let signature = sign();
                OutcomePacket::assemble(body, bytes, &[&signature])
            }
            Trailer::SignatureAndKey => {
                let (signature, key) = (sign(), seal.identity.public_key().to_bytes());
                OutcomePacket::assemble(body, bytes, &[&signature, &key])
            }
        })
    }

    /// Makes the packet like [`seal`](Self::seal), as one that is verified: it was signed here with its author's key, and checking that would cost more
    /// than the signature. [`Trailer::None`] counts as [`Trailer::Signature`].
    ///
    /// # Errors
    ///
    /// Those of [`seal`](Self::seal).
    pub fn seal_verified(self, seal: &Seal<'_>) -> Result<VerifiedPacket, PacketError> {
        let trailer = if seal.trailer.is_empty() { Trailer::Signature } else { seal.trailer };
        let packet = self.seal(&Seal { trailer, ..*seal })?;
        Ok(VerifiedPacket::signed(packet, seal.identity.public_key()))
    }

    fn check_content(&self) -> Result<(), PacketError> {
        match &self.content {
            Content::Delta(_) => Ok(()),
            Content::Payload(Payload::Evidence { dims, bytes }) => {
                if bytes.is_empty() || !(1..=MAX_DIMS).contains(&usize::from(*dims)) {
                    Err(PacketError::Evidence { dims: usize::from(*dims), bytes: bytes.len() })
                } else if self.domain.schema_hash().is_none() {
                    Err(PacketError::NoSchema { domain: self.domain.as_str().to_string() })
                } else {
                    Ok(())
                }
            }
            Content::Payload(Payload::Retraction) if self.lineage.is_some() => {
                Err(PacketError::DerivedRetraction)
            }
            Content::Payload(_) => Ok(()),
        }
    }
}

/// Encodes a delta into what is left of the packet's bytes, to the byte.
fn fit_delta(body: &mut Body, values: &[f32], limit: usize) -> Result<Payload, PacketError> {
    let seed = dither_seed(&body.author, body.order);
    let dims = u16::try_from(values.len())
        .map_err(|_| PacketError::Delta(EncodeError::Dims { dims: values.len() }))?;
    let delta = |mode, bytes| Payload::Delta { mode, dims, bytes };
    body.payload = delta(Mode::Raw, Vec::new());
    let empty = body.encode().len() + body.trailer.len();
    // The length of the payload is a varint: one byte up to 127, two beyond. One is in `empty` already.
    let left = limit.saturating_sub(empty);
    let budget = if left > 127 { left - 1 } else { left };
    match qis_codec::encode(values, budget, seed) {
        Ok(encoded) => Ok(delta(encoded.mode(), encoded.into_bytes())),
        Err(EncodeError::Budget { needed, .. }) => {
            let overhead = empty + usize::from(needed > 127);
            Err(PacketError::TooLarge { needed: overhead + needed, limit, overhead })
        }
        Err(error) => Err(PacketError::Delta(error)),
    }
}
