//! What small links carry, and what a frame costs on them.

use core::time::Duration;

use crate::{FragmentError, FragmentPlan, Parity};

/// A kind of link: the largest frame it carries, how long a frame occupies it, and how much of the time it may be occupied.
///
/// The sizes are those of the payload that the link leaves to an application. One that is not here is made with [`lora`](Self::lora),
/// [`serial`](Self::serial), or, where its airtime is not known, [`new`](Self::new).
///
/// ```
/// # use qis_packet::{LinkProfile, Parity};
/// // 522 is a packet of 512 bytes and 10 of its message; 556 is the largest answer.
/// let report = LinkProfile::LORAWAN_EU868_DR2.report(522, Parity::Auto)?;
/// assert_eq!((report.plan.data(), report.plan.parity(), report.bytes), (12, 4, 768));
/// assert_eq!(report.airtime.map(|time| time.as_millis()), Some(11_173));
///
/// // The band of LoRaWAN that may be occupied for a tenth of the time, and a serial radio with 8 bytes around each frame.
/// let lora = LinkProfile::lora("869.525 MHz, SF8", 222, 8, 125_000).ok_or("out of range")?.with_duty_cycle(10);
/// let radio = LinkProfile::serial("9600 bit/s", 60, 8, 9600).ok_or("out of range")?;
/// assert_eq!(lora.airtime(222).map(|time| time.as_millis()), Some(655));
/// assert_eq!(radio.report(522, Parity::Auto)?.airtime.map(|time| time.as_millis()), Some(704));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    name: &'static str,
    max_frame: usize,
    modulation: Option<Modulation>,
    /// One in so much of the time.
    duty_cycle: Option<u32>,
}

/// How long bytes are on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Modulation {
    /// LoRa with a bandwidth in Hz, and the 13 bytes that LoRaWAN adds: MAC header 1, frame header 7, port 1, integrity code 4.
    Lora { spreading: u32, bandwidth: u32 },
    /// So many bytes besides the payload, at a rate in bits a second.
    Serial { overhead: u32, rate: u32 },
}

/// What a frame costs on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkReport {
    /// Into what it is cut.
    pub plan: FragmentPlan,
    /// Bytes that are handed to the link, headers of fragments and parity counted.
    pub bytes: usize,
    /// How long they occupy it; `None` where that is not defined.
    pub airtime: Option<Duration>,
    /// How long the sender is silent between the parts to keep its duty cycle; `None` where there is none. After the last part it is
    /// silent once more as long as for any other.
    pub silence: Option<Duration>,
}

const LORAWAN_OVERHEAD: u32 = 13;

/// What the length field of LoRa leaves.
const LORAWAN_MAX_FRAME: usize = 255 - LORAWAN_OVERHEAD as usize;

const fn lora(name: &'static str, max_frame: usize, spreading: u32, bandwidth: u32) -> LinkProfile {
    LinkProfile {
        name,
        max_frame,
        modulation: Some(Modulation::Lora { spreading, bandwidth }),
        duty_cycle: None,
    }
}

/// Most of the sub-bands of EU868 may be occupied for a hundredth of the time.
const fn eu868(name: &'static str, max_frame: usize, spreading: u32) -> LinkProfile {
    LinkProfile { duty_cycle: Some(100), ..lora(name, max_frame, spreading, 125_000) }
}

const fn serial(name: &'static str, max_frame: usize, overhead: u32, rate: u32) -> LinkProfile {
    let modulation = Some(Modulation::Serial { overhead, rate });
    LinkProfile { modulation, ..LinkProfile::new(name, max_frame) }
}

impl LinkProfile {
    /// An SMS of 8-bit data. 140 bytes are one message; an SMS that is concatenated by the phone leaves 134 of each, but parts of a
    /// frame are messages of their own, and need no such header.
    pub const SMS: Self = Self::new("SMS", 140);
    /// LoRaWAN in Europe, data rate 0: spreading factor 12 at 125 kHz.
    pub const LORAWAN_EU868_DR0: Self = eu868("LoRaWAN EU868 DR0", 51, 12);
    /// LoRaWAN in Europe, data rate 1: spreading factor 11.
    pub const LORAWAN_EU868_DR1: Self = eu868("LoRaWAN EU868 DR1", 51, 11);
    /// LoRaWAN in Europe, data rate 2: spreading factor 10.
    pub const LORAWAN_EU868_DR2: Self = eu868("LoRaWAN EU868 DR2", 51, 10);
    /// LoRaWAN in Europe, data rate 3: spreading factor 9.
    pub const LORAWAN_EU868_DR3: Self = eu868("LoRaWAN EU868 DR3", 115, 9);
    /// LoRaWAN in Europe, data rate 4: spreading factor 8.
    pub const LORAWAN_EU868_DR4: Self = eu868("LoRaWAN EU868 DR4", 222, 8);
    /// LoRaWAN in Europe, data rate 5: spreading factor 7.
    pub const LORAWAN_EU868_DR5: Self = eu868("LoRaWAN EU868 DR5", 222, 7);
    /// LoRaWAN in the USA, data rate 1: spreading factor 9 at 125 kHz. Data rate 0 carries 11 bytes, too few for parts.
    pub const LORAWAN_US915_DR1: Self = lora("LoRaWAN US915 DR1", 53, 9, 125_000);
    /// LoRaWAN in the USA, data rate 2: spreading factor 8.
    pub const LORAWAN_US915_DR2: Self = lora("LoRaWAN US915 DR2", 125, 8, 125_000);
    /// LoRaWAN in the USA, data rate 3: spreading factor 7.
    pub const LORAWAN_US915_DR3: Self = lora("LoRaWAN US915 DR3", 242, 7, 125_000);
    /// LoRaWAN in the USA, data rate 4: spreading factor 8 at 500 kHz.
    pub const LORAWAN_US915_DR4: Self = lora("LoRaWAN US915 DR4", 242, 8, 500_000);
    /// Iridium short-burst data from a modem of the 9602 kind.
    pub const IRIDIUM_SBD_OUT: Self = Self::new("Iridium SBD out", 340);
    /// Iridium short-burst data to such a modem.
    pub const IRIDIUM_SBD_IN: Self = Self::new("Iridium SBD in", 270);
    /// Bluetooth Low Energy with data-length extension, on the 1 Mbit/s physical layer: preamble 1, access address 4, header 2, checksum 3,
    /// and 7 for L2CAP and ATT. The answer of the other side and the pauses are not counted.
    pub const BLE: Self = serial("BLE", 244, 17, 1_000_000);
    /// IEEE 802.15.4 at 250 kbit/s: synchronisation 5, length 1, and 25 for the MAC header and the checksum. Pauses and acknowledgements are
    /// not counted.
    pub const IEEE_802_15_4: Self = serial("IEEE 802.15.4", 102, 31, 250_000);

    /// All profiles.
    pub const ALL: [Self; 15] = [
        Self::SMS,
        Self::LORAWAN_EU868_DR0,
        Self::LORAWAN_EU868_DR1,
        Self::LORAWAN_EU868_DR2,
        Self::LORAWAN_EU868_DR3,
        Self::LORAWAN_EU868_DR4,
        Self::LORAWAN_EU868_DR5,
        Self::LORAWAN_US915_DR1,
        Self::LORAWAN_US915_DR2,
        Self::LORAWAN_US915_DR3,
        Self::LORAWAN_US915_DR4,
        Self::IRIDIUM_SBD_OUT,
        Self::IRIDIUM_SBD_IN,
        Self::BLE,
        Self::IEEE_802_15_4,
    ];

    /// A link of which only the largest frame is known, in bytes.
    #[must_use]
    pub const fn new(name: &'static str, max_frame: usize) -> Self {
        Self { name, max_frame, modulation: None, duty_cycle: None }
    }

    /// LoRaWAN of another region or rate: the largest payload in bytes, the spreading factor, and the bandwidth in Hz. It has no duty cycle.
    ///
    /// `None` unless the payload has at most 242 bytes, the spreading factor is 7 to 12 and the bandwidth 7,800 to 500,000 Hz, which is where
    /// the formula of [`airtime`](Self::airtime) holds.
    #[must_use]
    pub const fn lora(
        name: &'static str,
        max_frame: usize,
        spreading_factor: u32,
        bandwidth_hz: u32,
    ) -> Option<Self> {
        let (spreading, bandwidth) = (spreading_factor, bandwidth_hz);
        if max_frame > LORAWAN_MAX_FRAME
            || spreading < 7
            || spreading > 12
            || bandwidth < 7_800
            || bandwidth > 500_000
        {
            return None;
        }
        Some(lora(name, max_frame, spreading, bandwidth))
    }

    /// A link that sends one byte after the other at a rate in bits a second, `overhead` of them around each frame. It has no duty cycle.
    ///
    /// `None` when the rate is 0.
    #[must_use]
    pub const fn serial(
        name: &'static str,
        max_frame: usize,
        overhead: u32,
        bits_per_second: u32,
    ) -> Option<Self> {
        if bits_per_second == 0 { None } else { Some(serial(name, max_frame, overhead, bits_per_second)) }
    }

    /// The same link, which each sender may occupy for one in so much of the time: 100 is one per cent, 0 and 1 are no limit.
    #[must_use]
    pub const fn with_duty_cycle(self, one_in: u32) -> Self {
        let duty_cycle = if one_in > 1 { Some(one_in) } else { None };
        Self { duty_cycle, ..self }
    }

    /// Its name, for people.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The largest frame it carries, in bytes; what a `Transport` over it states.
    #[must_use]
    pub const fn max_frame(&self) -> usize {
        self.max_frame
    }

    /// Which part of the time a sender may occupy it: one in so much, or `None` where there is no limit. After a frame it is silent for
    /// so many times its airtime, less one.
    #[must_use]
    pub const fn duty_cycle(&self) -> Option<u32> {
        self.duty_cycle
    }

    /// How long a frame of so many bytes occupies the link; `None` where that is not defined, and for more bytes than it carries.
    ///
    /// For LoRa it is the formula of Semtech's SX1276 data sheet (4.1.1.7) and application note AN1200.13: a preamble of 8 symbols, explicit
    /// header, checksum, coding rate 4/5, and low-data-rate optimisation where a symbol takes more than 16 ms.
    #[must_use]
    pub fn airtime(&self, frame_bytes: usize) -> Option<Duration> {
        if frame_bytes > self.max_frame {
            return None;
        }
        let payload = u64::try_from(frame_bytes).ok()?;
        let micros = match self.modulation? {
            Modulation::Serial { overhead, rate } => {
                let bits = payload.checked_add(overhead.into())?.checked_mul(8)?;
                bits.checked_mul(1_000_000)?.checked_div(rate.into())?
            }
            Modulation::Lora { spreading, bandwidth } => {
                let symbol = (1_000_000_u64 << spreading) / u64::from(bandwidth);
                let optimised = if symbol > 16_000 { 2 } else { 0 };
                // 28 and 16 bits are the header and the checksum.
                let bits =
                    payload.checked_add(LORAWAN_OVERHEAD.into())?.checked_mul(8)?.checked_add(28 + 16)?;
                let bits = bits.saturating_sub(4 * u64::from(spreading));
                let blocks = bits.div_ceil(4 * u64::from(spreading - optimised));
                // 8 symbols and 4.25 of the preamble, 8 of the header; blocks of 5 symbols at 4/5.
                let quarters = blocks.checked_mul(4 * 5)?.checked_add(4 * 8 + 4 * 8 + 17)?;
                quarters.checked_mul(symbol)? / 4
            }
        };
        Some(Duration::from_micros(micros))
    }

    /// What a frame of so many bytes costs when it is cut for the link with this parity.
    ///
    /// # Errors
    ///
    /// Those of [`FragmentPlan::new`].
    pub fn report(&self, frame_bytes: usize, parity: Parity) -> Result<LinkReport, FragmentError> {
        let plan = FragmentPlan::new(frame_bytes, self.max_frame, parity)?;
        let frames = u32::from(plan.frames());
        let each = self.airtime(plan.frame_len());
        let silence = |rest: u32, each: Duration| each.saturating_mul(rest).saturating_mul(frames - 1);
        Ok(LinkReport {
            plan,
            bytes: plan.frame_len() * usize::from(plan.frames()),
            airtime: each.map(|each| each.saturating_mul(frames)),
            silence: self.duty_cycle.zip(each).map(|(cycle, each)| silence(cycle - 1, each)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn airtimes_are_those_of_published_calculators() {
        let micros = |link: LinkProfile, len| link.airtime(len).unwrap().as_micros();
        // 64 bytes with LoRaWAN's 13, from the data sheet's formula and from the calculators of Semtech and The Things Network.
        assert_eq!(micros(LinkProfile::LORAWAN_EU868_DR0, 51), 2_793_472);
        assert_eq!(micros(LinkProfile::LORAWAN_EU868_DR1, 51), 1_560_576);
        assert_eq!(micros(LinkProfile::LORAWAN_EU868_DR2, 51), 698_368);
        assert_eq!(micros(LinkProfile::LORAWAN_EU868_DR5, 51), 118_016);
        assert_eq!(micros(LinkProfile::LORAWAN_EU868_DR5, 222), 368_896);
        assert_eq!(micros(LinkProfile::LORAWAN_US915_DR1, 53), 390_144);
        // The largest frames of both: 261 bytes at 1 Mbit/s, and 133 at 250 kbit/s.
        assert_eq!(micros(LinkProfile::BLE, 244), 2_088);
        assert_eq!(micros(LinkProfile::IEEE_802_15_4, 102), 4_256);
        assert_eq!(LinkProfile::SMS.airtime(140), None);
        assert_eq!(LinkProfile::BLE.airtime(245), None, "more than it carries");
    }

    #[test]
    fn links_of_ones_own_are_those_that_are_here() {
        let own = LinkProfile::lora("LoRaWAN EU868 DR0", 51, 12, 125_000).unwrap();
        assert_eq!(own.with_duty_cycle(100), LinkProfile::LORAWAN_EU868_DR0);
        assert_eq!((own.duty_cycle(), own.with_duty_cycle(1).duty_cycle()), (None, None));
        assert_eq!(LinkProfile::serial("BLE", 244, 17, 1_000_000), Some(LinkProfile::BLE));
        assert_eq!(LinkProfile::serial("still", 244, 17, 0), None);
        for (max_frame, spreading, bandwidth) in
            [(243, 7, 125_000), (51, 6, 125_000), (51, 13, 125_000), (51, 7, 7_799), (51, 7, 500_001)]
        {
            assert_eq!(LinkProfile::lora("out of range", max_frame, spreading, bandwidth), None);
        }
        let slowest = LinkProfile::lora("slowest", 242, 12, 7_800).unwrap().with_duty_cycle(u32::MAX);
        assert!(slowest.report(556, Parity::Auto).unwrap().silence > slowest.airtime(242));
        let widest = LinkProfile::serial("widest", usize::MAX, u32::MAX, 1).unwrap();
        assert_eq!(widest.airtime(usize::MAX), None);
    }

    #[test]
    fn reports_what_a_packet_costs() {
        let report = LinkProfile::LORAWAN_EU868_DR0.report(522, Parity::Auto).unwrap();
        assert_eq!((report.plan.data(), report.plan.parity(), report.bytes), (12, 4, 16 * 48));
        let each = LinkProfile::LORAWAN_EU868_DR0.airtime(48).unwrap();
        assert_eq!(report.airtime, Some(each * 16));
        assert_eq!(report.silence, Some(each * 99 * 15));
        let sms = LinkProfile::SMS.report(522, Parity::None).unwrap();
        assert_eq!((sms.plan.frames(), sms.airtime, sms.silence), (4, None, None));
        for link in LinkProfile::ALL {
            assert!(link.report(16_384, Parity::Auto).is_ok() || link.max_frame() < 135, "{link:?}");
            assert!(link.report(556, Parity::Auto).is_ok(), "{link:?}");
        }
    }
}
