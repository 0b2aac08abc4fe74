//! Who may connect.

use std::collections::HashSet;
use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use qis_packet::AuthorId;

use crate::address::author_of;
use crate::command::Change;
use crate::incident::Incident;

/// Lists of authors: who is admitted, everybody if there is no such list, and who is not in any case.
///
/// It judges a connection once its peer is authenticated, and before anything else is said on it.
#[derive(Debug, Default)]
pub(crate) struct Access {
    admitted: Option<HashSet<AuthorId>>,
    blocked: HashSet<AuthorId>,
}

/// Why a peer may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("its author is not admitted")]
    NotAdmitted,
    #[error("its author is blocked")]
    Blocked,
}

impl Refused {
    pub(crate) const fn incident(self) -> Incident {
        match self {
            Self::NotAdmitted => Incident::NotAdmitted,
            Self::Blocked => Incident::Blocked,
        }
    }
}

impl Access {
    pub(crate) const fn new(admitted: Option<HashSet<AuthorId>>, blocked: HashSet<AuthorId>) -> Self {
        Self { admitted, blocked }
    }

    /// Changes a list. Connections that are there stay; see [`judge`](Self::judge).
    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Admit(author) => {
                self.admitted.get_or_insert_default().insert(author);
            }
            Change::Expel(author) => {
                self.admitted.get_or_insert_default().remove(&author);
            }
            Change::Block(author) => {
                self.blocked.insert(author);
            }
            Change::Unblock(author) => {
                self.blocked.remove(&author);
            }
        }
    }

    /// Whether a peer may be connected. One without an Ed25519 key is no author, and nobody can have admitted it.
    pub(crate) fn judge(&self, peer: &PeerId) -> Result<(), Refused> {
        let Some(author) = author_of(peer) else { return Err(Refused::NotAdmitted) };
        if self.blocked.contains(&author) {
            Err(Refused::Blocked)
        } else if self.admitted.as_ref().is_some_and(|admitted| !admitted.contains(&author)) {
            Err(Refused::NotAdmitted)
        } else {
            Ok(())
        }
    }

    fn admit(&self, peer: &PeerId) -> Result<dummy::ConnectionHandler, ConnectionDenied> {
        self.judge(peer).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }
}

impl NetworkBehaviour for Access {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = peer {
            self.judge(&peer).map_err(ConnectionDenied::new)?;
        }
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.admit(&peer)
    }

    fn on_swarm_event(&mut self, _: FromSwarm<'_>) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use qis_packet::Identity;

    use super::*;
    use crate::address::peer_with;

    #[test]
    fn blocked_authors_are_refused_even_if_admitted() {
        let of = |seed| {
            let identity = Identity::from_seed([seed; 32]);
            (identity.author(), peer_with(&identity.public_key()).unwrap())
        };
        let ((a, peer_a), (b, peer_b)) = (of(1), of(2));
        let mut access = Access::default();
        assert_eq!(access.judge(&peer_a), Ok(()));
        access.change(Change::Block(a));
        assert_eq!(access.judge(&peer_a), Err(Refused::Blocked));
        access.change(Change::Admit(a));
        assert_eq!(
            (access.judge(&peer_a), access.judge(&peer_b)),
            (Err(Refused::Blocked), Err(Refused::NotAdmitted))
        );
        access.change(Change::Unblock(a));
        access.change(Change::Admit(b));
        assert_eq!((access.judge(&peer_a), access.judge(&peer_b)), (Ok(()), Ok(())));
        access.change(Change::Expel(b));
        assert_eq!(access.judge(&peer_b), Err(Refused::NotAdmitted));
    }
}
