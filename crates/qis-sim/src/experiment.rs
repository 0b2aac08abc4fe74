//! Nodes that make an overlay, and what befalls them.

use std::time::Duration;

use qis_route::overlay::{Contact, Event, Overlay, OverlayConfig, OverlayError, OverlayStats, Refusal};

use crate::snapshot::{self, BOOTSTRAP, MOST_AT_ONCE};
use crate::{Network, NodeId, Rng, Vectors};

/// How long the look-ups of a part of the nodes for themselves may take.
const SETTLING: Duration = Duration::from_secs(20);

/// The contacts of a colluder.
const COLLUDERS: usize = 64;

/// Nodes of an overlay, each with the situation of a row, and rows that no node owns to ask for.
#[derive(Debug)]
pub struct Experiment {
    pub(crate) vectors: Vectors,
    pub(crate) norms: Vec<f32>,
    /// The row of each node.
    pub(crate) rows: Vec<usize>,
    /// The rows to ask for.
    pub(crate) queries: Vec<usize>,
    pub(crate) network: Network,
    pub(crate) rng: Rng,
    pub(crate) colluders: Vec<bool>,
    /// How many of the first nodes have contacts without having joined.
    built: usize,
    joins: Costs,
    config: OverlayConfig,
}

/// What something by the protocol cost the nodes that did it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Costs {
    /// Nodes that were counted.
    pub nodes: u64,
    /// Their requests, repetitions left out.
    pub messages: u64,
    /// Bytes they sent and got.
    pub bytes: u64,
    /// Those of the node that needed most.
    pub bytes_most: u64,
}

impl Costs {
    fn add(&mut self, messages: u64, bytes: u64) {
        self.nodes += 1;
        self.messages += messages;
        self.bytes += bytes;
        self.bytes_most = self.bytes_most.max(bytes);
    }
}

impl Experiment {
    /// Adds as many nodes as there are rows but the last `queries`, or the first `nodes` of them in an order by the seed.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when a row is no fingerprint, or the configuration makes no sense.
    pub fn new(
        vectors: Vectors,
        nodes: usize,
        queries: usize,
        config: OverlayConfig,
        seed: u64,
    ) -> Result<Self, OverlayError> {
        let mut rng = Rng::new(seed);
        let rows = any_rows(&vectors, nodes, queries, &mut rng);
        let network = Network::new(rng.next());
        let colluders = vec![false; rows.len()];
        Self::of(vectors, rows, colluders, queries, network, config, rng)
    }

    pub(crate) fn of(
        vectors: Vectors,
        rows: Vec<usize>,
        colluders: Vec<bool>,
        queries: usize,
        mut network: Network,
        config: OverlayConfig,
        rng: Rng,
    ) -> Result<Self, OverlayError> {
        network.add_all(&vectors, &rows, &config)?;
        let norms = vectors.norms();
        let queries = (first_query(&vectors, queries)..vectors.len()).collect();
        let (built, joins) = (0, Costs::default());
        Ok(Self { vectors, norms, rows, queries, network, rng, colluders, built, joins, config })
    }

    /// The network, for faults and time.
    pub const fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Lets all nodes that are not part of the overlay yet join by the protocol, a sixteenth of those that have joined at a time, each by three random members.
    pub fn join_all(&mut self, progress: impl Fn(usize)) {
        let total = self.rows.len();
        let (mut started, mut joined): (_, Vec<NodeId>) = (self.built, self.ids().take(self.built).collect());
        let mut joining = vec![false; total];
        while joined.len() < total {
            let at_once = (joined.len() / 16).clamp(1, MOST_AT_ONCE);
            while started < total && started - joined.len() < at_once {
                let bootstrap = self.some_of(&joined, BOOTSTRAP);
                joining[started] = true;
                self.network.start(id_of(started), &bootstrap);
                started += 1;
            }
            let until = self.network.now() + Duration::from_secs(600);
            let Some((id, event)) = self.network.next_event(until) else { break };
            if let Event::Settled { .. } = event
                && std::mem::take(&mut joining[id.0 as usize])
            {
                if id.0 as usize >= total / 2 {
                    let stats = self.network.overlay(id).stats();
                    self.joins.add(stats.requests, stats.request_bytes + stats.answer_bytes);
                }
                joined.push(id);
                progress(joined.len());
            }
        }
    }

    /// Gives the first `nodes` nodes the contacts that joining would have given them, without the messages of the joins: for sizes at which these
    /// are too many to simulate. The others may [join](Self::join_all) then. If they are `settled`, all have looked for themselves once
    /// more, as by [`settle`](Self::settle).
    ///
    /// Recall is the same to some thousandths.
    pub fn build_snapshot(&mut self, nodes: usize, settled: bool, progress: impl Fn(usize)) {
        let seed = self.rng.next();
        self.built = nodes.min(self.rows.len());
        let (vectors, norms) = (&self.vectors, self.norms.as_slice());
        let rows = &self.rows[..self.built];
        let contacts = snapshot::build(vectors, norms, rows, &self.config, seed, settled, &progress);
        let known: Vec<Contact> = self.known();
        for (id, own) in self.ids().zip(contacts) {
            let contact = |&id: &u32| known[id as usize].clone();
            let best: Vec<_> = own.near.iter().chain(&own.diverse).map(|link| contact(&link.id)).collect();
            let random: Vec<_> = own.random.iter().map(contact).collect();
            self.network.with(id, |overlay, _| overlay.restore(&best, &random));
        }
    }

    /// Gives each node so many random contacts and nothing else, and lets them find their way by upkeep alone. After each of `rounds`
    /// exchanges it calls `measure` with its number and the mean of the requests of a node so far.
    pub fn start_cold(
        &mut self,
        contacts: usize,
        rounds: usize,
        mut measure: impl FnMut(&mut Self, usize, f64),
    ) {
        let known = self.known();
        for id in self.ids() {
            let some: Vec<Contact> = self
                .some_of(&self.ids().collect::<Vec<_>>(), contacts)
                .into_iter()
                .map(|id| known[id.0 as usize].clone())
                .collect();
            let (random, others) = some.split_at(some.len().min(self.config.random.into()));
            self.network.with(id, |overlay, now| {
                overlay.restore(others, random);
                overlay.start(now, &[]);
            });
        }
        for round in 1..=rounds {
            let until = self.network.now() + self.config.gossip_every;
            self.network.run_until(until);
            let requests: u64 = (0..self.rows.len()).map(|at| self.stats(at).requests).sum();
            measure(self, round, share(requests, self.rows.len() as u64));
        }
    }

    pub(crate) fn known(&self) -> Vec<Contact> {
        self.ids().map(|id| self.network.overlay(id).me().clone()).collect()
    }

    /// Some of these nodes, none twice.
    fn some_of(&mut self, ids: &[NodeId], count: usize) -> Vec<NodeId> {
        let mut some = Vec::with_capacity(count);
        // With few to choose from some draws are in vain.
        for _ in 0..count {
            let chosen = ids.get(self.rng.below(ids.len())).copied();
            some.extend(chosen.filter(|id| !some.contains(id)));
        }
        some
    }

    /// Lets each node that joined by the protocol look for itself once more, as upkeep has it do after its second exchange.
    pub fn settle(&mut self, progress: impl Fn(usize)) -> Costs {
        self.refresh(self.built, progress)
    }

    /// Lets each running node look for itself once, some thousand at a time.
    pub fn refresh_all(&mut self, progress: impl Fn(usize)) -> Costs {
        self.refresh(0, progress)
    }

    fn refresh(&mut self, first: usize, progress: impl Fn(usize)) -> Costs {
        let spent = |this: &Self, id| {
            let stats = this.network.overlay(id).stats();
            (stats.requests, stats.request_bytes + stats.answer_bytes)
        };
        let ids: Vec<NodeId> = self.ids().skip(first).filter(|id| self.network.is_alive(*id)).collect();
        let mut costs = Costs::default();
        for some in ids.chunks(MOST_AT_ONCE) {
            let before: Vec<(u64, u64)> = some.iter().map(|&id| spent(self, id)).collect();
            for &id in some {
                self.network.with(id, Overlay::refresh);
            }
            let until = self.network.now() + SETTLING;
            self.network.run_until(until);
            for (&id, before) in some.iter().zip(before) {
                let (messages, bytes) = spent(self, id);
                costs.add(messages - before.0, bytes - before.1);
            }
            progress(first + usize::try_from(costs.nodes).unwrap_or_default());
        }
        costs
    }

    /// Stops this share of the nodes, without a word.
    pub fn crash(&mut self, share: f64) {
        for id in self.ids() {
            if self.rng.chance(share) {
                self.network.crash(id);
            }
        }
    }

    /// Makes this share of the nodes colluders: they swallow packets, and know only each other from now on, under their true fingerprints.
    pub fn collude(&mut self, share: f64) {
        for at in 0..self.colluders.len() {
            self.colluders[at] = self.rng.chance(share);
        }
        let colluders = self.attackers();
        let known = self.known();
        for &id in &colluders {
            let some: Vec<Contact> =
                self.some_of(&colluders, COLLUDERS).iter().map(|id| known[id.0 as usize].clone()).collect();
            self.network.with(id, |overlay, _| overlay.restore(&some, &[]));
        }
    }

    /// Those that are not honest.
    pub(crate) fn attackers(&self) -> Vec<NodeId> {
        self.ids().filter(|id| self.colluders[id.0 as usize]).collect()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.rows.len()).map(id_of)
    }

    /// Whether it runs, and is no colluder.
    pub(crate) fn is_honest(&self, id: NodeId) -> bool {
        self.network.is_alive(id) && !self.colluders[id.0 as usize]
    }

    pub(crate) fn stats(&self, at: usize) -> &OverlayStats {
        self.network.overlay(id_of(at)).stats()
    }

    /// What joining by the protocol cost the nodes that met half of the network or more.
    #[must_use]
    pub const fn joins(&self) -> Costs {
        self.joins
    }

    /// The most bytes of memory that a node takes.
    #[must_use]
    pub fn state_bytes_most(&self) -> usize {
        self.ids().map(|id| self.network.overlay(id).state_bytes()).max().unwrap_or_default()
    }

    /// How many messages and descriptors were refused for this reason, by all nodes.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        (0..self.rows.len()).map(|at| self.stats(at).refused(refusal)).sum()
    }

    /// The configuration of the nodes.
    #[must_use]
    pub const fn config(&self) -> &OverlayConfig {
        &self.config
    }
}

/// The row of the first query, when so many are.
pub(crate) fn first_query(vectors: &Vectors, queries: usize) -> usize {
    vectors.len().saturating_sub(queries)
}

/// So many rows before the queries, or all of them, in an order by chance.
pub(crate) fn any_rows(vectors: &Vectors, nodes: usize, queries: usize, rng: &mut Rng) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..first_query(vectors, queries)).collect();
    rng.shuffle(&mut rows);
    rows.truncate(nodes);
    rows
}

pub(crate) fn id_of(at: usize) -> NodeId {
    NodeId(u32::try_from(at).unwrap_or(u32::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
