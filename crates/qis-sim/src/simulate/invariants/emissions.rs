//! A node emits what its host asks for and what the clock states again, at most once a minute a domain; receiving emits nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Stored, Violation, holds};

const NAME: &str = "emissions";
/// Domains of a site.
const DOMAINS: u64 = 2;

#[derive(Debug, Default)]
pub(in crate::simulate) struct Emissions {
    lives: BTreeMap<(usize, u64), Life>,
}

#[derive(Debug, Default)]
struct Life {
    /// What the host asked for.
    asked: u64,
    stored: u64,
    since: Duration,
}

impl Emissions {
    /// A life begins.
    pub(in crate::simulate) fn begin(&mut self, site: usize, life: u64, since: Duration) {
        self.lives.insert((site, life), Life { since, ..Life::default() });
    }

    /// The host asks for an emission.
    pub(in crate::simulate) fn ask(&mut self, site: usize, life: u64) {
        self.lives.entry((site, life)).or_default().asked += 1;
    }

    pub(super) fn check(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        let life = self.lives.entry((stored.site, stored.life)).or_default();
        life.stored += 1;
        let minutes = stored.now.saturating_sub(life.since).as_secs() / 60;
        let most = life.asked + DOMAINS * (minutes + 1);
        holds(NAME, life.stored <= most, || {
            let Life { asked, stored: emitted, .. } = life;
            format!(
                "site {} emitted {emitted} packets in {minutes} min, its host asked for {asked}",
                stored.site
            )
        })
    }
}
