//! What can befall a network, by kind.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// A kind of fault that a seed may inject.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum FaultKind {
            $($(#[doc = $doc])+ $name,)+
        }

        impl FaultKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name on the command line and in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

kinds! {
    /// A frame is lost: up to 30 % of them.
    Loss => "loss",
    /// A frame arrives twice.
    Duplication => "duplication",
    /// A frame arrives again, up to minutes later: with duplication up to 50 % of them.
    Replay => "replay",
    /// A frame takes seconds, so that others overtake it.
    Reordering => "reordering",
    /// No frame passes from some sites to others, in one direction or both.
    Partition => "partition",
    /// A bit of a frame arrives wrong.
    BitFlip => "bit-flip",
    /// The transport takes no frame, and says so.
    RefusedSend => "refused-send",
    /// A site stands still and goes on.
    Pause => "pause",
    /// A site's transport and disk take seconds.
    Slowness => "slowness",
    /// The clock on a site's wall is wrong, by minutes to a year, or is set while it runs.
    Clock => "clock",
    /// A site dies at once; what its disk had not synced is lost.
    Crash => "crash",
    /// A crash leaves a part of a write behind.
    TornWrite => "torn-write",
    /// A site comes back with an empty disk.
    Reformat => "reformat",
    /// A site comes back with a new key that follows its old one.
    Rotation => "rotation",
    /// A disk is full for a while.
    DiskFull => "disk-full",
    /// A write fails and nothing of it is there.
    FailedWrite => "failed-write",
    /// A sync fails, and nobody knows what is there.
    FailedSync => "failed-sync",
    /// The directory fails, or takes longer than is waited for.
    Directory => "directory",
    /// Packets under others' names, or changed on their way.
    Forgery => "forgery",
    /// Packets that an honest key signed for another network.
    OtherNetwork => "other-network",
    /// Acknowledgements and answers that nobody asked for, under others' addresses.
    Spoofing => "spoofing",
    /// Bytes that mean nothing.
    Garbage => "garbage",
    /// More frames, and more packets of one author, than are allowed.
    Flood => "flood",
    /// Outcomes beyond all measure, with full confidence and millions of records.
    Inflation => "inflation",
    /// Packets from long ago and from the future.
    WrongTime => "wrong-time",
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No kind of fault has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no kind of fault")]
pub struct UnknownFault {
    /// The name.
    pub name: String,
}

impl FromStr for FaultKind {
    type Err = UnknownFault;

    fn from_str(name: &str) -> Result<Self, UnknownFault> {
        let found = Self::ALL.iter().copied().find(|kind| kind.name() == name);
        found.ok_or_else(|| UnknownFault { name: name.to_owned() })
    }
}

/// How many faults of each kind were injected.
pub type FaultCounts = BTreeMap<FaultKind, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_one_kind_each() {
        for &kind in FaultKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        assert!("nothing".parse::<FaultKind>().is_err());
    }
}
