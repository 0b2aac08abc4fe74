//! Sites, and what their peers may send them.

use std::sync::Arc;

use qis_codec::{Mode, decode};
use qis_packet::{AuthorId, Confidence, Organisation, Support, Timestamp};
use qis_synth::evidence::{Evidence, Family};
use qis_synth::{Content, Own, OwnOutcome, Sample};

use super::{WorksOn, evidence};
use crate::random::Random;
use crate::runner::Stop;

pub(super) const DIMS: usize = 4;
const PEERS: u8 = 12;
/// Cases in which everything is drawn.
const DRAWN: u64 = 16;
/// Numbers that have gone wrong before.
const VALUES: [f32; 10] =
    [f32::MAX, f32::MIN, f32::MIN_POSITIVE, 1e-45, -1e-45, 1e30, -1e-30, 0.0, 1.0, -1.0];
const SIMILARITIES: [f32; 7] = [1.0, 0.0, -1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e-30];
const NOW: u64 = 1_795_000_000;

/// What a site has of its own.
#[derive(Clone, Debug, Default)]
pub(super) struct Site {
    pub(super) state: Option<Vec<f64>>,
    pub(super) delta: Option<Vec<f32>>,
    pub(super) evidence: Option<Arc<Evidence>>,
    pub(super) now: Option<Timestamp>,
}

impl Site {
    pub(super) fn own(&self) -> Own<'_> {
        let delta = self.delta.as_deref().map(OwnOutcome::Delta);
        let evidence = self.evidence.as_deref().map(OwnOutcome::Evidence);
        Own { state: self.state.as_deref(), outcome: delta.or(evidence), now: self.now }
    }
}

/// A site and its peers.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) site: Site,
    pub(super) samples: Vec<Sample>,
}

/// A vector as it arrives.
pub(super) fn vector(values: &[f32]) -> Result<Content, Stop> {
    let is_zero = values.iter().all(|&value| value == 0.0);
    let (mode, bytes) = if is_zero {
        (Mode::Empty, Vec::new())
    } else {
        // Adding zero turns -0 into +0.
        (Mode::Raw, values.iter().flat_map(|value| (value + 0.0).to_le_bytes()).collect())
    };
    let decoded = decode(mode, values.len(), &bytes, 0);
    let decoded = decoded.map_err(|error| Stop::failed("the suite's own vector", error))?;
    Ok(Content::Delta(Arc::new(decoded)))
}

pub(super) fn author(number: u8) -> AuthorId {
    AuthorId::from_bytes([number; 16])
}

impl WorksOn {
    /// What a site has of its own, to begin with.
    pub(super) fn site(self) -> Result<Site, Stop> {
        Ok(match self {
            Self::Vectors => Site { delta: Some(vec![1.0, 0.5, -0.5, 0.25]), ..Site::default() },
            Self::Evidence(family) => {
                Site { evidence: Some(Arc::new(evidence::site(family, 99)?)), ..Site::default() }
            }
        })
    }

    /// Peers who are honest and much alike.
    pub(super) fn peers(self, count: u8) -> Result<Vec<Sample>, Stop> {
        (1..=count).map(|number| self.peer(number)).collect()
    }

    fn peer(self, number: u8) -> Result<Sample, Stop> {
        let mut random = Random::new(number.into());
        let sample = match self {
            Self::Vectors => {
                let mut value = |mean: f32| mean + 0.3 * random.signed() as f32;
                let values = [value(1.0), value(0.5), value(-0.5), value(0.25)];
                Sample::new(author(number), vector(&values)?)
            }
            Self::Evidence(family) => {
                let payload = evidence::payload(&evidence::site(family, number.into())?)?;
                evidence::sample(number, family, &payload)
                    .ok_or_else(|| Stop::Failed("the suite's own evidence does not arrive".to_owned()))?
            }
        };
        let confidence = Confidence::from_byte(100 + 10 * (number % 10));
        Ok(Sample { confidence, similarity: 0.9, support: Support::of(40), ..sample })
    }

    /// A sample that does not belong: of the other kind.
    pub(super) fn stranger(self, number: u8) -> Result<Sample, Stop> {
        let other = match self {
            Self::Vectors => Self::Evidence(Family::Gaussian),
            Self::Evidence(_) => Self::Vectors,
        };
        other.peer(number)
    }

    /// The one case in which nothing is odd.
    pub(super) fn plain(self) -> Result<Case, Stop> {
        Ok(Case { name: "honest peers".to_owned(), site: self.site()?, samples: self.peers(PEERS)? })
    }

    /// All that peers may come up with, for several sites.
    pub(super) fn cases(self) -> Result<Vec<Case>, Stop> {
        let mut sets = vec![
            ("honest peers".to_owned(), self.peers(PEERS)?),
            ("one peer".to_owned(), self.peers(1)?),
            ("two peers".to_owned(), self.peers(2)?),
            ("many peers".to_owned(), self.peers(24)?),
        ];
        sets.extend(self.claims()?);
        sets.extend(match self {
            Self::Vectors => vectors()?,
            Self::Evidence(family) => bytes(family)?,
        });
        let now = Some(Timestamp::from_unix_seconds(NOW));
        let site = self.site()?;
        let mut sites = vec![Site { now, ..site.clone() }, Site { now, ..Site::default() }];
        if self == Self::Vectors {
            sites.push(Site { state: Some(vec![0.5; DIMS]), now, ..site.clone() });
            sites.push(site);
        }
        let mut cases = Vec::new();
        for (name, samples) in sets {
            for site in &sites {
                cases.push(Case { name: name.clone(), site: site.clone(), samples: samples.clone() });
            }
        }
        Ok(cases)
    }

    /// Honest content with any claim about it.
    fn claims(self) -> Result<Vec<(String, Vec<Sample>)>, Stop> {
        let honest = self.peers(PEERS)?;
        let with = |name: &str, claim: &dyn Fn(usize, Sample) -> Sample| {
            let samples = honest.iter().cloned().enumerate();
            (name.to_owned(), samples.map(|(at, sample)| claim(at, sample)).collect())
        };
        let at = |seconds| Some(Timestamp::from_unix_seconds(seconds));
        let mut all = vec![
            with("no confidence at all", &|_, sample| Sample { confidence: Confidence::NONE, ..sample }),
            with("one with confidence", &|at, sample| {
                let confidence = if at == 0 { Confidence::FULL } else { Confidence::NONE };
                Sample { confidence, ..sample }
            }),
            with("any similarity", &|at, sample| {
                let similarity = SIMILARITIES.iter().cycle().nth(at).copied().unwrap_or_default();
                Sample { similarity, ..sample }
            }),
            with("no similarity is a number", &|_, sample| Sample { similarity: f32::NAN, ..sample }),
            with("any support", &|at, sample| Sample {
                support: Support::from_byte([0, 1, 255, 254][at % 4]),
                ..sample
            }),
            with("any time", &|i, sample| Sample { time: at([0, NOW, NOW + 1, u64::MAX][i % 4]), ..sample }),
            with("all long ago", &|_, sample| Sample { time: at(1), ..sample }),
            with("one organisation", &|_, sample| Sample {
                organisation: Some(Organisation::from_bytes([7; 8])),
                ..sample
            }),
        ];
        let copies = |content: &Content| {
            with("all the same", &|_, sample| Sample { content: content.clone(), ..sample })
        };
        all.extend(honest.first().map(|sample| copies(&sample.content)));
        let mut mixed = honest.clone();
        mixed.push(self.stranger(200)?);
        all.push(("one of another kind".to_owned(), mixed));
        Ok(all)
    }
}

/// Vectors of any numbers and dimensions.
fn vectors() -> Result<Vec<(String, Vec<Sample>)>, Stop> {
    let mut all = Vec::new();
    let mut set = |name: String, vectors: Vec<Vec<f32>>| -> Result<(), Stop> {
        let mut samples = Vec::new();
        for (number, values) in (1..).zip(vectors) {
            samples.push(Sample::new(author(number), vector(&values)?));
        }
        all.push((name, samples));
        Ok(())
    };
    for value in VALUES {
        set(format!("all {value:e}"), vec![vec![value; DIMS]; 6])?;
    }
    let shifted = |by: usize| VALUES.iter().cycle().skip(by).take(DIMS).copied().collect();
    set("extreme ones, mixed".to_owned(), (0..10).map(shifted).collect())?;
    set("two opposite extremes".to_owned(), vec![vec![f32::MAX; DIMS], vec![f32::MIN; DIMS]])?;
    set("any dimension".to_owned(), [1, DIMS, 3, DIMS, 5, 4096].map(|dims| vec![1.0; dims]).to_vec())?;
    for seed in 0..DRAWN {
        let mut random = Random::new(seed);
        let count = 1 + random.below(20);
        let mut value = || match random.below(4) {
            0 => VALUES[usize::try_from(random.below(10)).unwrap_or_default()],
            1 => f32::from_bits(random.next() as u32),
            _ => random.signed() as f32,
        };
        let mut finite = || Some(value()).filter(|value| value.is_finite()).unwrap_or_default();
        let vectors = (0..count).map(|_| (0..DIMS).map(|_| finite()).collect());
        set(format!("drawn with seed {seed}"), vectors.collect())?;
    }
    Ok(all)
}

/// Payloads that somebody changed, as far as they still are evidence.
fn bytes(family: Family) -> Result<Vec<(String, Vec<Sample>)>, Stop> {
    let honest = evidence::payload(&evidence::site(family, 1)?)?;
    let mut all = Vec::new();
    for seed in 0..DRAWN / 2 {
        let mut random = Random::new(seed);
        let changes = if seed % 2 == 0 { 1 } else { honest.len() };
        let changed = (1..=PEERS).filter_map(|number| {
            let mut bytes = honest.clone();
            for _ in 0..changes {
                let at = usize::try_from(random.below(bytes.len() as u64)).unwrap_or_default();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.next() as u8;
                }
            }
            evidence::sample(number, family, &bytes)
        });
        all.push((format!("payloads changed with seed {seed}"), changed.collect()));
    }
    for extreme in [0x00, 0x7f, 0x80, 0xff] {
        let mut bytes = honest.clone();
        // Not the count of records, nor what says which form it is.
        bytes.iter_mut().skip(6).for_each(|byte| *byte = extreme);
        let samples = (1..=PEERS).filter_map(|number| evidence::sample(number, family, &bytes));
        all.push((format!("payloads of {extreme:02x}"), samples.collect()));
    }
    Ok(all)
}
