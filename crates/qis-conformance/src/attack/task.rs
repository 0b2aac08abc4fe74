//! The task that honest sites learn together.

use qis_sim::Rng;

/// Classes.
pub(super) const CLASSES: usize = 10;
/// Inputs of a model: 24 features and a constant.
pub(super) const INPUTS: usize = 25;
/// Parameters of a model.
pub(super) const PARAMETERS: usize = CLASSES * INPUTS;

/// Test records by which liars judge the damage.
const LOSS_RECORDS: usize = 200;
const FEATURES: usize = INPUTS - 1;
const TRAIN: usize = 1300;
const TEST: usize = 500;
/// Records are around one of so many centres of their class.
const CENTRES: usize = 3;
/// The spread of records around their centre; that of the centres around their class is [`WITHIN`], that of the classes 1.
const NOISE: f64 = 0.9;
const WITHIN: f64 = 0.7;
/// Stretches all features, so that learning comes to its end within some hundred steps.
const SCALE: f64 = 1.5;
/// How unevenly the labels are spread over the sites: the concentration of the Dirichlet distribution of each class's shares.
const DIRICHLET: f64 = 0.3;

#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) inputs: [f64; INPUTS],
    pub(super) label: usize,
}

/// Records of ten classes, spread unevenly over sites.
#[derive(Clone, Debug)]
pub(super) struct Task {
    /// The training records of each site.
    pub(super) sites: Vec<Vec<Record>>,
    test: Vec<Record>,
}

impl Task {
    /// Records that a site learns from in a round.
    pub(super) const BATCH: usize = 32;

    /// The task of a seed for so many sites.
    pub(super) fn new(seed: u64, sites: usize) -> Self {
        let mut rng = Rng::new(seed);
        // Few features tell much and many little, as after a principal component analysis.
        let spread: Vec<f64> = (1..=FEATURES).map(|j| 1.0 / libm::sqrt(j as f64)).collect();
        let point = |rng: &mut Rng, size: f64| -> Vec<f64> {
            spread.iter().map(|spread| size * spread * rng.gauss()).collect()
        };
        let centres: Vec<Vec<Vec<f64>>> = (0..CLASSES)
            .map(|_| {
                let class = point(&mut rng, 1.0);
                let around = (0..CENTRES).map(|_| add(&class, &point(&mut rng, WITHIN)));
                around.collect()
            })
            .collect();
        let mut draw = |label: usize| {
            let centre = &centres[label][rng.below(CENTRES)];
            let mut inputs = [1.0; INPUTS];
            for (input, value) in inputs.iter_mut().zip(add(centre, &point(&mut rng, NOISE))) {
                *input = SCALE * value;
            }
            Record { inputs, label }
        };
        let test = (0..TEST).map(|at| draw(at % CLASSES)).collect();
        let train: Vec<Record> = (0..TRAIN).map(|at| draw(at % CLASSES)).collect();
        Self { sites: split(&mut rng, &train, sites), test }
    }

    /// The log-loss of a model on some of the test records.
    pub(super) fn loss(&self, model: &[f64]) -> f64 {
        let loss = |record: &Record| {
            let scores = scores(model, record);
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| libm::exp(score - most)).sum();
            most + libm::log(total) - scores[record.label]
        };
        self.test.iter().take(LOSS_RECORDS).map(loss).sum()
    }

    /// As many records as a site learns from in a round, of any sites.
    pub(super) fn any_records(&self, rng: &mut Rng) -> Vec<Record> {
        let record = |_| {
            let site = &self.sites[rng.below(self.sites.len())];
            site[rng.below(site.len())]
        };
        (0..Self::BATCH).map(record).collect()
    }

    /// The share of the test records that a model predicts.
    pub(super) fn accuracy(&self, model: &[f64]) -> f64 {
        let right = |record: &&Record| {
            let scores = scores(model, record);
            let best = (0..CLASSES).max_by(|&a, &b| scores[a].total_cmp(&scores[b]));
            best == Some(record.label)
        };
        self.test.iter().filter(right).count() as f64 / self.test.len() as f64
    }
}

fn add(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// Shares the records of each class out by a draw of the Dirichlet distribution; a site gets at least two.
fn split(rng: &mut Rng, records: &[Record], sites: usize) -> Vec<Vec<Record>> {
    let shares: Vec<Vec<f64>> = (0..CLASSES)
        .map(|_| {
            let draws: Vec<f64> = (0..sites).map(|_| gamma(rng, DIRICHLET)).collect();
            let total: f64 = draws.iter().sum();
            let mut sum = 0.0;
            let cumulative = draws.iter().map(|draw| {
                sum += draw / total;
                sum
            });
            cumulative.collect()
        })
        .collect();
    let mut of = vec![Vec::new(); sites];
    for record in records {
        let place = rng.unit();
        let site = shares[record.label].iter().position(|&end| place < end).unwrap_or(sites - 1);
        of[site].push(*record);
    }
    for site in &mut of {
        while site.len() < 2 {
            site.push(records[rng.below(records.len())]);
        }
    }
    of
}

/// A draw of the gamma distribution of a shape below 1 (Ahrens and Dieter, 1974).
fn gamma(rng: &mut Rng, shape: f64) -> f64 {
    let edge = 1.0 + shape / core::f64::consts::E;
    loop {
        let p = edge * (1.0 - rng.unit());
        let u = 1.0 - rng.unit();
        if p <= 1.0 {
            let x = libm::pow(p, 1.0 / shape);
            if u <= libm::exp(-x) {
                return x;
            }
        } else {
            let x = -libm::log((edge - p) / shape);
            if u <= libm::pow(x, shape - 1.0) {
                return x;
            }
        }
    }
}

fn scores(model: &[f64], record: &Record) -> [f64; CLASSES] {
    let mut scores = [0.0; CLASSES];
    for (row, input) in model.as_chunks::<CLASSES>().0.iter().zip(record.inputs) {
        for (score, weight) in scores.iter_mut().zip(row) {
            *score += weight * input;
        }
    }
    scores
}

/// The mean gradient of the log-loss of a softmax model over some records.
pub(super) fn gradient(model: &[f64], records: &[Record]) -> Vec<f64> {
    let mut gradient = vec![0.0; PARAMETERS];
    for record in records {
        let mut errors = scores(model, record);
        let most = errors.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = errors
            .iter_mut()
            .map(|score| {
                *score = libm::exp(*score - most);
                *score
            })
            .sum();
        for error in &mut errors {
            *error /= total * records.len() as f64;
        }
        errors[record.label] -= 1.0 / records.len() as f64;
        for (row, input) in gradient.as_chunks_mut::<CLASSES>().0.iter_mut().zip(record.inputs) {
            for (value, error) in row.iter_mut().zip(errors) {
                *value += input * error;
            }
        }
    }
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_with_one_site_and_labels_are_uneven() {
        let task = Task::new(1, 24);
        let records: usize = task.sites.iter().map(Vec::len).sum();
        assert!((TRAIN..TRAIN + 48).contains(&records), "{records}");
        assert!(task.sites.iter().all(|site| site.len() >= 2));
        let largest = |site: &Vec<Record>| {
            let count = |label| site.iter().filter(|record| record.label == label).count();
            (0..CLASSES).map(count).max().unwrap() as f64 / site.len() as f64
        };
        let mean = task.sites.iter().map(largest).sum::<f64>() / 24.0;
        assert!(mean > 0.3, "the commonest label of a site is {mean} of its records");
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let task = Task::new(2, 24);
        let model: Vec<f64> = (0..PARAMETERS).map(|i| 0.1 * libm::sin(i as f64)).collect();
        let gradient = gradient(&model, &task.test[..LOSS_RECORDS]);
        for at in [0, 17, 249] {
            let loss = |step: f64| {
                let mut moved = model.clone();
                moved[at] += step;
                task.loss(&moved) / LOSS_RECORDS as f64
            };
            let slope = (loss(1e-5) - loss(-1e-5)) / 2e-5;
            assert!((slope - gradient[at]).abs() < 1e-6, "{slope} {}", gradient[at]);
        }
    }

    #[test]
    fn a_model_that_was_trained_on_all_records_is_good() {
        let task = Task::new(3, 24);
        let all: Vec<Record> = task.sites.iter().flatten().copied().collect();
        let mut model = vec![0.0; PARAMETERS];
        for _ in 0..30 {
            let gradient = gradient(&model, &all);
            for (weight, slope) in model.iter_mut().zip(gradient) {
                *weight -= slope;
            }
        }
        let accuracy = task.accuracy(&model);
        assert!(accuracy > 0.9, "{accuracy}");
    }
}
