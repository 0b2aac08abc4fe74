use super::{PayloadDecoder, Router};

/// What waits in a router, beside the bounds of [`RouterConfig`](super::RouterConfig).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queues {
    /// Emissions under way, at most [`emissions`](super::RouterConfig::emissions).
    pub emissions: usize,
    /// Pulls under way, at most [`pulls`](super::RouterConfig::pulls).
    pub pulls: usize,
    /// Frames and other outputs that the driver has not taken, about [`outputs`](super::RouterConfig::outputs) at most.
    pub outputs: usize,
    /// Changes that are not durable, and what waits for them; about [`outputs`](super::RouterConfig::outputs) at most.
    pub commits: usize,
    /// Packets that wait for their time, at most [`parked`](super::RouterConfig::parked).
    pub parked: usize,
}

impl<D: PayloadDecoder> Router<D> {
    /// What waits now.
    #[must_use]
    pub fn queues(&self) -> Queues {
        Queues {
            emissions: self.emissions.len(),
            pulls: self.pulls.len(),
            outputs: self.outputs.len() + self.urgent.len(),
            commits: self.journal.len(),
            parked: self.parked.len(),
        }
    }
}
