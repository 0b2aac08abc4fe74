use alloc::vec;
use alloc::vec::Vec;

use super::config::EmpiricalBayesBuilder;
use super::guard::{self, Averaged};
use super::kindred::{self, View};
use super::population::{Estimation, Hyperprior, Likelihood, Population};
use super::sites::Sites;
use super::trust;
use crate::error::{ContentKind, Mismatch, SynthesisError};
use crate::evidence::{Evidence, EvidenceSummary, Family};
use crate::linalg::Singular;
use crate::samples::{Content, Own, OwnOutcome, Sample, Samples};
use crate::synthesis::{Abstention, Contribution, Exclusion, Standing, Synthesis};
use crate::synthesizer::Synthesizer;

/// Empirical Bayes with evidence averaging: learn from the peers what coefficients are like, then
/// let the site's own records decide how far to believe it.
///
/// 1. **Trust.** A peer that claims many times the median number of records is counted as if it
///    had fewer. Among enough peers, those implausibly far from a robust centre are discounted or
///    left out. The confidence they claim plays no part.
/// 2. **Population.** The peers' coefficients are taken as draws from a normal distribution, whose
///    mean and spread are estimated from their evidence (empirical Bayes in the sense of Efron and
///    Morris, 1973, and Morris, 1983).
/// 3. **Kindred.** Among enough peers the same is done for those that are like this site, weighted
///    by the Bayes factor of coming from around that peer against coming from the population.
/// 4. **Averaging.** Local hypotheses (coefficients near zero, on a grid of how near) and peers'
///    hypotheses (coefficients near a population's mean, on a grid of how near) are each fitted
///    to the site's own records, and averaged by how well they predict them. A site that is unlike
///    its peers finds that their hypotheses predict its records badly and keeps to itself.
///
/// [`Synthesis::peer_weight`] is the posterior probability of the peers' hypotheses, and
/// [`Synthesis::uncertainty`] the variance of the averaged posterior. A contribution's weight is
/// the peer's share of the information about the population's mean, `tr(I - V/T)` of its posterior
/// covariance `V` and the spread `T`, times its trust, averaged over the populations by how well
/// they predict the site's records.
///
/// Without samples the estimate averages the local hypotheses alone, and says so. A site without
/// records of its own takes the population's mean; its uncertainty adds that of the mean and the
/// spread between sites, and the peers' weight is 1. The earlier state is never used, so nothing
/// is counted twice.
///
/// A guard can only protect a site whose records show that it differs: with a handful of records,
/// one class only, or none at all, a site that is unlike its peers is drawn towards them.
///
/// ```
/// use qis_synth::bayes::EmpiricalBayes;
/// use qis_synth::evidence::{Evidence, Family, Scaling, Schema};
/// use qis_synth::{Own, Samples, Synthesizer};
///
/// let schema = Schema::new(Family::Logistic, ["dose"], Scaling::SiteLocal)?;
/// let evidence = Evidence::logistic(&schema, &[1.0, 2.0, 3.0, 4.0], &[0.0, 0.0, 1.0, 1.0])?;
/// let alone = EmpiricalBayes::default().synthesize(&Own::evidence(&evidence), &Samples::default())?;
/// assert!(alone.abstained.is_some());
/// assert!(evidence.predict(&alone.estimate, &[4.0])? > 0.5);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct EmpiricalBayes {
    settings: EmpiricalBayesBuilder,
}

impl EmpiricalBayes {
    /// Settings to change; they start at the defaults.
    pub fn builder() -> EmpiricalBayesBuilder {
        EmpiricalBayesBuilder::default()
    }

    pub(super) fn with(settings: EmpiricalBayesBuilder) -> Self {
        Self { settings }
    }

    /// The prior probability of the local hypotheses beside this many peers.
    fn local_mass(&self, peers: usize) -> f64 {
        if peers < self.settings.small_network {
            self.settings.small_local_prior
        } else {
            self.settings.local_prior
        }
    }

    /// The ways to see the peers: the trusted ones first, then those like this site.
    fn views(
        &self,
        own: Option<&Evidence>,
        hyper: &Hyperprior,
        sites: &Sites,
    ) -> Result<Vec<View>, Singular> {
        let iterations = self.settings.iterations;
        let everyone = || Estimation::new(sites, vec![1.0; sites.len()], hyper);
        let trusted = if sites.len() < self.settings.trust_from {
            everyone()
        } else {
            trust::estimation(sites, hyper)?
        };
        let trusted = trusted.iterated(iterations)?;
        let weights = trusted.weights().to_vec();
        let all_trusted = weights.iter().all(|&weight| weight == 1.0);
        let mut views = vec![View { population: trusted.population()?, weights }];
        if let Some(own) = own
            && sites.len() >= self.settings.kindred_from
        {
            let kindred = |base: &Population| kindred::views(own, sites, base, hyper, iterations);
            let found = if all_trusted {
                kindred(&views[0].population)
            } else {
                everyone().iterated(iterations).and_then(|all| kindred(&all.population()?))
            };
            // Untrusted peers may take this beyond floating point; the trusted view remains.
            views.extend(found.unwrap_or_default());
        }
        Ok(views)
    }

    /// The average over all hypotheses, and the views of the peers that went into it.
    fn average(
        &self,
        own: Option<&Evidence>,
        family: Family,
        sites: &Sites,
    ) -> Result<(Averaged, Vec<View>), Singular> {
        let hyper = Hyperprior::of(family);
        let views = self.views(own, &hyper, sites)?;
        let averaged = match own {
            Some(own) => guard::average(own, &views, self.local_mass(sites.len()))?,
            None => views.first().ok_or(Singular)?.population.predictive(),
        };
        Ok((averaged, views))
    }
}

impl Default for EmpiricalBayes {
    fn default() -> Self {
        Self::with(EmpiricalBayesBuilder::default())
    }
}

impl Synthesizer for EmpiricalBayes {
    fn synthesize(&self, own: &Own<'_>, samples: &Samples) -> Result<Synthesis, SynthesisError> {
        let own = own_evidence(own)?;
        let summaries = peer_summaries(own, samples)?;
        let Some(&first) = summaries.first() else {
            return alone(own, samples, Abstention::NoPeers);
        };
        let mut sites: Vec<Likelihood> = summaries.iter().map(|s| Likelihood::of(s)).collect();
        let shares = trust::information_shares(&sites, self.settings.information_cap);
        for (site, &share) in sites.iter_mut().zip(&shares) {
            site.scale(share);
        }
        let Ok((averaged, views)) = self.average(own, first.family(), &Sites::new(&sites)) else {
            return alone(own, samples, Abstention::Numerical);
        };
        let contributions = contributions(samples, &shares, &views, &averaged.view_weights);
        Ok(Synthesis {
            origins: contributions.iter().filter(|c| c.weight > 0.0).count(),
            contributions,
            ..averaged.into_synthesis()
        })
    }
}

impl Averaged {
    fn into_synthesis(self) -> Synthesis {
        let Self { mean, variance, view_weights } = self;
        let peer_weight: f64 = view_weights.iter().sum();
        Synthesis {
            uncertainty: Some(variance.as_slice().to_vec()),
            peer_weight: Some(peer_weight.min(1.0)),
            ..Synthesis::new(mean.as_slice().to_vec())
        }
    }
}

fn own_evidence<'a>(own: &Own<'a>) -> Result<Option<&'a Evidence>, SynthesisError> {
    match own.outcome {
        None => Ok(None),
        Some(OwnOutcome::Evidence(evidence)) => Ok(Some(evidence)),
        Some(OwnOutcome::Delta(_)) => Err(SynthesisError::Own(Mismatch::Kind {
            expected: ContentKind::Evidence,
            found: ContentKind::Delta,
        })),
    }
}

/// The samples' evidence, all of one family and dimension: the site's own, or the first's.
fn peer_summaries<'a>(
    own: Option<&Evidence>,
    samples: &'a Samples,
) -> Result<Vec<&'a EvidenceSummary>, SynthesisError> {
    let mut shape = own.map(|own| (own.family(), own.dims()));
    let mut summaries = Vec::with_capacity(samples.len());
    for sample in samples {
        let summary = summary(sample)?;
        let (family, dims) = *shape.get_or_insert((summary.family(), summary.dims()));
        if summary.family() != family {
            let (expected, found) = (family, summary.family());
            return Err(refuse(sample, Mismatch::Family { expected, found }));
        }
        if summary.dims() != dims {
            let (expected, found) = (dims, summary.dims());
            return Err(refuse(sample, Mismatch::Dims { expected, found }));
        }
        summaries.push(summary);
    }
    Ok(summaries)
}

fn summary(sample: &Sample) -> Result<&EvidenceSummary, SynthesisError> {
    match &sample.content {
        Content::Evidence(summary) => Ok(summary),
        Content::Delta(_) => {
            Err(refuse(sample, Mismatch::Kind { expected: ContentKind::Evidence, found: ContentKind::Delta }))
        }
    }
}

fn refuse(sample: &Sample, mismatch: Mismatch) -> SynthesisError {
    SynthesisError::Sample { author: sample.author, mismatch }
}

/// The site's own estimate, with every sample left out for `reason`.
fn alone(own: Option<&Evidence>, samples: &Samples, reason: Abstention) -> Result<Synthesis, SynthesisError> {
    let own = own.ok_or(match reason {
        Abstention::NoPeers | Abstention::TooFewOrigins { .. } => SynthesisError::Nothing,
        Abstention::Numerical => SynthesisError::NotFinite,
    })?;
    let averaged = guard::average_local(own).map_err(|Singular| SynthesisError::NotFinite)?;
    let left_out = Standing::Excluded(Exclusion::Abstained);
    let contributions =
        samples.iter().map(|sample| Contribution::new(sample.author, 0.0, left_out)).collect();
    Ok(Synthesis { contributions, abstained: Some(reason), ..averaged.into_synthesis() })
}

/// Below this trust a sample may as well be absent, and above 1 less this as well be whole.
const NEGLIGIBLE: f64 = 0.005;

fn contributions(
    samples: &Samples,
    shares: &[f64],
    views: &[View],
    view_weights: &[f64],
) -> Vec<Contribution> {
    // Where the records rule every view out, none is told from another.
    let total: f64 = view_weights.iter().sum();
    let odds = |weight: &f64| if total > 0.0 { weight / total } else { 1.0 / views.len() as f64 };
    let mut information = vec![0.0; shares.len()];
    let mut trust = vec![0.0; shares.len()];
    for (view, odds) in views.iter().zip(view_weights.iter().map(odds)) {
        let whole: f64 = view.population.information.iter().sum();
        for (sum, part) in information.iter_mut().zip(&view.population.information) {
            *sum += if whole > 0.0 { odds * part / whole } else { 0.0 };
        }
        for ((sum, weight), share) in trust.iter_mut().zip(&view.weights).zip(shares) {
            *sum += odds * weight * share;
        }
    }
    let figures = information.iter().zip(trust);
    let contribution = |(sample, (&weight, trust)): (&Sample, (&f64, f64))| {
        let standing = if trust > 1.0 - NEGLIGIBLE {
            Standing::Counted
        } else if trust > NEGLIGIBLE {
            Standing::Discounted { trust }
        } else {
            Standing::Excluded(Exclusion::Implausible)
        };
        Contribution::new(sample.author, weight, standing)
    };
    samples.iter().zip(figures).map(contribution).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Random, delta, received, sample, schema, site};
    use alloc::sync::Arc;
    use proptest::prelude::*;

    const FAMILIES: [Family; 3] = [Family::Gaussian, Family::Logistic, Family::Cox];
    const THETA: [f64; 4] = [0.3, 0.9, -0.7, 0.6];

    /// Peers whose coefficients are `factor * THETA`, give or take 0.1.
    fn peers(random: &mut Random, family: Family, count: u8, factor: f64) -> Vec<Sample> {
        let peers = (1..=count).map(|author| {
            let theta = THETA.map(|t| factor * t + 0.1 * random.normal());
            received(author, &site(random, family, &theta, 40))
        });
        peers.collect()
    }

    fn run(own: Option<&Evidence>, samples: Vec<Sample>) -> Synthesis {
        let own = own.map_or_else(Own::nothing, Own::evidence);
        let samples = Samples::new(samples).unwrap();
        EmpiricalBayes::default().synthesize(&own, &samples).unwrap()
    }

    fn distance(estimate: &[f64], theta: [f64; 4]) -> f64 {
        let squares = estimate.iter().zip(theta).map(|(a, b)| (a - b) * (a - b));
        squares.sum()
    }

    #[test]
    fn a_small_site_gains_from_peers_that_are_alike() {
        for family in FAMILIES {
            let (mut alone, mut together) = (0.0, 0.0);
            for seed in 0..10 {
                let mut random = Random(seed);
                let own = site(&mut random, family, &THETA, 10);
                let samples = peers(&mut random, family, 8, 1.0);
                alone += distance(&run(Some(&own), vec![]).estimate, THETA);
                together += distance(&run(Some(&own), samples).estimate, THETA);
            }
            assert!(together < 0.5 * alone, "{family:?} {together} {alone}");
        }
    }

    #[test]
    fn a_site_unlike_its_peers_keeps_to_itself() {
        for family in FAMILIES {
            let mut random = Random(7);
            let own = site(&mut random, family, &THETA, 60);
            let samples = peers(&mut random, family, 8, -1.5);
            let alone = run(Some(&own), vec![]);
            let together = run(Some(&own), samples);
            assert!(together.peer_weight.unwrap() < 0.1, "{together}");
            let (alone, together) = (distance(&alone.estimate, THETA), distance(&together.estimate, THETA));
            assert!(together < 1.2 * alone + 0.02, "{family:?} {together} {alone}");
        }
    }

    #[test]
    fn liars_are_left_out_and_named() {
        for family in FAMILIES {
            let mut random = Random(3);
            let own = site(&mut random, family, &THETA, 10);
            let mut samples = peers(&mut random, family, 8, 1.0);
            let honest = run(Some(&own), samples.clone());
            let lie = THETA.map(|t| -4.0 * t);
            for author in [100, 101] {
                samples.push(received(author, &site(&mut random, family, &lie, 400)));
            }
            let attacked = run(Some(&own), samples);
            for liar in &attacked.contributions[8..] {
                assert!(liar.weight < 0.02, "{attacked}");
                assert_ne!(liar.standing, Standing::Counted);
            }
            let moved: f64 = honest.estimate.iter().zip(&attacked.estimate).map(|(a, b)| (a - b).abs()).sum();
            assert!(moved < 0.4, "{family:?} {moved}");
        }
    }

    #[test]
    fn a_minority_learns_from_its_own_kind() {
        for family in FAMILIES {
            let (mut alone, mut together) = (0.0, 0.0);
            for seed in 0..6 {
                let mut random = Random(seed);
                let own = site(&mut random, family, &THETA, 25);
                let mut samples = peers(&mut random, family, 6, -1.0);
                let kind = peers(&mut random, family, 4, 1.0).into_iter().zip(100..);
                samples.extend(kind.map(|(kind, author)| Sample {
                    author: qis_packet::AuthorId::from_bytes([author; 16]),
                    ..kind
                }));
                alone += distance(&run(Some(&own), vec![]).estimate, THETA);
                let synthesis = run(Some(&own), samples);
                together += distance(&synthesis.estimate, THETA);
            }
            assert!(together < 0.85 * alone, "{family:?} {together} {alone}");
        }
    }

    #[test]
    fn without_records_the_population_is_the_estimate() {
        for family in FAMILIES {
            let synthesis = run(None, peers(&mut Random(5), family, 20, 1.0));
            assert!(distance(&synthesis.estimate, THETA) < 0.1);
            assert_eq!(synthesis.peer_weight, Some(1.0));
            assert_eq!(synthesis.origins, 20);
            assert!(synthesis.uncertainty.unwrap().iter().all(|&v| v > 0.0));
            let total: f64 = synthesis.contributions.iter().map(|c| c.weight).sum();
            assert!((total - 1.0).abs() < 1e-12);
        }
    }

    #[test]
    fn without_samples_it_abstains_and_with_nothing_it_fails() {
        for family in FAMILIES {
            let own = site(&mut Random(1), family, &THETA, 30);
            let alone = run(Some(&own), vec![]);
            assert_eq!(alone.abstained, Some(Abstention::NoPeers));
            assert_eq!((alone.origins, alone.peer_weight), (0, Some(0.0)));
        }
        let nothing = EmpiricalBayes::default().synthesize(&Own::nothing(), &Samples::default());
        assert!(matches!(nothing, Err(SynthesisError::Nothing)));
    }

    #[test]
    fn the_prior_for_small_networks_counts_this_site() {
        let rule = EmpiricalBayes::default();
        assert_eq!(rule.local_mass(4), 0.5);
        assert_eq!(rule.local_mass(5), 0.3);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_author() {
        let mut random = Random(1);
        let own = site(&mut random, Family::Logistic, &THETA, 10);
        let mismatch = |own: Own<'_>, samples| {
            let samples = Samples::new(samples).unwrap();
            match EmpiricalBayes::default().synthesize(&own, &samples) {
                Err(SynthesisError::Sample { mismatch, .. } | SynthesisError::Own(mismatch)) => mismatch,
                other => panic!("{other:?}"),
            }
        };
        let gaussian = received(1, &site(&mut random, Family::Gaussian, &THETA, 10));
        let narrow = received(2, &site(&mut random, Family::Logistic, &THETA[..2], 10));
        let own = Own::evidence(&own);
        let expected = Mismatch::Family { expected: Family::Logistic, found: Family::Gaussian };
        assert_eq!(mismatch(own, vec![gaussian]), expected);
        let expected = Mismatch::Dims { expected: 4, found: 2 };
        assert_eq!(mismatch(own, vec![narrow]), expected);
        let kind = |m| matches!(m, Mismatch::Kind { .. });
        assert!(kind(mismatch(own, vec![delta(1, 1.0, &[1.0; 4])])));
        assert!(kind(mismatch(Own::delta(&[1.0; 4]), vec![])));
    }

    #[test]
    fn odd_own_records_have_a_finite_synthesis() {
        for family in FAMILIES {
            let samples = peers(&mut Random(9), family, 4, 1.0);
            let features = if family.has_intercept() { 3 } else { 4 };
            let schema = schema(family, features);
            for (mut x, y) in [
                (vec![1.0, 2.0, 3.0, 0.5], vec![1.0]),
                (vec![0.0; 12], vec![1.0; 3]),
                (vec![1e300, -1e300, 0.0, 1.0, 1.0, 1.0, 0.0, 2.0], vec![0.0, 1.0]),
            ] {
                x.truncate(features * y.len());
                let own = match family {
                    Family::Gaussian => Evidence::gaussian(&schema, &x, &y),
                    Family::Logistic => Evidence::logistic(&schema, &x, &y),
                    Family::Cox => Evidence::cox(&schema, &x, &y, &vec![true; y.len()]),
                };
                for samples in [vec![], samples.clone()] {
                    let synthesis = run(Some(&own.clone().unwrap()), samples);
                    assert!(synthesis.estimate.iter().all(|e| e.is_finite()));
                    assert!(synthesis.uncertainty.unwrap().iter().all(|v| *v > 0.0));
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn the_order_of_arrival_does_not_matter(
            seed in any::<u64>(),
            order in Just((0..6).collect::<Vec<usize>>()).prop_shuffle(),
            family in 0usize..3,
        ) {
            let family = FAMILIES[family];
            let mut random = Random(seed);
            let own = site(&mut random, family, &THETA, 10);
            let samples = peers(&mut random, family, 6, 1.0);
            let shuffled = order.iter().map(|&k| samples[k].clone()).collect();
            let (a, b) = (run(Some(&own), samples), run(Some(&own), shuffled));
            let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&a.estimate), bits(&b.estimate));
            prop_assert_eq!(a, b);
        }

        /// Whatever peers send, a site with records has a finite estimate.
        #[test]
        fn any_payloads_leave_the_synthesis_finite(
            payloads in proptest::collection::vec((proptest::collection::vec(any::<u8>(), 23), any::<u16>()), 1..6),
            family in 0usize..3,
        ) {
            let family = FAMILIES[family];
            let own = site(&mut Random(1), family, &THETA, 10);
            let len = EvidenceSummary::encoded_len(family, 4);
            let mut samples = Vec::new();
            for (author, (mut bytes, scale)) in (0..).zip(payloads) {
                bytes.resize(len, 0);
                bytes[0] = 1;
                bytes[5..7].copy_from_slice(&(0x3080 + scale % 0x1400).to_le_bytes());
                if family == Family::Gaussian {
                    bytes[8] &= 0x3f;
                }
                let start = if family == Family::Gaussian { 9 } else { 7 };
                bytes[start] = 0x3e;
                bytes[len - 1] = 0;
                if let Ok(summary) = EvidenceSummary::decode(family, 4, &bytes) {
                    samples.push(sample(author, 1.0, Content::Evidence(Arc::new(summary))));
                }
            }
            let synthesis = run(Some(&own), samples);
            prop_assert!(synthesis.estimate.iter().all(|e| e.is_finite()));
            prop_assert!(synthesis.uncertainty.unwrap().iter().all(|v| v.is_finite()));
        }
    }
}
