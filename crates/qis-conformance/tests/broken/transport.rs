use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use qis_conformance::block_on;
use qis_conformance::transport::{Inbox, Suite};
use qis_packet::Frame;
use qis_route::{Address, HostError, HostErrorKind, Transport};

use crate::assert_each_is_caught;
use crate::slow::{Busy, pause, wait};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    Cuts,
    Alters,
    Joins,
    DropsLargeOnes,
    StatesTooMuch,
    SendsToAll,
    Moves,
    Shrinks,
    NamesAPort,
    WaitsForAnAnswer,
    NeverReturns,
    Blocks,
    Panics,
    OneAtATime,
    WritesByHalves,
    GivesUpWhoIsAway,
    RetriesTheTooLarge,
    TakesAnyAddress,
}

const BUGS: [(Bug, &str); 18] = [
    (Bug::Cuts, "Frames may be lost"),
    (Bug::Alters, "Frames may be lost"),
    (Bug::Joins, "Frames may be lost"),
    (Bug::DropsLargeOnes, "Frames of at most"),
    (Bug::StatesTooMuch, "Frames of at most"),
    (Bug::SendsToAll, "`send` hands over one whole frame"),
    (Bug::Moves, "`local_address` and `max_frame` stay"),
    (Bug::Shrinks, "`local_address` and `max_frame` stay"),
    (Bug::NamesAPort, "The `from` that the other side's host passes"),
    (Bug::WaitsForAnAnswer, "Waiting for the other side to *process* the frame is wrong"),
    (Bug::NeverReturns, "It returns within `allowed`."),
    (Bug::Blocks, "It waits as a future and does not block the thread"),
    (Bug::Panics, "It does not panic"),
    (Bug::OneAtATime, "`send` is called from the node's driver, many calls at a time"),
    (Bug::WritesByHalves, "The driver may drop the future"),
    (Bug::GivesUpWhoIsAway, "A failure that may pass"),
    (Bug::RetriesTheTooLarge, "One that never will"),
    (Bug::TakesAnyAddress, "One that never will"),
];

type Inboxes = Arc<Mutex<BTreeMap<Address, Inbox>>>;

#[derive(Debug)]
struct Wire {
    bug: Option<Bug>,
    inboxes: Inboxes,
    local: Address,
    busy: Busy,
    sends: AtomicUsize,
    stream: Mutex<Vec<u8>>,
}

/// Takes its inbox away in the end.
struct Listener(Inboxes, Address);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.lock().unwrap().remove(&self.1);
    }
}

fn error(kind: HostErrorKind) -> HostError {
    HostError::new(kind, "as the test has it")
}

impl Wire {
    fn hand_over(&self, to: &Inbox, frame: &[u8]) {
        let from = match self.bug {
            Some(Bug::NamesAPort) => format!("{}:50001", self.local).parse().unwrap(),
            _ => self.local.clone(),
        };
        to.receive(&from, frame);
    }
}

#[async_trait]
impl Transport for Wire {
    fn local_address(&self) -> Address {
        match self.bug {
            Some(Bug::Moves) if self.sends.load(Ordering::Relaxed) > 0 => "elsewhere".parse().unwrap(),
            _ => self.local.clone(),
        }
    }

    fn max_frame(&self) -> usize {
        match self.bug {
            Some(Bug::Shrinks) if self.sends.load(Ordering::Relaxed) > 0 => 512,
            Some(Bug::StatesTooMuch) => 2 * Frame::MAX_BYTES,
            _ => Frame::MAX_BYTES,
        }
    }

    async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
        let number = self.sends.fetch_add(1, Ordering::Relaxed);
        let there = self.busy.enter();
        if self.bug != Some(Bug::TakesAnyAddress) && to.as_str().starts_with("never") {
            return Err(error(HostErrorKind::Refused));
        }
        if frame.len() > Frame::MAX_BYTES {
            return Err(error(match self.bug {
                Some(Bug::RetriesTheTooLarge) => HostErrorKind::Unavailable,
                _ => HostErrorKind::Refused,
            }));
        }
        let inbox = self.inboxes.lock().unwrap().get(to).cloned();
        let Some(inbox) = inbox else {
            return Err(error(match self.bug {
                Some(Bug::GivesUpWhoIsAway) => HostErrorKind::Refused,
                _ => HostErrorKind::Unavailable,
            }));
        };
        let mut frame = frame.to_vec();
        match self.bug {
            Some(Bug::Cuts) => frame.truncate(512),
            Some(Bug::Alters) if frame.len() > 1000 => frame[999] ^= 1,
            Some(Bug::Joins) => {
                let mut stream = self.stream.lock().unwrap();
                stream.extend(&frame);
                if number % 5 == 4 {
                    return Ok(());
                }
                frame = std::mem::take(&mut *stream);
            }
            Some(Bug::DropsLargeOnes) if frame.len() > 4096 => return Ok(()),
            Some(Bug::SendsToAll) => {
                for inbox in self.inboxes.lock().unwrap().values() {
                    self.hand_over(inbox, &frame);
                }
                return Ok(());
            }
            Some(Bug::WaitsForAnAnswer) => {
                self.hand_over(&inbox, &frame);
                wait(allowed).await;
                return Err(error(HostErrorKind::Timeout));
            }
            Some(Bug::NeverReturns) if frame.len() == 512 => std::future::pending().await,
            Some(Bug::Blocks) if frame.len() == 512 => std::thread::sleep(Duration::from_secs(3600)),
            Some(Bug::Panics) if frame.len() == 512 => panic!("as the test has it"),
            Some(Bug::OneAtATime) => {
                pause().await;
                if there.is_none() {
                    return Err(error(HostErrorKind::Refused));
                }
            }
            Some(Bug::WritesByHalves) => {
                let half = frame.len() / 2;
                self.stream.lock().unwrap().extend(&frame[..half]);
                pause().await;
                let mut stream = self.stream.lock().unwrap();
                stream.extend(&frame[half..]);
                frame = std::mem::take(&mut *stream);
            }
            _ => {}
        }
        self.hand_over(&inbox, &frame);
        Ok(())
    }
}

#[test]
fn each_broken_transport_is_caught_by_the_sentence_it_breaks() {
    assert_each_is_caught(&Suite::requirements(), &BUGS, |bug| {
        let (inboxes, numbers) = (Inboxes::default(), AtomicUsize::new(0));
        let open = async move |inbox: Inbox| {
            let local: Address = format!("node-{}", numbers.fetch_add(1, Ordering::Relaxed)).parse().unwrap();
            inboxes.lock().unwrap().insert(local.clone(), inbox);
            let guard = Listener(Arc::clone(&inboxes), local.clone());
            let (busy, sends, stream) = Default::default();
            let wire = Wire { bug, inboxes: Arc::clone(&inboxes), local, busy, sends, stream };
            Ok::<_, Infallible>((wire, guard))
        };
        let suite = Suite::new(open).never_an_address("never");
        match bug {
            // What never comes is waited for.
            Some(Bug::DropsLargeOnes | Bug::WaitsForAnAnswer | Bug::NeverReturns | Bug::Blocks) => {
                suite.patience(Duration::from_millis(400)).run(block_on)
            }
            _ => suite.run(block_on),
        }
    });
}

#[test]
fn an_endpoint_that_cannot_be_opened_is_no_broken_sentence() {
    let open = async |_| Err::<(Arc<dyn Transport>, ()), _>("no port is free");
    let failures = Suite::new(open).run(block_on).unwrap_err();
    assert_eq!(failures.sentences().count(), 0);
    assert!(failures.to_string().contains("no port is free"), "{failures}");
}
