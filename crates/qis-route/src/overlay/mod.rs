//! The similarity overlay: finds the most similar nodes of a network that nobody knows in full, without input or output of its own.
//!
//! A node keeps some hundred contacts: the most similar ones, ones that lead elsewhere, ones from anywhere. To find the nodes most
//! similar to a fingerprint it asks the best contacts it knows for better ones, again and again, in some round trips. The asked
//! ones answer from their contacts, and do nothing else: whoever searches does the work.
//!
//! What others say of third parties is a hint. A node counts once its own signed descriptor has come, and its similarity is
//! computed from that.
//!
//! Every [`Overlay`] is of one space. A node with fingerprints of several spaces has several, its [`Overlays`], which know nothing of
//! each other and share its memory.
//!
//! **Drive an [`Overlay`] like the router: hand in frames and the time, then take out what is to be done until there is no more,
//! then wait for a frame or for [`next_timeout`](Overlay::next_timeout).** Time and randomness come in as arguments, so the same
//! inputs give the same outputs.

#![deny(clippy::indexing_slicing, clippy::expect_used)]

mod admission;
mod answers;
mod bucket;
mod config;
mod contacts;
mod descriptor;
mod io;
mod lookup;
mod machine;
mod message;
mod metric;
mod requests;
mod sample;
mod spaces;
mod tables;
#[cfg(test)]
mod testing;
mod upkeep;

pub use admission::{Credential, CredentialError, Issuers};
pub use config::{LookupOptions, OverlayConfig};
pub(crate) use descriptor::MAX_DESCRIPTOR_BYTES;
pub use descriptor::{
    Admission, Admitted, Contact, MAX_CREDENTIAL_BYTES, MAX_OVERLAY_DIMS, Open, Registry, Statement,
    StatementError, Verifier,
};
pub use io::{Event, Found, LookupId, Output, OverlayStats, Refusal};
pub use machine::{Overlay, OverlayError};
pub use spaces::{MAX_SPACES, Overlays};
