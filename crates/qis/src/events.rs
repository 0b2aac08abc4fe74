//! What a node tells those who listen.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};

use qis_packet::{AuthorId, DomainTag, PacketId};
use qis_route::proto::Event;

/// Events a listener may be behind before it loses the oldest.
const CAPACITY: usize = 256;

/// Something that happened in a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// A packet became its author's standing one: a synthesis of the domain may be worth while.
    Applied {
        /// The domain.
        domain: DomainTag,
        /// The author.
        author: AuthorId,
        /// The packet.
        packet: PacketId,
        /// Whether it withdraws what stood before.
        retraction: bool,
    },
    /// An emission of this node is over, a renewal by the clock among them.
    Emitted {
        /// The domain.
        domain: DomainTag,
        /// The packet.
        packet: PacketId,
        /// Recipients known to have it.
        delivered: usize,
        /// Recipients it was sent to.
        recipients: usize,
    },
    /// The node was restored from a backup; it goes on under a new incarnation, and will state its standing outcomes again.
    IncarnationRaised,
    /// The store failed. Packets are not acknowledged until it works again.
    StoreFailed {
        /// Whether the node must be built anew.
        poisoned: bool,
        /// How it failed.
        error: String,
    },
    /// The listener was too slow and lost this many events.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// The events of a node from the time of [`Node::subscribe`](crate::Node::subscribe) on.
///
/// Up to 256 wait for the listener; beyond that the oldest are dropped, and [`NodeEvent::Lagged`] says how many.
#[derive(Debug)]
pub struct Events(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<NodeEvent>,
    missed: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Events {
    /// The next event; `None` when the node is shut down or its driver dropped.
    pub async fn next(&mut self) -> Option<NodeEvent> {
        poll_fn(|context| {
            let mut queue = lock(&self.0);
            if queue.missed > 0 {
                let missed = std::mem::take(&mut queue.missed);
                return Poll::Ready(Some(NodeEvent::Lagged { missed }));
            }
            if let Some(event) = queue.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if queue.closed {
                return Poll::Ready(None);
            }
            queue.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// All listeners of a node.
#[derive(Debug, Default)]
pub(crate) struct Listeners(Vec<Arc<Mutex<Queue>>>);

impl Listeners {
    pub(crate) fn add(&mut self) -> Events {
        let queue = Arc::new(Mutex::new(Queue::default()));
        self.0.push(Arc::clone(&queue));
        Events(queue)
    }

    pub(crate) fn tell(&mut self, event: &NodeEvent) {
        // A queue that only this list holds has lost its listener.
        self.0.retain(|queue| Arc::strong_count(queue) > 1);
        for queue in &self.0 {
            let mut queue = lock(queue);
            if queue.events.len() >= CAPACITY {
                queue.events.pop_front();
                queue.missed = queue.missed.saturating_add(1);
            }
            queue.events.push_back(event.clone());
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        for queue in &self.0 {
            let mut queue = lock(queue);
            queue.closed = true;
            if let Some(waker) = queue.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A queue of plain values is whole whatever its holder did, so a poisoned lock is no reason to stop.
fn lock(queue: &Mutex<Queue>) -> std::sync::MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What listeners learn of a router's event; `None` for what only its asker is told.
pub(crate) fn public(event: &Event) -> Option<NodeEvent> {
    match event {
        Event::Applied { domain, author, packet, retraction } => Some(NodeEvent::Applied {
            domain: *domain,
            author: *author,
            packet: *packet,
            retraction: *retraction,
        }),
        Event::Emitted(receipt) => Some(NodeEvent::Emitted {
            domain: receipt.domain,
            packet: receipt.packet,
            delivered: receipt.delivered(),
            recipients: receipt.recipients.len(),
        }),
        Event::IncarnationRaised => Some(NodeEvent::IncarnationRaised),
        Event::StoreFailed { poisoned, error } => {
            Some(NodeEvent::StoreFailed { poisoned: *poisoned, error: error.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_slow_listener_is_told_what_it_lost() {
        let mut listeners = Listeners::default();
        let mut events = listeners.add();
        for _ in 0..CAPACITY + 3 {
            listeners.tell(&NodeEvent::IncarnationRaised);
        }
        assert_eq!(events.next().now_or_never(), Some(Some(NodeEvent::Lagged { missed: 3 })));
        for _ in 0..CAPACITY {
            assert_eq!(events.next().now_or_never(), Some(Some(NodeEvent::IncarnationRaised)));
        }
        assert_eq!(events.next().now_or_never(), None);
        drop(listeners);
        assert_eq!(events.next().now_or_never(), Some(None));
    }

    #[test]
    fn listeners_that_left_are_forgotten() {
        let mut listeners = Listeners::default();
        drop(listeners.add());
        listeners.tell(&NodeEvent::IncarnationRaised);
        assert!(listeners.0.is_empty());
    }
}
