//! What is done to the nodes, and when: all of it follows from a seed.

use std::time::Duration;

use qis_sim::Rng;

/// Victims start again after so long at least.
const DOWN_AT_LEAST: Duration = Duration::from_millis(500);

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A node that runs states an outcome: the one at this place, or the next one that runs.
    Emit {
        /// The place.
        site: usize,
    },
    /// A node is killed, if it runs.
    Kill {
        /// Which.
        site: usize,
    },
    /// It starts again.
    Restart {
        /// Which.
        site: usize,
    },
}

/// What is done, in order, each so long after the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<(Duration, Step)>,
}

impl Plan {
    /// For so many nodes and so long: `kill` of them at random are killed every `every`, and start again within half of it; meanwhile an outcome is stated
    /// every `emit_every`.
    #[must_use]
    pub fn new(
        seed: u64,
        nodes: usize,
        lasts: Duration,
        kill: usize,
        every: Duration,
        emit_every: Duration,
    ) -> Self {
        let mut rng = Rng::new(seed);
        let mut steps = Vec::new();
        let mut at = emit_every;
        while at < lasts {
            steps.push((at, Step::Emit { site: rng.below(nodes) }));
            at += emit_every;
        }
        let mut at = every;
        while at < lasts {
            let mut sites: Vec<usize> = (0..nodes).collect();
            rng.shuffle(&mut sites);
            for site in sites.into_iter().take(kill) {
                // Not all at the same instant.
                let killed = at + (every / 10).mul_f64(rng.unit());
                let down = DOWN_AT_LEAST + (every / 2).mul_f64(rng.unit());
                steps.push((killed, Step::Kill { site }));
                steps.push((killed + down, Step::Restart { site }));
            }
            at += every;
        }
        steps.sort_by_key(|(at, _)| *at);
        Self { steps }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_one_plan_and_who_is_killed_starts_again() {
        let plan = |seed| {
            let seconds = Duration::from_secs;
            Plan::new(seed, 20, seconds(60), 5, seconds(10), Duration::from_millis(500))
        };
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
        let count = |is: fn(&Step) -> bool| plan(1).steps.iter().filter(|(_, step)| is(step)).count();
        assert_eq!(count(|step| matches!(step, Step::Emit { .. })), 119);
        assert_eq!(count(|step| matches!(step, Step::Kill { .. })), 25);
        let mut down = [false; 20];
        for (_, step) in plan(1).steps {
            match step {
                Step::Kill { site } => assert!(!std::mem::replace(&mut down[site], true), "killed twice"),
                Step::Restart { site } => assert!(std::mem::take(&mut down[site]), "it runs"),
                Step::Emit { .. } => {}
            }
        }
        assert_eq!(down, [false; 20]);
    }
}
