//! One consortium: sites drawn at random, what they would do alone, and what they come to together.

use std::collections::BTreeSet;

use qis_packet::Confidence;
use qis_route::Selection;
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::rules::Ema;
use qis_synth::{Own, Sample, Samples, Synthesis, Synthesizer};

use super::error::PlanError;
use super::exchange::{Network, Node, single};
use super::model;
use super::stress::{self, Lie};
use super::study::{Records, Site, Study};
use crate::rng::Rng;

/// Rounds of the article's rule that are looked at.
const ARTICLE_ROUNDS: [u32; 2] = [1, 10];
/// So many records make half of the confidence in the article's rule.
const HALF_CONFIDENT: f64 = 10.0;
/// Purity is about so many of the most similar nodes.
const NEIGHBOURS: u16 = 20;

/// What is to be drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) per_site: usize,
    pub(super) flip_half: bool,
    /// The share of the sites that lie, and how.
    pub(super) liars: Option<(f64, Lie)>,
}

/// A site that was drawn.
#[derive(Debug)]
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    pub(super) train: Records,
    /// The rows outside its sample.
    pub(super) test: Records,
    pub(super) flipped: bool,
    pub(super) lies: bool,
}

/// Mean held-out loss of one site's models.
#[derive(Clone, Copy, Debug)]
pub(super) struct Losses {
    /// Alone, ridge regression by cross-validation.
    pub(super) cross_validated: f64,
    /// Alone, ridge regressions averaged by their evidence.
    pub(super) evidence_tuned: f64,
    pub(super) qis: f64,
    pub(super) fedavg: f64,
    pub(super) article: [f64; 2],
}

/// What came of a consortium.
#[derive(Clone, Debug)]
pub(super) struct Drawn {
    /// Of the honest sites.
    pub(super) sites: Vec<Losses>,
    /// The share of similar neighbours that are of the same half, where there are two.
    pub(super) purity: Option<f64>,
    pub(super) max_packet_bytes: usize,
}

/// Draws a consortium of `size` sites and runs the loop in it.
pub(super) fn draw(study: &Study, plan: &Plan, size: usize, rng: &mut Rng) -> Result<Drawn, PlanError> {
    let dims = study.dims();
    let mut members = members(study, plan.per_site, size, rng);
    if plan.flip_half {
        stress::flip_half(&mut members, study, rng);
    }
    let fit = |member: &Member<'_>| {
        let fitted = model::cross_validated(study.family(), &member.train, dims);
        fitted.ok_or_else(|| PlanError::Singular { site: member.name.to_owned() })
    };
    let mut thetas = members.iter().map(fit).collect::<Result<Vec<_>, _>>()?;
    if let Some((share, lie)) = plan.liars {
        let count = libm::round(share * size as f64) as usize;
        stress::lie(&mut members, count, lie, &thetas, study, rng);
        // What the article's rule hears of a liar.
        for (theta, member) in thetas.iter_mut().zip(&members).filter(|(_, member)| member.lies) {
            *theta = fit(member)?;
        }
    }

    let mut nodes = Vec::new();
    for member in &members {
        let evidence = member.train.evidence(&study.schema, member.name)?;
        let own = Confidence::from_f64(evidence.confidence()).unwrap_or(Confidence::NONE);
        let confidence = if member.lies { Confidence::FULL } else { own };
        nodes.push(Node { name: member.name, evidence, confidence });
    }
    let mut network = Network::new(nodes, &study.schema, rng)?;
    let qis = synthesise(&mut network, study, rng)?;
    let alone = alone(&network)?;
    let article = article(&mut network, &members, &thetas, rng)?;
    let fedavg = model::pooled(study.family(), members.iter().map(|member| &member.train), dims);
    let fedavg = fedavg.ok_or_else(|| PlanError::Singular { site: "all together".to_owned() })?;

    let loss = |theta: &Vec<f64>, member: &Member<'_>| {
        model::loss(study.family(), theta, &member.train, &member.test)
    };
    let mut sites = Vec::new();
    let models = thetas.iter().zip(&alone).zip(&qis).zip(article.iter());
    for (member, (((cross_validated, evidence_tuned), qis), article)) in members.iter().zip(models) {
        if !member.lies {
            sites.push(Losses {
                cross_validated: loss(cross_validated, member),
                evidence_tuned: loss(evidence_tuned, member),
                qis: loss(qis, member),
                fedavg: loss(&fedavg, member),
                article: article.each_ref().map(|theta| loss(theta, member)),
            });
        }
    }
    let purity = if plan.flip_half { purity(&network, &members, rng)? } else { None };
    Ok(Drawn { sites, purity, max_packet_bytes: network.max_packet_bytes })
}

/// Sites in any order, each with its rows divided into a sample and the rest.
fn members<'a>(study: &'a Study, per_site: usize, size: usize, rng: &mut Rng) -> Vec<Member<'a>> {
    let mut sites: Vec<&Site> = study.sites.iter().collect();
    rng.shuffle(&mut sites);
    let member = |site: &&'a Site| {
        let mut rows = site.rows.clone();
        rng.shuffle(&mut rows);
        let (train, test) = rows.split_at(per_site.min(rows.len()));
        let (train, test) = (study.records(train), study.records(test));
        Member { name: &site.name, train, test, flipped: false, lies: false }
    };
    sites.iter().take(size).map(member).collect()
}

/// What each node comes to with the evidence of its peers: those that sent it theirs, since they chose it, and those it chose and asked.
fn synthesise(network: &mut Network<'_>, study: &Study, rng: &mut Rng) -> Result<Vec<Vec<f64>>, PlanError> {
    let samples = network.evidence(&study.schema)?;
    let mut holds = vec![BTreeSet::new(); network.nodes().len()];
    for place in 0..holds.len() {
        for emission in [true, false] {
            for peer in network.peers(place, Selection::balanced(), rng)? {
                let (holder, author) = if emission { (peer, place) } else { (place, peer) };
                if let Some(authors) = holds.get_mut(holder) {
                    authors.insert(author);
                }
            }
        }
    }
    let rule = EmpiricalBayes::default();
    let mut estimates = Vec::new();
    for ((place, node), authors) in network.nodes().iter().enumerate().zip(&holds) {
        let held = network.held(place, authors, &samples);
        let synthesis = rule.synthesize(&Own::evidence(&node.evidence), &held);
        estimates.push(estimate(network, place, synthesis)?);
    }
    Ok(estimates)
}

/// What each node comes to without peers.
fn alone(network: &Network<'_>) -> Result<Vec<Vec<f64>>, PlanError> {
    let rule = EmpiricalBayes::default();
    let alone = network.nodes().iter().enumerate().map(|(place, node)| {
        let synthesis = rule.synthesize(&Own::evidence(&node.evidence), &Samples::default());
        estimate(network, place, synthesis)
    });
    alone.collect()
}

/// The article's rule from the locally fitted coefficients on: each round everyone sends its state, and mixes it with those it receives of
/// the most similar. Liars send the same again and again. What each has after one round, and after ten.
fn article(
    network: &mut Network<'_>,
    members: &[Member<'_>],
    thetas: &[Vec<f64>],
    rng: &mut Rng,
) -> Result<Vec<[Vec<f64>; 2]>, PlanError> {
    let rule = Ema::default();
    let confidence = |member: &Member<'_>| {
        let records = member.train.len() as f64;
        let own = Confidence::from_f64(records / (records + HALF_CONFIDENT)).unwrap_or(Confidence::FULL);
        if member.lies { Confidence::FULL } else { own }
    };
    let confidences: Vec<Confidence> = members.iter().map(confidence).collect();
    let peers = (0..members.len())
        .map(|place| network.peers(place, Selection::article(), rng))
        .collect::<Result<Vec<_>, _>>()?;
    let mut states: Vec<Vec<f64>> = thetas.to_vec();
    let mut seen = Vec::new();
    let last = ARTICLE_ROUNDS.into_iter().max().unwrap_or_default();
    for round in 1..=last {
        let samples: Vec<Sample> = network.deltas(&states, &confidences, round)?;
        let mut next = Vec::with_capacity(states.len());
        for (place, (state, member)) in states.iter().zip(members).enumerate() {
            if member.lies {
                next.push(state.clone());
                continue;
            }
            let held = network.held(place, peers.get(place).into_iter().flatten(), &samples);
            let delta = single(state);
            let synthesis = rule.synthesize(&Own::delta(&delta).with_state(state), &held);
            next.push(estimate(network, place, synthesis)?);
        }
        states = next;
        if ARTICLE_ROUNDS.contains(&round) {
            seen.push(states.clone());
        }
    }
    let mut seen = seen.into_iter();
    let [first, last] = [(); 2].map(|()| seen.next().unwrap_or_default());
    Ok(first.into_iter().zip(last).map(Into::into).collect())
}

fn estimate(
    network: &Network<'_>,
    place: usize,
    synthesis: Result<Synthesis, qis_synth::SynthesisError>,
) -> Result<Vec<f64>, PlanError> {
    let refuse = |source| PlanError::Synthesis { site: network.name(place), source };
    synthesis.map(|synthesis| synthesis.estimate).map_err(refuse)
}

/// Of the most similar neighbours, the share that is of a node's own half; the mean over nodes.
fn purity(network: &Network<'_>, members: &[Member<'_>], rng: &mut Rng) -> Result<Option<f64>, PlanError> {
    let mut shares = Vec::new();
    for (place, member) in members.iter().enumerate() {
        let neighbours = network.peers(place, Selection::most_similar(NEIGHBOURS), rng)?;
        let alike = neighbours.iter().filter_map(|peer| members.get(*peer));
        let alike = alike.filter(|peer| peer.flipped == member.flipped).count();
        if !neighbours.is_empty() {
            shares.push(alike as f64 / neighbours.len() as f64);
        }
    }
    Ok((!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64))
}
