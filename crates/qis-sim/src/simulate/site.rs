//! A site: its keys, its disk, and the node that runs there, if one does.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use qis::memory::MemoryDirectory;
use qis::{
    Address, AuthorId, BuildError, Domain, Identity, NetworkId, Node, NodeBuilder, OverlayConfig,
    RotationStatement, RouterConfig, Schema, SpaceId, Timestamp, embedder_fn,
};

use super::clock::SiteClock;
use super::directory::SiteDirectory;
use super::disk::Disk;
use super::plan::{Plan, stream};
use super::store::SiteStore;
use super::transport::SiteTransport;
use super::world::World;
use crate::Rng;

/// Coordinates of a vector.
pub(super) const VECTOR_DIMS: usize = 6;
pub(super) const VECTORS: &str = "sim/vectors";
pub(super) const EVIDENCE: &str = "sim/evidence";
/// By so many addresses a node joins the overlay.
const BOOTSTRAP: usize = 3;
/// Sites of a group are in similar situations.
const GROUPS: usize = 3;
/// A clock that is so far ahead, in seconds, has what stands forgotten: a day less than the lifetime of packets.
pub(super) const FORGETS: i64 = 29 * 24 * 3600;
const STREAM_OF_KEYS: u64 = 1000;
const STREAM_OF_SITES: u64 = 100_000;
const STREAM_OF_NODES: u64 = 200_000;

/// A site, through all its lives.
pub(super) struct Site {
    seed: u64,
    index: usize,
    pub(super) address: Address,
    /// How many keys it has had.
    keys: u64,
    /// The ids of all of them.
    pub(super) authors: Vec<AuthorId>,
    statements: Vec<RotationStatement>,
    pub(super) disk: Disk,
    /// The node of this life, once it is built.
    pub(super) node: Option<Node>,
    /// Counts up with each start.
    pub(super) life: u64,
    /// Whether a life has begun, and none of its ends has come.
    pub(super) alive: bool,
    /// How it dies with its next write: for how long, and whether it loses its disk or its key then.
    pub(super) dies_writing: Option<(Duration, bool, bool)>,
    /// Until when it stands still.
    pub(super) paused: Option<Duration>,
    /// How long its transport and disk take beyond what is usual.
    pub(super) delay: Duration,
    /// How far its wall clock is ahead of the right time, in seconds.
    pub(super) ahead: i64,
    /// When it last came back with an empty disk.
    pub(super) reformatted: Option<Duration>,
    /// When its clock was last set.
    pub(super) clock_set: Duration,
    /// Whether its clock was ever wrong.
    pub(super) clock_was_wrong: bool,
    /// Whether it was ever ahead for so long that what had not expired may have been forgotten.
    pub(super) may_forget: bool,
    /// Records of its evidence so far.
    pub(super) records: u32,
    /// Its last synthesis of vectors.
    pub(super) estimate: Option<Vec<f64>>,
    /// Whether its host has withdrawn its vector, and made no other one.
    pub(super) withdrawn: bool,
    /// The vector it emitted last.
    pub(super) vector: Vec<f32>,
    /// Whether its clock was ever so far ahead that it may have started without secrets for the right time.
    pub(super) was_far_ahead: bool,
    /// Whether its node has done all that its host asked of it after faults were over.
    pub(super) serves: bool,
    /// What its host draws.
    pub(super) rng: Rng,
}

pub(super) fn network() -> NetworkId {
    NetworkId::new("simulated")
}

pub(super) fn schema() -> Result<Schema, qis::synth::evidence::SchemaError> {
    let scaling = qis::Scaling::Public { mean: vec![0.0; 2], scale: vec![1.0; 2] };
    Schema::new(qis::Family::Gaussian, ["dose", "age"], scaling)
}

pub(super) fn space(dims: usize) -> SpaceId {
    SpaceId::new("sim/texts", u16::try_from(dims).unwrap_or(u16::MAX))
}

/// The vector of a text: of the number of a group, and a little of that of a site.
pub(super) fn embed(text: &str, dims: usize) -> Vec<f32> {
    let numbers: Vec<u64> = text.split(' ').filter_map(|word| word.parse().ok()).collect();
    let mut vector = vec![0.0_f32; dims];
    for (number, weight) in numbers.iter().zip([1.0, 0.3]) {
        let mut rng = stream(*number, dims as u64);
        for value in &mut vector {
            #[expect(clippy::cast_possible_truncation, reason = "a fingerprint has a byte a dimension")]
            let part = rng.gauss() as f32;
            *value += weight * part;
        }
    }
    if numbers.is_empty() { vec![1.0; dims] } else { vector }
}

impl Site {
    pub(super) fn new(plan: &Plan, index: usize) -> Self {
        let ahead = plan.ahead[index];
        let address = address(&format!("site-{index}"));
        let mut site = Self {
            seed: plan.seed,
            index,
            address,
            keys: 1,
            authors: Vec::new(),
            reformatted: None,
            statements: Vec::new(),
            disk: Disk::default(),
            node: None,
            life: 0,
            alive: false,
            dies_writing: None,
            paused: None,
            delay: Duration::ZERO,
            ahead,
            clock_set: Duration::ZERO,
            clock_was_wrong: ahead != 0,
            may_forget: ahead > FORGETS,
            was_far_ahead: ahead > FORGETS,
            serves: false,
            records: 30,
            estimate: None,
            withdrawn: false,
            vector: vec![0.0; VECTOR_DIMS],
            rng: stream(plan.seed, STREAM_OF_SITES + index as u64),
        };
        site.authors.push(site.identity().author());
        site
    }

    /// How far its clock is ahead, and since when.
    pub(super) const fn clock(&self) -> (i64, Duration) {
        (self.ahead, self.clock_set)
    }

    /// What its truth is drawn from.
    pub(super) const fn truth(&self) -> u64 {
        self.seed ^ (self.index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    fn key(&self, number: u64) -> Identity {
        let mut rng = stream(self.seed, STREAM_OF_KEYS + 16 * self.index as u64 + number);
        Identity::from_seed(bytes(&mut rng))
    }

    pub(super) fn identity(&self) -> Identity {
        self.key(self.keys)
    }

    /// Takes a new key, stated at a time.
    pub(super) fn rotate(&mut self, time: Timestamp) -> Identity {
        let (old, new) = (self.key(self.keys), self.key(self.keys + 1));
        self.statements.push(RotationStatement::new(&old, &new, network(), time));
        self.keys += 1;
        self.authors.push(new.author());
        new
    }

    pub(super) fn has_rotated(&self) -> bool {
        self.keys > 1
    }

    /// The situation in words, which the embedder reads the numbers of.
    pub(super) fn situation(&self) -> String {
        format!("group {} site {}", self.index % GROUPS, 1000 + self.index)
    }
}

/// An address that is one.
pub(super) fn address(name: &str) -> Address {
    // Names here are short and plain.
    name.parse().unwrap_or_else(|_| unreachable!("{name} is an address"))
}

pub(super) fn bytes(rng: &mut Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&rng.next().to_le_bytes());
    }
    bytes
}

/// How a node's router is set up.
pub(super) fn config(small: bool) -> RouterConfig {
    if small { RouterConfig::small() } else { RouterConfig::default() }
}

/// Builds the node of the life that has begun at a site.
pub(super) async fn build(
    world: &Arc<World>,
    site: usize,
    directory: &MemoryDirectory,
) -> Result<Node, BuildError> {
    let builder = builder(world, site, directory)?;
    builder.build().await
}

fn builder(world: &Arc<World>, site: usize, directory: &MemoryDirectory) -> Result<NodeBuilder, BuildError> {
    let state = world.lock();
    let (plan, one) = (&state.plan, &state.sites[site]);
    let (life, since, dims) = (one.life, state.now, plan.dims);
    let transport = SiteTransport { world: Arc::clone(world), site, life };
    let store = SiteStore { world: Arc::clone(world), site };
    let clock = SiteClock { world: Arc::clone(world), site, since };
    let embedder = embedder_fn(space(dims), move |text: &str| Ok::<_, Infallible>(embed(text, dims)));
    let mut draws = stream(plan.seed, STREAM_OF_NODES + 64 * site as u64 + life);
    let domain = |made: Result<Domain, qis::DomainError>, name: &str| {
        made.map_err(|source| match name.parse() {
            Ok(domain) => BuildError::Domain { domain, source },
            Err(_) => BuildError::Missing { part: "domain" },
        })
    };
    let schema = schema().map_err(|_| BuildError::Missing { part: "schema" })?;
    let mut builder = Node::builder()
        .identity(one.identity())
        .network(network())
        .name(format!("site-{site}"))
        .transport(transport)
        .store(store)
        .clock(clock)
        .embedder(embedder)
        .config(config(plan.small))
        .seed(bytes(&mut draws))
        .domain(domain(Domain::delta(VECTORS, VECTOR_DIMS), VECTORS)?.situation(one.situation()))
        .domain(domain(Domain::evidence(EVIDENCE, schema), EVIDENCE)?);
    for statement in &one.statements {
        builder = builder.rotation(*statement);
    }
    Ok(if plan.overlay {
        let first = state.sites.iter().take(BOOTSTRAP).map(|one| one.address.clone());
        builder.overlay(OverlayConfig::default()).bootstrap(first)
    } else {
        builder.directory(SiteDirectory { world: Arc::clone(world), directory: directory.clone() })
    })
}
