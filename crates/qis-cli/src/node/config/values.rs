//! Values that are checked where they are read, so that an error has their line.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole number within bounds, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Within<const LOW: u64, const HIGH: u64>(u64);

/// A duration in seconds, more than zero and at most a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::node) struct Seconds(f64);

/// A number above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::node) struct Positive(f64);

/// A text of so many bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) struct Text<const LEAST: usize, const MOST: usize>(String);

/// So many bytes in hex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Hex<const BYTES: usize>(pub(in crate::node) [u8; BYTES]);

/// Where to listen for HTTP, if anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct HttpAddress(pub(in crate::node) Option<SocketAddr>);

const OFF: &str = "off";
const LONGEST_SECONDS: f64 = 24.0 * 3600.0;

impl<const LOW: u64, const HIGH: u64> Within<LOW, HIGH> {
    /// The nearest that is within.
    pub(in crate::node) const fn known(value: u64) -> Self {
        Self(if value < LOW {
            LOW
        } else if value > HIGH {
            HIGH
        } else {
            value
        })
    }

    /// The value in a type that may be too small for what is within; then its largest.
    pub(in crate::node) fn get<N: TryFrom<u64> + Bounded>(self) -> N {
        N::try_from(self.0).unwrap_or(N::LARGEST)
    }
}

/// A type of whole numbers.
pub(in crate::node) trait Bounded {
    const LARGEST: Self;
}

macro_rules! bounded {
    ($($number:ty),+) => { $(impl Bounded for $number { const LARGEST: Self = Self::MAX; })+ };
}
bounded!(u8, u16, u32, u64, usize);

impl Seconds {
    pub(in crate::node) const fn of(duration: Duration) -> Self {
        Self(duration.as_secs_f64())
    }

    pub(in crate::node) fn duration(self) -> Duration {
        // Within bounds, so it is one.
        Duration::try_from_secs_f64(self.0).unwrap_or_default()
    }
}

impl Positive {
    pub(in crate::node) const fn known(value: f64) -> Self {
        Self(value)
    }

    pub(in crate::node) const fn get(self) -> f64 {
        self.0
    }
}

impl<const LEAST: usize, const MOST: usize> Text<LEAST, MOST> {
    pub(in crate::node) fn known(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub(in crate::node) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MOST: usize> Default for Text<0, MOST> {
    fn default() -> Self {
        Self(String::new())
    }
}

impl Default for HttpAddress {
    fn default() -> Self {
        Self(Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 9464))))
    }
}

impl<'de, const LOW: u64, const HIGH: u64> Deserialize<'de> for Within<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<const LOW: u64, const HIGH: u64>;

        impl<const LOW: u64, const HIGH: u64> Visitor<'_> for Number<LOW, HIGH> {
            type Value = u64;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from {LOW} to {HIGH}")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<u64, E> {
                let within = u64::try_from(value).ok().filter(|value| (LOW..=HIGH).contains(value));
                within.ok_or_else(|| E::invalid_value(Unexpected::Signed(value), &self))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<u64, E> {
                let within = (LOW..=HIGH).contains(&value).then_some(value);
                within.ok_or_else(|| E::invalid_value(Unexpected::Unsigned(value), &self))
            }
        }

        deserializer.deserialize_u64(Number::<LOW, HIGH>).map(Self)
    }
}

/// Reads a finite number that `accept` takes.
fn number<'de, D: Deserializer<'de>>(
    deserializer: D,
    expected: &'static str,
    accept: impl FnOnce(f64) -> bool,
) -> Result<f64, D::Error> {
    let value = f64::deserialize(deserializer)?;
    if value.is_finite() && accept(value) {
        Ok(value)
    } else {
        Err(D::Error::invalid_value(Unexpected::Float(value), &expected))
    }
}

impl<'de> Deserialize<'de> for Seconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let accept = |value| value > 0.0 && value <= LONGEST_SECONDS;
        number(deserializer, "seconds, more than 0 and at most 86400", accept).map(Self)
    }
}

impl<'de> Deserialize<'de> for Positive {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        number(deserializer, "a number above 0", |value| value > 0.0).map(Self)
    }
}

impl<'de, const LEAST: usize, const MOST: usize> Deserialize<'de> for Text<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if (LEAST..=MOST).contains(&text.len()) {
            Ok(Self(text))
        } else {
            let expected = format!("a text of {LEAST} to {MOST} bytes");
            Err(D::Error::invalid_length(text.len(), &expected.as_str()))
        }
    }
}

impl<'de, const BYTES: usize> Deserialize<'de> for Hex<BYTES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let refused = || {
            let expected = format!("{} hex digits", 2 * BYTES);
            D::Error::invalid_value(Unexpected::Str(&text), &expected.as_str())
        };
        let bytes = crate::hex::parse(text.as_bytes(), "").ok().flatten().ok_or_else(refused)?;
        bytes.try_into().map(Self).map_err(|_| refused())
    }
}

impl<'de> Deserialize<'de> for HttpAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == OFF {
            return Ok(Self(None));
        }
        let expected = "\"off\", or an address and a port such as \"127.0.0.1:9464\"";
        let address = text.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(&text), &expected))?;
        Ok(Self(Some(address)))
    }
}

macro_rules! serialize {
    ($([$($generics:tt)*] $name:ty: $one:ident => $value:expr;)+) => {
        $(impl<$($generics)*> Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $one = self;
                $value.serialize(serializer)
            }
        })+
    };
}
serialize! {
    [const LOW: u64, const HIGH: u64] Within<LOW, HIGH>: one => one.0;
    [] Seconds: one => one.0;
    [] Positive: one => one.0;
    [const LEAST: usize, const MOST: usize] Text<LEAST, MOST>: one => one.0;
    [const BYTES: usize] Hex<BYTES>: one => crate::hex::digits(&one.0);
    [] HttpAddress: one => one.0.map_or_else(|| OFF.to_owned(), |address| address.to_string());
}
