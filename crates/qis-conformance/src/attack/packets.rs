//! What every delta goes through: a packet, its bytes, and what they are received as.

use std::sync::Arc;

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{
    Confidence, DomainTag, Draft, Epoch, Identity, NetworkId, Order, Organisation, OutcomePacket, Seal,
    SiteSecret, Support, Timestamp, Trailer,
};
use qis_synth::{Content, Sample};

use super::error::AttackError;

/// So large that about a byte is left for each parameter.
const PACKET_BYTES: usize = 350;

/// Somebody who sends packets.
#[derive(Debug)]
pub(super) struct Sender {
    identity: Identity,
    secret: SiteSecret,
    organisation: Option<Organisation>,
    domain: DomainTag,
    fingerprint: Fingerprint,
    sequence: u32,
}

/// What is said of a delta.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claims {
    pub(super) confidence: Confidence,
    pub(super) support: Support,
}

impl Sender {
    /// The sender of a number, on nobody's behalf.
    pub(super) fn new(number: usize) -> Result<Self, AttackError> {
        Self::with_low_id(number, 1, None)
    }

    /// The one with the lowest author id of so many.
    pub(super) fn with_low_id(
        number: usize,
        keys: usize,
        organisation: Option<Organisation>,
    ) -> Result<Self, AttackError> {
        let key = |at: usize| {
            let mut seed = [0; 32];
            for (byte, value) in seed.iter_mut().zip([number, at].into_iter().flat_map(usize::to_le_bytes)) {
                *byte = value;
            }
            Identity::from_seed(seed)
        };
        let identity = (1..keys)
            .map(key)
            .fold(key(0), |lowest, next| if next.author() < lowest.author() { next } else { lowest });
        let fingerprint = Fingerprint::from_codes(SpaceId::new("attack", 2), vec![3, 4]);
        Ok(Self {
            secret: SiteSecret::derived(&identity, Epoch::of(time())).map_err(AttackError::packet)?,
            identity,
            organisation,
            domain: "attack".parse().map_err(AttackError::packet)?,
            fingerprint: fingerprint.map_err(AttackError::packet)?,
            sequence: 0,
        })
    }

    /// Sends a delta as a packet, and reads the packet's bytes as a receiver does.
    pub(super) fn send(&mut self, delta: &[f64], claims: Claims) -> Result<Sample, AttackError> {
        let seal = Seal {
            identity: &self.identity,
            network: NetworkId::new("attack"),
            secret: &self.secret,
            node: "",
            source: "",
            order: Order { incarnation: 1, sequence: self.sequence },
            time: time(),
            trailer: Trailer::None,
        };
        self.sequence += 1;
        let values: Vec<f32> = delta.iter().map(|&value| value as f32).collect();
        let draft = Draft::delta(self.domain, self.fingerprint.clone(), &values)
            .confidence(claims.confidence)
            .support(claims.support)
            .encode_within(PACKET_BYTES);
        let sealed = draft.seal(&seal).map_err(AttackError::packet)?;
        let packet = OutcomePacket::decode(sealed.as_bytes()).map_err(AttackError::packet)?;
        let delta = packet.payload().delta(packet.dither_seed());
        let no_delta = "a packet came back without its delta";
        let delta = delta.ok_or(AttackError::Packet(no_delta.into()))?.map_err(AttackError::packet)?;
        Ok(Sample {
            similarity: 1.0,
            confidence: packet.confidence(),
            support: packet.support(),
            time: Some(packet.time()),
            organisation: self.organisation,
            ..Sample::new(packet.author(), Content::Delta(Arc::new(delta)))
        })
    }
}

const fn time() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_comes_back_nearly_as_it_was() {
        let values: Vec<f64> = (0..250).map(|i| libm::sin(f64::from(i))).collect();
        let claims = Claims { confidence: Confidence::FULL, support: Support::of(50) };
        let sample = Sender::new(1).unwrap().send(&values, claims).unwrap();
        let Content::Delta(delta) = &sample.content else { panic!("{sample:?}") };
        let error: f64 = delta.to_vec().iter().zip(&values).map(|(a, b)| (a - b) * (a - b)).sum();
        // A byte a parameter, and not a word.
        assert!(error > 1e-9 && error < 1e-2, "{error}");
        assert_eq!((sample.confidence, sample.support), (claims.confidence, claims.support));
    }

    #[test]
    fn a_liar_comes_first() {
        let claims = Claims { confidence: Confidence::FULL, support: Support::of(50) };
        let author = |mut sender: Sender| sender.send(&[1.0], claims).unwrap().author;
        let low = author(Sender::with_low_id(1, 100, None).unwrap());
        assert!(low < author(Sender::new(1).unwrap()) && low.as_bytes()[0] < 16);
    }
}
