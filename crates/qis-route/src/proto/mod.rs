//! The protocol, without input or output of its own.
//!
//! **Drive a [`Router`] in one loop: hand in what happened and when, then take out what is to be done until there is no more,
//! then wait for whatever comes first: the result of something taken out, a frame, or the time of
//! [`next_timeout`](Router::next_timeout).**
//!
//! ```
//! # use qis_route::{Moment, proto::{Router, Output, Input, PayloadDecoder}};
//! # async fn next_input() -> Option<(Moment, Input)> { None }
//! # fn start(_: Output) {}
//! # fn wait_until(_: Option<std::time::Duration>) {}
//! async fn drive<D: PayloadDecoder>(router: &mut Router<D>) {
//!     while let Some((now, input)) = next_input().await {
//!         router.handle(now, input);
//!         while let Some(output) = router.poll_output() {
//!             start(output); // a send, a look-up or a commit; its result is a later input
//!         }
//!         wait_until(router.next_timeout()); // then hand in Input::Timeout
//!     }
//! }
//! ```
//!
//! Time and randomness come in as arguments; there is no clock, no entropy and no iteration over hash maps here, so the
//! same inputs give the same outputs, byte for byte.

mod config;
mod emission;
mod held;
mod inbox;
mod intake;
mod io;
mod journal;
mod kept;
mod limiter;
mod message;
pub(crate) mod nonce;
mod outbox;
mod own;
mod pull;
mod queues;
mod receipt;
mod rotations;
mod router;
mod stats;
mod sync;
mod timer;
mod verdict;

pub use config::{ConfigError, Rate, RouterConfig};
pub use inbox::{PayloadDecoder, PayloadRefusal, Standing};
pub use io::{Event, Input, LookupId, Output, PullId, RestoreError, SendId};
pub use message::FRAME_OVERHEAD;
pub use own::{Author, Origin};
pub use pull::{PullError, Pulled};
pub use queues::Queues;
pub use receipt::{Delivery, EmissionId, EmitError, Receipt, RecipientReport};
pub use router::Router;
pub use stats::Stats;
pub use sync::SyncConfig;
pub use verdict::{Refusal, Verdict};
