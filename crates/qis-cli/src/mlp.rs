//! Changes of the parameters of a small network, as sites that train it would send them.

use crate::rng::Rng;

const INPUTS: usize = 16;
const OUTPUTS: usize = 4;
const SAMPLES: usize = 128;
const BATCH: usize = 16;
const EPOCHS: usize = 5;
/// Hidden units of the network whose outputs the sites observe.
const TEACHER: usize = 8;

/// A perceptron with one hidden layer of rectified units: weights and biases of the one layer, then of the other.
#[derive(Clone)]
struct Mlp {
    hidden: Vec<Unit>,
    /// For each hidden unit, its weight to each output.
    outward: Vec<[f64; OUTPUTS]>,
    biases: [f64; OUTPUTS],
}

#[derive(Clone)]
struct Unit {
    weights: [f64; INPUTS],
    bias: f64,
}

/// What one site observed.
struct Record {
    inputs: [f64; INPUTS],
    outputs: [f64; OUTPUTS],
}

/// A task that all sites share, and the model they all start from.
pub(crate) struct Task {
    teacher: Mlp,
    start: Mlp,
    dims: usize,
    seed: u64,
}

impl Task {
    /// A task whose network has at least `dims` parameters: each hidden unit has 21, the outputs 4 biases.
    pub(crate) fn new(dims: usize, seed: u64) -> Self {
        let units = dims.saturating_sub(OUTPUTS).div_ceil(INPUTS + 1 + OUTPUTS).max(4);
        let mut rng = Rng::new(seed, u64::MAX);
        Self { teacher: Mlp::random(TEACHER, &mut rng), start: Mlp::random(units, &mut rng), dims, seed }
    }

    /// What training changed in the first parameters at site number `site`.
    pub(crate) fn delta(&self, site: u64) -> Vec<f32> {
        let mut rng = Rng::new(self.seed, site);
        // Sites see other patients: their inputs are centred elsewhere.
        let centre: [f64; INPUTS] = std::array::from_fn(|_| 0.5 * rng.gaussian());
        let records: Vec<Record> = (0..SAMPLES)
            .map(|_| {
                let inputs = centre.map(|centre| centre + rng.gaussian());
                let (_, outputs) = self.teacher.forward(&inputs);
                Record { inputs, outputs: outputs.map(|output| output + 0.1 * rng.gaussian()) }
            })
            .collect();
        let mut trained = self.start.clone();
        // Gradients of the outputs grow with the units that feed them.
        let rate = (0.5 / trained.hidden.len() as f64).min(0.02);
        for _ in 0..EPOCHS {
            for batch in records.chunks(BATCH) {
                trained.step(batch, rate);
            }
        }
        let change = trained.parameters().zip(self.start.parameters()).map(|(after, before)| after - before);
        #[expect(clippy::cast_possible_truncation, reason = "the codec takes single precision")]
        change.take(self.dims).map(|change| change as f32).collect()
    }
}

impl Mlp {
    /// Weights of variance 2 over the number of inputs (He et al. 2015), biases of zero.
    fn random(units: usize, rng: &mut Rng) -> Self {
        let mut weight = |inputs: usize| rng.gaussian() * libm::sqrt(2.0 / inputs as f64);
        Self {
            hidden: (0..units)
                .map(|_| Unit { weights: std::array::from_fn(|_| weight(INPUTS)), bias: 0.0 })
                .collect(),
            outward: (0..units).map(|_| std::array::from_fn(|_| weight(units))).collect(),
            biases: [0.0; OUTPUTS],
        }
    }

    fn forward(&self, inputs: &[f64; INPUTS]) -> (Vec<f64>, [f64; OUTPUTS]) {
        let rectified = |unit: &Unit| {
            let sum: f64 = unit.weights.iter().zip(inputs).map(|(weight, input)| weight * input).sum();
            (sum + unit.bias).max(0.0)
        };
        let active: Vec<f64> = self.hidden.iter().map(rectified).collect();
        let mut outputs = self.biases;
        for (weights, value) in self.outward.iter().zip(&active) {
            for (output, weight) in outputs.iter_mut().zip(weights) {
                *output += weight * value;
            }
        }
        (active, outputs)
    }

    /// One step of gradient descent on half the mean squared error of a batch.
    fn step(&mut self, batch: &[Record], rate: f64) {
        let before = self.clone();
        let rate = rate / batch.len() as f64;
        for Record { inputs, outputs: wanted } in batch {
            let (active, outputs) = before.forward(inputs);
            let errors: [f64; OUTPUTS] = std::array::from_fn(|i| {
                outputs.get(i).copied().unwrap_or_default() - wanted.get(i).copied().unwrap_or_default()
            });
            descend(&mut self.biases, &errors, rate);
            let units = self.hidden.iter_mut().zip(&mut self.outward).zip(&before.outward).zip(&active);
            for (((unit, outward), weights), &value) in units {
                if value > 0.0 {
                    descend(outward, &errors, rate * value);
                    let blame: f64 = weights.iter().zip(&errors).map(|(weight, error)| weight * error).sum();
                    descend(&mut unit.weights, inputs, rate * blame);
                    unit.bias -= rate * blame;
                }
            }
        }
    }

    fn parameters(&self) -> impl Iterator<Item = f64> + '_ {
        let hidden = self.hidden.iter().flat_map(|unit| unit.weights.iter().chain([&unit.bias]));
        hidden.chain(self.outward.iter().flatten()).chain(&self.biases).copied()
    }
}

fn descend(parameters: &mut [f64], gradient: &[f64], rate: f64) {
    for (parameter, slope) in parameters.iter_mut().zip(gradient) {
        *parameter -= rate * slope;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_have_the_dims_and_differ_between_sites() {
        for dims in [1, 20, 512, 4096] {
            let task = Task::new(dims, 3);
            assert!(task.start.parameters().count() >= dims);
            let delta = task.delta(0);
            assert_eq!(delta.len(), dims);
            assert!(delta.iter().all(|value| value.is_finite()));
            assert_eq!(delta, Task::new(dims, 3).delta(0));
        }
        let task = Task::new(512, 3);
        assert_ne!(task.delta(0), task.delta(1));
    }

    #[test]
    fn training_lowers_the_error() {
        let task = Task::new(512, 3);
        let mut rng = Rng::new(9, 9);
        let records: Vec<Record> = (0..SAMPLES)
            .map(|_| {
                let inputs = std::array::from_fn(|_| rng.gaussian());
                Record { inputs, outputs: task.teacher.forward(&inputs).1 }
            })
            .collect();
        let error = |mlp: &Mlp| -> f64 {
            let square = |record: &Record| -> f64 {
                let (_, outputs) = mlp.forward(&record.inputs);
                outputs.iter().zip(&record.outputs).map(|(a, b)| (a - b).powi(2)).sum()
            };
            records.iter().map(square).sum()
        };
        let mut trained = task.start.clone();
        for _ in 0..50 {
            trained.step(&records, 0.02);
        }
        assert!(error(&trained) < 0.7 * error(&task.start), "{} {}", error(&trained), error(&task.start));
    }
}
