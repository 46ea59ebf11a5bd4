//! Amounts of resources: `500m`, `1.5Gi`, `2e3`.
//!
//! Held exactly in billionths, so arithmetic never rounds; a value finer than that is
//! rounded away from zero when read, as Kubernetes does.

use std::borrow::Cow;
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

    /// The canonical text.
    pub fn text(self) -> Text {
        let small = self.nanos.abs() < 1024 * NANO;
        match self.format {
            _ if self.nanos == 0 => Text::new(0, ""),
            Format::BinarySi if small || self.nanos % NANO != 0 => self.decimal(Format::DecimalSi),
            Format::BinarySi => self.binary(),
            format => self.decimal(format),
        }
    }

    fn decimal(self, format: Format) -> Text {
        let mut exponent = -9;
        let mut mantissa = self.nanos;
        while mantissa % 1000 == 0 && exponent < 18 {
            mantissa /= 1000;
            exponent += 3;
        }
        Text::new(mantissa, suffix(exponent, format))
    }

    fn binary(self) -> Text {
        let mut value = self.nanos / NANO;
        let mut suffixes = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].into_iter();
        let mut suffix = "";
        while value % 1024 == 0 {
            let Some(next) = suffixes.next() else { break };
            value /= 1024;
            suffix = next;
        }
        Text::new(value, suffix)
    }
}

/// Rounds towards positive infinity.
fn divide_up(value: i128, unit: i128) -> i128 {
    value.div_euclid(unit) + i128::from(value.rem_euclid(unit) != 0)
}

fn suffix(exponent: i32, format: Format) -> &'static str {
    let (decimal, written_out) = match exponent {
        -9 => ("n", "e-9"),
        -6 => ("u", "e-6"),
        -3 => ("m", "e-3"),
        3 => ("k", "e3"),
        6 => ("M", "e6"),
        9 => ("G", "e9"),
        12 => ("T", "e12"),
        15 => ("P", "e15"),
        18 => ("E", "e18"),
        _ => ("", ""),
    };
    match format {
        Format::DecimalExponent => written_out,
        Format::DecimalSi | Format::BinarySi => decimal,
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
        let is_number = |&b: &u8| b.is_ascii_digit() || b == b'.';
        let end = rest.bytes().take_while(is_number).count();
        let (number, suffix) = rest.split_at(end);
        let (whole, fraction) = match number.bytes().position(|b| b == b'.') {
            Some(point) => (&number[..point], &number[point + 1..]),
            None => (number, ""),
        };
        if whole.len() + fraction.len() == 0 || fraction.bytes().any(|b| b == b'.') {
            return Err(Error::Shape);
        }
        if !suffix.bytes().all(may_be_in_suffix) {
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

fn may_be_in_suffix(b: u8) -> bool {
    matches!(
        b,
        b'e' | b'E' | b'i' | b'n' | b'u' | b'm' | b'k' | b'K' | b'M' | b'G' | b'T' | b'P'
    ) || matches!(b, b'+' | b'-' | b'0'..=b'9')
}

/// The digits of a number, zeros in front aside: as many as can matter, and what is known
/// of the rest.
#[derive(Default)]
struct Digits {
    head: i128,
    kept: i64,
    dropped: i64,
    /// 1 if a dropped digit is not zero: it only says "round up".
    sticky: i128,
}

const KEPT_MAX: i64 = 36;

impl Digits {
    fn read(whole: &str, fraction: &str) -> Digits {
        let mut digits = Digits::default();
        for part in [whole, fraction] {
            for digit in part.bytes() {
                digits.push(digit - b'0');
            }
        }
        digits
    }

    fn push(&mut self, digit: u8) {
        if self.head == 0 && digit == 0 {
            return;
        }
        if self.kept < KEPT_MAX {
            self.head = self.head * 10 + i128::from(digit);
            self.kept += 1;
        } else {
            self.sticky |= i128::from(digit != 0);
            self.dropped += 1;
        }
    }
}

/// The unsigned amount in nanos, rounded up and capped.
fn magnitude(whole: &str, fraction: &str, scale: &Scale) -> i128 {
    match scale {
        Scale::Ten(exponent) => decimal_magnitude(whole, fraction, *exponent),
        Scale::Two(bits) => binary_magnitude(whole, fraction, NANO << bits),
    }
}

fn decimal_magnitude(whole: &str, fraction: &str, exponent: i32) -> i128 {
    let digits = Digits::read(whole, fraction);
    if digits.head == 0 {
        return 0;
    }
    // Where the decimal point ends up, counted in nanos.
    let exponent = i64::from(exponent) + 9 - fraction.len() as i64;
    if digits.kept + digits.dropped + exponent > 38 {
        return MAX;
    }
    let exponent = exponent + digits.dropped;
    let power = power_of_ten(exponent.unsigned_abs());
    let size = if exponent >= 0 {
        let size = power.and_then(|power| times(digits.head, power));
        size.unwrap_or(MAX)
    } else {
        power.map_or(1, |power| divide_up(digits.head + digits.sticky, power))
    };
    size.min(MAX)
}

/// As many of `unit` as the number says.
fn binary_magnitude(whole: &str, fraction: &str, unit: i128) -> i128 {
    let digits = Digits::read(whole, "");
    if digits.dropped > 0 {
        return MAX;
    }
    let Some(size) = times(digits.head, unit) else {
        return MAX;
    };
    size.saturating_add(part_of(unit, fraction)).min(MAX)
}

/// This fraction of `unit`, rounded up: exact however many digits it has, for what a
/// division leaves over only matters as being there at all.
fn part_of(unit: i128, fraction: &str) -> i128 {
    let (mut part, mut left_over) = (0, false);
    for digit in fraction.bytes().rev() {
        let sum = part + unit * i128::from(digit - b'0');
        part = sum / 10;
        left_over |= sum % 10 != 0;
    }
    part + i128::from(left_over)
}

/// The product of two numbers above zero; most are small, and faster to multiply so.
fn times(a: i128, b: i128) -> Option<i128> {
    match (u64::try_from(a), u64::try_from(b)) {
        (Ok(a), Ok(b)) => i128::try_from(u128::from(a) * u128::from(b)).ok(),
        _ => a.checked_mul(b),
    }
}

fn power_of_ten(exponent: u64) -> Option<i128> {
    const POWERS: [i128; 39] = {
        let mut powers = [1; 39];
        let mut n = 1;
        while n < 39 {
            powers[n] = powers[n - 1] * 10;
            n += 1;
        }
        powers
    };
    POWERS.get(usize::try_from(exponent).ok()?).copied()
}

/// A number and its suffix, written without asking for memory.
pub struct Text {
    bytes: [u8; Text::MAX],
    start: usize,
}

impl Text {
    /// A sign, the 39 digits of the largest number, and a suffix of at most three.
    const MAX: usize = 43;

    fn new(number: i128, suffix: &str) -> Text {
        let mut text = Text {
            bytes: [0; Text::MAX],
            start: Text::MAX - suffix.len(),
        };
        text.bytes[text.start..].copy_from_slice(suffix.as_bytes());
        text.digits(number.unsigned_abs());
        if number < 0 {
            text.before(b'-');
        }
        text
    }

    fn digits(&mut self, mut number: u128) {
        while number > u128::from(u64::MAX) {
            self.before(b'0' + (number % 10) as u8);
            number /= 10;
        }
        let mut number = number as u64;
        loop {
            self.before(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn before(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("made of ASCII bytes only")
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
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
pub fn canonical(text: &str) -> Result<Cow<'_, str>, Error> {
    if is_plain(text) {
        return Ok(Cow::Borrowed(text));
    }
    Ok(Cow::Owned(text.parse::<Quantity>()?.to_string()))
}

/// An amount as people write it: a small integer that no larger unit says with fewer
/// digits. Such a text is canonical; of others that must be worked out.
fn is_plain(text: &str) -> bool {
    // The largest unit below times so many digits is far from the greatest amount.
    const MAX_DIGITS: usize = 6;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 || digits > MAX_DIGITS || text.starts_with('0') {
        return false;
    }
    let (number, suffix) = text.split_at(digits);
    let number = number.bytes().fold(0, |n, b| n * 10 + u32::from(b - b'0'));
    match suffix {
        "" | "m" | "k" | "M" | "G" => !number.is_multiple_of(1000),
        "Ki" | "Mi" | "Gi" | "Ti" => !number.is_multiple_of(1024),
        _ => false,
    }
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
    fn what_looks_canonical_is() {
        let suffixes = [
            "", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
            "e3",
        ];
        let numbers = [
            0, 1, 7, 99, 100, 500, 999, 1000, 1023, 1024, 1500, 2048, 999_999, 1_000_000,
        ];
        for (number, suffix) in numbers.iter().flat_map(|n| suffixes.map(|s| (n, s))) {
            for text in [format!("{number}{suffix}"), format!("0{number}{suffix}")] {
                let worked_out = quantity(&text).to_string();
                assert_eq!(canonical(&text).as_deref(), Ok(&*worked_out), "{text}");
            }
        }
        assert!(matches!(canonical("100m"), Ok(Cow::Borrowed(_))));
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
    fn only_the_digits_that_matter_are_kept() {
        let zeros = "0".repeat(60);
        assert_eq!(
            quantity(&format!("{zeros}1.50{zeros}")).to_string(),
            "1500m"
        );
        assert_eq!(quantity(&format!("0.{zeros}1")).to_string(), "1n");
        assert_eq!(quantity(&format!("1.{zeros}1")).to_string(), "1000000001n");
        assert_eq!(quantity(&format!("1{zeros}")).value(), i64::MAX);
        assert_eq!(quantity(&format!("1{zeros}e-60")).to_string(), "1");
        assert_eq!(quantity(&format!("1{zeros}Ki")).value(), i64::MAX);
    }

    #[test]
    fn a_fraction_of_a_power_of_two_is_exact_however_long() {
        let zeros = "0".repeat(60);
        let cases = [
            (format!("1.{zeros}Gi"), "1Gi"),
            (format!("0.5{zeros}Ei"), "512Pi"),
            (format!("{zeros}0.{zeros}1Ei"), "1n"),
            (format!("1.{zeros}1Ki"), "1024000000001n"),
            (
                "0.333333333333333333333333333333333333Ei".to_owned(),
                "384307168202282325333333334n",
            ),
            (
                "7.99999999999999999999999999999999999999Ei".to_owned(),
                "9223372036854775807",
            ),
        ];
        for (text, canonical) in cases {
            assert_eq!(quantity(&text).to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn the_largest_sum_has_room_for_its_text() {
        for format in [Format::DecimalSi, Format::BinarySi, Format::DecimalExponent] {
            for nanos in [i128::MIN + 1, i128::MAX, -1, 10_i128.pow(38)] {
                let text = Quantity { nanos, format }.to_string();
                let digits = text.trim_start_matches('-');
                assert!(digits.as_bytes()[0].is_ascii_digit(), "{text}");
            }
        }
    }

    #[test]
    fn absurd_exponents_are_capped_not_computed() {
        assert_eq!(quantity("1e999999").value(), i64::MAX);
        assert_eq!(quantity("1e-999999").to_string(), "1e-9");
    }
}
