//! How frames travel: a long-lived stream each way, into which as many frames are written at a time as wait.

mod behaviour;
mod handler;
mod inbound;
mod outbound;
pub(crate) mod wire;

pub(crate) use behaviour::{Behaviour, Event};

use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use qis_route::Address;

use crate::Libp2pConfig;
use crate::incident::Counters;

/// What takes in frames: the host's.
pub(crate) type Receiver = dyn Fn(&Address, &[u8]) + Send + Sync;

/// What the streams of all connections share.
pub(crate) struct Plane {
    pub(crate) config: Libp2pConfig,
    pub(crate) counters: Arc<Counters>,
    /// What this node states of itself; known once it listens.
    pub(crate) local: OnceLock<Address>,
    receiver: RwLock<Option<Arc<Receiver>>>,
    /// Whether streams are to be closed once all is written.
    pub(crate) is_leaving: AtomicBool,
}

impl Plane {
    pub(crate) fn new(config: Libp2pConfig, counters: Arc<Counters>) -> Self {
        Self {
            config,
            counters,
            local: OnceLock::new(),
            receiver: RwLock::default(),
            is_leaving: AtomicBool::new(false),
        }
    }

    /// The receiver; nothing is read while there is none.
    pub(crate) fn receiver(&self) -> Option<Arc<Receiver>> {
        self.receiver.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_receiver(&self, receiver: Option<Arc<Receiver>>) {
        *self.receiver.write().unwrap_or_else(PoisonError::into_inner) = receiver;
    }
}

impl fmt::Debug for Plane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plane").field("local", &self.local).finish_non_exhaustive()
    }
}
