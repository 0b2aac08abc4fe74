//! A failure at each call to the medium in turn: what was acknowledged is there, and no batch in part.

use std::sync::Arc;

use qis_route::{Batch, HostErrorKind, Store};

use super::history::{content, history, model};
use super::{Fault, Medium, Setup};
use crate::runner::{Outcome, Stop, broken, ensure};

use super::checks::{ALL_OR_NONE, CORRUPT, FULL, SURVIVES};

/// Calls of a history at most; a store that makes more is given up.
const MOST_CALLS: u64 = 20_000;
const NO_MEDIUM: &str = "no medium that can fail was given: see `Suite::crashing` and `Suite::on_disk`";

/// What became of a history.
struct Written {
    acknowledged: usize,
    error: Option<HostErrorKind>,
}

/// Writes a history until it fails.
async fn write(store: &dyn Store, history: &[Batch]) -> Written {
    for (acknowledged, batch) in history.iter().enumerate() {
        if let Err(error) = store.commit(batch.clone()).await {
            return Written { acknowledged, error: Some(error.kind()) };
        }
    }
    Written { acknowledged: history.len(), error: None }
}

impl Setup {
    /// A medium with a store on it that holds nothing.
    async fn medium(&self) -> Result<Box<dyn Medium>, Stop> {
        let new = self.medium.as_ref().ok_or(Stop::LeftOut(NO_MEDIUM))?;
        let medium = new();
        drop(open(&*medium, "on a new medium").await?);
        Ok(medium)
    }
}

async fn open(medium: &dyn Medium, when: &str) -> Result<Box<dyn Store>, Stop> {
    let opened = medium.open().await;
    opened.map_err(|error| Stop::Failed(format!("the store could not be opened {when}: {error}")))
}

/// Whether there are more calls to fail at.
fn goes_on(medium: &dyn Medium, call: u64) -> Result<bool, Stop> {
    if call >= MOST_CALLS {
        return Err(Stop::Failed(format!("a history of four batches makes more than {MOST_CALLS} calls")));
    }
    Ok(medium.has_failed())
}

/// Checks that a medium holds the acknowledged batches and perhaps one more, whole, and can be written to.
async fn ensure_holds(medium: &dyn Medium, acknowledged: usize, when: &str) -> Outcome {
    let history = history();
    let store = medium.open().await;
    let store = store.map_err(|error| {
        broken(
            SURVIVES,
            format!("{when}: {acknowledged} batches were acknowledged, and it does not open: {error}"),
        )
    })?;
    let found = content(&*store).await?;
    let next = (acknowledged + 1).min(history.len());
    let prefix = |batches: usize| model(history.get(..batches).unwrap_or_default());
    if ![acknowledged, next].into_iter().any(|batches| prefix(batches) == found) {
        let known = (0..=history.len()).find(|&batches| prefix(batches) == found);
        return Err(match known {
            Some(batches) => broken(
                SURVIVES,
                format!("{when}: {acknowledged} batches were acknowledged, and those there are {batches}"),
            ),
            None => broken(
                ALL_OR_NONE,
                format!("{when}: what is there is neither {acknowledged} batches nor {next}"),
            ),
        });
    }
    let again = store.commit(history.first().cloned().unwrap_or_default()).await;
    again.map_err(|error| Stop::Failed(format!("{when}: opened again, it takes no commit: {error}")))
}

/// Fails in a way at each call in turn.
async fn survives(setup: &Setup, fault: Fault) -> Outcome {
    for call in 0.. {
        let (medium, when) = (setup.medium().await?, format!("after {fault:?} at call {call}"));
        medium.fail_at(call, fault);
        let mut written = Written { acknowledged: 0, error: None };
        if let Ok(store) = medium.open().await {
            written = write(&*store, &history()).await;
            if fault == Fault::Sync && written.error.is_some() {
                medium.heal();
                let again = store.commit(Batch::default()).await.map_err(|error| error.kind());
                ensure(again == Err(HostErrorKind::Corrupt), CORRUPT, || {
                    format!("{when}: the next commit gave {again:?}")
                })?;
                let again = store.commit(history().swap_remove(0)).await.map_err(|error| error.kind());
                ensure(again == Err(HostErrorKind::Corrupt), CORRUPT, || {
                    format!("{when}: a later commit gave {again:?}")
                })?;
            }
        }
        let has_failed = goes_on(&*medium, call)?;
        medium.heal();
        let Written { acknowledged, .. } = written;
        for seed in 0..2 {
            let after = medium.after_power_loss(call.wrapping_mul(2) + seed);
            ensure_holds(&*after, acknowledged, &format!("{when}, power lost")).await?;
        }
        ensure_holds(&*medium.after_kill(), acknowledged, &format!("{when}, process killed")).await?;
        if !has_failed {
            return Ok(());
        }
    }
    Ok(())
}

pub(super) async fn acknowledged_batches_survive_a_failed_write(setup: Arc<Setup>) -> Outcome {
    survives(&setup, Fault::Write).await
}

pub(super) async fn acknowledged_batches_survive_half_a_write(setup: Arc<Setup>) -> Outcome {
    survives(&setup, Fault::TornWrite).await
}

pub(super) async fn after_a_failed_sync_no_commit_succeeds(setup: Arc<Setup>) -> Outcome {
    survives(&setup, Fault::Sync).await
}

pub(super) async fn acknowledged_batches_survive_a_disk_without_any_room(setup: Arc<Setup>) -> Outcome {
    survives(&setup, Fault::FullForAll).await
}

pub(super) async fn a_full_disk_is_full_and_goes_on_once_there_is_room(setup: Arc<Setup>) -> Outcome {
    let history = history();
    for call in 0.. {
        let (medium, when) = (setup.medium().await?, format!("full from call {call} on"));
        medium.fail_at(call, Fault::Full);
        let store = match medium.open().await {
            Ok(store) => store,
            Err(_) => {
                // It may need room to open, and then has to open once there is some.
                medium.heal();
                open(&*medium, "once there was room").await?
            }
        };
        for (at, batch) in history.iter().enumerate() {
            let Err(error) = store.commit(batch.clone()).await else { continue };
            let kind = error.kind();
            ensure(kind == HostErrorKind::Full, FULL, || format!("{when}: a commit failed with {error}"))?;
            let before = model(history.get(..at).unwrap_or_default());
            ensure(content(&*store).await? == before, ALL_OR_NONE, || {
                format!("{when}: a commit failed, and what is there has changed")
            })?;
            medium.heal();
            let again = store.commit(batch.clone()).await;
            again.map_err(|error| {
                broken(FULL, format!("{when}: there is room again, and a commit gave {error}"))
            })?;
        }
        let found = content(&*store).await?;
        ensure(found == model(&history), ALL_OR_NONE, || format!("{when}: a batch is missing"))?;
        drop(store);
        let has_failed = goes_on(&*medium, call)?;
        medium.heal();
        ensure_holds(&*medium.after_power_loss(call), history.len(), &format!("{when}, power lost")).await?;
        if !has_failed {
            return Ok(());
        }
    }
    Ok(())
}
