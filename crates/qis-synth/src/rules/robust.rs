use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;

use qis_packet::Organisation;

use super::collapse::distinct;
use super::columns;
use super::intake::Intake;
use super::mixing::Mixed;
use super::tolerance::{self, tolerance};
use super::vectors::{add_scaled, distance, median, norm, scale};
use super::votes::{self, Combined, Settings, Votes, settings};
use crate::error::SynthesisError;
use crate::samples::{Own, Samples};
use crate::synthesis::{Exclusion, Synthesis};
use crate::synthesizer::Synthesizer;

/// How many votes of one organisation count.
const PER_ORGANISATION: usize = 2;
/// Below so many votes there is no crowd to hold a vote against, only the site itself.
const CROWD: usize = 5;
/// The site's own share then.
const HALF: f64 = 0.5;

/// For peers that may lie: nearest-neighbour mixing and a trimmed mean of votes that are capped, clipped and told apart.
///
/// 1. **Votes.** One an author, whatever confidence and support it claims, and of an organisation the two with the most similar situation.
/// 2. **Size.** Longer vectors are shortened to the median norm.
/// 3. **Copies.** Of votes that are nearer to each other than 0.85 times the median distance of a vote to its nearest other, one
///    counts; a vote that is as near to the site's own delta is an echo of it and does not.
/// 4. **Mixing.** Each of the n votes left becomes the mean of the n - F nearest to it (Allouah, Farhadkhani, Guerraoui, Gupta, Pinot and
///    Stephan, 2023), with F = min(6, (n - 1) / 3), and the coordinate-wise mean without the F lowest and highest of these is taken.
/// 5. **Own.** The estimate is 0.8 of that and 0.2 of the site's own delta.
///
/// With fewer than five votes left, the estimate is half the site's own delta, and half the mean of it and the n - F votes nearest to
/// it (`MoNNA`: Farhadkhani, Guerraoui, Gupta, Hoang, Pinot and Stephan, 2023).
///
/// It keeps most of its accuracy while a fifth of the votes lie, less of it at three tenths, and promises nothing at two fifths. It cannot tell
/// a lie that lies within what honest sites differ by, such as that of several who pose, each a little differently, as sites of
/// one rare kind. A contribution's weight is its part in the mean, through all vectors it was mixed into.
///
/// [`hostile`](Self::hostile) gives up more votes to be harder to fool.
///
/// ```
/// use std::sync::Arc;
/// use qis_packet::AuthorId;
/// use qis_synth::rules::Robust;
/// use qis_synth::{Content, Own, Sample, Samples, Synthesizer};
///
/// let vote = |author: u8, values: &[f32]| -> Result<Sample, Box<dyn core::error::Error>> {
///     let encoded = qis_codec::encode(values, 64, 0)?;
///     let delta = qis_codec::decode(encoded.mode(), values.len(), encoded.bytes(), 0)?;
///     Ok(Sample::new(AuthorId::from_bytes([author; 16]), Content::Delta(Arc::new(delta))))
/// };
/// let mut samples = vec![vote(100, &[-9e6, 9e6])?];
/// for (author, i) in (0..8_u8).zip([5.0, 1.0, 7.0, 3.0, 8.0, 2.0, 6.0, 4.0]) {
///     samples.push(vote(author, &[1.0 + 0.1 * f32::from(author), 0.1 * i])?);
/// }
/// let synthesis = Robust::default().synthesize(&Own::delta(&[1.0, 0.5]), &Samples::new(samples)?)?;
/// assert!((synthesis.estimate[0] - 1.3).abs() < 0.3, "{synthesis}");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Robust {
    settings: Settings,
    liars: Option<usize>,
    /// Votes nearer than so many times the median distance to the nearest are one.
    radius: f64,
}

settings!(Robust);
tolerance!(Robust);

impl Robust {
    const DEFAULT: Self = Self { settings: Settings::DEFAULT, liars: None, radius: 0.85 };

    /// For networks with members who would like to have sites misled: the whole median distance instead of 0.85 of it tells copies apart,
    /// which also leaves out about a quarter of the votes of sites that are all of one kind; and below five independent
    /// origins it abstains.
    #[must_use]
    pub const fn hostile() -> Self {
        let mut rule = Self { radius: 1.0, ..Self::DEFAULT };
        rule.settings.intake = Intake::DEFAULT.min_origins(CROWD);
        rule
    }

    fn combine(&self, votes: &mut Votes<'_>, own: Option<&[f64]>) -> Combined {
        cap_organisations(votes);
        clip_norms(votes);
        if votes.len() >= CROWD {
            let kept = distinct(&votes.vectors, own, self.radius);
            votes.retain(|at| if kept[at] { Ok(()) } else { Err(Exclusion::Duplicate) });
        }
        let liars = tolerance::liars(self.liars, votes.len());
        match own {
            Some(own) if votes.len() < CROWD => near_own(own, votes, liars),
            _ => crowd(votes, liars),
        }
    }
}

impl Default for Robust {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl Synthesizer for Robust {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        votes::run(&self.settings, own, samples, |votes, own| self.combine(votes, own))
    }
}

/// Keeps the most similar votes of each organisation, of equals the first.
fn cap_organisations(votes: &mut Votes<'_>) {
    let mut order: Vec<usize> = (0..votes.len()).collect();
    order.sort_by(|&a, &b| votes.sample(b).similarity.total_cmp(&votes.sample(a).similarity));
    let mut counts = BTreeMap::<Organisation, usize>::new();
    let mut kept = vec![true; votes.len()];
    for at in order {
        if let Some(organisation) = votes.sample(at).organisation {
            let count = counts.entry(organisation).or_default();
            *count += 1;
            kept[at] = *count <= PER_ORGANISATION;
        }
    }
    votes.retain(|at| if kept[at] { Ok(()) } else { Err(Exclusion::Organisation) });
}

/// Shortens longer votes to the median norm.
fn clip_norms(votes: &mut Votes<'_>) {
    let norms: Vec<f64> = votes.vectors.iter().map(|vector| norm(vector)).collect();
    let most = median(&norms);
    for (at, norm) in norms.into_iter().enumerate() {
        if norm > most {
            scale(most / norm, &mut votes.vectors[at]);
            votes.discount(at, most / norm);
        }
    }
}

/// The trimmed mean of the mixed votes.
fn crowd(votes: &Votes<'_>, liars: usize) -> Combined {
    let mixed = Mixed::of(&votes.vectors, &votes.weights, votes.dims(), liars);
    let trimmed = columns::trimmed_mean(&mixed.vectors, &votes.weights, votes.dims(), liars);
    let shares = mixed.shares(&trimmed.shares, &votes.weights);
    Combined { shares, ..trimmed }
}

/// The mean of the site's own vector and the votes nearest to it, of which half is to be taken.
fn near_own(own: &[f64], votes: &Votes<'_>, liars: usize) -> Combined {
    let pairs = votes.vectors.iter().enumerate().map(|(at, vector)| (distance(vector, own), at));
    let mut nearest: Vec<(f64, usize)> = pairs.collect();
    nearest.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    nearest.truncate(votes.len() - liars);
    // Added up in the order of the authors, as everywhere.
    nearest.sort_unstable_by_key(|&(_, at)| at);
    let total = 1.0 + nearest.iter().map(|&(_, at)| votes.weights[at]).sum::<f64>();
    let mut values = own.to_vec();
    scale(1.0 / total, &mut values);
    let mut shares = vec![0.0; votes.len()];
    for (_, at) in nearest {
        shares[at] = votes.weights[at] / total;
        add_scaled(shares[at], &votes.vectors[at], &mut values);
    }
    Combined { values, shares, own_share: Some(HALF) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Sample;
    use crate::synthesis::{Abstention, Standing};
    use crate::testing::{Random, delta};

    const DIMS: usize = 12;

    /// Honest votes around 1 in every coordinate, with a spread of 0.5.
    fn honest(count: u8, seed: u64) -> Vec<Sample> {
        let mut random = Random(seed);
        let vote = |author| {
            let values: Vec<f32> = (0..DIMS).map(|_| (1.0 + 0.5 * random.normal()) as f32).collect();
            delta(author, 0.6, &values)
        };
        (100..100 + count).map(vote).collect()
    }

    fn liar(author: u8, value: f32) -> Sample {
        delta(author, 1.0, &[value; DIMS])
    }

    fn run(rule: Robust, samples: Vec<Sample>) -> Synthesis {
        rule.synthesize(&Own::delta(&[1.0; DIMS]), &Samples::new(samples).unwrap()).unwrap()
    }

    fn error(synthesis: &Synthesis) -> f64 {
        let squares = synthesis.estimate.iter().map(|value| (value - 1.0) * (value - 1.0));
        libm::sqrt(squares.sum::<f64>() / DIMS as f64)
    }

    #[test]
    fn liars_of_any_size_move_it_little() {
        for rule in [Robust::default(), Robust::hostile()] {
            for size in [-0.5, -1.0, -10.0, 1e6, 1e30] {
                let mut samples = honest(14, 5);
                samples.extend((0..6).map(|author| liar(author, size * (1.0 + 0.01 * f32::from(author)))));
                let synthesis = run(rule, samples);
                assert!(error(&synthesis) < 0.35, "{size} {synthesis}");
                assert!((synthesis.peer_weight.unwrap() - 0.8).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn without_liars_it_is_near_the_mean() {
        let synthesis = run(Robust::default(), honest(20, 1));
        assert!(error(&synthesis) < 0.2, "{synthesis}");
        let total: f64 = synthesis.contributions.iter().map(|c| c.weight).sum();
        assert!((total - 1.0).abs() < 1e-9);
        assert!(synthesis.origins > 14, "{synthesis}");
    }

    #[test]
    fn an_organisation_has_two_votes() {
        let mut samples = honest(14, 2);
        let of = Some(Organisation::new("one"));
        let members = (0..6_u8).map(|author| Sample {
            organisation: of,
            similarity: f32::from(author),
            ..honest(20, 9)[usize::from(author)].clone()
        });
        samples.extend((0..).zip(members).map(|(author, member)| Sample {
            author: qis_packet::AuthorId::from_bytes([author; 16]),
            ..member
        }));
        let synthesis = run(Robust::default(), samples);
        assert_eq!(synthesis.excluded().get(&Exclusion::Organisation), Some(&4));
        // The most similar two are left.
        let capped = Standing::Excluded(Exclusion::Organisation);
        assert!(synthesis.contributions[..4].iter().all(|c| c.standing == capped));
        assert!(synthesis.contributions[4..6].iter().all(|c| c.standing != capped));
    }

    #[test]
    fn echoes_of_the_own_delta_do_not_count() {
        let mut samples = honest(14, 3);
        samples.extend((0..3).map(|author| liar(author, 1.0 + 0.01 * f32::from(author))));
        let synthesis = run(Robust::default(), samples);
        let duplicate = Standing::Excluded(Exclusion::Duplicate);
        assert!(synthesis.contributions[..3].iter().all(|c| c.standing == duplicate), "{synthesis}");
    }

    #[test]
    fn few_votes_move_it_half_way_at_most() {
        let samples = vec![liar(1, 3.0), liar(2, 3.0)];
        let synthesis = run(Robust::default(), samples);
        // Half of the mean of 1, 3 and 3, and half of 1.
        assert!((synthesis.estimate[0] - (0.5 * 7.0 / 3.0 + 0.5)).abs() < 1e-6, "{synthesis}");
        assert!((synthesis.peer_weight.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        let alone = Robust::default().synthesize(&Own::nothing(), &Samples::new(vec![liar(1, 3.0)]).unwrap());
        assert_eq!(alone.unwrap().estimate, [3.0; DIMS]);
    }

    #[test]
    fn hostile_abstains_without_a_crowd() {
        let synthesis = run(Robust::hostile(), honest(4, 4));
        assert_eq!(synthesis.estimate, [1.0; DIMS]);
        assert_eq!(synthesis.abstained, Some(Abstention::TooFewOrigins { found: 4, needed: 5 }));
        // Of one organisation they are one origin.
        let of = Some(Organisation::new("one"));
        let one = honest(9, 4).into_iter().map(|sample| Sample { organisation: of, ..sample }).collect();
        let found = run(Robust::hostile(), one).abstained;
        assert_eq!(found, Some(Abstention::TooFewOrigins { found: 1, needed: 5 }));
    }
}
