//! Whole nodes in virtual time, with everything that can go wrong, and what must hold all the same.
//!
//! The nodes are [`qis::Node`]s as a host builds them: router, overlay, anti-entropy, synthesis. What is simulated is what a host brings:
//! the clock, the transport, the directory and the disk, and the host itself, which makes new outcomes of what its node synthesises. All
//! of it runs on one thread and follows from a seed, so a run can be repeated to the byte.
//!
//! A run has two parts. While faults are injected, the [invariants](Violation) must hold at each step. Then there are no more faults: within
//! ten periods of anti-entropy all sites must hold the same of each other, and what a site says then must get to all of them.

mod clock;
mod directory;
mod disk;
mod executor;
mod fault;
mod frames;
mod host;
mod invariants;
mod liars;
mod observe;
mod plan;
mod run;
mod settings;
mod shrink;
mod site;
mod store;
mod trace;
mod transport;
mod world;

pub use fault::{FaultCounts, FaultKind, UnknownFault};
pub use invariants::Violation;
pub use run::{Report, simulate, simulate_traced};
pub use settings::Settings;
pub use shrink::shrink;
