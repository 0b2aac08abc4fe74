//! The task that moves a node: the router's outputs out, their results in.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream};
use qis_route::proto::{Event, Input, Output};
use qis_route::{Address, Candidates, Descriptor, HostError, HostErrorKind};

use crate::events::{Listeners, public};
use crate::node::{Core, EmissionWaiter, Inner};
use crate::overlay::{OverlaySend, Search};
use crate::sync::registers_late;
use crate::{EmitError, EraseError, Queued};

/// Tasks under way at which no further send is begun; it waits in the router.
const CONCURRENCY: usize = 128;
/// Sends of the overlays under way at which no further one is begun; they wait there. They are apart from the others, so that none of the
/// router's waits for them.
const OVERLAY_CONCURRENCY: usize = 128;
/// How long an announcement may take.
pub(crate) const ANNOUNCE_ALLOWED: Duration = Duration::from_secs(30);

type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) struct Driver {
    inner: Arc<Inner>,
    under_way: FuturesUnordered<Pending<Input>>,
    overlay_sends: FuturesUnordered<Pending<Result<(), HostError>>>,
    timer: Option<(Duration, Pending<()>)>,
    commits: usize,
}

impl Driver {
    pub(crate) fn new(inner: Arc<Inner>) -> Self {
        let (under_way, overlay_sends) = (FuturesUnordered::new(), FuturesUnordered::new());
        Self { inner, under_way, overlay_sends, timer: None, commits: 0 }
    }

    pub(crate) async fn run(mut self) {
        let now = self.inner.clock.now();
        if let Some(overlay) = &mut self.inner.lock().overlay {
            overlay.start(now);
        }
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Before looking for work: what comes while it looks wakes it again.
        if !registers_late() {
            self.inner.wake.register(context.waker());
        }
        loop {
            // The overlays first: what they tell the router may be something to send.
            let mut idle = self.take_overlay_sends() & self.take_outputs();
            if let Poll::Ready(Some(input)) = Pin::new(&mut self.under_way).poll_next(context) {
                self.commits -= usize::from(matches!(input, Input::Committed(_)));
                self.hand_in(input);
                idle = false;
            }
            if let Poll::Ready(Some(result)) = Pin::new(&mut self.overlay_sends).poll_next(context) {
                if result.is_err()
                    && let Some(overlay) = &mut self.inner.lock().overlay
                {
                    overlay.count_failed_send();
                }
                idle = false;
            }
            idle &= !self.poll_timer(context);
            if idle {
                if registers_late() {
                    self.inner.wake.register(context.waker());
                }
                let stopping = self.inner.lock().stopping;
                // What is on its way to the store is seen through; nothing else is waited for.
                return if stopping && self.commits == 0 { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    }

    /// Starts what the router wants done. Returns whether there was nothing.
    fn take_outputs(&mut self) -> bool {
        let mut idle = true;
        loop {
            // What is no send is few at a time, and waits for nothing.
            let output = if self.under_way.len() < CONCURRENCY {
                self.inner.lock().router.poll_output()
            } else {
                self.inner.lock().router.poll_urgent()
            };
            let Some(output) = output else { break };
            idle = false;
            self.start(output);
        }
        idle
    }

    /// Starts what the overlays want sent, as far as there is room. Returns whether there was nothing.
    fn take_overlay_sends(&mut self) -> bool {
        let mut idle = true;
        while self.overlay_sends.len() < OVERLAY_CONCURRENCY {
            let now = self.inner.clock.now();
            let Some(OverlaySend { to, frames, allowed }) = self.inner.lock().next_overlay_send(now) else {
                break;
            };
            idle = false;
            let inner = Arc::clone(&self.inner);
            self.overlay_sends.push(Box::pin(async move { send(&inner, &to, &frames, allowed).await }));
        }
        idle
    }

    fn start(&mut self, output: Output) {
        let inner = Arc::clone(&self.inner);
        let pending: Pending<Input> = match output {
            Output::Send { id, to, frames, allowed } => {
                Box::pin(async move { Input::Sent { id, result: send(&inner, &to, &frames, allowed).await } })
            }
            Output::Lookup { id, fingerprint, similar, random, allowed } => {
                let Some(directory) = inner.directory.clone() else {
                    let now = inner.clock.now();
                    return inner
                        .lock()
                        .look_up_in_overlay(now, Search::new(id, fingerprint, similar, random));
                };
                Box::pin(async move {
                    let members = if random > 0 {
                        let sample = async { directory.sample(random + similar).await };
                        // Half the time at most, so that the similar ones are found also when this fails.
                        contained(sample, Some((allowed / 2, &inner))).await.unwrap_or_default()
                    } else {
                        Vec::new()
                    };
                    let similar = similar + random.saturating_sub(members.len());
                    let nearest = async { directory.nearest(&fingerprint, similar).await };
                    let found = contained(nearest, Some((allowed, &inner))).await;
                    Input::Found { id, result: found.map(|similar| Candidates { similar, random: members }) }
                })
            }
            Output::Announce { domain, fingerprint } => {
                let Some(directory) = inner.directory.clone() else {
                    let now = inner.clock.now();
                    let result = inner.lock().announce_in_overlay(now, domain, &fingerprint);
                    return self.hand_in(Input::Announced { domain, result });
                };
                Box::pin(async move {
                    let author = inner.lock().router.author().identity.author();
                    let descriptor = Descriptor::new(author, inner.address.clone(), domain, fingerprint);
                    let announce = async { directory.announce(&descriptor).await };
                    let result = contained(announce, Some((ANNOUNCE_ALLOWED, &inner))).await;
                    Input::Announced { domain, result }
                })
            }
            Output::Commit(batch) => {
                self.commits += 1;
                Box::pin(async move {
                    let commit = async { inner.store.commit(batch).await };
                    // No time-out: whether an abandoned commit happened would be anybody's guess.
                    Input::Committed(contained(commit, None).await)
                })
            }
            Output::Event(event) => return self.inner.lock().tell(event),
            _ => return,
        };
        self.under_way.push(pending);
    }

    fn hand_in(&self, input: Input) {
        let now = self.inner.clock.now();
        let mut core = self.inner.lock();
        core.organisations.learn(&input);
        core.router.handle(now, input);
    }

    /// Sleeps until the next time-out of the router or the overlays. Returns whether one was handed in.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> bool {
        let due = self.inner.lock().next_timeout();
        if self.timer.as_ref().map(|(at, _)| *at) != due {
            self.timer = due.map(|due| {
                let wait = due.saturating_sub(self.inner.clock.now().elapsed);
                let inner = Arc::clone(&self.inner);
                let sleep: Pending<()> = Box::pin(async move { inner.clock.sleep(wait).await });
                (due, sleep)
            });
        }
        let fired = self.timer.as_mut().is_some_and(|(_, sleep)| sleep.as_mut().poll(context).is_ready());
        if fired {
            self.timer = None;
            let now = self.inner.clock.now();
            self.inner.lock().handle_timeout(now);
        }
        fired
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.inner.set_stopped();
        let now = self.inner.clock.now();
        let mut core = self.inner.lock();
        if self.commits > 0 {
            // Whoever drives next commits again; that the same rows may be there already does no harm.
            let error = HostError::new(HostErrorKind::Unavailable, "the driver was dropped during a commit");
            core.router.handle(now, Input::Committed(Err(error)));
        }
        // Those who wait see their senders gone, and report that the node was stopped.
        core.emissions.clear();
        core.pulls.clear();
        core.erasures.clear();
        core.listeners = Listeners::default();
        for tell in core.stopped.drain(..) {
            // Who asked may have stopped waiting.
            let _ = tell.send(());
        }
    }
}

impl Core {
    fn tell(&mut self, event: Event) {
        if let Some(event) = public(&event) {
            self.listeners.tell(&event);
        }
        // A waiter that is gone does not want to know; the sends below may fail for no other reason.
        match event {
            Event::Stored { emission, packet, order } => {
                if let Some((domain, change)) = self.pending.remove(&emission) {
                    self.change_own(domain, change);
                }
                if let Some(EmissionWaiter::Stored(_)) = self.emissions.get(&emission)
                    && let Some(EmissionWaiter::Stored(waiter)) = self.emissions.remove(&emission)
                {
                    let _ = waiter.send(Ok(Queued { emission, packet, order }));
                }
            }
            Event::Emitted(receipt) => {
                if let Some(EmissionWaiter::Over(waiter)) = self.emissions.remove(&receipt.emission) {
                    let _ = waiter.send(Ok(receipt));
                }
            }
            Event::EmissionFailed { emission, error } => {
                self.pending.remove(&emission);
                match self.emissions.remove(&emission) {
                    Some(EmissionWaiter::Stored(waiter)) => drop(waiter.send(Err(EmitError::Route(error)))),
                    Some(EmissionWaiter::Over(waiter)) => drop(waiter.send(Err(EmitError::Route(error)))),
                    None => {}
                }
            }
            Event::Pulled { pull, result } => {
                if let Some(waiter) = self.pulls.remove(&pull) {
                    let _ = waiter.send(result);
                }
            }
            Event::ProvenanceErased { before } => {
                for (_, waiter) in self.erasures.extract_if(.., |(wanted, _)| *wanted <= before) {
                    let _ = waiter.send(Ok(()));
                }
            }
            Event::StoreFailed { poisoned: true, .. } => {
                for (_, waiter) in self.erasures.drain(..) {
                    let _ = waiter.send(Err(EraseError::StorePoisoned));
                }
            }
            _ => {}
        }
    }
}

/// Hands one frame after the other to the transport, up to the first that fails.
async fn send(inner: &Inner, to: &Address, frames: &[Vec<u8>], allowed: Duration) -> Result<(), HostError> {
    for frame in frames {
        let send = async { inner.transport.send(to, frame, allowed).await };
        contained(send, Some((allowed, inner))).await?;
    }
    Ok(())
}

/// Runs a host's future within the time allowed, and turns a panic in it into an error.
pub(crate) async fn contained<T>(
    future: impl Future<Output = Result<T, HostError>>,
    allowed: Option<(Duration, &Inner)>,
) -> Result<T, HostError> {
    let caught = AssertUnwindSafe(future).catch_unwind();
    let guarded = async {
        caught.await.unwrap_or_else(|_| {
            Err(HostError::new(HostErrorKind::Panicked, "the host's implementation panicked"))
        })
    };
    let Some((allowed, inner)) = allowed else { return guarded.await };
    futures_util::pin_mut!(guarded);
    match futures_util::future::select(guarded, inner.clock.sleep(allowed)).await {
        futures_util::future::Either::Left((result, _)) => result,
        futures_util::future::Either::Right(_) => {
            Err(HostError::new(HostErrorKind::Timeout, "the time allowed was over"))
        }
    }
}
