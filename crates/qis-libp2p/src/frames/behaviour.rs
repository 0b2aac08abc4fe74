//! Which connection carries the frames of a peer.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::{
    CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
    StreamProtocol, ToSwarm,
};
use libp2p::{Multiaddr, PeerId};
use qis_route::Address;

use super::Plane;
use super::handler::{Handler, Tell, Told};
use crate::incident::{Incident, add};
use crate::links::Links;

/// What the task that owns the swarm hears of the frames.
#[derive(Debug)]
pub(crate) enum Event {
    /// A peer said where it is, and it is the one that is there.
    Introduced { peer: PeerId, address: Address },
    /// Frames wait for a peer whose connection is over.
    Redial { peer: PeerId, address: Multiaddr },
}

/// Frames over all connections.
#[derive(Debug)]
pub(crate) struct Behaviour {
    plane: Arc<Plane>,
    links: Arc<Links>,
    protocol: StreamProtocol,
    /// The connections of each peer, and which of them are relayed.
    connections: HashMap<PeerId, Vec<(ConnectionId, bool)>>,
    events: VecDeque<ToSwarm<Event, Tell>>,
    waker: Option<Waker>,
}

impl Behaviour {
    pub(crate) fn new(plane: Arc<Plane>, links: Arc<Links>, protocol: StreamProtocol) -> Self {
        Self { plane, links, protocol, connections: HashMap::new(), events: VecDeque::new(), waker: None }
    }

    /// Lets all connections read: the host takes frames.
    pub(crate) fn set_served(&mut self) {
        for (&peer, connections) in &self.connections {
            for &(connection, _) in connections {
                self.events.push_back(tell(peer, connection, Tell::Served));
            }
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Gives a peer's link to one of its connections, if none has it. Returns whether there is one.
    pub(crate) fn claim_again(&mut self, peer: PeerId) -> bool {
        // One that is not relayed, if there is one, and of those the newest.
        let best = |(at, (_, relayed)): &(usize, &(ConnectionId, bool))| (!*relayed, *at);
        let connections = self.connections.get(&peer);
        let best = connections.and_then(|all| all.iter().enumerate().max_by_key(best));
        let Some((_, &(connection, relayed))) = best else { return false };
        let link = self.links.of(peer);
        if !link.is_claimed() && link.claim(connection, relayed) {
            self.events.push_back(tell(peer, connection, Tell::Claim));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
        true
    }

    fn handler(&self, connection: ConnectionId, peer: PeerId) -> Handler {
        let (plane, link) = (Arc::clone(&self.plane), self.links.of(peer));
        Handler::new(connection, peer, plane, link, self.protocol.clone())
    }

    fn opened(&mut self, peer: PeerId, connection: ConnectionId, relayed: bool) {
        let connections = self.connections.entry(peer).or_default();
        if self.links.of(peer).claim(connection, relayed) {
            for &(other, _) in &*connections {
                self.events.push_back(tell(peer, other, Tell::Release));
            }
            self.events.push_back(tell(peer, connection, Tell::Claim));
        }
        connections.push((connection, relayed));
    }

    fn closed(&mut self, peer: PeerId, connection: ConnectionId) {
        let left = self.connections.entry(peer).or_default();
        left.retain(|(one, _)| *one != connection);
        if left.is_empty() {
            self.connections.remove(&peer);
        }
        let link = self.links.of(peer);
        let released = link.release(connection);
        if self.claim_again(peer) {
            return;
        }
        let Some((lost, was_up)) = released else { return };
        add(&self.plane.counters.frames_dropped, lost);
        if was_up && let Some(address) = link.redial() {
            self.events.push_back(ToSwarm::GenerateEvent(Event::Redial { peer, address }));
        } else {
            // Without frames ever having gone it is the peer that does not want this node, so another connection is of no use.
            self.links.fail(&link, "the peer closed the connection: it may be full, or not admit this node");
        }
    }
}

fn tell(peer_id: PeerId, connection: ConnectionId, event: Tell) -> ToSwarm<Event, Tell> {
    ToSwarm::NotifyHandler { peer_id, handler: NotifyHandler::One(connection), event }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(connection, peer))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler(connection, peer))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                self.opened(peer_id, connection_id, endpoint.is_relayed());
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.closed(peer_id, connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer_id: PeerId, connection: ConnectionId, event: Told) {
        let close = CloseConnection::One(connection);
        match event {
            Told::Address(address) => {
                let event = Event::Introduced { peer: peer_id, address };
                self.events.push_back(ToSwarm::GenerateEvent(event));
            }
            Told::Unsupported => {
                self.plane.counters.note(Incident::ForeignNetwork, &peer_id);
                self.links.fail(&self.links.of(peer_id), "the peer is of another network or version");
                self.events.push_back(ToSwarm::CloseConnection { peer_id, connection: close });
            }
            Told::Close(incident, detail) => {
                self.plane.counters.note(incident, &detail);
                if incident == Incident::Stalled {
                    // What waits is given up: a peer that takes nothing would get it on each new connection again.
                    self.links.fail(&self.links.of(peer_id), "the peer takes nothing");
                }
                self.events.push_back(ToSwarm::CloseConnection { peer_id, connection: close });
            }
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Event, Tell>> {
        match self.events.pop_front() {
            Some(event) => Poll::Ready(event),
            None => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
