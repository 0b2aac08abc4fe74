//! The contacts of all nodes of a large overlay, without the messages that make them.
//!
//! A node chooses here among what the same look-up for itself would have told it, by the same rule, and becomes a contact of the same
//! others; but it reads their contacts where they lie, by exact scores. So it stands in for joins where there are too many of them to
//! simulate, and not for the measure of what they cost.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

use qis_route::overlay::OverlayConfig;

use crate::vectors::dot;
use crate::{Rng, Vectors};

/// As many nodes as this join at once at most.
pub(crate) const MOST_AT_ONCE: usize = 4096;

/// So many members a node joins by.
pub(crate) const BOOTSTRAP: usize = 3;

/// Pruning starts from so many of the nearest contacts at most.
const COVER: usize = 8;

/// Nodes that a look-up remembers at most.
const POOL: usize = 512;

/// A node, and its similarity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    score: f32,
    pub(crate) id: u32,
    verdict: Verdict,
}

/// What the last pruning found about it; what was compared then need not be compared again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unknown,
    /// None of those that were kept covers it.
    Uncovered,
    /// This node covers it.
    CoveredBy(u32),
}

impl Link {
    const fn new(score: f32, id: u32) -> Self {
        Self { score, id, verdict: Verdict::Unknown }
    }
}

/// The contacts of one node.
#[derive(Clone, Debug, Default)]
pub(crate) struct Contacts {
    /// The most similar first.
    pub(crate) near: Vec<Link>,
    pub(crate) diverse: Vec<Link>,
    pub(crate) random: Vec<u32>,
    /// Some of those that were near at the last pruning.
    cover: Cover,
}

type Cover = [Option<u32>; COVER];

/// What a thread remembers of the nodes that one look-up has met.
struct Memory {
    nodes: Vec<Met>,
    lookup: u32,
}

/// A node that was met.
#[derive(Clone, Copy, Default)]
struct Met {
    /// The look-up by which the score was computed, and that by which the node was told of.
    scored: u32,
    told: u32,
    score: f32,
}

impl Memory {
    fn new(nodes: usize) -> Self {
        Self { nodes: vec![Met::default(); nodes], lookup: 0 }
    }

    fn score(&mut self, id: u32, compute: impl FnOnce() -> f32) -> f32 {
        let met = &mut self.nodes[id as usize];
        if met.scored != self.lookup {
            (met.scored, met.score) = (self.lookup, compute());
        }
        met.score
    }

    /// Whether this is the first one to tell of it.
    fn tell(&mut self, id: u32) -> bool {
        std::mem::replace(&mut self.nodes[id as usize].told, self.lookup) != self.lookup
    }
}

/// The situations of the nodes in their order, each with one over its length beside it: what is compared is read from one place.
struct Situations {
    dims: usize,
    bytes: Vec<i8>,
}

impl Situations {
    const LENGTH: usize = size_of::<f32>();

    fn new(vectors: &Vectors, norms: &[f32], rows: &[usize]) -> Self {
        let dims = vectors.dims();
        let mut bytes = Vec::with_capacity(rows.len() * (Self::LENGTH + dims));
        for &row in rows {
            bytes.extend(norms[row].to_le_bytes().map(u8::cast_signed));
            bytes.extend_from_slice(vectors.row(row));
        }
        Self { dims, bytes }
    }

    fn get(&self, id: u32) -> (f32, &[i8]) {
        let each = Self::LENGTH + self.dims;
        let row = &self.bytes[id as usize * each..][..each];
        let norm =
            row.first_chunk().map_or(0.0, |bytes: &[i8; 4]| f32::from_le_bytes(bytes.map(i8::cast_unsigned)));
        (norm, &row[Self::LENGTH..])
    }
}

/// What a node hears: of whom, and whether that one asked it to find others or is to be kept as one that leads elsewhere.
#[derive(Clone, Copy)]
struct Word {
    to: u32,
    of: Link,
    asked: bool,
}

/// What a joining node found out.
#[derive(Default)]
struct Plan {
    random: Vec<u32>,
    /// What itself and others hear of it, in order.
    words: Vec<Word>,
}

/// What all nodes go by.
struct Rules<'a> {
    situations: Situations,
    config: &'a OverlayConfig,
    seed: u64,
}

struct Snapshot<'a> {
    rules: Rules<'a>,
    threads: usize,
    contacts: Vec<Contacts>,
}

/// Lets all nodes join, a sixteenth of those that have joined at a time, and then, to be `settled`, look for themselves once more.
pub(crate) fn build(
    vectors: &Vectors,
    norms: &[f32],
    rows: &[usize],
    config: &OverlayConfig,
    seed: u64,
    settled: bool,
    progress: &dyn Fn(usize),
) -> Vec<Contacts> {
    let rules = Rules { situations: Situations::new(vectors, norms, rows), config, seed };
    let contacts = vec![Contacts::default(); rows.len()];
    let mut snapshot = Snapshot { rules, threads: crate::processors(), contacts };
    let mut joined = 0;
    while joined < rows.len() {
        let batch = (joined / 16).clamp(1, MOST_AT_ONCE).min(rows.len() - joined);
        snapshot.join(joined, batch);
        joined += batch;
        progress(joined);
    }
    snapshot.sample();
    if settled {
        for first in (0..rows.len()).step_by(MOST_AT_ONCE) {
            snapshot.join(first, MOST_AT_ONCE.min(rows.len() - first));
            progress(first);
        }
        snapshot.sample();
    }
    snapshot.contacts
}

impl Snapshot<'_> {
    /// The nodes from `first` on, none of which sees another one of them.
    fn join(&mut self, first: usize, batch: usize) {
        let part = batch.div_ceil(self.threads);
        let (rules, contacts) = (&self.rules, self.contacts.as_slice());
        let ids: Vec<u32> = (first..first + batch).map(id_of).collect();
        let plans: Vec<Plan> = std::thread::scope(|scope| {
            let plan_some = |ids: &[u32]| {
                let mut memory = Memory::new(contacts.len());
                ids.iter().map(|&id| rules.plan(contacts, id, first, &mut memory)).collect::<Vec<_>>()
            };
            let handles: Vec<_> = ids.chunks(part).map(|ids| scope.spawn(move || plan_some(ids))).collect();
            let join =
                |handle: ScopedJoinHandle<'_, _>| handle.join().unwrap_or_else(|panic| resume_unwind(panic));
            handles.into_iter().flat_map(join).collect()
        });
        let mut words = Vec::with_capacity(plans.iter().map(|plan| plan.words.len()).sum());
        for (id, plan) in ids.into_iter().zip(plans) {
            self.contacts[id as usize].random = plan.random;
            words.extend(plan.words);
        }
        self.tell(&words);
    }

    /// Lets nodes hear of each other, each of them in this order.
    fn tell(&mut self, words: &[Word]) {
        let rules = &self.rules;
        let ends = shares(words, self.threads, self.contacts.len());
        let (mut rest, mut begin) = (self.contacts.as_mut_slice(), 0);
        std::thread::scope(|scope| {
            for end in ends {
                let (some, others) = std::mem::take(&mut rest).split_at_mut(end - begin);
                scope.spawn(move || rules.tell(begin, some, words));
                (rest, begin) = (others, end);
            }
        });
    }

    /// Gives each node random contacts among all, as exchanges over time do.
    fn sample(&mut self) {
        let total = self.contacts.len();
        let Rules { config, seed, .. } = self.rules;
        for (id, contacts) in self.contacts.iter_mut().enumerate() {
            let mut rng = Rng::new(seed ^ 0x5a3b_1e00 ^ (id as u64) << 24);
            contacts.random.clear();
            for _ in 0..config.random {
                let other = id_of(rng.below(total));
                if other as usize != id && !contacts.random.contains(&other) {
                    contacts.random.push(other);
                }
            }
        }
    }
}

/// Where to part the nodes so that each thread has about as much to tell its own: the ends of the parts.
fn shares(words: &[Word], threads: usize, nodes: usize) -> Vec<usize> {
    const STEP: usize = 64;
    let mut some: Vec<u32> = words.iter().step_by(STEP).map(|word| word.to).collect();
    some.sort_unstable();
    let end = |part: usize| some.get(part * some.len() / threads).map_or(0, |&to| to as usize);
    (1..threads).map(end).chain([nodes]).collect()
}

impl Rules<'_> {
    fn similarity(&self, a: u32, b: u32) -> f32 {
        similarity(self.situations.get(a), self.situations.get(b))
    }

    /// Tells some nodes, the first of which is number `first`, what is for them.
    fn tell(&self, first: usize, nodes: &mut [Contacts], words: &[Word]) {
        let mut mine: Vec<Word> = words
            .iter()
            .filter(|word| (first..first + nodes.len()).contains(&(word.to as usize)))
            .copied()
            .collect();
        // Stable, so that what a node hears stays in order.
        mine.sort_by_key(|word| word.to);
        for news in mine.chunk_by(|a, b| a.to == b.to) {
            let Some(Word { to: id, of: teller, .. }) = news.first() else { continue };
            let contacts = &mut nodes[*id as usize - first];
            let mut rng = Rng::new(self.seed ^ u64::from(*id) << 20 ^ u64::from(teller.id));
            for word in news {
                if word.asked {
                    self.offer_near(*id, contacts, word.of, &mut rng);
                } else {
                    self.add_diverse(*id, contacts, word.of);
                }
            }
        }
    }

    fn offer_near(&self, id: u32, contacts: &mut Contacts, new: Link, rng: &mut Rng) {
        let most = usize::from(self.config.near);
        if contacts.near.len() >= most && contacts.near.last().is_some_and(|last| last.score >= new.score) {
            return;
        }
        contacts.diverse.retain(|known| known.id != new.id);
        let at = contacts.near.partition_point(|known| known.score >= new.score);
        contacts.near.insert(at, new);
        if contacts.near.len() > most
            && let Some(out) = contacts.near.pop()
            && rng.below(4) == 0
        {
            self.add_diverse(id, contacts, out);
        }
    }

    fn add_diverse(&self, id: u32, contacts: &mut Contacts, new: Link) {
        let known = contacts.near.iter().chain(&contacts.diverse).any(|known| known.id == new.id);
        if known {
            return;
        }
        contacts.diverse.push(new);
        let target = usize::from(self.config.diverse);
        if contacts.diverse.len() > target + target / 20 {
            let all = std::mem::take(&mut contacts.diverse);
            let cover = cover(&contacts.near);
            contacts.diverse = self.prune(all, cover, contacts.cover, target, false);
            contacts.cover = cover;
        }
        debug_assert!(contacts.diverse.iter().all(|known| known.id != id));
    }

    /// Keeps the nearest in each direction, then the nearest of the others, or the farthest. `before` was the cover of the last time.
    fn prune(
        &self,
        mut all: Vec<Link>,
        cover: Cover,
        before: Cover,
        target: usize,
        farthest: bool,
    ) -> Vec<Link> {
        all.sort_unstable_by(closer);
        let news: Vec<u32> = cover.into_iter().filter(|by| !before.contains(by)).flatten().collect();
        let (mut kept, mut left): (Vec<Link>, Vec<Link>) = (Vec::with_capacity(target), Vec::new());
        // Those that were kept last time too do not cover each other.
        let mut kept_anew: Vec<u32> = Vec::new();
        for mut link in all {
            let own = 2.0 - 2.0 * link.score;
            let situation = self.situations.get(link.id);
            let covers = |by: &u32| {
                self.config.prune * (2.0 - 2.0 * similarity(self.situations.get(*by), situation)) <= own
            };
            let mut kept_ids = kept.iter().rev().map(|by: &Link| by.id);
            let by = match link.verdict {
                Verdict::CoveredBy(by) if cover.contains(&Some(by)) || kept_ids.any(|kept| kept == by) => {
                    Some(by)
                }
                Verdict::Uncovered => kept_anew.iter().rev().chain(&news).copied().find(covers),
                _ => kept.iter().rev().map(|by| by.id).chain(cover.into_iter().flatten()).find(covers),
            };
            if kept.len() < target && by.is_none() {
                if link.verdict != Verdict::Uncovered {
                    kept_anew.push(link.id);
                }
                kept.push(link);
            } else {
                link.verdict = by.map_or(Verdict::Unknown, Verdict::CoveredBy);
                left.push(link);
            }
        }
        for link in &mut kept {
            link.verdict = Verdict::Uncovered;
        }
        let room = target - kept.len();
        if farthest {
            kept.extend(left.into_iter().rev().take(room));
        } else {
            kept.extend(left.into_iter().take(room));
        }
        kept
    }

    /// Looks for itself among the first `members` nodes, as a look-up does.
    fn plan(&self, all: &[Contacts], id: u32, members: usize, memory: &mut Memory) -> Plan {
        let mut rng = Rng::new(self.seed ^ 0x5eed ^ u64::from(id) << 24);
        let own = &all[id as usize];
        let mut random = own.random.clone();
        // The first time it has nobody.
        for _ in 0..if random.is_empty() && members > 0 { self.config.random } else { 0 } {
            let other = id_of(rng.below(members));
            if !random.contains(&other) {
                random.push(other);
            }
        }
        let options = self.config.own_lookup;
        memory.lookup += 1;
        let known = own.near.iter().chain(&own.diverse).map(|link| link.id);
        let start: Vec<u32> = known.chain(random.iter().take(BOOTSTRAP).copied()).collect();
        for known in start.iter().chain([&id]) {
            memory.tell(*known);
        }
        let score = |memory: &mut Memory, other: u32| memory.score(other, || self.similarity(id, other));
        // Similarity, node, whether it was asked; the most similar first.
        let mut pool: Vec<(f32, u32, bool)> = Vec::new();
        let mut asked: Vec<Link> = Vec::new();
        pool.extend(start.into_iter().map(|start| (score(memory, start), start, false)));
        let mut arrived = false;
        for round in 0..options.rounds {
            pool.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            pool.truncate(POOL);
            arrived |= round > 0 && pool.first().is_some_and(|best| best.2);
            let most = if arrived { usize::MAX } else { options.parallel.into() };
            let mut now = Vec::new();
            for entry in pool.iter_mut().take(options.effort.into()).filter(|entry| !entry.2).take(most) {
                entry.2 = true;
                now.push(Link::new(entry.0, entry.1));
            }
            if now.is_empty() {
                break;
            }
            for asked in &now {
                let theirs = &all[asked.id as usize];
                let known = theirs.near.iter().chain(&theirs.diverse).map(|known| known.id);
                let known = known.chain(theirs.random.iter().copied()).filter(|known| *known != id);
                let mut answer: Vec<Link> =
                    known.map(|known| Link::new(score(memory, known), known)).collect();
                let limit = usize::from(options.limit);
                if answer.len() > limit {
                    answer.select_nth_unstable_by(limit, closer);
                    answer.truncate(limit);
                }
                for known in answer {
                    if memory.tell(known.id) {
                        pool.push((known.score, known.id, false));
                    }
                }
            }
            asked.extend(now);
        }
        asked.sort_unstable_by(closer);
        let near = &asked[..asked.len().min(self.config.near.into())];
        let known: Vec<Link> = pool
            .iter()
            .map(|&(score, other, _)| Link::new(score, other))
            .filter(|known| !near.iter().any(|near| near.id == known.id))
            .collect();
        let mut candidates = thin(known);
        for &other in &random {
            let known = candidates.iter().chain(near).any(|known| known.id == other);
            if !known {
                candidates.push(Link::new(score(memory, other), other));
            }
        }
        let cover = cover(near);
        let chosen = self.prune(candidates, cover, cover, self.config.links.into(), true);
        // Those it knows already are not asked to keep it.
        let is_known = |link: &&Link| own.near.iter().chain(&own.diverse).any(|known| known.id == link.id);
        let mut words = Vec::with_capacity(2 * (asked.len() + chosen.len()));
        let hears = |of: &Link, asked| Word { to: of.id, of: Link::new(of.score, id), asked };
        words.extend(asked.iter().map(|link| hears(link, true)));
        words.extend(chosen.iter().filter(|link| !is_known(link)).map(|link| hears(link, false)));
        // Whom it asked answers, and whom it chose agrees.
        words.extend(asked.iter().map(|&of| Word { to: id, of, asked: true }));
        words.extend(chosen.iter().map(|of| Word { to: id, of: Link::new(of.score, of.id), asked: false }));
        Plan { random, words }
    }
}

/// The cosine of two situations, each with one over its length.
fn similarity((a_norm, a): (f32, &[i8]), (b_norm, b): (f32, &[i8])) -> f32 {
    dot(a, b) * a_norm * b_norm
}

/// Many of the nearest, and some of the rest: those worth pruning among, the nearest first.
fn thin(mut sorted: Vec<Link>) -> Vec<Link> {
    const NEAREST: usize = 72;
    const FARTHER: usize = 40;
    sorted.sort_unstable_by(closer);
    let step = (sorted.len().saturating_sub(NEAREST) / FARTHER).max(1);
    let kept = sorted.into_iter().enumerate();
    kept.filter(|(at, _)| *at < NEAREST || (at - NEAREST).is_multiple_of(step)).map(|(_, one)| one).collect()
}

/// Some of the near ones.
fn cover(near: &[Link]) -> Cover {
    let step = (near.len() / 5).max(1);
    let mut some = near.iter().step_by(step).map(|link| link.id);
    [(); COVER].map(|()| some.next())
}

fn closer(a: &Link, b: &Link) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.id.cmp(&b.id))
}

fn id_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
