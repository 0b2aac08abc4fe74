//! Jobs that do not depend on each other, on several threads.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// As many threads as there are processors.
pub(crate) fn threads() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// What became of the jobs, in their order, whoever was done first; or of those that failed the first, after which no further job is begun.
///
/// `ended` is told of each job that has ended, by the thread that did it.
pub(crate) fn run<J: Sync, T: Send, E: Send>(
    jobs: &[J],
    threads: usize,
    work: impl Fn(&J) -> Result<T, E> + Sync,
    ended: impl Fn(&J) + Sync,
) -> Result<Vec<T>, E> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(jobs.len()));
    let take_jobs = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(at) else { break };
            let result = work(job);
            if result.is_err() {
                // Nobody needs the rest. What comes before has been begun, so that the first error is the same on any number of threads.
                next.store(jobs.len(), Ordering::Relaxed);
            }
            results.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
            ended(job);
        }
    };
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads.min(jobs.len())).map(|_| scope.spawn(take_jobs)).collect();
        for thread in running {
            // A panic of a thread is one of this program.
            thread.join().unwrap_or_else(|panic| resume_unwind(panic));
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        let jobs: Vec<u32> = (0..100).collect();
        for threads in [1, 4] {
            let ended = AtomicUsize::new(0);
            let count = |_: &u32| {
                ended.fetch_add(1, Ordering::Relaxed);
            };
            let squares = run(&jobs, threads, |job| Ok::<_, ()>(job * job), count);
            assert_eq!(squares, Ok(jobs.iter().map(|job| job * job).collect()));
            assert_eq!(ended.into_inner(), 100);
        }
        assert_eq!(run(&[], 4, |_: &u32| Ok::<u32, ()>(0), |_| ()), Ok(vec![]));
    }

    #[test]
    fn the_first_failure_is_told_and_ends_it() {
        let jobs: Vec<u32> = (0..10_000).collect();
        for threads in [1, 4] {
            let done = AtomicUsize::new(0);
            let work = |&job: &u32| if job >= 7 { Err(job) } else { Ok(job) };
            let count = |_: &u32| {
                done.fetch_add(1, Ordering::Relaxed);
            };
            let failed = run(&jobs, threads, work, count);
            assert_eq!(failed, Err(7));
            assert!(done.into_inner() < 100);
        }
    }
}
