//! Running the checks of a suite: each on a thread of its own, so that one that panics or blocks for ever is named like any other.

use std::error::Error;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::Builder;
use std::time::{Duration, Instant};

use qis_route::HostError;

use crate::alarm::within;
use crate::report::{Failures, LeftOut, Report, Violation};
use crate::requirement::Requirement;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;
pub(crate) type Local<T> = Pin<Box<dyn Future<Output = T>>>;
/// What runs the futures of a suite: the host's runtime.
type Executor = dyn Fn(Local<()>) + Send + Sync;

/// How long anything may take that a check waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How often that a single call may compute.
pub(crate) const PATIENCES_A_CALL: u32 = 4;
/// A call that computes for this part of the patience blocks its thread.
const BLOCKS: u32 = 2;
/// How often as long as a call a whole check may take.
const LIMITS_A_CHECK: u32 = 10;
/// Between two looks at a check.
const LOOKS: Duration = Duration::from_millis(50);

/// Why a check ended early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A sentence does not hold.
    Broken { sentence: &'static str, found: String },
    /// A call failed that has no reason to, or nothing could be opened.
    Failed(String),
    /// What the check needs was not given.
    LeftOut(&'static str),
}

impl Stop {
    pub(crate) fn failed(what: &str, error: impl Display) -> Self {
        Self::Failed(format!("{what}: {error}"))
    }
}

/// A sentence does not hold.
pub(crate) fn broken(sentence: &'static str, found: impl Into<String>) -> Stop {
    Stop::Broken { sentence, found: found.into() }
}

/// Checks that what a sentence says is so.
pub(crate) fn ensure(
    holds: bool,
    sentence: &'static str,
    found: impl FnOnce() -> String,
) -> Result<(), Stop> {
    if holds { Ok(()) } else { Err(broken(sentence, found())) }
}

pub(crate) type Outcome = Result<(), Stop>;

/// One check of a suite.
pub(crate) struct Check<C> {
    pub(crate) name: &'static str,
    /// The sentences it is for.
    pub(crate) sentences: &'static [&'static str],
    /// How often the patience a call may compute.
    pub(crate) patiences: u32,
    pub(crate) run: fn(Arc<C>) -> Local<Outcome>,
}

/// A check out of the function of its name, which is async and takes what it needs as an `Arc`.
macro_rules! check {
    ($name:ident, [$($sentence:expr),* $(,)?]) => {
        crate::runner::check!($name, [$($sentence),*], crate::runner::PATIENCES_A_CALL)
    };
    ($name:ident, [$($sentence:expr),* $(,)?], $patiences:expr) => {
        crate::runner::Check {
            name: stringify!($name),
            sentences: &[$($sentence),*],
            patiences: $patiences,
            run: |context| Box::pin($name(context)),
        }
    };
}
pub(crate) use check;

/// What any check may find, whatever it is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Always {
    /// The trait.
    pub(crate) of: &'static str,
    /// The sentence that says that it does not panic.
    pub(crate) panics: &'static str,
    /// The sentence that says that a call returns; none where nothing is said.
    pub(crate) ends: Option<&'static str>,
    /// The sentence that says that it does so at once and waits as a future; none where it may compute.
    pub(crate) waits: Option<&'static str>,
}

/// Watches the calls of an implementation: since when one computes, and how long one did at most.
#[derive(Debug, Default)]
pub(crate) struct Watch(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    since: Option<Instant>,
    slowest: Duration,
}

impl Watch {
    /// The result of an implementation's future, or none when it takes longer than this.
    pub(crate) async fn call<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        within(limit, poll_fn(|context| self.compute(|| future.as_mut().poll(context)))).await
    }

    /// What an implementation computes without waiting.
    pub(crate) fn compute<T>(&self, compute: impl FnOnce() -> T) -> T {
        let begin = Instant::now();
        self.lock().since = Some(begin);
        let computed = compute();
        let mut watched = self.lock();
        watched.since = None;
        watched.slowest = watched.slowest.max(begin.elapsed());
        computed
    }

    /// For how long the call has computed that does so now.
    fn computing(&self) -> Option<Duration> {
        self.lock().since.map(|since| since.elapsed())
    }

    fn slowest(&self) -> Duration {
        self.lock().slowest
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a check is given, if it can be watched.
pub(crate) trait Context: Send + Sync + 'static {
    fn watch(&self) -> &Watch;
    fn patience(&self) -> Duration;

    /// What a call gives, in time.
    async fn in_time<T>(&self, what: &str, call: impl Future<Output = T>) -> Result<T, Stop> {
        let called = self.watch().call(self.patience(), call).await;
        called.ok_or_else(|| Stop::Failed(format!("{what} had not ended after {:?}", self.patience())))
    }

    /// What a call gives, in time and without an error: there is no reason for one.
    async fn call<T>(&self, what: &str, call: impl Future<Output = Result<T, HostError>>) -> Result<T, Stop> {
        self.in_time(what, call).await?.map_err(|error| Stop::failed(what, error))
    }
}

/// Runs all checks, one after the other; each with a context of its own, so that what one leaves behind is in no other's way.
pub(crate) fn run<C: Context>(
    checks: &[Check<C>],
    always: Always,
    context: impl Fn() -> C,
    executor: impl Fn(Local<()>) + Send + Sync + 'static,
) -> Result<Report, Failures> {
    let executor: Arc<Executor> = Arc::new(executor);
    let mut report = Report::default();
    let mut violations = Vec::new();
    for check in checks {
        let (sentence, found) = match run_one(check, always, &Arc::new(context()), &executor) {
            Ok(()) => {
                report.passed.push(check.name);
                continue;
            }
            Err(Stop::LeftOut(why)) => {
                report.left_out.push(LeftOut { check: check.name, why });
                continue;
            }
            Err(Stop::Broken { sentence, found }) => (Some(sentence), found),
            Err(Stop::Failed(found)) => (None, found),
        };
        violations.push(Violation { check: check.name, sentence, found });
    }
    if violations.is_empty() {
        Ok(report)
    } else {
        Err(Failures { of: always.of, violations, passed: report.passed.len() })
    }
}

fn run_one<C: Context>(
    check: &Check<C>,
    always: Always,
    context: &Arc<C>,
    executor: &Arc<Executor>,
) -> Outcome {
    let (tell, told) = channel();
    let (run, theirs, executor) = (check.run, Arc::clone(context), Arc::clone(executor));
    let thread = Builder::new().name(check.name.to_owned()).spawn(move || {
        let slot = Arc::new(Mutex::new(None));
        let result = Arc::clone(&slot);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            executor(Box::pin(async move {
                let outcome = run(theirs).await;
                *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
            }));
        }));
        let outcome = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = match (caught, outcome) {
            (Err(panic), _) => Err(broken(always.panics, format!("it panicked: {}", words(&*panic)))),
            (Ok(()), Some(outcome)) => outcome,
            (Ok(()), None) => Err(Stop::Failed("the executor returned before the future ended".to_owned())),
        };
        // Nobody waits for it any more if it took too long.
        let _ = tell.send(outcome);
    });
    thread.map_err(|error| Stop::failed("no thread to run on", error))?;
    let outcome = wait(&told, context.patience() * check.patiences, context.watch(), always);
    let slowest = context.watch().slowest();
    match (outcome, always.waits) {
        (Ok(()), Some(sentence)) if slowest > context.patience() / BLOCKS => {
            Err(broken(sentence, format!("one poll took {slowest:?}")))
        }
        (outcome, _) => outcome,
    }
}

/// Waits for the end of a check, unless a call computes for longer than the limit, or all of it takes many times as long.
fn wait(told: &Receiver<Outcome>, limit: Duration, watch: &Watch, always: Always) -> Outcome {
    let begin = Instant::now();
    loop {
        match told.recv_timeout(limit.min(LOOKS)) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Disconnected) => return Err(Stop::Failed("its thread ended".to_owned())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if watch.computing().is_some_and(|time| time > limit) {
            let found = format!("a call had not returned after {limit:?}");
            return Err(match always.ends {
                Some(sentence) => broken(sentence, found),
                None => Stop::Failed(found),
            });
        }
        if begin.elapsed() > LIMITS_A_CHECK * limit {
            return Err(Stop::Failed(format!("it had not ended after {:?}", begin.elapsed())));
        }
    }
}

fn words(panic: &(dyn std::any::Any + Send)) -> &str {
    let literal = panic.downcast_ref::<&str>().copied();
    literal.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

/// Polls a future so often and drops it, as a driver that has given it up.
pub(crate) async fn poll_and_drop(times: usize, future: impl Future) {
    let mut future = Box::pin(future);
    let mut left = times;
    poll_fn(|context| {
        if left == 0 || future.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Every sentence that a suite knows, each once: those that are checked, then the others.
pub(crate) fn requirements<C>(
    checks: &[Check<C>],
    always: Always,
    unchecked: &[Requirement],
) -> Vec<Requirement> {
    let mut all: Vec<Requirement> = Vec::new();
    let always = [Some(always.panics), always.ends, always.waits].into_iter().flatten();
    let checked = checks.iter().flat_map(|check| check.sentences.iter().copied()).chain(always);
    for requirement in checked.map(Requirement::checked).chain(unchecked.iter().copied()) {
        if all.iter().all(|known| known.sentence != requirement.sentence) {
            all.push(requirement);
        }
    }
    all
}
