//! The outbox, beside a list of emissions and of what the world did to each: none that was durable is lost, nothing is sent before it is, no number is given out twice,
//! and a receipt says what happened.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;
use qis_packet::{FrameKind, Identity, Order, OutcomePacket, Timestamp};
use qis_route::proto::{
    Delivery, EmissionId, EmitError, Event, Input, LookupId, Origin, Output, Receipt, Refusal, Router,
    RouterConfig, SendId, Verdict,
};
use qis_route::{Address, Batch, Candidates, HostError, HostErrorKind, Moment, Operation, Peer, Row, Table};

use crate::support::{START, Vectors, author, config, draft, fingerprint};

const RECIPIENTS: usize = 3;
const ATTEMPTS: u8 = 3;
/// Emissions under way at most.
const EMISSIONS: usize = 4;
/// Where a packet begins in a frame without a key, and where in one with.
const PACKET: [usize; 2] = [10, 42];

/// What an acknowledgement says, in the order of its codes.
const STATUSES: u8 = 6;
const APPLIED: u8 = 0;
const KNOWN: u8 = 1;
const PARKED: u8 = 2;
const KEY_NEEDED: u8 = 4;
const REFUSED: u8 = 5;

#[derive(Clone, Copy, Debug)]
enum Step {
    Emit,
    /// The commit under way ends. One that fails may have got there all the same.
    Commit {
        works: bool,
        got_there: bool,
    },
    /// The oldest look-up ends.
    Found {
        works: bool,
    },
    /// A send ends.
    Sent {
        which: usize,
        fails: Option<bool>,
    },
    /// An acknowledgement of something that was sent, from its recipient or from another.
    Acknowledge {
        which: usize,
        status: u8,
        by_another: bool,
    },
    Wait {
        milliseconds: u64,
    },
    /// The process is killed and starts again.
    Crash {
        got_there: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let flag = prop::bool::ANY;
    let rarely = || prop::bool::weighted(0.15);
    prop_oneof![
        4 => Just(Step::Emit),
        6 => (prop::bool::weighted(0.85), flag).prop_map(|(works, got_there)| Step::Commit { works, got_there }),
        5 => prop::bool::weighted(0.8).prop_map(|works| Step::Found { works }),
        3 => (0..99_usize, prop::option::weighted(0.3, flag)).prop_map(|(which, fails)| Step::Sent { which, fails }),
        8 => (0..99_usize, 0..STATUSES, rarely())
            .prop_map(|(which, status, by_another)| Step::Acknowledge { which, status, by_another }),
        4 => (1..9_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
        1 => flag.prop_map(|got_there| Step::Crash { got_there }),
    ]
}

/// What is known of a packet at one recipient.
#[derive(Clone, Debug, Default)]
struct Recipient {
    nonce: Option<[u8; 8]>,
    sent: u8,
    asked_for_key: bool,
    /// How it ended, if somebody said.
    end: Option<Delivery>,
    /// Whether that was after the last attempt, when it may have been given up already.
    late: bool,
}

/// An emission that is durable and not over.
#[derive(Clone, Debug, Default)]
struct Emission {
    recipients: BTreeMap<Address, Recipient>,
}

#[derive(Debug)]
struct Model {
    /// Emissions that are not durable, as far as the host knows.
    queued: VecDeque<EmissionId>,
    stored: BTreeMap<Order, Emission>,
    /// Every packet that was ever sent.
    sent: BTreeMap<Order, Vec<u8>>,
}

struct Run {
    router: Router<Vectors>,
    now: Moment,
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    committing: Option<Batch>,
    lookups: VecDeque<LookupId>,
    sends: Vec<(SendId, Address, Order)>,
    model: Model,
}

fn address(number: usize) -> Address {
    format!("recipient-{number}").parse().unwrap()
}

fn peer(number: usize) -> Peer {
    let author = Identity::from_seed([number as u8 + 1; 32]).author();
    Peer { author, address: address(number), fingerprint: fingerprint(), organisation: None }
}

fn router(now: Moment) -> Router<Vectors> {
    let emissions = NonZeroUsize::new(EMISSIONS).unwrap();
    let config = RouterConfig { attempts: ATTEMPTS, emissions, ..config() };
    Router::new(config, author(0), Vectors, [0; 32], now).unwrap()
}

fn error(kind: HostErrorKind) -> HostError {
    HostError::new(kind, "as the model says")
}

/// The emissions that a batch adds, in their order.
fn added(batch: &Batch) -> Vec<Order> {
    let put = |operation: &Operation| match operation {
        Operation::Put { table: Table::Outbox, value, .. } => {
            Some(OutcomePacket::decode(value).unwrap().order())
        }
        _ => None,
    };
    batch.operations.iter().filter_map(put).collect()
}

impl Run {
    fn new() -> Self {
        let now = Moment { elapsed: Duration::ZERO, wall: Timestamp::from_unix_seconds(START) };
        let mut router = router(now);
        router.start(now);
        let model = Model { queued: VecDeque::new(), stored: BTreeMap::new(), sent: BTreeMap::new() };
        let (rows, lookups) = (BTreeMap::new(), VecDeque::new());
        Self { router, now, rows, committing: None, lookups, sends: Vec::new(), model }
    }

    fn apply(&mut self, batch: Batch) {
        for operation in batch.operations {
            match operation {
                Operation::Put { table, key, value } => self.rows.insert((table, key), value),
                Operation::Delete { table, key } => self.rows.remove(&(table, key)),
            };
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Emit => self.emit()?,
            Step::Commit { works, got_there } => self.commit(works, got_there)?,
            Step::Found { works } => {
                if let Some(id) = self.lookups.pop_front() {
                    let similar = (0..RECIPIENTS).map(peer).collect();
                    let candidates = Candidates { similar, random: Vec::new() };
                    let result = if works { Ok(candidates) } else { Err(error(HostErrorKind::Unavailable)) };
                    self.router.handle(self.now, Input::Found { id, result });
                }
            }
            Step::Sent { which, fails } => self.sent(which, fails),
            Step::Acknowledge { which, status, by_another } => self.acknowledge(which, status, by_another)?,
            Step::Wait { milliseconds } => {
                self.now.elapsed += Duration::from_millis(milliseconds);
                self.router.handle(self.now, Input::Timeout);
            }
            Step::Crash { got_there } => self.crash(got_there)?,
        }
        self.drain()?;
        let is_over = |emission: &Emission| {
            emission.recipients.len() == RECIPIENTS
                && emission.recipients.values().all(|one| one.end.is_some())
        };
        prop_assert!(!self.model.stored.values().any(is_over), "all have spoken, and there is no receipt");
        Ok(())
    }

    fn emit(&mut self) -> Result<(), TestCaseError> {
        let under_way = self.model.queued.len() + self.model.stored.len();
        match self.router.emit(self.now, draft(1.0), Origin("model")) {
            Ok(id) => {
                prop_assert!(under_way < EMISSIONS);
                self.model.queued.push_back(id);
            }
            Err(EmitError::QueueFull { limit: EMISSIONS }) => prop_assert_eq!(under_way, EMISSIONS),
            Err(error) => prop_assert!(false, "{error}"),
        }
        Ok(())
    }

    fn commit(&mut self, works: bool, got_there: bool) -> Result<(), TestCaseError> {
        let Some(batch) = self.committing.take() else { return Ok(()) };
        if works {
            for order in added(&batch) {
                self.model.stored.insert(order, Emission::default());
            }
        }
        if works || got_there {
            self.apply(batch);
        }
        let result = if works { Ok(()) } else { Err(error(HostErrorKind::Unavailable)) };
        self.router.handle(self.now, Input::Committed(result));
        self.drain()?;
        prop_assert!(works || self.model.queued.is_empty(), "what was not kept did not fail");
        Ok(())
    }

    fn sent(&mut self, which: usize, fails: Option<bool>) {
        if self.sends.is_empty() {
            return;
        }
        let (id, to, order) = self.sends.remove(which % self.sends.len());
        let kind =
            fails.map(|for_good| if for_good { HostErrorKind::Refused } else { HostErrorKind::Unavailable });
        if kind == Some(HostErrorKind::Refused)
            && let Some(one) = self.model.stored.get_mut(&order).and_then(|one| one.recipients.get_mut(&to))
            && one.end.is_none()
        {
            one.end = Some(Delivery::Failed(HostErrorKind::Refused));
            one.late = one.sent == ATTEMPTS;
        }
        self.router
            .handle(self.now, Input::Sent { id, result: kind.map_or(Ok(()), |kind| Err(error(kind))) });
    }

    fn acknowledge(&mut self, which: usize, status: u8, by_another: bool) -> Result<(), TestCaseError> {
        let all = self.model.stored.values_mut().flat_map(|emission| &mut emission.recipients);
        let mut asked: Vec<_> = all.filter_map(|(address, one)| Some((address, one.nonce?, one))).collect();
        let count = asked.len().max(1);
        let Some((address, nonce, one)) = asked.get_mut(which % count) else { return Ok(()) };
        let from = if by_another { "another".parse().unwrap() } else { address.clone() };
        let frame = [&[FrameKind::Acknowledgement.code()][..], &nonce[..], &[status]].concat();
        let found = self.router.receive(self.now, &from, &frame);
        let unsolicited = Verdict::Refused(Refusal::Unsolicited);
        if by_another || one.end.is_some() {
            prop_assert_eq!(found, unsolicited);
        } else if found == unsolicited {
            prop_assert_eq!(one.sent, ATTEMPTS, "it was given up early");
            one.end = Some(Delivery::Unacknowledged);
        } else {
            prop_assert_eq!(found, Verdict::Handled);
            one.end = match status {
                APPLIED | KNOWN => Some(Delivery::Acknowledged),
                PARKED => Some(Delivery::Parked),
                REFUSED => Some(Delivery::Refused),
                KEY_NEEDED if one.asked_for_key => Some(Delivery::Refused),
                _ => None,
            };
            one.asked_for_key |= status == KEY_NEEDED;
        }
        Ok(())
    }

    fn crash(&mut self, got_there: bool) -> Result<(), TestCaseError> {
        if let Some(batch) = self.committing.take()
            && got_there
        {
            self.apply(batch);
        }
        let rows = self.rows.iter().filter(|((table, _), _)| *table == Table::Outbox);
        let outbox: Vec<Order> =
            rows.map(|(_, packet)| OutcomePacket::decode(packet).unwrap().order()).collect();
        for order in self.model.stored.keys() {
            prop_assert!(outbox.contains(order), "{order:?} was durable and is lost");
        }
        // Also those of which the host had not heard, and those whose end was not durable.
        self.model.stored = outbox.into_iter().map(|order| (order, Emission::default())).collect();
        self.model.queued.clear();
        self.lookups.clear();
        self.sends.clear();
        self.router = router(self.now);
        for ((table, key), value) in &self.rows {
            let row = Row { key: key.clone(), value: value.clone() };
            self.router.restore(self.now, *table, &row).unwrap();
        }
        self.router.start(self.now);
        Ok(())
    }

    /// Takes out what the router wants done, and looks whether it may.
    fn drain(&mut self) -> Result<(), TestCaseError> {
        while let Some(output) = self.router.poll_output() {
            match output {
                Output::Commit(batch) => {
                    prop_assert!(self.committing.is_none());
                    self.committing = Some(batch);
                }
                Output::Lookup { id, .. } => self.lookups.push_back(id),
                Output::Announce { domain, .. } => {
                    self.router.handle(self.now, Input::Announced { domain, result: Ok(()) });
                }
                Output::Send { id, to, frames, .. } => self.sends_packet(id, &to, &frames)?,
                Output::Event(Event::Stored { emission, .. }) => {
                    prop_assert_eq!(self.model.queued.pop_front(), Some(emission));
                }
                Output::Event(Event::EmissionFailed { emission, .. }) => {
                    prop_assert_eq!(self.model.queued.pop_front(), Some(emission));
                }
                Output::Event(Event::Emitted(receipt)) => self.over(&receipt)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sends_packet(&mut self, id: SendId, to: &Address, frames: &[Vec<u8>]) -> Result<(), TestCaseError> {
        let frame = &frames[0];
        prop_assert_eq!(frame[0], FrameKind::Packet.code());
        let bytes = &frame[PACKET[usize::from(frame[9])]..];
        let order = OutcomePacket::decode(bytes).unwrap().order();
        prop_assert_eq!(
            self.model.sent.entry(order).or_insert(bytes.to_vec()),
            bytes,
            "a number is used twice"
        );
        let Some(emission) = self.model.stored.get_mut(&order) else {
            return Err(TestCaseError::fail(format!("{order:?} is sent, and is not durable or is over")));
        };
        let one = emission.recipients.entry(to.clone()).or_default();
        prop_assert!(one.end.is_none(), "{to} has spoken, and is sent it again");
        prop_assert_eq!(*one.nonce.get_or_insert(nonce(frame)), nonce(frame));
        one.sent += 1;
        prop_assert!(one.sent <= ATTEMPTS);
        self.sends.push((id, to.clone(), order));
        Ok(())
    }

    fn over(&mut self, receipt: &Receipt) -> Result<(), TestCaseError> {
        let Some(emission) = self.model.stored.remove(&receipt.order) else {
            return Err(TestCaseError::fail(format!(
                "{:?} is over twice, or was never durable",
                receipt.order
            )));
        };
        prop_assert_eq!(receipt.recipients.len(), emission.recipients.len());
        prop_assert_eq!(receipt.lookup_error.is_some(), emission.recipients.is_empty());
        for report in &receipt.recipients {
            let one = &emission.recipients[&report.address];
            prop_assert_eq!(report.attempts, one.sent);
            let given_up = one.late && report.delivery == Delivery::Unacknowledged;
            if !given_up {
                prop_assert_eq!(report.delivery, one.end.unwrap_or(Delivery::Unacknowledged));
            }
            prop_assert!(one.end.is_some() || one.sent == ATTEMPTS, "it was given up early");
        }
        Ok(())
    }

    /// Everything works from here on: all that is durable comes to its end, and leaves nothing behind.
    fn finish(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..100 {
            self.drain()?;
            self.step(Step::Commit { works: true, got_there: true })?;
            self.step(Step::Found { works: true })?;
            self.step(Step::Wait { milliseconds: 3_000 })?;
        }
        prop_assert!(self.model.queued.is_empty() && self.model.stored.is_empty(), "{:?}", self.model);
        prop_assert!(self.rows.keys().all(|(table, _)| *table != Table::Outbox));
        Ok(())
    }
}

fn nonce(frame: &[u8]) -> [u8; 8] {
    frame[1..9].try_into().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_is_durable_is_sent_until_each_recipient_has_an_end(steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run::new();
        for step in steps {
            run.step(step)?;
        }
        run.finish()?;
    }
}
