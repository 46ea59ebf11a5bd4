//! Amounts of resources: `500m`, `1.5Gi`, `2e3`.
//!
//! Held exactly in billionths, so arithmetic never rounds; a value finer than that is
//! rounded away from zero when read, as Kubernetes does.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

const NANO: i128 = 1_000_000_000;
/// Kubernetes caps what it reads at ±(2^63 - 1).
const MAX: i128 = i64::MAX as i128 * NANO;

/// How the amount was written, hence how it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `m`, `k`, `M`: powers of ten.
    DecimalSi,
    /// `Ki`, `Mi`: powers of 1024.
    BinarySi,
    /// `e3`.
    DecimalExponent,
}

/// An exact amount.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Shape,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Default for Quantity {
    fn default() -> Self {
        Quantity::ZERO
    }
}

impl Quantity {
    pub const ZERO: Quantity = Quantity {
        nanos: 0,
        format: Format::DecimalSi,
    };

    pub fn from_int(value: i64, format: Format) -> Self {
        Quantity {
            nanos: i128::from(value) * NANO,
            format,
        }
    }

    pub fn from_milli(value: i64) -> Self {
        Quantity {
            nanos: i128::from(value) * 1_000_000,
            format: Format::DecimalSi,
        }
    }

    /// Reads the JSON form: a string, or a bare number.
    pub fn from_json(value: &serde_json::Value) -> Result<Self, Error> {
        match value {
            serde_json::Value::String(text) => text.parse(),
            serde_json::Value::Number(number) => number.to_string().parse(),
            _ => Err(Error::Shape),
        }
    }

    /// Whole units, rounded up.
    pub fn value(self) -> i64 {
        self.scaled(NANO)
    }

    /// Thousandths, rounded up.
    pub fn milli_value(self) -> i64 {
        self.scaled(1_000_000)
    }

    fn scaled(self, unit: i128) -> i64 {
        let up = divide_up(self.nanos, unit);
        up.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
    }

    pub fn as_f64(self) -> f64 {
        self.nanos as f64 / NANO as f64
    }

    pub fn is_zero(self) -> bool {
        self.nanos == 0
    }

    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// True when the amount is a whole number of `1/parts` units.
    pub fn is_multiple_of_unit(self, parts: i64) -> bool {
        parts > 0 && self.nanos % (NANO / i128::from(parts)) == 0
    }

    pub fn format(self) -> Format {
        self.format
    }

    fn decimal(self, format: Format) -> String {
        let mut exponent = -9;
        let mut mantissa = self.nanos;
        while mantissa % 1000 == 0 && exponent < 18 {
            mantissa /= 1000;
            exponent += 3;
        }
        match format {
            Format::DecimalExponent if exponent != 0 => format!("{mantissa}e{exponent}"),
            _ => format!("{mantissa}{}", decimal_suffix(exponent)),
        }
    }

    fn binary(self) -> String {
        let mut value = self.nanos / NANO;
        let mut suffixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
        let mut suffix = "";
        while value % 1024 == 0 {
            let Some(next) = suffixes.next() else { break };
            value /= 1024;
            suffix = next;
        }
        format!("{value}{suffix}")
    }
}

/// Rounds towards positive infinity.
fn divide_up(value: i128, unit: i128) -> i128 {
    value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0)
}

fn decimal_suffix(exponent: i32) -> &'static str {
    match exponent {
        -9 => "n",
        -6 => "u",
        -3 => "m",
        3 => "k",
        6 => "M",
        9 => "G",
        12 => "T",
        15 => "P",
        18 => "E",
        _ => "",
    }
}

/// What a suffix multiplies by.
enum Scale {
    Ten(i32),
    Two(u32),
}

fn scale(suffix: &str) -> Result<(Scale, Format), Error> {
    let ten = |exponent| Ok((Scale::Ten(exponent), Format::DecimalSi));
    let two = |bits| Ok((Scale::Two(bits), Format::BinarySi));
    match suffix {
        "" => ten(0),
        "n" => ten(-9),
        "u" => ten(-6),
        "m" => ten(-3),
        "k" => ten(3),
        "M" => ten(6),
        "G" => ten(9),
        "T" => ten(12),
        "P" => ten(15),
        "E" => ten(18),
        "Ki" => two(10),
        "Mi" => two(20),
        "Gi" => two(30),
        "Ti" => two(40),
        "Pi" => two(50),
        "Ei" => two(60),
        _ => {
            let digits = suffix.strip_prefix(['e', 'E']).ok_or(Error::Suffix)?;
            let exponent = digits.parse().map_err(|_| Error::Suffix)?;
            Ok((Scale::Ten(exponent), Format::DecimalExponent))
        }
    }
}

impl FromStr for Quantity {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let (negative, rest) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || fraction.contains('.') {
            return Err(Error::Shape);
        }
        if !suffix
            .bytes()
            .all(|b| b"eEinumkKMGTP+-0123456789".contains(&b))
        {
            return Err(Error::Shape);
        }
        let (scale, format) = scale(suffix)?;
        let size = magnitude(whole, fraction, &scale);
        Ok(Quantity {
            nanos: if negative { -size } else { size },
            format,
        })
    }
}

/// The unsigned amount in nanos, rounded up and capped.
fn magnitude(whole: &str, fraction: &str, scale: &Scale) -> i128 {
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    // Where the decimal point ends up, counted in nanos.
    let (shift, factor) = match scale {
        Scale::Ten(exponent) => (i64::from(*exponent), 1),
        Scale::Two(bits) => (0, 1_i128 << bits),
    };
    let exponent = shift + 9 - fraction.len() as i64;
    if digits.len() as i64 + exponent > 38 {
        return MAX;
    }
    // More digits than this cannot matter: they only say "round up".
    let (head, tail) = digits.split_at(digits.len().min(36));
    let exponent = exponent + tail.len() as i64;
    let head: i128 = head.parse().unwrap_or(MAX);
    let sticky = i128::from(tail.bytes().any(|b| b != b'0'));
    let Some(scaled) = head.checked_mul(factor) else {
        return MAX;
    };
    let size = if exponent >= 0 {
        let power = 10_i128.checked_pow(exponent as u32);
        power
            .and_then(|power| scaled.checked_mul(power))
            .unwrap_or(MAX)
    } else {
        let power = u32::try_from(-exponent)
            .ok()
            .and_then(|e| 10_i128.checked_pow(e));
        power.map_or(1, |power| divide_up(scaled + sticky, power))
    };
    size.min(MAX)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.nanos.abs() < 1024 * NANO;
        let text = match self.format {
            _ if self.nanos == 0 => "0".to_owned(),
            Format::BinarySi if small || self.nanos % NANO != 0 => self.decimal(Format::DecimalSi),
            Format::BinarySi => self.binary(),
            format => self.decimal(format),
        };
        f.write_str(&text)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        if self.nanos == 0 {
            self.format = other.format;
        }
        self.nanos = self.nanos.saturating_add(other.nanos);
    }
}

impl std::ops::SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        if self.nanos == 0 {
            self.format = other.format;
        }
        self.nanos = self.nanos.saturating_sub(other.nanos);
    }
}

/// The canonical text of a quantity: `0.5` becomes `500m`, `1024Mi` becomes `1Gi`.
///
/// # Errors
/// The text is no quantity.
pub fn canonical(text: &str) -> Result<String, Error> {
    Ok(text.parse::<Quantity>()?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quantity(text: &str) -> Quantity {
        text.parse().expect(text)
    }

    #[test]
    fn quantities_print_in_canonical_form() {
        let cases = [
            ("0.5", "500m"),
            ("1024Mi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1000k", "1M"),
            ("0", "0"),
            ("0Gi", "0"),
            ("-0.5", "-500m"),
            ("512", "512"),
            ("512Ki", "512Ki"),
            ("0.5Ki", "512"),
            ("1e3", "1e3"),
            ("100e-3", "100e-3"),
            ("1E", "1E"),
            ("0.0000000001", "1n"),
            (".5", "500m"),
            ("5.", "5"),
            ("99999999999999999999", "9223372036854775807"),
            ("0.1Ki", "102400m"),
        ];
        for (text, canonical) in cases {
            assert_eq!(quantity(text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_the_reason() {
        for text in ["", "x", "1.2.3", "1 Gi", "."] {
            assert_eq!(text.parse::<Quantity>(), Err(Error::Shape), "{text:?}");
        }
        assert_eq!("1KiMi".parse::<Quantity>(), Err(Error::Suffix));
        assert_eq!("1Kx".parse::<Quantity>(), Err(Error::Shape));
    }

    #[test]
    fn integers_round_up() {
        assert_eq!(quantity("100m").value(), 1);
        assert_eq!(quantity("1500u").milli_value(), 2);
        assert_eq!(quantity("1Gi").value(), 1 << 30);
    }

    #[test]
    fn amounts_compare_and_add_whatever_their_suffix() {
        assert!(quantity("1Gi") > quantity("1G"));
        assert_eq!(quantity("0.1"), quantity("100m"));
        let mut sum = quantity("900m");
        sum += quantity("200m");
        assert_eq!(sum.to_string(), "1100m");
    }

    #[test]
    fn absurd_exponents_are_capped_not_computed() {
        assert_eq!(quantity("1e999999").value(), i64::MAX);
        assert_eq!(quantity("1e-999999").to_string(), "1e-9");
    }
}
