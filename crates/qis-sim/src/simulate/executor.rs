//! Runs futures on one thread, in an order that a seed repeats.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A task; whose it is says its owner.
pub(super) type Pending = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Tasks, and a queue of those that have been woken: first woken, first polled.
///
/// Nothing here depends on time, addresses or other threads, so the same wakes give the same order.
#[derive(Default)]
pub(super) struct Executor {
    tasks: BTreeMap<u64, Task>,
    ready: Arc<Ready>,
    counter: u64,
    /// Woken tasks of owners that stand still.
    held: BTreeMap<usize, Vec<u64>>,
}

struct Task {
    owner: usize,
    future: Pending,
    wake: Arc<TaskWake>,
}

#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

struct TaskWake {
    task: u64,
    /// Whether it is in the queue already.
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Ready {
    fn push(&self, task: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
    }

    fn pop(&self) -> Option<u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Wake for TaskWake {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.push(self.task);
        }
    }
}

impl Executor {
    /// Takes a task in; it is polled with the next [`run`](Self::run).
    pub(super) fn spawn(&mut self, owner: usize, future: impl Future<Output = ()> + Send + 'static) {
        self.counter += 1;
        let task = self.counter;
        let wake =
            Arc::new(TaskWake { task, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        wake.wake_by_ref();
        self.tasks.insert(task, Task { owner, future: Box::pin(future), wake });
    }

    /// Polls what has been woken until nothing is left of it. Tasks of owners that stand still are kept for [`release`](Self::release).
    pub(super) fn run(&mut self, stands_still: impl Fn(usize) -> bool) {
        while let Some(id) = self.ready.pop() {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            if stands_still(task.owner) {
                self.held.entry(task.owner).or_default().push(id);
                continue;
            }
            task.wake.queued.store(false, Ordering::Relaxed);
            let waker = Waker::from(Arc::clone(&task.wake));
            if let Poll::Ready(()) = task.future.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.tasks.remove(&id);
            }
        }
    }

    /// An owner goes on: what was woken meanwhile is polled.
    pub(super) fn release(&mut self, owner: usize) {
        for task in self.held.remove(&owner).unwrap_or_default() {
            self.ready.push(task);
        }
    }

    /// Drops all tasks of an owner, wherever they are.
    pub(super) fn kill(&mut self, owner: usize) {
        self.held.remove(&owner);
        let of_owner = |(&id, task): (&u64, &Task)| (task.owner == owner).then_some(id);
        let killed: Vec<u64> = self.tasks.iter().filter_map(of_owner).collect();
        for task in killed {
            self.tasks.remove(&task);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    fn log(log: &Arc<Mutex<Vec<&'static str>>>, word: &'static str) {
        log.lock().unwrap().push(word);
    }

    #[test]
    fn first_woken_is_first_polled_and_who_stands_still_waits() {
        let mut executor = Executor::default();
        let said = Arc::new(Mutex::new(Vec::new()));
        for (owner, word) in [(0, "a"), (1, "b"), (2, "c")] {
            let said = Arc::clone(&said);
            let mut polled = false;
            executor.spawn(
                owner,
                poll_fn(move |context| {
                    log(&said, word);
                    if std::mem::replace(&mut polled, true) {
                        return Poll::Ready(());
                    }
                    context.waker().wake_by_ref();
                    Poll::Pending
                }),
            );
        }
        executor.kill(2);
        executor.run(|owner| owner == 1);
        assert_eq!(*said.lock().unwrap(), ["a", "a"]);
        executor.release(1);
        executor.run(|_| false);
        assert_eq!(*said.lock().unwrap(), ["a", "a", "b", "b"]);
        assert!(executor.tasks.is_empty());
    }
}
