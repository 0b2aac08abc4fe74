use std::fmt;
use std::str::FromStr;

/// A way to lie, as it is known in the literature.
///
/// The mean, the deviation and the size are those of what the honest peers send the receiver in this round: the mean vector, the standard
/// deviation of each coordinate, and the median norm. Liars claim the confidence of the surest honest site and the support of all, except
/// where it says otherwise. Each adds [noise](super::Lie::jitter) of its own, so that they are not told by being the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Attack {
    /// The mean, negated.
    SignFlip,
    /// -10 times the mean.
    Scale,
    /// Inner product manipulation (Xie, Koyejo and Gupta, 2019): -0.5 times the mean.
    Ipm,
    /// A little is enough (Baruch, Baruch and Goldberg, 2019): the mean less z deviations, where z, at least 1, is the most that a
    /// majority could still take for honest.
    Alie,
    /// The same, where z and whether all coordinates are lowered or each is moved against its mean are what leaves the receiver the
    /// largest loss with the rule that it has, looked for every five rounds at another receiver.
    AlieOptimised,
    /// The delta of one honest peer, always the same one, so that it counts many times (Karimireddy, He and Jaggi, 2022).
    Mimic,
    /// As far against the mean as an honest peer could be from another (Shejwalkar and Houmansadr, 2021).
    MinMax,
    /// Honest work on records whose label c became 9 - c.
    LabelFlip,
    /// The mean negated at the full size of an honest delta, with confidence 1.
    InflatedConfidence,
    /// The same, with the largest support there is as well.
    InflatedPrecision,
    /// [`MinMax`](Self::MinMax) by members of two organisations.
    ColludingOrganisations,
    /// What the receiver itself sent a round ago, as if it were the liar's own.
    Echo,
}

/// A name that no attack has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no attack")]
pub struct UnknownAttack {
    /// The name.
    pub name: String,
}

impl Attack {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::SignFlip,
        Self::Scale,
        Self::Ipm,
        Self::Alie,
        Self::AlieOptimised,
        Self::Mimic,
        Self::MinMax,
        Self::LabelFlip,
        Self::InflatedConfidence,
        Self::InflatedPrecision,
        Self::ColludingOrganisations,
        Self::Echo,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SignFlip => "sign-flip",
            Self::Scale => "scale",
            Self::Ipm => "ipm",
            Self::Alie => "alie",
            Self::AlieOptimised => "alie-optimised",
            Self::Mimic => "mimic",
            Self::MinMax => "min-max",
            Self::LabelFlip => "label-flip",
            Self::InflatedConfidence => "inflated-confidence",
            Self::InflatedPrecision => "inflated-precision",
            Self::ColludingOrganisations => "colluding-organisations",
            Self::Echo => "echo",
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Attack {
    type Err = UnknownAttack;

    fn from_str(name: &str) -> Result<Self, UnknownAttack> {
        let found = Self::ALL.into_iter().find(|attack| attack.name() == name);
        found.ok_or_else(|| UnknownAttack { name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_found_by_its_name() {
        for attack in Attack::ALL {
            assert_eq!(attack.to_string().parse(), Ok(attack));
        }
        assert_eq!("".parse::<Attack>(), Err(UnknownAttack { name: String::new() }));
    }
}
