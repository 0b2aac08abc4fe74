//! The router beside models of what it promises, which are as plain as they can be: lists, searched from end to end.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod outbox;
mod places;
#[expect(dead_code, reason = "what the tests of the router need of it")]
#[path = "../support/mod.rs"]
mod support;
