use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use qis_conformance::block_on;
use qis_conformance::directory::Suite;
use qis_fingerprint::Fingerprint;
use qis_packet::{AuthorId, DomainTag, Identity};
use qis_route::{Descriptor, Directory, HostError, HostErrorKind, Organisation, Peer};

use crate::assert_each_is_caught;
use crate::slow::{Busy, pause};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bug {
    FailsWhenEmpty,
    KeepsTheFirst,
    KeepsOneDomainASpace,
    FindsNobody,
    ForgetsAddresses,
    RoundsFingerprints,
    GivesAll,
    GivesOneTooMany,
    NamesTwice,
    MostSimilarLast,
    MixesSpaces,
    VouchesForAll,
    SamplesTooMany,
    SamplesStrangers,
    SamplesTheSame,
    OneAtATime,
    Blocks,
    StaysLockedWhenDropped,
    Panics,
}

const BUGS: [(Bug, &str); 19] = [
    (Bug::FailsWhenEmpty, "An empty answer from an empty network"),
    (Bug::KeepsTheFirst, "`announce` replaces"),
    (Bug::KeepsOneDomainASpace, "`announce` replaces"),
    (Bug::FindsNobody, "Who has announced is found"),
    (Bug::ForgetsAddresses, "A peer comes with the address"),
    (Bug::RoundsFingerprints, "A peer comes with the address"),
    (Bug::GivesAll, "`nearest` returns at most `k` peers."),
    (Bug::GivesOneTooMany, "`nearest` returns at most `k` peers."),
    (Bug::NamesTwice, "No author is among them twice."),
    (Bug::MostSimilarLast, "The most similar come first"),
    (Bug::MixesSpaces, "All are from the space of the query."),
    (Bug::VouchesForAll, "`Peer::organisation` is given"),
    (Bug::SamplesTooMany, "`sample` returns at most `k` members"),
    (Bug::SamplesStrangers, "`sample` returns at most `k` members"),
    (Bug::SamplesTheSame, "Each is as likely as another"),
    (Bug::OneAtATime, "All are called from the node's driver, several at a time."),
    (Bug::Blocks, "They may wait for a network"),
    (Bug::StaysLockedWhenDropped, "The router gives up a look-up"),
    (Bug::Panics, "It does not panic"),
];

#[derive(Debug, Default)]
struct Listed {
    bug: Option<Bug>,
    known: Mutex<BTreeMap<(AuthorId, DomainTag), Descriptor>>,
    busy: Busy,
    is_locked: AtomicBool,
    samples: AtomicUsize,
}

impl Listed {
    async fn enter(&self) -> Result<(), HostError> {
        let there = self.busy.enter();
        if self.bug == Some(Bug::StaysLockedWhenDropped) && self.is_locked.swap(true, Ordering::SeqCst) {
            return Err(HostError::new(HostErrorKind::Unavailable, "it is locked"));
        }
        pause().await;
        self.is_locked.store(false, Ordering::SeqCst);
        if self.bug == Some(Bug::OneAtATime) && there.is_none() {
            return Err(HostError::new(HostErrorKind::Unavailable, "one at a time"));
        }
        Ok(())
    }

    fn peer(&self, known: &Descriptor) -> Peer {
        let Descriptor { author, address, fingerprint, .. } = known.clone();
        let (mut address, mut fingerprint) = (address, fingerprint);
        match self.bug {
            Some(Bug::ForgetsAddresses) => address = "member".parse().unwrap(),
            Some(Bug::RoundsFingerprints) => {
                let codes = fingerprint.codes().iter().map(|&code| if code > 60 { 1 } else { -1 });
                fingerprint = Fingerprint::from_codes(fingerprint.space(), codes.collect()).unwrap();
            }
            _ => {}
        }
        let organisation = (self.bug == Some(Bug::VouchesForAll)).then(|| Organisation::new("all"));
        Peer { author, address, fingerprint, organisation }
    }
}

#[async_trait]
impl Directory for Listed {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.enter().await?;
        let mut known = self.known.lock().unwrap();
        let key = (descriptor.author, descriptor.domain);
        if self.bug == Some(Bug::KeepsOneDomainASpace) {
            let space = descriptor.fingerprint.space();
            known.retain(|(author, _), one| *author != descriptor.author || one.fingerprint.space() != space);
        }
        if self.bug != Some(Bug::KeepsTheFirst) || !known.contains_key(&key) {
            known.insert(key, descriptor.clone());
        }
        Ok(())
    }

    async fn nearest(&self, to: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        self.enter().await?;
        if self.bug == Some(Bug::Blocks) && k == 2 {
            std::thread::sleep(Duration::from_secs(3600));
        }
        if self.bug == Some(Bug::Panics) {
            // An attempt to reserve so many.
            let _ = k.checked_mul(2).unwrap();
        }
        let known = self.known.lock().unwrap();
        if known.is_empty() && self.bug == Some(Bug::FailsWhenEmpty) {
            return Err(HostError::new(HostErrorKind::Unavailable, "nobody is there"));
        }
        let cosine = |one: &Descriptor| match one.fingerprint.cosine(to) {
            Err(_) if self.bug == Some(Bug::MixesSpaces) => Some(0.0),
            cosine => cosine.ok(),
        };
        let mut found: Vec<(f32, &Descriptor)> =
            known.values().filter_map(|one| Some((cosine(one)?, one))).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut peers: Vec<Peer> = Vec::new();
        for (_, one) in found {
            let is_known = peers.iter().any(|peer| peer.author == one.author);
            if !is_known || self.bug == Some(Bug::NamesTwice) {
                peers.push(self.peer(one));
            }
        }
        match self.bug {
            Some(Bug::GivesAll) => {}
            Some(Bug::GivesOneTooMany) => peers.truncate(k.saturating_add(1)),
            Some(Bug::FindsNobody) => peers.clear(),
            Some(Bug::MostSimilarLast) => {
                peers.truncate(k);
                peers.reverse();
            }
            _ => peers.truncate(k),
        }
        Ok(peers)
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        self.enter().await?;
        let known = self.known.lock().unwrap();
        let mut members: Vec<Peer> = known.values().map(|one| self.peer(one)).collect();
        members.dedup_by_key(|peer| peer.author);
        let number = self.samples.fetch_add(1, Ordering::SeqCst);
        let by = if self.bug == Some(Bug::SamplesTheSame) { 0 } else { number % members.len().max(1) };
        members.rotate_left(by);
        match self.bug {
            Some(Bug::SamplesTooMany) => {}
            Some(Bug::SamplesStrangers) => {
                members.truncate(k);
                for peer in &mut members {
                    peer.author = AuthorId::from_bytes([77; 16]);
                }
                members.truncate(1);
            }
            _ => members.truncate(k),
        }
        Ok(members)
    }
}

#[test]
fn each_broken_directory_is_caught_by_the_sentence_it_breaks() {
    assert_each_is_caught(&Suite::requirements(), &BUGS, |bug| {
        let network = move || {
            let list = Arc::new(Listed { bug, ..Listed::default() });
            async move |_| Ok::<_, Infallible>((Arc::clone(&list), ()))
        };
        let suite = Suite::new(network).members(6);
        match bug {
            Some(Bug::Blocks) => suite.patience(Duration::from_millis(400)).run(block_on),
            // What is never found is waited for.
            Some(
                Bug::KeepsTheFirst
                | Bug::KeepsOneDomainASpace
                | Bug::FindsNobody
                | Bug::ForgetsAddresses
                | Bug::RoundsFingerprints,
            ) => suite.patience(Duration::from_secs(1)).run(block_on),
            _ => suite.run(block_on),
        }
    });
}

/// The trait leaves it to a directory whether it names who asks.
#[test]
fn a_directory_that_leaves_the_asker_out_is_correct() {
    #[derive(Debug)]
    struct Others(Arc<Listed>, AuthorId);

    #[async_trait]
    impl Directory for Others {
        async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
            self.0.announce(descriptor).await
        }

        async fn nearest(&self, to: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
            let mut peers = self.0.nearest(to, k.saturating_add(1)).await?;
            peers.retain(|peer| peer.author != self.1);
            peers.truncate(k);
            Ok(peers)
        }
    }

    let network = || {
        let list = Arc::new(Listed::default());
        async move |identity: Identity| {
            Ok::<_, Infallible>((Others(Arc::clone(&list), identity.author()), ()))
        }
    };
    Suite::new(network).members(6).run(block_on).unwrap();
}

#[test]
fn one_situation_a_space_is_enough_where_the_host_says_so() {
    let network = || {
        let list = Arc::new(Listed { bug: Some(Bug::KeepsOneDomainASpace), ..Listed::default() });
        async move |_| Ok::<_, Infallible>((Arc::clone(&list), ()))
    };
    Suite::new(network).members(6).one_situation_a_space().run(block_on).unwrap();
}

/// Samples are the one thing that a directory need not have.
#[test]
fn a_directory_without_samples_is_correct_and_the_report_says_so() {
    #[derive(Debug)]
    struct Plain(Arc<Listed>);

    #[async_trait]
    impl Directory for Plain {
        async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
            self.0.announce(descriptor).await
        }

        async fn nearest(&self, to: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
            self.0.nearest(to, k).await
        }
    }

    let network = || {
        let list = Arc::new(Listed::default());
        async move |_| Ok::<_, Infallible>((Plain(Arc::clone(&list)), ()))
    };
    let report = Suite::new(network).run(block_on).unwrap();
    let left_out: Vec<&str> = report.left_out.iter().map(|left| left.check).collect();
    assert_eq!(left_out, ["samples_are_members_and_others_each_time"]);
}
