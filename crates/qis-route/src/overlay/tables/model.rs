//! The tables beside a model of them: three lists, sorted, searched and pruned anew each time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use qis_fingerprint::{Fingerprint, SpaceId};
use qis_packet::{AuthorId, Identity, Order};

use super::super::descriptor::{Contact, Registry, Statement};
use super::tests::{config, verifier};
use super::{Refusal, Scored, Tables};

const AUTHORS: usize = 24;
/// Situations that an author announces, one after the other.
const VERSIONS: usize = 3;
/// As many as are packed, so that a contact without proof is a little elsewhere than with it.
const DIMS: u16 = 8;
/// So that none is left out for want of memory; a test beside the tables has one that is too small.
const ROOM: usize = 1 << 20;
const NEAR: usize = 4;
const DIVERSE: usize = 8;
const RANDOM: usize = 2;
const PRUNE: f32 = 1.44;

fn contact(author: usize, version: usize) -> Contact {
    // Some a little apart from each other, some far.
    let code = |dim: u16| {
        let mixed =
            (author * 131 + version * 977 + usize::from(dim) * 37 + 11).wrapping_mul(2_654_435_761) >> 7;
        let spread = if author.is_multiple_of(3) { 200 } else { 60 };
        i16::from((mixed % spread) as i8) - if author.is_multiple_of(3) { 100 } else { -20 }
    };
    let codes = (0..DIMS).map(|dim| code(dim).clamp(-127, 127) as i8).collect();
    let statement = Statement {
        address: format!("node-{author}").parse().unwrap(),
        fingerprint: Fingerprint::from_codes(SpaceId::new("model", DIMS), codes).unwrap(),
        order: Order { incarnation: 1, sequence: version as u32 },
        credential: Vec::new(),
    };
    let bytes = statement.sign(&Identity::from_seed([author as u8; 32]), verifier().network).unwrap();
    verifier().admit(&bytes).unwrap()
}

/// Every contact there is, made once: signatures take time.
static CONTACTS: LazyLock<Vec<Vec<Scored>>> = LazyLock::new(|| {
    let me = contact(255, 0);
    let scored = |contact: Contact| Scored::new(contact.cosine(me.direction().unwrap()), contact);
    let of = |author| (0..VERSIONS).map(|version| scored(contact(author, version))).collect();
    (0..AUTHORS).map(of).collect()
});

#[derive(Clone, Copy, Debug)]
enum Step {
    Near(usize),
    Diverse(usize),
    Random(usize),
    /// The author announces its next situation.
    Update(usize),
    Remove(usize),
    Best(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let author = 0..AUTHORS;
    prop_oneof![
        4 => author.clone().prop_map(Step::Near),
        8 => author.clone().prop_map(Step::Diverse),
        3 => author.clone().prop_map(Step::Random),
        2 => author.clone().prop_map(Step::Update),
        1 => author.clone().prop_map(Step::Remove),
        3 => (author, 1..12_usize).prop_map(|(target, limit)| Step::Best(target, limit)),
    ]
}

/// What there should be.
#[derive(Default)]
struct Model {
    versions: [usize; AUTHORS],
    /// The most similar first; of those that are as similar, the one that came first.
    near: Vec<Scored>,
    diverse: Vec<Scored>,
    /// The longest known first.
    random: Vec<Scored>,
}

fn is_in(list: &[Scored], author: AuthorId) -> bool {
    list.iter().any(|entry| entry.contact.author() == author)
}

fn drop_from(list: &mut Vec<Scored>, author: AuthorId) {
    list.retain(|entry| entry.contact.author() != author);
}

/// The squared distance of two contacts, as unit vectors.
fn distance(a: &Contact, b: &Contact) -> f32 {
    let codes = a.codes();
    2.0 - 2.0 * b.cosine(a.direction_of(&codes))
}

impl Model {
    fn current(&self, author: usize) -> &'static Scored {
        &CONTACTS[author][self.versions[author] % VERSIONS]
    }

    fn offer_near(&mut self, new: &Scored) -> Result<(), Refusal> {
        let author = new.contact.author();
        if is_in(&self.near, author) {
            return Err(Refusal::Duplicate);
        }
        if self.near.len() == NEAR && self.near.iter().all(|entry| entry.score >= new.score) {
            return Err(Refusal::Far);
        }
        drop_from(&mut self.diverse, author);
        self.near.push(new.clone());
        self.near.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.near.truncate(NEAR);
        Ok(())
    }

    fn add_diverse(&mut self, new: &Scored) -> Result<(), Refusal> {
        let author = new.contact.author();
        if is_in(&self.near, author) || is_in(&self.diverse, author) {
            return Err(Refusal::Duplicate);
        }
        self.diverse.push(Scored::new(new.score, verifier().without_proof(&new.contact)));
        if self.diverse.len() > DIVERSE {
            self.prune();
        }
        Ok(())
    }

    /// The nearest first, keeps each that is not much nearer to one that is kept, or is near, than to this node; then fills up with the nearest of those that were left
    /// out.
    fn prune(&mut self) {
        let mut all = std::mem::take(&mut self.diverse);
        all.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.contact.author().cmp(&b.contact.author())));
        let (mut kept, mut left_out): (Vec<Scored>, Vec<Scored>) = (Vec::new(), Vec::new());
        for entry in all {
            let own = 2.0 - 2.0 * entry.score;
            let covers = |by: &Scored| PRUNE * distance(&by.contact, &entry.contact) <= own;
            let covered = self.near.iter().chain(&kept).any(covers);
            if covered || kept.len() == DIVERSE { left_out.push(entry) } else { kept.push(entry) }
        }
        kept.extend(left_out);
        kept.truncate(DIVERSE);
        self.diverse = kept;
    }

    fn add_random(&mut self, new: &Scored) -> Result<(), Refusal> {
        if is_in(&self.random, new.contact.author()) {
            return Err(Refusal::Duplicate);
        }
        self.random.push(new.clone());
        if self.random.len() > RANDOM {
            self.random.remove(0);
        }
        Ok(())
    }

    fn remove(&mut self, author: AuthorId) -> bool {
        let was = [&self.near, &self.diverse, &self.random].map(|list| is_in(list, author));
        for list in [&mut self.near, &mut self.diverse, &mut self.random] {
            drop_from(list, author);
        }
        was.contains(&true)
    }

    fn update(&mut self, new: &Scored) -> bool {
        let author = new.contact.author();
        let [near, diverse, random] =
            [&self.near, &self.diverse, &self.random].map(|list| is_in(list, author));
        self.remove(author);
        // One that is too far away now is no contact any more.
        if near {
            let _ = self.offer_near(new);
        }
        if diverse {
            let _ = self.add_diverse(new);
        }
        if random {
            let _ = self.add_random(new);
        }
        near || diverse || random
    }

    /// All authors, the most similar to a target first.
    fn best(&self, target: &Contact) -> Vec<(Reverse<u32>, AuthorId)> {
        let mut best: BTreeMap<AuthorId, f32> = BTreeMap::new();
        for entry in self.near.iter().chain(&self.diverse).chain(&self.random) {
            let cosine = entry.contact.cosine(target.direction().unwrap());
            let known = best.entry(entry.contact.author()).or_insert(cosine);
            *known = known.max(cosine);
        }
        let mut sorted: Vec<_> = best.into_iter().map(|(author, cosine)| (ordered(cosine), author)).collect();
        sorted.sort_unstable();
        sorted
    }
}

/// Larger cosines first, in whole numbers.
fn ordered(cosine: f32) -> Reverse<u32> {
    Reverse(((cosine + 2.0) * 1e6) as u32)
}

/// Authors and orders of a list, in its order.
fn names(list: &[Scored]) -> Vec<(AuthorId, u32)> {
    list.iter().map(|entry| (entry.contact.author(), entry.contact.order().sequence)).collect()
}

fn sorted(list: &[Scored]) -> Vec<(AuthorId, u32)> {
    let mut names = names(list);
    names.sort_unstable();
    names
}

/// Takes the steps with both, and compares them after each.
fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut tables = Tables::new(&config(), ROOM);
    let mut model = Model::default();
    let registry = verifier();
    for step in steps {
        match step {
            Step::Near(author) => {
                let new = model.current(author);
                let found = tables.offer_near(new);
                let before = model.near.clone();
                prop_assert_eq!(
                    found.as_ref().map(|_| ()).map_err(|&refusal| refusal),
                    model.offer_near(new)
                );
                // What falls out is the one that is there no more.
                if let Ok(out) = found {
                    let gone = before.iter().find(|entry| !is_in(&model.near, entry.contact.author()));
                    prop_assert_eq!(
                        out.map(|out| out.contact.author()),
                        gone.map(|gone| gone.contact.author())
                    );
                }
            }
            Step::Diverse(author) => {
                let new = model.current(author);
                prop_assert_eq!(tables.add_diverse(new, &registry), model.add_diverse(new));
            }
            Step::Random(author) => {
                let new = model.current(author);
                prop_assert_eq!(tables.add_random(new.clone()), model.add_random(new));
            }
            Step::Update(author) => {
                model.versions[author] += 1;
                let new = model.current(author);
                prop_assert_eq!(tables.update(new, &registry), model.update(new));
            }
            Step::Remove(author) => {
                let author = model.current(author).contact.author();
                prop_assert_eq!(tables.remove(author), model.remove(author));
            }
            Step::Best(target, limit) => {
                let target = &CONTACTS[target][0].contact;
                let found = tables.best(target.direction().unwrap(), limit);
                let found: Vec<_> =
                    found.iter().map(|(cosine, contact)| (ordered(*cosine), contact.author())).collect();
                let mut expected = model.best(target);
                expected.truncate(limit);
                prop_assert_eq!(found, expected);
            }
        }
        prop_assert_eq!(names(tables.near()), names(&model.near));
        prop_assert_eq!(sorted(tables.diverse()), sorted(&model.diverse));
        prop_assert_eq!(names(tables.random()), names(&model.random));
        prop_assert_eq!(tables.len(), model.near.len() + model.diverse.len() + model.random.len());
        for author in 0..AUTHORS {
            let author = model.current(author).contact.author();
            let [near, diverse, random] =
                [&model.near, &model.diverse, &model.random].map(|list| is_in(list, author));
            prop_assert_eq!(tables.links(author), near || diverse);
            prop_assert_eq!(tables.get(author).is_some(), near || diverse || random);
            prop_assert_eq!(tables.proof(author).is_some(), near || random);
        }
    }
    Ok(())
}

/// Without proof it is a little elsewhere than with it, and another may be between.
#[test]
fn an_author_that_is_in_two_tables_is_found_once() {
    run(vec![Step::Diverse(13), Step::Random(13), Step::Random(10), Step::Best(0, 3)]).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_tables_hold_what_three_lists_would(steps in prop::collection::vec(step(), 1..80)) {
        run(steps)?;
    }
}
