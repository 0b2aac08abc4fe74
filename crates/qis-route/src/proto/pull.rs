//! Asking others for the newest packets of a domain.

use qis_fingerprint::Fingerprint;
use qis_packet::{DomainTag, FrameKind};

use super::message::Query;
use super::router::{Asker, Timer};
use super::timer::TimerKey;
use super::{Event, Output, PayloadDecoder, PullId, Router};
use crate::{Address, HostError, Moment, Peer};

/// What a pull brought.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Pulled {
    /// Nodes that were asked.
    pub asked: usize,
    /// Nodes that answered in full.
    pub answered: usize,
    /// Packets that were new here.
    pub applied: usize,
    /// Packets that came in all.
    pub received: usize,
    /// Why there was nobody to ask.
    pub lookup_error: Option<HostError>,
}

/// Why a pull was not begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PullError {
    /// The node has no part in the domain.
    #[error("the domain {domain} is not one of this node's")]
    UnknownDomain {
        /// The domain.
        domain: DomainTag,
    },
    /// As many pulls as the configuration allows are under way.
    #[error("{limit} pulls are under way already")]
    QueueFull {
        /// The configured bound.
        limit: usize,
    },
}

/// A pull under way.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) domain: DomainTag,
    /// As its queries carry it.
    pub(super) fingerprint: Fingerprint,
    /// Whom it asks; none before the look-up.
    pub(super) asked: Vec<Asked>,
    pub(super) result: Pulled,
    /// When it asks again, and when it is over.
    pub(super) timers: Vec<TimerKey>,
}

#[derive(Debug)]
pub(super) struct Asked {
    pub(super) address: Address,
    pub(super) nonce: u64,
    /// The nonce of the first time of asking: answers to that are taken, and not counted any more.
    pub(super) earlier: Option<u64>,
    /// How many answers it announced.
    pub(super) total: Option<u8>,
    /// Which of them came, a bit each.
    pub(super) received: u32,
}

impl Asked {
    pub(super) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.received.count_ones() >= u32::from(total))
    }
}

impl Pull {
    pub(super) fn is_complete(&self) -> bool {
        self.asked.iter().all(Asked::is_complete)
    }

    /// The result, when all have answered or there is no more time.
    pub(super) fn finish(mut self) -> Pulled {
        self.result.asked = self.asked.len();
        self.result.answered = self.asked.iter().filter(|asked| asked.is_complete()).count();
        self.result
    }
}

impl<D: PayloadDecoder> Router<D> {
    /// Asks the nodes that the domain's [selection](Self::set_selection) chooses for `fingerprint` for their newest packets of the domain. Ends with [`Event::Pulled`].
    ///
    /// They are found by the fingerprint as it is given, and asked by it [as queries carry it](Self::compact).
    ///
    /// # Errors
    ///
    /// [`PullError`] when it was not begun.
    pub fn pull(
        &mut self,
        now: Moment,
        domain: DomainTag,
        fingerprint: Fingerprint,
    ) -> Result<PullId, PullError> {
        if !self.decoder.knows(&domain) {
            return Err(PullError::UnknownDomain { domain });
        }
        let limit = self.config.pulls.get();
        if self.pulls.len() >= limit {
            return Err(PullError::QueueFull { limit });
        }
        let id = PullId(self.count());
        let pull = Pull {
            domain,
            fingerprint: self.compact(fingerprint.clone()),
            asked: Vec::new(),
            result: Pulled::default(),
            timers: Vec::new(),
        };
        self.pulls.insert(id, pull);
        self.look_up(now, Asker::Pull(id), fingerprint, self.selection(domain));
        Ok(id)
    }

    pub(super) fn found_sources(&mut self, now: Moment, id: PullId, result: Result<Vec<Peer>, HostError>) {
        let Some(pull) = self.pulls.get_mut(&id) else { return };
        match result {
            Err(error) => pull.result.lookup_error = Some(error),
            Ok(peers) => {
                let ask = |peer: Peer| Asked {
                    address: peer.address,
                    nonce: self.nonces.next(),
                    earlier: None,
                    total: None,
                    received: 0,
                };
                pull.asked = peers.into_iter().map(ask).collect();
            }
        }
        self.ask(now, id);
        let over = self.config.pull_timeout;
        let timers = vec![
            self.timers.set(now.elapsed.saturating_add(over / 2), Timer::AskAgain(id)),
            self.timers.set(now.elapsed.saturating_add(over), Timer::PullOver(id)),
        ];
        if let Some(pull) = self.pulls.get_mut(&id) {
            pull.timers = timers;
        }
        self.finish_pull(id, false);
    }

    /// Asks those once more that have not answered in full. It says what has come since, so their answers are counted afresh.
    pub(super) fn ask_again(&mut self, now: Moment, id: PullId) {
        let Some(pull) = self.pulls.get_mut(&id) else { return };
        for asked in pull.asked.iter_mut().filter(|asked| !asked.is_complete()) {
            let nonce = self.nonces.next();
            asked.earlier = Some(std::mem::replace(&mut asked.nonce, nonce));
            (asked.total, asked.received) = (None, 0);
        }
        self.ask(now, id);
    }

    /// Sends the query to all that have not answered in full.
    fn ask(&mut self, now: Moment, id: PullId) {
        let Some(pull) = self.pulls.get(&id) else { return };
        let have: Vec<[u8; 4]> = self
            .inbox
            .in_force(pull.domain, now.wall)
            .filter_map(|(_, standing)| standing.id().as_bytes().first_chunk().copied())
            .take(Query::MAX_HAVE)
            .collect();
        let query = |asked: &Asked| {
            let query = Query {
                nonce: asked.nonce,
                domain: pull.domain,
                limit: self.config.answer_packets,
                fingerprint: pull.fingerprint.clone(),
                have: have.clone(),
            };
            (asked.address.clone(), query.encode())
        };
        let silent: Vec<_> = pull.asked.iter().filter(|asked| !asked.is_complete()).map(query).collect();
        for (to, frame) in silent {
            self.send(&to, FrameKind::Query, frame, 0);
        }
    }

    pub(super) fn finish_pull(&mut self, id: PullId, over: bool) {
        if !over && !self.pulls.get(&id).is_some_and(Pull::is_complete) {
            return;
        }
        if let Some(pull) = self.pulls.remove(&id) {
            for &timer in &pull.timers {
                self.timers.cancel(timer);
            }
            let event = Event::Pulled { pull: id, result: pull.finish() };
            self.urgent.push_back(Output::Event(event));
        }
    }
}
