use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use qis_packet::Frame;
use qis_route::{Address, HostError, HostErrorKind};

use super::{Endpoint, Setup};
use crate::alarm::sleep;
use crate::requirement::Requirement;
use crate::runner::{Always, Check, Outcome, Stop, broken, check, ensure, poll_and_drop};

const ONE_FRAME: &str = "`send` hands over one whole frame to the address it is given, or fails.";
const WHOLE: &str = "Frames may be lost, repeated and reordered on the way, but not cut, joined or altered.";
const CARRIED: &str = "Frames of at most `max_frame` bytes are carried, to every address.";
const STAY: &str =
    "`local_address` and `max_frame` stay as they are: each is asked once, when the node is built.";
const NOT_PROCESSED: &str =
    "Waiting for the other side to *process* the frame is wrong: the node may be waiting for this very call.";
const FROM: &str = "The `from` that the other side's host passes to its node is this node's `local_address`, the same text: \
     an acknowledgement or answer from another address than the one that was asked is refused, as anybody could have sent it.";
const MANY: &str = "`send` is called from the node's driver, many calls at a time, in no order.";
const IN_TIME: &str = "It returns within `allowed`.";
const DROPPED: &str = "The driver may drop the future later than that, which must leave nothing broken.";
const BLOCKS: &str = "It waits as a future and does not block the thread that polls it.";
const PANICS: &str = "It does not panic: a panic is contained, and ends the delivery as failed.";
const MAY_PASS: &str = "A failure that may pass is of a retryable kind.";
const NEVER: &str = "One that never will, as of a frame that is too large, is `HostErrorKind::Refused`.";

pub(super) const ALWAYS: Always =
    Always { of: "transport", panics: PANICS, ends: Some(BLOCKS), waits: Some(BLOCKS) };

pub(super) const UNCHECKED: &[Requirement] = &[
    Requirement::unchecked(
        "`Ok` means that the frame was handed over, not that it arrived.",
        "it says what may be lost, not what must happen",
    ),
    Requirement::unchecked(
        "Retries are the router's: an implementation makes none.",
        "a frame that was sent again looks like one that was repeated on the way",
    ),
    Requirement::unchecked("Nothing is authenticated here.", "it says what is not asked for"),
    Requirement::unchecked("Packets are signed; addresses are not.", "it says what is not asked for"),
];

pub(super) const CHECKS: &[Check<Setup>] = &[
    check!(address_and_largest_frame_stay_as_they_are, [STAY, CARRIED, FROM]),
    check!(frames_of_every_length_arrive_whole, [WHOLE, CARRIED, ONE_FRAME]),
    check!(many_frames_at_a_time_stay_apart, [MANY, WHOLE, ONE_FRAME, CARRIED]),
    check!(frames_come_from_the_local_address, [FROM, CARRIED]),
    check!(a_send_does_not_wait_for_an_answer, [NOT_PROCESSED, CARRIED]),
    check!(a_send_ends_in_time_wherever_it_goes, [IN_TIME, MAY_PASS]),
    check!(a_dropped_send_leaves_nothing_broken, [DROPPED, WHOLE, CARRIED]),
    check!(what_can_never_be_carried_is_refused, [NEVER, WHOLE]),
    check!(odd_addresses_do_no_harm, [IN_TIME, CARRIED]),
];

/// Lengths around which something may change: bytes of a length, packets, datagrams, blocks.
const LENGTHS: [usize; 22] = [
    1, 2, 23, 24, 25, 50, 127, 128, 255, 256, 257, 511, 512, 513, 556, 1023, 1024, 1280, 4096, 8192, 16_383,
    16_384,
];
/// Frames from this length on are told apart by their first four bytes.
const NUMBERED: usize = 8;
/// Frames sent at a time.
const AT_A_TIME: usize = 32;
/// Between a send that came to nothing and the next, at first.
const PAUSE: Duration = Duration::from_millis(20);

/// A frame that is like no other with another number.
fn frame(number: usize, len: usize) -> Vec<u8> {
    let byte = |at: usize| (number.wrapping_mul(31) ^ at.wrapping_mul(7) ^ (at >> 8)) as u8;
    let numbered = (number as u32).to_le_bytes();
    let mut frame: Vec<u8> = (0..len).map(byte).collect();
    for (place, value) in frame.iter_mut().zip(numbered) {
        *place = value;
    }
    frame
}

impl Setup {
    async fn pair(&self) -> Result<(Endpoint, Endpoint), Stop> {
        Ok((self.endpoint().await?, self.endpoint().await?))
    }

    /// Sends once; an error that it did not return in time is the check's to report.
    async fn send(
        &self,
        from: &Endpoint,
        to: &Address,
        frame: &[u8],
        allowed: Duration,
    ) -> Result<Result<(), HostError>, Stop> {
        let send = from.transport.send(to, frame, allowed);
        let late = allowed + self.patience / 2;
        let returned = self.watch.call(late, send).await;
        returned.ok_or_else(|| {
            broken(IN_TIME, format!("a send to {to} was allowed {allowed:?} and not over after {late:?}"))
        })
    }

    /// Sends a frame until it arrives, since it may be lost.
    async fn deliver(&self, from: &Endpoint, to: &Endpoint, frame: &[u8]) -> Result<(), Stop> {
        let (end, address) = (Instant::now() + self.patience, to.address());
        let (mut last, mut wait) = (None, PAUSE);
        while Instant::now() < end {
            match self.send(from, &address, frame, self.patience / 2).await? {
                Ok(()) => {
                    if to.inbox.wait(wait, |arrived| arrived.frame == frame).await.is_some() {
                        return Ok(());
                    }
                    wait = (2 * wait).min(self.patience / 4);
                    if let Some(other) = to.inbox.frames().iter().find(|one| is_damaged(&one.frame, frame)) {
                        let (is, was) = (other.frame.len(), frame.len());
                        return Err(broken(WHOLE, format!("a frame of {was} bytes arrived as {is} others")));
                    }
                }
                Err(error) if !error.is_retryable() => {
                    let found = format!("a frame of {} bytes to {address}: {error}", frame.len());
                    return Err(broken(CARRIED, found));
                }
                Err(error) => {
                    last = Some(error);
                    sleep(PAUSE).await;
                }
            }
        }
        let why = last.map_or_else(String::new, |error| format!("; the last error: {error}"));
        Err(broken(CARRIED, format!("a frame of {} bytes did not arrive{why}", frame.len())))
    }
}

/// Whether something that arrived is a frame with its end missing, something behind it, or a change in the midst of it.
fn is_damaged(arrived: &[u8], frame: &[u8]) -> bool {
    let is_part = !arrived.is_empty() && frame.starts_with(arrived);
    let has_more = frame.len() >= NUMBERED && arrived.starts_with(frame);
    let is_like =
        frame.len() >= NUMBERED && arrived.len() == frame.len() && arrived.get(..4) == frame.get(..4);
    arrived != frame && (is_part || has_more || is_like)
}

/// Whether all that arrived was sent like this.
fn ensure_sent(at: &Endpoint, sent: &BTreeSet<Vec<u8>>, sentence: &'static str) -> Outcome {
    let frames = at.inbox.frames();
    let other = frames.iter().find(|arrived| !sent.contains(&arrived.frame));
    other.map_or(Ok(()), |arrived| {
        let found = format!("{} bytes arrived that nobody sent so", arrived.frame.len());
        Err(broken(sentence, found))
    })
}

async fn address_and_largest_frame_stay_as_they_are(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    let of = |endpoint: &Endpoint| (endpoint.address(), endpoint.transport.max_frame());
    let before = of(&a);
    let range = 24..=Frame::MAX_BYTES;
    ensure(range.contains(&before.1), CARRIED, || {
        format!("`max_frame` is {}, and frames have {range:?} bytes", before.1)
    })?;
    ensure(before.0 != b.address(), FROM, || format!("both endpoints are at {}", before.0))?;
    setup.deliver(&a, &b, &frame(0, 24)).await?;
    let after = of(&a);
    ensure(before == after, STAY, || format!("{before:?} became {after:?}"))
}

async fn frames_of_every_length_arrive_whole(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    let most = a.transport.max_frame();
    let mut sent = BTreeSet::new();
    let lengths = LENGTHS.into_iter().filter(|len| *len < most).chain([most]);
    for (number, len) in lengths.enumerate() {
        let frame = frame(number + 1, len);
        sent.insert(frame.clone());
        setup.deliver(&a, &b, &frame).await?;
        ensure_sent(&b, &sent, WHOLE)?;
    }
    ensure_sent(&a, &BTreeSet::new(), ONE_FRAME)
}

async fn many_frames_at_a_time_stay_apart(setup: Arc<Setup>) -> Outcome {
    let ((a, b), c) = (setup.pair().await?, setup.endpoint().await?);
    let most = a.transport.max_frame().min(1280);
    // Frames of a byte would be the same for both.
    let frames = |of: usize| -> BTreeSet<Vec<u8>> {
        (0..AT_A_TIME).map(|number| frame(2 * number + of, (8 + number * 37).min(most))).collect()
    };
    let (to_b, to_c) = (frames(0), frames(1));
    let sends = |frames: &BTreeSet<Vec<u8>>, to: &Endpoint| {
        let address = to.address();
        let send = |frame: &Vec<u8>| {
            let (setup, a, address, frame) = (&setup, &a, address.clone(), frame.clone());
            async move { setup.send(a, &address, &frame, setup.patience / 2).await }
        };
        frames.iter().map(send).collect::<Vec<_>>()
    };
    let all: Vec<_> = sends(&to_b, &b).into_iter().chain(sends(&to_c, &c)).collect();
    for result in join_all(all).await {
        if let Err(error) = result?
            && !error.is_retryable()
        {
            return Err(broken(MANY, format!("one of {} sends at a time: {error}", 2 * AT_A_TIME)));
        }
    }
    // What was lost is sent again; all that was sent at first has arrived by then, or never will.
    for (to, sent, others) in [(&b, &to_b, &to_c), (&c, &to_c, &to_b)] {
        for frame in sent {
            if !to.inbox.frames().iter().any(|arrived| arrived.frame == *frame) {
                setup.deliver(&a, to, frame).await?;
            }
        }
        let astray = to.inbox.frames().into_iter().any(|arrived| others.contains(&arrived.frame));
        ensure(!astray, ONE_FRAME, || "a frame arrived at another endpoint than it was sent to".to_owned())?;
        ensure_sent(to, sent, WHOLE)?;
    }
    Ok(())
}

async fn frames_come_from_the_local_address(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    for (number, (from, to)) in [(&a, &b), (&b, &a), (&a, &b)].into_iter().enumerate() {
        let frame = frame(number, 24);
        setup.deliver(from, to, &frame).await?;
        let address = from.address();
        for arrived in to.inbox.frames() {
            ensure(arrived.from == address, FROM, || {
                format!("a frame of {address} arrived as from {}", arrived.from)
            })?;
        }
    }
    Ok(())
}

async fn a_send_does_not_wait_for_an_answer(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    // Once, so that a connection is there.
    let first = frame(0, 24);
    let allowed = setup.patience / 4;
    let mut failed = 0;
    let end = Instant::now() + setup.patience;
    while Instant::now() < end && failed < 3 {
        let sent = setup.send(&a, &b.address(), &first, allowed).await?;
        match sent {
            Ok(()) => return setup.deliver(&a, &b, &frame(1, 24)).await,
            Err(_) if b.inbox.frames().iter().any(|arrived| arrived.frame == first) => failed += 1,
            Err(_) => sleep(PAUSE).await,
        }
    }
    Err(if failed > 0 {
        broken(NOT_PROCESSED, "the frame had arrived, and the send failed until the other side would answer")
    } else {
        broken(CARRIED, "no send succeeded, and nothing arrived")
    })
}

async fn a_send_ends_in_time_wherever_it_goes(setup: Arc<Setup>) -> Outcome {
    let ((a, b), gone) = (setup.pair().await?, setup.endpoint().await?);
    let absent = gone.address();
    drop(gone.guard);
    let allowed = setup.patience / 8;
    for to in [b.address(), absent] {
        for number in 0..3 {
            if let Err(error) = setup.send(&a, &to, &frame(number, 24), allowed).await? {
                ensure(error.is_retryable(), MAY_PASS, || {
                    format!("where a node was and may be again, {to}: {error}")
                })?;
            }
        }
    }
    Ok(())
}

async fn a_dropped_send_leaves_nothing_broken(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    let (address, most) = (b.address(), a.transport.max_frame());
    let mut sent = BTreeSet::new();
    for number in 0..AT_A_TIME {
        let frame = frame(number, most);
        sent.insert(frame.clone());
        poll_and_drop(number % 3 + 1, a.transport.send(&address, &frame, setup.patience)).await;
    }
    let last = frame(AT_A_TIME, 24);
    sent.insert(last.clone());
    setup.deliver(&a, &b, &last).await.map_err(|stop| match stop {
        Stop::Broken { found, .. } => broken(DROPPED, format!("after sends that were dropped: {found}")),
        other => other,
    })?;
    ensure_sent(&b, &sent, DROPPED)
}

async fn what_can_never_be_carried_is_refused(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    let large = frame(1, a.transport.max_frame() + 1);
    if let Err(error) = setup.send(&a, &b.address(), &large, setup.patience / 2).await? {
        let kind = error.kind();
        ensure(kind == HostErrorKind::Refused, NEVER, || {
            format!("a frame of {} bytes, one more than is carried: {error}", large.len())
        })?;
    }
    let small = frame(2, 24);
    setup.deliver(&a, &b, &small).await?;
    // It need not be refused, if it is carried whole.
    ensure_sent(&b, &BTreeSet::from([large, small.clone()]), WHOLE)?;
    let Some(never) = &setup.never else { return Ok(()) };
    let address = never.parse().map_err(|error| Stop::failed("the text that is never an address", error))?;
    let sent = setup.send(&a, &address, &small, setup.patience / 2).await?;
    ensure(matches!(&sent, Err(error) if error.kind() == HostErrorKind::Refused), NEVER, || match sent {
        Ok(()) => format!("a frame to {never:?} was handed over"),
        Err(error) => format!("a frame to {never:?}: {error}"),
    })
}

async fn odd_addresses_do_no_harm(setup: Arc<Setup>) -> Outcome {
    let (a, b) = setup.pair().await?;
    let longest = "a".repeat(255);
    for text in [" ", "\0", "::", "/", "é", "http://", "127.0.0.1:99999", "%s%n", &longest] {
        let Ok(address) = text.parse() else { continue };
        // An error of whatever kind: the suite does not know what an address is.
        let _ = setup.send(&a, &address, &frame(0, 24), setup.patience / 8).await?;
    }
    setup.deliver(&a, &b, &frame(1, 24)).await
}
