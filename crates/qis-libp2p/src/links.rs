//! The ways to all peers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};
use qis_packet::Frame;
use qis_route::{Address, HostError, HostErrorKind};
use tokio::sync::mpsc;

use crate::Libp2pConfig;
use crate::address::NodeAddress;
use crate::command::Command;
use crate::incident::{Counters, Incident, add};
use crate::link::{Link, Pushed};
use crate::random::Random;

/// Peers that are remembered beside those that are connected.
const SPARE: usize = 1024;

/// A [`Link`] for each peer that is connected or was sent to.
#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) config: Libp2pConfig,
    pub(crate) counters: Arc<Counters>,
    table: Mutex<Table>,
    commands: mpsc::Sender<Command>,
    total: Arc<AtomicUsize>,
    closed: AtomicBool,
}

#[derive(Debug)]
struct Table {
    by_peer: HashMap<PeerId, Arc<Link>>,
    /// Parsed addresses, since each frame comes with one.
    by_text: HashMap<Address, (Arc<Link>, Multiaddr)>,
    random: Random,
}

impl Links {
    pub(crate) fn new(
        config: Libp2pConfig,
        counters: Arc<Counters>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        let table = Table { by_peer: HashMap::new(), by_text: HashMap::new(), random: Random::new() };
        Self {
            config,
            counters,
            table: Mutex::new(table),
            commands,
            total: Arc::default(),
            closed: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The link to a peer, made when there is none.
    pub(crate) fn of(&self, peer: PeerId) -> Arc<Link> {
        self.of_locked(&mut self.lock(), peer)
    }

    fn of_locked(&self, table: &mut Table, peer: PeerId) -> Arc<Link> {
        let most = usize::try_from(self.config.connections).unwrap_or(usize::MAX).saturating_add(SPARE);
        if table.by_peer.len() >= most && !table.by_peer.contains_key(&peer) {
            let now = Instant::now();
            let Table { by_peer, by_text, .. } = &mut *table;
            by_peer.retain(|_, link| !link.is_idle(now));
            by_text.retain(|_, (link, _)| by_peer.contains_key(&link.peer));
        }
        let new = || Arc::new(Link::new(peer, Arc::clone(&self.total)));
        Arc::clone(table.by_peer.entry(peer).or_insert_with(new))
    }

    /// The link to the node at an address.
    fn at(&self, address: &Address) -> Result<(Arc<Link>, Multiaddr), HostError> {
        let mut table = self.lock();
        if let Some(known) = table.by_text.get(address) {
            return Ok(known.clone());
        }
        let refuse = |error| HostError::new(HostErrorKind::Refused, error);
        let parsed = NodeAddress::parse(address.as_str()).map_err(refuse)?;
        let link = self.of_locked(&mut table, parsed.peer);
        if table.by_text.len() >= 4 * SPARE {
            table.by_text.clear();
        }
        let known = (link, parsed.multiaddr);
        table.by_text.insert(address.clone(), known.clone());
        Ok(known)
    }

    /// Hands over a frame; see [`Transport::send`](qis_route::Transport::send).
    pub(crate) async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
        if frame.is_empty() || frame.len() > Frame::MAX_BYTES {
            return Err(HostError::new(HostErrorKind::Refused, "a frame has 1 to 16384 bytes"));
        }
        self.hand_over(to, Some(frame), allowed).await
    }

    /// Sees to it that there is a connection on which frames go.
    pub(crate) async fn connect(&self, to: &Address, allowed: Duration) -> Result<(), HostError> {
        self.hand_over(to, None, allowed).await
    }

    async fn hand_over(
        &self,
        to: &Address,
        frame: Option<&[u8]>,
        allowed: Duration,
    ) -> Result<(), HostError> {
        let unavailable = |why: &str| HostError::new(HostErrorKind::Unavailable, why);
        if self.is_closed() {
            return Err(unavailable("the network of this node was shut down"));
        }
        let (link, address) = self.at(to)?;
        let told = match link.push(frame, &address, &self.config, Instant::now()) {
            Pushed::Queued => return Ok(()),
            Pushed::Full => {
                self.counters.note(Incident::QueueFull, to);
                return Err(unavailable("too many frames wait for this peer"));
            }
            Pushed::Resting(why) => return Err(unavailable(&why)),
            Pushed::Waiting(told, dial) => {
                if let Some(address) = dial {
                    self.dial(&link, address);
                }
                told
            }
        };
        match tokio::time::timeout(allowed, told).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(why))) => Err(unavailable(&why)),
            Ok(Err(_)) => Err(unavailable("the network of this node was shut down")),
            Err(_) => Err(HostError::new(HostErrorKind::Timeout, "the peer was not reached in time")),
        }
    }

    fn dial(&self, link: &Link, address: Multiaddr) {
        if self.commands.try_send(Command::Dial { peer: link.peer, address }).is_err() {
            self.fail(link, "too many peers are to be dialed at once");
        }
    }

    /// Gives up what waits for a peer.
    pub(crate) fn fail(&self, link: &Link, why: &str) {
        let jitter = self.lock().random.jitter();
        add(&self.counters.frames_dropped, link.fail(why, Instant::now(), jitter));
    }

    /// Whether nothing waits and all streams are closed.
    pub(crate) fn are_closed(&self) -> bool {
        self.lock().by_peer.values().all(|link| link.is_closed())
    }

    /// Lets all handlers look again.
    pub(crate) fn wake_all(&self) {
        self.lock().by_peer.values().for_each(|link| link.wake());
    }

    /// Bytes that wait to be sent.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Takes no more frames.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Gives up all that waits.
    pub(crate) fn fail_all(&self, why: &str) {
        let links: Vec<Arc<Link>> = self.lock().by_peer.values().cloned().collect();
        for link in links {
            self.fail(&link, why);
        }
    }
}
