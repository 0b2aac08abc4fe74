//! Many nodes of one attacker, who would like to have all that is sent to some situations.

use std::collections::BTreeMap;
use std::time::Duration;

use qis_route::overlay::{Contact, Event, LookupId, LookupOptions, OverlayConfig, OverlayError};
use qis_route::{Candidates, Organisation, Peer, Selection};

use crate::experiment::{Experiment, any_rows, first_query, share};
use crate::measure::{CONCURRENT, TIE, Truth, mean};
use crate::{Network, NodeId, Rng, Vectors};

/// The most nodes that a look-up or a draw is asked for.
const MOST_WANTED: usize = 200;

/// Nodes of one attacker among honest ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sybils {
    /// How many.
    pub nodes: usize,
    /// At how many situations they gather, as many at each: exactly those of the first queries. At least 1.
    pub situations: usize,
    /// Of how many organisations the attacker has credentials, if organisations are vouched for; each honest node is then of one of its own. At
    /// least 1.
    pub organisations: Option<usize>,
}

impl Sybils {
    fn organisation(&self, at: usize) -> Option<Organisation> {
        self.organisations.map(|count| Organisation::new(&format!("attacker {}", at % count.max(1))))
    }
}

/// Who got what was sent to the situations at which an attacker's nodes are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Capture {
    /// Packets that were sent.
    pub emissions: usize,
    /// The mean of the recipients of one.
    pub places: f64,
    /// The share of all of them that were the attacker's, 0 to 1.
    pub captured: f64,
    /// The mean share of the most similar honest nodes that were among the recipients, 0 to 1: of as many of them as there are places for similar ones
    /// that the attacker can't have.
    pub delivered: f64,
}

/// A packet whose recipients are being looked for.
struct Emission {
    query: usize,
    waiting_for: LookupId,
    /// Those drawn at random, once they are.
    members: Option<Vec<Peer>>,
}

impl Experiment {
    /// The same as [`new`](Self::new) with the nodes of an attacker among the others, from the start. They are what any node is until they
    /// [`deceive`](Self::deceive).
    ///
    /// # Errors
    ///
    /// As there.
    pub fn with_sybils(
        vectors: Vectors,
        nodes: usize,
        queries: usize,
        sybils: Sybils,
        config: OverlayConfig,
        seed: u64,
    ) -> Result<Self, OverlayError> {
        let mut rng = Rng::new(seed);
        let first = first_query(&vectors, queries);
        let situations = sybils.situations.clamp(1, queries.max(1));
        let honest = any_rows(&vectors, nodes, queries, &mut rng).into_iter();
        let of_honest = |row: usize| sybils.organisations.map(|_| Organisation::new(&format!("of {row}")));
        let mut members: Vec<(usize, bool, Option<Organisation>)> =
            honest.map(|row| (row, false, of_honest(row))).collect();
        let false_ones = 0..sybils.nodes;
        members.extend(false_ones.map(|at| (first + at % situations, true, sybils.organisation(at))));
        // They join among the others, not after them.
        rng.shuffle(&mut members);
        let mut network = Network::new(rng.next());
        let organisations: Option<Vec<Organisation>> = members.iter().map(|(.., of)| *of).collect();
        if let Some(organisations) = organisations {
            network = network.with_organisations(organisations);
        }
        let rows = members.iter().map(|(row, ..)| *row).collect();
        let colluders = members.iter().map(|(_, colludes, _)| *colludes).collect();
        Self::of(vectors, rows, colluders, queries, network, config, rng)
    }

    /// Makes the attacker's nodes know nobody but each other, those at their own situation first: what they tell from now on leads to the attacker. With
    /// upkeep they come to know honest nodes again; an attacker would forget these.
    pub fn deceive(&mut self) {
        let attackers = self.attackers();
        let known = self.known();
        for &id in &attackers {
            let contacts = |ids: &mut dyn Iterator<Item = NodeId>| -> Vec<Contact> {
                ids.filter(|other| *other != id).map(|other| known[other.0 as usize].clone()).collect()
            };
            let all = contacts(&mut attackers.iter().copied());
            self.network.with(id, |overlay, _| overlay.restore(&all, &all));
        }
    }

    /// Chooses the recipients of `emissions` packets of random honest nodes, each at one of the first `situations` queries, as a node
    /// does it: members at random, then the most similar ones, then this selection among them.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when the selection makes no sense.
    pub fn emit_to(
        &mut self,
        selection: &Selection,
        sybils: &Sybils,
        emissions: usize,
        truth: &Truth,
    ) -> Result<Capture, OverlayError> {
        selection.validate()?;
        let situations = sybils.situations.min(truth.len()).max(1);
        // What no attacker with so many organisations can have of the similar places.
        let out_of_reach = match (sybils.organisations, selection.per_organisation) {
            (Some(count), Some(cap)) => {
                usize::from(selection.similar).saturating_sub(count * usize::from(cap.get()))
            }
            _ => selection.similar.into(),
        };
        let honest = self.ids().filter(|id| self.is_honest(*id)).count();
        let at_once = CONCURRENT.min(honest.div_ceil(2));
        let mut under_way: BTreeMap<NodeId, Emission> = BTreeMap::new();
        let (mut begun, mut places, mut captured, mut delivered) = (0, 0, 0, Vec::new());
        while begun < emissions || !under_way.is_empty() {
            while begun < emissions && under_way.len() < at_once {
                let node = self.idle_node(|id| under_way.contains_key(&id));
                let query = begun % situations;
                begun += 1;
                let wanted = wanted(usize::from(selection.random) + selection.similar_wanted());
                let (waiting_for, members) = if selection.random > 0 {
                    (self.network.with(node, |overlay, now| overlay.sample(now, wanted))?, None)
                } else {
                    (self.look_for(node, query, wanted)?, Some(Vec::new()))
                };
                under_way.insert(node, Emission { query, waiting_for, members });
            }
            let until = self.network.now() + Duration::from_secs(600);
            let Some((node, event)) = self.network.next_event(until) else { break };
            let waits = |id| under_way.get(&node).is_some_and(|one| one.waiting_for == id);
            match event {
                Event::Sampled { id, members, .. } if waits(id) => {
                    let members = self.peers(members.iter());
                    let missing = usize::from(selection.random).saturating_sub(members.len());
                    let Some(one) = under_way.get_mut(&node) else { continue };
                    let wanted = wanted(selection.similar_wanted() + missing);
                    one.waiting_for = self.look_for(node, one.query, wanted)?;
                    one.members = Some(members);
                }
                Event::Found { id, found } if waits(id) => {
                    let Some(one) = under_way.remove(&node) else { continue };
                    let similar = self.peers(found.nearest.iter().map(|(_, contact)| contact));
                    let candidates = Candidates { similar, random: one.members.unwrap_or_default() };
                    let me = self.network.overlay(node).me().author();
                    let rng = &mut self.rng;
                    let chosen = selection.choose(candidates, |author| author, me, || rng.next());
                    let to: Vec<NodeId> = chosen
                        .iter()
                        .filter_map(|peer| self.network.node_at(peer.address.as_str()))
                        .collect();
                    places += to.len() as u64;
                    captured += to.iter().filter(|id| self.colluders[id.0 as usize]).count() as u64;
                    delivered.push(self.delivered(one.query, node, &to, &truth[one.query], out_of_reach));
                }
                _ => {}
            }
        }
        Ok(Capture {
            emissions: delivered.len(),
            places: share(places, delivered.len() as u64),
            captured: share(captured, places),
            delivered: mean(&delivered),
        })
    }

    fn look_for(&mut self, node: NodeId, query: usize, wanted: u8) -> Result<LookupId, OverlayError> {
        let target = self.vectors.fingerprint(self.queries[query]).map_err(|_| OverlayError::WrongSpace)?;
        self.network.with(node, |overlay, now| overlay.look_up(now, &target, LookupOptions::nearest(wanted)))
    }

    fn peers<'a>(&self, contacts: impl Iterator<Item = &'a Contact>) -> Vec<Peer> {
        let space = self.vectors.space();
        contacts.filter_map(|contact| contact.to_peer(space)).collect()
    }

    /// The share of so many honest nodes nearest to a query, other than the node that asks, that are among these.
    fn delivered(
        &self,
        query: usize,
        by: NodeId,
        to: &[NodeId],
        truth: &[(f32, usize)],
        count: usize,
    ) -> f64 {
        let own = self.rows[by.0 as usize];
        let nearest: Vec<f32> =
            truth.iter().filter(|(_, row)| *row != own).map(|(score, _)| *score).take(count).collect();
        let least = nearest.last().map_or(f32::MIN, |score| score - score.abs() * TIE);
        let honest = to.iter().filter(|id| self.is_honest(**id)).map(|id| self.rows[id.0 as usize]);
        let hits = honest.filter(|&row| self.similarity(query, row) >= least).count();
        if nearest.is_empty() { 1.0 } else { share(hits.min(nearest.len()) as u64, nearest.len() as u64) }
    }
}

fn wanted(count: usize) -> u8 {
    u8::try_from(count.clamp(1, MOST_WANTED)).unwrap_or(u8::MAX)
}
