//! How frames get from here to there.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use qis_packet::Frame;

use crate::{Address, HostError};

/// Carries frames one way, like datagrams.
///
/// There is no request and no answer here: acknowledgements, retries and time-outs are the router's, so a
/// UDP socket, an HTTP POST, a message queue, a radio and a channel are all a dozen lines. What arrives is not this trait's
/// business either: the host hands it to the node with `Node::receive(from, frame)`.
///
/// # To be correct
///
/// - `send` hands over one whole frame to the address it is given, or fails. Frames may be lost, repeated and reordered on the way, but not
///   cut, joined or altered.
/// - Frames of at most [`max_frame`](Self::max_frame) bytes are carried, to every address.
/// - [`local_address`](Self::local_address) and [`max_frame`](Self::max_frame) stay as they are: each is asked once, when the node is built.
/// - `Ok` means that the frame was handed over, not that it arrived. Waiting for the other side to *process* the frame is wrong: the
///   node may be waiting for this very call.
/// - The `from` that the other side's host passes to its node is this node's [`local_address`](Self::local_address), the same text: an
///   acknowledgement or answer from another address than the one that was asked is refused, as anybody could have sent it.
/// - `send` is called from the node's driver, many calls at a time, in no order. It returns within `allowed`. The driver may drop
///   the future later than that, which must leave nothing broken.
/// - It waits as a future and does not block the thread that polls it.
/// - It does not panic: a panic is contained, and ends the delivery as failed.
/// - A failure that may pass is of a retryable kind. One that never will, as of a frame that is too large, is
///   [`HostErrorKind::Refused`](crate::HostErrorKind::Refused).
/// - Retries are the router's: an implementation makes none.
/// - Nothing is authenticated here. Packets are signed; addresses are not.
///
/// `transport::Suite` of `qis-conformance` checks an implementation against this list.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Where this node is reached; what it announces.
    fn local_address(&self) -> Address;

    /// The largest frame it carries, in bytes; [`Frame::MAX_BYTES`] unless stated, and at least 24. The router sends larger ones in parts,
    /// each handed over in a `send` of its own, one after the other.
    fn max_frame(&self) -> usize {
        Frame::MAX_BYTES
    }

    /// Hands over one frame within the time allowed.
    async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError>;
}

macro_rules! forward {
    ($pointer:ty) => {
        #[async_trait]
        impl<T: Transport + ?Sized> Transport for $pointer {
            fn local_address(&self) -> Address {
                (**self).local_address()
            }

            fn max_frame(&self) -> usize {
                (**self).max_frame()
            }

            async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
                (**self).send(to, frame, allowed).await
            }
        }
    };
}
forward!(Box<T>);
forward!(Arc<T>);
forward!(&'static T);

struct FnTransport<F> {
    local: Address,
    send: F,
}

/// Makes a [`Transport`] of a function that hands over a frame at once, such as pushing it into a queue.
pub fn transport_fn<F>(local: Address, send: F) -> impl Transport
where
    F: Fn(&Address, &[u8]) -> Result<(), HostError> + Send + Sync + 'static,
{
    FnTransport { local, send }
}

impl<F> fmt::Debug for FnTransport<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnTransport").field("local", &self.local).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Transport for FnTransport<F>
where
    F: Fn(&Address, &[u8]) -> Result<(), HostError> + Send + Sync + 'static,
{
    fn local_address(&self) -> Address {
        self.local.clone()
    }

    async fn send(&self, to: &Address, frame: &[u8], _allowed: Duration) -> Result<(), HostError> {
        (self.send)(to, frame)
    }
}
