//! The frames of one connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use libp2p::PeerId;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionHandler, ConnectionHandlerEvent, ConnectionId, Stream, StreamProtocol, StreamUpgradeError,
    SubstreamProtocol,
};
use qis_route::Address;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::inbound::{Inbound, Over};
use super::outbound::Outbound;
use super::{Plane, wire};
use crate::incident::Incident;
use crate::link::Link;

/// What the behaviour tells the handler of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    /// The frames to the peer go by this connection from now on.
    Claim,
    /// They go by another one.
    Release,
    /// The host takes frames now.
    Served,
}

/// What a handler tells the behaviour.
#[derive(Debug)]
pub(crate) enum Told {
    /// Where the peer says it is.
    Address(Address),
    /// The peer speaks no frames of this network.
    Unsupported,
    /// The connection is of no use any more.
    Close(Incident, String),
}

/// Reads the frames of a peer and, if it has claimed the peer's link, writes those for it.
#[derive(Debug)]
pub(crate) struct Handler {
    connection: ConnectionId,
    peer: PeerId,
    plane: Arc<Plane>,
    link: Arc<Link>,
    protocol: StreamProtocol,
    claimed: bool,
    /// The behaviour was told to close the connection; until it does so, nothing goes any more.
    closing: bool,
    inbound: Option<Inbound<Stream>>,
    outbound: Outgoing,
    /// When to look for what takes too long.
    tick: Interval,
    events: VecDeque<Told>,
}

#[derive(Debug)]
enum Outgoing {
    None,
    Requested,
    Open(Outbound<Stream>),
}

type Request = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, (), Told>;

impl Handler {
    pub(crate) fn new(
        connection: ConnectionId,
        peer: PeerId,
        plane: Arc<Plane>,
        link: Arc<Link>,
        protocol: StreamProtocol,
    ) -> Self {
        let config = plane.config;
        let shortest = config.stall_timeout.min(config.idle_timeout).min(config.handshake_timeout);
        let mut tick = interval((shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(5)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            connection,
            peer,
            plane,
            link,
            protocol,
            claimed: false,
            closing: false,
            inbound: None,
            outbound: Outgoing::None,
            tick,
            events: VecDeque::new(),
        }
    }

    fn close(&mut self, incident: Incident, detail: String) {
        self.inbound = None;
        self.outbound = Outgoing::None;
        self.closing = true;
        self.events.push_back(Told::Close(incident, detail));
    }

    /// Gives up what takes too long.
    fn check_time(&mut self, now: Instant) {
        let config = self.plane.config;
        if let Some(inbound) = &self.inbound {
            let silent = now.duration_since(inbound.since);
            if !inbound.is_introduced()
                && self.plane.receiver().is_some()
                && silent > config.handshake_timeout
            {
                return self.close(Incident::Silent, self.peer.to_string());
            }
            // The other side closes its idle streams itself; twice the time says that it does not.
            if silent > 2 * config.idle_timeout {
                self.inbound = None;
            }
        }
        if let Outgoing::Open(outbound) = &mut self.outbound {
            if outbound.is_idle(now, config.idle_timeout) {
                outbound.close();
            }
            if outbound.is_stalled(now, config.stall_timeout) {
                self.close(Incident::Stalled, self.peer.to_string());
            }
        }
    }

    fn poll_inbound(&mut self, context: &mut Context<'_>) {
        let Some(receiver) = self.plane.receiver() else { return };
        while let Some(inbound) = &mut self.inbound {
            match inbound.poll(context, self.peer, &*receiver, &self.plane) {
                Poll::Pending => return,
                Poll::Ready(Ok(address)) => self.events.push_back(Told::Address(address)),
                Poll::Ready(Err(Over::Closed)) => self.inbound = None,
                Poll::Ready(Err(Over::Malformed(error))) => {
                    self.close(Incident::Malformed, format!("{}: {error}", self.peer));
                }
                Poll::Ready(Err(Over::FalseHello(error))) => {
                    self.close(Incident::FalseHello, format!("{}: {error}", self.peer));
                }
            }
        }
    }

    fn poll_outbound(&mut self, context: &mut Context<'_>) -> Option<Request> {
        if self.claimed {
            self.link.register(context.waker());
        }
        match &mut self.outbound {
            Outgoing::None if self.claimed && self.plane.local.get().is_some() && self.link.is_wanted() => {
                self.outbound = Outgoing::Requested;
                Some(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol: self.offer() })
            }
            Outgoing::None | Outgoing::Requested => None,
            Outgoing::Open(outbound) => {
                if self.plane.is_leaving.load(Ordering::Relaxed) && !self.link.is_wanted() {
                    outbound.close();
                }
                let link = self.claimed.then_some(&*self.link);
                let Poll::Ready(result) = outbound.poll(context, link, &self.plane) else { return None };
                self.outbound = Outgoing::None;
                self.link.set_down(self.connection);
                if let Err(error) = result {
                    // Whoever resets streams resets the next one as well.
                    self.close(Incident::Stalled, format!("{}: {error}", self.peer));
                } else if self.claimed {
                    // Something may have come in between.
                    context.waker().wake_by_ref();
                }
                None
            }
        }
    }

    fn offer(&self) -> SubstreamProtocol<ReadyUpgrade<StreamProtocol>> {
        let upgrade = ReadyUpgrade::new(self.protocol.clone());
        SubstreamProtocol::new(upgrade, ()).with_timeout(self.plane.config.handshake_timeout)
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Tell;
    type ToBehaviour = Told;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        self.offer()
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Request> {
        if self.tick.poll_tick(context).is_ready() {
            // Once more, so that the next tick wakes.
            let _ = self.tick.poll_tick(context);
            self.check_time(Instant::now());
        }
        if self.events.is_empty() && !self.closing {
            self.poll_inbound(context);
            if let Some(request) = self.poll_outbound(context) {
                return Poll::Ready(request);
            }
        }
        match self.events.pop_front() {
            Some(event) => Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event)),
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: Tell) {
        match event {
            Tell::Claim => self.claimed = true,
            Tell::Release => self.claimed = false,
            // It is polled after this, which is all that is needed.
            Tell::Served => {
                if let Some(inbound) = &mut self.inbound {
                    inbound.since = Instant::now();
                }
            }
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Self::InboundProtocol, Self::OutboundProtocol>,
    ) {
        if self.closing {
            return;
        }
        match event {
            // One at a time: a peer that opens another one has given up the first.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                self.inbound = Some(Inbound::new(stream));
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound {
                protocol: stream, ..
            }) => {
                let hello = self.plane.local.get().map(wire::hello).unwrap_or_default();
                self.outbound = Outgoing::Open(Outbound::new(stream, hello));
                self.link.set_up(self.connection);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { error, .. }) => {
                self.outbound = Outgoing::None;
                match error {
                    StreamUpgradeError::NegotiationFailed => {
                        self.closing = true;
                        self.events.push_back(Told::Unsupported);
                    }
                    error => self.close(Incident::Stalled, format!("{}: {error}", self.peer)),
                }
            }
            _ => {}
        }
    }
}
