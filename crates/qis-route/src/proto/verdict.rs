//! What became of a frame.

use std::fmt;

/// What the router did with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// A packet that is its author's newest in its domain now.
    Applied,
    /// A packet that was here, or is older than one that is.
    Known,
    /// A packet from the future, which waits for its time.
    Parked,
    /// A packet that withdrew its author's standing one.
    Retracted,
    /// An acknowledgement, query, answer, statement or message of an overlay that was acted upon.
    Handled,
    /// A part of a frame that is not whole yet, or was before.
    Part,
    /// Nothing; the state is as it was, but for the count, and for what [`Refusal::Own`] and [`Refusal::Parts`] say.
    Refused(Refusal),
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// Why a frame was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Refusal {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Refusal {
            /// All refusals.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// A short name, for logs and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

refusals! {
    /// More bytes than a frame or packet may have.
    TooLarge => "too large",
    /// Too many frames from this address.
    PeerRate => "peer rate",
    /// Not a frame, message or packet in its one form.
    Malformed => "malformed",
    /// A part of a frame that contradicts an earlier one, which stands; or that completes something else than the frame it names, whose
    /// parts are forgotten then.
    Parts => "parts",
    /// A kind of frame or version of packet that is not known here.
    Unknown => "unknown kind or version",
    /// A domain this node has no part in, or a schema it does not follow.
    UnknownDomain => "unknown domain",
    /// A message of the overlay of a space that this node is not in.
    UnknownSpace => "unknown space",
    /// No signature.
    Unsigned => "unsigned",
    /// No key is known for the author.
    UnknownKey => "unknown key",
    /// The signature is not the author's for this network.
    Forged => "forged",
    /// The key was followed by another before the packet was made, or its time is over; or a statement contradicts one that is known.
    RetiredKey => "retired key",
    /// Too many new packets of this author.
    AuthorRate => "author rate",
    /// Its lifetime is over.
    Expired => "expired",
    /// From further in the future than is waited for.
    TooEarly => "too early",
    /// Its content is not what the domain takes: the kind, the dimensions, the encoding.
    Payload => "payload",
    /// It is this node's own, come back. One that it does not remember makes it open a new incarnation.
    Own => "own",
    /// Nobody asked for it.
    Unsolicited => "unsolicited",
    /// A table has no place for it.
    Full => "full",
    /// A queue has no place for it, or the store does not work.
    Busy => "busy",
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
