use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use qis_packet::AuthorId;

/// What a synthesis came to, and why.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Synthesis {
    /// The estimate: a vector, or the coefficients of a statistical model with the intercept
    /// first.
    pub estimate: Vec<f64>,
    /// The marginal variance of each element, from rules that know it.
    pub uncertainty: Option<Vec<f64>>,
    /// What became of each sample, in the order of the authors.
    pub contributions: Vec<Contribution>,
    /// How much the estimate rests on the peers' side rather than the site's own, from 0 to 1,
    /// from rules that weigh the two; for [`EmpiricalBayes`](crate::bayes::EmpiricalBayes) the
    /// posterior probability of the hypotheses that come from the peers.
    pub peer_weight: Option<f64>,
    /// How many independent origins carried weight: authors, of which the [rules](crate::rules) for plain vectors count those of one
    /// [organisation](crate::Sample::organisation) as one.
    pub origins: usize,
    /// Why the peers were left out altogether; the estimate is the site's own then.
    pub abstained: Option<Abstention>,
}

/// What became of one author's sample.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Contribution {
    /// The author.
    pub author: AuthorId,
    /// Its share of what the peers brought together, from 0 to 1. The shares of all
    /// contributions add up to 1, unless the rule abstained or nothing of theirs carried weight.
    pub weight: f64,
    /// How the rule took it.
    pub standing: Standing,
}

/// How a rule took a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// In full.
    Counted,
    /// In part.
    Discounted {
        /// The part, above 0 and below 1.
        trust: f64,
    },
    /// Not at all.
    Excluded(Exclusion),
}

/// Why a sample was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Exclusion {
    /// Its author puts no confidence in it.
    NoConfidence,
    /// It is too far from what the others say for its size.
    Implausible,
    /// The rule abstained.
    Abstained,
    /// It is of another kind or dimension than the domain's.
    Domain,
    /// An element is not finite, or larger than allowed.
    Range,
    /// Its author's situation is too unlike this site's.
    Dissimilar,
    /// It is many times as large as the others.
    Outlier,
    /// Its author's organisation has as many votes as it may have.
    Organisation,
    /// It says nearly the same as another one, which is counted.
    Duplicate,
    /// It is so old that nothing of it is left.
    Stale,
    /// The rule chose others.
    NotChosen,
}

/// Why a rule left all peers out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Abstention {
    /// There are no samples.
    NoPeers,
    /// Fewer independent origins stand behind the samples than the rule was told to want.
    TooFewOrigins {
        /// How many there are.
        found: usize,
        /// How many are wanted.
        needed: usize,
    },
    /// The samples could not be combined in floating point, as values of extreme size can bring
    /// about.
    Numerical,
}

impl Synthesis {
    /// A synthesis of this estimate and nothing else; fill in what the rule knows.
    #[must_use]
    pub fn new(estimate: Vec<f64>) -> Self {
        Self {
            estimate,
            uncertainty: None,
            contributions: Vec::new(),
            peer_weight: None,
            origins: 0,
            abstained: None,
        }
    }

    /// How many samples were left out, by reason, in the order of the reasons.
    #[must_use]
    pub fn excluded(&self) -> BTreeMap<Exclusion, usize> {
        let mut counts = BTreeMap::new();
        for contribution in &self.contributions {
            if let Standing::Excluded(reason) = contribution.standing {
                *counts.entry(reason).or_default() += 1;
            }
        }
        counts
    }
}

impl Contribution {
    /// What became of `author`'s sample.
    #[must_use]
    pub fn new(author: AuthorId, weight: f64, standing: Standing) -> Self {
        Self { author, weight, standing }
    }
}

/// Estimates of more coordinates than this are not printed.
const PRINTED_DIMS: usize = 16;

/// Prints a line about the whole, a short estimate, how many samples were left out and why, and a line for each contribution.
impl fmt::Display for Synthesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (dims, origins) = (self.estimate.len(), self.origins);
        write!(f, "{dims} dimensions, origins: {origins}")?;
        if let Some(weight) = self.peer_weight {
            write!(f, ", weight of peers: {weight:.3}")?;
        }
        if let Some(reason) = self.abstained {
            write!(f, ", abstained: {reason}")?;
        }
        if dims > 0 && dims <= PRINTED_DIMS {
            write!(f, "\nestimate:")?;
            self.estimate.iter().try_for_each(|value| write!(f, " {value:.3}"))?;
        }
        let mut lead = "\nleft out: ";
        for (reason, count) in self.excluded() {
            write!(f, "{lead}{count} {reason}")?;
            lead = ", ";
        }
        for contribution in &self.contributions {
            let Contribution { author, weight, standing } = contribution;
            write!(f, "\n{author}  {weight:.3}  {standing}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted => f.write_str("counted"),
            Self::Discounted { trust } => write!(f, "discounted to {trust:.3}"),
            Self::Excluded(reason) => write!(f, "excluded: {reason}"),
        }
    }
}

impl fmt::Display for Exclusion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoConfidence => "no confidence",
            Self::Implausible => "implausible",
            Self::Abstained => "the rule abstained",
            Self::Domain => "not of the domain",
            Self::Range => "out of range",
            Self::Dissimilar => "dissimilar",
            Self::Outlier => "outlier",
            Self::Organisation => "beyond the votes of its organisation",
            Self::Duplicate => "near-duplicate",
            Self::Stale => "stale",
            Self::NotChosen => "not chosen",
        })
    }
}

impl fmt::Display for Abstention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPeers => f.write_str("no peers"),
            Self::TooFewOrigins { found, needed } => {
                write!(f, "{found} independent origins, {needed} are wanted")
            }
            Self::Numerical => f.write_str("beyond floating point"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_synthesis_prints_as_a_short_table() {
        let author = AuthorId::from_bytes([0xab; 16]);
        let mut synthesis = Synthesis::new(alloc::vec![0.0; 3]);
        synthesis.origins = 1;
        synthesis.peer_weight = Some(0.25);
        let standing = Standing::Discounted { trust: 0.5 };
        synthesis.contributions = alloc::vec![
            Contribution::new(author, 1.0, standing),
            Contribution::new(author, 0.0, Standing::Excluded(Exclusion::Implausible)),
        ];
        let expected = alloc::format!(
            "3 dimensions, origins: 1, weight of peers: 0.250\n\
             estimate: 0.000 0.000 0.000\n\
             left out: 1 implausible\n\
             {author}  1.000  discounted to 0.500\n\
             {author}  0.000  excluded: implausible"
        );
        assert_eq!(synthesis.to_string(), expected);
    }

    #[test]
    fn an_abstention_is_printed() {
        let mut synthesis = Synthesis::new(Vec::new());
        synthesis.abstained = Some(Abstention::NoPeers);
        let printed = synthesis.to_string();
        assert_eq!(printed, "0 dimensions, origins: 0, abstained: no peers");
    }
}
