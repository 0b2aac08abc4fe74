//! The stream by which a peer's frames arrive.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use libp2p::PeerId;
use libp2p::futures::AsyncRead;
use qis_route::Address;

use super::wire::{Decoder, Malformed};
use super::{Plane, Receiver};
use crate::address::{NodeAddress, NodeAddressError};
use crate::incident::{Incident, add};

/// Frames that are handed in before others of the runtime have their turn. A node takes some 50 us to verify one.
const BUDGET: usize = 64;

/// Reads frames and hands them in, one after the other: what is not handed in yet is not read, so that a flood waits at its sender.
#[derive(Debug)]
pub(crate) struct Inbound<S> {
    stream: S,
    decoder: Decoder,
    from: Option<Address>,
    /// When the stream was opened, or the last frame came.
    pub(crate) since: Instant,
}

/// Why a stream is over.
#[derive(Debug)]
pub(crate) enum Over {
    /// The other side closed it, or it broke.
    Closed,
    Malformed(Malformed),
    FalseHello(HelloError),
}

/// An address that is not the peer's.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("{text:?} {error}")]
    NoAddress { text: String, error: NodeAddressError },
    #[error("{text:?} is of another peer")]
    OtherPeer { text: String },
}

impl<S: AsyncRead + Unpin> Inbound<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, decoder: Decoder::default(), from: None, since: Instant::now() }
    }

    /// Whether the other side has said where it is.
    pub(crate) const fn is_introduced(&self) -> bool {
        self.from.is_some()
    }

    /// Reads until nothing is there or the stream is over. Returns the address of the other side when it states it.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        peer: PeerId,
        receiver: &Receiver,
        plane: &Plane,
    ) -> Poll<Result<Address, Over>> {
        let mut budget = BUDGET;
        loop {
            if self.from.is_none()
                && let Some(text) = self.decoder.hello().map_err(Over::Malformed)?
            {
                let address = introduce(text, peer).map_err(Over::FalseHello)?;
                self.from = Some(address.clone());
                return Poll::Ready(Ok(address));
            }
            if let Some(from) = &self.from {
                while budget > 0
                    && let Some(frame) = self.decoder.frame().map_err(Over::Malformed)?
                {
                    hand_in(receiver, from, frame, plane);
                    self.since = Instant::now();
                    budget -= 1;
                }
            }
            if budget == 0 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let read = Pin::new(&mut self.stream).poll_read(context, self.decoder.room());
            match ready!(read) {
                Ok(0) | Err(_) => return Poll::Ready(Err(Over::Closed)),
                Ok(bytes) => self.decoder.advance(bytes),
            }
        }
    }
}

/// The address that a peer states, if it is its own.
fn introduce(text: &str, peer: PeerId) -> Result<Address, HelloError> {
    let no_address = |error| HelloError::NoAddress { text: text.to_owned(), error };
    let address = NodeAddress::parse(text).map_err(no_address)?;
    if address.peer != peer {
        return Err(HelloError::OtherPeer { text: text.to_owned() });
    }
    address.text().map_err(no_address)
}

fn hand_in(receiver: &Receiver, from: &Address, frame: &[u8], plane: &Plane) {
    add(&plane.counters.frames_received, 1);
    add(&plane.counters.bytes_received, frame.len());
    // A receiver that panics would take the connection with it.
    if catch_unwind(AssertUnwindSafe(|| receiver(from, frame))).is_err() {
        plane.counters.note(Incident::ReceiverPanicked, from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_peer_itself_can_say_where_it_is() {
        let (peer, other) = [1, 2]
            .map(|seed| {
                let identity = qis_packet::Identity::from_seed([seed; 32]);
                crate::address::peer_with(&identity.public_key()).unwrap()
            })
            .into();
        let text = format!("/ip4/192.0.2.1/tcp/4001/p2p/{peer}");
        assert_eq!(introduce(&text, peer).unwrap().as_str(), text);
        assert!(matches!(introduce(&text, other), Err(HelloError::OtherPeer { .. })));
        assert!(matches!(introduce("/ip4/192.0.2.1/tcp/4001", peer), Err(HelloError::NoAddress { .. })));
    }
}
