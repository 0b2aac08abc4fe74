//! How well look-ups find, and what they cost.

use std::collections::BTreeMap;
use std::time::Duration;

use qis_packet::MAX_PACKET_BYTES;
use qis_route::overlay::{Event, Found, LookupId, LookupOptions, OverlayError};

use crate::NodeId;
use crate::experiment::{Experiment, id_of, share};

/// Look-ups under way at once.
pub(crate) const CONCURRENT: usize = 200;

/// Two similarities closer than this, as a share, are a tie.
pub(crate) const TIE: f32 = 2e-6;

/// How many of the nearest nodes recall is about.
const K: usize = 20;

/// More of them than that are known exactly, since the node that asks is left out.
const EXACT: usize = 32;

/// The exact nearest running honest nodes of each query, as similarities and rows.
pub type Truth = Vec<Vec<(f32, usize)>>;

/// What look-ups of many queries found, and what they cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Look-ups.
    pub queries: usize,
    /// The share of the 20 nearest that were found, 0 to 1; where there are fewer nodes, of all.
    pub recall: f64,
    /// The same of the worst twentieth of the look-ups.
    pub worst: f64,
    /// Requests a look-up, repetitions left out.
    pub requests: f64,
    /// Round trips.
    pub rounds: f64,
    /// What 99 of 100 look-ups stay within.
    pub rounds_p99: u32,
    /// For each query the rows of the nodes found, the most similar first.
    pub returned: Vec<Vec<usize>>,
}

/// How work spreads over the nodes when many packets are delivered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// Packets delivered.
    pub packets: usize,
    /// The share of all requests that the busiest hundredth of the nodes answers.
    pub requests: f64,
    /// The share of all deliveries that the same number of nodes gets.
    pub deliveries: f64,
    /// Bytes that an average node sends and gets when each node delivers one packet.
    pub bytes_mean: f64,
    /// The same at the node that is asked most, scaled up from the packets delivered.
    pub bytes_most: f64,
}

impl Experiment {
    /// The exact nearest of each query among the running honest nodes, some more than are asked for.
    #[must_use]
    pub fn truth(&self) -> Truth {
        let rows: Vec<usize> =
            self.ids().filter(|id| self.is_honest(*id)).map(|id| self.rows[id.0 as usize]).collect();
        let threads = crate::processors();
        let part = self.queries.len().div_ceil(threads).max(1);
        let nearest = |&query: &usize| self.vectors.nearest(query, &rows, EXACT, &self.norms);
        std::thread::scope(|scope| {
            let handles: Vec<_> = self
                .queries
                .chunks(part)
                .map(|queries| scope.spawn(move || queries.iter().map(nearest).collect::<Truth>()))
                .collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap_or_default()).collect()
        })
    }

    /// Looks for each query from a random running honest node.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the options make no sense.
    pub fn measure(&mut self, options: LookupOptions, truth: &Truth) -> Result<Report, OverlayError> {
        let count = self.queries.len().min(truth.len());
        let mut recalls = vec![0.0; count];
        let (mut rounds, mut requests, mut returned) = (Vec::new(), 0, vec![Vec::new(); count]);
        self.look_up_all(count, options, None, |this, query, node, found| {
            let own = this.rows[node.0 as usize];
            let exact: Vec<(f32, usize)> =
                truth[query].iter().copied().filter(|(_, row)| *row != own).take(K).collect();
            let least = exact.last().map_or(f32::MIN, |(score, _)| *score - score.abs() * TIE);
            let rows = found.nearest.iter().filter_map(|(_, contact)| {
                let id = this.network.node_at(contact.address())?;
                this.is_honest(id).then(|| this.rows[id.0 as usize])
            });
            let rows: Vec<usize> = rows.take(K).collect();
            let hits = rows.iter().filter(|&&row| this.similarity(query, row) >= least).count();
            recalls[query] = share(hits.min(exact.len()) as u64, exact.len() as u64);
            returned[query] = rows;
            requests += u64::from(found.requests);
            rounds.push(found.rounds);
        })?;
        recalls.sort_by(f64::total_cmp);
        rounds.sort_unstable();
        let worst = recalls.len().div_ceil(20);
        Ok(Report {
            queries: count,
            recall: mean(&recalls),
            worst: mean(&recalls[..worst]),
            requests: share(requests, count as u64),
            rounds: share(rounds.iter().map(|&rounds| u64::from(rounds)).sum(), rounds.len() as u64),
            rounds_p99: rounds.get(rounds.len() * 99 / 100).copied().unwrap_or_default(),
            returned,
        })
    }

    /// Delivers so many packets of 512 bytes from random nodes, to the nearest of one query after the other.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the options make no sense.
    pub fn load(&mut self, packets: usize, options: LookupOptions) -> Result<Load, OverlayError> {
        let total = self.rows.len();
        let asked = |this: &Self, at: usize| {
            let stats = this.stats(at);
            (stats.served, stats.request_bytes + stats.answer_bytes)
        };
        let before: Vec<(u64, u64, u64)> = self
            .ids()
            .enumerate()
            .map(|(at, id)| {
                let (served, own) = asked(self, at);
                (served, own, self.network.bytes_of(id))
            })
            .collect();
        let mut deliveries = vec![0_u64; total];
        let packet = vec![0; MAX_PACKET_BYTES];
        self.look_up_all(packets, options, Some(&packet), |this, _, _, found| {
            for (_, contact) in found.nearest {
                if let Some(id) = this.network.node_at(contact.address()) {
                    deliveries[id.0 as usize] += 1;
                }
            }
        })?;
        let (mut served, mut for_others, mut own) = (Vec::new(), Vec::new(), 0);
        for ((at, id), before) in self.ids().enumerate().zip(&before) {
            let (served_now, own_now) = asked(self, at);
            let own_bytes = own_now - before.1;
            served.push(served_now - before.0);
            for_others.push((self.network.bytes_of(id) - before.2).saturating_sub(own_bytes));
            own += own_bytes;
        }
        let packets = packets as u64;
        let most = for_others.into_iter().max().unwrap_or_default();
        let per_packet = share(own, packets);
        Ok(Load {
            packets: usize::try_from(packets).unwrap_or_default(),
            requests: busiest(served),
            deliveries: busiest(deliveries),
            // What one sends another gets.
            bytes_mean: 2.0 * per_packet,
            bytes_most: per_packet + share(most, packets) * share(total as u64, 1),
        })
    }

    pub(crate) fn similarity(&self, query: usize, row: usize) -> f32 {
        self.vectors.dot(self.queries[query], row) * self.norms[row]
    }

    /// Looks for so many queries, beginning anew when there are no more, and hands over what was found for each; carries a packet, if any.
    fn look_up_all(
        &mut self,
        count: usize,
        options: LookupOptions,
        packet: Option<&[u8]>,
        mut found: impl FnMut(&Self, usize, NodeId, Found),
    ) -> Result<(), OverlayError> {
        let mut pending: BTreeMap<NodeId, (LookupId, usize)> = BTreeMap::new();
        let honest = self.ids().filter(|id| self.is_honest(*id)).count();
        let at_once = CONCURRENT.min(honest.div_ceil(2));
        let mut next = 0;
        while next < count || !pending.is_empty() {
            while next < count && pending.len() < at_once {
                let query = next % self.queries.len();
                next += 1;
                let node = self.idle_node(|id| pending.contains_key(&id));
                let target = self.vectors.fingerprint(self.queries[query]);
                let target = target.map_err(|_| OverlayError::WrongSpace)?;
                let lookup = self.network.with(node, |overlay, now| match packet {
                    Some(packet) => overlay.deliver(now, &target, packet.to_vec(), options, false),
                    None => overlay.look_up(now, &target, options),
                })?;
                pending.insert(node, (lookup, query));
            }
            let until = self.network.now() + Duration::from_secs(600);
            let Some((node, event)) = self.network.next_event(until) else { break };
            if let Event::Found { id, found: what } = event
                && let Some(&(_, query)) = pending.get(&node).filter(|(lookup, _)| *lookup == id)
            {
                pending.remove(&node);
                found(self, query, node, what);
            }
        }
        Ok(())
    }

    /// A random running honest node that is not looking for anything. There are some: half of them are, at most.
    pub(crate) fn idle_node(&mut self, is_busy: impl Fn(NodeId) -> bool) -> NodeId {
        let mut id = NodeId(0);
        for _ in 0..1000 {
            id = id_of(self.rng.below(self.rows.len()));
            if self.is_honest(id) && !is_busy(id) {
                break;
            }
        }
        id
    }
}

/// The share of the sum that the largest hundredth has.
fn busiest(mut counts: Vec<u64>) -> f64 {
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let largest = counts[..counts.len().div_ceil(100)].iter().sum();
    share(largest, counts.iter().sum())
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / share(values.len().max(1) as u64, 1)
}
