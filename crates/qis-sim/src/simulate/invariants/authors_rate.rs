//! No author has more packets applied at a site than its rate allows.

use std::collections::BTreeMap;
use std::time::Duration;

use qis::{AuthorId, Rate};

use super::{Stored, Violation, Who, holds};

const NAME: &str = "rate of an author";
/// What was applied before a pause may become durable after it.
const LATE: f64 = 20.0;

#[derive(Debug)]
pub(super) struct AuthorsRate {
    rate: Rate,
    /// Since when a life of a site may have applied something of an author, and how many became durable since.
    applied: BTreeMap<(usize, u64, AuthorId), (Duration, u32)>,
    /// When packets last became durable in a life of a site, and when before that: what a full disk holds up was applied in between.
    commits: BTreeMap<(usize, u64), [Duration; 2]>,
}

impl AuthorsRate {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, applied: BTreeMap::new(), commits: BTreeMap::new() }
    }

    pub(super) fn check(&mut self, stored: &Stored<'_>) -> Result<(), Violation> {
        let [last, before] = self.commits.entry((stored.site, stored.life)).or_insert([stored.now; 2]);
        if *last < stored.now {
            (*last, *before) = (stored.now, *last);
        }
        let earliest = *before;
        // Honest ones are far below.
        let Who::Liar(author) = stored.who else { return Ok(()) };
        let place = (stored.site, stored.life, author);
        let (since, count) = self.applied.entry(place).or_insert((earliest, 0));
        *count += 1;
        let passed = stored.now.saturating_sub(*since).as_secs_f64();
        let most = f64::from(self.rate.burst) + self.rate.per_second * (passed + LATE);
        holds(NAME, f64::from(*count) <= most, || {
            format!("site {} applied {count} packets of {author} in {passed:.0} s", stored.site)
        })
    }
}
