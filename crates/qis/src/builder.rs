//! Putting a node together.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use qis_fingerprint::{Embedder, Fingerprint, HashEmbedder};
use qis_packet::{
    DomainTag, Epoch, Frame, Identity, Lifetime, MIN_LINK_FRAME, NetworkId, RotationStatement, SKEW_SECONDS,
    SiteSecret,
};
use qis_route::overlay::{
    Admission, MAX_CREDENTIAL_BYTES, MAX_OVERLAY_DIMS, Open, OverlayConfig, Overlays, StatementError,
    Verifier,
};
use qis_route::proto::{Author, ConfigError, Router, RouterConfig};
use qis_route::{
    Address, Batch, Clock, Descriptor, Directory, HostError, HostErrorKind, Moment, Operation, Row, Store,
    Table, Transport,
};

use crate::domain::{Domain, Domains};
use crate::driver::{ANNOUNCE_ALLOWED, contained};
use crate::events::Listeners;
use crate::memory::MemoryStore;
use crate::node::{Core, Inner, embed};
use crate::organisations::Organisations;
use crate::overlay::{MOST_BOOTSTRAP, OverlayPart, fit};
use crate::published::Published;
use crate::{BuildError, Node};
use qis_synth::Content;

const PAGE: usize = 256;

/// Builds a [`Node`]. It needs an identity, a transport, a directory or an overlay, and at least one domain.
///
/// Everything else has a default: the network `"default"`, the in-memory store (nothing survives a restart), the
/// [`HashEmbedder`], the system's clock, a provenance secret that follows from the identity.
#[must_use = "a builder does nothing until it builds"]
pub struct NodeBuilder {
    identity: Option<Identity>,
    network: NetworkId,
    name: String,
    secret: Option<SiteSecret>,
    keep_secret: bool,
    rotations: Vec<RotationStatement>,
    domains: Vec<Domain>,
    transport: Option<Arc<dyn Transport>>,
    directory: Option<Arc<dyn Directory>>,
    overlay: Option<OverlayConfig>,
    bootstrap: Vec<Address>,
    admission: Option<Arc<dyn Admission>>,
    credential: Vec<u8>,
    store: Arc<dyn Store>,
    clock: Option<Arc<dyn Clock>>,
    embedder: Arc<dyn Embedder>,
    config: RouterConfig,
    seed: Option<[u8; 32]>,
}

impl NodeBuilder {
    pub(crate) fn new() -> Self {
        Self {
            identity: None,
            network: NetworkId::new("default"),
            name: String::new(),
            secret: None,
            keep_secret: false,
            rotations: Vec::new(),
            domains: Vec::new(),
            transport: None,
            directory: None,
            overlay: None,
            bootstrap: Vec::new(),
            admission: None,
            credential: Vec::new(),
            store: Arc::new(MemoryStore::default()),
            clock: default_clock(),
            embedder: Arc::new(HashEmbedder::default()),
            config: RouterConfig::default(),
            seed: None,
        }
    }

    /// The keys this node signs with. One node uses an identity at a time.
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The network the node takes part in; packets of others are forgeries to it. `"default"` by default.
    pub fn network(mut self, network: NetworkId) -> Self {
        self.network = network;
        self
    }

    /// The node's name in provenance commitments; it is never sent. Empty by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// What hides the provenance of the node's packets. By default it follows from the identity, and covers what is at most a lifetime
    /// old when the node is built ([`SiteSecret::derived`] makes it for older packets); bring your own to be able to erase it, or have the node
    /// [keep one](Self::keep_site_secret).
    pub fn site_secret(mut self, secret: SiteSecret) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Keeps the site's secret in the [store](Self::store): a new one from the system's entropy when there is none yet, the one that is there from then
    /// on. What [`Node::erase_provenance_before`] erases is erased there too.
    ///
    /// Packets that the node made without it are opened with the secret they were made with, which follows from the identity
    /// unless it was given ([`SiteSecret::derived`]). Whoever reads the store has the secret, unless the store encrypts it.
    pub fn keep_site_secret(mut self) -> Self {
        self.keep_secret = true;
        self
    }

    /// States that the node's identity follows an earlier one of the same site: both count as one author.
    ///
    /// Call it once for each statement there is, in any order. The store has them too, but a node that lost its store knows its former keys by these only,
    /// and would take what it said under them for another author's. A site can change its key eight times, then it must begin as a new author.
    pub fn rotation(mut self, statement: RotationStatement) -> Self {
        self.rotations.push(statement);
        self
    }

    /// A domain the node takes part in; call it once for each.
    pub fn domain(mut self, domain: Domain) -> Self {
        self.domains.push(domain);
        self
    }

    /// How frames get to other nodes.
    pub fn transport(mut self, transport: impl Transport) -> Self {
        self.transport = Some(Arc::new(transport));
        self
    }

    /// Who is in a similar situation, in the word of a directory of the host's.
    pub fn directory(mut self, directory: impl Directory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// Finds the nodes in a similar situation by the similarity overlay, over the same transport and without a directory: the nodes of a network
    /// know some of each other, and ask them. `OverlayConfig::default()` is for most; tell it where to join with
    /// [`bootstrap`](Self::bootstrap).
    ///
    /// The node is found by one situation in each space of fingerprints, that of the domain which announces one there first. Domains of the
    /// same space and another situation send and look for others by their own, and are not found by it: give all texts of a node
    /// the same [`situation`](Domain::situation). An overlay takes fingerprints of at most 1,024 dimensions, of at most 8 spaces, and
    /// finds at most 200 nodes at a time.
    ///
    /// A look-up may take longer than [`RouterConfig::lookup_timeout`] says: it is given the time in which contacts that are gone are given up
    /// four times over, 28 s with the defaults. Over a link that carries less than 4 KiB at a time, its frames are kept to that or less, and travel in parts.
    pub fn overlay(mut self, config: OverlayConfig) -> Self {
        self.overlay = Some(config);
        self
    }

    /// Where the overlay joins its network: the addresses of some members, three are good and 16 the most. Its own address among them is left
    /// out, so that all nodes can have the same list. A node that was there before also joins by addresses that it kept in its store, up to 16 of members it knew. Without any it waits to be found, as the first node of a network does.
    pub fn bootstrap(mut self, addresses: impl IntoIterator<Item = Address>) -> Self {
        self.bootstrap = addresses.into_iter().collect();
        self
    }

    /// Who takes part in the overlay: everybody by default. With [`Issuers`](crate::Issuers), those who have a credential of an issuer that is
    /// trusted, until it expires; the node tells it the time by its own clock. All nodes of a network should have the same.
    ///
    /// A node without a credential is not answered by members when it joins, is nobody's contact and is in no look-up, so no outcome is sent to it; and members
    /// whose credential is over are forgotten. It is about who is found: packets are taken from anybody who has a key, and
    /// whoever knows a member's address may ask it who is similar.
    pub fn admission(mut self, admission: impl Admission) -> Self {
        self.admission = Some(Arc::new(admission));
        self
    }

    /// What admits this node to the overlays of others, such as the bytes that [`Credential::issue`](crate::Credential::issue) gives; at most 256 bytes, none by default.
    pub fn credential(mut self, credential: Vec<u8>) -> Self {
        self.credential = credential;
        self
    }

    /// What survives a restart. In memory by default: nothing.
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Arc::new(store);
        self
    }

    /// The clock; the system's by default, with the feature `tokio`.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// What makes fingerprints of situations in words; the [`HashEmbedder`] by default.
    pub fn embedder(mut self, embedder: impl Embedder) -> Self {
        self.embedder = Arc::new(embedder);
        self
    }

    /// Bounds and waits, among them how large the node's packets may be: see [`RouterConfig::max_packet_bytes`] for small links.
    pub fn config(mut self, config: RouterConfig) -> Self {
        self.config = config;
        self
    }

    /// The seed of the node's nonces and retry times, for simulations that must repeat. By default it is from the system's entropy;
    /// a seed that others know lets them forge acknowledgements.
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Builds the node and reads its store. Drive [`Node::run`] then.
    ///
    /// # Errors
    ///
    /// [`BuildError`] with what is missing, out of range or unreadable.
    pub async fn build(self) -> Result<Node, BuildError> {
        let missing = |part| BuildError::Missing { part };
        let identity = self.identity.ok_or(missing("identity"))?;
        let transport = self.transport.ok_or(missing("transport"))?;
        match (&self.directory, &self.overlay) {
            (None, None) => return Err(missing("directory or overlay")),
            (Some(_), Some(_)) => return Err(BuildError::DirectoryAndOverlay),
            (Some(_), None) | (None, Some(_)) => {}
        }
        let bootstrap = self.bootstrap;
        if bootstrap.len() > MOST_BOOTSTRAP || (self.overlay.is_none() && !bootstrap.is_empty()) {
            let problem = "must be at most 16 addresses, for a node with an overlay";
            return Err(ConfigError { field: "bootstrap", problem }.into());
        }
        let (admission, credential) = (self.admission, self.credential);
        if self.overlay.is_none() && admission.is_some() {
            return Err(ConfigError { field: "admission", problem: "is for a node with an overlay" }.into());
        }
        if credential.len() > MAX_CREDENTIAL_BYTES || (self.overlay.is_none() && !credential.is_empty()) {
            let problem = "must be at most 256 bytes, for a node with an overlay";
            return Err(ConfigError { field: "credential", problem }.into());
        }
        let clock = self.clock.ok_or(missing("clock"))?;
        if self.domains.is_empty() {
            return Err(missing("domain"));
        }
        self.config.validate()?;
        let mut domains = BTreeMap::new();
        for mut domain in self.domains {
            let tag = domain.tag;
            domain.fit(&self.config).map_err(|source| BuildError::Domain { domain: tag, source })?;
            if domains.insert(tag, domain).is_some() {
                return Err(BuildError::DuplicateDomain { domain: tag });
            }
        }
        let (max_frame, needed) = (transport.max_frame(), MIN_LINK_FRAME);
        if max_frame < needed {
            return Err(BuildError::FrameTooSmall { max_frame, needed });
        }
        if max_frame > Frame::MAX_BYTES {
            let problem = "a frame has at most 16384 bytes";
            return Err(ConfigError { field: "max_frame", problem }.into());
        }
        let mut config = RouterConfig { max_frame: max_frame.min(self.config.max_frame), ..self.config };
        let seed = match self.seed {
            Some(seed) => seed,
            None => entropy()?,
        };
        let now = clock.now();
        let oldest = Epoch::of(now.wall.saturating_sub(Lifetime::MAX.seconds() + SKEW_SECONDS));
        let secret = match (self.secret, self.keep_secret) {
            (Some(_), true) => {
                let problem = "is for a node without a site_secret of its host's";
                return Err(ConfigError { field: "keep_site_secret", problem }.into());
            }
            (Some(secret), false) => secret,
            (None, true) => kept_secret(&*self.store, oldest).await?,
            (None, false) => SiteSecret::derived(&identity, oldest)?,
        };
        let selections: Vec<_> =
            domains.values().map(|domain: &Domain| (domain.tag, domain.selection_within(&config))).collect();
        let network = self.network;
        let mut overlay = match self.overlay {
            Some(mut overlay) => {
                fit(&mut overlay, &mut config);
                let admission = admission.unwrap_or(Arc::new(Open));
                admission.set_time(now.wall);
                if admission.admits(identity.author(), &credential).is_err() {
                    let problem = "must be one that the node's own admission takes";
                    return Err(ConfigError { field: "credential", problem }.into());
                }
                let registry = Verifier { network, admission };
                let overlays = Overlays::new(overlay, Arc::new(registry), seed)?;
                Some(OverlayPart::new(overlays, bootstrap, transport.local_address(), credential, now))
            }
            None => None,
        };
        let domains = Domains(Arc::new(domains));
        let key = identity.public_key();
        let author = Author { identity, secret, node: self.name, network };
        let mut router = Router::new(config, author, domains.clone(), seed, now)?;
        if self.keep_secret {
            router.keep_secret();
        }
        let mut rotations = self.rotations;
        RotationStatement::chain(key, &mut rotations);
        for statement in rotations {
            router.set_rotation(statement)?;
        }
        for (tag, selection) in selections {
            let refuse = |error: ConfigError| BuildError::Domain { domain: tag, source: error.into() };
            router.set_selection(tag, selection).map_err(refuse)?;
        }
        let mut states = BTreeMap::new();
        let mut published = Published::default();
        for table in Table::ALL {
            for row in rows(&*self.store, table).await? {
                if table == Table::Synthesis {
                    match Router::<Domains>::published(&row) {
                        Some((domain, records)) => published.restore(domain, records),
                        None => states.extend(state(&row)),
                    }
                }
                match router.restore(now, table, &row) {
                    // Without its own place in the order a node might use a number twice.
                    Err(error) if table == Table::Order => return Err(error.into()),
                    // A damaged row of another kind is left out and counted: peers have what it held.
                    _ => {}
                }
            }
        }
        // The packet was durable before the count was, should that be missing.
        for &tag in domains.0.keys() {
            let me = router.root(router.author().identity.author());
            let mut standing = router.standing(tag, now.wall);
            if let Some((_, own)) = standing.find(|(author, _)| *author == me)
                && let Some(Content::Evidence(summary)) = own.content()
            {
                published.restore(tag, summary.records());
            }
        }
        if let Some(overlay) = &mut overlay {
            overlay.join_by_kept(router.kept_peers());
        }
        let situations = recall(&*self.embedder, &domains, &mut router, now).await;
        router.start(now);
        let core = Core {
            router,
            overlay,
            evidence: BTreeMap::new(),
            deltas: BTreeMap::new(),
            organisations: Organisations::default(),
            states,
            pending: BTreeMap::new(),
            published,
            emissions: BTreeMap::new(),
            pulls: BTreeMap::new(),
            erasures: Vec::new(),
            listeners: Listeners::default(),
            stopping: false,
            stopped: Vec::new(),
        };
        let inner = Inner::new(core, domains, transport, self.directory, self.store, clock, self.embedder);
        let node = Node { inner: Arc::new(inner) };
        announce(&node, situations, now).await?;
        Ok(node)
    }

    /// Builds the node and spawns its driver on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoRuntime`] outside a runtime, and all those of [`build`](Self::build).
    #[cfg(feature = "tokio")]
    pub async fn start(self) -> Result<Node, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let node = self.build().await?;
        runtime.spawn(node.run());
        Ok(node)
    }
}

/// Embeds the situations of domains whose packets in the store have a compact fingerprint, so that the router has the exact one again before it looks
/// for anybody. One that can't be embedded now is left out: the compact one will do.
async fn recall(
    embedder: &dyn Embedder,
    domains: &Domains,
    router: &mut Router<Domains>,
    now: Moment,
) -> BTreeMap<DomainTag, Fingerprint> {
    let mut situations = BTreeMap::new();
    for domain in domains.0.values().filter(|domain| domain.is_described()) {
        let compact = router.carried(domain.tag).is_some_and(Fingerprint::is_compact);
        if compact && let Ok(fingerprint) = embed(embedder, domain, None).await {
            router.recall(now, domain.tag, fingerprint.clone());
            situations.insert(domain.tag, fingerprint);
        }
    }
    situations
}

/// Makes the node findable in its domains of plain vectors from the start. Evidence is found by its gradient, once there is some.
async fn announce(
    node: &Node,
    mut situations: BTreeMap<DomainTag, Fingerprint>,
    now: Moment,
) -> Result<(), BuildError> {
    for domain in node.inner.domains.0.values() {
        let announced = node.inner.lock().router.announced(domain.tag).is_some();
        if domain.is_described() && !announced {
            let fingerprint = match situations.remove(&domain.tag) {
                Some(fingerprint) => fingerprint,
                None => {
                    let embedded = node.inner.embed(domain, None).await;
                    embedded.map_err(|source| BuildError::Embed { domain: domain.tag, source })?
                }
            };
            let domain = domain.tag;
            let dims = fingerprint.dims();
            if node.inner.directory.is_none() && dims > MAX_OVERLAY_DIMS {
                let source = StatementError::Dims { dims };
                return Err(BuildError::Overlay { domain, source });
            }
            let announced = match &node.inner.directory {
                None => node.inner.lock().announce_in_overlay(now, domain, &fingerprint),
                Some(directory) => {
                    let author = node.author();
                    let descriptor = Descriptor::new(author, node.address(), domain, fingerprint.clone());
                    let announce = async { directory.announce(&descriptor).await };
                    contained(announce, Some((ANNOUNCE_ALLOWED, &node.inner))).await
                }
            };
            let mut core = node.inner.lock();
            if announced.is_ok() {
                core.router.set_announced(now, domain, fingerprint);
            } else {
                // The driver will try again, and again.
                core.router.announce(now, domain, fingerprint);
            }
        }
    }
    Ok(())
}

/// The secret in the store, or a new one that is there from now on: packets are not made with one that might be lost.
async fn kept_secret(store: &dyn Store, oldest: Epoch) -> Result<SiteSecret, BuildError> {
    for row in rows(store, Table::Secrets).await? {
        if let Some(kept) = Router::<Domains>::kept_secret(&row).map_err(|_| BuildError::Secret)? {
            return Ok(kept);
        }
    }
    let secret = SiteSecret::new(oldest, entropy()?);
    let Row { key, value } = Router::<Domains>::secret_row(&secret);
    let batch = Batch { operations: vec![Operation::Put { table: Table::Secrets, key, value }] };
    contained(async { store.commit(batch).await }, None).await.map_err(BuildError::Store)?;
    Ok(secret)
}

async fn rows(store: &dyn Store, table: Table) -> Result<Vec<Row>, BuildError> {
    let mut rows: Vec<Row> = Vec::new();
    loop {
        // The key after the last one read is that key with a zero behind it.
        let from = rows.last().map_or_else(Vec::new, |row| [&row.key[..], &[0]].concat());
        let range = async { store.range(table, &from, PAGE).await };
        let page = contained(range, None).await.map_err(BuildError::Store)?;
        if page.iter().any(|row| row.key < from) {
            let error = HostError::new(HostErrorKind::Corrupt, "rows below the key that was asked for");
            return Err(BuildError::Store(error));
        }
        let last = page.len() < PAGE;
        rows.extend(page);
        if last {
            return Ok(rows);
        }
    }
}

fn state(row: &Row) -> Option<(DomainTag, Vec<f64>)> {
    let domain = std::str::from_utf8(&row.key).ok()?.parse().ok()?;
    let (values, rest) = row.value.as_chunks::<8>();
    rest.is_empty().then(|| (domain, values.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()))
}

fn entropy() -> Result<[u8; 32], BuildError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|_| BuildError::Entropy)?;
    Ok(seed)
}

#[cfg(feature = "tokio")]
fn default_clock() -> Option<Arc<dyn Clock>> {
    Some(Arc::new(crate::TokioClock::new()))
}

#[cfg(not(feature = "tokio"))]
fn default_clock() -> Option<Arc<dyn Clock>> {
    None
}

impl fmt::Debug for NodeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeBuilder")
            .field("identity", &self.identity)
            .field("domains", &self.domains)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
