//! No address has more frames looked at than its rate allows.

use std::collections::BTreeMap;
use std::time::Duration;

use qis::{Address, Rate, Refusal, Verdict};

use super::{Violation, holds};

const NAME: &str = "rate of an address";

#[derive(Debug)]
pub(in crate::simulate) struct Rates {
    rate: Rate,
    /// When a life of a site first had a frame of an address, and how many it looked at since.
    looked_at: BTreeMap<(usize, u64, Address), (Duration, u32)>,
}

impl Rates {
    pub(super) const fn new(rate: Rate) -> Self {
        Self { rate, looked_at: BTreeMap::new() }
    }

    /// A node judged a liar's frame.
    pub(in crate::simulate) fn check(
        &mut self,
        now: Duration,
        (site, life): (usize, u64),
        from: &Address,
        verdict: Verdict,
    ) -> Result<(), Violation> {
        if verdict == Verdict::Refused(Refusal::PeerRate) {
            return Ok(());
        }
        let (since, count) = self.looked_at.entry((site, life, from.clone())).or_insert((now, 0));
        *count += 1;
        let passed = now.saturating_sub(*since).as_secs_f64();
        let most = f64::from(self.rate.burst) + self.rate.per_second * passed + 1.0;
        holds(NAME, f64::from(*count) <= most, || {
            format!("site {site} looked at {count} frames of {from} in {passed:.3} s")
        })
    }
}
