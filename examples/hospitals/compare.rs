//! Every method on one study.

use std::collections::BTreeMap;

use examples::Rng;

use crate::baselines::{self, Score, Theta};
use crate::data::{Design, Study};
use crate::report::Method;

/// What every method's models get right at each hospital; those of QIS are `estimates`.
pub(crate) fn scores(study: &Study, estimates: &[Vec<f64>], rng: &mut Rng) -> BTreeMap<Method, Vec<Score>> {
    let Study { sites, tests } = study;
    let majority: Vec<Theta> = sites.iter().map(baselines::majority).collect();
    let local: Vec<Theta> = sites.iter().map(|s| baselines::local(s, rng)).collect();
    let evidence: Vec<Theta> = sites.iter().map(baselines::local_evidence).collect();
    let fedavg = vec![baselines::fedavg(sites, rng); sites.len()];
    let article = |rounds| baselines::article(&evidence, sites, rounds);
    let scores = [
        (Method::Majority, judge(&majority, tests)),
        (Method::Local, judge(&local, tests)),
        (Method::LocalEvidence, judge(&evidence, tests)),
        (Method::FedAvg, judge(&fedavg, tests)),
        (Method::Article1, judge(&article(1), tests)),
        (Method::Article10, judge(&article(10), tests)),
        (Method::Qis, judge(estimates, tests)),
    ];
    scores.into()
}

/// Each hospital's model on each hospital's own test patients.
fn judge<M: AsRef<[f64]>>(models: &[M], tests: &[Design]) -> Vec<Score> {
    models.iter().zip(tests).map(|(model, test)| Score::of(model.as_ref(), test)).collect()
}
