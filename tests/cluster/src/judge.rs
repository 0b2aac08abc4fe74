//! Whether what the nodes left behind is what they had promised.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use crate::{Entry, Fault, Held, Name, Packet, Site, Violation, stores};

/// Parts of a log line that no kill explains.
const NEVER: [&str; 4] = ["panicked", "\"level\":\"ERROR\"", "restored from a backup", "this is a bug"];

/// What nodes left behind when they were stopped; each of the three has a place for every node.
#[derive(Clone, Debug)]
pub struct Leftovers {
    /// Their author ids.
    pub authors: Vec<String>,
    /// What is in their stores.
    pub held: Vec<Held>,
    /// Their logs, of all lives.
    pub logs: Vec<String>,
}

impl Leftovers {
    /// Reads it from the files of nodes that have stopped.
    ///
    /// # Errors
    ///
    /// [`Fault`] when files can't be copied; what is wrong with a store is part of what is [`Held`].
    pub fn read(sites: &[Site]) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(Fault::io("the runtime cannot be started"))?;
        let held = sites.iter().map(|site| runtime.block_on(stores::read(site)));
        let log = |site: &Site| fs::read_to_string(site.path("log")).unwrap_or_default();
        Ok(Self {
            authors: sites.iter().map(Site::author).collect(),
            held: held.collect::<Result<_, _>>()?,
            logs: sites.iter().map(log).collect(),
        })
    }

    /// Judges a run by its history and by this. The nodes had time to agree before they were stopped.
    #[must_use]
    pub fn judge(&self, history: &[Entry]) -> Vec<Violation> {
        let Self { authors, held, logs } = self;
        let mut found = Vec::new();
        let asked = last_asked(history);
        unsound(held, &mut found);
        lost(authors, history, held, &mut found);
        applied_twice(history, &mut found);
        repeated(authors, history, held, &mut found);
        went_back(history, &mut found);
        invented(authors, &asked, held, &mut found);
        for (site, log) in logs.iter().enumerate() {
            let lines = log.lines().filter(|line| NEVER.iter().any(|never| line.contains(never)));
            found.extend(lines.map(|line| Violation::Log { site, line: line.to_owned() }));
        }
        found
    }
}

/// The newest outcome that each node acknowledged, by place in its order: its number, and the packet.
fn newest_acknowledged(history: &[Entry]) -> BTreeMap<usize, (u32, &Name)> {
    let mut newest: BTreeMap<usize, (u32, &Name)> = BTreeMap::new();
    for entry in history {
        if let Entry::Acknowledged { site, number, name } = entry {
            let known = newest.entry(*site).or_insert((*number, name));
            // Of two of the same place the first one stays: `repeated` tells of them.
            if known.1.order() < name.order() {
                *known = (*number, name);
            }
        }
    }
    newest
}

fn last_asked(history: &[Entry]) -> BTreeMap<usize, u32> {
    let mut last = BTreeMap::new();
    for entry in history {
        if let Entry::Asked { site, number } = entry {
            last.insert(*site, *number);
        }
    }
    last
}

fn unsound(held: &[Held], found: &mut Vec<Violation>) {
    for (site, held) in held.iter().enumerate() {
        if let Some(problem) = held.problem.clone() {
            found.push(Violation::Store { site, problem });
        }
    }
}

fn of<'a>(held: &'a Held, author: &str) -> Option<&'a Packet> {
    held.packets.iter().find(|packet| packet.author == author)
}

/// The newest acknowledged outcome of each node, or a later one, must be with it and with everybody.
fn lost(authors: &[String], history: &[Entry], held: &[Held], found: &mut Vec<Violation>) {
    for (author, (number, newest)) in newest_acknowledged(history) {
        let Some(id) = authors.get(author) else { continue };
        for (site, held) in held.iter().enumerate() {
            let packet = of(held, id);
            if packet.is_some_and(|packet| packet.name.order() >= newest.order()) {
                continue;
            }
            let text = packet.map_or("nothing".to_owned(), |packet| format!("outcome {}", packet.number));
            found.push(if site == author {
                Violation::Lost { site, number, found: text }
            } else {
                Violation::NotSpread { site, of: author, number, found: text }
            });
        }
    }
}

fn applied_twice(history: &[Entry], found: &mut Vec<Violation>) {
    let mut lives: BTreeMap<(usize, &str), Vec<u32>> = BTreeMap::new();
    for entry in history {
        if let Entry::Applied { site, life, packet, .. } = entry {
            lives.entry((*site, packet.as_str())).or_default().push(*life);
        }
    }
    for ((site, packet), lives) in lives {
        if lives.len() > 1 {
            found.push(Violation::AppliedTwice {
                site,
                packet: packet.to_owned(),
                times: lives.len(),
                lives,
            });
        }
    }
}

/// No number twice, in all that was acknowledged and all that is held.
fn repeated(authors: &[String], history: &[Entry], held: &[Held], found: &mut Vec<Violation>) {
    for (site, id) in authors.iter().enumerate() {
        let said = history.iter().filter_map(|entry| match entry {
            Entry::Acknowledged { site: of, name, .. } if *of == site => Some(name),
            _ => None,
        });
        let standing = held.iter().filter_map(|held| of(held, id)).map(|packet| &packet.name);
        let next = held.get(site).and_then(|held| held.next.as_ref());
        let mut packets: BTreeMap<(u32, u32), BTreeSet<&str>> = BTreeMap::new();
        for name in said.chain(standing).chain(next) {
            packets.entry(name.order()).or_default().insert(&name.packet);
        }
        for ((incarnation, sequence), packets) in packets {
            if packets.len() > 1 {
                let packets = packets.into_iter().map(str::to_owned).collect();
                found.push(Violation::NumberRepeated { site, incarnation, sequence, packets });
            }
        }
    }
}

/// What is asked after something was acknowledged has a later place than that. What is asked together may have any order.
fn went_back(history: &[Entry], found: &mut Vec<Violation>) {
    let mut newest: BTreeMap<usize, &Name> = BTreeMap::new();
    let mut before: BTreeMap<(usize, u32), &Name> = BTreeMap::new();
    for entry in history {
        match entry {
            Entry::Asked { site, number } => {
                if let Some(name) = newest.get(site) {
                    before.insert((*site, *number), name);
                }
            }
            Entry::Acknowledged { site, number, name } => {
                if let Some(before) = before.get(&(*site, *number)).filter(|one| one.order() >= name.order())
                {
                    let (site, number, before) = (*site, *number, text(before));
                    found.push(Violation::NumberWentBack { site, number, found: text(name), before });
                }
                let known = newest.entry(*site).or_insert(name);
                if known.order() < name.order() {
                    *known = name;
                }
            }
            _ => {}
        }
    }
}

fn text(name: &Name) -> String {
    format!("{}.{}", name.incarnation, name.sequence)
}

fn invented(authors: &[String], asked: &BTreeMap<usize, u32>, held: &[Held], found: &mut Vec<Violation>) {
    for (site, held) in held.iter().enumerate() {
        for packet in &held.packets {
            let of = authors.iter().position(|author| *author == packet.author);
            let most = of.and_then(|of| asked.get(&of)).copied().unwrap_or(0);
            if packet.number == 0 || packet.number > most {
                let author = packet.author.clone();
                found.push(Violation::Invented { site, author, number: packet.number });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two nodes that stated two outcomes each, all in order.
    struct Run {
        history: Vec<Entry>,
        left: Leftovers,
    }

    fn author(site: usize) -> String {
        format!("author {site}")
    }

    fn name(site: usize, number: u32) -> Name {
        Name { incarnation: 7, sequence: number, packet: format!("packet {site}/{number}") }
    }

    fn packet(site: usize, number: u32) -> Packet {
        Packet { author: author(site), name: name(site, number), number }
    }

    fn run() -> Run {
        let mut history = Vec::new();
        for number in 1..=2 {
            for site in 0..2 {
                history.push(Entry::Asked { site, number });
                history.push(Entry::Acknowledged { site, number, name: name(site, number) });
                let packet = name(site, number).packet;
                history.push(Entry::Applied { site: 1 - site, life: 0, author: author(site), packet });
            }
        }
        let held = |site| Held {
            problem: None,
            packets: vec![packet(0, 2), packet(1, 2)],
            next: Some(name(site, 3)),
        };
        let (authors, logs) = (vec![author(0), author(1)], vec![String::new(); 2]);
        Run { history, left: Leftovers { authors, held: vec![held(0), held(1)], logs } }
    }

    fn judged(change: impl FnOnce(&mut Run)) -> Vec<Violation> {
        let mut run = run();
        change(&mut run);
        run.left.judge(&run.history)
    }

    fn acknowledge(run: &mut Run, number: u32, name: Name) {
        run.history.push(Entry::Asked { site: 0, number });
        run.history.push(Entry::Acknowledged { site: 0, number, name });
    }

    #[test]
    fn a_run_that_kept_all_promises_is_clean() {
        assert_eq!(judged(|_| ()), []);
        // What was asked and not answered may be there or not.
        assert_eq!(judged(|run| run.history.push(Entry::Asked { site: 0, number: 3 })), []);
        let later = judged(|run| {
            run.history.push(Entry::Asked { site: 0, number: 3 });
            run.left.held.iter_mut().for_each(|held| held.packets[0] = packet(0, 3));
            run.left.held[0].next = Some(name(0, 4));
        });
        assert_eq!(later, []);
        // Of two outcomes that are asked for together either may be the first.
        let together = judged(|run| {
            run.history.extend([3, 4].map(|number| Entry::Asked { site: 0, number }));
            for (number, place) in [(4, 3), (3, 4)] {
                let name = Name { sequence: place, ..name(0, number) };
                run.history.push(Entry::Acknowledged { site: 0, number, name });
            }
            let last = Packet { name: Name { sequence: 4, ..name(0, 3) }, ..packet(0, 3) };
            run.left.held.iter_mut().for_each(|held| held.packets[0] = last.clone());
            run.left.held[0].next = Some(name(0, 5));
        });
        assert_eq!(together, []);
        // A node that was killed may be told a packet again; it applies it once.
        let other = Entry::Applied { site: 1, life: 1, author: author(0), packet: "another".to_owned() };
        assert_eq!(judged(|run| run.history.push(other)), []);
    }

    #[test]
    fn what_was_acknowledged_and_is_not_there_is_lost() {
        let lost = judged(|run| run.left.held[0].packets[0] = packet(0, 1));
        assert_eq!(lost, [Violation::Lost { site: 0, number: 2, found: "outcome 1".to_owned() }]);
        let nothing = judged(|run| drop(run.left.held[0].packets.remove(0)));
        assert_eq!(nothing, [Violation::Lost { site: 0, number: 2, found: "nothing".to_owned() }]);
        let other = judged(|run| run.left.held[1].packets[0] = packet(0, 1));
        let found = "outcome 1".to_owned();
        assert_eq!(other, [Violation::NotSpread { site: 1, of: 0, number: 2, found }]);
    }

    #[test]
    fn what_is_applied_twice_is_noticed_in_one_life_and_over_two() {
        for life in [0, 1] {
            let (author, packet) = (author(0), name(0, 1).packet);
            let twice = judged(|run| run.history.push(Entry::Applied { site: 1, life, author, packet }));
            let packet = name(0, 1).packet;
            assert_eq!(twice, [Violation::AppliedTwice { site: 1, packet, times: 2, lives: vec![0, life] }]);
        }
    }

    #[test]
    fn a_number_that_is_used_again_is_noticed_wherever_it_shows() {
        let again = Name { packet: "another".to_owned(), ..name(0, 2) };
        let repeated = |found: &[Violation]| {
            found.iter().any(|one| matches!(one, Violation::NumberRepeated { site: 0, sequence: 2, .. }))
        };
        let name_of_next = again.clone();
        assert!(repeated(&judged(|run| run.left.held[0].next = Some(name_of_next))));
        let name_held = again.clone();
        assert!(repeated(&judged(|run| run.left.held[1].packets[0].name = name_held)));
        let found = judged(|run| acknowledge(run, 3, again));
        assert!(repeated(&found), "{found:?}");
        let back = Name { sequence: 0, packet: "another".to_owned(), ..name(0, 2) };
        let found = judged(|run| acknowledge(run, 3, back));
        assert!(
            found.iter().any(|one| matches!(one, Violation::NumberWentBack { number: 3, .. })),
            "{found:?}"
        );
    }

    #[test]
    fn stores_logs_and_outcomes_out_of_nowhere_are_told() {
        let gone =
            judged(|run| run.left.held[1] = Held { problem: Some("gone".to_owned()), ..Held::default() });
        assert!(gone.contains(&Violation::Store { site: 1, problem: "gone".to_owned() }), "{gone:?}");
        assert!(gone.contains(&Violation::Lost { site: 1, number: 2, found: "nothing".to_owned() }));
        let invented = judged(|run| run.left.held[1].packets[0].number = 9);
        assert_eq!(invented, [Violation::Invented { site: 1, author: author(0), number: 9 }]);
        let stranger = judged(|run| run.left.held[0].packets.push(packet(5, 1)));
        assert!(matches!(stranger[..], [Violation::Invented { site: 0, .. }]), "{stranger:?}");
        let panicked = judged(|run| run.left.logs[1] = "fine\nthread 'main' panicked at x\nfine".to_owned());
        assert!(matches!(&panicked[..], [Violation::Log { site: 1, line }] if line.contains("panicked")));
    }
}
