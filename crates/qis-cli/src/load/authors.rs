//! Those who send, and their packets, made ahead.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::vec;

use qis::{Address, AuthorId, Fingerprint, Identity, NetworkId, SiteSecret, SpaceId, Timestamp};
use qis_packet::{DomainTag, Draft, Epoch, FrameKind, Order, Seal, Trailer};

use super::error::LoadError;

pub(super) const DOMAIN: &str = "load/vectors";
/// With them a packet has 512 bytes with its signature and the key: as large as packets get.
pub(super) const DIMS: usize = 66;
/// The name of the thread whose time is not the node's. At most 15 bytes, which is what the system keeps of it.
pub(super) const MAKER: &str = "qis-load-maker";

/// Packets are handed over so many at a time, and so many times that are ready.
const BATCH: usize = 256;
const READY: usize = 64;

const FINGERPRINT: u16 = 64;

/// Some authors of a network, each at an address of its own.
#[derive(Debug)]
pub(super) struct Authors {
    all: Vec<(Identity, Address)>,
    secret: SiteSecret,
    network: NetworkId,
    domain: DomainTag,
    fingerprint: Fingerprint,
}

/// A frame with a packet that was made ahead.
#[derive(Debug)]
pub(super) struct Ahead {
    /// Its place among the authors.
    pub(super) author: usize,
    pub(super) sequence: u32,
    pub(super) frame: Vec<u8>,
}

/// The network that everything here is for.
pub(super) fn network() -> NetworkId {
    NetworkId::new("load")
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_unix_seconds(since.as_secs())
}

impl Authors {
    /// So many, with keys and addresses of a name.
    pub(super) fn new(name: &str, count: usize) -> Result<Self, LoadError> {
        let invalid = |_| LoadError::Authors;
        let author = |number: usize| {
            let mut seed = [0; 32];
            for (to, from) in seed.iter_mut().zip(name.bytes().chain(number.to_le_bytes())) {
                *to = from;
            }
            Ok((Identity::from_seed(seed), format!("{name}-{number}").parse().map_err(invalid)?))
        };
        let codes = (1..=FINGERPRINT as i8).collect();
        Ok(Self {
            all: (0..count).map(author).collect::<Result<_, LoadError>>()?,
            secret: SiteSecret::new(Epoch::of(now()), [9; 32]),
            network: network(),
            domain: DOMAIN.parse().map_err(|_| LoadError::Authors)?,
            fingerprint: Fingerprint::from_codes(SpaceId::new("load", FINGERPRINT), codes)
                .map_err(|_| LoadError::Authors)?,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn address(&self, author: usize) -> Option<&Address> {
        self.all.get(author).map(|(_, address)| address)
    }

    /// The ids, in the order of the authors' numbers.
    pub(super) fn ids(&self) -> impl Iterator<Item = AuthorId> {
        self.all.iter().map(|(identity, _)| identity.author())
    }

    /// A frame with the packet of an author that has this number in its sequence, made now. Its nonce is zero.
    pub(super) fn frame(&self, author: usize, sequence: u32) -> Result<Vec<u8>, LoadError> {
        let Some((identity, _)) = self.all.get(author) else { return Err(LoadError::Authors) };
        // They differ, as those of real sites do; a compressed file of them is not what a store keeps.
        let value = 1.0 + f32::from((sequence.wrapping_mul(31).wrapping_add(author as u32) % 60_000) as u16);
        let draft = Draft::delta(self.domain, self.fingerprint.clone(), &[value; DIMS]);
        let packet = draft.seal(&Seal {
            identity,
            network: self.network,
            secret: &self.secret,
            node: "site",
            source: "load",
            order: Order { incarnation: 1, sequence },
            time: now(),
            trailer: Trailer::SignatureAndKey,
        })?;
        let head = [FrameKind::Packet.code(), 0, 0, 0, 0, 0, 0, 0, 0, NO_KEY];
        Ok([&head[..], packet.as_bytes()].concat())
    }
}

/// The key is in the packet, and not beside it.
const NO_KEY: u8 = 0;

/// Makes packets on a thread of its own, the authors in turn, and stays some thousands ahead.
#[derive(Debug)]
pub(super) struct Maker {
    /// Dropped first, so that the thread ends.
    ready: Option<Receiver<Result<Vec<Ahead>, LoadError>>>,
    thread: Option<JoinHandle<()>>,
    /// Batches that were made.
    made: Arc<AtomicUsize>,
    current: vec::IntoIter<Ahead>,
}

impl Maker {
    /// Begins with the packets that have the number 1 in their authors' sequences.
    pub(super) fn start(authors: Arc<Authors>) -> Result<Self, LoadError> {
        let (tell, ready) = sync_channel(READY);
        let made = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&made);
        let thread = thread::Builder::new().name(MAKER.to_owned());
        let thread = thread.spawn(move || make(&authors, &tell, &count)).map_err(LoadError::Thread)?;
        Ok(Self { ready: Some(ready), thread: Some(thread), made, current: Vec::new().into_iter() })
    }

    /// Waits until it is as far ahead as it gets.
    pub(super) async fn fill(&self) {
        let is_making = || self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        while is_making() && self.made.load(Ordering::Relaxed) < READY {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The next packet; `None` when none is ready.
    pub(super) fn next(&mut self) -> Result<Option<Ahead>, LoadError> {
        if let Some(ahead) = self.current.next() {
            return Ok(Some(ahead));
        }
        match self.ready.as_ref().map(Receiver::try_recv) {
            Some(Ok(batch)) => {
                self.current = batch?.into_iter();
                Ok(self.current.next())
            }
            Some(Err(TryRecvError::Empty)) => Ok(None),
            Some(Err(TryRecvError::Disconnected)) | None => Err(LoadError::Maker),
        }
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.ready = None;
        if let Some(thread) = self.thread.take() {
            // What it may have panicked with was printed.
            let _ = thread.join();
        }
    }
}

/// Until nobody wants any more, or one cannot be made.
fn make(authors: &Authors, tell: &SyncSender<Result<Vec<Ahead>, LoadError>>, made: &AtomicUsize) {
    let places = (1..).flat_map(|sequence| (0..authors.len()).map(move |author| (author, sequence)));
    let mut packets = places
        .map(|(author, sequence)| Ok(Ahead { author, sequence, frame: authors.frame(author, sequence)? }));
    loop {
        let batch: Result<Vec<Ahead>, LoadError> = packets.by_ref().take(BATCH).collect();
        let failed = batch.is_err();
        made.fetch_add(1, Ordering::Relaxed);
        if tell.send(batch).is_err() || failed {
            return;
        }
    }
}
