//! Formats of strings that are checked; Kubernetes passes over the others.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use apimachinery::names;
use base64::Engine as _;
use jiff::civil::Date;
use regex::Regex;

/// The check of a format; dashes in its name do not count.
pub fn find(name: &str) -> Option<fn(&str) -> bool> {
    Some(match name.replace('-', "").as_str() {
        "bsonobjectid" => |text| text.len() == 24 && is_hex(text),
        "uri" => is_uri,
        "email" => is_email,
        "hostname" => is_hostname,
        "ipv4" => |text| text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => |text| text.parse::<Ipv6Addr>().is_ok() && text.contains(':'),
        "cidr" => is_cidr,
        "mac" => is_mac,
        "uuid" => |text| uuid_version(text).is_some(),
        "uuid3" => |text| uuid_version(text) == Some('3'),
        "uuid4" => |text| uuid_version(text) == Some('4') && has_variant(text),
        "uuid5" => |text| uuid_version(text) == Some('5') && has_variant(text),
        "isbn" => |text| is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10,
        "isbn13" => is_isbn13,
        "creditcard" => |text| CREDIT_CARD.is_match(&text.replace(['-', ' '], "")),
        "ssn" => |text| SSN.is_match(text),
        "hexcolor" => is_hex_color,
        "rgbcolor" => |text| RGB.is_match(text),
        "byte" => is_base64,
        "password" => |_| true,
        "date" => |text| text.len() == 10 && text.parse::<Date>().is_ok(),
        "duration" => is_duration,
        "datetime" => is_date_time,
        "k8sshortname" => |text| names::dns_label(text).is_empty(),
        "k8slongname" => |text| names::dns_subdomain(text).is_empty(),
        _ => return None,
    })
}

fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

static SSN: LazyLock<Regex> = LazyLock::new(|| regex(r"^[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}$"));
static CREDIT_CARD: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        "^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35[0-9]{3})[0-9]{11})$",
    )
});
static RGB: LazyLock<Regex> = LazyLock::new(|| {
    let byte = r"\s*(0|[1-9][0-9]?|1[0-9][0-9]|2[0-4][0-9]|25[0-5])\s*";
    regex(&format!("^rgb\\({byte},{byte},{byte}\\)$"))
});
static EMAIL: LazyLock<Regex> = LazyLock::new(|| {
    let atom = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
    regex(&format!(
        r"^(?:[^<>@]*<)?(?:{atom}(?:\.{atom})*|{quoted})@(?:{atom}(?:\.{atom})*|\[[0-9A-Fa-f:.]+\])>?$",
        quoted = "\"[^\"]*\""
    ))
});
static DURATION: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h)(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))*$",
    )
});
static SPOKEN_DURATION: LazyLock<Regex> = LazyLock::new(|| {
    let unit = "ns|nano|us|µs|micro|ms|milli|s|sec|m|min|h|hr|hour|d|day|w|week|wk";
    regex(&format!(r"(?i)^(?:\s*[0-9.]+\s*(?:{unit})s?)+\s*$"))
});

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// As Go's `url.ParseRequestURI`: absolute, or a rooted path.
fn is_uri(text: &str) -> bool {
    if text.starts_with('/') {
        return !text.bytes().any(|b| b.is_ascii_control());
    }
    url::Url::parse(text).is_ok()
}

fn is_email(text: &str) -> bool {
    EMAIL.is_match(text)
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253 && text.split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(_), _) => 32,
        (_, Ok(_)) => 128,
        _ => return false,
    };
    bits.bytes().all(|b| b.is_ascii_digit()) && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// EUI-48, EUI-64 or InfiniBand, as Go's `net.ParseMAC` reads them.
fn is_mac(text: &str) -> bool {
    let (separator, digits) = match text.as_bytes() {
        [_, _, b':', ..] => (':', 2),
        [_, _, b'-', ..] => ('-', 2),
        [_, _, _, _, b'.', ..] => ('.', 4),
        _ => return false,
    };
    let parts: Vec<&str> = text.split(separator).collect();
    let bytes = parts.len() * digits / 2;
    matches!(bytes, 6 | 8 | 20)
        && parts
            .iter()
            .all(|part| part.len() == digits && is_hex(part))
}

fn uuid_version(text: &str) -> Option<char> {
    let plain = text.replace('-', "");
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    let is_shaped = lengths == [8, 4, 4, 4, 12] || lengths == [32];
    (is_shaped && is_hex(&plain))
        .then(|| plain.chars().nth(12))
        .flatten()
}

fn has_variant(text: &str) -> bool {
    let plain = text.replace('-', "");
    plain.chars().nth(16).is_some_and(|c| "89abAB".contains(c))
}

fn digits(text: &str) -> Vec<u32> {
    let plain = text.chars().filter(|c| !matches!(c, '-' | ' '));
    plain
        .map(|c| match c {
            'X' | 'x' => 10,
            c => c.to_digit(10).unwrap_or(11),
        })
        .collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = digits(text);
    let is_shaped = digits.len() == 10 && digits[..9].iter().all(|d| *d < 10) && digits[9] < 11;
    let sum: u32 = digits.iter().zip((1..=10).rev()).map(|(d, w)| d * w).sum();
    is_shaped && sum.is_multiple_of(11)
}

fn is_isbn13(text: &str) -> bool {
    let digits = digits(text);
    let is_shaped = digits.len() == 13 && digits.iter().all(|d| *d < 10);
    let sum: u32 = digits
        .iter()
        .zip([1, 3].into_iter().cycle())
        .map(|(d, w)| d * w)
        .sum();
    is_shaped && sum.is_multiple_of(10)
}

fn is_hex_color(text: &str) -> bool {
    let digits = text.strip_prefix('#').unwrap_or(text);
    matches!(digits.len(), 3 | 6) && is_hex(digits)
}

fn is_base64(text: &str) -> bool {
    base64::engine::general_purpose::STANDARD
        .decode(text)
        .is_ok()
}

fn is_duration(text: &str) -> bool {
    text == "0" || DURATION.is_match(text) || SPOKEN_DURATION.is_match(text)
}

fn is_date_time(text: &str) -> bool {
    text.len() >= 20
        && text.as_bytes()[10].eq_ignore_ascii_case(&b'T')
        && text.parse::<jiff::Timestamp>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, good: &[&str], bad: &[&str]) {
        let check = find(format).expect(format);
        for text in good {
            assert!(check(text), "{text:?} is a {format}");
        }
        for text in bad {
            assert!(!check(text), "{text:?} is no {format}");
        }
    }

    #[test]
    fn formats_take_what_they_are_named_for() {
        check(
            "date-time",
            &["2014-12-15T19:30:20.000Z", "2014-12-15T19:30:20+02:00"],
            &["2014-12-15", "yesterday"],
        );
        check("date", &["2024-02-29"], &["2023-02-29", "2024-2-9"]);
        check(
            "duration",
            &["1h30m", "22ns", "3 days", "0"],
            &["x", "1", ""],
        );
        check("ipv4", &["10.0.0.1"], &["10.0.0", "::1"]);
        check("ipv6", &["::1"], &["10.0.0.1"]);
        check(
            "cidr",
            &["10.0.0.0/8", "fd00::/64"],
            &["10.0.0.0/33", "10.0.0.0"],
        );
        check(
            "mac",
            &["00:00:5e:00:53:01", "0000.5e00.5301"],
            &["00:00:5e", "zz:00:5e:00:53:01"],
        );
        check(
            "uuid",
            &["a1b2c3d4-0000-1000-8000-00805f9b34fb"],
            &["a1b2", "a-b"],
        );
        check(
            "uuid4",
            &["a1b2c3d4-0000-4000-8000-00805f9b34fb"],
            &["a1b2c3d4-0000-1000-8000-00805f9b34fb"],
        );
        check("email", &["a@b.c"], &["a", "a@", "a b@c"]);
        check("uri", &["https://a.b/c", "/x"], &["a b", ""]);
        check("hostname", &["a-b.example.com"], &["-a", "a_b", ""]);
        check("byte", &["aGk="], &["a", "%"]);
        check(
            "isbn",
            &["0-306-40615-2", "978-0-306-40615-7"],
            &["0-306-40615-3"],
        );
        check("hexcolor", &["#fff", "a1b2c3"], &["#ff"]);
        check("rgbcolor", &["rgb(1, 2,255)"], &["rgb(1,2,256)"]);
    }

    #[test]
    fn unknown_formats_are_passed_over() {
        assert!(find("int32").is_none() && find("whatever").is_none());
    }
}
