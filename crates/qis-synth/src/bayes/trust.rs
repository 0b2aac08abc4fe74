//! How far each peer's evidence is taken at its word.

use alloc::vec::Vec;

use nalgebra::DVector;

use super::population::{Hyperprior, Likelihood, Population};
use crate::linalg::{self, Factor, Singular};

/// Up to this squared distance per coefficient a site is as the population has it.
const PLAUSIBLE: f64 = 1.5;
/// Beyond this one it is not of the population.
const IMPLAUSIBLE: f64 = 9.0;
/// Rounds of weighing sites by a population and estimating the population of the weighted sites.
const ROUNDS: usize = 3;
/// Iterations of each estimate in between; a weight needs no more accuracy.
const ITERATIONS: usize = 20;
/// Less total weight than two whole sites is no population to measure anyone by.
const CONSENSUS: f64 = 2.0;
/// What every site weighs then, so that no one of them is believed much.
const NO_CONSENSUS_WEIGHT: f64 = 0.1;
/// Where the search for a centre starts: variances of a site's own shrinkage, and of noise.
const START_VARIANCE: f64 = 0.5;
const START_NOISE: f64 = 0.6;
const SPREAD_FLOOR: f64 = 0.005;
/// Turns a median absolute deviation into a standard deviation of a Gaussian.
const MAD_TO_SD: f64 = 1.4826;

/// The share of each site's claimed information that is let through, so that none claims more
/// than `factor` times the median number of records. A site claims by its number of records or
/// by its mean precision, whichever is more.
pub(super) fn information_shares(sites: &[Likelihood], factor: f64) -> Vec<f64> {
    let mut records: Vec<f64> = sites.iter().map(|site| site.records).collect();
    let cap = factor * median(&mut records);
    let share = |site: &Likelihood| {
        let claim = site.records.max(site.precision.trace() / site.dims() as f64);
        (cap / claim).min(1.0)
    };
    sites.iter().map(share).collect()
}

/// A weight for each site, from 0 to 1, by its distance to a robust centre of all.
///
/// Iterated from the coordinate-wise median of the sites' means: a site at squared Mahalanobis
/// distance `z` per coefficient weighs 1 up to 1.5, `1.5/z` up to 9, and nothing beyond. The
/// distance allows for the site's sampling error and for the spread between honest sites, so a
/// small site may be far off and a large one may not.
pub(super) fn weights(sites: &[Likelihood], hyper: &Hyperprior) -> Result<Vec<f64>, Singular> {
    let dims = sites.first().map_or(0, Likelihood::dims);
    let mut noise = if hyper.is_noisy() { START_NOISE } else { 1.0 };
    let zero = DVector::zeros(dims);
    let start = DVector::from_element(dims, START_VARIANCE);
    let means = sites
        .iter()
        .map(|site| Ok(site.posterior(&zero, &start, noise)?.1))
        .collect::<Result<Vec<_>, Singular>>()?;
    let coordinate = |k: usize| means.iter().map(move |m: &DVector<f64>| m[k]);
    let mut centre = DVector::from_fn(dims, |k, _| median(&mut coordinate(k).collect::<Vec<_>>()));
    let mut spread = DVector::from_fn(dims, |k, _| {
        let mut deviations: Vec<f64> = coordinate(k).map(|m| (m - centre[k]).abs()).collect();
        let deviation = MAD_TO_SD * median(&mut deviations);
        (deviation * deviation).max(SPREAD_FLOOR)
    });

    let mut weights = Vec::new();
    for _ in 0..ROUNDS {
        weights = sites
            .iter()
            .map(|site| Ok(weight(distance(site, &centre, &spread, noise)?)))
            .collect::<Result<Vec<_>, Singular>>()?;
        if weights.iter().sum::<f64>() < CONSENSUS {
            weights.fill(NO_CONSENSUS_WEIGHT);
        }
        let population = Population::estimate(sites, &weights, &hyper.with_iterations(ITERATIONS))?;
        centre = population.mean;
        spread = population.spread;
        noise = population.noise;
    }
    Ok(weights)
}

fn weight(distance: f64) -> f64 {
    if distance <= PLAUSIBLE {
        1.0
    } else if distance <= IMPLAUSIBLE {
        PLAUSIBLE / distance
    } else {
        // Also what is not a number.
        0.0
    }
}

/// `e'(noise L + L T L)^-1 e / d` with `e = h - L centre`.
///
/// Written as `u'T^-1 V e / (noise d)` with `L u = e` and `V = (L/noise + T^-1)^-1`, which stays
/// well conditioned where `L` is singular: a site with fewer records than coefficients is measured
/// in the directions it has seen.
fn distance(
    site: &Likelihood,
    centre: &DVector<f64>,
    spread: &DVector<f64>,
    noise: f64,
) -> Result<f64, Singular> {
    let residual = &site.information - &site.precision * centre;
    let dims = site.dims();
    let ridge = 1e-9 * (site.precision.trace() / dims as f64).max(1e-3);
    let mut ridged = site.precision.clone();
    linalg::add_diagonal(&mut ridged, (0..dims).map(|_| ridge));
    let offset = Factor::new(ridged)?.solve(&residual);
    let mut precision = &site.precision / noise;
    linalg::add_diagonal(&mut precision, spread.iter().map(|t| 1.0 / t));
    let explained = Factor::new(precision)?.solve(&residual);
    Ok(offset.component_div(spread).dot(&explained) / (noise * dims as f64))
}

/// The median, the mean of the middle two for an even number; 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values {
        [] => 0.0,
        _ if values.len() % 2 == 1 => values[middle],
        _ => 0.5 * (values[middle - 1] + values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Family;
    use crate::testing::{Random, site};

    fn sites(count: usize, liars: usize, lie: f64) -> Vec<Likelihood> {
        let mut random = Random(11);
        let sites = (0..count).map(|k| {
            let factor = if k < liars { lie } else { 1.0 };
            let theta = [0.4, 0.8, -0.6, 0.5].map(|m| factor * (m + 0.2 * random.normal()));
            Likelihood::of(site(&mut random, Family::Gaussian, &theta, 20).summary())
        });
        sites.collect()
    }

    fn trust(sites: &[Likelihood]) -> Vec<f64> {
        weights(sites, &Hyperprior::of(Family::Gaussian, 40)).unwrap()
    }

    #[test]
    fn liars_are_left_out_and_honest_sites_kept() {
        for (count, liars) in [(3, 1), (10, 4), (20, 6)] {
            let weights = trust(&sites(count, liars, -10.0));
            assert!(weights[..liars].iter().all(|&w| w < 0.1), "{weights:?}");
            assert!(weights[liars..].iter().all(|&w| w > 0.5), "{weights:?}");
        }
    }

    #[test]
    fn a_site_is_measured_in_the_directions_it_has_seen() {
        let mut sites = sites(6, 0, 1.0);
        let one_record = site(&mut Random(2), Family::Gaussian, &[0.4, 0.8, -0.6, 0.5], 1);
        sites.push(Likelihood::of(one_record.summary()));
        let weights = trust(&sites);
        assert!(weights.iter().all(|&w| w > 0.5), "{weights:?}");
    }

    #[test]
    fn no_site_claims_more_than_the_cap() {
        let mut sites = sites(5, 0, 1.0);
        sites[0].scale(50.0);
        sites[1].precision *= 1000.0;
        let shares = information_shares(&sites, 3.0);
        assert!((shares[0] - 0.06).abs() < 0.02 && shares[1] < 0.01, "{shares:?}");
        assert!(shares[2..].iter().all(|&s| s == 1.0));
    }

    #[test]
    fn the_median_is_of_the_middle() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn the_weight_falls_with_the_distance_and_ends() {
        assert_eq!(weight(0.3), 1.0);
        assert_eq!(weight(3.0), 0.5);
        assert_eq!(weight(9.1), 0.0);
        assert_eq!(weight(f64::NAN), 0.0);
    }
}
