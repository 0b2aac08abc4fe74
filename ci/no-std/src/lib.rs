//! Calls something of each `no_std` crate, so that the linker must find all of it.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::error::Error;

use qis_codec::{decode, encode};
use qis_fingerprint::{Fingerprint, HashEmbedder};
use qis_packet::{
    Draft, Epoch, Identity, NetworkId, Order, OutcomePacket, Seal, SiteSecret, Timestamp, Trailer,
};
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::evidence::{Evidence, EvidenceSummary, Family, Scaling, Schema};
use qis_synth::{Content, Own, Sample, Samples, Synthesizer};

/// Gives no memory: this library is linked, and never run.
struct Nothing;

// SAFETY: a null pointer is how an allocator refuses, and what it never gave can't come back.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// From records and a text to a packet, and from the packet to an estimate.
fn round_trip(records: &[f64], outcomes: &[f64], text: &str) -> Result<Vec<f64>, Box<dyn Error>> {
    let schema = Schema::new(Family::Logistic, ["age", "pressure"], Scaling::SiteLocal)?;
    let own = Evidence::logistic(&schema, records, outcomes)?;

    let fingerprint: Fingerprint = HashEmbedder::default().fingerprint(text)?;
    let identity = Identity::from_seed([7; 32]);
    let network = NetworkId::new("no-std");
    let time = Timestamp::from_unix_seconds(1_800_000_000);
    let seal = Seal {
        identity: &identity,
        network,
        secret: &SiteSecret::derived(&identity, Epoch::of(time))?,
        node: "node",
        source: "source",
        order: Order { incarnation: 1, sequence: 0 },
        time,
        trailer: Trailer::SignatureAndKey,
    };
    let payload = own.summary().encode(256)?;
    let dims = u16::try_from(schema.dims())?;
    let draft = Draft::evidence(schema.domain("no-std")?, fingerprint.clone(), dims, payload);
    let sealed = draft.seal(&seal)?;
    let packet = OutcomePacket::decode(sealed.as_bytes())?.verify(network, None)?;

    let summary = EvidenceSummary::decode(schema.family(), schema.dims(), packet.payload().bytes())?;
    let sample = Sample {
        author: packet.author(),
        similarity: packet.fingerprint().cosine(&fingerprint)?,
        confidence: packet.confidence(),
        support: packet.support(),
        content: Content::Evidence(Arc::new(summary)),
    };
    let samples = Samples::new(alloc::vec![sample])?;
    let synthesis = EmpiricalBayes::default().synthesize(&Own::evidence(&own), &samples)?;

    let coded = encode(&[0.5, -1.5], 64, 0)?;
    let mut estimate = synthesis.estimate;
    decode(coded.mode(), 2, coded.bytes(), 0)?.add_scaled(0.5, estimate.get_mut(..2).unwrap_or_default())?;
    Ok(estimate)
}

/// An entry that a linker can't leave out.
#[unsafe(no_mangle)]
pub extern "C" fn qis_no_std() -> usize {
    let records = core::hint::black_box([60.0, 3.0, 45.0, 9.0, 71.0, 2.0, 38.0, 5.0]);
    let outcomes = core::hint::black_box([1.0, 0.0, 1.0, 0.0]);
    round_trip(&records, &outcomes, "adults with chest pain").map_or(0, |estimate| estimate.len())
}
