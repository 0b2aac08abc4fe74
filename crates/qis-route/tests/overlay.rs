//! The overlay keeps to what a directory promises, but for one thing: a node has one situation a space in it.
//!
//! A node asks its overlay without a [`Directory`] between them. Here one stands between: it signs what is announced, carries the frames of
//! all members, and lets time pass until an answer is there.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use qis_conformance::block_on;
use qis_conformance::directory::Suite;
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{Frame, Identity, NetworkId, Order};
use qis_route::overlay::{
    Contact, Event, LookupId, LookupOptions, Open, Output, OverlayConfig, Overlays, Statement, Verifier,
};
use qis_route::{Address, Descriptor, Directory, HostError, HostErrorKind, Peer};

/// What passes before each look-up, so that members exchange what they know.
const BETWEEN: Duration = Duration::from_secs(60);
/// The most that one may find.
const MOST: usize = 200;

/// A network: its members, and what is on its way.
#[derive(Debug, Default)]
struct Network {
    now: Duration,
    members: Vec<Member>,
    frames: VecDeque<(Address, Address, Vec<u8>)>,
    ended: Vec<(usize, SpaceId, Event)>,
}

#[derive(Debug)]
struct Member {
    identity: Identity,
    overlays: Overlays,
    /// Where it is reached, once it has announced itself.
    address: Option<Address>,
    space: Option<SpaceId>,
    announced: u32,
}

impl Network {
    fn join(&mut self, identity: Identity) -> usize {
        let registry = Verifier { network: NetworkId::new("test"), admission: Arc::new(Open) };
        let seed = [u8::try_from(self.members.len()).unwrap(); 32];
        let overlays = Overlays::new(OverlayConfig::default(), Arc::new(registry), seed).unwrap();
        self.members.push(Member { identity, overlays, address: None, space: None, announced: 0 });
        self.members.len() - 1
    }

    fn announce(&mut self, at: usize, descriptor: &Descriptor) -> Result<(), HostError> {
        let others = self.members.iter().filter_map(|member| member.address.clone());
        let bootstrap: Vec<Address> = others.take(3).collect();
        let (now, member) = (self.now, &mut self.members[at]);
        let statement = Statement {
            address: descriptor.address.clone(),
            fingerprint: descriptor.fingerprint.clone(),
            order: Order { incarnation: 1, sequence: member.announced },
            credential: Vec::new(),
        };
        let signed = statement.sign(&member.identity, NetworkId::new("test")).map_err(refused)?;
        member.overlays.announce(now, &signed).map_err(refused)?;
        if member.address.is_none() {
            member.overlays.start(now, &bootstrap);
        }
        member.announced += 1;
        member.address = Some(descriptor.address.clone());
        member.space.get_or_insert(descriptor.fingerprint.space());
        self.carry();
        Ok(())
    }

    /// Carries frames until there are none. What is sent to where nobody is any more is lost.
    fn carry(&mut self) {
        loop {
            for (at, member) in self.members.iter_mut().enumerate() {
                while let Some((space, output)) = member.overlays.poll_output() {
                    match output {
                        Output::Send { to, frame } => {
                            let from = member.address.clone().unwrap();
                            self.frames.push_back((from, to, frame));
                        }
                        Output::Event(event) => self.ended.push((at, space, event)),
                        other => panic!("not done here: {other:?}"),
                    }
                }
            }
            let Some((from, to, frame)) = self.frames.pop_front() else { return };
            if let Some(member) = self.members.iter_mut().find(|member| member.address.as_ref() == Some(&to))
            {
                // Of another space, perhaps: that is refused and counted there.
                let _ = member.overlays.receive(self.now, &from, Frame::parse(&frame).unwrap().body);
            }
        }
    }

    /// Lets time pass up to a moment, and does what is due on the way.
    fn pass(&mut self, until: Duration) {
        while let Some(due) = self.next_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            for member in &mut self.members {
                member.overlays.handle_timeout(self.now);
            }
            self.carry();
        }
        self.now = until;
    }

    fn next_timeout(&self) -> Option<Duration> {
        self.members.iter().filter_map(|member| member.overlays.next_timeout()).min()
    }

    /// Lets time pass until a look-up or draw is over, which a member has begun. All that waits in an overlay has a time-out.
    fn end(&mut self, at: usize, space: SpaceId, id: LookupId) -> Vec<Contact> {
        self.carry();
        loop {
            let is_it = |(member, of, event): &(usize, SpaceId, Event)| {
                let ended = match event {
                    Event::Found { id, .. } | Event::Sampled { id, .. } => Some(*id),
                    _ => None,
                };
                (*member, *of, ended) == (at, space, Some(id))
            };
            if let Some(place) = self.ended.iter().position(is_it) {
                return match self.ended.swap_remove(place).2 {
                    Event::Found { found, .. } => {
                        found.nearest.into_iter().map(|(_, contact)| contact).collect()
                    }
                    Event::Sampled { members, .. } => members,
                    _ => Vec::new(),
                };
            }
            let due = self.next_timeout().unwrap();
            self.pass(due);
        }
    }
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> HostError {
    HostError::new(HostErrorKind::Refused, error)
}

/// A member's way into its network.
#[derive(Debug)]
struct InOverlay {
    network: Arc<Mutex<Network>>,
    at: usize,
}

#[async_trait]
impl Directory for InOverlay {
    async fn announce(&self, descriptor: &Descriptor) -> Result<(), HostError> {
        self.network.lock().unwrap().announce(self.at, descriptor)
    }

    async fn nearest(&self, fingerprint: &Fingerprint, k: usize) -> Result<Vec<Peer>, HostError> {
        let mut network = self.network.lock().unwrap();
        let (space, later) = (fingerprint.space(), network.now + BETWEEN);
        network.pass(later);
        let Ok(k @ 1..) = u8::try_from(k.min(MOST)) else { return Ok(Vec::new()) };
        let overlays = &mut network.members[self.at].overlays;
        // Nobody is found in a space, or of so many dimensions, where this member is not.
        let Ok(id) = overlays.look_up(later, fingerprint, LookupOptions::nearest(k)) else {
            return Ok(Vec::new());
        };
        let found = network.end(self.at, space, id);
        Ok(found.iter().filter_map(|contact| contact.to_peer(space)).collect())
    }

    async fn sample(&self, k: usize) -> Result<Vec<Peer>, HostError> {
        let mut network = self.network.lock().unwrap();
        let now = network.now;
        let Ok(k @ 1..) = u8::try_from(k.min(MOST)) else { return Ok(Vec::new()) };
        let member = &mut network.members[self.at];
        let Some(space) = member.space else { return Ok(Vec::new()) };
        let id = member.overlays.sample(now, space, k).map_err(refused)?;
        let members = network.end(self.at, space, id);
        Ok(members.iter().filter_map(|contact| contact.to_peer(space)).collect())
    }
}

#[test]
fn an_overlay_keeps_to_what_a_directory_promises() {
    let network = || {
        let network = Arc::new(Mutex::new(Network::default()));
        async move |identity: Identity| {
            let at = network.lock().unwrap().join(identity);
            Ok::<_, Infallible>((InOverlay { network: Arc::clone(&network), at }, ()))
        }
    };
    let report = Suite::new(network).one_situation_a_space().run(block_on).unwrap();
    assert!(report.left_out.is_empty(), "{report:?}");
}
