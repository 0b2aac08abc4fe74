//! No address has more frames looked at than its rate allows, as long as a node can remember the address.

use std::collections::BTreeMap;
use std::time::Duration;

use qis::{Address, Rate, Refusal, RouterConfig, Verdict};

use super::{Violation, holds};

const NAME: &str = "rate of an address";

#[derive(Debug)]
pub(in crate::simulate) struct Rates {
    rate: Rate,
    /// How many addresses a node remembers.
    memory: usize,
    /// What a life of a site remembers.
    heard: BTreeMap<(usize, u64), Heard>,
}

/// The addresses that were heard last.
#[derive(Debug, Default)]
struct Heard {
    by_address: BTreeMap<Address, LookedAt>,
    frames: u64,
}

#[derive(Debug)]
struct LookedAt {
    since: Duration,
    count: u32,
    /// How many frames of all addresses had come by its last one.
    last: u64,
}

impl Rates {
    pub(super) fn new(config: &RouterConfig) -> Self {
        Self { rate: config.peer_rate, memory: config.rates.get(), heard: BTreeMap::new() }
    }

    /// A node judged a frame, a liar's or not.
    ///
    /// An address that was longest silent is forgotten for a new one, and starts again: so a liar of many addresses is looked at
    /// more often than by their rates, and a node's memory is bounded.
    pub(in crate::simulate) fn check(
        &mut self,
        now: Duration,
        life: (usize, u64),
        from: &Address,
        verdict: Verdict,
    ) -> Result<(), Violation> {
        let heard = self.heard.entry(life).or_default();
        heard.frames += 1;
        let frames = heard.frames;
        if !heard.by_address.contains_key(from) {
            if heard.by_address.len() >= self.memory {
                heard.forget_the_longest_silent();
            }
            heard.by_address.insert(from.clone(), LookedAt { since: now, count: 0, last: frames });
        }
        let Some(of) = heard.by_address.get_mut(from) else { return Ok(()) };
        of.last = frames;
        if verdict == Verdict::Refused(Refusal::PeerRate) {
            return Ok(());
        }
        of.count += 1;
        let passed = now.saturating_sub(of.since).as_secs_f64();
        let most = f64::from(self.rate.burst) + self.rate.per_second * passed + 1.0;
        holds(NAME, f64::from(of.count) <= most, || {
            format!("site {} looked at {} frames of {from} in {passed:.3} s", life.0, of.count)
        })
    }
}

impl Heard {
    fn forget_the_longest_silent(&mut self) {
        let longest =
            self.by_address.iter().min_by_key(|(_, of)| of.last).map(|(address, _)| address.clone());
        if let Some(address) = longest {
            self.by_address.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;

    fn rates() -> Rates {
        let config = RouterConfig {
            peer_rate: Rate { per_second: 1.0, burst: 2 },
            rates: NonZeroUsize::new(2).unwrap(),
            ..RouterConfig::default()
        };
        Rates::new(&config)
    }

    fn looked_at(rates: &mut Rates, from: &str) -> bool {
        let verdict = Verdict::Refused(Refusal::Malformed);
        rates.check(Duration::ZERO, (0, 0), &from.parse().unwrap(), verdict).is_ok()
    }

    #[test]
    fn more_than_the_burst_breaks_it() {
        let mut rates = rates();
        // One more than the burst, for what is between two ticks of a clock.
        assert!((0..3).all(|_| looked_at(&mut rates, "liar")));
        assert!(looked_at(&mut rates, "site"), "another address has its own");
        assert!(!looked_at(&mut rates, "liar"));
    }

    #[test]
    fn an_address_that_others_crowd_out_starts_again() {
        let mut rates = rates();
        assert!((0..3).all(|_| looked_at(&mut rates, "liar")));
        assert!(["one", "other"].iter().all(|from| looked_at(&mut rates, from)));
        assert!((0..3).all(|_| looked_at(&mut rates, "liar")));
        assert!(!looked_at(&mut rates, "liar"));
    }
}
