//! Members from anywhere in the network.

use std::time::Duration;

use qis_packet::AuthorId;

use super::descriptor::Contact;
use super::message::GossipKind;
use super::requests::Task;
use super::{Event, LookupId, Overlay, OverlayError};
use crate::proto::ConfigError;

/// The most members that are drawn at once.
const MOST: u8 = 200;

/// A draw that is not over.
#[derive(Debug)]
pub(super) struct Sampling {
    pub(super) id: LookupId,
    k: usize,
    /// Those of whom descriptors came, each once.
    members: Vec<Contact>,
    asked: bool,
    waiting: usize,
    requests: u32,
}

impl Overlay {
    /// Draws members of the network, however similar they are: 1 to 200 of them, or as many as are known of. It asks the random contacts for
    /// theirs, once, and ends with [`Event::Sampled`]. This node is not among them.
    ///
    /// The draw is of what some tens of nodes say, which is no exact one: an adversary with many nodes is in more of their tables than its
    /// share, though in no answer more than an honest node's are. Of a network smaller than `k`, all may be found.
    ///
    /// # Errors
    ///
    /// [`OverlayError`] when it was not begun.
    pub fn sample(&mut self, now: Duration, k: u8) -> Result<LookupId, OverlayError> {
        if !(1..=MOST).contains(&k) {
            return Err(ConfigError { field: "k", problem: "must be 1 to 200" }.into());
        }
        self.check_room()?;
        let id = LookupId(self.count());
        let k = usize::from(k);
        self.samplings.push(Sampling { id, k, members: Vec::new(), asked: false, waiting: 0, requests: 0 });
        self.join_if_alone(now);
        if !self.is_joining() {
            self.ask_for_members(now, id);
        }
        Ok(id)
    }

    /// Begins the draws that have waited for the node to join.
    pub(super) fn begin_samplings(&mut self, now: Duration) {
        let waiting = self.samplings.iter().filter(|one| !one.asked).map(|one| one.id);
        for id in waiting.collect::<Vec<LookupId>>() {
            self.ask_for_members(now, id);
        }
    }

    fn ask_for_members(&mut self, now: Duration, id: LookupId) {
        let most = usize::from(self.config.random);
        let mut partners: Vec<Contact> = Vec::new();
        // Where few are random, as in a small network, the nearest and the others know members too.
        for entry in self.tables.random().iter().chain(self.tables.near()).chain(self.tables.diverse()) {
            let author = entry.contact.author();
            if partners.len() < most && partners.iter().all(|one| one.author() != author) {
                partners.push(entry.contact.clone());
            }
        }
        let mut sent = 0;
        for partner in partners {
            let task = Task::Sample { sampling: id, asked: partner.author() };
            sent += u32::from(self.exchange_with(now, &partner, GossipKind::Random, task));
        }
        if let Some(sampling) = self.sampling_mut(id) {
            sampling.asked = true;
            sampling.requests = sent;
            sampling.waiting = usize::try_from(sent).unwrap_or(usize::MAX);
        }
        self.end_if_sampled(id);
    }

    /// Takes in some contacts of one that was asked, itself the first.
    pub(super) fn take_members(&mut self, id: LookupId, asked: AuthorId, descriptors: &[&[u8]]) {
        // As many as one with random tables of this size gives, so that nobody is heard more than others.
        let most = 1 + usize::from(self.config.random).div_ceil(2);
        for bytes in descriptors.iter().take(most) {
            let Ok(new) = self.learn(bytes) else { continue };
            if new.contact.author() == asked {
                self.revive(asked);
            }
            if let Some(sampling) = self.sampling_mut(id)
                && sampling.members.iter().all(|known| known.author() != new.contact.author())
            {
                sampling.members.push(new.contact);
            }
        }
    }

    /// One answer less to wait for.
    pub(super) fn settle_sampling(&mut self, id: LookupId) {
        if let Some(sampling) = self.sampling_mut(id) {
            sampling.waiting = sampling.waiting.saturating_sub(1);
        }
        self.end_if_sampled(id);
    }

    fn end_if_sampled(&mut self, id: LookupId) {
        let over = |one: &Sampling| one.id == id && one.asked && one.waiting == 0;
        let Some(at) = self.samplings.iter().position(over) else { return };
        let Sampling { k, members, requests, .. } = self.samplings.swap_remove(at);
        let mut drawn = self.draw(members, k);
        if drawn.len() < k {
            let unknown = |contact: &&Contact| drawn.iter().all(|one| one.author() != contact.author());
            let mut others: Vec<Contact> =
                self.tables.iter().map(|entry| &entry.contact).filter(unknown).cloned().collect();
            others.sort_by_key(Contact::author);
            others.dedup_by_key(|contact| contact.author());
            let missing = k - drawn.len();
            drawn.extend(self.draw(others, missing));
        }
        self.tell(Event::Sampled { id, members: drawn, requests });
    }

    /// So many of these, by chance.
    fn draw(&mut self, mut from: Vec<Contact>, k: usize) -> Vec<Contact> {
        let k = k.min(from.len());
        for at in 0..k {
            let other = at + self.random_below(from.len() - at);
            from.swap(at, other);
        }
        from.truncate(k);
        from
    }

    fn sampling_mut(&mut self, id: LookupId) -> Option<&mut Sampling> {
        self.samplings.iter_mut().find(|one| one.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ZERO, address, descriptor, joined, pass, print, run, space, spaces};
    use super::super::{LookupOptions, OverlayConfig, Overlays, Refusal};
    use super::*;
    use std::collections::BTreeSet;

    fn sample(nodes: &mut [Overlays], by: usize, k: u8) -> (Vec<String>, u32) {
        let id = nodes[by].sample(ZERO, space(1), k).unwrap();
        let events = run(nodes);
        let sampled = events.into_iter().find_map(|(at, _, event)| match event {
            Event::Sampled { id: one, members, requests } if (at, one) == (by, id) => {
                Some((members.iter().map(|member| member.address().to_string()).collect(), requests))
            }
            _ => None,
        });
        sampled.unwrap()
    }

    #[test]
    fn draws_distinct_members_from_all_over_in_one_round() {
        let mut nodes = joined(60);
        // At first the random contacts are those of the one node by which all have joined.
        pass(&mut nodes, 10);
        let mut seen = BTreeSet::new();
        for by in 0..20 {
            let (members, requests) = sample(&mut nodes, by, 10);
            assert!(requests <= 8);
            let distinct: BTreeSet<&String> = members.iter().collect();
            assert_eq!((members.len(), distinct.len()), (10, 10));
            assert!(!members.contains(&format!("node-{by}")));
            seen.extend(members);
        }
        // 200 draws of 60: independent ones would see 58.
        assert!(seen.len() > 40, "{} of 60", seen.len());
        let (all, _) = sample(&mut nodes, 7, 200);
        assert!(all.len() > 40, "all that are known of: {}", all.len());
    }

    #[test]
    fn the_few_of_a_small_network_are_all() {
        let mut nodes = joined(4);
        let mut members = sample(&mut nodes, 3, 20).0;
        members.sort_unstable();
        assert_eq!(members, ["node-0", "node-1", "node-2"]);
        assert_eq!(sample(&mut joined(1), 0, 5), (vec![], 0), "alone");
        let member = &mut nodes[0];
        assert!(member.sample(ZERO, space(1), 0).is_err() && member.sample(ZERO, space(1), 201).is_err());
        assert_eq!(member.sample(ZERO, space(2), 5), Err(OverlayError::WrongSpace));
        let begun = (0..40).filter(|_| member.sample(ZERO, space(1), 5).is_ok()).count();
        assert_eq!(begun, 16);
    }

    #[test]
    fn who_does_not_answer_is_left_out_and_ends_it_all_the_same() {
        let mut nodes = joined(6);
        nodes.truncate(3);
        let id = nodes[0].sample(ZERO, space(1), 20).unwrap();
        let mut sampled = Vec::new();
        for seconds in [0, 1, 3, 7, 15] {
            nodes[0].handle_timeout(Duration::from_secs(seconds));
            sampled.extend(run(&mut nodes).into_iter().filter_map(|(_, _, event)| match event {
                Event::Sampled { id: one, members, .. } if one == id => Some(members),
                _ => None,
            }));
        }
        let [members] = &sampled[..] else { panic!("{} times over", sampled.len()) };
        assert!(members.len() >= 2);
    }

    #[test]
    fn look_ups_and_draws_wait_until_the_node_has_joined() {
        let mut nodes = joined(5);
        let mut new = spaces(OverlayConfig::default(), 5);
        new.announce(ZERO, &descriptor(5, 1, 5, 0)).unwrap();
        new.start(ZERO, &[address(0)]);
        assert!(new.get(space(1)).unwrap().is_joining());
        nodes.push(new);
        let draw = nodes[5].sample(ZERO, space(1), 3).unwrap();
        let look_up = nodes[5].look_up(ZERO, &print(1, 0), LookupOptions::nearest(3)).unwrap();
        let mut ended = 0;
        for (_, _, event) in run(&mut nodes) {
            match event {
                Event::Found { id, found } if id == look_up => {
                    assert_eq!(found.nearest.len(), 3);
                    ended += 1;
                }
                Event::Sampled { id, members, .. } if id == draw => {
                    assert_eq!(members.len(), 3);
                    ended += 1;
                }
                _ => {}
            }
        }
        assert_eq!(ended, 2);
    }

    #[test]
    fn who_joins_where_nobody_is_finds_nobody_and_tries_again() {
        let mut nodes = vec![spaces(OverlayConfig::default(), 0)];
        nodes[0].start(ZERO, &[address(9)]);
        nodes[0].announce(ZERO, &descriptor(0, 1, 0, 0)).unwrap();
        for round in 0..2_u64 {
            let start = 10 * round;
            let now = Duration::from_secs;
            let id = nodes[0].look_up(now(start), &print(1, 0), LookupOptions::nearest(3)).unwrap();
            for second in start..start + 8 {
                assert!(nodes[0].get(space(1)).unwrap().is_joining());
                nodes[0].handle_timeout(now(second));
            }
            let events = run(&mut nodes);
            let over = |event: &Event| matches!(event, Event::Found { id: one, found } if *one == id && found.nearest.is_empty());
            assert!(events.iter().any(|(_, _, event)| over(event)), "round {round}");
            let overlay = nodes[0].get(space(1)).unwrap();
            assert!(overlay.is_cut_off() && !overlay.is_joining());
        }
        assert_eq!(nodes[0].stats().refused(Refusal::Malformed), 0);
    }
}
