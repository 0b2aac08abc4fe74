//! The thread that reads and writes, and the queue to it.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};

use futures_channel::oneshot;
use qis_route::{Batch, HostError, HostErrorKind, Row, Table};

use crate::backup::{self, BackupError};
use crate::engine::{Check, Engine};

/// Calls that may wait. A node makes one at a time; the others are of drivers that were dropped, and of operators.
const QUEUE: usize = 64;

type Tell<T, E = HostError> = oneshot::Sender<Result<T, E>>;

/// Something for the thread to do. Who asked may have stopped waiting; it is done all the same.
#[derive(Debug)]
pub(crate) enum Job {
    Commit { batch: Batch, tell: Tell<()> },
    Range { table: Table, from: Vec<u8>, limit: usize, tell: Tell<Vec<Row>> },
    Check { tell: Tell<Check> },
    Backup { to: PathBuf, tell: Tell<(), BackupError> },
}

/// The way to the thread. Dropped, it waits until the thread has done what it was told and closed the file.
#[derive(Debug)]
pub(crate) struct Worker {
    /// None once it is being dropped.
    jobs: Option<SyncSender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    pub(crate) fn start(engine: Engine) -> io::Result<Self> {
        let (jobs, queue) = sync_channel(QUEUE);
        let thread = Builder::new().name("qis-store".to_owned()).spawn(move || run(engine, &queue))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    /// Queues a job, without waiting, and waits for its end.
    pub(crate) async fn call<T, E: From<HostError>>(
        &self,
        job: impl FnOnce(Tell<T, E>) -> Job,
    ) -> Result<T, E> {
        let (tell, told) = oneshot::channel();
        let queued = self.jobs.as_ref().map(|jobs| jobs.try_send(job(tell)));
        match queued {
            Some(Ok(())) => told.await.unwrap_or_else(|_| Err(gone().into())),
            Some(Err(TrySendError::Full(_))) => {
                Err(HostError::new(HostErrorKind::Unavailable, "too many calls wait for the store").into())
            }
            Some(Err(TrySendError::Disconnected(_))) | None => Err(gone().into()),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // What panics in it is contained before it gets here.
            let _ = thread.join();
        }
    }
}

fn run(mut engine: Engine, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        match job {
            Job::Commit { batch, tell } => drop(tell.send(engine.commit(batch))),
            Job::Range { table, from, limit, tell } => drop(tell.send(engine.range(table, &from, limit))),
            Job::Check { tell } => drop(tell.send(engine.check())),
            Job::Backup { to, tell } => match engine.snapshot() {
                Ok(snapshot) => backup::start(snapshot, to, tell),
                Err(error) => drop(tell.send(Err(error.into()))),
            },
        }
    }
}

fn gone() -> HostError {
    HostError::new(HostErrorKind::Corrupt, "the thread of the store or of the backup has ended")
}
