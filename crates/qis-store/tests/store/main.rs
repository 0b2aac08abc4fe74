//! The store in a file, from outside.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod contract;
mod damage;
mod full;
mod kill;
mod node;
mod rows;
