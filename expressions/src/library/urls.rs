//! `url("https://example.com/a?b=c")`: absolute URLs, and absolute paths.

use std::collections::HashMap;

use cel::common::types::{CelList, CelMap, CelMapKey, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::args::{Args, Outcome, arg, failure, global, member, of_bool, of_text, text};
use super::kinds::{self, named, opaque};

/// The parts of a URL as they were written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Url {
    scheme: String,
    host: String,
    path: String,
    query: String,
}

opaque!(Url, kinds::URL, |a, b| a == b);

const URL: Type = named(kinds::URL);

pub fn register(env: &mut Env) -> Result<(), DeclarationError> {
    global(env, "url", vec![STRING_TYPE], |args| {
        let written = text(&args, 0)?;
        let url = parse(written).ok_or_else(|| {
            let why = "URL parse error during conversion from string: parse";
            failure("url", format!("{why} {written:?}: invalid URI for request"))
        })?;
        Ok(CowVal::owned(url))
    })?;
    global(env, "isURL", vec![STRING_TYPE], |args| {
        of_bool(parse(text(&args, 0)?).is_some())
    })?;
    member(env, "getScheme", URL, vec![], |args| {
        of_text(url(&args)?.scheme.as_str())
    })?;
    member(env, "getHost", URL, vec![], |args| {
        of_text(url(&args)?.host.as_str())
    })?;
    member(env, "getHostname", URL, vec![], |args| {
        let name = split_port(&url(&args)?.host).0;
        let name = name
            .strip_prefix('[')
            .and_then(|n| n.strip_suffix(']'))
            .unwrap_or(name);
        of_text(name)
    })?;
    member(env, "getPort", URL, vec![], |args| {
        of_text(split_port(&url(&args)?.host).1)
    })?;
    member(env, "getEscapedPath", URL, vec![], |args| {
        of_text(url(&args)?.path.as_str())
    })?;
    member(env, "getQuery", URL, vec![], query)
}

fn url<'a>(args: &'a Args<'_, '_>) -> Result<&'a Url, ExecutionError> {
    arg::<Url>(args, 0)
}

pub fn is_url(text: &str) -> bool {
    parse(text).is_some()
}

/// True to Go's `url.ParseRequestURI`: a scheme, or a path that starts with a slash.
fn parse(text: &str) -> Option<Url> {
    if text.is_empty() || text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return None;
    }
    let (scheme, rest) = match split_scheme(text)? {
        Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
        None => (String::new(), text),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !rest.starts_with('/') {
        // `mailto:a@b`: no host, no path.
        return (!scheme.is_empty()).then(|| Url {
            scheme,
            query: query.to_owned(),
            ..Url::default()
        });
    }
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() || !rest.starts_with('/') => {
            let end = rest.find('/').unwrap_or(rest.len());
            (parse_host(&rest[..end])?, &rest[end..])
        }
        _ => (String::new(), rest),
    };
    let is_escaped = |text: &str| {
        let bytes = text.as_bytes();
        (0..bytes.len()).filter(|&i| bytes[i] == b'%').all(|i| {
            let digits = bytes.get(i + 1..i + 3);
            digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        })
    };
    is_escaped(path).then(|| Url {
        scheme,
        host,
        path: utf8_percent_encode(path, NOT_IN_PATH).to_string(),
        query: query.to_owned(),
    })
}

/// The scheme and what follows; `None` inside when there is none.
#[expect(clippy::option_option, reason = "no scheme is not a bad scheme")]
fn split_scheme(text: &str) -> Option<Option<(&str, &str)>> {
    for (place, sign) in text.bytes().enumerate() {
        match sign {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if place > 0 => {}
            b':' if place > 0 => return Some(Some((&text[..place], &text[place + 1..]))),
            b':' => return None,
            _ => return Some(None),
        }
    }
    Some(None)
}

fn parse_host(authority: &str) -> Option<String> {
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            let address = address.split('%').next()?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (
                address,
                after.strip_prefix(':').or(after.is_empty().then_some(""))?,
            )
        }
        None => host.split_once(':').unwrap_or((host, "")),
    };
    let bad = |c: char| c.is_ascii_control() || " <>\"{}|\\^`#".contains(c);
    let fine = !name.contains(bad) && port.bytes().all(|b| b.is_ascii_digit());
    fine.then(|| host.to_owned())
}

fn split_port(host: &str) -> (&str, &str) {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, port),
        _ => (host, ""),
    }
}

/// What a path may not hold as it is.
const NOT_IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}')
    .add(b'#');

/// A key or value of a query as it was meant.
fn unescape(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

fn query<'b, 'v>(args: Args<'b, 'v>) -> Outcome<'b, 'v> {
    let mut values: HashMap<String, Vec<Box<dyn Val + 'v>>> = HashMap::new();
    let pairs = url(&args)?.query.split('&').filter(|pair| !pair.is_empty());
    for pair in pairs.filter(|pair| !pair.contains(';')) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = Box::new(CelString::from(unescape(value)));
        values.entry(unescape(key)).or_default().push(value);
    }
    let entries = values.into_iter().map(|(key, values)| {
        let values: Box<dyn Val + 'v> = Box::new(CelList::from(values));
        (CelMapKey::String(CelString::from(key)), values)
    });
    Ok(CowVal::owned(CelMap::from(
        entries.collect::<HashMap<_, _>>(),
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_what_go_takes_for_them() {
        let url = parse("https://user@example.com:80/a%20b?x=1").expect("a URL");
        assert_eq!(url.scheme, "https");
        assert_eq!(url.host, "example.com:80");
        assert_eq!(url.path, "/a%20b");
        for good in [
            "/path",
            "https://a",
            "http://[::1]:80/",
            "mailto:a@b",
            "https://a:/b",
        ] {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in [
            "",
            "../relative",
            "a",
            "https://a:x/",
            ":a",
            "https://[::1",
            "/%zz",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
