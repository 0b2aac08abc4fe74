//! Emissions: from an outcome to the word of its recipients.

use std::time::Duration;

use qis_packet::{DomainTag, Draft, FrameKind, OutcomePacket, Payload, SKEW_SECONDS, Timestamp, planted};

use super::message::{Acknowledgement, PacketMessage, Status};
use super::outbox::{Emission, Phase, Recipient};
use super::own::Origin;
use super::router::{Asker, Effect, Sending, Timer};
use super::{Delivery, EmissionId, EmitError, Event, PayloadDecoder, Router, SendId};
use crate::{Address, HostError, Moment, Operation, Peer, Selection, Table};

/// Renewed when two thirds of its lifetime are over.
const RENEW_AT: (u64, u64) = (2, 3);
/// No sooner than this after the last one, whatever the clocks say.
const RENEW_PAUSE: Duration = Duration::from_secs(60);

/// No later than this, since the wall clock may have been set in the meantime.
const RENEW_LOOK: Duration = Duration::from_secs(3600);

impl<D: PayloadDecoder> Router<D> {
    /// Emits an outcome: makes it this node's standing packet, durably, then sends it to the nodes that the domain's
    /// [selection](Self::set_selection) chooses for its fingerprint.
    ///
    /// The packet keeps to the draft's bounds of size and to the [configuration's](super::RouterConfig::max_packet_bytes); when the clock
    /// states it again, only the latter are known.
    ///
    /// # Errors
    ///
    /// [`EmitError`] when the outcome is refused; nothing has changed then. A failure of the store comes later, as
    /// [`Event::EmissionFailed`].
    pub fn emit(&mut self, now: Moment, draft: Draft, origin: Origin<'_>) -> Result<EmissionId, EmitError> {
        self.emit_chosen(now, draft, origin, None)
    }

    /// The same, with a selection for this time. After a restart, and when the clock states the outcome again, it is the domain's again.
    ///
    /// # Errors
    ///
    /// [`EmitError::Selection`], and those of [`emit`](Self::emit).
    pub fn emit_to(
        &mut self,
        now: Moment,
        draft: Draft,
        origin: Origin<'_>,
        selection: Selection,
    ) -> Result<EmissionId, EmitError> {
        selection.validate()?;
        self.emit_chosen(now, draft, origin, Some(selection))
    }

    fn emit_chosen(
        &mut self,
        now: Moment,
        draft: Draft,
        origin: Origin<'_>,
        selection: Option<Selection>,
    ) -> Result<EmissionId, EmitError> {
        if self.poisoned {
            return Err(EmitError::StorePoisoned);
        }
        let limit = self.config.emissions.get();
        if self.emissions.len() >= limit {
            return Err(EmitError::QueueFull { limit });
        }
        if self.is_busy() {
            return Err(EmitError::Busy);
        }
        let order = self.own.peek(now.wall);
        let given = draft.fingerprint().clone();
        let verified = self.author.seal(self.config.bound(draft), origin, order, now.wall)?;
        let packet = verified.clone().into_packet();
        let domain = packet.domain();
        if !self.decoder.knows(&domain) {
            return Err(EmitError::UnknownDomain { domain });
        }
        let content = match packet.payload() {
            Payload::Retraction => None,
            _ => Some(self.decoder.decode(&packet)?),
        };

        let used_up = planted!(NumberNotKept).then(|| self.own.row());
        self.own.take();
        let id = EmissionId(self.count());
        let (standing, row) = self.inbox.prepare(verified, content);
        // What the clock states again, and what is withdrawn, comes as it travelled.
        let fingerprint = if given.is_compact() { self.exact(&packet) } else { given };
        let emission = Emission::new(packet, fingerprint, selection.unwrap_or(self.selection(domain)));
        let value = used_up.unwrap_or_else(|| self.own.row());
        let order = Operation::Put { table: Table::Order, key: Vec::new(), value };
        for operation in [row, emission.row(), order] {
            self.journal.stage(operation, Some(id));
        }
        self.unapplied.insert(id, standing);
        self.emissions.insert(id, emission);
        if planted!(SentBeforeCommit) {
            self.perform(now, Effect::StartEmission(id));
        } else {
            self.after_commit(now, Effect::StartEmission(id));
        }
        self.stats.emissions = self.stats.emissions.saturating_add(1);
        self.pump();
        Ok(id)
    }

    /// An own packet is durable: it stands from now on, here and in answers, and the node is found by it.
    pub(super) fn stand(&mut self, now: Moment, id: EmissionId) {
        let Some(standing) = self.unapplied.remove(&id) else { return };
        let (domain, travels) = (standing.packet().domain(), standing.packet().fingerprint().clone());
        let exact = self.emissions.get(&id).map(|emission| emission.fingerprint.clone());
        let fingerprint = exact.unwrap_or_else(|| travels.clone());
        let retraction = standing.content().is_none();
        self.inbox.place(standing);
        self.restate.remove(&domain);
        self.remember(domain, travels, &fingerprint);
        if !retraction {
            self.announce(now, domain, fingerprint);
            self.set_renewal(now, domain);
        }
    }

    /// Withdraws this node's standing packet of a domain.
    ///
    /// # Errors
    ///
    /// [`EmitError::NothingToRetract`], and those of [`emit`](Self::emit).
    pub fn retract(
        &mut self,
        now: Moment,
        domain: DomainTag,
        origin: Origin<'_>,
    ) -> Result<EmissionId, EmitError> {
        let standing = self.inbox.get(domain, self.author.id()).filter(|one| one.content().is_some());
        let Some(standing) = standing else { return Err(EmitError::NothingToRetract { domain }) };
        let draft = Draft::retraction(domain, standing.packet().fingerprint().clone())
            .lifetime(standing.packet().lifetime());
        self.emit(now, draft, origin)
    }

    pub(super) fn start_emission(&mut self, now: Moment, id: EmissionId) {
        let Some(emission) = self.emissions.get(&id) else { return };
        let (fingerprint, selection) = (emission.fingerprint.clone(), emission.selection);
        let attempt = match emission.phase {
            Phase::Finding { attempt, .. } => attempt + 1,
            Phase::Committing | Phase::Delivering => 1,
        };
        let lookup = self.look_up(now, Asker::Emission(id), fingerprint, selection);
        if let Some(emission) = self.emissions.get_mut(&id) {
            emission.phase = Phase::Finding { lookup, attempt };
        }
    }

    pub(super) fn found_recipients(
        &mut self,
        now: Moment,
        id: EmissionId,
        result: Result<Vec<Peer>, HostError>,
    ) {
        let Some(emission) = self.emissions.get_mut(&id) else { return };
        let Phase::Finding { attempt, .. } = emission.phase else { return };
        let peers = match result {
            Err(error) if error.is_retryable() && attempt < self.config.attempts => {
                let wait = self.backoff(attempt);
                self.timers.set(now.elapsed.saturating_add(wait), Timer::RepeatLookup(id));
                return;
            }
            Err(error) => {
                emission.lookup_error = Some(error);
                Vec::new()
            }
            Ok(peers) => peers,
        };
        // A directory that answers from another space is wrong; the recipient will say whether it cares.
        let fingerprint = &emission.fingerprint;
        let similarity = |peer: &Peer| fingerprint.cosine(&peer.fingerprint).unwrap_or(0.0);
        let mut peers: Vec<(f32, Peer)> = peers.into_iter().map(|peer| (similarity(&peer), peer)).collect();
        peers.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut recipients = Vec::with_capacity(peers.len());
        for (similarity, peer) in peers {
            let nonce = self.nonces.next();
            self.nonces_out.insert(nonce, (id, recipients.len()));
            recipients.push(Recipient {
                peer,
                similarity,
                nonce,
                attempts: 0,
                with_key: false,
                delivery: None,
                timer: None,
            });
        }
        let count = recipients.len();
        if let Some(emission) = self.emissions.get_mut(&id) {
            emission.phase = Phase::Delivering;
            emission.recipients = recipients;
        }
        for recipient in 0..count {
            self.deliver(now, id, recipient);
        }
        self.finish_if_delivered(now, id);
    }

    /// Sends a packet to one recipient, for the first time or again.
    pub(super) fn deliver(&mut self, now: Moment, id: EmissionId, recipient: usize) {
        let key = self.author.identity.public_key();
        let Some(emission) = self.emissions.get_mut(&id) else { return };
        let Some(one) = emission.recipients.get_mut(recipient) else { return };
        if one.delivery.is_some() {
            return;
        }
        one.attempts += 1;
        let (attempt, to) = (one.attempts, one.peer.address.clone());
        let packet = emission.packet.as_bytes();
        let message = PacketMessage { nonce: one.nonce, key: one.with_key.then_some(key), packet };
        let (frame, bytes) = (message.encode(), packet.len());
        self.send_rotations(now, &to, self.author.id(), false);
        let (send, parts) = self.send(&to, FrameKind::Packet, frame, bytes);
        let wait = self.backoff(attempt);
        let again = (parts > 1).then_some(wait);
        self.sends.insert(send, Sending { emission: id, recipient, attempt, wait: again });
        // Nobody answers before the last parts are there, and each may take as long as is allowed.
        let parts = if parts > 1 { u32::try_from(parts).unwrap_or(u32::MAX) } else { 0 };
        let wait = self.config.retry_after.saturating_mul(parts).saturating_add(wait);
        self.set_retry(now, id, recipient, attempt, wait);
    }

    /// Sets the timer of an attempt, in place of the one it has.
    fn set_retry(
        &mut self,
        now: Moment,
        emission: EmissionId,
        recipient: usize,
        attempt: u8,
        wait: Duration,
    ) {
        let one = self.emissions.get_mut(&emission).and_then(|one| one.recipients.get_mut(recipient));
        let Some(one) = one else { return };
        let timer = Timer::Retry { emission, recipient, attempt };
        let timer = self.timers.set(now.elapsed.saturating_add(wait), timer);
        if let Some(before) = one.timer.replace(timer) {
            self.timers.cancel(before);
        }
    }

    /// How long to wait after this attempt, 1 for the first: doubling, a quarter more or less.
    fn backoff(&mut self, attempt: u8) -> Duration {
        let doubled = self.config.retry_after * 2_u32.saturating_pow(u32::from(attempt.clamp(1, 16)) - 1);
        let permille = 750 + u32::try_from(self.nonces.next() % 501).unwrap_or(250);
        doubled / 1000 * permille
    }

    pub(super) fn sent(&mut self, now: Moment, id: SendId, result: Result<(), HostError>) {
        let Some(Sending { emission, recipient, attempt, wait }) = self.sends.remove(&id) else {
            if result.is_err() {
                self.stats.sends_failed = self.stats.sends_failed.saturating_add(1);
            }
            return;
        };
        let Err(error) = result else {
            let one = self.emissions.get(&emission).and_then(|one| one.recipients.get(recipient));
            let waits = one.is_some_and(|one| one.delivery.is_none() && one.attempts == attempt);
            if let Some(wait) = wait.filter(|_| waits) {
                self.set_retry(now, emission, recipient, attempt, wait);
            }
            return;
        };
        self.stats.sends_failed = self.stats.sends_failed.saturating_add(1);
        // One that may pass is tried again when the timer for the acknowledgement ends.
        if !error.is_retryable() {
            self.conclude(now, emission, recipient, Delivery::Failed(error.kind()));
        }
    }

    pub(super) fn conclude(&mut self, now: Moment, id: EmissionId, recipient: usize, delivery: Delivery) {
        let Some(emission) = self.emissions.get_mut(&id) else { return };
        let Some(one) = emission.recipients.get_mut(recipient) else { return };
        one.delivery.get_or_insert(delivery);
        if let Some(timer) = one.timer.take() {
            self.timers.cancel(timer);
        }
        self.finish_if_delivered(now, id);
    }

    fn finish_if_delivered(&mut self, now: Moment, id: EmissionId) {
        if !self.emissions.get(&id).is_some_and(Emission::is_delivered) {
            return;
        }
        let Some(emission) = self.emissions.remove(&id) else { return };
        for one in &emission.recipients {
            self.nonces_out.remove(&one.nonce);
        }
        // Nobody waits for this to be durable: after a crash the packet is sent again, and known.
        if !planted!(OutboxNotCleared) {
            self.journal.stage(emission.delete(), None);
        }
        let event = Effect::Event(Event::Emitted(emission.into_receipt(id)));
        self.perform(now, event);
    }

    pub(super) fn acknowledged(&mut self, now: Moment, from: &Address, ack: &Acknowledgement<'_>) -> bool {
        let any = || {
            self.nonces_out
                .values()
                .find(|place| planted!(AnyNonceAcknowledges) && self.waits_for(**place, from))
        };
        let Some(&(id, recipient)) = self.nonces_out.get(&ack.nonce).or_else(any) else { return false };
        let Some(emission) = self.emissions.get_mut(&id) else { return false };
        let Some(one) = emission.recipients.get_mut(recipient) else { return false };
        if one.peer.address != *from || one.delivery.is_some() {
            return false;
        }
        match ack.status {
            Status::Applied | Status::Known => self.conclude(now, id, recipient, Delivery::Acknowledged),
            Status::Parked => self.conclude(now, id, recipient, Delivery::Parked),
            Status::Refused => self.conclude(now, id, recipient, Delivery::Refused),
            Status::Busy => {} // The timer of the attempt will try again.
            Status::KeyNeeded if one.with_key => {
                self.conclude(now, id, recipient, Delivery::Refused);
            }
            Status::KeyNeeded => {
                one.with_key = true;
                if one.attempts < self.config.attempts {
                    self.deliver(now, id, recipient);
                }
            }
        }
        if let Ok(packet) = OutcomePacket::decode(ack.instead)
            && self.is_own(packet.author())
        {
            self.meet_own(now, packet);
        }
        true
    }

    /// Whether a recipient at this address has not answered yet.
    fn waits_for(&self, (id, recipient): (EmissionId, usize), from: &Address) -> bool {
        let one = self.emissions.get(&id).and_then(|emission| emission.recipients.get(recipient));
        one.is_some_and(|one| one.peer.address == *from && one.delivery.is_none())
    }

    pub(super) fn emitted(&self, now: Timestamp) -> impl Iterator<Item = &OutcomePacket> {
        let me = self.inbox.root(self.author.id());
        let domains: Vec<DomainTag> = self.inbox.domains().collect();
        domains.into_iter().filter_map(move |domain| {
            let (_, standing) = self.inbox.in_force(domain, now).find(|(author, _)| *author == me)?;
            standing.content().map(|_| &**standing.packet())
        })
    }

    /// Sees to it that all that stands of this node is stated again, soon, retractions too: somebody holds packets of it that it does not
    /// know of.
    ///
    /// By the clock and not at once, so that nobody can make this node send by sending to it.
    pub(super) fn restate(&mut self, now: Moment) {
        let me = self.author.id();
        let domains: Vec<DomainTag> =
            self.inbox.domains().filter(|domain| self.inbox.get(*domain, me).is_some()).collect();
        if domains.is_empty() {
            return;
        }
        if self.restate.is_empty() {
            let pause = self.restated.map_or(now.elapsed, |last| last.saturating_add(RENEW_PAUSE));
            self.timers.set(pause.max(now.elapsed), Timer::Restate);
        }
        self.restate.extend(domains);
    }

    /// States again what is still to be; a domain is done when something newer of this node stands in it, durably.
    pub(super) fn restate_due(&mut self, now: Moment) {
        self.restated = Some(now.elapsed);
        for domain in self.restate.clone() {
            self.renew(now, domain);
        }
        if !self.restate.is_empty() {
            self.timers.set(now.elapsed.saturating_add(RENEW_PAUSE), Timer::Restate);
        }
    }

    /// States what stands once more, unless the host has said something newer that is on its way to the store. A full queue or a broken
    /// store has been reported where it happened; the clock tries again.
    pub(super) fn renew(&mut self, now: Moment, domain: DomainTag) {
        if self.unapplied.values().any(|own| own.packet().domain() == domain) {
            return;
        }
        let Some(standing) = self.inbox.get(domain, self.author.id()) else { return };
        let (packet, id) = (standing.packet(), standing.id());
        let origin = format!("renewal of {id}");
        let draft = Draft::renewal(packet);
        let _ = self.emit(now, draft, Origin(&origin));
    }

    /// Sees to it that the clock looks at this node's standing packet of a domain. There is one timer for each domain, however often it emits.
    pub(super) fn set_renewal(&mut self, now: Moment, domain: DomainTag) {
        if self.renewals.insert(domain) {
            self.timers.set(now.elapsed.saturating_add(RENEW_PAUSE), Timer::Renew(domain));
        }
    }

    /// The clocked refresh: an own outcome that stands for long is stated again before it expires.
    pub(super) fn renewal_due(&mut self, now: Moment, domain: DomainTag) {
        self.renewals.remove(&domain);
        let Some(standing) = self.inbox.get(domain, self.author.id()) else { return };
        if standing.content().is_none() {
            return;
        }
        let packet = standing.packet();
        let due = packet.time().saturating_add(packet.lifetime().seconds() * RENEW_AT.0 / RENEW_AT.1);
        // A packet from the future was made by a wrong clock that is right by now.
        let wrong = packet.time() > now.wall.saturating_add(SKEW_SECONDS);
        let left = if wrong { 0 } else { due.seconds_since(now.wall) };
        if left == 0 {
            self.renew(now, domain);
        }
        // Emitting has set the timer again already.
        if self.renewals.insert(domain) {
            let wait = Duration::from_secs(left).clamp(RENEW_PAUSE, RENEW_LOOK);
            self.timers.set(now.elapsed.saturating_add(wait), Timer::Renew(domain));
        }
    }
}
