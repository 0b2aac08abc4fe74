//! Calls something of each `no_std` crate, so that the linker must find all of it, and decodes what every build must decode alike.
#![no_std]

extern crate alloc;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::error::Error;
use core::sync::atomic::{AtomicUsize, Ordering};

use qis_codec::{Mode, decode, encode};
use qis_fingerprint::{Fingerprint, HashEmbedder};
use qis_packet::{
    Draft, Epoch, Identity, LinkProfile, NetworkId, Order, OutcomePacket, Parity, Reassembler,
    ReassemblyConfig, Seal, SiteSecret, Timestamp, Trailer, fragment,
};
use qis_synth::bayes::EmpiricalBayes;
use qis_synth::evidence::{Evidence, EvidenceSummary, Family, Scaling, Schema};
use qis_synth::{Content, Own, Sample, Samples, Synthesizer};

#[path = "../../../crates/qis-codec/tests/golden/mod.rs"]
mod golden;

/// Gives memory from one block and takes none back.
struct Block {
    memory: UnsafeCell<[u8; 1 << 20]>,
    used: AtomicUsize,
}

// SAFETY: each byte of the block is given out once, by the atomic addition that claims it.
unsafe impl Sync for Block {}

// SAFETY: a claimed range lies in the block, is aligned as asked, and is given to nobody else; a null pointer is how an allocator refuses.
unsafe impl GlobalAlloc for Block {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let room = layout.size() + layout.align();
        let from = self.used.fetch_add(room, Ordering::Relaxed);
        let start = self.memory.get().cast::<u8>();
        if from + room > 1 << 20 {
            return core::ptr::null_mut();
        }
        // SAFETY: within the block, as just checked.
        let claimed = unsafe { start.add(from) };
        // SAFETY: aligning skips less than the alignment, which was claimed too.
        unsafe { claimed.add(claimed.align_offset(layout.align())) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Block = Block { memory: UnsafeCell::new([0; 1 << 20]), used: AtomicUsize::new(0) };

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
    let carried = over_a_small_link(sealed.as_bytes())?;
    let packet = OutcomePacket::decode(&carried)?.verify(network, None)?;

    let summary = EvidenceSummary::decode(schema.family(), schema.dims(), packet.payload().bytes())?;
    let content = Content::Evidence(Arc::new(summary));
    let sample = Sample {
        similarity: packet.fingerprint().cosine(&fingerprint)?,
        confidence: packet.confidence(),
        support: packet.support(),
        ..Sample::new(packet.author(), content)
    };
    let samples = Samples::new(alloc::vec![sample])?;
    let synthesis = EmpiricalBayes::default().synthesize(&Own::evidence(&own), &samples)?;

    let coded = encode(&[0.5, -1.5], 64, 0)?;
    let mut estimate = synthesis.estimate;
    decode(coded.mode(), 2, coded.bytes(), 0)?.add_scaled(0.5, estimate.get_mut(..2).unwrap_or_default())?;
    Ok(estimate)
}

/// In parts, of which some are lost. (A packet is no frame, but its first byte is a kind that is not a fragment's.)
fn over_a_small_link(bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let link = LinkProfile::LORAWAN_EU868_DR0;
    let mut reassembler = Reassembler::new(ReassemblyConfig::default());
    for (airtime, part) in (1..).zip(fragment(bytes, link.max_frame(), Parity::Auto)?).skip(3) {
        let now = link.airtime(part.len()).unwrap_or_default() * airtime;
        if let Some(whole) = reassembler.accept(now, &0_u8, part.get(1..).unwrap_or_default())? {
            return Ok(whole);
        }
    }
    Err("too many were lost".into())
}

/// An entry that a linker can't leave out.
#[unsafe(no_mangle)]
pub extern "C" fn qis_no_std() -> usize {
    let records = core::hint::black_box([60.0, 3.0, 45.0, 9.0, 71.0, 2.0, 38.0, 5.0]);
    let outcomes = core::hint::black_box([1.0, 0.0, 1.0, 0.0]);
    round_trip(&records, &outcomes, "adults with chest pain").map_or(0, |estimate| estimate.len())
}

/// The number of golden vectors that decode to other integers or another scale than they should.
#[unsafe(no_mangle)]
pub extern "C" fn qis_no_std_wrong() -> usize {
    let wrong = |&&(dims, seed, hex, integers, scale): &&golden::Golden| {
        let digit = |at: usize| {
            hex.as_bytes().get(at).and_then(|&digit| char::from(digit).to_digit(16)).unwrap_or(0) as u8
        };
        let bytes: Vec<u8> = (0..hex.len() / 2).map(|i| digit(2 * i) << 4 | digit(2 * i + 1)).collect();
        decode(Mode::Trellis, dims, &bytes, seed)
            .ok()
            .and_then(|it| it.integers().map(|it| it == (integers, scale)))
            != Some(true)
    };
    golden::VECTORS.iter().filter(wrong).count()
}
