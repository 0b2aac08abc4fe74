use qis_packet::{Confidence, Support};
use qis_sim::Rng;
use qis_synth::{Content, Own, Sample, Synthesizer};

use super::error::AttackError;
use super::liars::{Liars, Lie, as_set};
use super::packets::{Claims, Sender};
use super::task::{PARAMETERS, Record, Task, gradient};
use super::view::View;

const SITES: usize = 24;
const PEERS: usize = 20;
/// What a model moves by, as a multiple of the estimate.
pub(super) const RATE: f64 = 2.0;
const MOMENTUM: f64 = 0.9;
/// Honest sites claim a confidence from 0.4 to this.
pub(super) const SURE: f64 = 0.8;
/// Records that honest sites claim.
pub(super) const SUPPORT: u64 = 50;
/// Rounds from one search for the worst lie to the next.
const TUNE_EVERY: usize = 5;

/// What a run is like, apart from the rule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// The seed of the task and everything random.
    pub seed: u64,
    /// How many rounds are learned, 150 by default.
    pub rounds: usize,
    /// Who lies, if anybody.
    pub lie: Option<Lie>,
}

impl Setting {
    /// 150 rounds of a seed in which nobody lies.
    #[must_use]
    pub const fn honest(seed: u64) -> Self {
        Self { seed, rounds: 150, lie: None }
    }

    /// The same with liars.
    #[must_use]
    pub const fn with(self, lie: Lie) -> Self {
        Self { lie: Some(lie), ..self }
    }
}

/// What the honest sites' models get right of the test records in the end when this rule makes their estimates: the mean share.
///
/// ```no_run
/// use qis_conformance::attack::{Attack, Lie, Setting, accuracy};
/// use qis_synth::rules::Robust;
///
/// let setting = Setting::honest(1).with(Lie::new(Attack::Ipm, 0.2));
/// println!("{:.3}", accuracy(&Robust::default(), &setting)?);
/// # Ok::<(), qis_conformance::attack::AttackError>(())
/// ```
///
/// # Errors
///
/// [`AttackError`] when the setting is out of range, the rule fails or its estimate is no vector of finite numbers, or a model has grown
/// beyond what a packet holds.
pub fn accuracy(rule: &dyn Synthesizer, setting: &Setting) -> Result<f64, AttackError> {
    let task = Task::new(setting.seed, SITES);
    let mut rng = Rng::new(!setting.seed);
    let liars = setting.lie.map_or(Ok(0), |lie| lie.liars(PEERS))?;
    let mut liars = match setting.lie {
        Some(lie) if liars > 0 => Some((Liars::new(lie, liars, rng.next())?, liars)),
        _ => None,
    };
    let honest = PEERS - liars.as_ref().map_or(0, |&(_, count)| count);
    let mut sites = (0..SITES).map(|at| Site::new(at, honest, &mut rng)).collect::<Result<Vec<_>, _>>()?;
    for round in 0..setting.rounds {
        for (site, records) in sites.iter_mut().zip(&task.sites) {
            site.learn(records, &mut rng);
        }
        let sent = sites.iter_mut().map(Site::send).collect::<Result<Vec<_>, _>>()?;
        let vectors: Vec<Vec<f64>> = sent.iter().map(vector).collect();
        if let Some((liars, _)) = &mut liars {
            let models: Vec<_> = sites.iter().map(|site| site.model.clone()).collect();
            liars.begin_round(&task, &models);
        }
        for (at, site) in sites.iter_mut().enumerate() {
            let mut samples: Vec<Sample> = site.peers.iter().map(|&peer| sent[peer].clone()).collect();
            if let Some((liars, _)) = &mut liars {
                let view = View {
                    samples: &samples,
                    honest: site.peers.iter().map(|&peer| &vectors[peer][..]).collect(),
                    own: &site.learner.delta,
                    before: &site.before,
                    model: &site.model,
                };
                if round % TUNE_EVERY == 0 && at == round % SITES {
                    liars.tune(&view, rule, &task)?;
                }
                let lies = liars.send(&view)?;
                samples.extend(lies);
            }
            site.synthesize(rule, samples)?;
        }
    }
    Ok(sites.iter().map(|site| task.accuracy(&site.model)).sum::<f64>() / SITES as f64)
}

/// Who takes steps of gradient descent with momentum.
#[derive(Clone, Debug)]
pub(super) struct Learner {
    /// The momentum.
    pub(super) delta: Vec<f64>,
}

impl Learner {
    pub(super) fn learn(&mut self, model: &[f64], records: &[Record]) {
        for (delta, gradient) in self.delta.iter_mut().zip(gradient(model, records)) {
            *delta = MOMENTUM * *delta + (1.0 - MOMENTUM) * gradient;
        }
    }
}

impl Default for Learner {
    fn default() -> Self {
        Self { delta: vec![0.0; PARAMETERS] }
    }
}

/// An honest site.
#[derive(Debug)]
struct Site {
    sender: Sender,
    claims: Claims,
    /// The honest sites it hears of.
    peers: Vec<usize>,
    model: Vec<f64>,
    learner: Learner,
    /// What it sent a round ago.
    before: Vec<f64>,
    /// Its last estimate.
    state: Option<Vec<f64>>,
}

impl Site {
    fn new(at: usize, peers: usize, rng: &mut Rng) -> Result<Self, AttackError> {
        let confidence = 0.5 * SURE * (1.0 + rng.unit());
        let mut others: Vec<usize> = (0..SITES).filter(|&other| other != at).collect();
        rng.shuffle(&mut others);
        others.truncate(peers);
        Ok(Self {
            sender: Sender::new(at)?,
            claims: Claims {
                confidence: Confidence::from_f64(confidence).unwrap_or_default(),
                support: Support::of(SUPPORT),
            },
            peers: others,
            model: vec![0.0; PARAMETERS],
            learner: Learner::default(),
            before: vec![0.0; PARAMETERS],
            state: None,
        })
    }

    fn learn(&mut self, records: &[Record], rng: &mut Rng) {
        self.before.clone_from(&self.learner.delta);
        let mut batch = records.to_vec();
        rng.shuffle(&mut batch);
        batch.truncate(Task::BATCH);
        self.learner.learn(&self.model, &batch);
    }

    fn send(&mut self) -> Result<Sample, AttackError> {
        self.sender.send(&self.learner.delta, self.claims)
    }

    fn synthesize(&mut self, rule: &dyn Synthesizer, samples: Vec<Sample>) -> Result<(), AttackError> {
        let delta: Vec<f32> = self.learner.delta.iter().map(|&value| value as f32).collect();
        let mut own = Own::delta(&delta);
        own.state = self.state.as_deref();
        let estimate = rule.synthesize(&own, &as_set(samples)?)?.estimate;
        if estimate.len() != PARAMETERS || !estimate.iter().all(|value| value.is_finite()) {
            return Err(AttackError::Estimate { dims: PARAMETERS });
        }
        for (weight, step) in self.model.iter_mut().zip(&estimate) {
            *weight -= RATE * step;
        }
        self.state = Some(estimate);
        Ok(())
    }
}

fn vector(sample: &Sample) -> Vec<f64> {
    match &sample.content {
        Content::Delta(delta) => delta.to_vec(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attack::Attack;
    use qis_synth::rules::{AnchoredMean, Robust};
    use qis_synth::{Synthesis, SynthesisError, synthesizer_fn};

    fn short(lie: Option<Lie>) -> Setting {
        Setting { seed: 3, rounds: 2, lie }
    }

    #[test]
    fn the_same_seed_gives_the_same_accuracy_and_sites_learn() {
        let mean = AnchoredMean::new(0.2).unwrap();
        let setting = Setting { rounds: 5, ..short(None) };
        let first = accuracy(&mean, &setting).unwrap();
        assert_eq!(first, accuracy(&mean, &setting).unwrap());
        assert!(first > 0.3, "{first}");
    }

    fn run_all(attacks: &[Attack]) {
        for &attack in attacks {
            let setting = Setting { rounds: 1, ..short(Some(Lie::new(attack, 0.05))) };
            assert!(accuracy(&Robust::default(), &setting).unwrap() > 0.0, "{attack}");
        }
    }

    #[test]
    fn attacks_on_the_mean_run() {
        run_all(&Attack::ALL[..6]);
    }

    #[test]
    fn attacks_by_claims_and_company_run() {
        run_all(&Attack::ALL[6..]);
    }

    #[test]
    fn a_fraction_of_none_is_nobody() {
        let one = Setting { rounds: 1, ..short(None) };
        let none = one.with(Lie::new(Attack::Scale, 0.0));
        let [one, none] = [one, none].map(|setting| accuracy(&Robust::default(), &setting).unwrap());
        assert_eq!(one, none);
    }

    #[test]
    fn the_mean_follows_those_who_shout() {
        let mean = AnchoredMean::new(0.2).unwrap();
        let honest = accuracy(&mean, &short(None)).unwrap();
        let misled = accuracy(&mean, &short(Some(Lie::new(Attack::Scale, 0.2)))).unwrap();
        assert!(misled < 0.5 * honest, "{misled} {honest}");
    }

    #[test]
    fn settings_out_of_range_and_rules_that_fail_are_errors() {
        let rule = Robust::default();
        for (fraction, jitter, name) in
            [(0.6, 0.0, "fraction"), (f64::NAN, 0.0, "fraction"), (0.1, -1.0, "jitter")]
        {
            let lie = Lie { fraction, jitter, ..Lie::new(Attack::Ipm, 0.1) };
            let error = accuracy(&rule, &short(Some(lie))).unwrap_err();
            assert!(matches!(error, AttackError::Setting { field, .. } if field == name), "{error}");
        }
        let fails = synthesizer_fn(|_, _| Err(SynthesisError::Nothing));
        assert!(matches!(accuracy(&fails, &short(None)), Err(AttackError::Rule(_))));
        let wild = synthesizer_fn(|_, _| Ok(Synthesis::new(vec![f64::NAN; PARAMETERS])));
        assert!(matches!(accuracy(&wild, &short(None)), Err(AttackError::Estimate { .. })));
    }
}
