//! Votes that say nearly the same.

use alloc::vec;
use alloc::vec::Vec;

use super::vectors::{Distances, median, squared_distance};

/// Which of the votes to keep, so that none of them is nearer to another or to the site's own vector than `radius` times the median
/// distance of a vote to its nearest other.
///
/// That median is honest while most votes are, so copies with a little noise added are told from sites that are merely alike, at whatever
/// scale sites differ. Of those that are too near, the vote that is near the most others goes first, and the later author of equals; so a
/// vote that is put between several honest ones goes before they do, and one vote can take the place of one other at most. The own vector
/// counts as a vote that goes last of equals.
pub(super) fn distinct(votes: &[Vec<f64>], own: Option<&[f64]>, radius: f64) -> Vec<bool> {
    let distances = Distances::of(votes);
    let to_nearest = |at: usize| {
        let others = (0..votes.len()).filter(|&other| other != at);
        others.map(|other| distances.squared(at, other)).fold(f64::INFINITY, f64::min)
    };
    let nearest: Vec<f64> = (0..votes.len()).map(to_nearest).collect();
    let limit = radius * radius * median(&nearest);
    let mut graph = Graph::new(votes.len() + 1);
    for (at, vote) in votes.iter().enumerate() {
        // The first place is the site's own.
        if own.is_some_and(|own| squared_distance(vote, own) <= limit) {
            graph.join(0, at + 1);
        }
        for other in 0..at {
            if distances.squared(at, other) <= limit {
                graph.join(at + 1, other + 1);
            }
        }
    }
    graph.thin_out();
    graph.kept.split_off(1)
}

/// Who is near whom.
#[derive(Debug)]
struct Graph {
    near: Vec<Vec<usize>>,
    degrees: Vec<usize>,
    kept: Vec<bool>,
}

impl Graph {
    fn new(places: usize) -> Self {
        Self { near: vec![Vec::new(); places], degrees: vec![0; places], kept: vec![true; places] }
    }

    fn join(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            self.near[from].push(to);
            self.degrees[from] += 1;
        }
    }

    /// Removes the place that is near the most others, the last of equals, until none is near another.
    fn thin_out(&mut self) {
        // `max_by_key` gives the last of equals.
        while let Some((at, &degree)) = self.degrees.iter().enumerate().max_by_key(|&(_, &degree)| degree)
            && degree > 0
        {
            self.kept[at] = false;
            self.degrees[at] = 0;
            for &other in &self.near[at] {
                // One that is gone has none left.
                self.degrees[other] = self.degrees[other].saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a line at 0, 10, 20, ...
    fn spread(count: u8) -> Vec<Vec<f64>> {
        (0..count).map(|at| vec![f64::from(at) * 10.0]).collect()
    }

    fn dropped(votes: &[Vec<f64>], own: Option<&[f64]>) -> Vec<usize> {
        let kept = distinct(votes, own, 0.85);
        (0..votes.len()).filter(|&at| !kept[at]).collect()
    }

    #[test]
    fn of_copies_one_remains_at_whatever_scale() {
        for scale in [1e-9, 1.0, 1e9] {
            let mut votes = spread(7);
            votes.extend([vec![30.1], vec![30.2]]);
            votes.iter_mut().flatten().for_each(|value| *value *= scale);
            assert_eq!(dropped(&votes, None), [7, 8], "{scale}");
        }
        assert_eq!(dropped(&spread(7), None), [0; 0]);
    }

    #[test]
    fn a_vote_between_two_goes_and_they_stay() {
        let mut votes = vec![vec![35.0]];
        votes.extend(spread(7));
        assert_eq!(dropped(&votes, None), [0]);
    }

    #[test]
    fn an_echo_of_the_own_vector_goes() {
        let mut votes = spread(7);
        votes.push(vec![100.1]);
        assert_eq!(dropped(&votes, Some(&[100.0])), [7]);
    }

    #[test]
    fn a_site_in_the_middle_of_its_peers_keeps_them() {
        // Corners of a simplex are nearer to its centre than to each other.
        let dims = 8_usize;
        let corner = |at: usize| (0..dims).map(|k| if k == at { 1.0 } else { 0.0 }).collect();
        let votes: Vec<Vec<f64>> = (0..dims).map(corner).collect();
        assert_eq!(dropped(&votes, Some(&vec![0.125; dims])), [0; 0]);
    }
}
