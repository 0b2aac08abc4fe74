//! Nearest-neighbour mixing.

use alloc::vec;
use alloc::vec::Vec;

use super::vectors::{Distances, add_scaled};

/// Vectors of which each is the mean of one vote and those nearest to it.
#[derive(Debug)]
pub(super) struct Mixed {
    pub(super) vectors: Vec<Vec<f64>>,
    /// For each, the votes in it.
    members: Vec<Vec<usize>>,
}

impl Mixed {
    /// Replaces each vote by the weighted mean of the `votes - liars` nearest to it, itself among them (Allouah, Farhadkhani, Guerraoui, Gupta,
    /// Pinot and Stephan, 2023). So honest votes, however they differ, come to lie close together before a rule looks for outliers.
    pub(super) fn of(votes: &[Vec<f64>], weights: &[f64], dims: usize, liars: usize) -> Self {
        let distances = Distances::of(votes);
        let mut vectors = Vec::with_capacity(votes.len());
        let mut members = Vec::with_capacity(votes.len());
        for at in 0..votes.len() {
            let mut nearest = distances.nearest(at);
            nearest.truncate(votes.len() - liars);
            nearest.sort_unstable();
            let total: f64 = nearest.iter().map(|&other| weights[other]).sum();
            let mut mean = vec![0.0; dims];
            for &other in &nearest {
                add_scaled(weights[other] / total, &votes[other], &mut mean);
            }
            vectors.push(mean);
            members.push(nearest);
        }
        Self { vectors, members }
    }

    /// The shares of the votes, from the shares of the mixed vectors.
    pub(super) fn shares(&self, mixed: &[f64], weights: &[f64]) -> Vec<f64> {
        let mut shares = vec![0.0; mixed.len()];
        for (members, share) in self.members.iter().zip(mixed) {
            let total: f64 = members.iter().map(|&member| weights[member]).sum();
            for &member in members {
                shares[member] += share * weights[member] / total;
            }
        }
        shares
    }
}
