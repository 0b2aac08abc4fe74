use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::{join_all, join3};
use qis_fingerprint::Fingerprint;
use qis_packet::AuthorId;
use qis_route::{Descriptor, Peer};

use super::Setup;
use super::members::{Member, Members, address, domain, other_space, situation, space};
use crate::requirement::Requirement;
use crate::runner::{Always, Check, Outcome, Stop, broken, check, ensure, poll_and_drop};

const REPLACES: &str = "`announce` replaces the descriptor of the same author and domain.";
const FOUND: &str = "Who has announced is found, if not at once, by a look-up for the very fingerprint.";
const AS_ANNOUNCED: &str =
    "A peer comes with the address and the fingerprint of its latest descriptor of that situation.";
const MOST: &str = "`nearest` returns at most `k` peers.";
const ONCE: &str = "No author is among them twice.";
const ORDERED: &str = "The most similar come first, by `Fingerprint::cosine`.";
const ONE_SPACE: &str = "All are from the space of the query.";
const EMPTY: &str = "An empty answer from an empty network is not an error.";
const VOUCHED: &str =
    "`Peer::organisation` is given when somebody else than the node vouches for it, and left out otherwise.";
const SAMPLE: &str = "`sample` returns at most `k` members of the network, no author twice.";
const OTHERS: &str = "Each is as likely as another as far as the directory can, and others come each time.";
const SEVERAL: &str = "All are called from the node's driver, several at a time.";
const WAITS: &str = "They may wait for a network, as futures that do not block the thread.";
const DROPPED: &str = "The router gives up a look-up that takes longer than its time-out; the future may be dropped then, which must leave \
     nothing broken.";
const PANICS: &str = "It does not panic: a panic is contained, and counts as an answer that failed.";

const ALLOWED: &str = "it says what is allowed";

pub(super) const ALWAYS: Always =
    Always { of: "directory", panics: PANICS, ends: Some(WAITS), waits: Some(WAITS) };

pub(super) const UNCHECKED: &[Requirement] = &[
    Requirement::unchecked(
        "A descriptor may be forgotten after a day; the node announces again with each outcome.",
        ALLOWED,
    ),
    Requirement::unchecked("Missing some of the best is allowed and costs quality.", ALLOWED),
    Requirement::unchecked(
        "Fingerprints come exact, of announcements and of look-ups alike, and not in the compact form in which packets carry them.",
        "it is the node's part",
    ),
    Requirement::unchecked(
        "After a restart a node may know no more than that form; it then comes expanded, of as many dimensions, and is compared with exact \
         ones like any other.",
        "it is the node's part",
    ),
    Requirement::unchecked(
        "A directory that sends or stores them does so by `Fingerprint::to_bytes` and `Fingerprint::from_bytes`; one that compacts them to \
         fewer bytes finds fewer of the nearest.",
        "how much is found is for a measurement: `qis route` of `qis-cli`",
    ),
    Requirement::unchecked("The answers may name the asking node; the router leaves it out.", ALLOWED),
    Requirement::unchecked("Those of other spaces may be among them.", ALLOWED),
    Requirement::unchecked(
        "A directory that knows only who it was asked for has none to give, which is what it does by default: the most similar ones then take \
         the places of the random ones.",
        ALLOWED,
    ),
    Requirement::unchecked(
        "What a directory says is taken as a hint: packets are signed, and a wrong address costs a failed delivery.",
        "it is the node's part",
    ),
];

pub(super) const CHECKS: &[Check<Setup>] = &[
    check!(an_empty_network_is_no_error, [EMPTY]),
    check!(who_announced_is_found_as_announced, [FOUND, AS_ANNOUNCED]),
    check!(announcing_again_replaces_that_domain_only, [REPLACES, FOUND, AS_ANNOUNCED]),
    check!(answers_are_ordered_and_no_longer_than_asked_for, [MOST, ONCE, ORDERED, ONE_SPACE]),
    check!(nobody_vouches_for_strangers, [VOUCHED]),
    check!(samples_are_members_and_others_each_time, [SAMPLE, OTHERS]),
    check!(several_calls_at_a_time_answer_as_one, [SEVERAL, MOST, ONCE, ORDERED, ONE_SPACE]),
    check!(dropped_calls_leave_nothing_broken, [DROPPED, FOUND]),
];

/// How many peers are asked for: none, some, all and more than there will ever be.
const COUNTS: [usize; 6] = [0, 1, 2, 5, 300, usize::MAX];
const SAMPLES: usize = 40;

/// Checks the form of an answer.
fn ensure_answer(peers: &[Peer], to: &Fingerprint, k: usize) -> Outcome {
    ensure(peers.len() <= k, MOST, || format!("{} peers for k = {k}", peers.len()))?;
    let authors: BTreeSet<AuthorId> = peers.iter().map(|peer| peer.author).collect();
    ensure(authors.len() == peers.len(), ONCE, || {
        format!("{} authors in {} peers", authors.len(), peers.len())
    })?;
    let mut last = f32::INFINITY;
    for peer in peers {
        let theirs = &peer.fingerprint;
        let Ok(cosine) = theirs.cosine(to) else {
            let (space, dims) = (theirs.space(), theirs.dims());
            let found =
                format!("a peer of space {space}, {dims} dimensions, for {}, {}", to.space(), to.dims());
            return Err(broken(ONE_SPACE, found));
        };
        ensure(cosine <= last, ORDERED, || format!("a cosine of {last} comes before one of {cosine}"))?;
        last = cosine;
    }
    Ok(())
}

impl Members {
    fn first(&self) -> Result<&Member, Stop> {
        self.all.first().ok_or_else(|| Stop::Failed("a network without members".to_owned()))
    }

    /// Who asks: not who announced first.
    fn asker(&self) -> Result<&Member, Stop> {
        self.all.last().ok_or_else(|| Stop::Failed("a network without members".to_owned()))
    }

    fn all_but_the_asker(&self) -> impl Iterator<Item = &Member> {
        self.all.iter().take(self.all.len().saturating_sub(1))
    }
}

impl Setup {
    /// Waits until each member is found by the asker, whose answers may leave itself out.
    async fn settle(&self, members: &Members) -> Outcome {
        for member in members.all_but_the_asker() {
            self.find(members.asker()?, &member.descriptor, 3, FOUND).await?;
        }
        Ok(())
    }
}

async fn an_empty_network_is_no_error(setup: Arc<Setup>) -> Outcome {
    let members = setup.network_of(1).await?;
    let member = members.first()?;
    let none = |what, result| match result {
        Ok(peers) if Vec::is_empty(&peers) => Ok(()),
        Ok(peers) => Err(Stop::Failed(format!("{what} in an empty network names {} peers", peers.len()))),
        Err(Stop::Failed(found)) => Err(broken(EMPTY, found)),
        Err(other) => Err(other),
    };
    none("a look-up", setup.nearest(member, &member.descriptor.fingerprint, 5).await)?;
    none("a sample", setup.sample(member, 5).await)
}

async fn who_announced_is_found_as_announced(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    for (at, member) in members.all.iter().enumerate() {
        let by = members.all.iter().cycle().nth(at + 1).unwrap_or(member);
        let peers = setup.find(by, &member.descriptor, 3, FOUND).await.map_err(|stop| match stop {
            Stop::Broken { found, .. } if found.contains("comes with") => broken(AS_ANNOUNCED, found),
            other => other,
        })?;
        ensure_answer(&peers, &member.descriptor.fingerprint, 3)?;
    }
    Ok(())
}

async fn announcing_again_replaces_that_domain_only(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    let (first, asker) = (members.first()?, members.asker()?);
    let before = first.descriptor.clone();
    setup.find(asker, &before, 3, FOUND).await?;
    // At the same place it is the newer one that counts, wherever others still have the older one.
    let moved = Descriptor { address: address("moved")?, ..before.clone() };
    setup.announce(first, &moved).await?;
    setup.find(asker, &moved, 3, REPLACES).await?;
    let elsewhere = Descriptor { fingerprint: situation(space(), 1000)?, ..moved.clone() };
    setup.announce(first, &elsewhere).await?;
    setup.find(asker, &elsewhere, 3, REPLACES).await?;
    if setup.one_situation {
        return Ok(());
    }
    let second = Descriptor {
        domain: domain("conformance/second")?,
        fingerprint: situation(space(), 1001)?,
        ..elsewhere.clone()
    };
    setup.announce(first, &second).await?;
    for wanted in [&second, &elsewhere] {
        let peers = setup.find(asker, wanted, 3, REPLACES).await?;
        ensure_answer(&peers, &wanted.fingerprint, 3)?;
    }
    Ok(())
}

async fn answers_are_ordered_and_no_longer_than_asked_for(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    // Some have a second domain near the first, and some are of another space too.
    for (at, member) in members.all.iter().enumerate() {
        let fingerprint = match at % 3 {
            0 => member.descriptor.fingerprint.clone(),
            1 if !setup.one_situation => situation(space(), 2000 + at as u64)?,
            _ => situation(other_space(), at as u64)?,
        };
        let domain = domain("conformance/second")?;
        setup.announce(member, &Descriptor { fingerprint, domain, ..member.descriptor.clone() }).await?;
    }
    setup.settle(&members).await?;
    let asker = members.asker()?;
    let narrow = Fingerprint::from_codes(space(), vec![1, 2, 3])
        .map_err(|error| Stop::failed("the suite's own fingerprint", error))?;
    for number in 0..4 {
        for to in [situation(space(), number)?, situation(other_space(), number)?, narrow.clone()] {
            for k in COUNTS {
                ensure_answer(&setup.nearest(asker, &to, k).await?, &to, k)?;
            }
        }
    }
    Ok(())
}

async fn nobody_vouches_for_strangers(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    let asker = members.asker()?;
    let mut peers = setup.find(asker, &members.first()?.descriptor, 300, FOUND).await?;
    peers.extend(setup.sample(asker, 300).await?);
    let vouched = peers.iter().find(|peer| peer.organisation.is_some());
    ensure(vouched.is_none(), VOUCHED, || {
        "a member for whom nobody vouched comes with an organisation".to_owned()
    })
}

async fn samples_are_members_and_others_each_time(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    setup.settle(&members).await?;
    let asker = members.asker()?;
    for k in COUNTS {
        let peers = setup.sample(asker, k).await?;
        ensure(peers.len() <= k, SAMPLE, || format!("{} peers for k = {k}", peers.len()))?;
        let authors: BTreeSet<AuthorId> = peers.iter().map(|peer| peer.author).collect();
        ensure(authors.len() == peers.len(), SAMPLE, || {
            format!("{} authors in {} peers", authors.len(), peers.len())
        })?;
        let is_member = |peer: &Peer| {
            let known = members.all.iter().map(|member| &member.descriptor);
            let mut same = known.filter(|known| known.author == peer.author);
            same.any(|known| known.address == peer.address)
        };
        let stranger = peers.iter().find(|peer| !is_member(peer));
        if let Some(peer) = stranger {
            let found = format!("{} at {} did not announce itself", peer.author, peer.address);
            return Err(broken(SAMPLE, found));
        }
    }
    let mut drawn = BTreeSet::new();
    for _ in 0..SAMPLES {
        drawn.extend(setup.sample(asker, 1).await?.into_iter().map(|peer| peer.author));
    }
    if drawn.is_empty() {
        return Err(Stop::LeftOut("it has no samples to give, as is allowed"));
    }
    ensure(drawn.len() > 1, OTHERS, || format!("{SAMPLES} samples of one member named the same one"))
}

async fn several_calls_at_a_time_answer_as_one(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    setup.settle(&members).await?;
    let asker = members.asker()?;
    let look_ups = members.all_but_the_asker().map(|member| {
        let setup = &setup;
        async move {
            let to = &member.descriptor.fingerprint;
            let (peers, sampled, announced) = join3(
                setup.nearest(asker, to, 3),
                setup.sample(asker, 3),
                setup.announce(member, &member.descriptor),
            )
            .await;
            announced?;
            let sampled = sampled?.len();
            ensure(sampled <= 3, SAMPLE, || format!("{sampled} peers for k = 3"))?;
            let peers = peers?;
            ensure_answer(&peers, to, 3)?;
            let found = peers.iter().any(|peer| peer.author == member.descriptor.author);
            ensure(found, SEVERAL, || {
                "one of several look-ups at a time did not find what it did alone".to_owned()
            })
        }
    });
    join_all(look_ups).await.into_iter().collect::<Result<(), Stop>>().map_err(|stop| match stop {
        Stop::Failed(found) => broken(SEVERAL, found),
        other => other,
    })
}

async fn dropped_calls_leave_nothing_broken(setup: Arc<Setup>) -> Outcome {
    let members = setup.announced().await?;
    setup.settle(&members).await?;
    for (times, member) in members.all.iter().enumerate() {
        let Member { directory, descriptor, .. } = member;
        poll_and_drop(times % 4, directory.nearest(&descriptor.fingerprint, 3)).await;
        poll_and_drop(times % 4, directory.sample(3)).await;
        poll_and_drop(times % 4, directory.announce(descriptor)).await;
    }
    setup.settle(&members).await.map_err(|stop| match stop {
        Stop::Broken { found, .. } | Stop::Failed(found) => {
            broken(DROPPED, format!("after calls that were dropped: {found}"))
        }
        left_out @ Stop::LeftOut(_) => left_out,
    })
}
