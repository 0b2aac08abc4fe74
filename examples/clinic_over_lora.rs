//! A clinic behind a radio that carries 51 or 222 bytes, loses a tenth or three tenths of them, and may be on the air for a hundredth of the
//! time, learns with three hospitals.
#![expect(clippy::print_stdout, reason = "an example talks to its user")]

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use qis::memory::{ManualClock, MemoryTransport, Network};
use qis::{
    Address, Clock, Delivery, Domain, Evidence, Family, HostError, HostErrorKind, Identity, LinkProfile,
    Node, Parity, ReassemblyConfig, RecipientReport, RouterConfig, Scaling, Schema, Timestamp, Transport,
    async_trait,
};
use qis_packet::{Reassembler, fragment};

const DOMAIN: &str = "cardiology/dose";
const FEATURES: usize = 12;
/// What a message has besides its packet.
const MESSAGE: usize = 10;
const TRIALS: u32 = 100_000;
const PARITIES: [Parity; 2] = [Parity::None, Parity::Auto];
const SLOW: LinkProfile = LinkProfile::LORAWAN_EU868_DR2;
const FAST: LinkProfile = LinkProfile::LORAWAN_EU868_DR5;
/// Of 1,000 parts, so many are lost.
const LOSSES: [(LinkProfile, u32); 4] = [(SLOW, 100), (SLOW, 300), (FAST, 100), (FAST, 300)];

/// The generator `SplitMix64`, so that each run prints the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn happens(&mut self, permille: u32) -> bool {
        self.next() % 1000 < u64::from(permille)
    }

    /// About normal: twelve uniform numbers have a variance of one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

/// How many of all full packets arrive at the first attempt when each part is lost independently.
fn measured(link: LinkProfile, permille: u32, parity: Parity) -> Result<f64, Box<dyn Error>> {
    let mut random = Random(u64::from(permille));
    let mut frame: Vec<u8> = (0..512 + MESSAGE).map(|_| random.next() as u8).collect();
    frame[0] = 0;
    let parts = fragment(&frame, link.max_frame(), parity)?;
    let mut arrived = 0;
    for _ in 0..TRIALS {
        let mut reassembler = Reassembler::new(ReassemblyConfig::default());
        for part in &parts {
            if !random.happens(permille)
                && let Some(whole) = reassembler.accept_frame(Duration::ZERO, &(), part)?
            {
                assert_eq!(whole, frame);
                arrived += 1;
            }
        }
    }
    Ok(f64::from(arrived) / f64::from(TRIALS))
}

fn print_one_packet() -> Result<(), Box<dyn Error>> {
    println!(
        "How often, of {TRIALS} times, a packet of 512 bytes arrives at the first attempt. Losses are independent.\n"
    );
    println!("{:>7} {:>6} {:>16} {:>16}", "frames", "loss", "without parity", "with parity");
    for (link, permille) in LOSSES {
        let [without, with] = PARITIES.map(|parity| measured(link, permille, parity));
        let (frames, percent) = (link.max_frame(), permille / 10);
        println!("{frames:>5} B {percent:>4} % {:>16.3} {:>16.3}", without?, with?);
    }
    println!("\nWhat an attempt costs, in data parts and parity:\n");
    println!("{:24} {:>7} {:>6} {:>9} {:>13}", "link", "parts", "bytes", "airtime", "at 1 % duty");
    for (link, factor) in [(LinkProfile::LORAWAN_EU868_DR0, "SF12"), (SLOW, "SF10"), (FAST, "SF7")] {
        for parity in PARITIES {
            let report = link.report(512 + MESSAGE, parity)?;
            let parts = format!("{} + {}", report.plan.data(), report.plan.parity());
            let airtime = report.airtime.unwrap_or_default();
            let minutes = (airtime + report.silence.unwrap_or_default()).as_secs_f64() / 60.0;
            let (name, bytes, airtime) = (link.name(), report.bytes, airtime.as_secs_f64());
            println!("{name}, {factor:5} {parts:>7} {bytes:>6} {airtime:>7.2} s {minutes:>9.1} min");
        }
    }
    Ok(())
}

/// One sender's use of the air: until when it has to be silent, and how long it was on the air.
type Air = Arc<Mutex<(Duration, Duration)>>;

/// A transport that keeps the duty cycle of its link by waiting. Cutting, repeating and putting together is the router's.
#[derive(Debug)]
struct Radio {
    network: MemoryTransport,
    link: LinkProfile,
    air: Air,
    clock: ManualClock,
}

#[async_trait]
impl Transport for Radio {
    fn local_address(&self) -> Address {
        self.network.local_address()
    }

    fn max_frame(&self) -> usize {
        self.link.max_frame()
    }

    async fn send(&self, to: &Address, frame: &[u8], allowed: Duration) -> Result<(), HostError> {
        // Hospitals reach each other by wire.
        if [to, &self.local_address()].iter().any(|one| one.as_str() == "clinic") {
            let airtime = self.link.airtime(frame.len()).unwrap_or_default();
            let wait = {
                let now = self.clock.now().elapsed;
                let mut air = self.air.lock().unwrap_or_else(PoisonError::into_inner);
                let begin = air.0.max(now);
                let wait = begin + airtime - now;
                if wait > allowed {
                    return Err(HostError::new(HostErrorKind::Full, "too many frames wait for the air"));
                }
                *air = (begin + airtime * self.link.duty_cycle().unwrap_or(1), air.1 + airtime);
                wait
            };
            self.clock.sleep(wait).await;
        }
        self.network.send(to, frame, allowed).await
    }
}

fn truth() -> [f64; FEATURES + 1] {
    std::array::from_fn(|i| (i as f64 * 1.7).sin())
}

/// What a site learns from so many patients of its own.
fn learned(schema: &Schema, patients: usize, seed: u64) -> Result<Evidence, Box<dyn Error>> {
    let mut random = Random(seed);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for _ in 0..patients {
        let features: [f64; FEATURES] = std::array::from_fn(|_| random.normal());
        let mean = truth()[0] + truth()[1..].iter().zip(&features).map(|(a, b)| a * b).sum::<f64>();
        x.extend(features);
        y.push(mean + 1.5 * random.normal());
    }
    Ok(Evidence::gaussian(schema, &x, &y)?)
}

/// Root mean square of what an estimate is off by.
fn error(estimate: &[f64]) -> f64 {
    let squares = estimate.iter().zip(truth()).map(|(a, b)| (a - b).powi(2));
    (squares.sum::<f64>() / truth().len() as f64).sqrt()
}

/// Lets simulated time pass until the work is done.
async fn while_time_passes<T>(clock: &ManualClock, work: impl Future<Output = T>) -> T {
    let time = async {
        loop {
            for _ in 0..20 {
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(1));
        }
    };
    tokio::select! {
        biased;
        result = work => result,
        never = time => never,
    }
}

async fn take_part(link: LinkProfile, permille: u32, parity: Parity) -> Result<(), Box<dyn Error>> {
    let scaling = Scaling::Public { mean: vec![0.0; FEATURES], scale: vec![1.0; FEATURES] };
    let names = (1..=FEATURES).map(|i| format!("x{i}"));
    let schema = Schema::new(Family::Gaussian, names, scaling)?;
    let clock = ManualClock::at(Timestamp::from_unix_seconds(1_800_000_000));
    let net = Network::new().with_loss(0, u64::from(permille)).with_loss_at("clinic", permille)?;
    // The largest part and the silence after it. Some parts wait for the air at once, and the last of them for all others.
    let slot = link.airtime(link.max_frame()).unwrap_or_default() * link.duty_cycle().unwrap_or(1);
    let config = RouterConfig {
        attempts: 8,
        retry_after: slot * 8,
        pull_timeout: slot * 120,
        parity,
        // Longer than the last wait between attempts, so that the parts of all of them add up.
        reassembly: ReassemblyConfig { lifetime: slot * 2000, ..RouterConfig::radio().reassembly },
        ..RouterConfig::radio()
    };
    // The clinic and the gateway, through which the hospitals reach it, have a duty cycle each.
    let (uplink, downlink) = (Air::default(), Air::default());
    let mut nodes = Vec::new();
    for (seed, name) in (1..).zip(["clinic", "hospital-1", "hospital-2", "hospital-3"]) {
        let air = Arc::clone(if seed == 1 { &uplink } else { &downlink });
        let node = Node::builder()
            .identity(Identity::from_seed([seed; 32]))
            .seed([seed; 32])
            .directory(net.directory())
            .domain(Domain::evidence(DOMAIN, schema.clone())?)
            .config(config.clone())
            .clock(clock.clone())
            .transport(Radio { network: net.transport(name)?, link, air, clock: clock.clone() })
            .start()
            .await?;
        net.attach(&node);
        nodes.push(node);
    }
    let clinic = &nodes[0];

    clinic.observe(DOMAIN, learned(&schema, 40, 1)?)?;
    let alone = error(&clinic.synthesize(DOMAIN).await?.estimate);
    let (mut bytes, mut copies) = (0, Vec::new());
    // The hospitals first: a node is found by its evidence, once there is some.
    for (seed, node) in [(2, &nodes[1]), (3, &nodes[2]), (4, &nodes[3]), (1, clinic)] {
        let patients = if seed == 1 { 40 } else { 400 };
        let emission = node.emit(DOMAIN, learned(&schema, patients, seed)?);
        let receipt = while_time_passes(&clock, emission.into_future()).await?;
        bytes = receipt.bytes;
        let by_radio = |one: &RecipientReport| seed == 1 || one.address.as_str() == "clinic";
        copies.extend(receipt.recipients.into_iter().filter(by_radio));
    }
    // What did not arrive, it asks for.
    let synthesis = while_time_passes(&clock, clinic.synthesize(DOMAIN).pull().into_future()).await?;
    let plan = link.report(bytes + MESSAGE, parity)?.plan;
    let parts = format!("{} + {}", plan.data(), plan.parity());
    let attempts: u32 = copies.iter().map(|one| u32::from(one.attempts)).sum();
    let arrived = copies.iter().filter(|one| one.delivery == Delivery::Acknowledged);
    let at_first = arrived.clone().filter(|one| one.attempts == 1).count();
    let (arrived, sent) = (arrived.count(), clinic.stats().fragments_sent);
    let [out, back] = [uplink, downlink].map(|air| air.lock().map_or(0.0, |air| air.1.as_secs_f64()));
    let (hours, together) = (clock.now().elapsed.as_secs_f64() / 3600.0, error(&synthesis.estimate));
    print!("{:>5} B {:>4} % {bytes:>4} B {parts:>6} ", link.max_frame(), permille / 10);
    print!("{at_first:>5} {arrived:>3} of {} {attempts:>8} {sent:>5} ", copies.len());
    println!("{out:>6.1} s {back:>6.1} s {hours:>6.1} h {alone:>6.3} {together:>8.3}");
    for node in &nodes {
        node.shutdown().await;
    }
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    print_one_packet()?;
    println!("\nA clinic with 40 patients on such a link, and three hospitals with 400 each, at 1 % duty\n");
    println!(
        " frames   loss packet  parts first arrived attempts  sent      out       in     time  alone together"
    );
    for (link, permille) in LOSSES {
        for parity in PARITIES {
            take_part(link, permille, parity).await?;
        }
    }
    println!(
        "\npacket, parts: what the clinic tells, its data parts and parity. first, arrived: copies from and to it that were\n\
         acknowledged after one attempt, and after up to 8; parts of several attempts add up. attempts: of all copies. sent:\n\
         parts the clinic sent, lost ones among them. out, in: how long the clinic was on the air, and the gateway, through\n\
         which the hospitals reach it. time: how long all took, as each of both is silent for 99 % of it, and waits before it\n\
         repeats. alone, together: error of the clinic's coefficients. Parts are lost independently of each other."
    );
    Ok(())
}
