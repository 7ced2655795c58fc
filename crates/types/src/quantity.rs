//! Quantities as people write them (`250m`, `128Mi`, `30s`) and as the platform
//! counts them. The notations are Kubernetes' resource quantities and Go's
//! durations, limited to what makes sense for a function.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is not {expected}")]
pub struct QuantityError {
    found: String,
    expected: &'static str,
}

/// Processor time, in thousandths of a core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CpuMillis(pub u32);

/// An amount of memory or storage, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A length of time a person wrote down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(pub Duration);

/// A share of a whole, in hundredths of a percent, 0 to 10,000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

impl Percent {
    /// Nothing.
    pub const ZERO: Percent = Percent(0);
    /// 100%.
    pub const WHOLE: Percent = Percent(10_000);

    /// A whole number of percent; more than 100 is 100.
    pub const fn whole(percent: u32) -> Self {
        if percent >= 100 { Percent::WHOLE } else { Percent(percent as u16 * 100) }
    }

    /// So many hundredths of a percent; more than 10,000 is 10,000.
    pub const fn from_hundredths(hundredths: u32) -> Self {
        if hundredths >= 10_000 { Percent::WHOLE } else { Percent(hundredths as u16) }
    }

    /// In hundredths of a percent.
    pub const fn hundredths(self) -> u32 {
        self.0 as u32
    }

    /// As a number between 0 and 1.
    pub fn ratio(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl FromStr for Percent {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let hundredths = match split(text) {
            Some((number, "%")) => (number * 100.0).round(),
            _ => f64::NAN,
        };
        if (0.0..=10_000.0).contains(&hundredths) {
            return Ok(Percent(hundredths as u16));
        }
        let expected = "a share between 0% and 100%, such as 1% or 0.5%";
        Err(QuantityError { found: text.to_owned(), expected })
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

/// [`Percent`] as a number of percent and not as text with its sign.
pub(crate) mod percent_number {
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::Percent;

    pub(crate) fn serialize<S: Serializer>(
        percent: &Percent,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match percent.0 % 100 {
            0 => serializer.serialize_u16(percent.0 / 100),
            _ => serializer.serialize_f64(f64::from(percent.0) / 100.0),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Percent, D::Error> {
        let percent = f64::deserialize(deserializer)?;
        Ok(Percent::from_hundredths((percent * 100.0).round() as u32))
    }
}

/// Splits `text` into a non-negative decimal number and the unit behind it.
fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    Some((number, &text[end..]))
}

impl FromStr for CpuMillis {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let millis = match split(text) {
            Some((number, "m")) => number,
            Some((number, "")) => number * 1000.0,
            _ => f64::NAN,
        };
        if (1.0..=1_000_000.0).contains(&millis) {
            return Ok(CpuMillis(millis as u32));
        }
        let expected = "a processor share between 1m and 1000, such as 250m or 1.5";
        Err(QuantityError { found: text.to_owned(), expected })
    }
}

impl fmt::Display for CpuMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

/// Units of [`Bytes`], largest first so that printing picks the largest exact one.
const BYTE_UNITS: &[(&str, u64)] = &[
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

impl FromStr for Bytes {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let bytes = split(text).and_then(|(number, unit)| {
            let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| *name == unit)?;
            Some(number * *factor as f64)
        });
        match bytes {
            Some(bytes) if bytes >= 1.0 && bytes <= (1u64 << 50) as f64 => Ok(Bytes(bytes as u64)),
            _ => {
                let expected = "an amount of memory, such as 128Mi or 1Gi";
                Err(QuantityError { found: text.to_owned(), expected })
            }
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = |factor: u64| self.0 != 0 && self.0.is_multiple_of(factor);
        let (unit, factor) =
            BYTE_UNITS.iter().find(|(_, factor)| exact(*factor)).unwrap_or(&("", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Units of [`Span`], in nanoseconds.
const SPAN_UNITS: &[(&str, u64)] = &[
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
];

impl FromStr for Span {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let expected = "a length of time with its unit, such as 30s, 5m or 250ms";
        let error = || QuantityError { found: text.to_owned(), expected };
        let mut rest = text;
        let mut nanos = 0.0;
        while !rest.is_empty() {
            let (number, tail) = split(rest).ok_or_else(error)?;
            let end = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
            let unit = SPAN_UNITS.iter().find(|(name, _)| *name == &tail[..end]);
            nanos += number * unit.ok_or_else(error)?.1 as f64;
            rest = &tail[end..];
        }
        let week_nanos = 7.0 * 86_400.0 * 1e9;
        if text.is_empty() || nanos > week_nanos {
            return Err(error());
        }
        Ok(Span(Duration::from_nanos(nanos as u64)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos() as u64;
        let exact = |factor: u64| nanos.is_multiple_of(factor);
        match SPAN_UNITS.iter().find(|(_, factor)| nanos != 0 && exact(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", nanos / factor),
            None if nanos == 0 => f.write_str("0s"),
            None => write!(f, "{}us", nanos / 1_000),
        }
    }
}

/// Reads a quantity from a string or, where a bare number is unambiguous, a number.
macro_rules! quantity_serde {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = serde_json::Value::deserialize(deserializer)?;
                let text = match &value {
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                text.parse().map_err(de::Error::custom)
            }
        }
    )*};
}
quantity_serde!(CpuMillis, Bytes, Span, Percent);

/// What people write, as a schema: inlined, because it is a scalar.
macro_rules! quantity_schema {
    ($name:ident, $schema:tt) => {
        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}
quantity_schema!(CpuMillis, {
    "description": "A processor share in cores, such as 250m or 1.5.",
    "x-kubernetes-int-or-string": true,
    "pattern": "^[0-9]+(\\.[0-9]+)?m?$",
});
quantity_schema!(Bytes, {
    "description": "An amount of memory in bytes, such as 128Mi or 1Gi.",
    "x-kubernetes-int-or-string": true,
    "pattern": "^[0-9]+(\\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$",
});
quantity_schema!(Percent, {
    "description": "A share in percent, such as 1% or 0.5%.",
    "type": "string",
    "pattern": "^[0-9]+(\\.[0-9]{1,2})?%$",
});
quantity_schema!(Span, {
    "description": "A length of time, such as 30s, 5m or 250ms.",
    "type": "string",
    "pattern": "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us))+$",
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_what_people_write() {
        assert_eq!("250m".parse(), Ok(CpuMillis(250)));
        assert_eq!("1.5".parse(), Ok(CpuMillis(1500)));
        assert_eq!("128Mi".parse(), Ok(Bytes(128 << 20)));
        assert_eq!("1.5Gi".parse(), Ok(Bytes(3 << 29)));
        assert_eq!("1m30s".parse(), Ok(Span(Duration::from_secs(90))));
        assert_eq!("250ms".parse(), Ok(Span(Duration::from_millis(250))));
        assert_eq!("0s".parse(), Ok(Span(Duration::ZERO)));
    }

    #[test]
    fn quantities_refuse_what_is_ambiguous_or_absurd() {
        for bad in ["", "m", "-1", "0", "1x", "2000", "1.5.2"] {
            assert!(bad.parse::<CpuMillis>().is_err(), "{bad}");
        }
        for bad in ["", "Mi", "-1Mi", "0", "1mb", "9999999Ti"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
        for bad in ["", "30", "s", "1d", "-1s", "1000h"] {
            assert!(bad.parse::<Span>().is_err(), "{bad}");
        }
    }

    #[test]
    fn percents_are_exact_to_the_hundredth() {
        for (text, hundredths) in [("0%", 0), ("0.5%", 50), ("1%", 100), ("33.33%", 3_333)] {
            let read: Percent = text.parse().unwrap();
            assert_eq!((read.hundredths(), read.to_string().as_str()), (hundredths, text));
        }
        for bad in ["", "1", "0.01", "101%", "-1%", "1 %", "x%"] {
            assert!(bad.parse::<Percent>().is_err(), "{bad}");
        }
        assert_eq!(Percent::whole(101), Percent::WHOLE);
    }

    #[test]
    fn what_is_printed_reads_back_the_same() {
        for text in ["250m", "2", "1", "1500m"] {
            assert_eq!(text.parse::<CpuMillis>().unwrap().to_string(), text);
        }
        for text in ["128Mi", "1Gi", "1000", "5k"] {
            let read: Bytes = text.parse().unwrap();
            assert_eq!(read.to_string().parse(), Ok(read));
        }
        for text in ["30s", "90s", "250ms", "0s", "10m", "1h"] {
            let read: Span = text.parse().unwrap();
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
    }
}
