//! Asking others for the newest packets of a domain.

use qis_fingerprint::Fingerprint;
use qis_packet::{DomainTag, FrameKind, OutcomePacket, PacketId};

use super::held::Held;
use super::intake::parked_in;
use super::message::{EVERY_SIMILARITY, Query};
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

/// Who wants to know what a pull brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The host.
    Host,
    /// The clock, which asks again soon.
    Sync,
}

/// A pull under way.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) domain: DomainTag,
    pub(super) purpose: Purpose,
    /// As its queries carry it.
    fingerprint: Fingerprint,
    /// Only packets above this similarity are taken.
    above: i8,
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
    /// Of the queries and answers.
    pub(super) bytes: usize,
}

impl Asked {
    const fn new(address: Address, nonce: u64) -> Self {
        Self { address, nonce, earlier: None, total: None, received: 0, bytes: 0 }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.received.count_ones() >= u32::from(total))
    }
}

impl Pull {
    pub(super) fn new(domain: DomainTag, fingerprint: Fingerprint, purpose: Purpose) -> Self {
        let (asked, timers) = (Vec::new(), Vec::new());
        let (above, result) = (EVERY_SIMILARITY, Pulled::default());
        Self { domain, purpose, fingerprint, above, asked, result, timers }
    }

    /// Asks for packets above this similarity only.
    pub(super) fn above(self, similarity: i8) -> Self {
        Self { above: similarity, ..self }
    }

    /// Whether it asked for a packet like this.
    pub(super) fn wants(&self, packet: &OutcomePacket) -> bool {
        packet.domain() == self.domain
            && (self.above == EVERY_SIMILARITY
                || Query::similarity(&self.fingerprint, packet.fingerprint()) > self.above)
    }

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
        if self.pulls.values().filter(|pull| pull.purpose == Purpose::Host).count() >= limit {
            return Err(PullError::QueueFull { limit });
        }
        let id = PullId(self.count());
        let pull = Pull::new(domain, self.compact(fingerprint.clone()), Purpose::Host);
        self.pulls.insert(id, pull);
        self.look_up(now, Asker::Pull(id), fingerprint, self.selection(domain));
        Ok(id)
    }

    pub(super) fn found_sources(&mut self, now: Moment, id: PullId, result: Result<Vec<Peer>, HostError>) {
        let Some(pull) = self.pulls.get_mut(&id) else { return };
        match result {
            Err(error) => pull.result.lookup_error = Some(error),
            Ok(peers) => {
                let ask = |peer: Peer| Asked::new(peer.address, self.nonces.next());
                pull.asked = peers.into_iter().map(ask).collect();
            }
        }
        let again = now.elapsed.saturating_add(self.config.pull_timeout / 2);
        pull.timers.push(self.timers.set(again, Timer::AskAgain(id)));
        self.begin_asking(now, id);
    }

    /// Asks nodes that are known already, each once.
    pub(super) fn pull_from(&mut self, now: Moment, mut pull: Pull, peers: Vec<Address>) {
        let id = PullId(self.count());
        pull.asked = peers.into_iter().map(|peer| Asked::new(peer, self.nonces.next())).collect();
        self.pulls.insert(id, pull);
        self.begin_asking(now, id);
    }

    fn begin_asking(&mut self, now: Moment, id: PullId) {
        self.ask(now, id);
        let over = now.elapsed.saturating_add(self.config.pull_timeout);
        let timer = self.timers.set(over, Timer::PullOver(id));
        if let Some(pull) = self.pulls.get_mut(&id) {
            pull.timers.push(timer);
        }
        self.finish_pull(now, id, false);
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
        // By a clock that was put right since, some of it may be due: what counts as held is not sent again.
        self.admit_parked(now);
        let Some(pull) = self.pulls.get_mut(&id) else { return };
        let mut held: Vec<PacketId> = Vec::new();
        for (_, standing) in self.inbox.in_force(pull.domain, now.wall) {
            held.push(*standing.id());
            held.extend(self.inbox.rotations().ids(standing.packet().author()));
        }
        held.extend(parked_in(&self.parked, pull.domain).map(|parked| parked.id));
        let mut silent = Vec::new();
        for asked in pull.asked.iter_mut().filter(|asked| !asked.is_complete()) {
            let query = Query {
                nonce: asked.nonce,
                domain: pull.domain,
                limit: self.config.answer_packets,
                above: pull.above,
                fingerprint: pull.fingerprint.clone(),
                held: Held::of(asked.nonce, held.iter()),
            };
            let frame = query.encode();
            asked.bytes += frame.len();
            silent.push((asked.address.clone(), frame));
        }
        for (to, frame) in silent {
            self.send(&to, FrameKind::Query, frame, 0);
        }
    }

    pub(super) fn finish_pull(&mut self, now: Moment, id: PullId, over: bool) {
        if !over && !self.pulls.get(&id).is_some_and(Pull::is_complete) {
            return;
        }
        if let Some(pull) = self.pulls.remove(&id) {
            for &timer in &pull.timers {
                self.timers.cancel(timer);
            }
            match pull.purpose {
                Purpose::Host => {
                    let event = Event::Pulled { pull: id, result: pull.finish() };
                    self.urgent.push_back(Output::Event(event));
                }
                Purpose::Sync => self.synced(now, &pull),
            }
        }
    }
}
