//! Requests of programs and persons: JSON lines over a Unix socket, or over the standard input and output.
//!
//! docs/node.md of the repository has the protocol.

mod answer;
mod commands;
mod lines;
mod request;
mod session;
mod socket;

pub(super) use session::serve;
pub(super) use socket::Socket;
