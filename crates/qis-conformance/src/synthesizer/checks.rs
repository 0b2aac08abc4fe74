use std::sync::Arc;

use qis_synth::{Content, Sample, Samples, Standing, Synthesis, SynthesisError};

use super::cases::{Case, Site, author, vector};
use super::{Setup, WorksOn};
use crate::random::Random;
use crate::requirement::Requirement;
use crate::runner::{Always, Check, Outcome, Stop, broken, check, ensure};

const PURE: &str = "It is a pure function: the same own data and the same set of samples give the same result, bit for bit, on every \
     call and every machine.";
const STATELESS: &str = "It reads no clock, random numbers or state.";
const ORDER: &str = "It does not depend on the order samples arrived in.";
const ENDS: &str =
    "It never panics and always ends, whatever the samples claim: peers choose every number in them.";
const FINITE: &str = "What it gives is finite.";
const ACCOUNTS: &str = "`Synthesis::contributions` accounts for every sample, in the samples' order.";
const WEIGHTS: &str = "The weights are from 0 to 1, and add up to 1 unless the rule abstained or nothing of the peers' carried weight.";
const ABSTAINS: &str = "Without usable samples it either gives the site's own estimate and says so in `Synthesis::abstained`, or an error.";

pub(super) const ALWAYS: Always = Always { of: "synthesizer", panics: ENDS, ends: Some(ENDS), waits: None };

pub(super) const UNCHECKED: &[Requirement] = &[
    Requirement::unchecked(
        "Transcendental functions come from a software library such as `libm`.",
        "two kinds of machines are needed to see it",
    ),
    Requirement::unchecked(
        "`Samples` are ordered by author; run over them in that order.",
        "it says how to do what the sentence before asks for",
    ),
    Requirement::unchecked(
        "It never hides a failure behind an estimate.",
        "what failed inside a rule can't be seen from outside",
    ),
];

pub(super) const CHECKS: &[Check<Setup>] = &[
    check!(honest_peers_give_a_synthesis, [FINITE, ACCOUNTS, WEIGHTS]),
    check!(the_same_samples_give_the_same_result, [PURE, STATELESS]),
    check!(the_order_of_arrival_does_not_show, [ORDER]),
    check!(whatever_samples_claim_the_result_is_finite, [ENDS, FINITE]),
    check!(every_sample_is_accounted_for, [ACCOUNTS]),
    check!(weights_are_shares, [WEIGHTS]),
    check!(without_usable_samples_it_says_so, [ABSTAINS]),
];

/// How far weights may add up to something else than 1.
const ROUNDING: f64 = 1e-9;
const ORDERS: u64 = 2;

type Result<T> = std::result::Result<T, Stop>;
type Made = std::result::Result<Synthesis, SynthesisError>;

fn as_set(samples: &[Sample]) -> Result<Samples> {
    Samples::new(samples.to_vec()).map_err(|error| Stop::failed("the suite's own samples", error))
}

impl Setup {
    fn run(&self, case: &Case) -> Result<Made> {
        Ok(self.synthesize(&case.site, &as_set(&case.samples)?))
    }

    /// The result for honest peers, for which no rule has a reason to fail.
    fn plain(&self) -> Result<(Case, Synthesis)> {
        let case = self.works_on.plain()?;
        match self.run(&case)? {
            Ok(synthesis) => Ok((case, synthesis)),
            Err(error) => Err(Stop::failed("honest peers", error)),
        }
    }

    /// Looks at every result that is not an error.
    fn each(&self, mut look: impl FnMut(&Case, &Synthesis) -> Outcome) -> Outcome {
        for case in self.works_on.cases()? {
            if let Ok(synthesis) = self.run(&case)? {
                look(&case, &synthesis)?;
            }
        }
        Ok(())
    }
}

/// All that a result says, in which numbers that differ in one bit differ.
fn bits(made: &Made) -> std::result::Result<(String, Vec<u64>), String> {
    let synthesis = made.as_ref().map_err(ToString::to_string)?;
    let uncertainty = synthesis.uncertainty.iter().flatten();
    let weights = synthesis.contributions.iter().map(|contribution| &contribution.weight);
    let numbers = synthesis.estimate.iter().chain(uncertainty).chain(weights).chain(&synthesis.peer_weight);
    Ok((format!("{synthesis:?}"), numbers.map(|number| number.to_bits()).collect()))
}

fn is_finite(synthesis: &Synthesis) -> bool {
    let uncertainty = synthesis.uncertainty.iter().flatten();
    let weights = synthesis.contributions.iter().map(|contribution| &contribution.weight);
    let trust = synthesis.contributions.iter().filter_map(|contribution| match &contribution.standing {
        Standing::Discounted { trust } => Some(trust),
        _ => None,
    });
    let mut numbers = synthesis
        .estimate
        .iter()
        .chain(uncertainty)
        .chain(weights)
        .chain(trust)
        .chain(&synthesis.peer_weight);
    numbers.all(|number| number.is_finite())
}

fn ensure_accounts(case: &Case, synthesis: &Synthesis) -> Outcome {
    let samples = as_set(&case.samples)?;
    let authors = synthesis.contributions.iter().map(|contribution| contribution.author);
    ensure(authors.eq(samples.iter().map(|sample| sample.author)), ACCOUNTS, || {
        let found = synthesis.contributions.len();
        format!("{}: {found} contributions for {} samples, or in another order", case.name, samples.len())
    })
}

fn ensure_weights(case: &Case, synthesis: &Synthesis) -> Outcome {
    let weights = || synthesis.contributions.iter().map(|contribution| contribution.weight);
    let total: f64 = weights().sum();
    let is_one = (total - 1.0).abs() < ROUNDING && synthesis.abstained.is_none();
    let is_none = weights().all(|weight| weight == 0.0);
    let are_shares = weights().all(|weight| (0.0..=1.0 + ROUNDING).contains(&weight));
    ensure(are_shares && (is_one || is_none), WEIGHTS, || {
        let abstained = if synthesis.abstained.is_some() { ", and it abstained" } else { "" };
        format!(
            "{}: the weights add up to {total}{abstained}: {:?}",
            case.name,
            weights().collect::<Vec<_>>()
        )
    })
}

async fn honest_peers_give_a_synthesis(setup: Arc<Setup>) -> Outcome {
    let (case, synthesis) = setup.plain()?;
    ensure(is_finite(&synthesis), FINITE, || format!("{}: {synthesis}", case.name))?;
    ensure_accounts(&case, &synthesis)?;
    ensure_weights(&case, &synthesis)
}

async fn the_same_samples_give_the_same_result(setup: Arc<Setup>) -> Outcome {
    let first = bits(&setup.run(&setup.works_on.plain()?)?);
    for case in setup.works_on.cases()? {
        let (one, again) = (bits(&setup.run(&case)?), bits(&setup.run(&case)?));
        ensure(one == again, PURE, || format!("{}: first {one:?}, then {again:?}", case.name))?;
    }
    let case = setup.works_on.plain()?;
    let again = bits(&setup.run(&case)?);
    ensure(first == again, STATELESS, || {
        format!("{}: first {first:?}, and after others {again:?}", case.name)
    })?;
    let theirs = Arc::clone(&setup);
    let elsewhere = std::thread::spawn(move || theirs.run(&case)).join();
    let elsewhere = elsewhere.map_err(|_| broken(ENDS, "it panicked on another thread"))??;
    let elsewhere = bits(&elsewhere);
    ensure(first == elsewhere, STATELESS, || format!("first {first:?}, and on another thread {elsewhere:?}"))
}

/// The same samples as if they had arrived in another order, at other places of memory.
fn arrived(samples: &[Sample], seed: u64) -> Vec<Sample> {
    let mut samples = samples.to_vec();
    Random::new(seed).shuffle(&mut samples);
    for sample in &mut samples {
        sample.content = match &sample.content {
            Content::Delta(delta) => Content::Delta(Arc::new((**delta).clone())),
            Content::Evidence(summary) => Content::Evidence(Arc::new((**summary).clone())),
            other => other.clone(),
        };
    }
    samples
}

async fn the_order_of_arrival_does_not_show(setup: Arc<Setup>) -> Outcome {
    // What arrived earlier is kept, so that its memory is not used again.
    let mut kept = Vec::new();
    for case in setup.works_on.cases()? {
        let first = bits(&setup.run(&case)?);
        for seed in 0..ORDERS {
            let other = Case { samples: arrived(&case.samples, seed), ..case.clone() };
            let again = bits(&setup.run(&other)?);
            kept.push(other);
            ensure(first == again, ORDER, || {
                format!("{}: {first:?}, and in another order {again:?}", case.name)
            })?;
        }
    }
    Ok(())
}

async fn whatever_samples_claim_the_result_is_finite(setup: Arc<Setup>) -> Outcome {
    setup.each(|case, synthesis| {
        ensure(is_finite(synthesis), FINITE, || format!("{}: {synthesis:?}", case.name))
    })
}

async fn every_sample_is_accounted_for(setup: Arc<Setup>) -> Outcome {
    setup.each(ensure_accounts)
}

async fn weights_are_shares(setup: Arc<Setup>) -> Outcome {
    setup.each(ensure_weights)
}

async fn without_usable_samples_it_says_so(setup: Arc<Setup>) -> Outcome {
    let nothing = setup.synthesize(&Site::default(), &Samples::default());
    ensure(nothing.is_err(), ABSTAINS, || {
        "without own data and without samples there is no estimate to give".to_owned()
    })?;
    let site = setup.works_on.site()?;
    let mut unusable = vec![("none", Vec::new()), ("of another kind", vec![setup.works_on.stranger(3)?])];
    if setup.works_on == WorksOn::Vectors {
        unusable.push(("of other dimensions", vec![Sample::new(author(1), vector(&[1.0; 3])?)]));
    }
    for (what, samples) in unusable {
        let Ok(synthesis) = setup.synthesize(&site, &as_set(&samples)?) else { continue };
        ensure(synthesis.abstained.is_some(), ABSTAINS, || {
            format!("samples: {what}. It gives {:?} and does not say that it is alone", synthesis.estimate)
        })?;
        let Some(delta) = &site.delta else { continue };
        let own = delta.iter().map(|&value| f64::from(value));
        ensure(synthesis.estimate.iter().copied().eq(own), ABSTAINS, || {
            format!("samples: {what}. It gives {:?}, and the site's own is {delta:?}", synthesis.estimate)
        })?;
    }
    Ok(())
}
