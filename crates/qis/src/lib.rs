#![doc = include_str!("../README.md")]

mod builder;
mod catch_up;
mod clock;
mod domain;
mod driver;
mod emit;
mod error;
mod events;
pub mod memory;
mod node;
mod organisations;
mod outcome;
mod overlay;
mod published;
mod sync;
mod synthesize;

pub use builder::NodeBuilder;
pub use catch_up::{CatchUp, CaughtUp};
#[cfg(feature = "tokio")]
pub use clock::TokioClock;
pub use domain::{Domain, DomainError};
pub use emit::{Emit, Queued, Retract};
pub use error::{AuditError, BuildError, CatchUpError, EmitError, EraseError, SynthesizeError};
pub use events::{Events, NodeEvent};
pub use node::Node;
pub use outcome::Outcome;
pub use overlay::{OverlayReport, SpaceReport};
#[cfg(shuttle)]
#[doc(hidden)]
pub use sync::plant_late_waker;
pub use synthesize::Synthesize;

/// For implementing the traits of a host: [`Transport`], [`Directory`], [`Store`], [`Embedder`], [`Clock`].
pub use async_trait::async_trait;
pub use qis_fingerprint::{
    EmbedError, EmbedErrorKind, Embedder, Fingerprint, HashEmbedder, SpaceId, embedder_fn,
};
pub use qis_packet::{
    AuthorId, Confidence, DomainTag, Epoch, Frame, Identity, Lifetime, Lineage, LinkProfile, LinkReport,
    NetworkId, Opening, OpeningError, Order, OutcomePacket, PacketId, Parity, ProvenanceError, PublicKey,
    ReassemblyConfig, ReassemblyStats, RotationStatement, SiteSecret, Support, Timestamp,
};
pub use qis_route::overlay::{
    Admission, Admitted, Credential, CredentialError, Issuers, LookupOptions, OverlayConfig, OverlayStats,
    Refusal as OverlayRefusal,
};
pub use qis_route::proto::{
    Delivery, Pulled, Queues, Rate, Receipt, RecipientReport, Refusal, RouterConfig, Stats, SyncConfig,
    Verdict,
};
pub use qis_route::{
    Address, Batch, Clock, Descriptor, Dht, DhtConfig, DhtDirectory, Directory, FullMesh, FullMeshError,
    HostError, HostErrorKind, Moment, Operation, Organisation, Peer, Row, Selection, Store, Table, Transport,
    transport_fn,
};
pub use qis_synth as synth;
pub use qis_synth::bayes::EmpiricalBayes;
pub use qis_synth::evidence::{Evidence, Family, Ledger, Noise, PrivacyError, Scaling, Schema};
pub use qis_synth::rules::{
    AnchoredMean, CenteredClip, Ema, GeometricMedian, Intake, Krum, Median, MultiKrum, Robust, TrimmedMean,
};
pub use qis_synth::{Synthesis, Synthesizer, synthesizer_fn};
