//! How close compact fingerprints come, and which neighbours they find. The README has the tables.
//!
//! `cargo test --release -p qis-fingerprint --test compact -- --ignored --nocapture` measures with more of them and prints.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use qis_fingerprint::{Fingerprint, HashEmbedder, SpaceId};

/// A generator by addition and mixing (Steele, Lea and Flood 2014) and what is drawn from it.
struct Source(u64);

impl Source {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> usize {
        usize::try_from(self.next() % bound).unwrap()
    }

    fn gaussian(&mut self) -> f64 {
        let mut uniform = || ((self.next() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        (-2.0 * uniform().ln()).sqrt() * (core::f64::consts::TAU * uniform()).cos()
    }

    fn vector(&mut self, dims: usize) -> Vec<f64> {
        (0..dims).map(|_| self.gaussian()).collect()
    }

    /// A word of one to four syllables; the same number gives the same word.
    fn word(number: usize) -> String {
        let mut source = Self(number as u64);
        let syllables = 1 + source.below(4);
        (0..syllables)
            .map(|_| {
                format!("{}{}", ["b", "d", "f", "k", "l", "m", "n", "r", "s", "t"][source.below(10)], {
                    ["a", "e", "i", "o", "u", "an", "er", "is"][source.below(8)]
                })
            })
            .collect()
    }

    /// Twelve words, two in three of them from the 40 of a topic, the rest from 4,000 of all.
    fn text(&mut self, topic: usize) -> String {
        let word = |source: &mut Self| {
            let own = source.below(3) < 2;
            Self::word(if own { 10_000 + 40 * topic + source.below(40) } else { source.below(4000) })
        };
        (0..12).map(|_| word(self) + " ").collect()
    }
}

fn print(vector: &[f64]) -> Fingerprint {
    let vector: Vec<f32> = vector.iter().map(|&value| value as f32).collect();
    Fingerprint::from_vector(SpaceId::new("test", u16::try_from(vector.len()).unwrap()), &vector).unwrap()
}

/// Directions without any structure, the hardest to code.
fn directions(dims: usize, count: usize) -> Vec<Fingerprint> {
    let mut source = Source(dims as u64);
    (0..count).map(|_| print(&source.vector(dims))).collect()
}

/// Fifty groups: two members of one have a cosine of about 1/2.
fn groups(dims: usize, count: usize) -> Vec<Fingerprint> {
    let mut source = Source(dims as u64 + 1);
    let centres: Vec<_> = (0..50).map(|_| source.vector(dims)).collect();
    let mut member = |index: usize| {
        let noise = source.vector(dims);
        print(
            &centres[index % 50].iter().zip(noise).map(|(centre, noise)| centre + noise).collect::<Vec<_>>(),
        )
    };
    (0..count).map(&mut member).collect()
}

/// Texts on fifty topics.
fn texts(dims: usize, count: usize) -> Vec<Fingerprint> {
    let embedder = HashEmbedder::new(u16::try_from(dims).unwrap()).unwrap();
    let mut source = Source(dims as u64 + 2);
    (0..count).map(|index| embedder.fingerprint(&source.text(index % 50)).unwrap()).collect()
}

fn compact(prints: &[Fingerprint], bytes: usize) -> Vec<Fingerprint> {
    prints.iter().map(|print| print.compact(bytes).unwrap()).collect()
}

/// The mean and the least cosine between fingerprints and their compact forms.
fn closeness(prints: &[Fingerprint], bytes: usize) -> (f32, f32) {
    let cosines = prints.iter().zip(compact(prints, bytes)).map(|(a, b)| a.cosine(&b).unwrap());
    let (sum, least) = cosines.fold((0.0, 1.0_f32), |(sum, least), one| (sum + one, least.min(one)));
    (sum / prints.len() as f32, least)
}

/// The `k` items most similar to a query.
fn nearest(query: &Fingerprint, items: &[Fingerprint], k: usize) -> Vec<usize> {
    let mut order: Vec<_> = items.iter().map(|item| query.cosine(item).unwrap()).enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.into_iter().take(k).map(|(index, _)| index).collect()
}

struct Found {
    /// The share of the true 20 that is found.
    recall: f64,
    /// The mean true cosine of those that are found, over that of the true ones.
    kept: f64,
    /// The mean cosine of compact queries and items that are not among the nearest half.
    unrelated: f64,
}

/// Searches compact items with compact queries: the last of the fingerprints are the queries.
fn search(prints: &[Fingerprint], queries: usize, bytes: usize) -> Found {
    const K: usize = 20;
    let small = compact(prints, bytes);
    let (items, asking) = prints.split_at(prints.len() - queries);
    let (small_items, small_asking) = small.split_at(items.len());
    let (mut hits, mut cosines, mut unrelated) = (0, [0.0, 0.0], 0.0);
    for (query, small_query) in asking.iter().zip(small_asking) {
        let all = nearest(query, items, items.len());
        let (exact, far) = (&all[..K], &all[items.len() / 2..]);
        let found = nearest(small_query, small_items, K);
        hits += found.iter().filter(|index| exact.contains(index)).count();
        let sum = |of: &[usize]| of.iter().map(|&i| f64::from(query.cosine(&items[i]).unwrap())).sum::<f64>();
        cosines[0] += sum(&found);
        cosines[1] += sum(exact);
        let far_cosines = far.iter().map(|&i| f64::from(small_query.cosine(&small_items[i]).unwrap()));
        unrelated += far_cosines.sum::<f64>() / far.len() as f64;
    }
    Found {
        recall: hits as f64 / (K * queries) as f64,
        kept: cosines[0] / cosines[1],
        unrelated: unrelated / queries as f64,
    }
}

#[test]
fn the_bytes_of_a_compact_fingerprint_are_these() {
    let codes = (0..40).map(|i| i8::try_from(i * 37 % 101 - 50).unwrap()).collect();
    let compact = Fingerprint::from_codes(SpaceId::new("test", 40), codes).unwrap().compact(16).unwrap();
    let hex: String = compact.to_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let codes = format!("{:?}", &compact.codes()[..8]);
    // Another form of the codec's bytes changes these two; the failure prints what to put below.
    assert_eq!((hex.as_str(), codes.as_str()), GOLDEN);
}

const GOLDEN: (&str, &str) = ("014980ce30438042668847b7c44a0cad", "[-106, -53, 49, -95, -26, 49, -77, 10]");

#[test]
fn compact_fingerprints_are_close_and_find_the_same_neighbours() {
    for (prints, bytes, mean, recall, kept) in [
        (groups(384, 240), 64, 0.86, 0.5, 0.85),
        (texts(256, 240), 64, 0.92, 0.5, 0.85),
        (groups(384, 240), 16, 0.33, 0.2, 0.6),
    ] {
        let (closeness, least) = closeness(&prints[..60], bytes);
        assert!(closeness > mean && least > mean - 0.15, "{closeness} {least}");
        let found = search(&prints, 20, bytes);
        assert!(found.recall > recall && found.kept > kept, "{} {}", found.recall, found.kept);
    }
}

#[test]
#[ignore = "measures for minutes and prints; run it in release"]
fn measure() {
    type Make = fn(usize, usize) -> Vec<Fingerprint>;
    let closeness_of: [(&str, Make, &[usize]); 2] =
        [("directions", directions, &[128, 384, 768]), ("texts", texts, &[256, 1024])];
    println!("mean and least cosine to the exact one, of 1,000");
    for (name, make, all_dims) in closeness_of {
        for &dims in all_dims {
            let prints = make(dims, 1000);
            let row = [64, 32, 16].map(|bytes| {
                let (mean, least) = closeness(&prints, bytes);
                format!("{mean:.3} {least:.3}")
            });
            println!("{name} {dims}: {}", row.join(" | "));
        }
    }
    println!(
        "recall at 20, share of the cosine kept, mean cosine of the unrelated; 200 queries, 2,000 items"
    );
    let found_in: [(&str, Make, &[usize]); 3] = [
        ("groups", groups, &[128, 384, 768]),
        ("texts", texts, &[256, 1024]),
        ("directions", directions, &[384]),
    ];
    for (name, make, all_dims) in found_in {
        for &dims in all_dims {
            let prints = make(dims, 2200);
            let row = [64, 32, 16].map(|bytes| {
                let found = search(&prints, 200, bytes);
                format!("{:.2} {:.2} {:.3}", found.recall, found.kept, found.unrelated)
            });
            println!("{name} {dims}: {}", row.join(" | "));
        }
    }
}
