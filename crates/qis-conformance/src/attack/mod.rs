//! Liars among honest sites: what a rule of synthesis for plain vectors keeps of its accuracy.
//!
//! 24 sites learn a softmax model of ten classes from labels that are spread unevenly over them (Dirichlet, 0.3). In each of 150 rounds
//! a site takes a step of gradient descent with momentum on 32 of its records, sends its momentum (250 parameters, about a byte each) as a
//! packet, and moves its model by what the rule makes of its own and those of 20 peers. Liars stand in for some of the peers. They know
//! everything: what the honest peers send, the receiver's own delta, its model and the test records.
//!
//! Every delta, honest or not, becomes the bytes of a packet and is read from them again; only signatures are left out. The same seed gives
//! the same numbers on every machine.

mod attacks;
mod error;
mod forge;
mod liars;
mod packets;
mod run;
mod task;
mod view;

pub use attacks::{Attack, UnknownAttack};
pub use error::AttackError;
pub use liars::Lie;
pub use run::{Setting, accuracy};
