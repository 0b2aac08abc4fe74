//! Bugs that are there on purpose, to see whether the tests find them. Built with `--cfg qis_planted` only.

use core::sync::atomic::{AtomicU8, Ordering};

/// Which bug is planted in this process, as its place in [`Bug::ALL`] and one; 0 for none.
static PLANTED: AtomicU8 = AtomicU8::new(0);

macro_rules! bugs {
    ($($(#[doc = $doc:literal])+ $name:ident => $text:literal,)+) => {
        /// A bug that somebody could have written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Bug {
            /// All bugs.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its name in reports.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

bugs! {
    /// A packet of the order that stands is applied again.
    WindowOffByOne => "window off by one",
    /// What is kept as the next number is the one that was just used up.
    NumberNotKept => "number kept too early",
    /// A packet is acknowledged when it is applied, and not when that is durable.
    AcknowledgedBeforeCommit => "acknowledged before the commit",
    /// The store says that a commit is durable before it is synced.
    AcknowledgedBeforeSync => "acknowledged before the sync",
    /// A store that was torn by a crash takes the part of a batch that is there.
    TornBatchTaken => "torn batch taken",
    /// An outcome is sent before it is durable.
    SentBeforeCommit => "sent before the commit",
    /// A packet whose lifetime is over is applied.
    ExpiryIgnored => "expiry ignored",
    /// A packet from the future is applied at once.
    FutureAccepted => "future accepted",
    /// An acknowledgement counts whatever its nonce is.
    AnyNonceAcknowledges => "any nonce acknowledges",
    /// An answer counts whatever its nonce is.
    AnyNonceAnswers => "any nonce answers",
    /// A derived packet counts as an observation.
    EchoCounted => "echo counted",
    /// A vote weighs as much as its author claims.
    ClaimsTrusted => "claims trusted",
    /// As many packets wait for their time as come.
    ParkedUnbounded => "parked without bound",
    /// Anti-entropy is done once.
    SyncOnce => "anti-entropy once",
    /// Queries are answered with nothing.
    NothingAnswered => "nothing answered",
    /// A wall clock that is put back opens no new incarnation.
    ClockGoesBack => "clock goes back",
    /// Signatures of packets are not checked.
    SignatureUnchecked => "signature not checked",
    /// Signatures do not depend on the network.
    NetworkUnchecked => "network not checked",
    /// Withdrawals are acknowledged and forgotten.
    RetractionIgnored => "retraction ignored",
    /// Statements that one key follows another are forgotten.
    RotationIgnored => "rotation ignored",
    /// What stood before a restart is not read from the store.
    WindowNotRestored => "window not restored",
    /// What was not delivered before a restart is not read from the store.
    OutboxNotRestored => "outbox not restored",
    /// What was delivered stays in the outbox.
    OutboxNotCleared => "outbox not cleared",
    /// Packets are sent again until they are acknowledged.
    RetriesUncapped => "retries without a cap",
    /// Addresses may send as much as they like.
    AddressRateOff => "no rate of an address",
    /// Authors may have as much applied as they like.
    AuthorRateOff => "no rate of an author",
    /// Who receives a packet states its own outcome again.
    ReceivingEmits => "receiving emits",
    /// A node that meets packets of a life it forgot goes on with its numbers.
    ForgottenLifeIgnored => "forgotten life ignored",
    /// A node that is told that others hold something newer of it in the overlay does nothing about it.
    OutdatedIgnored => "outdated descriptor kept",
    /// A node that has lost all its contacts does not join again.
    NotJoinedAgain => "not joined again",
    /// A store that failed once is not used again, whatever the failure was.
    StoreGivenUp => "store given up",
    /// A statement of a new key that was lost is not sent again.
    StatementNotRepeated => "lost statement not repeated",
    /// Where there are too few bytes for all domains, the same ones go first each time.
    FirstDomainOnly => "first domain only",
    /// Who can open one packet's provenance can open all of the author's.
    OneOpeningForAll => "one opening for all",
}

impl Bug {
    /// Plants a bug in this process, in place of the one that was; or none.
    pub fn plant(bug: Option<Self>) {
        let place = bug.and_then(|bug| Self::ALL.iter().position(|one| *one == bug));
        let number = place.map_or(0, |place| u8::try_from(place + 1).unwrap_or(u8::MAX));
        PLANTED.store(number, Ordering::SeqCst);
    }

    /// Whether this bug is planted.
    #[must_use]
    pub fn is_planted(self) -> bool {
        let number = usize::from(PLANTED.load(Ordering::Relaxed));
        number.checked_sub(1).and_then(|place| Self::ALL.get(place)) == Some(&self)
    }
}
