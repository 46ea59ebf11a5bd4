//! Patterns are Go's regular expressions; ours differ in a few corners.

use std::collections::HashMap;
use std::iter::Peekable;
use std::str::Chars;
use std::sync::{LazyLock, Mutex, PoisonError};

use regex::{Regex, RegexBuilder};

/// The largest program a pattern may become.
const SIZE_MAX: usize = 1 << 20;

/// Definitions repeat their patterns (that of quantities hundreds of times): as many
/// compiled ones are shared.
const SHARED_MAX: usize = 256;
static SHARED: LazyLock<Mutex<HashMap<Box<str>, Regex>>> = LazyLock::new(Mutex::default);

pub fn compile(text: &str) -> Result<Regex, String> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = shared.get(text) {
        return Ok(known.clone());
    }
    let built = build(text)?;
    if shared.len() >= SHARED_MAX {
        shared.clear();
    }
    shared.insert(text.into(), built.clone());
    Ok(built)
}

fn build(text: &str) -> Result<Regex, String> {
    let translated = translate(text);
    let built = RegexBuilder::new(&translated).size_limit(SIZE_MAX).build();
    built.map_err(|error| match error {
        regex::Error::Syntax(_) => format!("error parsing regexp: `{text}`"),
        other => other.to_string(),
    })
}

/// Go's `\d`, `\w`, `\s` and `\b` are of ASCII, its classes have no operators, and a
/// brace that begins no repetition is a brace.
fn translate(go: &str) -> String {
    let mut out = String::with_capacity(go.len() + 16);
    let mut chars = go.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out, false),
            '[' => class(&mut chars, &mut out),
            '{' if !is_repetition(chars.clone()) => out.push_str("\\{"),
            '}' if !out
                .rsplit_once('{')
                .is_some_and(|(_, inner)| is_counts(inner)) =>
            {
                out.push_str("\\}");
            }
            other => out.push(other),
        }
    }
    out
}

fn is_counts(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b',')
}

fn is_repetition(rest: Peekable<Chars<'_>>) -> bool {
    let rest: String = rest.take_while(|c| *c != '}').collect();
    rest.starts_with(|c: char| c.is_ascii_digit()) && is_counts(&rest)
}

fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) {
    let Some(c) = chars.next() else {
        out.push('\\');
        return;
    };
    let set = match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => "\\t\\n\\x0C\\r ",
        'D' | 'W' | 'S' => {
            let class = match c {
                'D' => "[^0-9]",
                'W' => "[^0-9A-Za-z_]",
                _ => "[^\\t\\n\\x0C\\r ]",
            };
            out.push_str(class);
            return;
        }
        'b' | 'B' if !in_class => {
            out.push_str(&format!("(?-u:\\{c})"));
            return;
        }
        // A named or hexadecimal escape keeps its braces.
        'p' | 'P' | 'x' if chars.peek() == Some(&'{') => {
            out.push('\\');
            out.push(c);
            for inner in chars.by_ref() {
                out.push(inner);
                if inner == '}' {
                    break;
                }
            }
            return;
        }
        other => {
            out.push('\\');
            out.push(other);
            return;
        }
    };
    match in_class {
        true => out.push_str(set),
        false => out.push_str(&format!("[{set}]")),
    }
}

fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut is_first = true;
    while let Some(c) = chars.next() {
        match c {
            ']' if is_first => out.push_str("\\]"),
            ']' => {
                out.push(']');
                return;
            }
            '\\' => escape(chars, out, true),
            '[' if chars.peek() == Some(&':') => named_class(chars, out),
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '-' if chars.peek() == Some(&'-') => out.push_str("\\-"),
            other => out.push(other),
        }
        is_first = false;
    }
}

/// `[:alpha:]` inside a class.
fn named_class(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    for c in chars.by_ref() {
        out.push(c);
        if c == ']' {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).expect(pattern).is_match(text)
    }

    #[test]
    fn what_go_takes_is_taken() {
        assert!(matches("^[-a-z0-9]+$", "a-b"));
        assert!(matches(r"^\d{1,3}\.[\w.-]+$", "12.a_b-c"));
        assert!(!matches(r"^\d$", "٣"), "only ASCII digits are digits");
        assert!(matches("^[a&&b]$", "&"));
        assert!(matches("^{a}$", "{a}"));
        assert!(matches("^[[:alpha:]_]+$", "a_"));
        assert!(matches(r"^\p{L}\x{41}$", "éA"));
        assert!(matches("^[]a]$", "]"));
        assert!(matches("^[^/[]+$", "ab"));
    }

    #[test]
    fn patterns_of_well_known_definitions_are_taken() {
        let quantity = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
        assert!(matches(quantity, "100Mi") && !matches(quantity, "100Mx"));
        let header = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$";
        assert!(matches(header, "X-`Forwarded") && !matches(header, "a b"));
        let path = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$";
        assert!(matches(path, "/a%2F") && !matches(path, "/a%2"));
        assert!(matches("^([0-9]{1,5}(h|m|s|ms)){1,4}$", "1h30m"));
        assert!(matches(r"^[^\x00-\x1F\x7F]*$", "plain"));
        assert!(matches(r"^(true|false|\$\{[a-z]+\})$", "${a}"));
    }

    #[test]
    fn a_broken_pattern_is_told() {
        assert!(compile("(").is_err());
        assert!(compile("(?=a)").is_err());
    }
}
