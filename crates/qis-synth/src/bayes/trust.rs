//! How far each peer's evidence is taken at its word.

use alloc::vec::Vec;

use nalgebra::DVector;

use super::laplace;
use super::population::{Estimation, Hyperprior, Iterate, Likelihood};
use super::sites::{Batch, Sites};
use crate::lanes::{self, Factors, LANES};
use crate::linalg::Singular;

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

/// The population of the sites, each weighted from 0 to 1 by its distance to a robust centre of all.
///
/// Iterated from the coordinate-wise median of the sites' means: a site at squared Mahalanobis
/// distance `z` per coefficient weighs 1 up to 1.5, `1.5/z` up to 9, and nothing beyond. The
/// distance allows for the site's sampling error and for the spread between honest sites, so a
/// small site may be far off and a large one may not.
pub(super) fn estimation<'a>(sites: &'a Sites, hyper: &'a Hyperprior) -> Result<Estimation<'a>, Singular> {
    let offsets = Offsets::new(sites)?;
    let mut weights = weights(sites, &offsets, &centre(sites, hyper)?)?;
    let mut estimation = Estimation::new(sites, weights.clone(), hyper);
    for _ in 1..ROUNDS {
        estimation = estimation.iterated(ITERATIONS)?;
        let population = estimation.population()?;
        let centre = Iterate { mean: population.mean, spread: population.spread, noise: population.noise };
        weights = self::weights(sites, &offsets, &centre)?;
        if weights == estimation.weights() {
            // So would those of the next rounds be.
            break;
        }
        estimation = Estimation::new(sites, weights.clone(), hyper);
    }
    Ok(estimation)
}

/// A centre that no minority of the sites can move far, and their spread around it.
fn centre(sites: &Sites, hyper: &Hyperprior) -> Result<Iterate, Singular> {
    let dims = sites.dims();
    let noise = if hyper.is_noisy() { START_NOISE } else { 1.0 };
    let start =
        Iterate { mean: DVector::zeros(dims), spread: DVector::from_element(dims, START_VARIANCE), noise };
    let means = sites.means(&start)?;
    let coordinate = |k: usize| means.iter().map(move |m: &DVector<f64>| m[k]);
    let mean = DVector::from_fn(dims, |k, _| median(&mut coordinate(k).collect::<Vec<_>>()));
    let spread = DVector::from_fn(dims, |k, _| {
        let mut deviations: Vec<f64> = coordinate(k).map(|m| (m - mean[k]).abs()).collect();
        let deviation = MAD_TO_SD * median(&mut deviations);
        (deviation * deviation).max(SPREAD_FLOOR)
    });
    Ok(Iterate { mean, spread, noise })
}

fn weights(sites: &Sites, offsets: &Offsets, centre: &Iterate) -> Result<Vec<f64>, Singular> {
    let distances = offsets.distances(sites, centre)?;
    let mut weights: Vec<f64> = distances.into_iter().map(weight).collect();
    if weights.iter().sum::<f64>() < CONSENSUS {
        weights.fill(NO_CONSENSUS_WEIGHT);
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

/// What measuring the sites' distances to any centre needs: for each batch, the factors of `L`.
#[derive(Debug)]
struct Offsets(Vec<Factors<LANES>>);

impl Offsets {
    fn new(sites: &Sites) -> Result<Self, Singular> {
        let factors = |batch: &Batch| {
            let mut ridged = batch.precision.clone();
            let mut trace = [0.0; LANES];
            for element in ridged.diagonal() {
                lanes::add(&mut trace, element);
            }
            let ridge = trace.map(|trace| 1e-9 * (trace / sites.dims() as f64).max(1e-3));
            ridged.add_diagonal(|_| ridge);
            let factors = Factors::new(ridged);
            factors.sound().iter().all(|&sound| sound).then_some(factors).ok_or(Singular)
        };
        Ok(Self(sites.batches().iter().map(factors).collect::<Result<_, _>>()?))
    }

    /// `e'(noise L + L T L)^-1 e / d` with `e = h - L centre`, for each site.
    ///
    /// Written as `u'T^-1 V e / (noise d)` with `L u = e` and `V = (L/noise + T^-1)^-1`, which
    /// stays well conditioned where `L` is singular: a site with fewer records than coefficients is
    /// measured in the directions it has seen.
    fn distances(&self, sites: &Sites, centre: &Iterate) -> Result<Vec<f64>, Singular> {
        let mut distances = Vec::with_capacity(sites.len());
        let mean: Vec<[f64; LANES]> = centre.mean.iter().map(|&m| [m; LANES]).collect();
        for (batch, factors) in sites.batches().iter().zip(&self.0) {
            let residual = laplace::difference(&batch.information, &batch.precision.times(&mean));
            let mut offset = residual.clone();
            factors.solve(&mut offset);
            for (value, t) in offset.iter_mut().zip(centre.spread.iter()) {
                *value = value.map(|u| u / t);
            }
            let mut explained = residual;
            batch.factors(centre)?.solve(&mut explained);
            let scale = centre.noise * sites.dims() as f64;
            let squared = lanes::dot(&offset, &explained).map(|z| z / scale);
            distances.extend(squared.iter().take(batch.count()));
        }
        Ok(distances)
    }
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
        let (sites, hyper) = (Sites::new(sites), Hyperprior::of(Family::Gaussian));
        estimation(&sites, &hyper).unwrap().weights().to_vec()
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
