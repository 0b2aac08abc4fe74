//! How well look-ups find, and what they cost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use qis_route::overlay::{Contact, Event, LookupOptions, OverlayConfig, OverlayError, OverlayStats, Refusal};

use crate::{Network, NodeId, Rng, Vectors, snapshot};

/// Look-ups under way at once.
const CONCURRENT: usize = 200;

/// Two similarities closer than this are a tie.
const TIE: f32 = 2e-6;

/// Nodes, each of which joined by the protocol, and rows that no node owns to ask for.
#[derive(Debug)]
pub struct Experiment {
    vectors: Vectors,
    norms: Vec<f32>,
    /// The row of each node.
    rows: Vec<usize>,
    queries: Vec<usize>,
    network: Network,
    rng: Rng,
    joins: Joins,
    config: OverlayConfig,
}

#[derive(Clone, Copy, Debug, Default)]
struct Joins {
    count: u64,
    messages: u64,
    bytes: u64,
    most_bytes: u64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Queries {
    /// How many, at most as many as there are.
    pub count: usize,
    /// How each is looked for.
    pub options: LookupOptions,
}

/// How requests and deliveries spread over the nodes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    /// The share of all requests that the busiest hundredth of the nodes answers.
    pub requests: f64,
    /// The share of all deliveries that the same number of nodes gets.
    pub deliveries: f64,
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Nodes.
    pub nodes: usize,
    /// Look-ups.
    pub queries: usize,
    /// The share of the 20 nearest that were found.
    pub recall: f64,
    /// The same of the worst twentieth of the look-ups.
    pub worst: f64,
    /// Requests a look-up, repetitions left out.
    pub requests: f64,
    /// Round trips.
    pub rounds: f64,
    /// What 99 of 100 look-ups stay within.
    pub rounds_p99: u32,
    /// How requests spread, over the look-ups measured.
    pub load: Load,
    /// Requests of a node to join, of the later half of the nodes.
    pub join_messages: f64,
    /// Bytes that a joining node sends and gets.
    pub join_bytes: f64,
    /// The same of the one that needed most.
    pub join_bytes_most: u64,
    /// The most that a node takes.
    pub state_bytes_most: usize,
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
        let first_query = vectors.len().saturating_sub(queries);
        let mut rows: Vec<usize> = (0..first_query).collect();
        for at in (1..rows.len()).rev() {
            rows.swap(at, rng.below(at + 1));
        }
        rows.truncate(nodes);
        let mut network = Network::new(rng.next());
        for &row in &rows {
            network.add(&vectors, row, &config)?;
        }
        let norms = vectors.norms();
        let queries = (first_query..vectors.len()).collect();
        Ok(Self { vectors, norms, rows, queries, network, rng, joins: Joins::default(), config })
    }

    /// The network, for faults and crashes.
    pub fn network(&mut self) -> &mut Network {
        &mut self.network
    }

    /// Lets all nodes join, a sixteenth of those that have joined at a time, each by three random members.
    pub fn join_all(&mut self, progress: impl Fn(usize)) {
        let total = self.rows.len();
        let (mut started, mut joined) = (0, Vec::with_capacity(total));
        let mut joining = vec![false; total];
        while joined.len() < total {
            let at_once = (joined.len() / 16).clamp(1, 4096);
            while started < total && started - joined.len() < at_once {
                let mut bootstrap: Vec<NodeId> = Vec::new();
                for _ in 0..3 {
                    let at = self.rng.below(joined.len());
                    bootstrap.extend(joined.get(at).copied().filter(|id| !bootstrap.contains(id)));
                }
                let id = NodeId(u32::try_from(started).unwrap_or(u32::MAX));
                joining[started] = true;
                started += 1;
                self.network.start(id, &bootstrap);
            }
            let until = self.network.now() + Duration::from_secs(600);
            let Some((id, event)) = self.network.next_event(until) else { break };
            if let Event::Settled { .. } = event
                && std::mem::take(&mut joining[id.0 as usize])
            {
                let stats = self.network.overlay(id).stats();
                if id.0 as usize >= total / 2 {
                    let bytes = stats.request_bytes + stats.answer_bytes;
                    self.joins.count += 1;
                    self.joins.messages += stats.requests;
                    self.joins.bytes += bytes;
                    self.joins.most_bytes = self.joins.most_bytes.max(bytes);
                }
                joined.push(id);
                if joined.len().is_multiple_of(1000) {
                    progress(joined.len());
                }
            }
        }
    }

    /// Gives all nodes the contacts that joining would have given them, without the messages of the joins: for sizes at which these are
    /// too many to simulate.
    ///
    /// Recall is the same to some thousandths; what a join costs is not measured.
    pub fn build_snapshot(&mut self, seed: u64, progress: impl Fn(usize)) {
        let contacts = snapshot::build(&self.vectors, &self.norms, &self.rows, &self.config, seed, &progress);
        let known: Vec<Arc<Contact>> =
            self.ids().map(|id| Arc::clone(self.network.overlay(id).me())).collect();
        for (id, own) in self.ids().zip(contacts) {
            let contact = |&id: &u32| Arc::clone(&known[id as usize]);
            let near = own.near.iter().chain(&own.diverse).map(|link| contact(&link.id)).collect::<Vec<_>>();
            let random = own.random.iter().map(contact).collect::<Vec<_>>();
            self.network.with(id, |overlay, _| overlay.restore(&near, &random));
        }
    }

    fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    /// Lets each node look for itself once, some thousand at a time.
    pub fn refresh_all(&mut self) {
        let ids: Vec<NodeId> =
            (0..self.rows.len()).map(|at| NodeId(u32::try_from(at).unwrap_or(u32::MAX))).collect();
        for some in ids.chunks(4096) {
            for &id in some {
                if self.network.is_alive(id) {
                    self.network.with(id, qis_route::overlay::Overlay::refresh);
                }
            }
            let until = self.network.now() + Duration::from_secs(20);
            self.network.run_until(until);
        }
    }

    /// Stops this share of the nodes.
    pub fn crash(&mut self, share: f64) {
        for at in 0..self.rows.len() {
            if self.rng.chance(share) {
                self.network.crash(NodeId(u32::try_from(at).unwrap_or(u32::MAX)));
            }
        }
    }

    /// The exact nearest of each query among the nodes that run, some more than are asked for.
    #[must_use]
    pub fn truth(&self, count: usize) -> Vec<Vec<(f32, usize)>> {
        let live = |at: &usize| self.network.is_alive(NodeId(u32::try_from(*at).unwrap_or(u32::MAX)));
        let rows: Vec<usize> = (0..self.rows.len()).filter(live).map(|at| self.rows[at]).collect();
        let queries: Vec<usize> = self.queries.iter().copied().take(count).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let part = queries.len().div_ceil(threads).max(1);
        std::thread::scope(|scope| {
            let some = |queries: &[usize]| -> Vec<Vec<(f32, usize)>> {
                queries.iter().map(|&query| self.vectors.nearest(query, &rows, 32, &self.norms)).collect()
            };
            let handles: Vec<_> =
                queries.chunks(part).map(|queries| scope.spawn(move || some(queries))).collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap_or_default()).collect()
        })
    }

    /// Looks for each query from a random running node.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the options make no sense.
    pub fn measure(&mut self, queries: Queries, truth: &[Vec<(f32, usize)>]) -> Result<Report, OverlayError> {
        let k = usize::from(queries.options.k);
        let count = queries.count.min(truth.len());
        let mut pending: BTreeMap<(NodeId, qis_route::overlay::LookupId), usize> = BTreeMap::new();
        let (mut recalls, mut rounds) = (Vec::new(), Vec::new());
        let (mut requests, mut next) = (0_u64, 0);
        let mut deliveries = vec![0_u32; self.rows.len()];
        let served_before: Vec<u64> = (0..self.rows.len()).map(|at| self.stats(at).served).collect();
        let live = (0..self.rows.len())
            .filter(|&at| self.network.is_alive(NodeId(u32::try_from(at).unwrap_or(u32::MAX))))
            .count();
        while recalls.len() < count {
            while next < count && pending.len() < CONCURRENT.min(live.div_ceil(2)) {
                let mut id = NodeId(0);
                for _ in 0..1000 {
                    id = NodeId(u32::try_from(self.rng.below(self.rows.len())).unwrap_or(u32::MAX));
                    if self.network.is_alive(id) && !pending.keys().any(|(busy, _)| *busy == id) {
                        break;
                    }
                }
                let target = self.vectors.fingerprint(self.queries[next]);
                let target = target.map_err(|_| OverlayError::WrongSpace)?;
                let lookup =
                    self.network.with(id, |overlay, now| overlay.look_up(now, &target, queries.options))?;
                pending.insert((id, lookup), next);
                next += 1;
            }
            let until = self.network.now() + Duration::from_secs(600);
            let Some((node, event)) = self.network.next_event(until) else { break };
            let Event::Found { id, found } = event else { continue };
            let Some(query) = pending.remove(&(node, id)) else { continue };
            let own = self.rows[node.0 as usize];
            let exact: Vec<(f32, usize)> =
                truth[query].iter().copied().filter(|(_, row)| *row != own).take(k).collect();
            let least = exact.last().map_or(f32::MIN, |(score, _)| *score - score.abs() * TIE);
            let mut hits = 0;
            for (_, contact) in &found.nearest {
                let Some(at) = self.network.node_at(contact.address()) else { continue };
                deliveries[at.0 as usize] += 1;
                let row = self.rows[at.0 as usize];
                let scored = self.vectors.nearest(self.queries[query], &[row], 1, &self.norms);
                hits += usize::from(scored.first().is_some_and(|(score, _)| *score >= least));
            }
            recalls.push(share(hits.min(exact.len()) as u64, exact.len() as u64));
            requests += u64::from(found.requests);
            rounds.push(found.rounds);
        }
        recalls.sort_by(f64::total_cmp);
        rounds.sort_unstable();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / (values.len().max(1) as f64);
        let worst = recalls.len().div_ceil(20).min(recalls.len());
        let served = (0..self.rows.len())
            .map(|at| u32::try_from(self.stats(at).served - served_before[at]).unwrap_or(u32::MAX));
        let load = Load { requests: busiest(served.collect()), deliveries: busiest(deliveries) };
        let state_bytes_most = (0..self.rows.len())
            .map(|at| self.network.overlay(NodeId(u32::try_from(at).unwrap_or(u32::MAX))).state_bytes())
            .max();
        Ok(Report {
            nodes: self.rows.len(),
            queries: recalls.len(),
            recall: mean(&recalls),
            worst: mean(&recalls[..worst]),
            requests: share(requests, recalls.len() as u64),
            rounds: share(rounds.iter().map(|&rounds| u64::from(rounds)).sum(), rounds.len() as u64),
            rounds_p99: rounds.get(rounds.len() * 99 / 100).copied().unwrap_or_default(),
            load,
            join_messages: share(self.joins.messages, self.joins.count),
            join_bytes: share(self.joins.bytes, self.joins.count),
            join_bytes_most: self.joins.most_bytes,
            state_bytes_most: state_bytes_most.unwrap_or_default(),
        })
    }

    fn stats(&self, at: usize) -> &OverlayStats {
        self.network.overlay(NodeId(u32::try_from(at).unwrap_or(u32::MAX))).stats()
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

/// The share of the sum that the largest hundredth has.
fn busiest(mut counts: Vec<u32>) -> f64 {
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let sum = |counts: &[u32]| counts.iter().map(|&count| u64::from(count)).sum::<u64>();
    share(sum(&counts[..counts.len().div_ceil(100)]), sum(&counts))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
