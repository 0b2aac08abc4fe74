//! What others ask of this node.

use std::time::Duration;

use qis_packet::AuthorId;

use super::contacts::Heard;
use super::message::{GossipKind, Hint, LinkKind, MAX_GOSSIP, Message, Sketch, Subject};
use super::metric::{self, Direction};
use super::{Contact, Event, Overlay, Refusal};
use crate::Address;

/// How many contacts go with word that there is too much to do.
const BUSY_HINTS: usize = 8;

/// What a hint or a sketch has beside its address or codes.
const HINT_OVERHEAD: usize = 16 + 2 + 2;

impl Overlay {
    pub(super) fn answer(&mut self, now: Duration, from: &Address, message: Message<'_>) {
        let frame = match message {
            Message::Find { nonce, limit, subject, packet } => {
                self.answer_find(now, from, nonce, limit, &subject, packet)
            }
            Message::Link { nonce, kind, descriptor } => self.answer_link(from, nonce, kind, descriptor),
            Message::Get { nonce, ids } => Some(self.answer_get(nonce, &ids)),
            Message::Gossip { nonce, kind, descriptors } => {
                self.answer_gossip(from, nonce, kind, &descriptors)
            }
            Message::Ping { nonce } => Some(Message::Pong { nonce }.encode(self.space)),
            Message::Commit { nonce, packet } => {
                self.tell(Event::Packet { from: from.clone(), packet: packet.to_vec() });
                Some(Message::Committed { nonce }.encode(self.space))
            }
            _ => None,
        };
        if let Some(frame) = frame {
            self.reply(from, frame);
        }
    }

    fn reply(&mut self, to: &Address, frame: Vec<u8>) {
        self.stats.answered += 1;
        self.send(to, frame);
    }

    /// Takes in what an asker says it is. One that has said something newer is told so, and gets no other answer.
    ///
    /// Where that is known without proof, as of most contacts, there is nothing to tell it by. It is answered then like anybody, lest it take this
    /// node for gone; only what it says of itself counts for nothing.
    fn hear_asker(&mut self, from: &Address, nonce: u64, descriptor: &[u8]) -> Option<Heard> {
        let heard = self.hear(descriptor).ok()?;
        let author = heard.contact().author();
        match &heard {
            Heard::Newest(_) => self.revive(author),
            Heard::Stale(_) => {
                if let Some(newer) = self.tables.proof(author) {
                    let frame = Message::Outdated { nonce, descriptor: newer }.encode(self.space);
                    self.reply(from, frame);
                    return None;
                }
            }
        }
        Some(heard)
    }

    fn answer_find(
        &mut self,
        now: Duration,
        from: &Address,
        nonce: u64,
        limit: u8,
        subject: &Subject<'_>,
        packet: &[u8],
    ) -> Option<Vec<u8>> {
        let busy = !self.finds.allow(now, &self.config.find_rate);
        let (author, asker, codes) = match *subject {
            Subject::Fingerprint { codes } => {
                if codes.len() != self.dims() {
                    self.stats.refuse(Refusal::WrongSpace);
                    return None;
                }
                (None, None, codes)
            }
            Subject::Asker { descriptor } => {
                let asker = self.hear_asker(from, nonce, descriptor)?;
                (Some(asker.contact().author()), Some(asker), &[][..])
            }
        };
        let target = if let Some(asker) = &asker {
            asker.contact().direction()?
        } else {
            let Some(scale) = metric::scale(codes) else {
                self.stats.refuse(Refusal::Malformed);
                return None;
            };
            Direction { codes, scale }
        };
        let most = if busy { BUSY_HINTS } else { usize::from(limit) };
        let best = if busy { self.near_hints(target) } else { self.tables.best(target, most + 1) };
        let descriptor = self.me.proof().unwrap_or_default();
        let mut room = (self.config.max_frame / 2).min(self.list_bytes().saturating_sub(descriptor.len()));
        let hints: Vec<Hint<'_>> = best
            .iter()
            .filter(|(_, contact)| Some(contact.author()) != author)
            .take(most)
            .map_while(|(score, contact)| {
                let address = contact.address();
                room = room.checked_sub(HINT_OVERHEAD + address.len())?;
                Some(Hint { author: contact.author(), address, score: *score })
            })
            .collect();
        let frame = if busy {
            Message::Busy { nonce, hints }.encode(self.space)
        } else {
            Message::Found { nonce, descriptor, hints }.encode(self.space)
        };
        if busy {
            self.stats.refuse(Refusal::RateLimited);
            return Some(frame);
        }
        self.stats.served += 1;
        if let Some(Heard::Newest(asker)) = &asker {
            self.offer_near(asker);
        }
        if !packet.is_empty() {
            self.tell(Event::Packet { from: from.clone(), packet: packet.to_vec() });
        }
        Some(frame)
    }

    fn near_hints(&self, target: Direction<'_>) -> Vec<(f32, &Contact)> {
        let near = self.tables.near().iter().take(BUSY_HINTS);
        near.map(|entry| (entry.contact.cosine(target), &entry.contact)).collect()
    }

    fn answer_link(
        &mut self,
        from: &Address,
        nonce: u64,
        kind: LinkKind,
        descriptor: &[u8],
    ) -> Option<Vec<u8>> {
        let kept = match self.hear_asker(from, nonce, descriptor)? {
            Heard::Stale(_) => false,
            Heard::Newest(new) => {
                let taken = match kind {
                    LinkKind::Near => self.offer_near(&new),
                    LinkKind::Diverse => self.add_diverse(&new),
                };
                taken || self.tables.links(new.contact.author())
            }
        };
        let descriptor = self.me.proof().unwrap_or_default();
        Some(Message::Linked { nonce, kept, descriptor }.encode(self.space))
    }

    fn answer_get(&self, nonce: u64, ids: &[AuthorId]) -> Vec<u8> {
        let each = HINT_OVERHEAD + self.dims();
        let known = ids.iter().filter_map(|id| self.tables.get(*id)).take(self.list_bytes() / each);
        let known: Vec<_> = known.map(|contact| (contact.author(), contact.codes())).collect();
        let sketches = known.iter().map(|(author, codes)| Sketch { author: *author, codes });
        Message::Sketches { nonce, sketches: sketches.collect() }.encode(self.space)
    }

    fn answer_gossip(
        &mut self,
        from: &Address,
        nonce: u64,
        kind: GossipKind,
        descriptors: &[&[u8]],
    ) -> Option<Vec<u8>> {
        // The first one is the sender's; an exchange with nobody is none.
        let sender = self.hear_asker(from, nonce, descriptors.first()?)?;
        let contact = sender.contact();
        let own = match kind {
            GossipKind::Near => self.gossip_for(contact.direction()?, contact.author()),
            GossipKind::Random => self.random_gossip(contact.author()),
        };
        let answer = Message::Gossiped { nonce, kind, descriptors: borrow(&own) }.encode(self.space);
        if let Heard::Newest(_) = sender {
            self.take_gossip(kind, descriptors);
        }
        Some(answer)
    }

    /// This node's descriptor, and those of its contacts most similar to another one.
    pub(super) fn gossip_for(&self, target: Direction<'_>, receiver: AuthorId) -> Vec<Vec<u8>> {
        let best = self.tables.best(target, self.tables.len());
        let proofs = best
            .iter()
            .filter(|(_, contact)| contact.author() != receiver)
            .filter_map(|(_, contact)| self.tables.proof(contact.author()));
        self.exchange(proofs)
    }

    /// This node's descriptor, and half of its random contacts, the latest.
    pub(super) fn random_gossip(&self, receiver: AuthorId) -> Vec<Vec<u8>> {
        let random = self.tables.random();
        let proofs = random.iter().rev().filter(|entry| entry.contact.author() != receiver);
        self.exchange(proofs.filter_map(|entry| entry.contact.proof()).take(random.len().div_ceil(2)))
    }

    fn exchange<'a>(&'a self, proofs: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
        let mut room = self.list_bytes();
        let all = self.me.proof().into_iter().chain(proofs).take(MAX_GOSSIP);
        let fitting = all.map_while(|proof| {
            room = room.checked_sub(proof.len() + 2)?;
            Some(proof.to_vec())
        });
        fitting.collect()
    }

    pub(super) fn take_gossip(&mut self, kind: GossipKind, descriptors: &[&[u8]]) {
        let most = match kind {
            GossipKind::Near => MAX_GOSSIP,
            // The sender and half of its own, as in an exchange of ours: nobody may choose all random contacts of another at once.
            GossipKind::Random => 1 + usize::from(self.config.random).div_ceil(2),
        };
        for bytes in descriptors.iter().take(most) {
            let Ok(new) = self.learn(bytes) else { continue };
            match kind {
                GossipKind::Near => {
                    if self.offer_near(&new) {
                        self.upkeep.news += 1;
                    }
                }
                GossipKind::Random => self.add_random(new),
            }
        }
    }
}

pub(super) fn borrow(descriptors: &[Vec<u8>]) -> Vec<&[u8]> {
    descriptors.iter().map(Vec::as_slice).collect()
}
