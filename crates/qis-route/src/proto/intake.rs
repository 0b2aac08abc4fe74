//! Frames from outside, in the order of checks: the cheap before the costly, and nothing recorded that is not verified.

use std::collections::BTreeMap;

use qis_packet::{
    AuthorId, DecodeError, DomainTag, Fragment, Frame, FrameError, FrameKind, Freshness, OutcomePacket,
    PacketId, Payload, PublicKey, ReassemblyError, RotationStatement, SKEW_SECONDS, Timestamp, Trailer,
    VerifiedPacket, VerifyError, planted,
};

use super::message::{Acknowledgement, Answer, PacketMessage, Query, Status};
use super::rotations::RotationRefusal;
use super::router::{Effect, Timer};
use super::{Event, FRAME_OVERHEAD, Output, PayloadDecoder, Refusal, Router, Verdict};
use crate::draw::take_any;
use crate::{Address, Moment};

/// How far from the future a packet may come to be parked: a day.
const PARK_SECONDS: u64 = 24 * 3600;
const PARKED_PER_AUTHOR: usize = 64;
/// A part counts as this share of a frame at least, however many its sender says there are.
const LEAST_SHARE: f64 = 1.0 / 32.0;

/// A verified packet from the future.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) id: PacketId,
    packet: VerifiedPacket,
}

/// Those of a domain.
pub(super) fn parked_in(
    parked: &BTreeMap<(Timestamp, u64), Parked>,
    domain: DomainTag,
) -> impl Iterator<Item = &Parked> {
    parked.values().filter(move |parked| parked.packet.domain() == domain)
}

fn read(bytes: &[u8]) -> Result<OutcomePacket, Refusal> {
    OutcomePacket::decode(bytes).map_err(|error| match error {
        DecodeError::TooLarge { .. } => Refusal::TooLarge,
        DecodeError::UnknownVersion { .. } => Refusal::Unknown,
        _ => Refusal::Malformed,
    })
}

/// Where a packet stands among those in answer to a query.
#[derive(Clone, Copy, Debug)]
struct Place {
    nonce: u64,
    index: u8,
    total: u8,
}

/// A packet in answer to a query, with the key where it carries none.
fn answer_frame(place: Place, packet: &VerifiedPacket) -> Vec<u8> {
    let Place { nonce, index, total } = place;
    let carries_key = packet.trailer() == Trailer::SignatureAndKey;
    let key = (!carries_key).then_some(*packet.key());
    Answer { nonce, index, total, key, packet: packet.as_bytes() }.encode()
}

impl<D: PayloadDecoder> Router<D> {
    /// Takes in a frame that came from an address. Nobody vouches for either.
    ///
    /// Whatever the bytes are, the router is afterwards as the verdict says: a refused frame has changed nothing but a count, the rates,
    /// and what is kept of frames in parts.
    pub fn receive(&mut self, now: Moment, from: &Address, bytes: &[u8]) -> Verdict {
        self.receive_beside(now, from, bytes, |_| Verdict::Refused(Refusal::Unknown))
    }

    /// As [`receive`](Self::receive), for a node that has [overlays](crate::overlay::Overlays) beside the router: the body of an overlay's
    /// frame, whole or put together from parts, goes to `overlay`, which says what became of it.
    ///
    /// Rates, sizes and parts are the router's to check for all frames. A busy router takes none of the overlay either: who finds this node
    /// would send it packets.
    pub fn receive_beside(
        &mut self,
        now: Moment,
        from: &Address,
        bytes: &[u8],
        overlay: impl FnOnce(&[u8]) -> Verdict,
    ) -> Verdict {
        self.stats.frames_received = self.stats.frames_received.saturating_add(1);
        let verdict = self.take_in(now, from, bytes, overlay);
        self.stats.count(verdict);
        self.pump();
        verdict
    }

    /// Takes in a packet that travelled in a frame of an overlay: judges it like one that was sent by itself, and acknowledges nothing.
    ///
    /// The rate of its address was checked when the frame came; that of its author is here.
    pub fn receive_packet(&mut self, now: Moment, packet: &[u8]) -> Verdict {
        let verdict = if self.is_busy() {
            Verdict::Refused(Refusal::Busy)
        } else {
            match read(packet) {
                Ok(packet) => self.judge(now, None, packet),
                Err(refusal) => Verdict::Refused(refusal),
            }
        };
        self.stats.count(verdict);
        self.pump();
        verdict
    }

    fn take_in(
        &mut self,
        now: Moment,
        from: &Address,
        bytes: &[u8],
        overlay: impl FnOnce(&[u8]) -> Verdict,
    ) -> Verdict {
        if bytes.len() > Frame::MAX_BYTES {
            return Verdict::Refused(Refusal::TooLarge);
        }
        let frame = Frame::parse(bytes);
        let fragment = frame.ok().filter(|frame| frame.kind == FrameKind::Fragment);
        // The parts of a frame count as one, so that a small link has the same share as a large one.
        let share = fragment
            .and_then(|frame| Fragment::parse(frame.body).ok())
            .map_or(1.0, |part| (1.0 / f64::from(part.count())).max(LEAST_SHARE));
        if !self.peers.allow_share(now.elapsed, from, share) && !planted!(AddressRateOff) {
            return Verdict::Refused(Refusal::PeerRate);
        }
        let frame = match frame {
            Ok(frame) => frame,
            Err(FrameError::UnknownKind { .. }) => return Verdict::Refused(Refusal::Unknown),
            Err(_) => return Verdict::Refused(Refusal::Malformed),
        };
        if frame.kind != FrameKind::Fragment {
            return self.take_frame(now, from, frame, overlay);
        }
        // Also of a busy node: it may be an acknowledgement, and the reassembler has bounds of its own.
        let whole = self.reassembler.accept(now.elapsed, from, frame.body);
        self.stats.reassembly = self.reassembler.stats();
        match whole {
            Ok(None) => Verdict::Part,
            Ok(Some(bytes)) => match Frame::parse(&bytes) {
                Ok(frame) => self.take_frame(now, from, frame, overlay),
                Err(_) => Verdict::Refused(Refusal::Unknown),
            },
            Err(ReassemblyError::Malformed) => Verdict::Refused(Refusal::Malformed),
            Err(ReassemblyError::TooLarge) => Verdict::Refused(Refusal::TooLarge),
            Err(_) => Verdict::Refused(Refusal::Parts),
        }
    }

    /// Takes in a whole frame.
    fn take_frame(
        &mut self,
        now: Moment,
        from: &Address,
        frame: Frame<'_>,
        overlay: impl FnOnce(&[u8]) -> Verdict,
    ) -> Verdict {
        // An acknowledgement ends work and asks for none, so it is always welcome.
        if frame.kind != FrameKind::Acknowledgement && self.is_busy() {
            return Verdict::Refused(Refusal::Busy);
        }
        let malformed = Verdict::Refused(Refusal::Malformed);
        match frame.kind {
            FrameKind::Packet => PacketMessage::decode(frame.body)
                .map_or(malformed, |message| self.take_packet(now, from, &message)),
            FrameKind::Acknowledgement => Acknowledgement::decode(frame.body).map_or(malformed, |message| {
                if self.acknowledged(now, from, &message) {
                    Verdict::Handled
                } else {
                    Verdict::Refused(Refusal::Unsolicited)
                }
            }),
            FrameKind::Query => {
                Query::decode(frame.body).map_or(malformed, |query| self.answer(now, from, &query))
            }
            FrameKind::Answer => {
                Answer::decode(frame.body).map_or(malformed, |answer| self.take_answer(now, from, &answer))
            }
            FrameKind::Rotation => self.take_rotation(now, frame.body),
            FrameKind::Overlay => overlay(frame.body),
            _ => Verdict::Refused(Refusal::Unknown),
        }
    }

    /// A packet that was pushed: judges it and says so to its sender.
    fn take_packet(&mut self, now: Moment, from: &Address, message: &PacketMessage<'_>) -> Verdict {
        let packet = match read(message.packet) {
            Ok(packet) => packet,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        let (domain, author) = (packet.domain(), packet.author());
        let copy = packet.clone();
        let verdict = self.judge(now, message.key, packet);
        // Whether what is held is not this packet. Then the author should know what is; but not if somebody else only says it is the
        // author's, or a bit of it was damaged: nobody knows whether that packet is held.
        let other = verdict == Verdict::Known
            && self.inbox.get(domain, author).is_some_and(|standing| *standing.id() != copy.id());
        let key = self.inbox.key(author);
        let verdict = if other && copy.verify(self.author.network, key).is_err() {
            Verdict::Refused(Refusal::Forged)
        } else {
            verdict
        };
        let status = match verdict {
            Verdict::Applied | Verdict::Retracted | Verdict::Handled | Verdict::Part => Status::Applied,
            Verdict::Known => Status::Known,
            Verdict::Parked => Status::Parked,
            Verdict::Refused(Refusal::UnknownKey) => Status::KeyNeeded,
            Verdict::Refused(Refusal::AuthorRate | Refusal::Full | Refusal::Busy) => Status::Busy,
            Verdict::Refused(_) => Status::Refused,
        };
        let to = from.clone();
        let (nonce, refused) = (message.nonce, matches!(verdict, Verdict::Refused(_)));
        let instead = (other && verdict == Verdict::Known).then_some((domain, author));
        let effect = Effect::Acknowledge { to, nonce, status, instead };
        if refused || planted!(AcknowledgedBeforeCommit) {
            self.perform(now, effect);
        } else {
            // Also a repetition is only acknowledged once the first one is durable.
            self.after_commit(now, effect);
        }
        verdict
    }

    fn judge(&mut self, now: Moment, beside: Option<PublicKey>, packet: OutcomePacket) -> Verdict {
        let (domain, author, order) = (packet.domain(), packet.author(), packet.order());
        if !self.decoder.knows(&domain) {
            Verdict::Refused(Refusal::UnknownDomain)
        } else if self.is_own(author) {
            self.meet_own(now, packet);
            Verdict::Refused(Refusal::Own)
        } else if self
            .inbox
            .highest(domain, author)
            .is_some_and(|highest| highest > order || (highest == order && !planted!(WindowOffByOne)))
        {
            Verdict::Known
        } else {
            self.judge_new(now, beside, packet).unwrap_or_else(Verdict::Refused)
        }
    }

    fn judge_new(
        &mut self,
        now: Moment,
        beside: Option<PublicKey>,
        packet: OutcomePacket,
    ) -> Result<Verdict, Refusal> {
        let author = packet.author();
        let freshness = packet.freshness(now.wall);
        match freshness {
            Freshness::Expired if !planted!(ExpiryIgnored) => return Err(Refusal::Expired),
            Freshness::Future { early_by } if early_by > PARK_SECONDS && !planted!(FutureAccepted) => {
                return Err(Refusal::TooEarly);
            }
            Freshness::Future { .. } | Freshness::Fresh | Freshness::Expired => {}
        }
        if self.inbox.rotations().is_retired(author, packet.time(), now.wall) {
            return Err(Refusal::RetiredKey);
        }
        let beside = beside.filter(|key| key.author() == author);
        let known = self.inbox.key(author).copied().or(beside);
        let verified = packet.verify(self.author.network, known.as_ref()).map_err(|error| match error {
            VerifyError::Unsigned => Refusal::Unsigned,
            VerifyError::UnknownKey { .. } => Refusal::UnknownKey,
            _ => Refusal::Forged,
        })?;
        if !self.authors.allow(now.elapsed, &author) && !planted!(AuthorRateOff) {
            return Err(Refusal::AuthorRate);
        }
        match freshness {
            Freshness::Future { early_by } if !planted!(FutureAccepted) => self.park(now, verified, early_by),
            _ => self.apply(now, verified),
        }
    }

    pub(super) fn is_own(&self, author: AuthorId) -> bool {
        self.inbox.root(author) == self.inbox.root(self.author.id())
    }

    /// A packet of this node comes back. When it is one that this node does not remember, it was made in a life that is forgotten:
    /// the node goes on in a new incarnation, and states its outcomes again, once.
    pub(super) fn meet_own(&mut self, now: Moment, packet: OutcomePacket) {
        let (order, id) = (packet.order(), packet.id());
        let standing = self.inbox.get(packet.domain(), self.author.id());
        let doubled = standing.is_some_and(|mine| mine.packet().order() == order && *mine.id() != id);
        // It may be of an earlier key of this node's, which the packet or the inbox knows.
        let current = self.author.identity.public_key();
        let known = Some(current).filter(|_| packet.author() == self.author.id());
        let known = known.or_else(|| self.inbox.key(packet.author()).copied());
        if packet.verify(self.author.network, known.as_ref()).is_err() {
            return;
        }
        if !planted!(ForgottenLifeIgnored) && self.own.seen(order, doubled, now.wall) {
            self.urgent.push_back(Output::Event(Event::IncarnationRaised));
            self.restate(now);
        }
    }

    fn apply(&mut self, now: Moment, packet: VerifiedPacket) -> Result<Verdict, Refusal> {
        let (domain, author, id) = (packet.domain(), packet.author(), packet.id());
        let content = match packet.payload() {
            Payload::Retraction => None,
            _ => Some(self.decoder.decode(&packet).map_err(|_| Refusal::Payload)?),
        };
        if !self.inbox.has_place(domain, author) {
            return Err(Refusal::Full);
        }
        let retraction = content.is_none();
        if retraction && planted!(RetractionIgnored) {
            return Ok(Verdict::Retracted);
        }
        let (standing, row) = self.inbox.prepare(packet, content);
        self.inbox.place(standing);
        if planted!(ReceivingEmits) {
            self.renew(now, domain);
        }
        self.journal.stage(row, None);
        let author = self.inbox.root(author);
        let event = Event::Applied { domain, author, packet: id, retraction };
        self.after_commit(now, Effect::Event(event));
        Ok(if retraction { Verdict::Retracted } else { Verdict::Applied })
    }

    fn park(&mut self, now: Moment, packet: VerifiedPacket, early_by: u64) -> Result<Verdict, Refusal> {
        let author = packet.author();
        let id = packet.id();
        let repeated = self.parked.values().any(|parked| parked.id == id);
        if repeated {
            return Ok(Verdict::Parked);
        }
        let of_author = self.parked.values().filter(|parked| parked.packet.author() == author).count();
        let full = self.parked.len() >= self.config.parked.get() || of_author >= PARKED_PER_AUTHOR;
        if full && !planted!(ParkedUnbounded) {
            return Err(Refusal::Full);
        }
        let due = now.wall.saturating_add(early_by);
        let place = self.count();
        self.parked.insert((due, place), Parked { id, packet });
        self.set_parked_timer(now);
        Ok(Verdict::Parked)
    }

    /// Applies parked packets whose time has come.
    pub(super) fn admit_parked(&mut self, now: Moment) {
        while let Some(first) = self.parked.first_entry()
            && first.key().0 <= now.wall
        {
            let Parked { packet, .. } = first.remove();
            let highest = self.inbox.highest(packet.domain(), packet.author());
            let retired = self.inbox.rotations().is_retired(packet.author(), packet.time(), now.wall);
            let verdict = if retired {
                Verdict::Refused(Refusal::RetiredKey)
            } else if highest.is_some_and(|highest| highest >= packet.order()) {
                Verdict::Known
            } else if packet.freshness(now.wall) == Freshness::Expired {
                Verdict::Refused(Refusal::Expired)
            } else {
                self.apply(now, packet).unwrap_or_else(Verdict::Refused)
            };
            self.stats.count(verdict);
        }
        self.set_parked_timer(now);
    }

    /// Sets the one timer of the parked packets to the first of them; the wall clock may have gone faster or slower than the other one.
    fn set_parked_timer(&mut self, now: Moment) {
        if let Some(timer) = self.parked_timer.take() {
            self.timers.cancel(timer);
        }
        if let Some(&(due, _)) = self.parked.keys().next() {
            let wait = std::time::Duration::from_secs(due.seconds_since(now.wall).max(1));
            self.parked_timer = Some(self.timers.set(now.elapsed.saturating_add(wait), Timer::Parked));
        }
    }

    /// Answers a query with this node's own packet first, then the others', most similar first, and then what is parked and will take their places.
    ///
    /// What is parked gets about before its time, since an author may have to hear of it: one that has lost its store knows nothing of a life in
    /// which its clock was ahead, and those by whose clock that was right hold it against all that is said since.
    fn answer(&mut self, now: Moment, from: &Address, query: &Query) -> Verdict {
        if !self.decoder.knows(&query.domain) {
            self.answer_nothing(from, query.nonce);
            return Verdict::Refused(Refusal::UnknownDomain);
        }
        // Answers may take half of the queue, so that strangers' questions do not hold up this node's own packets.
        if self.outputs.len() >= self.config.outputs.get() / 2 {
            return Verdict::Refused(Refusal::Busy);
        }
        self.sync.asked_by(query.domain, from);
        let me = self.inbox.root(self.author.id());
        let standing = self.inbox.in_force(query.domain, now.wall);
        let standing =
            standing.map(|(author, standing)| (u8::from(author != me), standing.id(), standing.packet()));
        let parked = parked_in(&self.parked, query.domain).filter(|parked| {
            let highest = self.inbox.highest(query.domain, parked.packet.author());
            highest.is_none_or(|highest| highest < parked.packet.order())
        });
        let mut found: Vec<(u8, f32, &VerifiedPacket)> = standing
            .chain(parked.map(|parked| (2, &parked.id, &parked.packet)))
            .filter(|(_, id, packet)| {
                !query.held.contains(query.nonce, id)
                    && Query::similarity(packet.fingerprint(), &query.fingerprint) > query.above
            })
            .map(|(rank, _, packet)| {
                let similarity = packet.fingerprint().cosine(&query.fingerprint);
                (rank, similarity.unwrap_or(-1.0), packet)
            })
            .collect();
        found.sort_by(|a, b| {
            let newest = b.2.order().cmp(&a.2.order());
            a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)).then(a.2.author().cmp(&b.2.author())).then(newest)
        });
        found.truncate(usize::from(query.limit.min(self.config.answer_packets)));
        if planted!(NothingAnswered) {
            found.clear();
        }
        // The address is nobody's word, so answers come out of its own share of frames: a query does not multiply traffic for long.
        let affordable = found.iter().take_while(|_| self.peers.allow(now.elapsed, from)).count();
        found.truncate(affordable);
        let total = u8::try_from(found.len()).unwrap_or(u8::MAX);
        let nonce = query.nonce;
        let answers = (0..total).zip(&found).map(|(index, (_, _, packet))| {
            (packet.author(), answer_frame(Place { nonce, index, total }, packet), packet.as_bytes().len())
        });
        let answers: Vec<(AuthorId, Vec<u8>, usize)> = answers.collect();
        if answers.is_empty() {
            self.answer_nothing(from, nonce);
        }
        for (author, frame, bytes) in answers {
            self.send(from, FrameKind::Answer, frame, bytes);
            self.send_rotations(now, from, author, true);
        }
        self.remind_of_a_rotation(now, from, query);
        Verdict::Handled
    }

    /// Says of one of the authors whose packets the asker has how its key came to be its key, if the asker has not been told.
    ///
    /// A statement that was lost on its way is not missed by who lost it: there, two keys of one author count as two authors.
    fn remind_of_a_rotation(&mut self, now: Moment, from: &Address, query: &Query) {
        let held = |id: &PacketId| query.held.contains(query.nonce, id);
        let rotations = self.inbox.rotations();
        // Few keys have a statement, so that is asked first.
        let missed = self.inbox.in_force(query.domain, now.wall).filter_map(|(_, standing)| {
            let key = standing.packet().author();
            (rotations.misses(key, now.wall, held) && held(standing.id())).then_some(key)
        });
        let mut missed: Vec<AuthorId> = missed.collect();
        if let Some(author) = take_any(&mut missed, || self.nonces.next())
            && !planted!(StatementNotRepeated)
        {
            self.send_rotations(now, from, author, true);
        }
    }

    fn answer_nothing(&mut self, to: &Address, nonce: u64) {
        let none = Answer { nonce, index: 0, total: 0, key: None, packet: &[] };
        self.send(to, FrameKind::Answer, none.encode(), 0);
    }

    /// Says how this author's key came to be its key, to one who may know an earlier one.
    ///
    /// In an answer they come out of the asker's share of frames, as the answers do.
    pub(super) fn send_rotations(&mut self, now: Moment, to: &Address, author: AuthorId, answering: bool) {
        let frame = |statement: &RotationStatement| {
            [&[FrameKind::Rotation.code()][..], &statement.to_bytes()].concat()
        };
        let chain = self.inbox.rotations().chain(author, now.wall);
        let frames: Vec<Vec<u8>> = chain.into_iter().map(frame).collect();
        for frame in frames {
            if answering && !self.peers.allow(now.elapsed, to) {
                return;
            }
            self.send(to, FrameKind::Rotation, frame, 0);
        }
    }

    /// A packet that was asked for.
    fn take_answer(&mut self, now: Moment, from: &Address, answer: &Answer<'_>) -> Verdict {
        let asked = |pull: &super::pull::Pull| {
            pull.asked.iter().position(|one| {
                let expected = one.nonce == answer.nonce && !one.is_complete();
                one.address == *from
                    && (expected || one.earlier == Some(answer.nonce) || planted!(AnyNonceAnswers))
            })
        };
        let found = self.pulls.iter().find_map(|(&id, pull)| asked(pull).map(|index| (id, index)));
        let Some((id, index)) = found else { return Verdict::Refused(Refusal::Unsolicited) };
        let wants = |packet: &OutcomePacket| self.pulls.get(&id).is_some_and(|pull| pull.wants(packet));
        let verdict = match read(answer.packet) {
            _ if answer.total == 0 => Verdict::Handled,
            Ok(packet) if !wants(&packet) => Verdict::Refused(Refusal::Unsolicited),
            Ok(packet) => self.judge(now, answer.key, packet),
            Err(refusal) => Verdict::Refused(refusal),
        };
        if let Some(pull) = self.pulls.get_mut(&id) {
            if let Some(one) = pull.asked.get_mut(index) {
                one.bytes = one.bytes.saturating_add(FRAME_OVERHEAD + answer.packet.len());
                if one.nonce == answer.nonce {
                    one.total = Some(answer.total);
                    one.received |= 1 << answer.index.min(31);
                }
            }
            if answer.total > 0 {
                pull.result.received += 1;
            }
            if matches!(verdict, Verdict::Applied | Verdict::Retracted) {
                pull.result.applied += 1;
            }
        }
        self.finish_pull(now, id, false);
        verdict
    }

    fn take_rotation(&mut self, now: Moment, body: &[u8]) -> Verdict {
        let Some((old, new)) = RotationStatement::claimed_authors(body) else {
            return Verdict::Refused(Refusal::Malformed);
        };
        if self.inbox.rotations().get(new).is_some_and(|known| known.to_bytes() == body) {
            return Verdict::Handled;
        }
        // What is on its way to the store goes to a place that the statement would move.
        if !self.unapplied.is_empty() && (self.is_own(old) || self.is_own(new)) {
            return Verdict::Refused(Refusal::Busy);
        }
        // Only who names a known author has signatures checked, at the rate of its address.
        if !self.inbox.is_known(old) && !self.inbox.is_known(new) {
            return Verdict::Refused(Refusal::UnknownKey);
        }
        let Ok(statement) = RotationStatement::verify(body, self.author.network) else {
            return Verdict::Refused(Refusal::Forged);
        };
        if statement.time() > now.wall.saturating_add(SKEW_SECONDS) {
            return Verdict::Refused(Refusal::TooEarly);
        }
        if planted!(RotationIgnored) {
            return Verdict::Handled;
        }
        match self.inbox.rotate(statement) {
            Ok(operations) => {
                for operation in operations {
                    self.journal.stage(operation, None);
                }
                Verdict::Handled
            }
            Err(RotationRefusal::Taken) => Verdict::Refused(Refusal::RetiredKey),
            Err(RotationRefusal::Full) => Verdict::Refused(Refusal::Full),
        }
    }
}
