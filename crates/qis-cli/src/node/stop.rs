//! The wish to end, which every task hears.

use tokio::sync::watch;

/// Why the node ends.
#[derive(Clone, Debug)]
pub(super) enum Reason {
    /// It was asked to, by this.
    Asked(&'static str),
    /// The store can't be used any more.
    Poisoned(String),
}

/// Tells all tasks that the node ends; clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Sender<Option<Reason>>);

impl Default for Stop {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Stop {
    /// Ends the node because somebody asked for it.
    pub(super) fn stop(&self, by: &'static str) {
        self.stop_for(Reason::Asked(by));
    }

    /// Ends the node. The first reason counts.
    pub(super) fn stop_for(&self, reason: Reason) {
        self.0.send_if_modified(|stored| {
            let first = stored.is_none();
            if first {
                *stored = Some(reason);
            }
            first
        });
    }

    /// Waits until the node ends.
    pub(super) async fn stopped(&self) {
        // The sender is this one, so it is there.
        let _ = self.0.subscribe().wait_for(Option::is_some).await;
    }

    pub(super) fn reason(&self) -> Option<Reason> {
        self.0.borrow().clone()
    }
}
