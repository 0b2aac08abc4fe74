//! A network, and those who take part in it.

use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};

use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{DomainTag, Identity};
use qis_route::{Address, Descriptor, Directory, Peer};

use super::Setup;
use crate::alarm::sleep;
use crate::random::Random;
use crate::runner::{Context, Stop, broken};

/// Dimensions of the members' situations.
const DIMS: u16 = 16;
/// Between a look-up and the next, for what is not found at once.
const PAUSE: Duration = Duration::from_millis(50);

/// Where members are in a similar situation.
pub(super) fn space() -> SpaceId {
    SpaceId::new("qis/conformance", DIMS)
}

/// Where others are.
pub(super) fn other_space() -> SpaceId {
    SpaceId::new("qis/conformance/other", DIMS)
}

/// A situation that no other number has.
pub(super) fn situation(space: SpaceId, number: u64) -> Result<Fingerprint, Stop> {
    let mut random = Random::new(number);
    let codes = (0..DIMS).map(|_| (random.below(253) as i64 - 126) as i8).collect();
    Fingerprint::from_codes(space, codes).map_err(|error| Stop::failed("the suite's own fingerprint", error))
}

/// One who takes part, and its way into the directory.
pub(super) struct Member {
    pub(super) directory: Arc<dyn Directory>,
    pub(super) descriptor: Descriptor,
    _guard: Box<dyn Any>,
}

/// All of a network.
pub(super) struct Members {
    pub(super) all: Vec<Member>,
}

impl Setup {
    /// A network of members with a situation each, who have not announced it.
    pub(super) async fn network(&self) -> Result<Members, Stop> {
        self.network_of(self.members).await
    }

    pub(super) async fn network_of(&self, members: u8) -> Result<Members, Stop> {
        let open = (self.network)();
        let mut all = Vec::new();
        for number in 1..=members {
            let identity = Identity::from_seed([number; 32]);
            let descriptor = Descriptor {
                author: identity.author(),
                address: address(&format!("member-{number}"))?,
                domain: domain("conformance/first")?,
                fingerprint: situation(space(), number.into())?,
            };
            let opened = open(identity).await;
            let (directory, guard) =
                opened.map_err(|error| Stop::failed("a member's directory could not be opened", error))?;
            all.push(Member { directory, descriptor, _guard: guard });
        }
        Ok(Members { all })
    }

    /// The same, and all have announced themselves.
    pub(super) async fn announced(&self) -> Result<Members, Stop> {
        let members = self.network().await?;
        for member in &members.all {
            self.announce(member, &member.descriptor).await?;
        }
        Ok(members)
    }

    pub(super) async fn announce(&self, member: &Member, descriptor: &Descriptor) -> Result<(), Stop> {
        self.call("an announcement", member.directory.announce(descriptor)).await
    }

    pub(super) async fn nearest(
        &self,
        member: &Member,
        to: &Fingerprint,
        k: usize,
    ) -> Result<Vec<Peer>, Stop> {
        self.call("a look-up", member.directory.nearest(to, k)).await
    }

    pub(super) async fn sample(&self, member: &Member, k: usize) -> Result<Vec<Peer>, Stop> {
        self.call("a sample", member.directory.sample(k)).await
    }

    /// Looks for what a member announced until it is found as it should be, which need not be at once. `sentence` is what is broken if it
    /// never is.
    pub(super) async fn find(
        &self,
        by: &Member,
        wanted: &Descriptor,
        k: usize,
        sentence: &'static str,
    ) -> Result<Vec<Peer>, Stop> {
        let end = Instant::now() + self.patience;
        loop {
            let peers = self.nearest(by, &wanted.fingerprint, k).await?;
            let found = peers.iter().find(|peer| peer.author == wanted.author);
            let is_as_announced = |peer: &&Peer| {
                let alike = peer.fingerprint.cosine(&wanted.fingerprint).is_ok_and(|cosine| cosine > 0.95);
                peer.address == wanted.address && alike
            };
            if found.filter(is_as_announced).is_some() {
                return Ok(peers);
            }
            if Instant::now() > end {
                let Descriptor { author, address, .. } = wanted;
                return Err(broken(
                    sentence,
                    match found {
                        Some(peer) => format!(
                            "{author} announced {address} and {:?}, and comes with {} and {:?}",
                            wanted.fingerprint.codes(),
                            peer.address,
                            peer.fingerprint.codes()
                        ),
                        None => format!("{author} is not among the {} peers found", peers.len()),
                    },
                ));
            }
            sleep(PAUSE).await;
        }
    }
}

pub(super) fn address(text: &str) -> Result<Address, Stop> {
    text.parse().map_err(|error| Stop::failed("the suite's own address", error))
}

pub(super) fn domain(text: &str) -> Result<DomainTag, Stop> {
    text.parse().map_err(|error| Stop::failed("the suite's own domain", error))
}
